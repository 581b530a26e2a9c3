"""Calldata for the contracts that check decryption on chain: is this share, or this batch key, the one of this batch?

The contracts are `contracts/decryption_<scheme>.vy`. They answer as `verify_share` and `verify_batch_key` of the scheme
do, except where the batch is at fault, which is nobody's share: there they revert. They also revert when calldata does
not fit what was signed, so that only an answer of no can convict, and nobody can bring one about for a good share.

Points here are compressed, and EIP-2537's precompiles take coordinates. So calldata carries the y of each point, and
the contract compares x and the sign of y with the signed bytes. Of bytes that are no point, calldata carries what shows
that: a root of the negative of x^3 + 4, or the y of a point outside the subgroup.

What a caller has to authenticate is said in the contracts. `openings` does, by the entries of `transaction_ids` and by
what a `KeySet` holds: the keys, and the digest of the parameters, of which a call shows the points that it takes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain as concatenated, product
from typing import Any

from encmempool.ssz import chunk, hash_pair
from threshold.curve import G1_BYTES, G2_BYTES, ORDER, load_backend
from threshold.encoding import Reader, sized, u32, u64
from threshold.entropy import Random
from threshold.errors import Malformed
from threshold.hashing import Tag, hash_to_scalar
from threshold.keys import Limits, PublicMaterial
from threshold.pieces import PIECE_BYTES, head_bytes, piece_branch
from threshold.schemes.base import Batch, BatchKey, Share, VerifiedCiphertext
from threshold.schemes.registry import load_scheme, scheme_name
from threshold.setup.punctured import size_bytes

FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
TRANSACTION_GAS_LIMIT = 1 << 24
"""EIP-7825."""
LARGEST_BATCH = {"tdh2": 512, "ibe": 2**32 - 1, "simple-bte": 256, "fptx": 512}
"""What the contracts take, by scheme."""
MAX_TDH2_BYTES = 1 << 15
"""Of a share or batch key."""

_COORDINATE_BYTES = 48
_COMPRESSED, _INFINITY, _LARGER = 0x80, 0x40, 0x20
_FLAGS = _COMPRESSED | _INFINITY | _LARGER
_NO_POINT = 2**256 - 1
_WITNESS_BYTES = 68 * 1024
_PADDING_BYTES = 12 * 32
_ONE_TIME_KEY_AT, _ONE_TIME_KEY_BYTES = 3 * G2_BYTES, 32

_Fp2 = tuple[int, int]
"""Real and imaginary part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of one contract.

    contract    its file's name without the ending
    """

    contract: str
    function: str
    arguments: tuple[Any, ...]


# --- points


def uncompressed(encoded: bytes) -> bytes:
    """A compressed point as EIP-2537's precompiles take it: 128 bytes for G1, 256 for G2. ValueError if it is none."""
    x, y = _coordinates(encoded), _coordinates(y_of(encoded))
    return b"".join(value.to_bytes(64, "big") for value in (*x[::-1], *y[::-1]))


def y_of(encoded: bytes) -> bytes:
    """The y of a compressed point, in the encoding's own order: of G2 the imaginary part first. ValueError if no point
    of the curve has these bytes."""
    x = _coordinates(encoded)
    root: tuple[int, ...] | None
    if len(x) == 1:
        found = _root(_curve(x[0]))
        root = None if found is None else (found,)
    else:
        root = _root_fp2(_curve_fp2((x[1], x[0])))
        root = root and root[::-1]
    if root is None or not encoded[0] & _COMPRESSED or encoded[0] & _INFINITY:
        raise ValueError("these bytes are no point of the curve")
    larger = next(value > FIELD // 2 for value in root if value)
    if larger != bool(encoded[0] & _LARGER):
        root = tuple(-value % FIELD for value in root)
    return b"".join(value.to_bytes(_COORDINATE_BYTES, "big") for value in root)


def fault_of(encoded: bytes) -> bytes | None:
    """What shows a contract that 48 bytes are no point of G1 as the schemes ask for; None if they are one."""
    try:
        load_backend().g1.decode(encoded)
    except Malformed:
        (x,) = _coordinates(encoded)
        if x >= FIELD:
            return bytes(_COORDINATE_BYTES)
        root = _root(_curve(x))
        if root is None:
            root = _root(-_curve(x))
        assert root is not None, "a number or its negative has a root"
        return root.to_bytes(_COORDINATE_BYTES, "big")
    return None


def _coordinates(encoded: bytes) -> tuple[int, ...]:
    """Without the flags of a compressed point."""
    pieces = [encoded[at : at + _COORDINATE_BYTES] for at in range(0, len(encoded), _COORDINATE_BYTES)]
    first, *rest = [int.from_bytes(piece, "big") for piece in pieces]
    return first & ~(_FLAGS << 8 * (_COORDINATE_BYTES - 1)), *rest


def _curve(x: int) -> int:
    return x**3 + 4


def _curve_fp2(x: _Fp2) -> _Fp2:
    a, b = x
    return (a**3 - 3 * a * b * b + 4) % FIELD, (3 * a * a * b - b**3 + 4) % FIELD


def _root(square: int) -> int | None:
    root = pow(square, (FIELD + 1) // 4, FIELD)
    return root if (root * root - square) % FIELD == 0 else None


def _root_fp2(square: _Fp2) -> _Fp2 | None:
    """From the root of the norm: (c + d u)^2 = a + b u has c^2 = (a +- root) / 2 and d = b / 2c."""
    a, b = square
    norm = _root(a * a + b * b)
    if norm is None:
        return None
    half = pow(2, -1, FIELD)
    for sign in (1, -1):
        c = _root((a + sign * norm) * half)
        if c:
            return c, b * pow(2 * c, -1, FIELD) % FIELD
    d = _root(-a)
    return None if d is None or b else (0, d)


# --- the parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Points of a key's parameters that stand in a row, and what shows a contract that they do.

    points    compressed
    branch    what stands beside them in the tree over the parameters
    """

    points: tuple[bytes, ...]
    branch: tuple[bytes, ...]


_NOTHING = Shown(points=(), branch=())


def row(material: PublicMaterial, round: int, count: int) -> Shown:
    """fptx: the first points of a round's row."""
    batch, _ = _fptx_sizes(material)
    return _shown(material, PIECE_BYTES, 2 + round * (batch + 1), count)


def powers(material: PublicMaterial, count: int) -> Shown:
    """simple-bte: h_1 to h_count."""
    return _points_in_g2(material, 0, count)


def verification_keys(material: PublicMaterial, member: int, count: int) -> Shown:
    """simple-bte: the member's for powers 1 to count."""
    batch = _largest_batch(material)
    return _points_in_g2(material, 2 * batch - 1 + (member - 1) * batch, count)


def _fptx_sizes(material: PublicMaterial) -> tuple[int, int]:
    """B and Q."""
    reader = Reader(material.parameters[:8], "the parameters")
    return reader.u32(), reader.u32()


def _largest_batch(material: PublicMaterial) -> int:
    """simple-bte: B."""
    batch = Reader(material.parameters[:4], "the parameters").u32()
    if len(material.parameters) != size_bytes(batch, material.members):
        raise Malformed("these are not the parameters of a simple-bte key")
    return batch


def _points_in_g2(material: PublicMaterial, first: int, count: int) -> Shown:
    in_g1 = 1 if _largest_batch(material) == 1 else 2
    return _shown(material, G2_BYTES, in_g1 + first * G2_BYTES // PIECE_BYTES, count)


def _shown(material: PublicMaterial, size: int, first: int, count: int) -> Shown:
    """`count` points of `size` bytes from the piece `first` on."""
    data, pieces = material.parameters, count * size // PIECE_BYTES
    start = head_bytes(len(data)) + first * PIECE_BYTES
    points = _cut(data[start : start + count * size], size)
    return Shown(points=points, branch=piece_branch(data, first, pieces))


# --- the entries


def transaction_ids(material: PublicMaterial, batch: Batch) -> tuple[Call, ...]:
    """Calls that return the ids of the batch's transactions, piece by piece, from the entries that the calls below
    take. Their associated data are the roots of their headers. None for ibe, whose shares do not depend on entries."""
    name = scheme_name(material.scheme)
    if name == "ibe":
        return ()
    witnesses = [_witness(name, entry) for entry in batch.entries]
    return tuple(_transaction_ids(name, batch, piece, witnesses) for piece in _pieces(list(map(len, witnesses))))


def _witness(name: str, entry: VerifiedCiphertext) -> bytes:
    """What ties an entry to its transaction: the header's root, then the ciphertext, or of its tree the nodes beside
    the way from the entry to the root."""
    header, ciphertext = entry.aad, entry.ciphertext
    if name == "tdh2":
        return header + sized(ciphertext)
    if name == "fptx":
        return header + u32(len(ciphertext)) + b"".join(_siblings(ciphertext, _ONE_TIME_KEY_AT // 32, 0))
    return header + u32(len(ciphertext)) + ciphertext[G1_BYTES:64] + b"".join(_siblings(ciphertext, 0, 1))


def _transaction_ids(name: str, batch: Batch, piece: slice, witnesses: Sequence[bytes]) -> Call:
    entries = b"".join(_entries(name, batch)[piece])
    witness = b"".join(witnesses[piece]) + bytes(_PADDING_BYTES)
    if name == "tdh2":
        entries_and_ids = (batch.key_id, entries, b"".join(_sized_ids(batch)[piece]))
        return Call(contract=_contract(name), function="transaction_ids", arguments=(*entries_and_ids, witness))
    return Call(contract=_contract(name), function="transaction_ids", arguments=(entries, witness))


def _pieces(sizes: Sequence[int]) -> list[slice]:
    """Neighbours that fit one call."""
    pieces, start, total = list[slice](), 0, _PADDING_BYTES
    for at, size in enumerate(sizes):
        if at > start and total + size > _WITNESS_BYTES:
            pieces.append(slice(start, at))
            start, total = at, _PADDING_BYTES
        total += size
    return [*pieces, slice(start, len(sizes))]


def _siblings(data: bytes, index: int, height: int) -> list[bytes]:
    """Of a node and its ancestors, those that are not trees of zeros."""
    level = [chunk(data[at : at + 32]) for at in range(0, len(data), 32)]
    zeros, siblings = bytes(32), list[bytes]()
    above = 0
    while len(level) > 1:
        if above >= height:
            siblings += level[index ^ 1 : (index ^ 1) + 1]
            index >>= 1
        above += 1
        level += [zeros] * (len(level) % 2)
        level = [hash_pair(*level[at : at + 2]) for at in range(0, len(level), 2)]
        zeros = hash_pair(zeros, zeros)
    return siblings


# --- the calls


def verify_share(key_id: bytes, material: PublicMaterial, batch: Batch, share: Share) -> Call:
    """The call that says whether a signed share is its member's. ValueError for a member that there is none of, or for
    data longer than a contract takes: a share's size says enough then."""
    if not 1 <= share.member <= material.members:
        raise ValueError(f"there is no member {share.member}")
    name = _checked_name(material, batch)
    if name == "tdh2":
        return _tdh2_share(key_id, material, batch, share)
    if len(share.data) > G1_BYTES:
        raise ValueError(f"a share of {len(share.data)} bytes is not one of {G1_BYTES}")
    if name == "simple-bte":
        keys = verification_keys(material, share.member, len(batch)) if batch.entries else _NOTHING
        return _combination("verify_share", (share.member,), material, batch, share.data, share.data, keys)
    key = material.verification_keys[share.member - 1]
    return _product(name, "verify_share", key_id, material, batch, share.data, share.data, key)


def verify_batch_key(key_id: bytes, material: PublicMaterial, batch: Batch, batch_key: BatchKey) -> Call:
    """The call that says whether a batch key is the batch's. ValueError as for a share."""
    name, encoded = _checked_name(material, batch), batch_key.encode()
    if name == "tdh2":
        return _tdh2_batch_key(key_id, material, batch, batch_key)
    if len(encoded) > G1_BYTES + 8:
        raise ValueError(f"a batch key of {len(encoded)} bytes is not one point")
    point = batch_key.value if encoded == sized(batch_key.value) + sized(b"") else b""
    if name == "simple-bte":
        keys = powers(material, len(batch)) if batch.entries else _NOTHING
        return _combination("verify_batch_key", (), material, batch, encoded, point, keys)
    return _product(name, "verify_batch_key", key_id, material, batch, encoded, point, material.encryption_key)


def _checked_name(material: PublicMaterial, batch: Batch) -> str:
    name = scheme_name(material.scheme)
    if len(batch) > LARGEST_BATCH[name]:
        raise ValueError(f"a batch of {len(batch)} is longer than the contract's {LARGEST_BATCH[name]}")
    return name


def _y_or_fault(point: bytes) -> tuple[bytes, bool]:
    """The y of 48 bytes, or what shows that they are no point; of other sizes nothing."""
    if len(point) != G1_BYTES:
        return b"", False
    fault = fault_of(point)
    return (y_of(point), False) if fault is None else (fault, True)


def _combination(
    function: str,
    member: tuple[int, ...],
    material: PublicMaterial,
    batch: Batch,
    sent: bytes,
    point: bytes,
    keys: Shown,
) -> Call:
    """simple-bte: `sent` as it was sent, `point` as it is read."""
    entries = _entries("simple-bte", batch)
    y, malformed = _y_or_fault(point)
    pairs = b""
    if malformed:
        pairs = bytes(64) + y.rjust(64, b"\0")
    elif y:
        g2s = (_negative_generator(), *map(uncompressed, keys.points))
        pairs = b"".join(concatenated(*zip(map(uncompressed, (point, *entries)), g2s, strict=True)))
    return Call(
        contract=_contract("simple-bte"),
        function=function,
        arguments=(
            material.parameter_digest,
            _largest_batch(material),
            material.members,
            *member,
            sent,
            malformed,
            b"".join(entries),
            pairs,
            keys.branch,
        ),
    )


def _product(
    name: str,
    function: str,
    key_id: bytes,
    material: PublicMaterial,
    batch: Batch,
    sent: bytes,
    point: bytes,
    key: bytes,
) -> Call:
    """ibe and fptx: `sent` as it was sent, `point` as it is read."""
    said = (key, y_of(key), sent, *_y_or_fault(point))
    if name == "ibe":
        arguments: tuple[Any, ...] = (key_id, batch.height, len(batch), *said)
        return Call(contract=_contract(name), function=function, arguments=arguments)
    entries = _entries(name, batch)
    coefficients = _polynomial(key_id, entries)
    shown = row(material, batch.round, len(coefficients))
    terms = b"".join(
        uncompressed(base) + coefficient.to_bytes(32, "big")
        for base, coefficient in zip(shown.points, coefficients, strict=True)
    )
    place = (material.parameter_digest, *_fptx_sizes(material), batch.round, shown.branch)
    return Call(
        contract=_contract(name),
        function=function,
        arguments=(key_id, place, *said, b"".join(entries), terms),
    )


def _tdh2_share(key_id: bytes, material: PublicMaterial, batch: Batch, share: Share) -> Call:
    _require_tdh2_size(share.data)
    us, size = _entries("tdh2", batch), len(batch) * G1_BYTES
    points = _cut(share.data[:size], G1_BYTES) if len(share.data) == size + G1_BYTES else ()
    malformed, ys = _hints(points)
    key = material.verification_keys[share.member - 1]
    return Call(
        contract=_contract("tdh2"),
        function="verify_share",
        arguments=(
            key_id,
            batch.height,
            batch.round,
            share.member,
            key,
            y_of(key),
            malformed,
            b"".join(us),
            _ys(us),
            b"".join(_sized_ids(batch)),
            share.data,
            ys,
        ),
    )


def _tdh2_batch_key(key_id: bytes, material: PublicMaterial, batch: Batch, batch_key: BatchKey) -> Call:
    _require_tdh2_size(batch_key.encode())
    us, size = _entries("tdh2", batch), len(batch) * G1_BYTES
    item = 6 + size + G1_BYTES
    points: tuple[bytes, ...] = ()
    if len(batch_key.value) == size and len(batch_key.proof) == 4 + material.threshold * item:
        shares = _cut(batch_key.proof[4:], item)
        points = _cut(batch_key.value + b"".join(share[6 : 6 + size] for share in shares), G1_BYTES)
    malformed, ys = _hints(points)
    keys = b"".join(material.verification_keys)
    return Call(
        contract=_contract("tdh2"),
        function="verify_batch_key",
        arguments=(
            key_id,
            batch.height,
            batch.round,
            material.threshold,
            keys,
            _ys(material.verification_keys),
            malformed,
            b"".join(us),
            _ys(us),
            b"".join(_sized_ids(batch)),
            batch_key.encode(),
            ys,
        ),
    )


def _require_tdh2_size(sent: bytes) -> None:
    if len(sent) > MAX_TDH2_BYTES:
        raise ValueError(f"{len(sent)} bytes are more than the contract's {MAX_TDH2_BYTES}")


def _hints(points: Sequence[bytes]) -> tuple[int, bytes]:
    """The number of the first that is no point, with what shows it; else all their y."""
    for at, point in enumerate(points):
        fault = fault_of(point)
        if fault is not None:
            return at, fault
    return _NO_POINT, _ys(points)


def _ys(points: Sequence[bytes]) -> bytes:
    return b"".join(map(y_of, points))


def _contract(name: str) -> str:
    return f"decryption_{name.replace('-', '_')}"


def _entries(name: str, batch: Batch) -> tuple[bytes, ...]:
    """What a contract reads of each ciphertext: its first point, or for fptx its one-time key."""
    start, size = (_ONE_TIME_KEY_AT, _ONE_TIME_KEY_BYTES) if name == "fptx" else (0, G1_BYTES)
    return tuple(entry.ciphertext[start : start + size] for entry in batch.entries)


def _sized_ids(batch: Batch) -> tuple[bytes, ...]:
    return tuple(u64(len(entry.ciphertext_id)) + entry.ciphertext_id for entry in batch.entries)


def _polynomial(key_id: bytes, one_time_keys: Sequence[bytes]) -> list[int]:
    """fptx: that of a batch, from its constant upward. Its roots are the identities of the ciphertexts."""
    coefficients = [1]
    for key in one_time_keys:
        root = hash_to_scalar(Tag.FPTX_IDENTITY, key_id, key, modulus=ORDER)
        shifted, scaled = [0, *coefficients], [*(root * c for c in coefficients), 0]
        coefficients = [(a - b) % ORDER for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _negative_generator() -> bytes:
    group = load_backend().g2
    return uncompressed(group.encode(group.negate(group.generator)))


def _cut(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[at : at + size] for at in range(0, len(data), size))


# --- gas


@dataclass(frozen=True, slots=True, kw_only=True)
class Gas:
    """What one question costs as transactions of its own, with their calldata.

    question     verify_share, verify_batch_key or transaction_ids
    gas          of all calls; `most` of one
    """

    scheme: str
    question: str
    batch: int
    calls: int
    gas: int
    most: int


class Sample:
    """A dealt key of a committee and a batch of ciphertexts, from which batches of any size up to its own are taken."""

    def __init__(self, name: str, *, size: int, n: int, t: int, plaintext_bytes: int, random: Random) -> None:
        self._scheme = scheme = load_scheme(name)
        self._random = random
        self.material, self._shares = scheme.deal(n=n, t=t, limits=Limits(batch=size, rounds=1), random=random)
        self.key_id = self.material.key_id(random(32))
        self._key = scheme.load_public_key(self.material, key_id=self.key_id)
        self._entries = tuple(self._entry(plaintext_bytes) for _ in range(size))

    def _entry(self, plaintext_bytes: int) -> VerifiedCiphertext:
        aad, plaintext = self._random(32), self._random(plaintext_bytes)
        ciphertext = self._scheme.encrypt(self._key, plaintext, aad=aad, height=1, random=self._random)
        return self._scheme.verify_ciphertext(self._key, ciphertext, aad=aad, height=1)

    def calls(self, question: str, size: int) -> tuple[Call, ...]:
        """For the first ciphertexts. ValueError if the contract takes no batch of that size."""
        scheme, random = self._scheme, self._random
        batch = Batch(key_id=self.key_id, height=1, round=1, entries=self._entries[:size])
        if question == "transaction_ids":
            return transaction_ids(self.material, batch)
        shares = [
            scheme.partial_decrypt(self._key, share, batch, random=random)
            for share in self._shares[: self.material.threshold]
        ]
        if question == "verify_share":
            return (verify_share(self.key_id, self.material, batch, shares[0]),)
        precomputed = scheme.precompute(self._key, batch)
        batch_key, _ = scheme.combine(self._key, batch, shares, precomputed)
        return (verify_batch_key(self.key_id, self.material, batch, batch_key),)


QUESTIONS = ("verify_share", "verify_batch_key", "transaction_ids")


def measure(sample: Sample, name: str, sizes: Iterable[int], spend: Callable[[Call], int]) -> Iterator[Gas]:
    """The gas of every question for every size that the contract takes. `spend` sends a call and returns its gas."""
    for size, question in product(sizes, QUESTIONS):
        try:
            calls = sample.calls(question, size)
        except ValueError:
            continue
        spent = [spend(call) for call in calls]
        if spent:
            yield Gas(scheme=name, question=question, batch=size, calls=len(spent), gas=sum(spent), most=max(spent))


def largest_batch(sample: Sample, question: str, largest: int, spend: Callable[[Call], int]) -> int:
    """The largest batch up to `largest` for which a question costs no more than a transaction may: EIP-7825."""

    def fits(size: int) -> bool:
        try:
            return sum(map(spend, sample.calls(question, size))) <= TRANSACTION_GAS_LIMIT
        except ValueError:
            return False

    return bisect_left(range(1, largest + 1), True, key=lambda size: not fits(size))
