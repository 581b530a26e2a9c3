"""Schnorr's and Chaum-Pedersen's proofs: each part of statement and proof matters, and errors do not cancel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from threshold import proofs
from threshold.curve import G1_BYTES, INSTALLED, ORDER, Group, load_backend
from threshold.encoding import Reader
from threshold.entropy import deterministic, scalar
from threshold.errors import Malformed
from threshold.hashing import Tag, challenge
from threshold.proofs import (
    EqualityProof,
    EqualityStatement,
    KnowledgeProof,
    KnowledgeStatement,
    prove_equality,
    prove_knowledge,
    verify_equality,
    verify_knowledge,
    verify_knowledge_batch,
)

SECRET = scalar(deterministic(b"a secret"), ORDER)
FAST = load_backend().g1


@pytest.fixture(params=INSTALLED)
def group(request: pytest.FixtureRequest) -> Group:
    return load_backend(request.param).g1


def times(group: Group, k: int) -> Any:
    return group.multiply(group.generator, k)


# --- knowledge --------------------------------------------------------------------------------------------------------


def claim(group: Group, secret: int = SECRET, context: tuple[bytes, ...] = (b"a", b"b")) -> tuple[Any, Any]:
    statement = KnowledgeStatement(public=times(group, secret), tag=Tag.DKG_POSSESSION, context=context)
    return statement, prove_knowledge(group, statement, secret, deterministic(b"nonce" + b"".join(context)))


def test_knowledge_is_accepted_when_proven(group):
    statement, proof = claim(group)
    assert verify_knowledge(group, statement, proof)
    assert verify_knowledge_batch(group, [statement], [proof], deterministic(b"w"))


FALSE_CLAIMS = {
    "other public": lambda s, p: (replace(s, public=times(FAST, SECRET + 1)), p),
    "other tag": lambda s, p: (replace(s, tag=Tag.DKG_COMPLAINT), p),
    "other context": lambda s, p: (replace(s, context=(b"a", b"c")), p),
    "moved context border": lambda s, p: (replace(s, context=(b"ab", b"")), p),
    "longer context": lambda s, p: (replace(s, context=(b"a", b"b", b"")), p),
    "response plus one": lambda s, p: (s, replace(p, response=p.response + 1)),
    "response of zero": lambda s, p: (s, replace(p, response=0)),
    "negated response": lambda s, p: (s, replace(p, response=ORDER - p.response)),
    "other commitment": lambda s, p: (s, replace(p, commitment=FAST.add(p.commitment, FAST.generator))),
    "negated commitment": lambda s, p: (s, replace(p, commitment=FAST.negate(p.commitment))),
    "shifted commitment and response": lambda s, p: (
        s,
        replace(p, commitment=FAST.add(p.commitment, FAST.generator), response=p.response + 1),
    ),
}


@pytest.mark.parametrize("fault", FALSE_CLAIMS)
def test_knowledge_is_refused_when_a_part_is_changed(fault):
    statement, proof = FALSE_CLAIMS[fault](*claim(FAST))
    assert not verify_knowledge(FAST, statement, proof)
    assert not verify_knowledge_batch(FAST, [statement], [proof], deterministic(b"w"))


def test_knowledge_is_refused_when_proven_with_a_wrong_secret(group):
    statement, _ = claim(group)
    proof = prove_knowledge(group, statement, SECRET + 1, deterministic(b"nonce"))
    assert not verify_knowledge(group, statement, proof)


def test_knowledge_commitment_depends_on_the_randomness():
    statement, proof = claim(FAST)
    other = prove_knowledge(FAST, statement, SECRET, deterministic(b"other nonce"))
    assert not FAST.equal(proof.commitment, other.commitment)


def claims(count: int) -> tuple[list[Any], list[Any]]:
    pairs = [claim(FAST, SECRET + i, (b"batch", bytes([i]))) for i in range(count)]
    return [s for s, _ in pairs], [p for _, p in pairs]


def test_knowledge_batch_is_accepted_when_all_hold(group):
    pairs = [claim(group, SECRET + i, (bytes([i]),)) for i in range(3)]
    statements, made = zip(*pairs, strict=True)
    assert verify_knowledge_batch(group, statements, made, deterministic(b"w"))
    assert verify_knowledge_batch(group, [], [], deterministic(b"w"))


@pytest.mark.parametrize("bad", range(4))
def test_knowledge_batch_is_refused_when_one_fails(bad):
    statements, made = claims(4)
    made[bad] = replace(made[bad], response=made[bad].response + 1)
    assert not verify_knowledge_batch(FAST, statements, made, deterministic(b"w"))


def test_knowledge_batch_is_refused_when_proofs_are_exchanged():
    statements, made = claims(2)
    assert not verify_knowledge_batch(FAST, statements, made[::-1], deterministic(b"w"))


def test_knowledge_batch_is_refused_when_errors_cancel():
    """z1+d and z2-d: the plain sum of both equations still holds, so equal weights would accept."""
    statements, made = claims(2)
    made = [replace(made[0], response=made[0].response + 5), replace(made[1], response=made[1].response - 5)]
    assert verify_knowledge_batch(FAST, statements, made, lambda size: b"\1".rjust(size, b"\0"))
    assert not verify_knowledge_batch(FAST, statements, made, deterministic(b"w"))


def test_knowledge_batch_draws_a_full_weight_for_each_proof():
    sizes = []

    def random(size: int) -> bytes:
        sizes.append(size)
        return deterministic(b"w" + bytes([len(sizes)]))(size)

    assert verify_knowledge_batch(FAST, *claims(3), random)
    assert sizes == [16, 16, 16]


def test_knowledge_batch_refuses_when_lengths_differ():
    statements, made = claims(2)
    with pytest.raises(ValueError):
        verify_knowledge_batch(FAST, statements, made[:1], deterministic(b"w"))


def test_knowledge_proof_survives_its_encoding(group):
    statement, proof = claim(group)
    data = proof.encode(group)
    assert len(data) == G1_BYTES + 32
    assert verify_knowledge(group, statement, KnowledgeProof.decode(group, data))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:G1_BYTES] + ORDER.to_bytes(32, "big"),
        lambda data: b"\xc0" + bytes(G1_BYTES - 1) + data[G1_BYTES:],
        lambda data: bytes([0x80]) + bytes(G1_BYTES - 1) + data[G1_BYTES:],
    ],
    ids=["short", "long", "response not reduced", "identity", "point of order three"],
)
def test_knowledge_proof_is_malformed_when_not_canonical(change):
    _, proof = claim(FAST)
    with pytest.raises(Malformed):
        KnowledgeProof.decode(FAST, change(proof.encode(FAST)))


# --- knowledge, to another base ---------------------------------------------------------------------------------------


def based(group: Group, base: int = 77, secret: int = SECRET) -> tuple[Any, Any]:
    statement = KnowledgeStatement(
        base=times(group, base), public=times(group, base * secret), tag=Tag.POWERS_POSSESSION, context=(b"a",)
    )
    return statement, prove_knowledge(group, statement, secret, deterministic(b"nonce"))


def test_knowledge_is_accepted_when_proven_to_another_base(group):
    statement, proof = based(group)
    assert verify_knowledge(group, statement, proof)
    assert verify_knowledge_batch(group, [statement], [proof], deterministic(b"w"))


@pytest.mark.parametrize(
    "change",
    [
        lambda statement: replace(statement, base=None),
        lambda statement: replace(statement, base=times(FAST, 78)),
        lambda statement: replace(statement, public=times(FAST, SECRET)),
        lambda statement: replace(statement, base=None, public=times(FAST, SECRET)),
    ],
    ids=["generator", "other base", "public to the generator", "both to the generator"],
)
def test_knowledge_is_refused_when_the_base_is_another(change):
    statement, proof = based(FAST)
    assert not verify_knowledge(FAST, change(statement), proof)
    assert not verify_knowledge_batch(FAST, [change(statement)], [proof], deterministic(b"w"))


def test_knowledge_is_refused_when_the_base_was_chosen_after_the_challenge():
    """base = (A + c * public) / z satisfies the equation for any A, z and c that does not depend on the base."""
    public, commitment, z = times(FAST, 5), times(FAST, 6), 7
    free = KnowledgeStatement(public=public, tag=Tag.POWERS_POSSESSION, context=(b"a",))
    c = free.challenge(FAST, commitment)
    base = FAST.multiply(FAST.add(commitment, FAST.multiply(public, c)), pow(z, -1, ORDER))
    proof = KnowledgeProof(commitment=commitment, response=z)
    assert not verify_knowledge(FAST, replace(free, base=base), proof)


def test_knowledge_batch_is_accepted_when_bases_are_mixed():
    statements, made = zip(claim(FAST), based(FAST), claim(FAST, SECRET + 1), based(FAST, 78), strict=True)
    assert verify_knowledge_batch(FAST, statements, made, deterministic(b"w"))
    for bad in range(4):
        spoilt = [*made]
        spoilt[bad] = replace(made[bad], response=made[bad].response + 1)
        assert not verify_knowledge_batch(FAST, statements, spoilt, deterministic(b"w"))


def test_knowledge_challenge_is_unchanged_when_the_base_is_the_generator_by_default():
    """The encoding that published vectors rest on: context, public, commitment."""
    statement, proof = claim(FAST)
    items = (b"a", b"b", FAST.encode(statement.public), FAST.encode(proof.commitment))
    assert statement.challenge(FAST, proof.commitment) == challenge(Tag.DKG_POSSESSION, *items)


# --- equality ---------------------------------------------------------------------------------------------------------


def equality(group: Group, count: int, *, errors: tuple[int, ...] = (), secret: int = SECRET) -> Any:
    """`count` pairs with one exponent, each image off by errors[i] times the generator."""
    errors += (0,) * (count - len(errors))
    bases = tuple(times(group, 100 + i) for i in range(count))
    images = tuple(group.add(group.multiply(b, secret), times(group, e)) for b, e in zip(bases, errors, strict=True))
    return stated(group, times(group, secret), bases, images)


def stated(group: Group, public: Any, bases: tuple[Any, ...], images: tuple[Any, ...]) -> Any:
    return EqualityStatement(
        public=public,
        bases=bases,
        images=images,
        encoded=b"".join(map(group.encode, (public, *bases, *images))),
        tag=Tag.TDH2_SHARE,
        weight_tag=Tag.TDH2_WEIGHT,
        context=(b"key", b"batch"),
    )


def proven(group: Group, statement: Any, secret: int = SECRET) -> EqualityProof:
    return prove_equality(group, statement, secret, deterministic(b"nonce"))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_equality_is_accepted_when_proven(group, count):
    statement = equality(group, count)
    assert verify_equality(group, statement, proven(group, statement))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equality_is_refused_when_an_image_is_off(count):
    for at in range(count):
        statement = equality(FAST, count, errors=(0,) * at + (1,))
        assert not verify_equality(FAST, statement, proven(FAST, statement))


@pytest.mark.parametrize("count", [1, 3])
def test_equality_is_refused_when_proven_with_a_wrong_secret(count):
    statement = equality(FAST, count)
    assert not verify_equality(FAST, statement, proven(FAST, statement, SECRET + 1))


def test_equality_is_refused_when_the_public_point_has_another_exponent():
    good = equality(FAST, 2)
    statement = stated(FAST, times(FAST, SECRET + 1), good.bases, good.images)
    for secret in (SECRET, SECRET + 1):
        assert not verify_equality(FAST, statement, proven(FAST, statement, secret))


def test_equality_is_refused_when_errors_cancel(monkeypatch):
    """Images off by +d and -d: their plain sum is right, so a fold without weights would accept."""
    statement = equality(FAST, 2, errors=(7, -7))
    assert not verify_equality(FAST, statement, proven(FAST, statement))
    monkeypatch.setattr(proofs, "weights", lambda tag, count, *items: (1,) * count)
    assert verify_equality(FAST, statement, proven(FAST, statement))


def test_equality_is_refused_when_images_are_exchanged():
    good = equality(FAST, 2)
    statement = stated(FAST, good.public, good.bases, good.images[::-1])
    assert not verify_equality(FAST, statement, proven(FAST, statement))


def test_equality_weights_depend_on_every_image(monkeypatch):
    """A prover who knew the weights before choosing the images could choose errors that cancel under them."""
    drawn, weigh = set(), proofs.weights

    def recorded(tag: Tag, count: int, *items: bytes) -> tuple[int, ...]:
        drawn.add(weigh(tag, count, *items))
        return weigh(tag, count, *items)

    monkeypatch.setattr(proofs, "weights", recorded)
    for errors in ((), (1,), (0, 1), (0, 0, 1)):
        statement = equality(FAST, 3, errors=errors)
        assert verify_equality(FAST, statement, proven(FAST, statement)) == (errors == ())
    assert len(drawn) == 4


FALSE_EQUALITIES = {
    "other tag": lambda s, p: (replace(s, tag=Tag.DKG_COMPLAINT), p),
    "other context": lambda s, p: (replace(s, context=(b"key", b"hatch")), p),
    "moved context border": lambda s, p: (replace(s, context=(b"keyb", b"atch")), p),
    "shorter context": lambda s, p: (replace(s, context=(b"key",)), p),
    "other encoding": lambda s, p: (replace(s, encoded=s.encoded + b"\0"), p),
    "challenge plus one": lambda s, p: (s, replace(p, challenge=p.challenge + 1)),
    "challenge of zero": lambda s, p: (s, replace(p, challenge=0)),
    "response plus one": lambda s, p: (s, replace(p, response=p.response + 1)),
    "response of zero": lambda s, p: (s, replace(p, response=0)),
    "negated response": lambda s, p: (s, replace(p, response=ORDER - p.response)),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("fault", FALSE_EQUALITIES)
def test_equality_is_refused_when_a_part_is_changed(fault, count):
    good = equality(FAST, count)
    statement, proof = FALSE_EQUALITIES[fault](good, proven(FAST, good))
    assert not verify_equality(FAST, statement, proof)


def test_equality_is_refused_when_the_weight_tag_differs():
    statement = equality(FAST, 3)
    other = replace(statement, weight_tag=Tag.DKG_COMPLAINT)
    assert not verify_equality(FAST, other, proven(FAST, statement))


def test_equality_refuses_when_bases_and_images_differ_in_number():
    good = equality(FAST, 2)
    with pytest.raises(ValueError):
        verify_equality(FAST, replace(good, images=good.images[:1]), proven(FAST, good))


def test_equality_proof_survives_its_encoding():
    statement = equality(FAST, 2)
    proof = proven(FAST, statement)
    data = proof.encode()
    assert len(data) == 48
    reader = Reader(data, "a proof")
    assert EqualityProof.read(reader) == proof
    reader.end()


@pytest.mark.parametrize("response", [ORDER, 2**256 - 1])
def test_equality_proof_is_malformed_when_the_response_is_not_reduced(response):
    with pytest.raises(Malformed):
        EqualityProof.read(Reader(bytes(16) + response.to_bytes(32, "big"), "a proof"))


def test_backends_make_the_same_proofs():
    made = set()
    for name in INSTALLED:
        group = load_backend(name).g1
        _, proof = claim(group)
        made.add((proof.encode(group), proven(group, equality(group, 3)).encode()))
    assert len(made) == 1
