"""Our side of the jobs that `bench peers` gives to both."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from cli import bench_peers
from encmempool.bench.peer_jobs import FILE_KEY, MESSAGE, jobs
from encmempool.bench.peers import DIRECTORY, PEERS
from encmempool.bench.sampling import LEAST_ROUNDS
from threshold.curve import ORDER, Backend, load_backend
from threshold.errors import Rejected
from threshold.schemes import shutter

ROOT = Path(__file__).resolve().parents[2]
BATCH = 3
JOBS = {(job.name, job.params.get("members", 0)): job for job in jobs(BATCH)}
BACKEND = load_backend()


def done(name: str, members: int = 0) -> object:
    job = JOBS[name, members]
    return job.prepare(BACKEND.name, job.inputs(BACKEND))()


def test_names_and_committees_tell_jobs_apart() -> None:
    assert len(JOBS) == len(jobs(BATCH)) == 16


def test_only_batches_are_divided() -> None:
    divided = {(name, job.transactions) for (name, _), job in JOBS.items() if job.transactions != 1}
    assert divided == {("share", BATCH), ("open", BATCH), ("open-batch", BATCH)}
    assert all(("batch" in job.params) == (job.transactions != 1) for job in JOBS.values())


@pytest.mark.parametrize("members", [4, 16])
def test_every_transaction_of_a_batch_is_opened(members) -> None:
    for name in ("open", "open-batch"):
        assert done(name, members) == (MESSAGE,) * BATCH


@pytest.mark.parametrize("members", [4, 16])
def test_share_covers_the_batch(members) -> None:
    share = done("share", members)
    assert (share.member, len(share.data)) == (1, 48 * BATCH + 48)


def test_encryption_is_fresh() -> None:
    job = JOBS["encrypt", 4]
    work = job.prepare(BACKEND.name, job.inputs(BACKEND))
    first, second = work(), work()
    assert first != second
    assert len(first) == len(MESSAGE) + 160


def test_shutter_message_is_the_one_both_sides_get() -> None:
    inputs = JOBS["shutter-encrypt", 0].inputs(BACKEND)
    assert done("shutter-encrypt") == inputs["ciphertext"]
    assert done("shutter-decrypt") == MESSAGE
    shutter.verify_key(BACKEND, inputs["eon_key"], inputs["identity"], inputs["key"])


def test_timelock_key_is_the_rounds_signature() -> None:
    inputs = JOBS["timelock-encrypt", 0].inputs(BACKEND)
    dst = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
    point = BACKEND.g1.hash_to_curve(inputs["identity"], dst)
    key, public = BACKEND.g1.decode(inputs["key"]), BACKEND.g2.decode(inputs["public_key"])
    assert BACKEND.pairing_check((key, BACKEND.g1.negate(point)), (BACKEND.g2.generator, public))
    assert done("timelock-decrypt") == (FILE_KEY,)
    assert len(done("timelock-encrypt")) == len(FILE_KEY) + 112


@pytest.mark.parametrize("name", ["pairing", "multiply-g1", "multiply-g2", "hash-to-g1"])
def test_curve_jobs_are_the_same_on_both_sides(name, monkeypatch) -> None:
    monkeypatch.syspath_prepend(DIRECTORY)
    for module in ("curve", "answering"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    job, reference = JOBS[name, 0], load_backend("reference")
    inputs = job.inputs(BACKEND)
    assert inputs == job.inputs(reference)
    theirs = importlib.import_module("curve").JOBS[name](job.params, inputs)()
    if name == "pairing":  # py_ecc's is another power, and ours comes encoded
        theirs = reference.gt_inverse(reference.gt_power(theirs, 3))
        assert reference.gt_encode(theirs) == done(name)
        return

    def encoded(backend: Backend, value: object) -> bytes:
        return (backend.g2 if name == "multiply-g2" else backend.g1).encode(value)

    assert encoded(reference, theirs) == encoded(BACKEND, done(name))


def test_scalars_are_as_long_as_random_ones() -> None:
    scalar = JOBS["multiply-g1", 0].inputs(BACKEND)["scalar"]
    assert 1 << 250 < int.from_bytes(scalar, "big") < ORDER


def test_inputs_are_the_same_in_every_run() -> None:
    for first, second in zip(jobs(BATCH), jobs(BATCH), strict=True):
        assert first.inputs(BACKEND) == second.inputs(BACKEND)


def test_shutter_inputs_of_another_key_are_refused() -> None:
    job = JOBS["shutter-decrypt", 0]
    inputs = job.inputs(BACKEND)
    other = shutter.key_share(BACKEND, 7, inputs["identity"])
    with pytest.raises(Rejected, match="SHU-3"):
        job.prepare(BACKEND.name, {**inputs, "key": other})()


def test_command_offers_the_peers_and_rounds_that_there_are() -> None:
    assert tuple(peer.name for peer in PEERS) == bench_peers.NAMES
    assert bench_peers.LEAST_ROUNDS == LEAST_ROUNDS


def test_start_of_a_command_loads_no_benchmarks() -> None:
    loaded = "import sys, cli.main; print([name for name in sys.modules if name.startswith('encmempool.bench')])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
