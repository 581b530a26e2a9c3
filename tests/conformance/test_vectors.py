"""Every vector of the specifications against the production code, on every curve backend."""

from __future__ import annotations

import pytest

from encmempool.conformance import serve
from encmempool.conformance.runner import ThisPackage, run
from encmempool.conformance.vectors import Case, load
from threshold.curve import DEFAULT_BACKEND, INSTALLED

SLOW_ON_REFERENCE = {
    "fptx/combine",
    "fptx/conclude",
    "fptx/decrypt",
    "fptx/digest",
    "fptx/openings",
    "fptx/partial_decrypt",
    "fptx/verify_batch_key",
    "fptx/verify_ciphertext",
    "fptx/verify_contribution",
    "fptx/verify_parameters",
    "fptx/verify_share",
    "ibe/combine",
    "ibe/decrypt",
    "ibe/partial_decrypt",
    "ibe/verify_batch_key",
    "ibe/verify_ciphertext",
    "ibe/verify_share",
    "keygen/conclude",
    "multiparty/assemble",
    "multiparty/conclude",
    "resharing/conclude",
    "shutter/decrypt",
    "simple_bte/combine",
    "simple_bte/decrypt",
    "simple_bte/precompute",
    "simple_bte/verify_batch_key",
    "simple_bte/verify_parameters",
    "simple_bte/verify_share",
    "tdh2/combine",
    "tdh2/verify_batch_key",
    "tdh2/verify_share",
}
"""Operations, as page/operation, whose vectors take about 5 s or more together on the slow backend."""

CASES = load()


def reaches_the_curve(case: Case) -> bool:
    """Pages whose answers depend on a backend say so by offering `operations(backend)`."""
    return serve.depends_on_backend(case.page)


def runs() -> list[object]:
    made: list[object] = [pytest.param(case, DEFAULT_BACKEND, id=case.id) for case in CASES]
    for backend in INSTALLED:
        if backend == DEFAULT_BACKEND:
            continue
        for case in filter(reaches_the_curve, CASES):
            slow = backend == "reference" and f"{case.page}/{case.operation}" in SLOW_ON_REFERENCE
            marks = [pytest.mark.slow] if slow else []
            made.append(pytest.param(case, backend, id=f"{backend}-{case.id}", marks=marks))
    return made


@pytest.mark.parametrize(("case", "backend"), runs())
def test_vector_is_met(case, backend) -> None:
    (result,) = run([case], ThisPackage(backend))
    assert (result.verdict, result.difference) == ("passed", None), case.title
