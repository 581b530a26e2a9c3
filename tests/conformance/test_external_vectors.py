"""Published vectors against our code. They are read from ENCMEMPOOL_VECTORS and skipped where that is absent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from py_ecc.bls.point_compression import compress_G1, compress_G2
from py_ecc.optimized_bls12_381 import FQ, FQ2

from threshold import sharing, symmetric
from threshold.curve import DEFAULT_BACKEND, G1_BYTES, INSTALLED, Backend, Group, load_backend
from threshold.errors import Malformed
from threshold.hashing import expand_message_xmd
from threshold.symmetric import AuthenticationFailed, derive_key, seal, unseal

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
FROST_ORDERS = {
    "secp256k1-sha256": (0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141, "big"),
    "p256-sha256": (0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551, "big"),
    "ristretto255-sha512": (ED25519_ORDER, "little"),
    "ed25519-sha512": (ED25519_ORDER, "little"),
    "ed448-shake256": (
        2**446 - 13818066809895115352007386748515426880336692474882178609894547503885,
        "little",
    ),
}


@pytest.fixture(params=INSTALLED)
def backend(request: pytest.FixtureRequest) -> Backend:
    return load_backend(request.param)


def few(backend: Backend, cases: list[Any], count: int) -> Iterator[Any]:
    """All cases on the fast backend, the first ones on the slow one."""
    return islice(cases, None if backend.name == DEFAULT_BACKEND else count)


def loaded(path: Path) -> Any:
    return json.loads(path.read_text())


# --- curve ------------------------------------------------------------------------------------------------------------


def affine(text: str) -> list[int]:
    return [int(part, 16) for part in text.split(",")]


def compressed(point: dict[str, str]) -> bytes:
    x, y = affine(point["x"]), affine(point["y"])
    if len(x) == 1:
        return int(compress_G1((FQ(x[0]), FQ(y[0]), FQ(1)))).to_bytes(G1_BYTES, "big")
    return b"".join(int(half).to_bytes(48, "big") for half in compress_G2((FQ2(x), FQ2(y), FQ2.one())))


@pytest.mark.parametrize("name", ["G1", "G2"])
def test_hash_to_curve_matches_rfc_9380(vectors, backend, name):
    group: Group = getattr(backend, name.lower())
    file = loaded(vectors / "h2c_rfc9380" / f"BLS12381{name}_XMD_SHA-256_SSWU_RO_.json")
    assert file["randomOracle"]
    assert len(file["vectors"]) == 5
    for case in few(backend, file["vectors"], 1):
        point = group.hash_to_curve(case["msg"].encode(), file["dst"].encode())
        assert group.encode(point) == compressed(case["P"]), case["msg"]


def test_expand_message_xmd_matches_rfc_9380(vectors):
    file = loaded(vectors / "h2c_rfc9380" / "expand_message_xmd_SHA256_38.json")
    assert len(file["tests"]) == 10
    for case in file["tests"]:
        size = int(case["len_in_bytes"], 16)
        assert expand_message_xmd(case["msg"].encode(), file["DST"].encode(), size).hex() == case["uniform_bytes"]


def test_expand_message_xmd_refuses_when_the_tag_of_rfc_9380_is_long(vectors):
    """Tags over 255 bytes would have to be hashed first; ours never are, so they are refused instead."""
    file = loaded(vectors / "h2c_rfc9380" / "expand_message_xmd_SHA256_256.json")
    assert len(file["DST"]) > 255
    with pytest.raises(ValueError):
        expand_message_xmd(b"", file["DST"].encode(), 32)


def decodes(group: Group, data: bytes) -> bool:
    try:
        group.decode(data)
    except Malformed:
        return False
    return True


@pytest.mark.parametrize(("name", "count"), [("G1", 13), ("G2", 15)])
def test_decode_agrees_with_the_ethereum_deserialization_cases(vectors, backend, name, count):
    """One difference, on purpose: the identity is a valid encoding there and nowhere allowed here."""
    group: Group = getattr(backend, name.lower())
    paths = sorted((vectors / "bls12-381-tests_v0.1.1" / f"deserialization_{name}").glob("*.json"))
    assert len(paths) == count
    decided = {"valid": 0, "identity": 0, "invalid": 0}
    for path in paths:
        case = loaded(path)
        data = bytes.fromhex(next(iter(case["input"].values())))
        identity = data == b"\xc0" + bytes(group.size_bytes - 1)
        if case["output"] and not identity:
            decided["valid"] += 1
            assert group.encode(group.decode(data)) == data, path.name
            continue
        decided["identity" if identity else "invalid"] += 1
        assert not decodes(group, data), path.name
    assert decided == {"valid": 1, "identity": 1, "invalid": count - 2}


@pytest.mark.parametrize("name", ["g1", "g2"])
def test_multiples_of_the_generator_match_zkcrypto(vectors, backend, name):
    group: Group = getattr(backend, name)
    data = (vectors / "zkcrypto_serialization" / f"{name}_compressed_valid_test_vectors.dat").read_bytes()
    expected = [data[at : at + group.size_bytes] for at in range(0, len(data), group.size_bytes)]
    assert len(expected) == 1000
    assert group.encode(group.identity) == expected[0]
    with pytest.raises(Malformed):
        group.decode(expected[0])
    point = group.identity
    for k, encoding in few(backend, list(enumerate(expected))[1:], 4):
        point = group.add(point, group.generator)
        assert group.encode(point) == encoding, k
        assert group.equal(group.decode(encoding), point), k
    for k in (2, 3, 999):
        assert group.encode(group.multiply(group.generator, k)) == expected[k], k


# --- symmetric --------------------------------------------------------------------------------------------------------


def test_seal_and_unseal_match_wycheproof_chacha20_poly1305(vectors, monkeypatch):
    """Our two functions with the vectors' nonces put in place of the zero nonce, which none of the vectors has."""
    tried = {"valid": 0, "invalid": 0}
    for group in loaded(vectors / "wycheproof" / "chacha20_poly1305_test.json")["testGroups"]:
        if group["ivSize"] != 96:
            continue
        for case in group["tests"]:
            key, nonce, aad, message, ciphertext, tag = (
                bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
            )
            monkeypatch.setattr(symmetric, "_ONE_TIME_NONCE", nonce)
            tried[case["result"]] += 1
            if case["result"] == "valid":
                assert seal(key, message, aad) == ciphertext + tag, case["tcId"]
                assert unseal(key, ciphertext + tag, aad) == message, case["tcId"]
            else:
                assert seal(key, message, aad) != ciphertext + tag, case["tcId"]
                with pytest.raises(AuthenticationFailed):
                    unseal(key, ciphertext + tag, aad)
    assert tried["valid"] > 200
    assert tried["invalid"] > 40


def derived(monkeypatch: pytest.MonkeyPatch, salt: bytes, ikm: bytes, info: bytes, size: int) -> bytes:
    """derive_key with a foreign salt, the info taken as it is, and another length."""
    monkeypatch.setattr(symmetric, "enc", lambda *items: b"".join(items))
    monkeypatch.setattr(symmetric, "KEY_BYTES", size)
    return derive_key(SimpleNamespace(value=salt), ikm, info)


def test_derive_key_matches_rfc_5869(vectors, monkeypatch):
    """Our call of HKDF: which argument is salt, which is the key, which is the info."""
    text = (vectors / "rfc5869" / "rfc-5869-HKDF-SHA256.txt").read_text()
    cases = [dict(parsed(block)) for block in text.split("COUNT =")[1:]]
    assert len(cases) == 3
    for case in cases:
        ikm, salt, info, okm = (bytes.fromhex(case[name]) for name in ("IKM", "salt", "info", "OKM"))
        assert derived(monkeypatch, salt, ikm, info, int(case["L"])) == okm


def parsed(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            yield name.strip(), value.strip()


def test_derive_key_matches_wycheproof_hkdf_sha256(vectors, monkeypatch):
    """All valid cases. The invalid ones ask for more than 255 blocks, which a fixed length of 32 bytes never does."""
    tried = 0
    for group in loaded(vectors / "wycheproof" / "hkdf_sha256_test.json")["testGroups"]:
        for case in group["tests"]:
            if case["result"] != "valid":
                assert case["size"] > 255 * 32
                continue
            tried += 1
            ikm, salt, info, okm = (bytes.fromhex(case[name]) for name in ("ikm", "salt", "info", "okm"))
            assert derived(monkeypatch, salt, ikm, info, case["size"]) == okm, case["tcId"]
    assert tried > 80


# --- sharing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", FROST_ORDERS)
def test_deal_and_recover_match_rfc_9591(vectors, suite):
    """Appendix C of RFC 9591 evaluates the same polynomial at 1..n, over other groups' orders."""
    order, byteorder = FROST_ORDERS[suite]
    inputs = loaded(vectors / "frost_rfc9591" / f"frost-{suite}.json")["inputs"]

    def scalar(text: str) -> int:
        return int.from_bytes(bytes.fromhex(text), byteorder)

    secret = scalar(inputs["group_secret_key"])
    coefficients = (secret, *map(scalar, inputs["share_polynomial_coefficients"]))
    expected = {s["identifier"]: scalar(s["participant_share"]) for s in inputs["participant_shares"]}
    assert sharing.deal(coefficients, len(expected), modulus=order) == expected
    chosen = {member: expected[member] for member in inputs["participant_list"]}
    assert sharing.recover(chosen, modulus=order) == secret
