"""Runs of `risk` on a Dask cluster, with the processes of the experiment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from encmempool.risk import results
from encmempool.risk.assumptions import REPLAYED, Inputs
from encmempool.risk.designs import select
from encmempool.risk.incidents import reported


@pytest.fixture
def scheduler() -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", protocol="tcp", **options) as cluster:
        yield cluster.scheduler_address


def run(scheduler: str | None = None) -> results.Run:
    designs = select("rotating+encrypted")
    return results.run(Inputs.of(), reported(), REPLAYED, designs, years=2_500, seed=2, command="", scheduler=scheduler)


def test_run_is_the_same_on_a_dask_cluster_rsk_13(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RSK-13."""
    monkeypatch.setattr(results, "CHUNK_YEARS", 1_000)
    assert run(scheduler).designs == run().designs
