"""What each step of a scheme costs, on one batch of one key. The objects behind `schemes --measure` and `bench micro`.

The key comes from a trusted dealer unless the key ceremony itself is measured: it is the same kind of key. Steps that
keep results, such as the tables of a key, are warm: a node holds one key for many batches.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

from encmempool.bench.sampling import Timing, sampled
from encmempool.identity import Identity
from encmempool.keysets import default_threshold
from encmempool.network.ceremony import generate_keys
from encmempool.network.local import limits_of
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.keys import Limits
from threshold.schemes.base import Batch, Candidate, Scheme, VerifiedCiphertext
from threshold.schemes.registry import load_scheme

STEPS = ("encrypt", "verify", "precompute", "share", "verify_share", "combine", "decrypt")
PER_CIPHERTEXT = ("encrypt", "verify")
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
    scheme, random, t = load_scheme(name, backend), entropy.system, default_threshold(members)
    info, limits = scheme.info, _limits(scheme, batch)
    progress(f"{name}: dealing a key")
    material, shares = scheme.deal(n=members, t=t, limits=limits, random=random)
    public = scheme.load_public_key(material, key_id=material.key_id(_NETWORK))
    height = _HEIGHT if info.addresses_height else 0

    def encrypt(number: int) -> Candidate:
        aad = number.to_bytes(32, "big")
        ciphertext = scheme.encrypt(public, bytes(PLAINTEXT_BYTES), aad=aad, height=height, random=random)
        return Candidate(ciphertext=ciphertext, aad=aad, height=height)

    progress(f"{name}: encrypting {batch} transactions")
    candidates = [encrypt(number) for number in range(batch)]
    timings = {"encrypt": sampled(lambda: encrypt(0))}
    checked = scheme.verify_ciphertexts(public, candidates, random=random)
    entries = tuple(entry for entry in checked if isinstance(entry, VerifiedCiphertext))
    if len(entries) != batch:
        raise AssertionError("an honest ciphertext was refused")
    whole = Batch(key_id=public.key_id, height=_HEIGHT, round=_ROUND if info.limits_rounds else 0, entries=entries)
    progress(f"{name}: verifying, preparing and opening")
    timings["verify"] = sampled(lambda: scheme.verify_ciphertexts(public, candidates, random=random)).divided(batch)
    timings["precompute"] = sampled(lambda: scheme.precompute(public, whole))
    prepared = scheme.precompute(public, whole)
    made = [scheme.partial_decrypt(public, share, whole, random=random) for share in shares[:t]]
    timings["share"] = sampled(lambda: scheme.partial_decrypt(public, shares[0], whole, random=random))
    timings["verify_share"] = sampled(lambda: scheme.verify_share(public, whole, made[0]))
    timings["combine"] = sampled(lambda: scheme.combine(public, whole, made, prepared))
    batch_key, _ = scheme.combine(public, whole, made, prepared)
    timings["decrypt"] = sampled(lambda: scheme.decrypt(public, whole, batch_key, prepared))
    if scheme.decrypt(public, whole, batch_key, prepared) != (bytes(PLAINTEXT_BYTES),) * batch:
        raise AssertionError("the batch did not open")
    return timings


def measure_ceremony(name: str, *, batch: int, members: int = 4, backend: str = DEFAULT_BACKEND) -> Timing:
    """The key ceremony with all its members in this process, one after another."""
    scheme = load_scheme(name, backend)
    limits = _limits(scheme, batch)
    identities = [Identity(entropy.system(32)) for _ in range(members)]

    def run() -> object:
        t = default_threshold(members)
        return generate_keys(scheme, identities, t, genesis_root=_NETWORK, limits=limits, random=entropy.system)

    return sampled(run)


def _limits(scheme: Scheme, batch: int) -> Limits:
    info = scheme.info
    return limits_of(
        scheme, batch_limit=batch if info.limits_batch else None, rounds=_ROUNDS if info.limits_rounds else None
    )


def peak_memory_mib() -> float:
    """Of this process since it started."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def document(timing: Timing) -> dict[str, Any]:
    return {
        "median_ms": round(timing.median_ms, 4),
        "lower_ms": round(timing.lower_ms, 4),
        "upper_ms": round(timing.upper_ms, 4),
        "samples": timing.samples,
    }
