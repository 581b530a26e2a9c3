"""Common reference rows of fptx: powers of a secret tau, hidden anew in every round by a factor of the row.

Layout: B (4 bytes) | Q (4) | [tau]_2 (96) | rows 0..Q, each of B+1 points [r_q tau^j]_1 for j = 0..B, 48 bytes each.
Row q serves round q; rounds count from 1, and row 0 is for the self-test of key generation.

Nobody may know tau or an r_q. Members multiply their own factors into them, one after the other: tau becomes
delta * tau, r_q becomes rho_q * r_q, and point (q, j) is multiplied by rho_q delta^j. What was multiplied is proven by
knowledge of delta and of every rho_q, and what the result looks like is checked from the result alone. One honest
member, whose factors are uniform and forgotten, makes tau and all r_q uniform, independent and unknown, whatever the
others did before; who comes after can only multiply by factors it knows.

What verification does not establish:

* That nobody knows tau or the ratio of two rows, such as r_2 = 5 r_1: no such thing can be seen. Whoever knows a ratio
  has one round instead of two, and two digests in one round open everything. Only an honest contribution helps.
* That tau and r_q are uniform. Who contributes last sees the others' result and can choose among its own. Kohlweiss,
  Maller, Siim, Volkhov ("Snarky Ceremonies", eprint 2021/219) show that this does no harm for a SNARK's powers of
  tau; that it carries over to rows is our reasoning and no published theorem.

Rules, each named in what is raised:

PTX-1   every row is consecutive powers of the tau in the header: e(s_(j+1), g2) = e(s_j, [tau]_2)
PTX-2   no point occurs twice. So no two rounds have one row, no row is another one shifted by powers of tau, and tau is
        no root of unity of an order up to B
PTX-3   a contributor knows the factors by which it multiplied tau and the first point of every row, and says so for
        this ceremony, under its own number, of the parameters before its own
PTX-4   a contribution leaves B and Q as they are
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from threshold import entropy
from threshold.curve import G1, G1_BYTES, G2, G2_BYTES, ORDER, SCALAR_BYTES, Backend
from threshold.encoding import MAX_SIZED_BYTES, Reader, u16, u32
from threshold.entropy import Random
from threshold.errors import Malformed, Rejected
from threshold.hashing import Tag, tagged_hash, weights
from threshold.proofs import (
    KnowledgeProof,
    KnowledgeStatement,
    prove_knowledge,
    verify_knowledge,
    verify_knowledge_batch,
)

HEADER_BYTES = 4 + 4 + G2_BYTES

MAX_SIZE_BYTES = MAX_SIZED_BYTES // 2
"""Of parameters that can be made, 32 MiB. They fit into a key; and with their proofs, which take less than they do, and
an envelope, into an echo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What all rows share.

    batch     B: the largest batch; a row has B+1 points
    rounds    Q: the last round; there are Q+1 rows
    tau       [tau]_2
    """

    batch: int
    rounds: int
    tau: G2

    @property
    def row_bytes(self) -> int:
        return G1_BYTES * (self.batch + 1)


def size_bytes(*, batch: int, rounds: int) -> int:
    """Of the parameters for B = `batch` and Q = `rounds`, about 48 B Q."""
    return HEADER_BYTES + (rounds + 1) * (batch + 1) * G1_BYTES


def check_size(*, batch: int, rounds: int) -> None:
    """ValueError unless parameters for B = `batch` and Q = `rounds` can be made and sent."""
    if batch < 1 or rounds < 1:
        raise ValueError(f"batches of {batch} in {rounds} rounds: both must be positive")
    size = size_bytes(batch=batch, rounds=rounds)
    if size > MAX_SIZE_BYTES:
        raise ValueError(
            f"powers for batches of {batch} in {rounds} rounds take {size} bytes, more than {MAX_SIZE_BYTES}: "
            "choose smaller batches or fewer rounds"
        )


def proof_bytes(*, rounds: int) -> int:
    """Of the proofs of one contribution."""
    return G2_BYTES + SCALAR_BYTES + (rounds + 1) * (G1_BYTES + SCALAR_BYTES)


def decode_header(backend: Backend, data: bytes) -> Header:
    """Raises Malformed, also if the length is not what the header announces. Looks at no row."""
    reader = Reader(data, "a header of powers")
    batch, rounds = reader.u32(), reader.u32()
    tau = reader.take(G2_BYTES)
    if not (batch and rounds):
        raise Malformed(f"powers for batches of {batch} in {rounds} rounds: neither may be zero")
    expected = size_bytes(batch=batch, rounds=rounds)
    if len(data) != expected:
        raise Malformed(f"powers for batches of {batch} in {rounds} rounds take {expected} bytes, not {len(data)}")
    return Header(batch=batch, rounds=rounds, tau=backend.g2.decode(tau))


def decode_row(backend: Backend, data: bytes, round: int) -> tuple[G1, ...]:
    """The B+1 points of one round, from 0; no other row is looked at. Costs 0.05 ms a point.

    Establishes that they are points of the group, not that they are powers: that is `verify`.
    Raises Malformed naming round and index; ValueError if there is no such round.
    """
    return _decode_row(backend, data, decode_header(backend, data), round)


def _decode_row(backend: Backend, data: bytes, header: Header, round: int) -> tuple[G1, ...]:
    if not 0 <= round <= header.rounds:
        raise ValueError(f"no row for round {round}: the last one is {header.rounds}")
    return tuple(_decode_point(backend, data, header, round=round, index=index) for index in range(header.batch + 1))


def _decode_point(backend: Backend, data: bytes, header: Header, *, round: int, index: int) -> G1:
    try:
        return backend.g1.decode(_point_bytes(data, header, round=round, index=index))
    except Malformed as error:
        raise Malformed(f"powers, round {round}, index {index}: {error}") from error


def _point_bytes(data: bytes, header: Header, *, round: int, index: int) -> bytes:
    at = HEADER_BYTES + round * header.row_bytes + index * G1_BYTES
    return data[at : at + G1_BYTES]


def verify(backend: Backend, data: bytes) -> None:
    """Check all rows: PTX-1 and PTX-2. Decoding is most of the cost: 0.06 ms a point in all, and one pairing check.

    The error is 2^-128, with weights that are a hash of `data`. Raises Malformed or Rejected naming round and index.
    """
    header = decode_header(backend, data)
    _check_distinct(data, header)
    rows = [_decode_row(backend, data, header, round) for round in range(header.rounds + 1)]
    fault = _first_fault(backend, rows, header.tau, data)
    if fault is not None:
        round, index = fault
        raise Rejected("PTX-1", f"powers, round {round}, index {index}: not a power of tau like its neighbours")


def verify_powers(backend: Backend, powers: Sequence[G1], tau: G2) -> None:
    """The same for one row of any length, given as points. Raises Rejected(PTX-1) naming the index."""
    encoded = b"".join((backend.g2.encode(tau), *map(backend.g1.encode, powers)))
    fault = _first_fault(backend, [powers], tau, encoded)
    if fault is not None:
        raise Rejected("PTX-1", f"powers, index {fault[1]}: not a power of tau like its neighbours")


def _check_distinct(data: bytes, header: Header) -> None:
    seen: dict[bytes, tuple[int, int]] = {}
    for round in range(header.rounds + 1):
        for index in range(header.batch + 1):
            point = _point_bytes(data, header, round=round, index=index)
            earlier = seen.setdefault(point, (round, index))
            if earlier != (round, index):
                raise Rejected(
                    "PTX-2",
                    f"powers, round {round}, index {index}: the point of round {earlier[0]}, index {earlier[1]}",
                )


def _first_fault(backend: Backend, rows: Sequence[Sequence[G1]], tau: G2, seed: bytes) -> tuple[int, int] | None:
    """Row and index of the first point that is no power of tau like its neighbours, or None.

    Checks all pairs of neighbours with one weighted sum; only if that fails, halves of them until one is left.
    """
    places = [(row, index) for row, powers in enumerate(rows) for index in range(len(powers) - 1)]
    lower = [point for powers in rows for point in powers[:-1]]
    upper = [point for powers in rows for point in powers[1:]]
    rho = weights(Tag.POWERS_WEIGHT, len(places), seed)

    def holds(start: int, end: int) -> bool:
        chosen = rho[start:end]
        left = backend.g1.msm(upper[start:end], chosen)
        right = backend.g1.msm(lower[start:end], chosen)
        return backend.pairing_check((left, backend.g1.negate(right)), (backend.g2.generator, tau))

    if holds(0, len(places)):
        return None
    start, end = 0, len(places)
    while end - start > 1:
        middle = (start + end) // 2
        if holds(start, middle):
            start = middle
        else:
            end = middle
    row, index = places[start]
    # A wrong point spoils the pairs on both sides of it. Only the first of a row has no pair before it.
    first_is_wrong = index == 0 and len(rows[row]) > 2 and holds(start + 1, start + 2)
    return row, 0 if first_is_wrong else index + 1


# --- making them


def deal(backend: Backend, *, batch: int, rounds: int, random: Random) -> bytes:
    """Parameters from a TRUSTED dealer, who knows tau and can open everything: for tests, vectors and experiments.

    Costs 0.03 ms a point. ValueError as for `check_size`.
    """
    check_size(batch=batch, rounds=rounds)
    tau = entropy.scalar(random, ORDER)
    multiply = backend.g1.fixed_base(backend.g1.generator)
    rows = (_powers(entropy.scalar(random, ORDER), tau, batch) for _ in range(rounds + 1))
    points = [multiply(scalar) for row in rows for scalar in row]
    return _encode(backend, batch, rounds, backend.g2.multiply(backend.g2.generator, tau), points)


def start(backend: Backend, *, batch: int, rounds: int) -> bytes:
    """What the first contributor multiplies: tau and every r_q are 1. Decodes, but fails PTX-2.

    ValueError as for `check_size`.
    """
    check_size(batch=batch, rounds=rounds)
    points = [backend.g1.generator] * ((rounds + 1) * (batch + 1))
    return _encode(backend, batch, rounds, backend.g2.generator, points)


def _powers(factor: int, tau: int, batch: int) -> Iterator[int]:
    """factor * tau^j for j = 0..B."""
    for _ in range(batch + 1):
        yield factor
        factor = factor * tau % ORDER


def _encode(backend: Backend, batch: int, rounds: int, tau: G2, points: Sequence[G1]) -> bytes:
    return b"".join((u32(batch), u32(rounds), backend.g2.encode(tau), *map(backend.g1.encode, points)))


def contribute(
    backend: Backend, before: bytes, *, ceremony_id: bytes, contributor: int, random: Random
) -> tuple[bytes, bytes]:
    """Multiply factors of one's own into verified parameters, or into those of `start`.

    Returns the parameters after, and the proofs for them. The factors are forgotten on return. Costs 0.2 ms a point.
    """
    header = decode_header(backend, before)
    delta = entropy.scalar(random, ORDER)
    factors = tuple(entropy.scalar(random, ORDER) for _ in range(header.rounds + 1))
    points = [
        backend.g1.multiply(point, scalar)
        for round, factor in enumerate(factors)
        for point, scalar in zip(
            _decode_row(backend, before, header, round), _powers(factor, delta, header.batch), strict=True
        )
    ]
    tau = backend.g2.multiply(header.tau, delta)
    after = _encode(backend, header.batch, header.rounds, tau, points)
    steps = _Steps.between(backend, before, after, ceremony_id=ceremony_id, contributor=contributor)
    return after, b"".join(
        (
            prove_knowledge(backend.g2, steps.tau, delta, random).encode(backend.g2),
            *(
                prove_knowledge(backend.g1, statement, factor, random).encode(backend.g1)
                for statement, factor in zip(steps.rows, factors, strict=True)
            ),
        )
    )


def verify_contribution(
    backend: Backend, before: bytes, after: bytes, proof: bytes, *, ceremony_id: bytes, contributor: int, random: Random
) -> None:
    """Check that `after` is `before` times factors that the contributor knows, and that it passes `verify`.

    `before` has been verified, or is that of `start`: of it only the header and the first point of every row are
    looked at. Costs little more than `verify`. Raises Malformed or Rejected; the fault is the contributor's.
    """
    header = decode_header(backend, after)
    if after[:8] != before[:8]:
        raise Rejected(
            "PTX-4", f"batches of {header.batch} in {header.rounds} rounds are not what was to be multiplied"
        )
    tau_proof, row_proofs = _decode_proofs(backend, proof, rounds=header.rounds)
    steps = _Steps.between(backend, before, after, ceremony_id=ceremony_id, contributor=contributor)
    if not verify_knowledge(backend.g2, steps.tau, tau_proof):
        raise Rejected("PTX-3", "the factor of tau is not proven")
    if not verify_knowledge_batch(backend.g1, steps.rows, row_proofs, random):
        pairs = enumerate(zip(steps.rows, row_proofs, strict=True))
        wrong = [round for round, (step, proven) in pairs if not verify_knowledge(backend.g1, step, proven)]
        raise Rejected("PTX-3", f"the factors of rounds {wrong} are not proven")
    verify(backend, after)


def _decode_proofs(
    backend: Backend, data: bytes, *, rounds: int
) -> tuple[KnowledgeProof[G2], tuple[KnowledgeProof[G1], ...]]:
    """For tau, then for rows 0..Q."""
    reader = Reader(data, "the proofs of a contribution")
    tau = KnowledgeProof.decode(backend.g2, reader.take(G2_BYTES + SCALAR_BYTES))
    rows = [KnowledgeProof.decode(backend.g1, reader.take(G1_BYTES + SCALAR_BYTES)) for _ in range(rounds + 1)]
    reader.end()
    return tau, tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """What a contributor claims: the point after is a multiple it knows of the point before."""

    tau: KnowledgeStatement[G2]
    rows: tuple[KnowledgeStatement[G1], ...]

    @classmethod
    def between(cls, backend: Backend, before: bytes, after: bytes, *, ceremony_id: bytes, contributor: int) -> _Steps:
        old, new = decode_header(backend, before), decode_header(backend, after)
        context = (ceremony_id, u16(contributor), tagged_hash(Tag.POWERS_POSSESSION, before))

        def first(data: bytes, header: Header, round: int) -> G1:
            return _decode_point(backend, data, header, round=round, index=0)

        return cls(
            tau=KnowledgeStatement(base=old.tau, public=new.tau, tag=Tag.POWERS_POSSESSION, context=context),
            rows=tuple(
                KnowledgeStatement(
                    base=first(before, old, round),
                    public=first(after, new, round),
                    tag=Tag.POWERS_POSSESSION,
                    context=context,
                )
                for round in range(old.rounds + 1)
            ),
        )
