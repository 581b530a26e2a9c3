"""How many encrypted transactions a network of processes takes, and how long they wait: `encmempool bench load`.

A development network of its own on the loopback interface; everything is encrypted before the clock starts, and sent by
a generator in a process of its own, at a fixed rate whatever the network does (an open loop). What the network refuses
with 429 is sent again after a while, in the place of a new one; what is left in the end is counted. Times of heights
are those of the sequencer's log: from its commitment to the moment it had executed it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from encmempool.bench.machine import machine, versions
from encmempool.errors import EnvironmentProblem
from encmempool.home import Home
from encmempool.identity import Identity
from encmempool.keysets import Committee
from encmempool.measure.market import Market, sign_order
from encmempool.network.devnet import BlockingPeerOf, Devnet, Layout, Wanted, launch
from encmempool.network.peer import PeerProblem, Refused
from encmempool.network.trading import quantile_ms
from encmempool.transactions import encrypt_transaction
from encmempool.types import MAX_BATCH, EncryptedTransaction
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND

MAX_ACCOUNTS = 1 << 13
MAX_TRANSACTIONS = 1 << 18
_SETTLE_S = 60.0
_SAMPLE_S = 1.0


def run(
    *,
    rate: float = 150.0,
    seconds: float = 30.0,
    scheme: str = "tdh2",
    members: int = 4,
    batch: int | None = None,
    store: str | None = None,
    seed: int = 1,
    backend: str = DEFAULT_BACKEND,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """The object behind `encmempool bench load --json`.

    rate     transactions a second that the generator offers
    batch    about so many in a commitment: the interval between commitments is chosen for it. By default 200 ms
    """
    total = round(rate * seconds)
    if not 1 <= total <= MAX_TRANSACTIONS:
        raise ValueError(f"{total} transactions are offered: choose rate and seconds for 1 to {MAX_TRANSACTIONS}")
    if batch is not None and not 1 <= batch <= MAX_BATCH:
        raise ValueError(f"a batch holds 1 to {MAX_BATCH} transactions, not {batch}")
    interval_ms = 200 if batch is None else max(round(batch / rate * 1e3), 20)
    people = [Identity(entropy.system(32)) for _ in range(min(total, MAX_ACCOUNTS))]
    with tempfile.TemporaryDirectory(prefix="encmempool-load-") as folder:
        home = Home(Path(folder) / "client")
        devnet, made = launch(
            Path(folder) / "network",
            home,
            Layout(members=members, store=store, interval_ms=interval_ms, backend=backend),
            Wanted(scheme=scheme, batch_limit=batch),
            funded=[person.address for person in people],
            backend=backend,
            progress=progress,
        )
        try:
            progress(f"encrypting {total} transactions")
            envelopes = _encrypted(made.committee, people, total, seed)
            progress("sending")
            sent, memory = _offered(Path(folder), devnet, envelopes, rate, len(people))
            progress("waiting for the last reveal")
            executed = _settled(devnet, sent["receipted"])
            heights = _heights(devnet)
            sizes = _database_bytes(devnet)
        finally:
            devnet.remove()
    receipted = sent["receipted"]
    return {
        "schema": "encmempool.bench-load/1",
        "scheme": scheme,
        "members": members,
        "rate_offered": rate,
        "seconds": seconds,
        "interval_ms": interval_ms,
        "seed": seed,
        "backend": backend,
        "offered": total,
        **sent,
        "executed": executed,
        "receipted_lost": max(receipted - executed, 0),
        "receipts_per_second": round(receipted / sent["sending_s"], 1),
        "heights": _height_figures(heights),
        "memory_mib": memory,
        "database_bytes_per_transaction": {
            name: round(size / receipted) if receipted else None for name, size in sizes.items()
        },
        "machine": machine(),
        "versions": versions(),
    }


def _encrypted(committee: Committee, people: Sequence[Identity], total: int, seed: int) -> list[EncryptedTransaction]:
    """One after the other by each account, in turns."""
    orders = Market.draw(seed, total).orders
    if committee.terms.addresses_height:
        raise ValueError("ciphertexts of this scheme name their height, so none can be made beforehand")

    def make(at: int) -> EncryptedTransaction:
        person = people[at % len(people)]
        return encrypt_transaction(
            sign_order(replace(orders[at]), person, nonce=at // len(people)),
            terms=committee.terms,
            scheme=committee.scheme,
            public_key=committee.public_key,
            identity=person,
            valid_until=1_000_000,
            random=entropy.system,
        )

    with ThreadPoolExecutor(2) as both:
        return list(both.map(make, range(total)))


def _offered(
    folder: Path, devnet: Devnet, envelopes: Sequence[EncryptedTransaction], rate: float, accounts: int
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the generator says, and the nodes' memory before, at most, and at the end of each quarter of the time."""
    load = folder / "load.bin"
    with load.open("wb") as file:
        for envelope in envelopes:
            file.write(len(envelope.encoded).to_bytes(4, "big") + envelope.encoded)
    command = [sys.executable, "-P", "-m", "encmempool.bench.generator", str(load), devnet.sequencer.url]
    command += [str(rate), str(accounts)]
    before, samples = _memory(devnet), [_memory(devnet)]
    generator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while generator.poll() is None:
            time.sleep(_SAMPLE_S)
            samples.append(_memory(devnet))
        output, errors = generator.communicate()
    finally:
        generator.kill()
    if generator.returncode != 0:
        raise EnvironmentProblem(f"the generator failed: {errors.decode().strip().splitlines()[-1]}")
    sent: dict[str, Any] = json.loads(output)
    ends = [samples[(len(samples) - 1) * quarter // 4] for quarter in (1, 2, 3, 4)]
    memory = {
        name: {
            "before": start,
            "quarters": [sample[name] for sample in ends],
            "most": max(sample[name] for sample in samples),
        }
        for name, start in before.items()
    }
    return sent, memory


def _memory(devnet: Devnet) -> dict[str, float]:
    """Resident memory of every node in MiB; empty where the system does not say."""
    found = {}
    for node in devnet.nodes:
        try:
            text = Path(f"/proc/{node.pid}/status").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("VmRSS:"):
                found[node.name] = round(int(line.split()[1]) / 1024, 1)
    return found


def _settled(devnet: Devnet, receipted: int) -> int:
    """Transactions in executed heights, once all are or time is over."""
    end = time.monotonic() + _SETTLE_S
    while True:
        executed = sum(height["count"] for height in _heights(devnet))
        if executed >= receipted or time.monotonic() > end:
            return executed
        with BlockingPeerOf(devnet.sequencer.url, timeout_s=5.0) as peer:
            try:
                peer.call("health")
            except (PeerProblem, Refused) as error:
                raise EnvironmentProblem(f"the sequencer is gone: {error}") from error
        time.sleep(0.5)


def _heights(devnet: Devnet) -> list[dict[str, int]]:
    """Executed heights by the sequencer's log: count and milliseconds from commitment to execution."""
    found = []
    for line in devnet.log_lines([devnet.sequencer.name]):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("event") == "executed":
            found.append({"count": event["count"], "ms": event["time_ms"] - event["committed_ms"]})
    return found


def _height_figures(heights: Sequence[dict[str, int]]) -> dict[str, Any]:
    filled = [height for height in heights if height["count"]]
    seconds = [height["ms"] / 1e3 for height in filled]
    counts = sorted(height["count"] for height in filled)
    return {
        "filled": len(filled),
        "batch_median": counts[len(counts) // 2] if counts else 0,
        "batch_most": counts[-1] if counts else 0,
        "commitment_to_reveal_ms": {"p50": quantile_ms(seconds, 0.5), "p99": quantile_ms(seconds, 0.99)},
    }


def _database_bytes(devnet: Devnet) -> dict[str, int]:
    sizes = {}
    for node in devnet.nodes:
        files = (devnet.path / node.name / node.role).glob("records.sqlite*")
        sizes[node.name] = sum(path.stat().st_size for path in files)
    return sizes
