"""The jobs that `bench peers` gives to both sides, and how ours are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from encmempool.keysets import default_threshold
from threshold import entropy
from threshold.curve import SCALAR_BYTES, Backend, load_backend
from threshold.errors import ThresholdError
from threshold.keys import UNLIMITED, Limits
from threshold.schemes import shutter
from threshold.schemes.base import Batch, Candidate, VerifiedCiphertext
from threshold.schemes.registry import load_scheme

COMMITTEES = (4, 16)
MESSAGE = bytes(range(256))
FILE_KEY = bytes(range(16))
"""What age's containers encrypt to a round."""
AAD = b"peer bench"

_HEIGHT = 1
_NETWORK = bytes(32)
_DRAND_DST = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"

Inputs: TypeAlias = Mapping[str, bytes]
Work: TypeAlias = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    name, params    as requests and rows have them
    inputs          what both sides start from, points in the backend's encoding
    prepare         our side: from the backend's name and the inputs to what is timed
    transactions    in one run of ours; times are for one
    """

    name: str
    params: Mapping[str, int]
    inputs: Callable[[Backend], Inputs]
    prepare: Callable[[str, Inputs], Work]
    transactions: int = 1


def jobs(batch: int) -> tuple[Job, ...]:
    """All of them. Our members share and open `batch` transactions together."""
    return (
        *(job for members in COMMITTEES for job in _threshold_jobs(members, batch)),
        _identity_job("shutter-encrypt", _shutter_inputs, _shutter_encrypt),
        _identity_job("shutter-decrypt", _shutter_inputs, _shutter_decrypt),
        _identity_job("timelock-encrypt", _timelock_inputs, _timelock_encrypt),
        _identity_job("timelock-decrypt", _timelock_inputs, _timelock_decrypt),
        _curve_job("pairing", _pairing),
        _curve_job("multiply-g1", _multiply_g1),
        _curve_job("multiply-g2", _multiply_g2),
        _curve_job("hash-to-g1", _hash_to_g1),
    )


# --- threshold encryption --------------------------------------------------------------------------------------------


def _threshold_jobs(members: int, batch: int) -> tuple[Job, ...]:
    single = {"members": members, "threshold": default_threshold(members), "payload_bytes": len(MESSAGE)}
    whole = {**single, "batch": batch}

    def job(name: str, scheme: str, prepare: Callable[[_Committee, Inputs], Work], params: dict[str, int]) -> Job:
        def prepared(backend: str, inputs: Inputs) -> Work:
            return prepare(_Committee(scheme, backend, members, batch), inputs)

        transactions = params.get("batch", 1)
        return Job(name=name, params=params, inputs=_threshold_inputs, prepare=prepared, transactions=transactions)

    return (
        job("encrypt", "tdh2", _encrypt, single),
        job("share", "tdh2", _share, whole),
        job("open", "tdh2", _open, whole),
        job("open-batch", "simple-bte", _open, whole),
    )


def _threshold_inputs(backend: Backend) -> Inputs:
    return {"message": MESSAGE, "aad": AAD}


class _Committee:
    """A dealt key with the members' key shares, for full batches."""

    def __init__(self, scheme: str, backend: str, members: int, batch: int) -> None:
        self.scheme = load_scheme(scheme, backend)
        limits = Limits(batch=batch) if self.scheme.info.limits_batch else UNLIMITED
        self.batch = batch
        self.threshold = default_threshold(members)
        material, self.key_shares = self.scheme.deal(n=members, t=self.threshold, limits=limits, random=entropy.system)
        self.public = self.scheme.load_public_key(material, key_id=material.key_id(_NETWORK))

    def encrypt(self, inputs: Inputs) -> bytes:
        return self.scheme.encrypt(self.public, inputs["message"], aad=inputs["aad"], height=0, random=entropy.system)

    def candidates(self, inputs: Inputs) -> list[Candidate]:
        aad = inputs["aad"]
        return [Candidate(ciphertext=self.encrypt(inputs), aad=aad, height=0) for _ in range(self.batch)]

    def checked(self, candidates: Sequence[Candidate]) -> Batch:
        results = self.scheme.verify_ciphertexts(self.public, candidates, random=entropy.system)
        return _batch(self.public.key_id, results)


def _batch(key_id: bytes, results: Sequence[VerifiedCiphertext | ThresholdError]) -> Batch:
    entries = tuple(entry for entry in results if isinstance(entry, VerifiedCiphertext))
    assert len(entries) == len(results), "an honest ciphertext was refused"
    return Batch(key_id=key_id, height=_HEIGHT, round=0, entries=entries)


def _encrypt(committee: _Committee, inputs: Inputs) -> Work:
    return lambda: committee.encrypt(inputs)


def _share(committee: _Committee, inputs: Inputs) -> Work:
    """One member's: checks the ciphertexts, then makes its share of all."""
    candidates, scheme = committee.candidates(inputs), committee.scheme

    def work() -> object:
        whole = committee.checked(candidates)
        return scheme.partial_decrypt(committee.public, committee.key_shares[0], whole, random=entropy.system)

    return work


def _open(committee: _Committee, inputs: Inputs) -> Work:
    """From t shares to plaintexts, with every check; what needs no share is part of it."""
    scheme, public = committee.scheme, committee.public
    whole = committee.checked(committee.candidates(inputs))
    shares = [
        scheme.partial_decrypt(public, key_share, whole, random=entropy.system)
        for key_share in committee.key_shares[: committee.threshold]
    ]

    def work() -> object:
        prepared = scheme.precompute(public, whole)
        batch_key, _ = scheme.combine(public, whole, shares, prepared)
        return scheme.decrypt(public, whole, batch_key, prepared)

    assert work() == (inputs["message"],) * committee.batch, "the batch did not open"
    return work


# --- encryption to identities ----------------------------------------------------------------------------------------


def _identity_job(name: str, inputs: Callable[[Backend], Inputs], prepare: Callable[[str, Inputs], Work]) -> Job:
    size = len(FILE_KEY if name.startswith("timelock") else MESSAGE)
    return Job(name=name, params={"payload_bytes": size}, inputs=inputs, prepare=prepare)


def _labelled(label: str) -> bytes:
    """32 bytes for a role: every run has the same inputs."""
    return sha256(b"encmempool bench peers: " + label.encode()).digest()


def _scalar(label: str) -> int:
    """Of 254 bits, below the group order."""
    return int.from_bytes(_labelled(label), "big") >> 2


def _shutter_inputs(backend: Backend) -> Inputs:
    secret, sigma = _scalar("secret"), _labelled("sigma")
    eon_key = backend.g2.encode(backend.g2.multiply(backend.g2.generator, secret))
    preimage = shutter.gnosis_preimage(_labelled("prefix"), _labelled("sender")[: shutter.SENDER_BYTES])
    return {
        "message": MESSAGE,
        "eon_key": eon_key,
        "identity": preimage,
        "key": shutter.key_share(backend, secret, preimage),
        "sigma": sigma,
        "ciphertext": shutter.encrypt(backend, eon_key, preimage, MESSAGE, sigma),
    }


def _shutter_encrypt(backend: str, inputs: Inputs) -> Work:
    curve = load_backend(backend)
    given = (inputs["eon_key"], inputs["identity"], inputs["message"], inputs["sigma"])
    return lambda: shutter.encrypt(curve, *given)


def _shutter_decrypt(backend: str, inputs: Inputs) -> Work:
    curve = load_backend(backend)
    return lambda: shutter.decrypt(curve, inputs["key"], inputs["ciphertext"])


def _timelock_inputs(backend: Backend) -> Inputs:
    """As a round of drand's quicknet has them: its key in G2, its signature in G1."""
    secret, identity = _scalar("secret"), _labelled("round")
    signature = backend.g1.multiply(backend.g1.hash_to_curve(identity, _DRAND_DST), secret)
    return {
        "message": FILE_KEY,
        "public_key": backend.g2.encode(backend.g2.multiply(backend.g2.generator, secret)),
        "identity": identity,
        "key": backend.g1.encode(signature),
    }


def _timelock_encrypt(backend: str, inputs: Inputs) -> Work:
    return _height_encryption(backend, inputs)[0]


def _timelock_decrypt(backend: str, inputs: Inputs) -> Work:
    return _height_encryption(backend, inputs)[1]


def _height_encryption(backend: str, inputs: Inputs) -> tuple[Work, Work]:
    """Encrypting to a height and decrypting with the height's key: our own format, so the message is all that is
    shared."""
    scheme, random, aad = load_scheme("ibe", backend), entropy.system, b""
    material, key_shares = scheme.deal(n=1, t=1, limits=UNLIMITED, random=random)
    public = scheme.load_public_key(material, key_id=material.key_id(_NETWORK))

    def encrypt() -> bytes:
        return scheme.encrypt(public, inputs["message"], aad=aad, height=_HEIGHT, random=random)

    given = [Candidate(ciphertext=encrypt(), aad=aad, height=_HEIGHT)]

    def received() -> Batch:
        return _batch(public.key_id, scheme.verify_ciphertexts(public, given, random=random))

    whole = received()
    share = scheme.partial_decrypt(public, key_shares[0], whole, random=random)
    height_key, _ = scheme.combine(public, whole, [share], None)

    def decrypt() -> object:
        return scheme.decrypt(public, received(), height_key, None)

    assert decrypt() == (inputs["message"],), "the message did not open"
    return encrypt, decrypt


# --- the curve -------------------------------------------------------------------------------------------------------


def _curve_job(name: str, prepare: Callable[[Backend, Inputs], Work]) -> Job:
    def prepared(backend: str, inputs: Inputs) -> Work:
        return prepare(load_backend(backend), inputs)

    return Job(name=name, params={}, inputs=_curve_inputs, prepare=prepared)


def _curve_inputs(backend: Backend) -> Inputs:
    g1, g2 = backend.g1, backend.g2
    return {
        "p": g1.encode(g1.multiply(g1.generator, _scalar("p"))),
        "q": g2.encode(g2.multiply(g2.generator, _scalar("q"))),
        "scalar": _scalar("scalar").to_bytes(SCALAR_BYTES, "big"),
        "message": _labelled("message"),
        "dst": b"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_",
    }


def _pairing(backend: Backend, inputs: Inputs) -> Work:
    p, q = backend.g1.decode(inputs["p"]), backend.g2.decode(inputs["q"])
    return lambda: backend.gt_encode(backend.pairing(p, q))


def _multiply_g1(backend: Backend, inputs: Inputs) -> Work:
    p, scalar = backend.g1.decode(inputs["p"]), int.from_bytes(inputs["scalar"], "big")
    return lambda: backend.g1.multiply(p, scalar)


def _multiply_g2(backend: Backend, inputs: Inputs) -> Work:
    q, scalar = backend.g2.decode(inputs["q"]), int.from_bytes(inputs["scalar"], "big")
    return lambda: backend.g2.multiply(q, scalar)


def _hash_to_g1(backend: Backend, inputs: Inputs) -> Work:
    return lambda: backend.g1.hash_to_curve(inputs["message"], inputs["dst"])
