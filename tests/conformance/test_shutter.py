"""Shutter's published vectors, and what the format refuses that no vector shows."""

from __future__ import annotations

import json
from itertools import combinations

import pytest
from eth_hash.auto import keccak

from threshold import sharing
from threshold.curve import DEFAULT_BACKEND, INSTALLED, ORDER, load_backend
from threshold.entropy import deterministic
from threshold.errors import Malformed, Rejected, ShareRejected
from threshold.schemes import shutter

FILES = {"shlib_v0.1.19_testdata.json": (9, 10, 2), "shutter-sdk_test-data.json": (9, 9, 0)}
FAST = load_backend()
SLOW_CASES = 2

SECRET = 0x5EC2E7
PREIMAGE = shutter.gnosis_preimage(bytes(range(32)), b"\xaa" * 20)
SIGMA = bytes(range(100, 132))
EON_KEY = FAST.g2.encode(FAST.g2.multiply(FAST.g2.generator, SECRET))
KEY = shutter.key_share(FAST, SECRET, PREIMAGE)
INFINITY_G1 = b"\xc0" + bytes(47)
INFINITY_G2 = b"\xc0" + bytes(95)


@pytest.fixture(params=INSTALLED)
def backend(request):
    return load_backend(request.param)


@pytest.fixture(params=FILES)
def cases(request, vectors):
    """kind -> the file's cases of it, hex decoded."""
    found = {"encryption": [], "decryption": [], "verification": []}
    for case in json.loads((vectors / "shutter" / request.param).read_text()):
        fields = {
            name: bytes.fromhex(value[2:]) if isinstance(value, str) else value
            for name, value in case["test_data"].items()
        }
        found[case["type"]].append({"description": case["description"], **fields})
    assert tuple(map(len, found.values())) == FILES[request.param]
    return found


def some(backend, cases):
    """All on the fast backend, the first ones on the slow one."""
    return cases if backend.name == DEFAULT_BACKEND else cases[:SLOW_CASES]


def is_tampered(case):
    """The vectors write an empty message and "must fail" alike: only the description tells them apart."""
    return "illegal modification" in case["description"]


def encrypted(message, sigma=SIGMA):
    return shutter.encrypt(FAST, EON_KEY, PREIMAGE, message, sigma)


def changed(data, at, by=1):
    return data[:at] + bytes([data[at] ^ by]) + data[at:][1:]


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


# --- published vectors -----------------------------------------------------------------------------------------------


def test_encryption_equals_the_vectors(cases, backend):
    for case in some(backend, cases["encryption"]):
        data = shutter.encrypt(backend, case["eon_public_key"], case["epoch_id"], case["message"], case["sigma"])
        assert data == case["expected"], case["description"]


@pytest.mark.parametrize("lax_padding", [False, True])
def test_decryption_equals_the_vectors(cases, backend, lax_padding):
    for case in some(backend, [case for case in cases["decryption"] if not is_tampered(case)]):
        message = shutter.decrypt(backend, case["epoch_secret_key"], case["cipher"], lax_padding=lax_padding)
        assert message == case["expected"], case["description"]


@pytest.mark.parametrize("lax_padding", [False, True])
def test_tampered_c1_of_the_vectors_is_refused(cases, lax_padding):
    """Its last byte is a possible padding count: the check of C1 alone catches it (SHU-3)."""
    tampered = [case for case in cases["decryption"] if is_tampered(case)]
    assert len(tampered) == len(cases["decryption"]) - 9
    for case in tampered:
        with pytest.raises(Rejected) as refused:
            shutter.decrypt(FAST, case["epoch_secret_key"], case["cipher"], lax_padding=lax_padding)
        assert refused.value.rule == "SHU-3"


def test_key_verification_equals_the_vectors(cases, backend):
    for case in cases["verification"]:
        arguments = (backend, case["eon_public_key"], case["epoch_id"], case["epoch_secret_key"])
        if case["expected"]:
            shutter.verify_key(*arguments)
        else:
            with pytest.raises(Rejected) as refused:
                shutter.verify_key(*arguments)
            assert refused.value.rule == "SHU-5"


def test_every_key_of_the_vectors_is_the_one_of_its_identity(vectors):
    """The decryption cases carry no identity; the encryption case before each does."""
    file = json.loads((vectors / "shutter" / "shlib_v0.1.19_testdata.json").read_text())[:18]
    for encryption, decryption in zip(file[::2], file[1::2], strict=True):
        fields = {**encryption["test_data"], **decryption["test_data"]}
        names = ("eon_public_key", "epoch_id", "epoch_secret_key")
        shutter.verify_key(FAST, *(bytes.fromhex(fields[name][2:]) for name in names))


# --- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33])
def test_message_returns_when_decrypted(size):
    message = bytes(range(size))
    data = encrypted(message)
    assert len(data) == 129 + 32 * (size // 32 + 1)
    assert shutter.decrypt(FAST, KEY, data) == message


def test_counter_of_blocks_grows_to_two_bytes_at_256():
    """No published vector has that many blocks."""
    message = bytes(8192)
    blocks = encrypted(message)[129:]
    assert blocks[255 * 32 : 256 * 32] == keccak(b"\x04" + SIGMA + b"\xff")
    assert blocks[256 * 32 :] == xor(b"\x20" * 32, keccak(b"\x04" + SIGMA + b"\x01\x00"))
    assert shutter.decrypt(FAST, KEY, encrypted(message)) == message


@pytest.mark.parametrize("sigma", [b"", SIGMA[:-1], SIGMA + b"\0"])
def test_encryption_refuses_when_sigma_has_another_length(sigma):
    with pytest.raises(ValueError, match="32 bytes"):
        encrypted(b"message", sigma)


MESSAGE = encrypted(b"A message")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x03", MESSAGE[:128], MESSAGE[:-1], MESSAGE + b"\0", *(bytes([v]) + MESSAGE[1:] for v in (0, 2, 4, 255))],
)
def test_message_of_another_form_is_malformed(data):
    """SHU-1."""
    with pytest.raises(Malformed, match="Shutter message"):
        shutter.decrypt(FAST, KEY, data, lax_padding=True)


# Points that shlib takes for the identity, and the identity itself.
BAD_G2 = {
    "identity": INFINITY_G2,
    "identity, not canonical": b"\xc0" + bytes(94) + b"\x01",
    "compression bit clear": bytes([EON_KEY[0] & 0x7F]) + EON_KEY[1:],
    "x not below p": b"\x9f" + b"\xff" * 95,
    "off the curve or outside the subgroup": b"\x80" + bytes(94) + b"\x01",
    "too short": EON_KEY[:-1],
    "too long": EON_KEY + b"\0",
}
BAD_G1 = {
    "identity": INFINITY_G1,
    "compression bit clear": bytes([KEY[0] & 0x7F]) + KEY[1:],
    "outside the subgroup": b"\x80" + bytes(47),
    "too short": KEY[:-1],
}


@pytest.mark.parametrize("name", [name for name in BAD_G2 if not name.startswith("too")])
def test_c1_that_is_no_point_is_malformed(name):
    """SHU-2, which the switch for reading does not loosen."""
    with pytest.raises(Malformed, match="C1"):
        shutter.decrypt(FAST, KEY, b"\x03" + BAD_G2[name] + MESSAGE[97:], lax_padding=True)


@pytest.mark.parametrize("name", BAD_G2)
def test_eon_key_that_is_no_point_is_malformed(name):
    """SHU-2."""
    with pytest.raises(Malformed, match="eon key"):
        shutter.encrypt(FAST, BAD_G2[name], PREIMAGE, b"message", SIGMA)
    with pytest.raises(Malformed, match="eon key"):
        shutter.verify_key(FAST, BAD_G2[name], PREIMAGE, KEY)
    with pytest.raises(Malformed, match="public share"):
        shutter.verify_key_share(FAST, BAD_G2[name], PREIMAGE, 0, KEY)


@pytest.mark.parametrize("name", BAD_G1)
def test_key_that_is_no_point_is_malformed(name):
    """SHU-2."""
    with pytest.raises(Malformed, match="the key"):
        shutter.decrypt(FAST, BAD_G1[name], MESSAGE, lax_padding=True)
    with pytest.raises(Malformed, match="the key"):
        shutter.verify_key(FAST, EON_KEY, PREIMAGE, BAD_G1[name])


@pytest.mark.parametrize("lax_padding", [False, True])
def test_message_does_not_open_when_c2_or_c3_is_changed(lax_padding):
    """SHU-3: one error, whichever check it is that fails."""
    said = set()
    for data in (changed(MESSAGE, 97), changed(MESSAGE, 129), changed(MESSAGE, -1, 0x80)):
        with pytest.raises(Rejected) as refused:
            shutter.decrypt(FAST, KEY, data, lax_padding=lax_padding)
        assert refused.value.rule == "SHU-3"
        said.add(str(refused.value))
    assert len(said) == 1


def test_message_does_not_open_when_the_key_is_of_another_identity():
    with pytest.raises(Rejected) as refused:
        shutter.decrypt(FAST, shutter.key_share(FAST, SECRET, PREIMAGE + b"\0"), MESSAGE, lax_padding=True)
    assert refused.value.rule == "SHU-3"


def test_message_does_not_open_when_it_belongs_to_another_c2():
    """C1 from one message, the rest from another with the same sigma."""
    other = encrypted(b"B message")
    with pytest.raises(Rejected):
        shutter.decrypt(FAST, KEY, MESSAGE[:97] + other[97:], lax_padding=True)


@pytest.mark.parametrize("at", range(9, 31))
def test_changed_padding_byte_opens_with_the_switch_only(at):
    """SHU-4: the original looks at the last byte alone."""
    data = changed(MESSAGE, 129 + at)
    assert shutter.decrypt(FAST, KEY, data, lax_padding=True) == b"A message"
    with pytest.raises(Rejected) as refused:
        shutter.decrypt(FAST, KEY, data)
    assert refused.value.rule == "SHU-4"


def test_message_without_blocks_opens_with_the_switch_only():
    """SHU-4: to the original it is a second form of the empty message."""
    data = encrypted(b"")[:129]
    assert shutter.decrypt(FAST, KEY, data, lax_padding=True) == b""
    with pytest.raises(Rejected) as refused:
        shutter.decrypt(FAST, KEY, data)
    assert refused.value.rule == "SHU-4"


def test_message_cut_to_no_blocks_does_not_open():
    with pytest.raises(Rejected) as refused:
        shutter.decrypt(FAST, KEY, MESSAGE[:129], lax_padding=True)
    assert refused.value.rule == "SHU-3"


@pytest.mark.parametrize(("count", "left"), [(0, 64), (0, 0), (33, 31), (255, 0)])
def test_impossible_padding_count_does_not_open(count, left):
    """SHU-3, also where C1 fits what a careless reader would take for the message: the first `left` bytes."""
    blocks = bytes(63) + bytes([count])
    r = int.from_bytes(keccak(b"\x03" + SIGMA + blocks[:left]), "big") % ORDER
    c1 = FAST.g2.multiply(FAST.g2.generator, r)
    c2 = xor(SIGMA, keccak(b"\x02" + FAST.gt_encode(FAST.pairing(FAST.g1.decode(KEY), c1))))
    c3 = xor(blocks, keccak(b"\x04" + SIGMA + b"\0") + keccak(b"\x04" + SIGMA + b"\1"))
    with pytest.raises(Rejected) as refused:
        shutter.decrypt(FAST, KEY, b"\x03" + FAST.g2.encode(c1) + c2 + c3, lax_padding=True)
    assert refused.value.rule == "SHU-3"


# --- identities ------------------------------------------------------------------------------------------------------


def test_gnosis_identity_is_prefix_and_sender():
    assert shutter.gnosis_preimage(b"\x01" * 32, b"\x02" * 20) == b"\x01" * 32 + b"\x02" * 20


def test_service_identity_is_their_hash():
    prefix, sender, trigger = b"\x01" * 32, b"\x02" * 20, b"an event"
    assert shutter.service_preimage(prefix, sender) == keccak(prefix + sender)
    assert shutter.service_preimage(prefix, sender, trigger) == keccak(prefix + sender + trigger)


@pytest.mark.parametrize("make", [shutter.gnosis_preimage, shutter.service_preimage])
@pytest.mark.parametrize(("prefix", "sender"), [(31, 20), (32, 21), (20, 32)])
def test_identity_refuses_when_a_part_has_another_length(make, prefix, sender):
    with pytest.raises(ValueError, match="prefix of 32 bytes"):
        make(bytes(prefix), bytes(sender))


# --- keypers ---------------------------------------------------------------------------------------------------------

KEYPERS, THRESHOLD = 4, 3


@pytest.fixture(scope="module")
def committee():
    """Three dealers to four keypers: the eon's public key, and each keyper's secret from what it was sent."""
    random = deterministic(b"shutter committee")
    polynomials = [sharing.random_polynomial(THRESHOLD, random) for _ in range(THRESHOLD)]
    gammas = [b"".join(map(FAST.g2.encode, sharing.commit(FAST.g2, p))) for p in polynomials]
    sent = [[shutter.encode_scalar(sharing.deal(p, KEYPERS)[i + 1]) for p in polynomials] for i in range(KEYPERS)]
    secrets = [sum(map(shutter.decode_scalar, evaluations)) % ORDER for evaluations in sent]
    return shutter.eon_public_key(FAST, gammas, keypers=KEYPERS, threshold=THRESHOLD), secrets, gammas


@pytest.fixture(scope="module")
def shares(committee):
    _, secrets, _ = committee
    return [(i, shutter.key_share(FAST, secret, PREIMAGE)) for i, secret in enumerate(secrets)]


def test_key_is_the_same_from_any_keypers_and_opens(committee, shares):
    public, _, _ = committee
    data = shutter.encrypt(FAST, public.key, PREIMAGE, b"A message", SIGMA)
    keys = {shutter.combine(FAST, chosen[::-1], threshold=THRESHOLD) for chosen in combinations(shares, THRESHOLD)}
    (key,) = keys
    shutter.verify_key(FAST, public.key, PREIMAGE, key)
    assert shutter.decrypt(FAST, key, data) == b"A message"


def test_keypers_on_the_reference_backend_agree(committee, shares):
    slow = load_backend("reference")
    _, secrets, gammas = committee
    assert shutter.key_share(slow, secrets[1], PREIMAGE) == shares[1][1]
    assert shutter.combine(slow, shares[1:], threshold=3) == shutter.combine(FAST, shares[1:], threshold=3)
    first = gammas[0][:96]
    one = shutter.eon_public_key(slow, [first], keypers=1, threshold=1)
    assert one == shutter.EonPublicKey(key=first, shares=(first,))


def test_key_share_verifies_with_its_keypers_public_share_only(committee, shares):
    """SHU-6."""
    public, _, _ = committee
    for keyper, share in shares:
        for other in range(KEYPERS):
            arguments = (FAST, public.shares[other], PREIMAGE, other, share)
            if keyper == other:
                shutter.verify_key_share(*arguments)
                continue
            with pytest.raises(ShareRejected) as refused:
                shutter.verify_key_share(*arguments)
            assert (refused.value.rule, refused.value.member) == ("SHU-6", other + 1)


def test_key_share_of_another_identity_is_refused(committee, shares):
    public, _, _ = committee
    with pytest.raises(ShareRejected, match="SHU-6"):
        shutter.verify_key_share(FAST, public.shares[0], PREIMAGE + b"\0", 0, shares[0][1])


@pytest.mark.parametrize("name", BAD_G1)
def test_key_share_that_is_no_point_names_its_keyper(name, committee, shares):
    """SHU-2."""
    public, _, _ = committee
    with pytest.raises(ShareRejected) as refused:
        shutter.verify_key_share(FAST, public.shares[2], PREIMAGE, 2, BAD_G1[name])
    assert (refused.value.rule, refused.value.member) == ("SHU-2", 3)
    with pytest.raises(Malformed, match="keyper 2"):
        shutter.combine(FAST, [shares[0], shares[1], (2, BAD_G1[name])], threshold=THRESHOLD)


@pytest.mark.parametrize("chosen", [(), (0, 1), (0, 1, 1), (0, 1, 2, 3), (0, 1, 2, 2)])
def test_combination_refuses_when_not_exactly_t_distinct_keypers(chosen, shares):
    """SHU-7: the original takes repeated ones."""
    with pytest.raises(Rejected) as refused:
        shutter.combine(FAST, [shares[i] for i in chosen], threshold=THRESHOLD)
    assert refused.value.rule == "SHU-7"


@pytest.mark.parametrize("secret", [0, ORDER, -1])
def test_key_share_refuses_when_the_secret_is_out_of_range(secret):
    with pytest.raises(ValueError, match="group order"):
        shutter.key_share(FAST, secret, PREIMAGE)


def eon_key_refusal(gammas):
    with pytest.raises(Rejected) as refused:
        shutter.eon_public_key(FAST, gammas, keypers=KEYPERS, threshold=THRESHOLD)
    assert refused.value.rule == "SHU-8"
    return refused.value


def test_eon_key_refuses_when_dealers_are_too_few(committee):
    _, _, gammas = committee
    eon_key_refusal(gammas[:2])
    eon_key_refusal([])


@pytest.mark.parametrize("wrong", [slice(0, -96), slice(0, -1), slice(0, 0)])
def test_eon_key_refuses_when_a_dealer_has_another_degree(wrong, committee):
    _, _, gammas = committee
    assert eon_key_refusal([*gammas[:2], gammas[2][wrong]]).member == 3


def test_eon_key_refuses_when_the_gammas_cancel(committee):
    _, _, gammas = committee
    pieces = [gammas[0][at : at + 96] for at in range(0, len(gammas[0]), 96)]
    negated = b"".join(FAST.g2.encode(FAST.g2.negate(FAST.g2.decode(piece))) for piece in pieces)
    eon_key_refusal([gammas[0], gammas[0], negated, negated])


def test_eon_key_refuses_when_a_public_share_cancels():
    """f(x) = 2 - 2x, say, leaves keyper 0 with nothing."""
    gammas = [b"".join(map(FAST.g2.encode, sharing.commit(FAST.g2, (1, ORDER - 1)))) for _ in range(2)]
    with pytest.raises(Rejected, match="SHU-8"):
        shutter.eon_public_key(FAST, gammas, keypers=1, threshold=2)


def test_eon_key_refuses_when_a_gamma_is_no_point(committee):
    _, _, gammas = committee
    for bad in (INFINITY_G2, BAD_G2["compression bit clear"]):
        with pytest.raises(Malformed, match="dealer 1"):
            shutter.eon_public_key(FAST, [gammas[0], bad + gammas[1][96:], gammas[2]], keypers=4, threshold=3)


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, ""), (1, "01"), (255, "ff"), (256, "0100"), (ORDER - 1, (ORDER - 1).to_bytes(32, "big").hex())],
)
def test_scalar_is_as_short_as_possible(value, data):
    """SHU-9."""
    assert shutter.encode_scalar(value).hex() == data
    assert shutter.decode_scalar(bytes.fromhex(data)) == value


@pytest.mark.parametrize("data", ["00", "0001", ORDER.to_bytes(32, "big").hex(), "ff" * 32, "01" + "00" * 32])
def test_scalar_is_malformed_when_longer_or_larger(data):
    """SHU-9."""
    with pytest.raises(Malformed, match="scalar"):
        shutter.decode_scalar(bytes.fromhex(data))


@pytest.mark.parametrize("value", [-1, ORDER])
def test_scalar_refuses_when_out_of_range(value):
    with pytest.raises(ValueError, match=r"0\.\.r-1"):
        shutter.encode_scalar(value)
