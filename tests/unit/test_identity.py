"""secp256k1 identities against eth_keys, and the one signature encoding that is accepted."""

from __future__ import annotations

import copy
import hashlib
import pickle

import pytest
from eth_account import Account
from eth_keys import keys
from eth_keys.backends.native import NativeECCBackend

from encmempool.errors import Rejected
from encmempool.identity import Identity, recover, recover_signer, require_signer
from encmempool.types import Abstain, signing_digest

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRETS = [hashlib.sha256(bytes([n])).digest() for n in range(8)]
DIGEST = hashlib.sha256(b"digest").digest()
NETWORK = hashlib.sha256(b"network").digest()
MESSAGE = Abstain(committee_id=bytes(32), height=7)


def rebuilt(signature: bytes, *, r: int | None = None, s: int | None = None, v: int | None = None) -> bytes:
    r_bytes = signature[:32] if r is None else r.to_bytes(32, "big")
    s_bytes = signature[32:64] if s is None else s.to_bytes(32, "big")
    return r_bytes + s_bytes + (signature[64:] if v is None else bytes([v]))


@pytest.mark.parametrize("secret", SECRETS, ids=range(8))
def test_address_equals_eth_accounts(secret):
    assert Identity(secret).address == bytes.fromhex(Account.from_key(secret).address[2:])


@pytest.mark.parametrize("secret", SECRETS, ids=range(8))
def test_signature_equals_eth_keys(secret):
    """The pure Python backend: another implementation of RFC 6979 and of low s."""
    expected = keys.PrivateKey(secret, backend=NativeECCBackend()).sign_msg_hash(DIGEST)
    r_s_v = expected.r.to_bytes(32, "big") + expected.s.to_bytes(32, "big") + bytes([27 + expected.v])
    assert Identity(secret).sign(DIGEST) == r_s_v


@pytest.mark.parametrize("secret", SECRETS, ids=range(8))
def test_eth_account_recovers_the_signer(secret):
    identity = Identity(secret)
    assert Account._recover_hash(DIGEST, signature=identity.sign(DIGEST)) == Account.from_key(secret).address


@pytest.mark.parametrize("secret", SECRETS, ids=range(8))
def test_recover_returns_the_signer_of_eth_accounts_signature(secret):
    signed = Account.unsafe_sign_hash(DIGEST, secret)
    assert recover(DIGEST, bytes(signed.signature)) == Identity(secret).address


def test_signature_is_the_same_when_made_again():
    assert Identity(SECRETS[0]).sign(DIGEST) == Identity(SECRETS[0]).sign(DIGEST)


def test_both_recovery_bits_occur_and_recover():
    identity = Identity(SECRETS[0])
    digests = [hashlib.sha256(bytes([n])).digest() for n in range(20)]
    signatures = [identity.sign(digest) for digest in digests]
    assert {signature[64] for signature in signatures} == {27, 28}
    assert {recover(d, s) for d, s in zip(digests, signatures, strict=True)} == {identity.address}
    assert all(int.from_bytes(signature[32:64], "big") <= ORDER // 2 for signature in signatures)


def test_recover_returns_another_address_when_the_digest_differs():
    identity = Identity(SECRETS[0])
    assert recover(NETWORK, identity.sign(DIGEST)) != identity.address


def test_recover_rejects_a_high_s():
    """The mirrored signature is valid mathematics for the same key."""
    signature = Identity(SECRETS[0]).sign(DIGEST)
    s = int.from_bytes(signature[32:64], "big")
    mirrored = rebuilt(signature, s=ORDER - s, v=55 - signature[64])
    assert Account._recover_hash(DIGEST, signature=mirrored) == Account.from_key(SECRETS[0]).address
    with pytest.raises(Rejected, match="upper half") as caught:
        recover(DIGEST, mirrored)
    assert caught.value.rule == "SIG-1"


def test_recover_accepts_s_of_half_the_order_and_rejects_the_next():
    signature = Identity(SECRETS[0]).sign(DIGEST)
    assert len(recover(DIGEST, rebuilt(signature, s=ORDER // 2))) == 20
    with pytest.raises(Rejected, match="upper half"):
        recover(DIGEST, rebuilt(signature, s=ORDER // 2 + 1))


@pytest.mark.parametrize("v", [0, 1, 2, 26, 29, 30, 37, 255])
def test_recover_rejects_v_outside_27_and_28(v):
    with pytest.raises(Rejected, match="27 or 28") as caught:
        recover(DIGEST, rebuilt(Identity(SECRETS[0]).sign(DIGEST), v=v))
    assert caught.value.rule == "SIG-1"


@pytest.mark.parametrize("change", [lambda s: b"", lambda s: s[:-1], lambda s: s + b"\x1b", lambda s: s[:32] + s[33:]])
def test_recover_rejects_another_length(change):
    with pytest.raises(Rejected, match="65 bytes") as caught:
        recover(DIGEST, change(Identity(SECRETS[0]).sign(DIGEST)))
    assert caught.value.rule == "SIG-1"


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 1), (5, 1), (ORDER, 1), (2**256 - 1, 1), (1, 0)],
    ids=["r zero", "r on no point", "r the order", "r too large", "s zero"],
)
def test_recover_rejects_what_no_key_signed(r, s):
    """5 is the x-coordinate of no point of secp256k1."""
    with pytest.raises(Rejected, match="no public key") as caught:
        recover(DIGEST, rebuilt(bytes(65), r=r, s=s, v=27))
    assert caught.value.rule == "SIG-1"


def test_require_signer_accepts_the_signer():
    identity = Identity(SECRETS[0])
    signature = identity.sign(signing_digest(MESSAGE, NETWORK))
    assert recover_signer(MESSAGE, signature, NETWORK) == identity.address
    require_signer(identity.address, MESSAGE, signature, NETWORK, rule="X-1", who="a member")


@pytest.mark.parametrize("fault", ["signer", "message", "network"])
def test_require_signer_rejects_with_its_rule_when_anything_differs(fault):
    signer = Identity(SECRETS[fault == "signer"])
    message = Abstain(committee_id=bytes(32), height=8) if fault == "message" else MESSAGE
    network = DIGEST if fault == "network" else NETWORK
    signature = signer.sign(signing_digest(message, network))
    with pytest.raises(Rejected, match="Abstain is not signed by a member") as caught:
        require_signer(Identity(SECRETS[0]).address, MESSAGE, signature, NETWORK, rule="X-1", who="a member")
    assert caught.value.rule == "X-1"


@pytest.mark.parametrize("secret", [bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_identity_is_refused_when_the_secret_is_no_scalar(secret):
    with pytest.raises(ValueError):
        Identity(secret)


@pytest.mark.parametrize("size", [31, 33])
def test_identity_is_refused_when_the_secret_has_not_32_bytes(size):
    with pytest.raises(ValueError):
        Identity(SECRETS[0].ljust(33, b"\x01")[:size])


def test_identity_shows_its_address_and_not_its_secret():
    identity = Identity(SECRETS[0])
    for shown in (repr(identity), str(identity), f"{identity}", repr([identity])):
        assert identity.address.hex() in shown
        assert SECRETS[0].hex() not in shown
        assert str(int.from_bytes(SECRETS[0], "big")) not in shown


@pytest.mark.parametrize(
    "serialise", [pickle.dumps, copy.copy, copy.deepcopy, lambda i: pickle.dumps({"key": i}, protocol=2)]
)
def test_identity_is_not_pickled(serialise):
    with pytest.raises(TypeError, match="keystore"):
        serialise(Identity(SECRETS[0]))


def test_identity_has_no_equality_by_secret():
    assert Identity(SECRETS[0]) != Identity(SECRETS[0])


def test_identity_hands_out_its_secret_for_a_keystore():
    assert Identity(SECRETS[0]).secret_bytes() == SECRETS[0]
