# Everything runs inside .venv; `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STUDY := benchmarks/studies/front-running

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check format vectors spec-coverage conformance bench measure study clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(STAMP) ## encrypt, order blind, reveal, execute; next to a plaintext control
	@$(BIN)/encmempool demo

test: $(STAMP)-dev ## the tests
	@$(BIN)/python -m pytest -n auto --dist worksteal

test-all: $(STAMP)-dev ## the tests and the slow suites
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "slow or not slow"

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

bench: $(STAMP) ## transactions a second from commitment to reveal
	@$(BIN)/encmempool bench pipeline

measure: $(STAMP)-measure ## install what `encmempool measure` needs

study: $(STAMP)-measure ## the experiment's headline table
	@$(BIN)/encmempool fetch uniswap || echo "without the genuine contracts: the integer model alone" >&2
	@$(BIN)/encmempool measure run --blocks 4000 --arms all --seed 1 -o $(STUDY)/results.json
	@$(BIN)/encmempool measure report $(STUDY)/results.json --format markdown -o $(STUDY)/report.md
	@$(BIN)/encmempool measure report $(STUDY)/results.json -o report.html

install: $(STAMP) ## the virtual environment with the `encmempool` command

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info

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

$(STAMP)-dev: $(STAMP)
	@echo "installing the development tools …" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
