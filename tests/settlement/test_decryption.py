"""The contracts that check decryption, on anvil, against the schemes themselves.

Holds STL-39 to STL-41.
"""

from __future__ import annotations

import random as pseudo
import secrets
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from encmempool.npm import cache_directory
from encmempool.settlement import anvil, decryption
from encmempool.settlement.compile import compile_file
from encmempool.ssz import ByteList, list_root, merkleize
from encmempool.types import MAX_BATCH, MAX_KEY_BYTES, MAX_SHARE_BYTES, BatchList, Header, UnsignedTransaction
from threshold.curve import ORDER, load_backend
from threshold.encoding import counted, u16
from threshold.errors import Malformed, Rejected, ShareRejected
from threshold.keys import Limits
from threshold.schemes.base import Batch, BatchKey, Share
from threshold.schemes.registry import ENCRYPTED_SCHEMES, load_scheme

N, T, LARGEST = 4, 3, 6
ONE_POINT = ("ibe", "simple-bte", "fptx")
WITH_ENTRIES = ("tdh2", "simple-bte", "fptx")
CONTRACTS = Path(decryption.__file__).parent / "contracts"
BACKEND = load_backend()


class Reverted(Exception):
    pass


class Chain:
    """One anvil process. Contracts are deployed when first called."""

    def __init__(self, fork):
        binary = cache_directory() / f"anvil-{anvil.VERSION}"
        if not binary.exists():
            pytest.skip(f"anvil is not here: {anvil.FETCH}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [binary, "--port", str(port), "--hardfork", fork, "--gas-limit", "1000000000", "--silent"]
        self._process = subprocess.Popen(command)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
        self._sender = self._ask_until("eth_accounts", lambda accounts: accounts)[0]
        self._deployed = {}

    def ask(self, method, *parameters):
        answer = self._http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).json()
        if "error" in answer:
            raise Reverted(answer["error"]["message"])
        return answer["result"]

    def _ask_until(self, method, good, *parameters):
        for _ in range(1000):
            try:
                if good(answer := self.ask(method, *parameters)):
                    return answer
            except httpx.TransportError:
                pass
            time.sleep(0.01)
        raise TimeoutError(method)

    def _contract(self, name):
        if name not in self._deployed:
            artifact = compile_file(CONTRACTS / f"{name}.vy")
            data = "0x" + artifact.creation().hex()
            transaction = self.ask("eth_sendTransaction", {"from": self._sender, "data": data, "gas": hex(10**7)})
            receipt = self._ask_until("eth_getTransactionReceipt", bool, transaction)
            self._deployed[name] = artifact, receipt["contractAddress"]
        return self._deployed[name]

    def call(self, call, gas=10**9):
        artifact, address = self._contract(call.contract)
        data = artifact.call(call.function, *call.arguments)
        request = {"from": self._sender, "to": address, "data": "0x" + data.hex(), "gas": hex(gas)}
        return artifact.result(call.function, bytes.fromhex(self.ask("eth_call", request, "latest")[2:]))

    def close(self):
        self._http.close()
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope="module")
def chain():
    chain = Chain("prague")
    yield chain
    chain.close()


class Committee:
    """A dealt key with all its shares."""

    def __init__(self, name, largest=LARGEST):
        self.scheme = load_scheme(name)
        limits = Limits(batch=largest, rounds=2)
        self.material, self.shares = self.scheme.deal(n=N, t=T, limits=limits, random=secrets.token_bytes)
        self.key_id = self.material.key_id(secrets.token_bytes(32))
        self.key = self.scheme.load_public_key(self.material, key_id=self.key_id)

    def entry(self, size=64, height=7):
        header = Header(
            version=1,
            key_id=self.key_id,
            scheme=self.material.scheme,
            sender=secrets.token_bytes(20),
            nonce=0,
            gas_limit=21_000,
            max_fee_per_gas=1,
            max_priority_fee_per_gas=1,
            target_height=height,
            valid_until=height,
        )
        plaintext = secrets.token_bytes(size)
        ciphertext = self.scheme.encrypt(
            self.key, plaintext, aad=header.root, height=height, random=secrets.token_bytes
        )
        self.scheme.verify_ciphertext(self.key, ciphertext, aad=header.root, height=height)
        return UnsignedTransaction(header=header, ciphertext=ciphertext)

    def batch(self, transactions, height=7, round=1):
        return Batch(
            key_id=self.key_id,
            height=height,
            round=round,
            entries=tuple(
                self.scheme.verify_ciphertext(self.key, one.ciphertext, aad=one.header.root, height=height)
                for one in transactions
            ),
        )

    def random_batch(self, size, **places):
        return self.batch([self.entry(height=places.get("height", 7)) for _ in range(size)], **places)

    def share(self, batch, member=1):
        return self.scheme.partial_decrypt(self.key, self.shares[member - 1], batch, random=secrets.token_bytes)

    def batch_key(self, batch):
        shares = [self.share(batch, member) for member in range(1, T + 1)]
        return self.scheme.combine(self.key, batch, shares, self.scheme.precompute(self.key, batch))[0]

    def accepts_share(self, batch, share):
        try:
            self.scheme.verify_share(self.key, batch, share)
        except ShareRejected:
            return False
        return True

    def accepts_batch_key(self, batch, batch_key):
        try:
            self.scheme.verify_batch_key(self.key, batch, batch_key, self.scheme.precompute(self.key, batch))
        except (Malformed, Rejected):
            return False
        return True

    def share_call(self, batch, share):
        return decryption.verify_share(self.key_id, self.material, batch, share)

    def batch_key_call(self, batch, batch_key):
        return decryption.verify_batch_key(self.key_id, self.material, batch, batch_key)


@pytest.fixture(scope="module")
def committees():
    return {name: Committee(name) for name in ENCRYPTED_SCHEMES}


@pytest.fixture(params=ENCRYPTED_SCHEMES)
def committee(request, committees):
    return committees[request.param]


def agrees_on_share(chain, committee, batch, share):
    """What both say."""
    accepted = committee.accepts_share(batch, share)
    assert chain.call(committee.share_call(batch, share)) is accepted
    return accepted


def agrees_on_batch_key(chain, committee, batch, batch_key):
    accepted = committee.accepts_batch_key(batch, batch_key)
    assert chain.call(committee.batch_key_call(batch, batch_key)) is accepted
    return accepted


# --- honest


@pytest.mark.parametrize("size", [1, 2, 5, LARGEST])
def test_share_is_accepted_from_every_member(chain, committee, size):
    batch = committee.random_batch(size)
    for member in range(1, N + 1):
        assert agrees_on_share(chain, committee, batch, committee.share(batch, member))


@pytest.mark.parametrize("size", [1, 2, LARGEST])
def test_batch_key_is_accepted(chain, committee, size):
    batch = committee.random_batch(size)
    assert agrees_on_batch_key(chain, committee, batch, committee.batch_key(batch))


def test_tdh2_batch_key_is_accepted_from_any_members(chain, committees):
    committee = committees["tdh2"]
    batch = committee.random_batch(2)
    for members in [(2, 3, 4), (4, 1, 3)]:
        shares = [committee.share(batch, member) for member in members]
        batch_key, _ = committee.scheme.combine(committee.key, batch, shares, None)
        assert agrees_on_batch_key(chain, committee, batch, batch_key)


def test_tdh2_share_of_more_than_one_sum_is_accepted(chain, committees):
    committee = committees["tdh2"]
    transactions = [committee.entry() for _ in range(3)]
    batch = committee.batch(transactions * 43)
    share = committee.share(batch)
    assert len(batch) == 129
    assert agrees_on_share(chain, committee, batch, share)
    last = share.data[48:96] + share.data[48:]
    assert not agrees_on_share(chain, committee, batch, replace(share, data=last))


# --- wrong


def test_share_is_refused_for_another_batch(chain, committee):
    batch = committee.random_batch(2)
    others = [committee.random_batch(2, height=8, round=2)]
    if committee.scheme.info.name == "tdh2":
        others += [replace(batch, height=8), replace(batch, round=2), replace(batch, entries=batch.entries[::-1])]
    if committee.scheme.info.name == "simple-bte":
        others += [replace(batch, entries=batch.entries[::-1])]
    if committee.scheme.info.name in ("fptx", "simple-bte"):
        others += [committee.random_batch(2), replace(batch, entries=batch.entries[:1] * 2)]
    for other in others:
        assert not agrees_on_share(chain, committee, batch, committee.share(other))
        if committee.scheme.info.name != "tdh2":
            assert not agrees_on_batch_key(chain, committee, batch, committee.batch_key(other))


def test_share_is_accepted_where_the_scheme_does_not_see_a_difference(chain, committees):
    """fptx: the order of a batch. simple-bte: its height and round. ibe: its entries."""
    for name, change in [
        ("fptx", lambda batch: replace(batch, entries=batch.entries[::-1], height=9)),
        ("simple-bte", lambda batch: replace(batch, height=9, round=9)),
        ("ibe", lambda batch: replace(batch, entries=batch.entries[:1], round=9)),
    ]:
        batch = committees[name].random_batch(2)
        assert agrees_on_share(chain, committees[name], change(batch), committees[name].share(batch))


def test_share_is_refused_under_another_member(chain, committee):
    batch = committee.random_batch(2)
    assert not agrees_on_share(chain, committee, batch, replace(committee.share(batch, 1), member=2))


def point_faults():
    """48 bytes that are no point of the group, by what is wrong."""
    x = next(x for x in range(1, 100) if decryption._root(decryption._curve(x)) is None)
    outside = next(
        x for x in range(100) if decryption._root(decryption._curve(x)) and decryption.fault_of(compressed(x))
    )
    good = BACKEND.g1.encode(BACKEND.g1.generator)
    return {
        "uncompressed": bytes([good[0] & 0x7F]) + good[1:],
        "identity": b"\xc0" + bytes(47),
        "identity with an x": bytes([good[0] | 0x40]) + good[1:],
        "zeros": bytes(48),
        "x is not below p": compressed(decryption.FIELD),
        "x has all bits": b"\xff" * 48,
        "x is p - 1 too large": compressed(decryption.FIELD + 4),
        "not on the curve": compressed(x),
        "outside the subgroup": compressed(outside),
        "outside the subgroup, the larger y": compressed(outside, 0xA0),
        "of order 3": compressed(0),
    }


def compressed(x, flags=0x80):
    return (x | flags << 376).to_bytes(48, "big")


@pytest.mark.parametrize("what", point_faults())
def test_share_is_refused_if_no_point(chain, committee, what):
    fault, batch = point_faults()[what], committee.random_batch(2)
    data = committee.share(batch).data
    for at in range(0, 96 if committee.scheme.info.name == "tdh2" else 48, 48):
        wrong = Share(member=1, data=data[:at] + fault + data[at + 48 :])
        assert not agrees_on_share(chain, committee, batch, wrong)


@pytest.mark.parametrize("what", point_faults())
def test_batch_key_is_refused_if_no_point(chain, committee, what):
    fault, batch = point_faults()[what], committee.random_batch(2)
    good = committee.batch_key(batch)
    wrong = [replace(good, value=fault + good.value[48:])]
    if committee.scheme.info.name == "tdh2":
        size = 6 + 3 * 48
        wrong = [
            replace(good, value=good.value[:48] + fault),
            *(
                replace(good, proof=good.proof[:at] + fault + good.proof[at + 48 :])
                for share in range(T)
                for at in (10 + size * share, 58 + size * share)
            ),
        ]
    for batch_key in wrong:
        assert not agrees_on_batch_key(chain, committee, batch, batch_key)


@pytest.mark.parametrize("name", ONE_POINT)
def test_shares_and_batch_keys_of_other_sizes_are_refused(chain, committees, name):
    committee = committees[name]
    batch = committee.random_batch(1)
    share, batch_key = committee.share(batch), committee.batch_key(batch)
    for data in (b"", share.data[:47]):
        assert not agrees_on_share(chain, committee, batch, replace(share, data=data))
    for wrong in (
        BatchKey(value=b"", proof=b""),
        BatchKey(value=batch_key.value[:47], proof=b""),
        BatchKey(value=batch_key.value[:47], proof=b"1"),
    ):
        assert not agrees_on_batch_key(chain, committee, batch, wrong)
    with pytest.raises(ValueError):
        committee.share_call(batch, replace(share, data=share.data + b"1"))
    with pytest.raises(ValueError):
        committee.batch_key_call(batch, replace(batch_key, proof=b"1"))


def test_batch_keys_with_other_sizes_inside_are_refused(chain, committee):
    batch = committee.random_batch(2)
    call = committee.batch_key_call(batch, committee.batch_key(batch))
    at = {"tdh2": 10, "ibe": 5, "simple-bte": 3, "fptx": 4}[committee.scheme.info.name]
    encoded = call.arguments[at]
    places = [0, 3, len(encoded) - 4, len(encoded) - 1]
    if committee.scheme.info.name == "tdh2":
        places = [0, 3, 100, 103, 104, 107, 108, 111]
    for place in places:
        wrong = bytearray(encoded)
        wrong[place] ^= 1
        with pytest.raises((Malformed, Rejected)):
            committee.scheme.verify_batch_key(committee.key, batch, BatchKey.decode(bytes(wrong)), None)
        arguments = (*call.arguments[:at], bytes(wrong), *call.arguments[at + 1 :])
        assert chain.call(replace(call, arguments=arguments)) is False


def test_tdh2_shares_of_other_sizes_are_refused(chain, committees):
    committee = committees["tdh2"]
    batch = committee.random_batch(2)
    share = committee.share(batch)
    for data in (b"", share.data[:-1], share.data + b"1", share.data[48:], share.data + bytes(48)):
        assert not agrees_on_share(chain, committee, batch, replace(share, data=data))


def test_tdh2_share_is_refused_if_its_response_is_not_below_the_order(chain, committees):
    committee = committees["tdh2"]
    batch = committee.random_batch(2)
    share = committee.share(batch)
    response = int.from_bytes(share.data[-32:], "big")
    for wrong in (response + ORDER, ORDER, 2**256 - 1, response ^ 1):
        if wrong < 2**256:
            data = share.data[:-32] + wrong.to_bytes(32, "big")
            assert not agrees_on_share(chain, committee, batch, replace(share, data=data))


def test_tdh2_batch_key_is_refused_with_wrong_shares(chain, committees):
    committee = committees["tdh2"]
    batch = committee.random_batch(2)
    good = committee.batch_key(batch)
    pieces = {member: u16(member) + committee.share(batch, member).data for member in range(1, N + 1)}

    def proof(*members):
        return replace(good, proof=counted([pieces[member] for member in members]))

    assert agrees_on_batch_key(chain, committee, batch, proof(1, 2, 3))
    renamed = u16(5) + pieces[3][2:]
    for wrong in (
        proof(1, 2),
        proof(1, 2, 3, 4),
        proof(2, 1, 3),
        proof(1, 1, 2),
        replace(good, proof=counted([pieces[1], pieces[2], renamed])),
        replace(good, proof=counted([u16(0) + pieces[1][2:], pieces[2], pieces[3]])),
        replace(good, proof=counted([pieces[1], pieces[2], u16(4) + pieces[3][2:]])),
        replace(good, proof=counted([pieces[1] + b"1", pieces[2][:-1], pieces[3]])),
        replace(good, proof=b""),
        replace(good, proof=good.proof + b"1"),
        replace(good, value=good.value[48:] + good.value[:48]),
        replace(good, value=good.value[:48]),
        replace(good, value=good.value[:48] + committee.share(batch, 1).data[:48]),
    ):
        assert not agrees_on_batch_key(chain, committee, batch, wrong)


@pytest.mark.parametrize("seed", range(4))
def test_contract_and_scheme_agree_on_random_changes(chain, committee, seed):
    """A byte of a share or batch key is changed, or a point replaced by a good one."""
    generator = pseudo.Random(f"{committee.scheme.info.name} {seed}")
    batch = committee.random_batch(generator.randint(1, 3))
    share, batch_key = committee.share(batch, generator.randint(1, N)), committee.batch_key(batch)
    for _ in range(6):
        data = bytearray(share.data)
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        assert not agrees_on_share(chain, committee, batch, replace(share, data=bytes(data)))
        part = generator.choice(["value", "proof"] if batch_key.proof else ["value"])
        data = bytearray(getattr(batch_key, part))
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        assert not agrees_on_batch_key(chain, committee, batch, replace(batch_key, **{part: bytes(data)}))
    point = BACKEND.g1.encode(BACKEND.g1.multiply(BACKEND.g1.generator, generator.randrange(1, ORDER)))
    assert not agrees_on_share(chain, committee, batch, replace(share, data=point + share.data[48:]))


# --- nobody can bring about a no


def spoilt(call):
    """The call with one argument wrong that is not signed: one for each such change."""
    for at, argument in enumerate(call.arguments):
        if isinstance(argument, bool):
            yield at, not argument
        elif isinstance(argument, int):
            yield at, argument + 1
            yield at, max(argument - 1, 0)
        elif isinstance(argument, tuple):
            for inner, part in spoilt(replace(call, arguments=argument)):
                yield at, (*argument[:inner], part, *argument[inner + 1 :])
            if argument and all(isinstance(part, bytes) for part in argument):
                yield at, argument[:-1]
        elif isinstance(argument, bytes) and argument:
            for place in sorted({0, 1, 47, 48, len(argument) // 2, len(argument) - 1} & set(range(len(argument)))):
                yield at, argument[:place] + bytes([argument[place] ^ 1]) + argument[place + 1 :]
            if len(argument) != 32 or argument[-1]:  # 32 bytes are filled up with zeros again
                yield at, argument[:-1]
            yield at, b""


HINTS = {"tdh2": (5, 8, 11), "ibe": (4, 6, 7), "simple-bte": (1, 5, 7, 8), "fptx": (1, 3, 5, 6, 8)}
"""Which arguments of `verify_share` nobody has signed: y, faults, sizes, branches, terms and pairs."""


def test_wrong_hints_for_a_good_share_revert(chain, committee):
    call = committee.share_call(batch := committee.random_batch(2), committee.share(batch))
    tried = 0
    for at, wrong in spoilt(call):
        if at not in HINTS[committee.scheme.info.name]:
            continue
        arguments = (*call.arguments[:at], wrong, *call.arguments[at + 1 :])
        try:
            answer = chain.call(replace(call, arguments=arguments))
        except Reverted:
            tried += 1
        else:
            pytest.fail(f"argument {at} as {wrong!r}: {answer}")
    assert tried > 5


Y = {
    "tdh2": ((5, 0, 48, 48, 48), (8, 0, 48, 48, 48), (11, 0, 48, 48, 48)),
    "ibe": ((4, 0, 96, 96, 48), (6, 0, 48, 48, 48)),
    "simple-bte": ((7, 64, 384, 64, 64), (7, 256, 384, 128, 64)),
    "fptx": ((3, 0, 96, 96, 48), (5, 0, 48, 48, 48), (8, 64, 160, 64, 64)),
}
"""Where y stand in the arguments of `verify_share`: argument, offset, step, and the size of y and of its parts."""


def negated_ys(name, arguments):
    """The arguments with the y of one point negated, so that it is its negative: for each point."""
    for argument, offset, step, size, part in Y[name]:
        data = arguments[argument]
        for at in range(offset, len(data), step):
            negative = b"".join(
                (-int.from_bytes(data[i : i + part], "big") % decryption.FIELD).to_bytes(part, "big")
                for i in range(at, at + size, part)
            )
            changed = data[:at] + negative + data[at + size :]
            yield (*arguments[:argument], changed, *arguments[argument + 1 :])


def test_negative_of_a_point_reverts(chain, committee):
    name = committee.scheme.info.name
    call = committee.share_call(batch := committee.random_batch(2), committee.share(batch))
    tried = 0
    for arguments in negated_ys(name, call.arguments):
        with pytest.raises(Reverted):
            chain.call(replace(call, arguments=arguments))
        tried += 1
    assert tried == {"tdh2": 5, "ibe": 2, "simple-bte": 6, "fptx": 5}[name]


SIGNED = {"tdh2": (4, 7, 10), "ibe": (3, 5), "simple-bte": (4, 6), "fptx": (2, 4)}
"""Which arguments of `verify_share` are authenticated compressed points."""


def test_hints_for_other_points_revert(chain, committee):
    name = committee.scheme.info.name
    call = committee.share_call(batch := committee.random_batch(2), committee.share(batch))
    for at in SIGNED[name]:
        for place in (0, 5, 20, 47):
            data = bytearray(call.arguments[at])
            data[place] ^= 1 if place else 0x20
            with pytest.raises(Reverted):
                chain.call(replace(call, arguments=(*call.arguments[:at], bytes(data), *call.arguments[at + 1 :])))


def test_good_tdh2_point_cannot_be_called_malformed(chain, committees):
    committee = committees["tdh2"]
    call = committee.share_call(batch := committee.random_batch(2), committee.share(batch))
    for point in (0, 1):
        for hint in (call.arguments[11][48 * point :], bytes(48), b"\xff" * 48, call.arguments[11][96:]):
            arguments = (*call.arguments[:6], point, *call.arguments[7:11], hint)
            with pytest.raises(Reverted):
                chain.call(replace(call, arguments=arguments))


def test_identity_in_coordinates_does_not_pass_for_a_point(chain, committees):
    """(0, 0) is the identity to the precompiles, and its x is that of a point of the curve."""
    committee = committees["simple-bte"]
    batch = committee.random_batch(1)
    call = committee.share_call(batch, replace(committee.share(batch), data=compressed(0)))
    good = committee.share_call(batch, committee.share(batch))
    pairs = bytes(128) + good.arguments[7][128:]
    with pytest.raises(Reverted):
        chain.call(replace(call, arguments=(*call.arguments[:5], False, call.arguments[6], pairs, good.arguments[8])))


def test_lack_of_gas_never_says_no(chain, committee):
    call = committee.share_call(batch := committee.random_batch(2), committee.share(batch))
    answers = set()
    for gas in (*range(22_000, 200_000, 2_000), *range(200_000, 700_000, 10_000)):
        try:
            answers.add(chain.call(call, gas=gas))
        except Reverted:
            answers.add(None)
    assert answers == {True, None}


def test_chain_without_the_precompiles_never_says_no(committee):
    chain = Chain("cancun")
    try:
        call = committee.share_call(batch := committee.random_batch(1), committee.share(batch))
        with pytest.raises(Reverted):
            chain.call(call)
    finally:
        chain.close()


# --- batches at fault


def test_empty_tdh2_batch_is_like_any(chain, committees):
    committee = committees["tdh2"]
    batch = committee.batch([])
    share = committee.share(batch)
    assert agrees_on_share(chain, committee, batch, share)
    assert not agrees_on_share(chain, committee, batch, replace(share, member=2))
    assert agrees_on_batch_key(chain, committee, batch, committee.batch_key(batch))


@pytest.mark.parametrize("name", ONE_POINT)
def test_empty_batch_reverts(chain, committees, name):
    committee = committees[name]
    share = committee.share(committee.random_batch(1))
    with pytest.raises(Rejected):
        committee.scheme.verify_share(committee.key, committee.batch([]), share)
    with pytest.raises(Reverted):
        chain.call(committee.share_call(committee.batch([]), share))


@pytest.mark.parametrize("name", ["simple-bte", "fptx"])
def test_batch_longer_than_the_key_allows_reverts(chain, committees, name):
    committee = committees[name]
    batch = committee.random_batch(LARGEST + 1)
    share = committee.share(committee.random_batch(1))
    with pytest.raises(Rejected):
        committee.scheme.verify_share(committee.key, batch, share)
    with pytest.raises(Reverted):
        chain.call(committee.share_call(batch, share))


def test_fptx_round_of_the_self_test_reverts(chain, committees):
    committee = committees["fptx"]
    batch = committee.random_batch(1)
    with pytest.raises(Reverted):
        chain.call(committee.share_call(replace(batch, round=0), committee.share(batch)))


def test_fptx_points_of_another_round_revert(chain, committees):
    committee = committees["fptx"]
    batch = committee.random_batch(2)
    call = committee.share_call(batch, committee.share(batch))
    other = committee.share_call(replace(batch, round=2), committee.share(batch))
    row, foreign = call.arguments[1], other.arguments[1]
    for shown, terms in (
        (row, other.arguments[8]),
        ((*row[:4], foreign[4]), other.arguments[8]),
        ((*row[:3], 2, row[4]), call.arguments[8]),
    ):
        with pytest.raises(Reverted):
            chain.call(replace(call, arguments=(call.arguments[0], shown, *call.arguments[2:8], terms)))


def test_simple_bte_keys_of_another_member_revert(chain, committees):
    """The member's number says where its keys stand among the parameters."""
    committee = committees["simple-bte"]
    batch = committee.random_batch(2)
    share = committee.share(batch, 1)
    call, other = committee.share_call(batch, share), committee.share_call(batch, replace(share, member=2))
    assert chain.call(call) is True
    assert chain.call(other) is False
    for member, reason in ((0, "member"), (2, "parameters"), (N + 1, "member")):
        with pytest.raises(Reverted, match=reason):
            chain.call(replace(call, arguments=(*call.arguments[:3], member, *call.arguments[4:])))
    with pytest.raises(Reverted):
        chain.call(replace(other, arguments=(*other.arguments[:3], 1, *other.arguments[4:])))


@pytest.mark.parametrize("name", ["simple-bte", "fptx"])
def test_parameters_of_another_key_revert(chain, committees, name):
    committee = committees[name]
    batch = committee.random_batch(2)
    call, digest = committee.share_call(batch, committee.share(batch)), bytes(32)
    if name == "simple-bte":
        arguments = (digest, *call.arguments[1:])
    else:
        arguments = (call.arguments[0], (digest, *call.arguments[1][1:]), *call.arguments[2:])
    with pytest.raises(Reverted):
        chain.call(replace(call, arguments=arguments))


def test_simple_bte_key_for_batches_of_one_is_read(chain):
    """Its parameters have one point of G1 instead of two."""
    committee = Committee("simple-bte", largest=1)
    batch = committee.random_batch(1)
    assert agrees_on_share(chain, committee, batch, committee.share(batch, 2))
    assert not agrees_on_share(chain, committee, batch, replace(committee.share(batch, 2), member=1))
    assert agrees_on_batch_key(chain, committee, batch, committee.batch_key(batch))


def test_fptx_other_polynomial_reverts(chain, committees):
    committee = committees["fptx"]
    batch = committee.random_batch(2)
    call = committee.share_call(batch, committee.share(batch))
    for at in range(3):
        terms = bytearray(call.arguments[8])
        terms[160 * at + 159] ^= 1
        with pytest.raises(Reverted):
            chain.call(replace(call, arguments=(*call.arguments[:8], bytes(terms))))


# --- what a batch lists


@pytest.mark.parametrize("name", WITH_ENTRIES)
def test_transaction_ids_are_those_of_the_batch(chain, committees, name):
    committee = committees[name]
    transactions = [committee.entry(size) for size in (1, 32, 256, 512, 700, 1000, 2048)]
    calls = decryption.transaction_ids(committee.material, committee.batch(transactions))
    found = [tx_id for call in calls for tx_id in chain.call(call)]
    assert found == [one.root for one in transactions]
    root = list_root(merkleize(found, (MAX_BATCH - 1).bit_length()), len(found))
    assert root == BatchList(tx_ids=tuple(found)).root


@pytest.mark.parametrize("name", WITH_ENTRIES)
def test_transaction_ids_of_the_longest_ciphertexts_come_in_pieces(chain, committees, name):
    committee = committees[name]
    transactions = [committee.entry(size) for size in (1 << 16, 100, 1 << 15, 1 << 16)]
    calls = decryption.transaction_ids(committee.material, committee.batch(transactions))
    assert len(calls) == (3 if name == "tdh2" else 1)
    assert [tx_id for call in calls for tx_id in chain.call(call)] == [one.root for one in transactions]


@pytest.mark.parametrize("name", WITH_ENTRIES)
def test_transaction_ids_differ_for_other_entries(chain, committees, name):
    """A batch root that was signed does not hold them: the caller refuses what it did not expect."""
    committee = committees[name]
    transactions = [committee.entry(256) for _ in range(2)]
    (call,) = decryption.transaction_ids(committee.material, committee.batch(transactions))
    expected, tried = [one.root for one in transactions], 0
    for at, wrong in spoilt(call):
        if wrong == call.arguments[at][:-1] and at == len(call.arguments) - 1:
            continue
        arguments = (*call.arguments[:at], wrong, *call.arguments[at + 1 :])
        try:
            found = list(chain.call(replace(call, arguments=arguments)))
        except Reverted:
            tried += 1
            continue
        padding = at == len(call.arguments) - 1 and wrong[-384:] != call.arguments[at][-384:]
        assert padding or found != expected, f"argument {at}"
        tried += 1
    assert tried > 8


def test_tdh2_ids_are_those_of_the_ciphertexts(chain, committees):
    committee = committees["tdh2"]
    transactions = [committee.entry(256) for _ in range(2)]
    (call,) = decryption.transaction_ids(committee.material, committee.batch(transactions))
    for at in range(0, 80):
        ids = bytearray(call.arguments[2])
        ids[at] ^= 1
        with pytest.raises(Reverted):
            chain.call(replace(call, arguments=(*call.arguments[:2], bytes(ids), call.arguments[3])))


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 48, 96, 144, 1 << 15])
def test_roots_of_bytes_are_those_of_the_signed_objects(chain, committee, size):
    contract = committee.batch_key_call(batch := committee.random_batch(1), committee.batch_key(batch)).contract
    data = secrets.token_bytes(size)
    if size <= 48 or contract == "decryption_tdh2":
        call = decryption.Call(contract=contract, function="share_root", arguments=(data,))
        assert chain.call(call) == ByteList(MAX_SHARE_BYTES).root(data)
    if size <= len(committee.material.encryption_key) and contract != "decryption_simple_bte":
        call = decryption.Call(contract=contract, function="key_root", arguments=(data,))
        assert chain.call(call) == ByteList(MAX_KEY_BYTES).root(data)


def test_coordinates_are_the_curve_librarys():
    arkworks = load_backend("arkworks")
    for scalar in (1, 2, ORDER - 1, secrets.randbelow(ORDER)):
        point = arkworks.g1.multiply(arkworks.g1.generator, scalar)
        raw = bytes(point.to_xy_bytes_be())
        assert decryption.uncompressed(arkworks.g1.encode(point)) == bytes(16) + raw[:48] + bytes(16) + raw[48:]


def test_gas_of_a_sample_is_reported_for_each_question(chain):
    sample = decryption.Sample("tdh2", size=2, n=N, t=T, plaintext_bytes=256, random=secrets.token_bytes)
    spent = {"verify_share": 600_000, "verify_batch_key": 900_000, "transaction_ids": 100_000}

    def spend(call):
        chain.call(call)
        return spent[call.function] * len(call.arguments[7 if call.function != "transaction_ids" else 1]) // 48

    found = list(decryption.measure(sample, "tdh2", (1, 2), spend))
    assert {(gas.question, gas.batch): gas.gas for gas in found} == {
        (question, size): gas * size for question, gas in spent.items() for size in (1, 2)
    }
    assert decryption.largest_batch(sample, "verify_share", 2, spend) == 2
    assert decryption.largest_batch(sample, "verify_share", 2, lambda call: 20 * spend(call)) == 1
