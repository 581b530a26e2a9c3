# Everything runs inside .venv; `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STUDY := benchmarks/studies/front-running
RISK := benchmarks/studies/sequencer-risk
BENCH := build/bench

.DEFAULT_GOAL := help
.PHONY: help install chain native native-test demo test test-all check format vectors spec-coverage conformance bench bench-full measure study risk clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(STAMP) ## encrypt, order blind, reveal, execute; next to a plaintext control
	@$(BIN)/encmempool demo

test: $(STAMP)-dev ## the tests
	@$(BIN)/python -m pytest -n auto --dist worksteal

test-all: test ## the tests and the slow suites
	@$(BIN)/python -m pytest -n auto --dist worksteal -m slow

check: $(STAMP)-dev ## format, lint, types, import layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m specs.build check
	@$(BIN)/python -m specs.generate --check
	@$(BIN)/python -m specs.coverage --check

format: $(STAMP)-dev ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/python -m specs.build format

vectors: $(STAMP)-dev ## make the conformance vectors anew from the specs
	@$(BIN)/python -m specs.generate

spec-coverage: $(STAMP)-dev ## each requirement with the tests and vectors that cite it
	@$(BIN)/python -m specs.coverage

conformance: $(STAMP) ## every vector against this package
	@$(BIN)/encmempool conformance run

bench: $(STAMP) ## curve, schemes, pipeline and scaling in some minutes; records in build/bench
	@mkdir -p $(BENCH)
	@$(BIN)/encmempool bench micro -o $(BENCH)/micro.jsonl
	@$(BIN)/encmempool bench pipeline -o $(BENCH)/pipeline.jsonl
	@$(BIN)/encmempool bench scaling --over batch -o $(BENCH)/scaling.jsonl

bench-full: $(STAMP) ## the whole grid of sizes and committees; takes hours
	@mkdir -p $(BENCH)
	@$(BIN)/encmempool bench micro --full -o $(BENCH)/micro.jsonl --report $(BENCH)/micro.md
	@for scheme in tdh2 ibe simple-bte fptx; do \
		$(BIN)/encmempool bench pipeline --scheme $$scheme --batch 512 -o $(BENCH)/pipeline.jsonl || exit; done
	@$(BIN)/encmempool bench scaling --full -o $(BENCH)/scaling.jsonl --report $(BENCH)/scaling.md

measure: $(STAMP)-measure ## install what `encmempool measure` needs

chain: $(STAMP)-chain ## install what a chain below needs: web3 and the Vyper compiler

study: $(STAMP)-measure ## the experiment's headline table
	@$(BIN)/encmempool fetch uniswap || echo "without the genuine contracts: the integer model alone" >&2
	@$(BIN)/encmempool measure run --blocks 4000 --arms all --seed 1 -o $(STUDY)/results.json
	@$(BIN)/encmempool measure report $(STUDY)/results.json --format markdown -o $(STUDY)/report.md
	@$(BIN)/encmempool measure report $(STUDY)/results.json -o report.html

risk: $(STAMP)-measure ## what sequencer risk costs, by design
	@$(BIN)/encmempool risk run --years 1000000 --seed 1 -o $(RISK)/risk.json
	@$(BIN)/encmempool risk report $(RISK)/risk.json --format markdown -o $(RISK)/report.md
	@$(BIN)/encmempool risk report $(RISK)/risk.json -o risk.html

native: $(STAMP) ## build and install the fast curve backend; needs Rust 1.89 or newer
	@command -v cargo >/dev/null || { echo "Rust is needed: install it from your system's packages or with rustup, 1.89 or newer" >&2; exit 3; }
	@echo "building threshold/native …" >&2
	@rm -rf build/native
	@$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps -w build/native threshold/native
	@$(BIN)/pip install --quiet --disable-pip-version-check --force-reinstall --no-deps build/native/*.whl
	@$(BIN)/python -c 'import encmempool_native as n; print(f"encmempool_native {n.__version__}, engine {n.engine()}")'

native-test: ## format, lints and tests of the native backend's own code
	@cargo fmt --check --manifest-path threshold/native/Cargo.toml
	@cargo clippy --quiet --release --all-targets --manifest-path threshold/native/Cargo.toml -- -D warnings
	@cargo test --quiet --release --manifest-path threshold/native/Cargo.toml

install: $(STAMP) ## the virtual environment with the `encmempool` command

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build threshold/native/target *.egg-info

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: install it, or run  make PYTHON=/path/to/python3" >&2; exit 3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) -V) is too old, 3.11 or newer is needed: run  make PYTHON=python3.11" >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: run  sudo apt-get install python3-venv" >&2; exit 3; }
	@$(PYTHON) -m venv $(VENV)

$(STAMP): $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing into $(VENV) …" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(STAMP)-measure: $(STAMP)
	@echo "installing the experiment's packages …" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[measure]'
	@touch $@

$(STAMP)-chain: $(STAMP)
	@echo "installing the chain's packages …" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[chain]'
	@touch $@

$(STAMP)-dev: $(STAMP)
	@echo "installing the development tools …" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
