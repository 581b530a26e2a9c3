"""Cases of proofs.md: the small network of the page genesis with one batch of three, and a state after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

from spec import proofs as page
from spec.genesis import CLEAR, FPTX, IBE, SIMPLE_BTE, TDH2, sign_digest
from spec.ibe import PublicKey, encrypt, identity
from spec.notation import (
    G2_GENERATOR,
    GENESIS,
    HEADER,
    KEY_SET,
    ORDER_COMMITMENT,
    RECEIPT,
    STATE,
    VOTE,
    Container,
    encode_g1,
    encode_g2,
    multiply,
    signing_digest,
    ssz_encode,
    ssz_root,
    to_hex,
)
from spec.ordering import batch_root
from spec.payload import pad, seal
from spec.transactions import tx_id
from spec.voting import vote_for

from specs.generate.case import Case, Json, labelled
from specs.generate.genesis import ETHER, MEMBERS, address, genesis, hexed, key_set, secret, signed, successor
from specs.generate.transactions import envelope, payload

Change = Callable[[Json], None]

NETWORK = genesis()
ROOT = ssz_root(GENESIS, NETWORK)
HEIGHT, LATER = 4, 6
VOTERS = MEMBERS[:3]
HEIGHT_SECRET = 7_919
BODY_KEY = labelled("proofs/body key")(32)
NONCE = 5
RULES = tuple(f"PRF-{number}" for number in range(1, 9))
CHARGED = 21_000 * 12 * 10**9
"""The most that the transaction costs: its priority fee is 2 gwei on a base fee of 10."""


@cache
def keys(scheme: int) -> Json:
    encryption_key = encode_g2(multiply(G2_GENERATOR, HEIGHT_SECRET)) if scheme == IBE else labelled("proofs/key")(48)
    return key_set(NETWORK, scheme=scheme, encryption_key=encryption_key)


def sign(kind: Container, message: Json, by: str) -> bytes:
    made: bytes = sign_digest(secret(by), signing_digest(kind, message, ROOT))
    return made


def certified(commitment: Json, *, sequencer: str = "sequencer", voters: Sequence[str] = VOTERS) -> Json:
    vote = vote_for(commitment)
    return {
        "commitment": {"message": commitment, "signature": sign(ORDER_COMMITMENT, commitment, sequencer)},
        "certificate": {"vote": vote, "signatures": [sign(VOTE, vote, voter) for voter in voters]},
    }


def commitment(of: Json, height: int, ids: Sequence[bytes], executed: int, state: Json) -> Json:
    return {
        "height": height,
        "parent": labelled(f"proofs/parent {height}")(32),
        "committee_id": ssz_root(KEY_SET, of),
        "key_id": of["key_id"],
        "round": 3 if ids else 2,
        "batch_root": batch_root(ids),
        "count": len(ids),
        "policy_id": 1,
        "l1_block": 0,
        "inbox_index": 0,
        "timestamp_ms": NETWORK["timestamp_ms"] + 1_000 * height,
        "executed_height": executed,
        "state_root": ssz_root(STATE, state),
    }


def state_at(height: int, nonce: int, balance: int) -> Json:
    """Alice among others, in the order of their addresses."""
    others: list[Json] = [
        {"address": bytes([at]) * 20, "nonce": at, "balance": 10**18 * at} for at in (16, 80, 144, 200, 248)
    ]
    own = {"address": address("alice"), "nonce": nonce, "balance": balance}
    listed: list[Any] = NETWORK["pools"]
    pools = sorted(listed, key=lambda pool: (pool["token0"], pool["token1"]))
    accounts = sorted([*others, own], key=lambda account: account["address"])
    balances = [{"token": b"\x70" * 20, "owner": own["address"], "amount": 1000}]
    return {"height": height, "accounts": accounts, "token_balances": balances, "pools": pools}


def ciphertext(scheme: int, header: Json, plaintext: bytes) -> tuple[bytes, bytes]:
    """What a sender makes of a plaintext, and its opening. Of a body key's scheme nothing but the body counts here."""
    aad = ssz_root(HEADER, header)
    if scheme == CLEAR:
        return plaintext, b""
    if scheme == IBE:
        of, height = keys(scheme), header["target_height"]
        key = PublicKey(key_id=of["key_id"], threshold=3, h=multiply(G2_GENERATOR, HEIGHT_SECRET), verification_keys=())
        opener = encode_g1(multiply(identity(of["key_id"], height), HEIGHT_SECRET))
        return encrypt(key, plaintext, aad, height, labelled("proofs/ibe")), opener
    before, after = page.BODY[scheme]
    random = labelled("proofs/points")
    return random(before) + seal(BODY_KEY, plaintext, aad) + random(after), BODY_KEY


def proof(
    scheme: int = CLEAR,
    *,
    content: bytes | None = None,
    plaintext: bytes | None = None,
    value: int = 1,
    nonce_before: int = NONCE,
    nonce_after: int = NONCE + 1,
    balance: int = ETHER,
    spent: int = CHARGED,
    spoiled: bool = False,
    rotated: bool = False,
) -> Json:
    """A good one, as a container's value."""
    of = keys(scheme)
    addressed = HEIGHT if scheme == IBE else 0
    chosen: Json = {"nonce": NONCE, "key_id": of["key_id"], "scheme": scheme, "target_height": addressed}
    chosen["valid_until"] = HEIGHT if scheme == IBE else 50
    header = envelope(NETWORK, **chosen)["header"]
    content = payload(nonce=NONCE, gas_limit=21_000, value=value) if content is None else content
    plaintext = pad(content, NETWORK["size_classes"], labelled("proofs/pad")) if plaintext is None else plaintext
    sealed, opening = ciphertext(scheme, header, plaintext)
    sealed = sealed[:-1] + bytes([sealed[-1] ^ 1]) if spoiled else sealed
    transaction = envelope(NETWORK, ciphertext=sealed, **chosen)
    ids = [labelled("proofs/first")(32), tx_id(transaction), labelled("proofs/last")(32)]
    before, after = state_at(HEIGHT - 1, nonce_before, balance), state_at(HEIGHT, nonce_after, balance - spent)
    receipt = {
        "tx_id": ids[1],
        "sequence": 9,
        "received_at_ms": NETWORK["timestamp_ms"],
        "include_by_height": chosen["valid_until"] if scheme == IBE else 16,
        "include_by_l1_block": 64,
        "reveal_by_l1_block": 96,
    }
    chain, governing = [signed(NETWORK, of)], of
    if rotated:
        governing = successor(of)
        chain.append(signed(NETWORK, governing))
    return {
        "genesis": page.summary(NETWORK),
        "key_sets": chain,
        "transaction": transaction,
        "receipts": [{"message": receipt, "signature": sign(RECEIPT, receipt, "sequencer")}],
        "ordered": certified(commitment(of, HEIGHT, ids, HEIGHT - 1, before)),
        "position": 1,
        "branch": page.list_branch(ids, 1, page.BATCH_DEPTH),
        "opening": opening,
        "before": page.account_branch(before, address("alice")),
        "after": [
            {
                "named_by": certified(commitment(governing, LATER, [], HEIGHT, after)),
                "shown": page.account_branch(after, address("alice")),
            }
        ],
    }


def verified(title: str, made: Json | bytes, *rules: str, refused: bool, root: bytes = ROOT) -> Case:
    file = made if isinstance(made, bytes) else page.MAGIC + ssz_encode(page.PROOF, made)
    given = {"proof": to_hex(file), "genesis_root": to_hex(root)}
    return Case(operation="verify", title=title, requirements=rules, input=given, refused=refused)


def good_cases() -> Iterator[Case]:
    def case(title: str, made: Json, *rules: str) -> Case:
        return verified(title, made, *rules, refused=False)

    yield case("nothing is closed", proof(), *RULES)
    yield case("the key of a body, tdh2", proof(TDH2), "PRF-6")
    yield case("the key of a body, simple-bte", proof(SIMPLE_BTE), "PRF-6")
    yield case("the key of a body, fptx", proof(FPTX), "PRF-6")
    yield case("the key of a height", proof(IBE), "PRF-6", "PRF-5")
    yield case("the later state is named under a successor", proof(rotated=True), "PRF-2", "PRF-3")
    yield case("no later state", proof() | {"after": []}, "PRF-7", "PRF-8")
    yield case("no later state, and nothing is sent", proof(value=0) | {"after": []}, "PRF-8")
    yield case("nothing opened", proof(TDH2) | {"opening": b""}, "PRF-6", "PRF-8")
    yield case("nothing opened, no later state", proof(TDH2) | {"opening": b"", "after": []}, "PRF-8")
    yield case("the key of a height not shown", proof(IBE) | {"opening": b""}, "PRF-6", "PRF-8")
    yield case("another of the sender's may have come first", proof(nonce_before=NONCE - 1), "PRF-8")
    yield case("another of the sender's may have come after", proof(nonce_after=NONCE + 2), "PRF-8")
    reserved = 21_000 * 30 * 10**9
    yield case("balance for reservation and value", proof(value=10**15, balance=10**15 + reserved), "PRF-8")
    yield case("a wei less than that", proof(value=10**15, balance=10**15 + reserved - 1), "PRF-8")
    yield case("what the key of its height does not open", proof(IBE, spoiled=True), "PRF-6", "PRF-8")
    yield case("a wei more is gone than it may be charged", proof(spent=CHARGED + 1), "PRF-10")
    unopened = proof(TDH2, spent=ETHER // 2) | {"opening": b""}
    yield case("half an ether is gone, nothing opened", unopened, "PRF-8", "PRF-10")
    yield case("half an ether is gone, by one or two", proof(nonce_after=NONCE + 2, spent=ETHER // 2), "PRF-10")
    yield case("half an ether came in", proof(spent=-ETHER // 2), "PRF-10")
    yield case("padding of version 2", proof(TDH2, plaintext=b"\x02" + bytes(255)), "PRF-8")
    yield case("no transaction inside", proof(TDH2, content=b"rubbish"), "PRF-8")
    yield case("forced in, without a receipt", proof(TDH2) | {"receipts": []}, "PRF-5")
    other = payload(nonce=NONCE + 1, gas_limit=21_000, value=1)
    yield case("a payload with another nonce", proof(content=other), "PRF-8")


def changed(change: Change, scheme: int = CLEAR, **options: Any) -> Json:
    made = deepcopy(proof(scheme, **options))
    change(made)
    return made


def again(certified_by: Json, *, sequencer: str = "sequencer", voters: Sequence[str] = VOTERS, **changes: Any) -> Json:
    """A commitment with changes, signed and voted for anew."""
    return certified(certified_by["commitment"]["message"] | changes, sequencer=sequencer, voters=voters)


def bad_cases() -> Iterator[Case]:
    def case(title: str, rules: tuple[str, ...], change: Change, scheme: int = CLEAR, **options: Any) -> Case:
        return verified(title, changed(change, scheme, **options), *rules, refused=True)

    file = page.MAGIC + ssz_encode(page.PROOF, proof())
    yield verified("another network", proof(), "PRF-1", refused=True, root=labelled("proofs/other")(32))
    yield verified("no proof's first line", b"encmempool history 1\n" + file[19:], "PRF-1", refused=True)
    yield verified("the last byte is missing", file[:-1], "PRF-1", refused=True)
    yield verified("a byte follows", file + b"\0", "PRF-1", refused=True)
    yield case("the summary of another genesis", ("PRF-1",), lambda p: p["genesis"].update(base_fee=1))

    def resigned(p: Json, signers: Sequence[str] = MEMBERS, **changes: Any) -> None:
        p["key_sets"] = [signed(NETWORK, key_set(NETWORK, **changes), signers)]

    yield case("no key set", ("PRF-2",), lambda p: p.update(key_sets=[]))
    yield case("two members signed the key set", ("PRF-2", "KEY-2"), lambda p: resigned(p, MEMBERS[:2]))
    yield case("a key set of another network", ("PRF-2", "KEY-1"), lambda p: resigned(p, genesis_root=bytes(32)))
    yield case("a key set that starts late", ("PRF-2", "KEY-6"), lambda p: resigned(p, start_height=2))
    yield case("a key under another name", ("PRF-2", "KEY-3"), lambda p: resigned(p, key_id=bytes(32)))
    yield case("threshold 2 of 4 unsaid", ("PRF-2", "KEY-4"), lambda p: resigned(p, t=2, reduced_threshold=0))
    strangers = ("alice", "bob", "carol", "dave")
    yield case(
        "a successor that strangers signed",
        ("PRF-2", "KEY-8"),
        lambda p: p["key_sets"].append(signed(NETWORK, successor(keys(CLEAR)), strangers)),
    )
    yield case(
        "a successor without a gap in epochs alone",
        ("PRF-2", "KEY-8"),
        lambda p: p["key_sets"].append(signed(NETWORK, successor(keys(CLEAR), epoch=3))),
    )

    def ordered(p: Json, **options: Any) -> None:
        p["ordered"] = again(p["ordered"], **options)

    yield case("a height below the first", ("PRF-3",), lambda p: ordered(p, height=0))
    yield case("another committee", ("PRF-3",), lambda p: ordered(p, committee_id=bytes(32)))
    yield case("another key", ("PRF-3",), lambda p: ordered(p, key_id=bytes(32)))
    yield case(
        "a successor began before the height",
        ("PRF-3",),
        lambda p: p["key_sets"].append(signed(NETWORK, successor(keys(CLEAR), start_height=HEIGHT))),
    )
    yield case("signed by a member", ("PRF-3", "VOT-1"), lambda p: ordered(p, sequencer="member 1"))
    yield case("two votes", ("PRF-3", "CRT-3"), lambda p: ordered(p, voters=MEMBERS[:2]))
    yield case("four votes", ("PRF-3", "CRT-3"), lambda p: ordered(p, voters=MEMBERS))
    yield case("one member's vote twice", ("PRF-3", "CRT-3"), lambda p: ordered(p, voters=(*MEMBERS[:2], MEMBERS[1])))
    yield case("a stranger's vote", ("PRF-3", "CRT-3"), lambda p: ordered(p, voters=(*MEMBERS[:2], "alice")))
    yield case(
        "votes for another commitment",
        ("PRF-3", "CRT-3"),
        lambda p: p["ordered"].update(certificate=again(p["ordered"], timestamp_ms=1)["certificate"]),
    )

    yield case("the neighbour's position", ("PRF-4",), lambda p: p.update(position=0))
    yield case("a position behind the batch", ("PRF-4",), lambda p: p.update(position=3))
    yield case("a position beyond the tree", ("PRF-4",), lambda p: p.update(position=1 + (1 << 13)))
    yield case("a node is missing", ("PRF-4",), lambda p: p.update(branch=p["branch"][1:]))
    yield case("a node is one bit off", ("PRF-4",), lambda p: p["branch"].__setitem__(0, bytes(32)))
    yield case("the chunk says four", ("PRF-4",), lambda p: p["branch"].__setitem__(12, page.chunk(4)))
    yield case("the commitment says four", ("PRF-4",), lambda p: ordered(p, count=4))

    def received(p: Json, by: str = "sequencer", **changes: Any) -> None:
        message = p["receipts"][0]["message"] | changes
        p["receipts"] = [{"message": message, "signature": sign(RECEIPT, message, by)}]

    def unsigned(p: Json) -> None:
        p["transaction"]["signature"] = p["receipts"][0]["signature"]

    yield case("not the sender's envelope", ("PRF-5", "TXN-7"), unsigned)
    yield case("a member's receipt", ("PRF-5", "SEQ-6"), lambda p: received(p, "member 1"))
    yield case("another's receipt", ("PRF-5", "SEQ-7"), lambda p: received(p, tx_id=bytes(32)))
    yield case("a receipt that promises too late", ("PRF-5", "SEQ-4"), lambda p: received(p, include_by_height=51))
    yield case("a receipt with other deadlines", ("PRF-5", "SEQ-8"), lambda p: received(p, reveal_by_l1_block=97))
    yield case("expired", ("PRF-5", "TXN-8"), lambda p: ordered(p, height=51))
    yield case("addressed to another height", ("PRF-5",), lambda p: ordered(p, height=HEIGHT - 1), IBE)

    yield case("an opening of what is not closed", ("PRF-6",), lambda p: p.update(opening=bytes(32)))
    yield case("a byte too many", ("PRF-6",), lambda p: p.update(opening=BODY_KEY + b"\0"), TDH2)
    yield case("the key of a height for a body", ("PRF-6",), lambda p: p.update(opening=bytes(48)), TDH2)
    wrong = bytes([BODY_KEY[0] ^ 1]) + BODY_KEY[1:]
    for scheme in (TDH2, SIMPLE_BTE, FPTX):
        yield case(f"another key, scheme {scheme}", ("PRF-6", "AED-3"), lambda p: p.update(opening=wrong), scheme)
    other = encode_g1(multiply(identity(keys(IBE)["key_id"], HEIGHT + 1), HEIGHT_SECRET))
    yield case("the key of another height", ("PRF-6", "IBE-6"), lambda p: p.update(opening=other), IBE)
    yield case("no point", ("PRF-6",), lambda p: p.update(opening=bytes(48)), IBE)

    def later(p: Json, **options: Any) -> None:
        p["after"][0]["named_by"] = again(p["after"][0]["named_by"], **options)

    yield case(
        "before: another's account",
        ("PRF-7",),
        lambda p: p.update(before=page.account_branch(state_at(HEIGHT - 1, NONCE, ETHER), b"\x10" * 20)),
    )
    yield case("before: a wei more", ("PRF-7",), lambda p: p["before"]["account"].update(balance=ETHER + 1))
    yield case("before: another place", ("PRF-7",), lambda p: p["before"].update(index=p["before"]["index"] ^ 1))
    yield case(
        "before: a place beyond the list",
        ("PRF-7",),
        lambda p: p["before"].update(index=p["before"]["index"] + (1 << 24)),
    )
    yield case("before: a node is missing", ("PRF-7",), lambda p: p["before"]["branch"].pop())
    yield case("after: a wei more", ("PRF-7",), lambda p: p["after"][0]["shown"]["account"].update(balance=ETHER))
    yield case(
        "after: the state before",
        ("PRF-7",),
        lambda p: p.update(after=[{"named_by": p["ordered"], "shown": p["before"]}]),
    )
    yield case("after: the nonce is not used", ("PRF-7",), lambda p: None, nonce_after=NONCE)
    yield case("after: a height not executed below it", ("PRF-7",), lambda p: later(p, executed_height=LATER))
    yield case("after: signed by a member", ("PRF-7", "VOT-1"), lambda p: later(p, sequencer="member 1"))
    yield case("after: two votes", ("PRF-7", "CRT-3"), lambda p: later(p, voters=MEMBERS[:2]))


def branch_cases() -> Iterator[Case]:
    def lists(title: str, count: int, index: int, depth: int = 12, *, refused: bool = False) -> Case:
        leaves = [to_hex(labelled(f"proofs/leaf {at}")(32)) for at in range(count)]
        given = {"leaves": leaves, "index": str(index), "depth": str(depth)}
        return Case(operation="list_branch", title=title, requirements=("PRF-9",), input=given, refused=refused)

    yield lists("one leaf", 1, 0)
    yield lists("the second of three", 3, 1)
    yield lists("the last of five, beside zeros", 5, 4)
    yield lists("a full list", 4, 2, 2)
    yield lists("a tree of one leaf", 1, 0, 0)
    yield lists("a place that the list has not", 3, 3, refused=True)
    yield lists("more leaves than there is room for", 5, 0, 2, refused=True)

    leaf, nodes = labelled("proofs/leaf")(32), [labelled(f"proofs/node {at}")(32) for at in range(3)]
    for index in (0, 5, 7, 8 + 5):
        given = {"leaf": to_hex(leaf), "index": str(index), "branch": [to_hex(node) for node in nodes]}
        title = f"index {index} in three levels"
        yield Case(operation="fold", title=title, requirements=("PRF-9",), input=given, refused=False)
    given = {"leaf": to_hex(leaf), "index": "0", "branch": []}
    yield Case(operation="fold", title="no level", requirements=("PRF-9",), input=given, refused=False)

    state = state_at(7, 3, ETHER)
    for title, of in (("an account among others", address("alice")), ("the first", b"\x10" * 20)):
        given = {"state": hexed(STATE, state), "address": to_hex(of)}
        yield Case(operation="account_branch", title=title, requirements=("PRF-9",), input=given, refused=False)
    given = {"state": hexed(STATE, state), "address": to_hex(bytes(20))}
    title = "an account that is not there"
    yield Case(operation="account_branch", title=title, requirements=("PRF-9",), input=given, refused=True)
    for title, network in (("a small network", NETWORK), ("no pools or tokens", genesis(pools=[], tokens=[]))):
        given = {"genesis": hexed(GENESIS, network)}
        yield Case(operation="summary", title=title, requirements=("PRF-1",), input=given, refused=False)


def cases() -> Iterator[Case]:
    yield from good_cases()
    yield from bad_cases()
    yield from branch_cases()
