"""What each step of a scheme costs, on one batch of one key. The objects behind `schemes --measure` and `bench`.

The key comes from a trusted dealer unless the key ceremony itself is measured: it is the same kind of key. Steps that
keep results, such as the tables of a key, are warm: a node holds one key for many batches.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from functools import cached_property
from typing import Any

from encmempool.bench.records import Case
from encmempool.bench.sampling import Timing, Work, sampled
from encmempool.identity import Identity
from encmempool.keysets import default_threshold
from encmempool.network.ceremony import generate_keys
from encmempool.network.local import limits_of
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.schemes.base import Batch, Candidate, Share, VerifiedCiphertext
from threshold.schemes.registry import load_scheme

STEPS = ("encrypt", "verify", "precompute", "share", "verify_share", "combine", "decrypt")
CEREMONY = "ceremony"
PER_CIPHERTEXT = ("encrypt", "verify")
OF_COMMITTEE = ("share", "verify_share", "combine", CEREMONY)
"""These may cost more for more members."""
AFTER_SHARES = ("combine", "decrypt")
PLAINTEXT_BYTES = 512
_HEIGHT = 1
_ROUND = 1
_ROUNDS = 16
_NETWORK = bytes(32)


def measure(
    name: str,
    *,
    batch: int,
    members: int = 4,
    backend: str = DEFAULT_BACKEND,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Timing]:
    """Each step on a full batch; `encrypt` and `verify` for one ciphertext, `verify` as part of the batch."""
    timings = {}
    for case in cases(name, batch=batch, members=members, backend=backend):
        progress(f"{name}: {case.step}")
        timings[case.step] = sampled(case.prepare())
    return {**timings, "verify": timings["verify"].divided(batch)}


def cases(
    name: str,
    *,
    batch: int,
    members: int,
    backend: str,
    payload_bytes: int = PLAINTEXT_BYTES,
    seed: int = 1,
    ceremony: bool = False,
) -> tuple[Case, ...]:
    """The steps; with `ceremony` also the key ceremony, of all members in this process, one after another.

    `encrypt` is of one ciphertext, every other step of the batch; `share` and `verify_share` of one member's."""
    opening = _Opening(name, batch=batch, members=members, backend=backend, payload_bytes=payload_bytes, seed=seed)
    params = {"B": batch, "n": members, "t": opening.t, "payload_bytes": payload_bytes}

    def case(step: str) -> Case:
        named = ["B", "n"] if step in OF_COMMITTEE else ["B"]
        if payload_bytes != PLAINTEXT_BYTES:
            named.append("payload_bytes")
        return Case(group=name, step=step, params=params, named=tuple(named), prepare=getattr(opening, step))

    return tuple(map(case, (*STEPS, *([CEREMONY] if ceremony else []))))


class _Opening:
    """A key, a batch and its opening, each made when first needed; a method for every step returns its work."""

    def __init__(self, name: str, *, batch: int, members: int, backend: str, payload_bytes: int, seed: int) -> None:
        self._scheme, self.t = load_scheme(name, backend), default_threshold(members)
        self._batch, self._members, self._plaintext = batch, members, bytes(payload_bytes)
        self._inputs = entropy.deterministic(f"encmempool bench {seed} {name}".encode())
        info = self._scheme.info
        self._height = _HEIGHT if info.addresses_height else 0
        self._limits = limits_of(
            self._scheme,
            batch_limit=batch if info.limits_batch else None,
            rounds=_ROUNDS if info.limits_rounds else None,
        )

    @cached_property
    def _key(self) -> tuple[Any, Any]:
        material, shares = self._scheme.deal(n=self._members, t=self.t, limits=self._limits, random=self._inputs)
        return self._scheme.load_public_key(material, key_id=material.key_id(_NETWORK)), shares

    @property
    def _public(self) -> Any:
        return self._key[0]

    def _encrypted(self, number: int, random: entropy.Random) -> Candidate:
        aad = number.to_bytes(32, "big")
        ciphertext = self._scheme.encrypt(self._public, self._plaintext, aad=aad, height=self._height, random=random)
        return Candidate(ciphertext=ciphertext, aad=aad, height=self._height)

    @cached_property
    def _candidates(self) -> list[Candidate]:
        return [self._encrypted(number, self._inputs) for number in range(self._batch)]

    @cached_property
    def _whole(self) -> Batch:
        checked = self._scheme.verify_ciphertexts(self._public, self._candidates, random=entropy.system)
        entries = tuple(entry for entry in checked if isinstance(entry, VerifiedCiphertext))
        if len(entries) != self._batch:
            raise AssertionError("an honest ciphertext was refused")
        round = _ROUND if self._scheme.info.limits_rounds else 0
        return Batch(key_id=self._public.key_id, height=_HEIGHT, round=round, entries=entries)

    @cached_property
    def _precomputed(self) -> Any:
        return self._scheme.precompute(self._public, self._whole)

    @cached_property
    def _shares(self) -> list[Share]:
        return [self._share(member) for member in range(self.t)]

    def _share(self, member: int) -> Share:
        return self._scheme.partial_decrypt(self._public, self._key[1][member], self._whole, random=entropy.system)

    def encrypt(self) -> Work:
        _ = self._public
        return lambda: self._encrypted(0, entropy.system)

    def verify(self) -> Work:
        public, candidates = self._public, self._candidates
        return lambda: self._scheme.verify_ciphertexts(public, candidates, random=entropy.system)

    def precompute(self) -> Work:
        public, whole = self._public, self._whole
        return lambda: self._scheme.precompute(public, whole)

    def share(self) -> Work:
        _ = self._whole
        return lambda: self._share(0)

    def verify_share(self) -> Work:
        public, whole, share = self._public, self._whole, self._share(0)
        return lambda: self._scheme.verify_share(public, whole, share)

    def combine(self) -> Work:
        public, whole, shares, precomputed = self._public, self._whole, self._shares, self._precomputed
        return lambda: self._scheme.combine(public, whole, shares, precomputed)

    def decrypt(self) -> Work:
        public, whole, precomputed = self._public, self._whole, self._precomputed
        batch_key, _ = self._scheme.combine(public, whole, self._shares, precomputed)
        if self._scheme.decrypt(public, whole, batch_key, precomputed) != (self._plaintext,) * self._batch:
            raise AssertionError("the batch did not open")
        return lambda: self._scheme.decrypt(public, whole, batch_key, precomputed)

    def ceremony(self) -> Work:
        identities = [Identity(self._inputs(32)) for _ in range(self._members)]
        scheme, t, limits = self._scheme, self.t, self._limits
        return lambda: generate_keys(scheme, identities, t, genesis_root=_NETWORK, limits=limits, random=entropy.system)


def peak_memory_mib() -> float:
    """Of this process since it started."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def document(timing: Timing) -> dict[str, Any]:
    lower, upper = timing.quartiles
    return {
        "median_ms": round(1e3 * timing.median, 4),
        "lower_ms": round(1e3 * lower, 4),
        "upper_ms": round(1e3 * upper, 4),
        "samples": timing.samples,
    }
