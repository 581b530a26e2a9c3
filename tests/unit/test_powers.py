"""Common reference rows: every wrong point is found and named, and every step of a contribution is proven."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from threshold.curve import G1_BYTES, INSTALLED, ORDER, Backend, load_backend
from threshold.encoding import MAX_SIZED_BYTES
from threshold.entropy import deterministic, scalar
from threshold.errors import Malformed, Rejected
from threshold.setup import powers
from threshold.setup.dkg_messages import ENVELOPE_BYTES

FAST = load_backend()
B, Q = 3, 2
CEREMONY = b"ceremony under test"


@pytest.fixture(scope="module")
def dealt() -> bytes:
    return powers.deal(FAST, batch=B, rounds=Q, random=deterministic(b"dealt"))


def place(round: int, index: int) -> slice:
    at = powers.HEADER_BYTES + (round * (B + 1) + index) * G1_BYTES
    return slice(at, at + G1_BYTES)


def changed(data: bytes, round: int, index: int, point: bytes) -> bytes:
    at = place(round, index)
    return data[: at.start] + point + data[at.stop :]


def doubled(data: bytes, round: int, index: int) -> bytes:
    point = FAST.g1.decode(data[place(round, index)])
    return changed(data, round, index, FAST.g1.encode(FAST.g1.add(point, point)))


# --- layout -----------------------------------------------------------------------------------------------------------


def test_parameters_hold_header_and_rows_when_dealt(dealt):
    random = deterministic(b"dealt")
    tau = scalar(random, ORDER)
    factors = [scalar(random, ORDER) for _ in range(Q + 1)]
    header = powers.decode_header(FAST, dealt)
    assert (header.batch, header.rounds) == (B, Q)
    assert FAST.g2.equal(header.tau, FAST.g2.multiply(FAST.g2.generator, tau))
    for round, factor in enumerate(factors):
        row = powers.decode_row(FAST, dealt, round)
        expected = [FAST.g1.multiply(FAST.g1.generator, factor * pow(tau, j, ORDER)) for j in range(B + 1)]
        assert [*map(FAST.g1.encode, row)] == [*map(FAST.g1.encode, expected)]
    assert len(dealt) == powers.size_bytes(batch=B, rounds=Q)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[: powers.HEADER_BYTES - 1],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:-G1_BYTES],
        lambda data: bytes(4) + data[4:],
        lambda data: data[:4] + bytes(4) + data[8:],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data[:8] + bytes([0xC0]) + bytes(95) + data[104:],
        lambda data: data[:8] + b"\xff" * 96 + data[104:],
    ],
    ids=["empty", "header", "cut", "trailing", "point", "no-batch", "no-rounds", "huge", "tau-zero", "tau-no-point"],
)
def test_parameters_are_malformed_when_the_header_does_not_fit(change, dealt):
    for read in (powers.decode_header, powers.verify, lambda *args: powers.decode_row(*args, 1)):
        with pytest.raises(Malformed):
            read(FAST, change(dealt))


@pytest.mark.parametrize(("batch", "rounds"), [(0, 1), (1, 0)])
def test_parameters_are_malformed_when_they_are_for_nothing(batch, rounds, dealt):
    data = (
        batch.to_bytes(4, "big") + rounds.to_bytes(4, "big") + dealt[8 : powers.size_bytes(batch=batch, rounds=rounds)]
    )
    with pytest.raises(Malformed, match="neither may be zero"):
        powers.decode_header(FAST, data)


def test_row_is_malformed_when_its_size_belongs_to_other_limits(dealt):
    """B = 2, Q = 3 have as many points as B = 3, Q = 2: such a header is well-formed, and its rows are not powers."""
    other = b"\0\0\0\2\0\0\0\3" + dealt[8:]
    assert powers.decode_header(FAST, other).batch == 2
    with pytest.raises(Rejected) as raised:
        powers.verify(FAST, other)
    assert raised.value.rule == "PTX-1"


@pytest.mark.parametrize(
    "point", [bytes([0xC0]) + bytes(47), b"\xff" * 48, bytes(48)], ids=["identity", "no-x", "uncompressed"]
)
def test_row_names_round_and_index_when_a_point_does_not_decode(point, dealt):
    bad = changed(dealt, 2, 1, point)
    assert powers.decode_row(FAST, bad, 1)
    for read in (lambda: powers.decode_row(FAST, bad, 2), lambda: powers.verify(FAST, bad)):
        with pytest.raises(Malformed, match="round 2, index 1"):
            read()


@pytest.mark.parametrize("round", [-1, Q + 1])
def test_row_is_refused_when_there_is_no_such_round(round, dealt):
    with pytest.raises(ValueError, match="no row"):
        powers.decode_row(FAST, dealt, round)


@pytest.mark.parametrize("limits", [{"batch": 0, "rounds": 1}, {"batch": 1, "rounds": 0}])
def test_parameters_are_refused_when_made_for_nothing(limits):
    with pytest.raises(ValueError):
        powers.deal(FAST, **limits, random=deterministic(b""))
    with pytest.raises(ValueError):
        powers.start(FAST, **limits)


# --- verification (PTX-1, PTX-2) --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INSTALLED)
def test_parameters_are_accepted_when_dealt(name):
    backend = load_backend(name)
    powers.verify(backend, powers.deal(backend, batch=1, rounds=1, random=deterministic(b"small")))


def test_parameters_are_accepted_when_dealt_for_larger_batches(dealt):
    powers.verify(FAST, dealt)


def test_backends_deal_the_same_parameters():
    made = {powers.deal(load_backend(n), batch=1, rounds=1, random=deterministic(b"small")) for n in INSTALLED}
    assert len(made) == 1


@pytest.mark.parametrize("index", range(B + 1))
@pytest.mark.parametrize("round", range(Q + 1))
def test_parameters_are_refused_when_a_point_is_off(round, index, dealt):
    """PTX-1."""
    with pytest.raises(Rejected, match=f"round {round}, index {index}:") as raised:
        powers.verify(FAST, doubled(dealt, round, index))
    assert raised.value.rule == "PTX-1"


def test_parameters_name_the_first_when_several_points_are_off(dealt):
    bad = doubled(doubled(dealt, 2, 3), 1, 2)
    with pytest.raises(Rejected, match="round 1, index 2:"):
        powers.verify(FAST, bad)


def test_parameters_are_refused_when_a_point_is_off_on_the_reference_backend():
    backend = load_backend("reference")
    data = powers.deal(backend, batch=1, rounds=1, random=deterministic(b"small"))
    last = FAST.g1.decode(data[-G1_BYTES:])
    with pytest.raises(Rejected, match="round 1, index 1:"):
        powers.verify(backend, data[:-G1_BYTES] + FAST.g1.encode(FAST.g1.add(last, last)))


def test_parameters_are_refused_when_tau_is_another(dealt):
    """PTX-1."""
    tau = FAST.g2.encode(FAST.g2.multiply(FAST.g2.generator, 5))
    with pytest.raises(Rejected, match="round 0, index 1:") as raised:
        powers.verify(FAST, dealt[:8] + tau + dealt[104:])
    assert raised.value.rule == "PTX-1"


def test_parameters_are_refused_when_a_row_has_another_tau(dealt):
    other = powers.deal(FAST, batch=B, rounds=Q, random=deterministic(b"other"))
    rows = [place(1, 0).start, place(1, B).stop]
    with pytest.raises(Rejected, match="round 1, index 1:"):
        powers.verify(FAST, dealt[: rows[0]] + other[rows[0] : rows[1]] + dealt[rows[1] :])


def test_parameters_are_refused_when_errors_cancel(dealt):
    """Two neighbours' errors +e and -e/tau... cancel in a plain sum; the weights depend on every byte."""
    error = FAST.g1.multiply(FAST.g1.generator, 7)
    first = FAST.g1.add(FAST.g1.decode(dealt[place(1, B)]), error)
    second = FAST.g1.add(FAST.g1.decode(dealt[place(2, B)]), FAST.g1.negate(error))
    bad = changed(changed(dealt, 1, B, FAST.g1.encode(first)), 2, B, FAST.g1.encode(second))
    with pytest.raises(Rejected, match=f"round 1, index {B}:"):
        powers.verify(FAST, bad)


def test_parameters_are_refused_when_two_rows_are_equal(dealt):
    """PTX-2: two rounds would be one, and two digests in one round open everything."""
    row = dealt[place(1, 0).start : place(1, B).stop]
    bad = dealt[: place(2, 0).start] + row
    with pytest.raises(Rejected, match="round 2, index 0: the point of round 1, index 0") as raised:
        powers.verify(FAST, bad)
    assert raised.value.rule == "PTX-2"


def test_parameters_are_refused_when_a_row_is_another_one_shifted(dealt):
    """PTX-2: r_2 = tau r_1 is as good as an equal row."""
    tau = scalar(deterministic(b"dealt"), ORDER)
    shifted = [FAST.g1.encode(FAST.g1.multiply(p, tau)) for p in powers.decode_row(FAST, dealt, 1)]
    with pytest.raises(Rejected, match="round 2, index 0: the point of round 1, index 1") as raised:
        powers.verify(FAST, dealt[: place(2, 0).start] + b"".join(shifted))
    assert raised.value.rule == "PTX-2"


def test_parameters_are_refused_when_nobody_has_contributed():
    """PTX-2: tau = 1, and all rows are equal."""
    with pytest.raises(Rejected) as raised:
        powers.verify(FAST, powers.start(FAST, batch=B, rounds=Q))
    assert raised.value.rule == "PTX-2"


def test_parameters_pass_when_rows_change_places(dealt):
    """Other parameters, as good as the first: only the contributor's proofs say which row is whose."""
    one, two = (dealt[place(q, 0).start : place(q, B).stop] for q in (1, 2))
    powers.verify(FAST, dealt[: place(1, 0).start] + two + one)


# --- size -------------------------------------------------------------------------------------------------------------

LARGEST = [(1, 349_523), (11, 58_253), (699_048 // 2 - 1, 1)]


@pytest.mark.parametrize(("batch", "rounds"), LARGEST)
def test_parameters_of_the_largest_size_fit_into_a_key_and_into_an_echo(batch, rounds):
    """Of the bytes only the lengths are looked at. Proofs are longest, next to rows, for batches of one."""
    powers.check_size(batch=batch, rounds=rounds)
    size = powers.size_bytes(batch=batch, rounds=rounds)
    contribution = 32 + size + powers.proof_bytes(rounds=rounds)
    assert size <= powers.MAX_SIZE_BYTES
    assert ENVELOPE_BYTES + contribution <= MAX_SIZED_BYTES


@pytest.mark.parametrize(("batch", "rounds"), [*((b, q + 1) for b, q in LARGEST), *((b + 1, q) for b, q in LARGEST)])
def test_parameters_are_refused_when_they_are_larger_than_can_be_sent(batch, rounds):
    for make in (powers.start, partial(powers.deal, random=deterministic(b"large"))):
        with pytest.raises(ValueError, match="more than 33554432: choose smaller batches or fewer rounds"):
            make(FAST, batch=batch, rounds=rounds)


# --- a public ceremony's powers ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def public(vectors: Path) -> tuple[list, list]:
    """Ethereum's powers of tau: 4096 in G1 and 65 in G2."""
    setup = json.loads((vectors / "kzg_trusted_setup" / "trusted_setup_4096.json").read_text())
    return tuple(
        [group.decode(bytes.fromhex(point[2:])) for point in setup[key]]
        for group, key in ((FAST.g1, "g1_monomial"), (FAST.g2, "g2_monomial"))
    )


def test_public_powers_are_accepted(public):
    in_g1, in_g2 = public
    assert len(in_g1) == 4096
    powers.verify_powers(FAST, in_g1, in_g2[1])


@pytest.mark.parametrize("index", [0, 1, 2047, 2048, 4095])
def test_public_powers_name_the_index_when_a_point_is_changed(index, public):
    in_g1, in_g2 = public
    bad = [*in_g1]
    bad[index] = FAST.g1.add(bad[index], FAST.g1.generator)
    with pytest.raises(Rejected, match=f"index {index}:") as raised:
        powers.verify_powers(FAST, bad, in_g2[1])
    assert raised.value.rule == "PTX-1"


def test_public_powers_are_refused_when_tau_is_another(public):
    in_g1, in_g2 = public
    with pytest.raises(Rejected, match="index 1:"):
        powers.verify_powers(FAST, in_g1, in_g2[2])


def test_public_powers_in_g2_are_those_in_g1(public):
    """Each [tau^j]_2 is checked as the tau of every j-th power."""
    in_g1, in_g2 = public
    for j in (2, 3, 64):
        powers.verify_powers(FAST, in_g1[::j], in_g2[j])


# --- contributions (PTX-3, PTX-4) -------------------------------------------------------------------------------------


def contribute(before: bytes, contributor: int, *, ceremony_id: bytes = CEREMONY) -> tuple[bytes, bytes]:
    seed = b"contributor %d" % contributor + before
    return powers.contribute(FAST, before, ceremony_id=ceremony_id, contributor=contributor, random=deterministic(seed))


def check(
    before: bytes,
    after: bytes,
    proof: bytes,
    *,
    contributor: int = 2,
    ceremony_id: bytes = CEREMONY,
    backend: Backend = FAST,
) -> None:
    powers.verify_contribution(
        backend,
        before,
        after,
        proof,
        ceremony_id=ceremony_id,
        contributor=contributor,
        random=deterministic(b"weights"),
    )


@pytest.fixture(scope="module")
def chain() -> list[tuple[bytes, bytes]]:
    """The start, then the parameters and proofs of contributors 1, 2 and 3."""
    steps = [(powers.start(FAST, batch=B, rounds=Q), b"")]
    for contributor in (1, 2, 3):
        steps.append(contribute(steps[-1][0], contributor))
    return steps


def test_contributions_are_accepted_when_each_builds_on_the_one_before(chain):
    for contributor in (1, 2, 3):
        check(chain[contributor - 1][0], *chain[contributor], contributor=contributor)
        powers.verify(FAST, chain[contributor][0])
    assert len({data for data, _ in chain}) == 4


@pytest.mark.parametrize("name", INSTALLED)
def test_contribution_is_accepted_on_each_backend(name):
    backend = load_backend(name)
    start = powers.start(backend, batch=1, rounds=1)
    after, proof = powers.contribute(
        backend, start, ceremony_id=CEREMONY, contributor=1, random=deterministic(b"small")
    )
    assert len(proof) == powers.proof_bytes(rounds=1)
    check(start, after, proof, contributor=1, backend=backend)


def test_contribution_multiplies_tau_and_every_row_by_its_own_factor(dealt):
    """One honest contributor after a TRUSTED dealer, who knew all before: no ratio of rows is what it was."""
    after, _ = contribute(dealt, 2)
    dealer = deterministic(b"dealt")
    _tau, *factors = (scalar(dealer, ORDER) for _ in range(Q + 2))
    own = deterministic(b"contributor 2" + dealt)
    delta, *rho = (scalar(own, ORDER) for _ in range(Q + 2))
    assert len({delta, *rho}) == Q + 2
    for round in range(Q + 1):
        first, second = powers.decode_row(FAST, after, round)[:2]
        factor = factors[round] * rho[round]
        assert FAST.g1.equal(first, FAST.g1.multiply(FAST.g1.generator, factor))
        assert FAST.g1.equal(second, FAST.g1.multiply(FAST.g1.generator, factor * _tau * delta))


def test_contributions_differ_when_their_randomness_does(dealt):
    made = {
        powers.contribute(FAST, dealt, ceremony_id=CEREMONY, contributor=1, random=deterministic(seed))
        for seed in (b"a", b"b")
    }
    assert len(made) == 2


def refused(rule: str, *arguments: bytes, **options: object) -> None:
    with pytest.raises(Rejected) as raised:
        check(*arguments, **options)
    assert raised.value.rule == rule


def test_contribution_is_refused_when_claimed_by_another_member(chain):
    """PTX-3: who repeats another's parameters and proofs has contributed nothing."""
    refused("PTX-3", chain[1][0], *chain[2], contributor=3)


def test_contribution_is_refused_when_made_in_another_ceremony(chain):
    """PTX-3."""
    refused("PTX-3", chain[1][0], *chain[2], ceremony_id=b"another ceremony")


def test_contribution_is_refused_when_it_does_not_build_on_what_is_before(chain):
    """PTX-3: chosen parameters with proofs for another start, which would drop the contributions in between."""
    after, proof = contribute(chain[0][0], 2)
    check(chain[0][0], after, proof)
    refused("PTX-3", chain[1][0], after, proof)


def test_contribution_is_refused_when_any_byte_before_differs(chain):
    """PTX-3: the proofs name all parameters before, not only the points they are about."""
    refused("PTX-3", doubled(chain[1][0], 1, B), *chain[2])


def test_contribution_is_refused_when_its_proofs_are_for_other_factors(chain):
    """PTX-3."""
    other = powers.contribute(FAST, chain[1][0], ceremony_id=CEREMONY, contributor=2, random=deterministic(b"others"))
    refused("PTX-3", chain[1][0], chain[2][0], other[1])


@pytest.mark.parametrize("part", range(Q + 2))
def test_contribution_is_refused_when_one_proof_is_false(part, chain):
    """PTX-3, for tau and for each row."""
    after, proof = chain[2]
    end = 96 + 32 + part * (48 + 32)
    response = (int.from_bytes(proof[end - 32 : end], "big") + 1) % ORDER
    refused("PTX-3", chain[1][0], after, proof[: end - 32] + response.to_bytes(32, "big") + proof[end:])


def test_contribution_names_the_rounds_whose_proofs_are_false(chain):
    after, proof = chain[2]
    one, two = (proof[at : at + 80] for at in (128 + 80, 128 + 160))
    with pytest.raises(Rejected, match=r"rounds \[1, 2\]"):
        check(chain[1][0], after, proof[: 128 + 80] + two + one)


def test_contribution_is_refused_when_rows_change_places(chain):
    """PTX-3."""
    after, proof = chain[2]
    one, two = (after[place(q, 0).start : place(q, B).stop] for q in (1, 2))
    refused("PTX-3", chain[1][0], after[: place(1, 0).start] + two + one, proof)


@pytest.mark.parametrize("index", range(1, B + 1))
def test_contribution_is_refused_when_a_point_is_multiplied_otherwise(index, chain):
    """PTX-1: the proofs say nothing of these points."""
    after, proof = chain[2]
    refused("PTX-1", chain[1][0], doubled(after, 1, index), proof)


def test_contribution_is_refused_when_rows_keep_the_tau_before(chain):
    """PTX-1: only [tau]_2 was multiplied, provably."""
    before, (after, proof) = chain[1][0], chain[2]
    rows = b"".join(
        FAST.g1.encode(FAST.g1.multiply(point, factor))
        for round, factor in enumerate(factors_of(before))
        for point in powers.decode_row(FAST, before, round)
    )
    refused("PTX-1", before, after[: powers.HEADER_BYTES] + rows, proof)


def factors_of(before: bytes) -> list[int]:
    """rho_0..rho_Q that contributor 2 draws, after its delta."""
    return [scalar(own, ORDER) for own in [deterministic(b"contributor 2" + before)] for _ in range(Q + 2)][1:]


def test_contribution_is_refused_when_two_rows_become_equal():
    """PTX-2: a first contributor that multiplies two rows by one factor, provably."""
    start = powers.start(FAST, batch=B, rounds=Q)
    draws = iter([(value).to_bytes(32, "big") for value in (2, 3, 5, 5, 11, 12, 13, 14)])
    after, proof = powers.contribute(FAST, start, ceremony_id=CEREMONY, contributor=2, random=lambda _size: next(draws))
    refused("PTX-2", start, after, proof)


@pytest.mark.parametrize("limits", [{"batch": B + 1, "rounds": Q}, {"batch": B, "rounds": Q + 1}])
def test_contribution_is_refused_when_it_changes_the_limits(limits, chain):
    """PTX-4."""
    after, proof = contribute(powers.start(FAST, **limits), 2)
    refused("PTX-4", chain[1][0], after, proof)


@pytest.mark.parametrize(
    "change",
    [
        lambda after, proof: (after[:-1], proof),
        lambda after, proof: (after + b"\0", proof),
        lambda after, proof: (b"", proof),
        lambda after, proof: (after, proof[:-1]),
        lambda after, proof: (after, proof + b"\0"),
        lambda after, proof: (after, b""),
        lambda after, proof: (after, proof[:96] + ORDER.to_bytes(32, "big") + proof[128:]),
        lambda after, proof: (after[:8] + bytes([0xC0]) + bytes(95) + after[104:], proof),
        lambda after, proof: (changed(after, 1, 0, bytes([0xC0]) + bytes(47)), proof),
        lambda after, proof: (changed(after, 1, 2, bytes([0xC0]) + bytes(47)), proof),
    ],
    ids=[
        "cut",
        "continued",
        "empty",
        "proof-cut",
        "proof-continued",
        "no-proof",
        "response",
        "delta-zero",
        "factor-zero",
        "identity",
    ],
)
def test_contribution_is_malformed_when_a_part_does_not_decode(change, chain):
    with pytest.raises(Malformed):
        check(chain[1][0], *change(*chain[2]))
