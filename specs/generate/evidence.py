"""Inputs for the vectors of evidence.md: the small network of genesis.py, its parties honest and not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from spec import evidence as page, tdh2
from spec.genesis import sign_digest
from spec.notation import (
    ABSTAIN,
    ACCOUNT,
    DECRYPTION_SHARE,
    GENESIS,
    HEADER,
    KEY_SET,
    ORDER_COMMITMENT,
    POOL_STATE,
    RECEIPT,
    STATE,
    TOKEN_BALANCE,
    U8,
    UNSIGNED_TRANSACTION,
    VOTE,
    ZERO_HASH,
    ByteList,
    Container,
    ListOf,
    sha256,
    signing_digest,
    ssz_decode,
    ssz_encode,
    ssz_root,
    to_hex,
)
from spec.ordering import batch_root
from spec.voting import vote_for

from specs.generate.case import Case, Json, labelled
from specs.generate.genesis import GWEI, MEMBERS, address, genesis, key_set, secret, successor
from specs.generate.tdh2 import committee as tdh2_committee

Object = dict[str, Any]

HEIGHT = 7
TIME_MS = 1_700_000_007_000
NEEDED = 21_000 * 30 * GWEI
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
NETWORK = genesis()
FIRST = key_set(NETWORK)
LIMITED = FIRST | {"rounds": 8, "epoch": 5}
"""A key that opens eight rounds."""
SECOND = successor(FIRST, same_key=True, start_height=20, sequencer=address("second sequencer"))
"""The same key with the same members, under another sequencer."""


@cache
def _root_of(encoded: bytes) -> bytes:
    found: bytes = ssz_root(GENESIS, ssz_decode(GENESIS, encoded))
    return found


def root_of(network: Object) -> bytes:
    return _root_of(ssz_encode(GENESIS, network))


def signed(kind: Container, message: Object, by: str, network: Object = NETWORK) -> Object:
    signature = sign_digest(secret(by), signing_digest(kind, message, root_of(network)))
    if kind is KEY_SET:
        return {"message": message, "signatures": [signature]}
    return {"message": message, "signature": signature}


def transaction(sender: str, nonce: int = 0, **changes: Any) -> Object:
    header = {
        "version": 1,
        "key_id": FIRST["key_id"],
        "scheme": 0,
        "sender": address(sender),
        "nonce": nonce,
        "gas_limit": 21_000,
        "max_fee_per_gas": 30 * GWEI,
        "max_priority_fee_per_gas": 2 * GWEI,
        "target_height": 0,
        "valid_until": 100,
    }
    ciphertext = changes.pop("ciphertext", labelled(f"evidence/ciphertext/{sender}/{nonce}")(64))
    return {"header": header | changes, "ciphertext": ciphertext}


def id_of(one: Object) -> bytes:
    found: bytes = ssz_root(UNSIGNED_TRANSACTION, one)
    return found


ALICE, BOB = transaction("alice"), transaction("bob")
BATCH = [ALICE, BOB]


def commitment(transactions: Sequence[Object] = BATCH, **changes: Any) -> Object:
    return {
        "height": HEIGHT,
        "parent": labelled("evidence/parent")(32),
        "committee_id": ssz_root(KEY_SET, FIRST),
        "key_id": FIRST["key_id"],
        "round": 4,
        "batch_root": batch_root([id_of(one) for one in transactions]),
        "count": len(transactions),
        "policy_id": 1,
        "l1_block": 20,
        "inbox_index": 0,
        "timestamp_ms": TIME_MS,
        "executed_height": HEIGHT - 1,
        "state_root": labelled("evidence/state")(32),
    } | changes


def by_sequencer(message: Object, by: str = "sequencer", network: Object = NETWORK) -> Object:
    return signed(ORDER_COMMITMENT, message, by, network)


def receipt(of: Object = ALICE, by: str = "sequencer", **changes: Any) -> Object:
    message = {
        "tx_id": id_of(of),
        "sequence": 5,
        "received_at_ms": TIME_MS,
        "include_by_height": 10,
        "include_by_l1_block": 64,
        "reveal_by_l1_block": 96,
    }
    return signed(RECEIPT, message | changes, by)


def vote(by: str = MEMBERS[0], **changes: Any) -> Object:
    return signed(VOTE, vote_for(commitment()) | changes, by)


def share(by: str = MEMBERS[0], **changes: Any) -> Object:
    message = vote_for(commitment()) | {"member": 1, "data": b""}
    return signed(DECRYPTION_SHARE, message | changes, by)


def abstention(by: str = MEMBERS[0], **changes: Any) -> Object:
    return signed(ABSTAIN, {"committee_id": ssz_root(KEY_SET, FIRST), "height": HEIGHT} | changes, by)


def position(transactions: Sequence[Object], index: int) -> Object:
    ids = [id_of(one) for one in transactions]
    return {"index": index, "branch": page.list_branch(ids, index, page.BATCH_DEPTH)}


def entry(transactions: Sequence[Object], index: int) -> Object:
    return {"position": position(transactions, index), "transaction": transactions[index]}


def state(**accounts: tuple[int, int]) -> Object:
    """Nonces and balances by name, between two strangers' accounts."""
    listed = {b"\x00" * 20: (1, 1), b"\xff" * 20: (1, 1)} | {address(name): of for name, of in accounts.items()}
    made = [{"address": at, "nonce": nonce, "balance": balance} for at, (nonce, balance) in sorted(listed.items())]
    return {"height": HEIGHT - 1, "accounts": made, "token_balances": [], "pools": []}


def account(of: Object, index: int) -> Object:
    roots = [ssz_root(ACCOUNT, one) for one in of["accounts"]]
    tokens = ssz_root(ListOf(TOKEN_BALANCE, 1 << page.STATE_DEPTH), of["token_balances"])
    pools = ssz_root(ListOf(POOL_STATE, 1 << 10), of["pools"])
    above = [of["height"].to_bytes(32, "little"), sha256(tokens + pools)]
    branch = page.list_branch(roots, index, page.STATE_DEPTH) + above
    return {"account": of["accounts"][index], "index": index, "branch": branch}


def place(of: Object, name: str) -> int:
    return [one["address"] for one in of["accounts"]].index(address(name))


def registry(key_sets: Sequence[Object], network: Object = NETWORK) -> Json:
    return {
        "genesis": to_hex(ssz_encode(GENESIS, network)),
        "key_sets": [to_hex(ssz_encode(KEY_SET, one)) for one in key_sets],
    }


def case(
    title: str,
    kind: int,
    shown: Object,
    *rules: str,
    refused: bool = True,
    key_sets: Sequence[Object] = (FIRST, SECOND, LIMITED),
    network: Object = NETWORK,
) -> Case:
    body = ssz_encode(page.KINDS[kind], shown)
    return Case(
        operation="examine",
        title=title,
        requirements=rules,
        input=registry(key_sets, network)
        | {"evidence": to_hex(ssz_encode(page.EVIDENCE, {"kind": kind, "body": body}))},
        refused=refused,
    )


def cases() -> Iterator[Case]:
    yield from branches()
    yield from envelopes()
    yield from pairs()
    yield from shares()
    yield from successors()
    yield from wrong_shares()
    yield from commitments()
    yield from entries()
    yield from repetitions()
    yield from batches()
    yield from questions()
    yield from answers()


def branches() -> Iterator[Case]:
    for count, index in ((1, 0), (2, 1), (5, 4), (9, 6)):
        leaves = [bytes([at + 1]) * 32 for at in range(count)]
        yield Case(
            operation="list_branch",
            title=f"element {index} of {count}",
            requirements=("EVD-9",),
            input={"leaves": [to_hex(leaf) for leaf in leaves], "index": str(index), "depth": "12"},
            refused=False,
        )
        yield Case(
            operation="fold",
            title=f"element {index} of {count}",
            requirements=("EVD-9",),
            input={
                "leaf": to_hex(leaves[index]),
                "index": str(index),
                "branch": [to_hex(one) for one in page.list_branch(leaves, index, 12)],
            },
            refused=False,
        )


def envelopes() -> Iterator[Case]:
    good = {"first": by_sequencer(commitment()), "second": by_sequencer(commitment(timestamp_ms=TIME_MS + 1))}
    body = ssz_encode(page.KINDS[1], good)
    wrong = Container("Evidence", {"kind": U8, "body": ByteList(1 << 26)})
    for title, kind, data, rules in (
        ("a kind that nobody knows", 0, body, ("EVD-1",)),
        ("the first kind after the last", 13, body, ("EVD-1",)),
        ("a byte of the body is missing", 1, body[:-1], ("SSZ-2",)),
        ("a byte follows", 1, body + b"\0", ("SSZ-2",)),
        ("the body of two votes", 2, body, ("SSZ-2",)),
    ):
        yield Case(
            operation="examine",
            title=title,
            requirements=rules,
            input=registry([FIRST]) | {"evidence": to_hex(ssz_encode(wrong, {"kind": kind, "body": data}))},
            refused=True,
        )


def second_form(of: Object) -> Object:
    """The same signature as anybody can write it once more."""
    r, s, v = of["signature"][:32], of["signature"][32:64], of["signature"][64]
    other = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    return of | {"signature": r + other + bytes([55 - v])}


def pairs() -> Iterator[Case]:
    first, second = by_sequencer(commitment()), by_sequencer(commitment(timestamp_ms=TIME_MS + 1))
    two = {"first": first, "second": second}
    yield case("two commitments", 1, two, "EVD-1", "EVD-2", refused=False)
    yield case("two commitments, turned", 1, {"first": second, "second": first}, "EVD-2", refused=False)
    yield case("one commitment twice", 1, {"first": first, "second": first}, "EVD-2")
    yield case("the second form of its signature", 1, two | {"second": second_form(first)}, "EVD-2", "EVD-10")
    yield case("a signature in its second form", 1, two | {"second": second_form(second)}, "EVD-10", "SIG-1")
    yield case("heights apart", 1, two | {"second": by_sequencer(commitment(height=HEIGHT + 1))}, "EVD-2")
    other = commitment(committee_id=ssz_root(KEY_SET, LIMITED))
    yield case("committees apart", 1, two | {"second": by_sequencer(other)}, "EVD-2")
    yield case("one is a stranger's", 1, two | {"second": by_sequencer(second["message"], "mallory")}, "EVD-2")
    yield case("a committee of another network", 1, two, "EVD-1", key_sets=[SECOND])
    elsewhere = {name: by_sequencer(of["message"], network=genesis(chain_id=1)) for name, of in two.items()}
    yield case("signed for another network", 1, elsewhere, "EVD-2")

    promises = {"first": receipt(), "second": receipt(BOB)}
    yield case("two receipts of one sequence", 4, promises, "EVD-3", refused=False)
    later = {name: receipt(of, "second sequencer") for name, of in (("first", ALICE), ("second", BOB))}
    yield case("two receipts of a later sequencer", 4, later, "EVD-3", refused=False)
    yield case("sequences apart", 4, promises | {"second": receipt(BOB, sequence=6)}, "EVD-3")
    yield case("one receipt twice", 4, promises | {"second": receipt()}, "EVD-3")
    yield case("receipts of two sequencers", 4, promises | {"second": later["second"]}, "EVD-3")
    strangers = {name: receipt(of, "mallory") for name, of in (("first", ALICE), ("second", BOB))}
    yield case("receipts of a stranger", 4, strangers, "EVD-3")

    votes = {"first": vote(), "second": vote(commitment_root=ZERO_HASH)}
    yield case("two votes", 2, votes, "EVD-4", refused=False)
    yield case("one vote twice", 2, votes | {"second": vote()}, "EVD-4")
    yield case("votes of two members", 2, votes | {"second": vote(MEMBERS[1], commitment_root=ZERO_HASH)}, "EVD-4")
    yield case("votes at two heights", 2, votes | {"second": vote(height=HEIGHT + 1)}, "EVD-4")
    yield case("a vote of no member", 2, votes | {"second": vote("mallory", round=9)}, "EVD-11")


def shares() -> Iterator[Case]:
    root = ssz_root(KEY_SET, LIMITED)
    again: dict[str, Any] = {"commitment_root": labelled("evidence/another")(32)}
    two = {"first": share(), "second": share(**again)}
    yield case("two shares at a height", 3, two, "EVD-5", refused=False)
    named: dict[str, Any] = {"committee_id": ssz_root(KEY_SET, SECOND)}
    yield case("under two key sets with one key", 3, two | {"second": share(**again, **named)}, "EVD-5", refused=False)
    yield case("two shares for one commitment", 3, two | {"second": share(data=b"other")}, "EVD-5")
    yield case("shares at two heights", 3, two | {"second": share(height=HEIGHT + 1, **again)}, "EVD-5")
    yield case("shares of two members", 3, two | {"second": share(MEMBERS[1], **again)}, "EVD-5")
    yield case("a share that no member signed", 3, two | {"second": share("mallory", **again)}, "EVD-11")
    other = successor(FIRST, start_height=9)
    apart = two | {"second": share(**again, committee_id=ssz_root(KEY_SET, other))}
    yield case("shares under two keys", 3, apart, "EVD-5", key_sets=[FIRST, other])
    rounds = {
        "first": share(committee_id=root),
        "second": share(committee_id=root, height=HEIGHT + 1, **again),
    }
    yield case("two shares in a round, where rounds are limited", 3, rounds, "EVD-17", refused=False)
    different = share(committee_id=root, height=HEIGHT + 1, round=5, **again)
    yield case("two shares in two rounds", 3, rounds | {"second": different}, "EVD-5", "EVD-17")

    both = {"share": share(), "abstention": abstention()}
    yield case("a share and an abstention", 6, both, "EVD-17", refused=False)
    yield case("an abstention elsewhere", 6, both | {"abstention": abstention(height=HEIGHT + 1)}, "EVD-17")
    yield case("another's abstention", 6, both | {"abstention": abstention(MEMBERS[1])}, "EVD-17")
    yield case("a stranger's abstention", 6, both | {"abstention": abstention("mallory")}, "EVD-11")


def successors() -> Iterator[Case]:
    later = SECOND | {"start_height": 30}
    two = {"first": signed(KEY_SET, SECOND, MEMBERS[0]), "second": signed(KEY_SET, later, MEMBERS[0])}
    yield case("two successors", 7, two, "EVD-16", refused=False)
    yield case("one successor twice", 7, two | {"second": two["first"]}, "EVD-16")
    other = signed(KEY_SET, later | {"predecessor": ssz_root(KEY_SET, SECOND)}, MEMBERS[0])
    yield case("successors of two key sets", 7, two | {"second": other}, "EVD-16")
    yield case("successors that two members signed", 7, two | {"second": signed(KEY_SET, later, MEMBERS[1])}, "EVD-16")
    crowd = two["second"] | {"signatures": two["second"]["signatures"] * 2}
    yield case("a signature too many", 7, two | {"second": crowd}, "EVD-16")
    yield case("no signature", 7, two | {"second": crowd | {"signatures": []}}, "EVD-16")

    after = {"successor": two["first"], "share": share(height=20)}
    yield case("a share at the successor's start", 8, after, "EVD-16", refused=False)
    yield case("a share below the successor's start", 8, after | {"share": share(height=19)}, "EVD-16")
    own = share(height=20, committee_id=ssz_root(KEY_SET, SECOND))
    yield case("a share under the successor", 8, after | {"share": own}, "EVD-16")
    yield case("a share of another member", 8, after | {"share": share(MEMBERS[1], height=20)}, "EVD-16")


def wrong_shares() -> Iterator[Case]:
    made = {"commitment": by_sequencer(commitment()), "transactions": BATCH}
    wrong = made | {"share": share(data=b"\1")}
    yield case("a share of the control scheme that is not empty", 5, wrong, "EVD-7", refused=False)
    yield case("a right share", 5, made | {"share": share()}, "EVD-7")
    yield case("signed in another's name", 5, made | {"share": share(data=b"\1", member=2)}, "EVD-11")
    yield case("transactions of another batch", 5, wrong | {"transactions": [BOB, ALICE]}, "EVD-7")
    other = by_sequencer(commitment(timestamp_ms=0))
    yield case("next to another commitment", 5, wrong | {"commitment": other}, "EVD-7")
    stranger = by_sequencer(commitment(), "mallory")
    yield case("next to a commitment that the sequencer did not sign", 5, wrong | {"commitment": stranger}, "EVD-7")
    yield from tdh2_shares()


def tdh2_shares() -> Iterator[Case]:
    made = tdh2_committee()
    encrypted = key_set(
        NETWORK,
        scheme=1,
        encryption_key=made.material.encryption_key,
        verification_keys=list(made.material.verification_keys),
    )
    key = tdh2.load_public_key(made.material.encode(), encrypted["key_id"])
    header = transaction("alice", key_id=encrypted["key_id"], scheme=1)["header"]
    aad = ssz_root(HEADER, header)
    sealed = {"header": header, "ciphertext": tdh2.encrypt(key, bytes(64), aad, labelled("evidence/tdh2"))}
    message = commitment([sealed], committee_id=ssz_root(KEY_SET, encrypted), key_id=encrypted["key_id"])
    entries = (tdh2.verify_ciphertext(key, sealed["ciphertext"], aad),)
    batch = tdh2.Batch(key_id=encrypted["key_id"], height=HEIGHT, round=4, entries=entries)
    right = tdh2.partial_decrypt(key, batch, 1, made.secrets[0], labelled("evidence/share"))
    for title, data, refused in (
        ("a right share of tdh2", right, True),
        ("a share of tdh2 with a bit changed", right[:-1] + bytes([right[-1] ^ 1]), False),
        ("a share of tdh2 that is none", b"", False),
    ):
        given = signed(DECRYPTION_SHARE, vote_for(message) | {"member": 1, "data": data}, MEMBERS[0])
        shown = {"share": given, "commitment": by_sequencer(message), "transactions": [sealed]}
        yield case(title, 5, shown, "EVD-7", refused=refused, key_sets=[encrypted])
    flipped = sealed | {"ciphertext": sealed["ciphertext"][:-1] + bytes([sealed["ciphertext"][-1] ^ 1])}
    for title, one, refused in (
        ("a ciphertext that its scheme refuses", flipped, False),
        ("a good ciphertext", sealed, True),
    ):
        of = commitment([one], committee_id=ssz_root(KEY_SET, encrypted), key_id=encrypted["key_id"])
        shown = {"commitment": by_sequencer(of), "entries": [entry([one], 0)], "accounts": []}
        yield case(title, 10, shown, "EVD-8", refused=refused, key_sets=[encrypted])


def alone(title: str, rule: str, **changes: Any) -> Case:
    shown = {"commitment": by_sequencer(commitment(**changes)), "parent": []}
    return case(title, 9, shown, "EVD-8", rule, refused=False)


def beside(title: str, *rules: str, refused: bool = False, parent: Json | None = None, **changes: Any) -> Case:
    above = commitment([], height=HEIGHT - 1, round=3, executed_height=HEIGHT - 2, **(parent or {}))
    message = commitment(**{"parent": ssz_root(ORDER_COMMITMENT, above)} | changes)
    return case(title, 9, {"commitment": by_sequencer(message), "parent": [above]}, *rules, refused=refused)


def commitments() -> Iterator[Case]:
    honest = {"commitment": by_sequencer(commitment()), "parent": []}
    yield case("an honest commitment", 9, honest, "EVD-8")
    forged = {"commitment": by_sequencer(commitment(policy_id=2), "mallory"), "parent": []}
    yield case("a stranger's invalid commitment", 9, forged, "EVD-8", "VOT-1")
    yield alone("another key", "VOT-2", key_id=ZERO_HASH)
    yield alone("a height below the key set's start", "VOT-2", committee_id=ssz_root(KEY_SET, LIMITED), height=0)
    yield alone("the first height from elsewhere", "VOT-2", height=1, executed_height=0, round=1)
    yield alone("no transactions, and a root of some", "VOT-3", count=0)
    yield alone("a count, and the root of none", "VOT-3", batch_root=batch_root([]))
    yield alone("another policy", "VOT-6", policy_id=2)
    yield alone("its own height executed", "VOT-7", executed_height=HEIGHT)
    yield alone("33 heights wait", "VOT-7", height=HEIGHT + 32)
    yield alone("a round that the key does not have", "VOT-8", committee_id=ssz_root(KEY_SET, LIMITED), round=9)
    yield alone("a batch too large", "VOT-9", count=9)
    yield alone("an inbox where there is none", "VOT-9", inbox_index=1)
    yield alone("before the genesis", "VOT-9", timestamp_ms=NETWORK["timestamp_ms"] - 1)
    second = commitment(height=20, executed_height=19, key_id=SECOND["key_id"], committee_id=ssz_root(KEY_SET, SECOND))
    starts = second | {"parent": SECOND["start_parent"]}
    for title, message, rule in (
        ("the first round of a key set does not follow", starts | {"round": 3}, "VOT-8"),
        ("a key set's first height from elsewhere", second, "VOT-2"),
    ):
        shown = {"commitment": by_sequencer(message, "second sequencer"), "parent": []}
        yield case(title, 9, shown, "EVD-8", rule, refused=False)
    ended = FIRST | {"valid_until": HEIGHT - 1}
    shown = {"commitment": by_sequencer(commitment(committee_id=ssz_root(KEY_SET, ended))), "parent": []}
    yield case("the key has ended", 9, shown, "EVD-8", "VOT-9", refused=False, key_sets=[ended])
    late = {"commitment": by_sequencer(commitment(height=25, executed_height=24)), "parent": []}
    yield case("at a height that a later key set took over", 9, late, "EVD-8")

    yield beside("an honest commitment beside its parent", "EVD-8", refused=True)
    yield beside("a height is skipped", "EVD-8", "VOT-2", height=HEIGHT + 1)
    yield beside("the executed height falls", "EVD-8", "VOT-7", executed_height=HEIGHT - 3)
    yield beside("the round stands still", "EVD-8", "VOT-8", round=3)
    yield beside("the block of the chain below goes back", "EVD-8", "VOT-9", l1_block=19)
    yield beside("earlier than its parent", "EVD-8", "VOT-9", timestamp_ms=TIME_MS - 1)
    other = {"commitment": by_sequencer(commitment()), "parent": [commitment(height=3)]}
    yield case("beside a commitment that is not its parent", 9, other, "EVD-9")


def one_entry(one: Object, **changes: Any) -> Object:
    batch = [one, BOB]
    return {"commitment": by_sequencer(commitment(batch, **changes)), "entries": [entry(batch, 0)], "accounts": []}


def entries() -> Iterator[Case]:
    yield case("a good entry", 10, one_entry(ALICE), "EVD-8")
    for title, changes in (
        ("another version", {"version": 2}),
        ("another key", {"key_id": ZERO_HASH}),
        ("a gas limit beside the ladder", {"gas_limit": 21_001}),
        ("a fee below the base fee", {"max_fee_per_gas": GWEI, "max_priority_fee_per_gas": 0}),
        ("a height where none is addressed", {"target_height": 100}),
        ("a ciphertext of no size class", {"ciphertext": bytes(65)}),
        ("expired", {"valid_until": HEIGHT - 1}),
    ):
        yield case(title, 10, one_entry(transaction("alice", **changes)), "EVD-8", refused=False)
    yield case("another number than counted", 10, one_entry(ALICE, count=3), "EVD-8", refused=False)
    yield case("no entry", 10, one_entry(ALICE) | {"entries": []}, "EVD-8")
    moved = entry([ALICE, BOB], 0)
    moved["position"] = moved["position"] | {"index": 1}
    yield case("an entry at another place", 10, one_entry(ALICE) | {"entries": [moved]}, "EVD-9")
    cut = entry([ALICE, BOB], 0)
    cut["position"] = cut["position"] | {"branch": cut["position"]["branch"][:-1]}
    yield case("a branch without its end", 10, one_entry(ALICE) | {"entries": [cut]}, "EVD-9")

    for title, of, rules, refused in (
        ("a sender who can pay", (0, NEEDED), ("EVD-8",), True),
        ("a nonce that is used", (1, NEEDED), ("EVD-8",), False),
        ("a sender who cannot pay", (0, NEEDED - 1), ("EVD-8",), False),
    ):
        now = state(alice=of)
        shown = one_entry(ALICE, state_root=ssz_root(STATE, now))
        yield case(title, 10, shown | {"accounts": [account(now, place(now, "alice"))]}, *rules, refused=refused)
    ahead = transaction("alice", 2)
    now = state(alice=(0, 2**80))
    shown = one_entry(ahead, state_root=ssz_root(STATE, now))
    yield case(
        "a nonce that so small a batch cannot reach",
        10,
        shown | {"accounts": [account(now, place(now, "alice"))]},
        "EVD-8",
        refused=False,
    )
    empty = state()
    nobody = one_entry(ALICE, state_root=ssz_root(STATE, empty))
    neighbours = [account(empty, 0), account(empty, 1)]
    yield case(
        "a sender without an account, by its neighbours", 10, nobody | {"accounts": neighbours}, "EVD-9", refused=False
    )
    yield case("one neighbour is no absence", 10, nobody | {"accounts": neighbours[:1]}, "EVD-9")
    there = one_entry(ALICE, state_root=ssz_root(STATE, now))
    around = [account(now, place(now, "alice") - 1), account(now, place(now, "alice") + 1)]
    yield case("neighbours with room between them", 10, there | {"accounts": around}, "EVD-9")
    own = account(now, place(now, "alice"))
    richer = own | {"account": own["account"] | {"balance": 0}}
    yield case("an account with another balance", 10, there | {"accounts": [richer]}, "EVD-9")
    both = [ALICE, transaction("alice", 1)]
    for title, balance, refused in (("a sender who pays for both", 2, True), ("a sender who pays for one", 1, False)):
        now = state(alice=(0, balance * NEEDED))
        shown = {
            "commitment": by_sequencer(commitment(both, state_root=ssz_root(STATE, now))),
            "entries": [entry(both, 0), entry(both, 1)],
            "accounts": [account(now, place(now, "alice"))],
        }
        yield case(title, 10, shown, "EVD-8", refused=refused)
    yield case("one entry shown twice", 10, shown | {"entries": [entry(both, 0)] * 2}, "EVD-8")


def repetitions() -> Iterator[Case]:
    def chained(older: Sequence[Object], newer: Sequence[Object], **changes: Any) -> Object:
        grandparent = commitment(older, height=HEIGHT - 2, round=2, executed_height=HEIGHT - 3)
        parent = commitment([], height=HEIGHT - 1, round=2, parent=ssz_root(ORDER_COMMITMENT, grandparent))
        usual = {"parent": ssz_root(ORDER_COMMITMENT, parent), "round": 3, "executed_height": HEIGHT - 3}
        return {
            "commitment": by_sequencer(commitment(newer, **usual | changes)),
            "ancestors": [parent, grandparent],
            "entry": entry(newer, 0),
            "earlier": entry(older, 0),
        }

    later = transaction("alice", 1)
    again = transaction("alice", ciphertext=bytes(64))
    yield case("a transaction that an ancestor holds", 11, chained([ALICE], [ALICE]), "EVD-8", refused=False)
    yield case("a nonce that an ancestor holds", 11, chained([ALICE], [again]), "EVD-8", refused=False)
    yield case("a sender who waits for execution", 11, chained([ALICE], [later]), "EVD-8", refused=False)
    done = chained([ALICE], [later], executed_height=HEIGHT - 2)
    yield case("a sender whose batch is executed", 11, done, "EVD-8")
    yield case("another sender", 11, chained([ALICE], [BOB]), "EVD-8")
    turned = chained([ALICE], [ALICE])
    yield case("ancestors out of order", 11, turned | {"ancestors": turned["ancestors"][::-1]}, "EVD-9")
    elsewhere = turned | {"earlier": entry([BOB, ALICE], 1)}
    yield case("an entry of another batch", 11, elsewhere, "EVD-9")
    twice = [ALICE, BOB, ALICE]
    inside = {
        "commitment": by_sequencer(commitment(twice)),
        "ancestors": [],
        "entry": entry(twice, 2),
        "earlier": entry(twice, 0),
    }
    yield case("a transaction twice in a batch", 11, inside, "EVD-8", refused=False)
    yield case("one place twice", 11, inside | {"earlier": entry(twice, 2)}, "EVD-8")


def batches() -> Iterator[Case]:
    def whole(batch: Sequence[Object], sequences: Sequence[int] = (), **changes: Any) -> Object:
        promises = zip(batch, sequences, strict=False)
        return {
            "commitment": by_sequencer(commitment(batch, **changes)),
            "parent": [],
            "transactions": list(batch),
            "receipts": [receipt(one, sequence=sequence) for one, sequence in promises],
            "accounts": [],
        }

    yield case("an honest batch", 12, whole(BATCH, (1, 2)), "EVD-8")
    yield case("a batch out of order", 12, whole(BATCH, (2, 1)), "EVD-8", refused=False)
    yield case("an order of which no receipts are shown", 12, whole(BATCH), "EVD-8")
    yield case("a receipt is missing", 12, whole(BATCH, (2,)), "EVD-8")
    other = whole(BATCH, (2, 1))
    foreign = [receipt(one, "second sequencer", sequence=2 - at) for at, one in enumerate(BATCH)]
    yield case("receipts of another sequencer", 12, other | {"receipts": foreign}, "EVD-8")
    yield case("a count that is too high", 12, whole(BATCH, count=3), "EVD-8", refused=False)
    heavy = [transaction(name, gas_limit=21_000 * 64) for name in ("alice", "bob")]
    yield case("too much gas", 12, whole(heavy), "EVD-8", refused=False)
    yield case("a gap among nonces", 12, whole([ALICE, transaction("alice", 2)]), "EVD-8", refused=False)
    yield case("other transactions", 12, whole(BATCH) | {"transactions": [BOB, ALICE]}, "EVD-9")
    now = state(alice=(0, NEEDED))
    ahead = whole([transaction("alice", 1)], state_root=ssz_root(STATE, now))
    beside_account = {"accounts": [account(now, place(now, "alice"))]}
    yield case("a nonce above the account's", 12, ahead | beside_account, "EVD-8", refused=False)
    fitting = whole([ALICE], state_root=ssz_root(STATE, now))
    yield case("nonces that go on from the account's", 12, fitting | beside_account, "EVD-8")
    absent = whole([BOB], state_root=ssz_root(STATE, now))
    yield case("the account of somebody who sent nothing", 12, absent | beside_account, "EVD-8")
    yield from forced_orders()


def forced_orders() -> Iterator[Case]:
    """Where entries can be forced the parent has to show that none was."""
    network = genesis(deadlines=NETWORK["deadlines"] | {"force_l1_blocks": 10, "l1_depth": 2, "l1_lag_blocks": 5})
    keys = key_set(network)
    parent = commitment([], height=HEIGHT - 1, inbox_index=4)
    for title, index, shown_parent, refused in (
        ("an order where no entry was forced", 4, [parent], False),
        ("an order where an entry was forced", 5, [parent], True),
        ("an order without the parent", 4, [], True),
    ):
        message = commitment(
            parent=ssz_root(ORDER_COMMITMENT, parent),
            committee_id=ssz_root(KEY_SET, keys),
            key_id=keys["key_id"],
            inbox_index=index,
        )
        promises = [
            signed(RECEIPT, receipt(one)["message"] | {"sequence": 2 - at}, "sequencer", network)
            for at, one in enumerate(BATCH)
        ]
        shown = {
            "commitment": by_sequencer(message, network=network),
            "parent": shown_parent,
            "transactions": BATCH,
            "receipts": promises,
            "accounts": [],
        }
        yield case(title, 12, shown, "EVD-8", refused=refused, key_sets=[keys], network=network)


# --- challenges ------------------------------------------------------------------------------------------------------


def certificate(of: Object, voters: Sequence[str] = MEMBERS[:3]) -> Object:
    message = vote_for(of)
    return {"vote": message, "signatures": [signed(VOTE, message, voter)["signature"] for voter in voters]}


def typed(kinds: Json, name: str, value: Object) -> Json:
    return {"type": name, "encoded": to_hex(ssz_encode(kinds[name], value))}


def question_case(title: str, name: str, question: Object, *rules: str, refused: bool = True, **of: Any) -> Case:
    return Case(
        operation="due",
        title=title,
        requirements=rules,
        input=registry(of.get("key_sets", (FIRST, SECOND)), of.get("network", NETWORK))
        | {"question": typed(page.QUESTIONS, name, question)},
        refused=refused,
    )


MADE = commitment()
REVEAL_QUESTION = {
    "receipt": receipt(),
    "position": position(BATCH, 0),
    "commitment": by_sequencer(MADE),
    "certificate": certificate(MADE),
}
INBOX = genesis(deadlines=NETWORK["deadlines"] | {"force_l1_blocks": 10, "l1_depth": 2, "l1_lag_blocks": 5})
INBOX_KEYS = key_set(INBOX)


def in_inbox(**changes: Any) -> Object:
    message = commitment(committee_id=ssz_root(KEY_SET, INBOX_KEYS), key_id=INBOX_KEYS["key_id"], inbox_index=3)
    return by_sequencer(message | changes, network=INBOX)


def questions() -> Iterator[Case]:
    yield question_case("a receipt", "InclusionQuestion", {"receipt": receipt()}, "EVD-12", refused=False)
    stranger = {"receipt": receipt(by="mallory")}
    yield question_case("a receipt of a stranger", "InclusionQuestion", stranger, "EVD-12")
    late = {"receipt": receipt(include_by_height=20)}
    yield question_case("a receipt up to a height of another sequencer", "InclusionQuestion", late, "EVD-12")

    asked = {"commitment": in_inbox(), "l1_block": 100}
    inbox: dict[str, Any] = {"key_sets": [INBOX_KEYS], "network": INBOX}
    yield question_case("an open entry", "ForcedQuestion", asked, "EVD-13", refused=False, **inbox)
    none = {"commitment": by_sequencer(MADE), "l1_block": 100}
    yield question_case("a network without an inbox", "ForcedQuestion", none, "EVD-13")

    yield question_case("a batch that is not open", "RevealQuestion", REVEAL_QUESTION, "EVD-14", refused=False)
    other = REVEAL_QUESTION | {"position": position(BATCH, 1)}
    yield question_case("a batch without the receipt's transaction", "RevealQuestion", other, "EVD-9")
    few = REVEAL_QUESTION | {"certificate": certificate(MADE, MEMBERS[:2])}
    yield question_case("a certificate of two", "RevealQuestion", few, "CRT-3")
    promised = REVEAL_QUESTION | {"receipt": receipt(by="mallory")}
    yield question_case("a deadline that a stranger set", "RevealQuestion", promised, "EVD-14")

    yield question_case("a share", "CertificateQuestion", {"share": share()}, "EVD-6", refused=False)
    yield question_case("a stranger's share", "CertificateQuestion", {"share": share("mallory")}, "EVD-11")


def answer_case(
    title: str, asked: tuple[str, Object], given: tuple[str, Object], *rules: str, refused: bool = True, **of: Any
) -> Case:
    return Case(
        operation="freed",
        title=title,
        requirements=rules,
        input=registry(of.get("key_sets", (FIRST, SECOND)), of.get("network", NETWORK))
        | {"question": typed(page.QUESTIONS, *asked), "answer": typed(page.ANSWERS, *given)},
        refused=refused,
    )


def answers() -> Iterator[Case]:
    yield from inclusion_answers()
    yield from other_answers()


def inclusion_answers() -> Iterator[Case]:
    asked = ("InclusionQuestion", {"receipt": receipt()})
    here = {"commitment": by_sequencer(MADE), "position": position(BATCH, 0)}
    yield answer_case("a place in a batch", asked, ("Included", here), "EVD-12", refused=False)
    late = here | {"commitment": by_sequencer(commitment(height=11, executed_height=10))}
    yield answer_case("a place in a later batch", asked, ("Included", late), "EVD-12")
    another = here | {"position": position(BATCH, 1)}
    yield answer_case("another transaction's place", asked, ("Included", another), "EVD-9")
    foreign = here | {"commitment": by_sequencer(MADE, "mallory")}
    yield answer_case("a batch that the sequencer did not sign", asked, ("Included", foreign), "VOT-1")

    ciphertext_root = ssz_root(UNSIGNED_TRANSACTION.fields["ciphertext"], ALICE["ciphertext"])

    def at_last(now: Object, **changes: Any) -> Object:
        message = commitment([BOB], height=10, executed_height=9, state_root=ssz_root(STATE, now))
        return {
            "commitment": by_sequencer(message | changes),
            "header": ALICE["header"],
            "ciphertext_root": ciphertext_root,
            "accounts": [account(now, place(now, "alice"))],
        }

    for title, of, refused in (
        ("a nonce that is used", (1, NEEDED), False),
        ("a sender who cannot pay", (0, NEEDED - 1), False),
        ("a sender who could have been committed", (0, NEEDED), True),
    ):
        yield answer_case(title, asked, ("Inadmissible", at_last(state(alice=of))), "EVD-12", refused=refused)
    used = state(alice=(1, 0))
    early = at_last(used, height=9, executed_height=8)
    yield answer_case("in the state of an earlier height", asked, ("Inadmissible", early), "EVD-12")
    other = at_last(used) | {"header": BOB["header"]}
    yield answer_case("of another transaction", asked, ("Inadmissible", other), "EVD-12")
    silent = at_last(used) | {"accounts": []}
    yield answer_case("without an account", asked, ("Inadmissible", silent), "EVD-9")

    limited = LIMITED | {"sequencer": address("sequencer")}
    key = {"key_sets": [limited]}
    for title, round_, refused in (("all rounds are given away", 8, False), ("a round is left", 7, True)):
        message = at_last(used, committee_id=ssz_root(KEY_SET, limited), round=round_) | {"accounts": []}
        rules = ("EVD-12", "EVD-9")
        yield answer_case(title, asked, ("Inadmissible", message), *rules, refused=refused, **key)
    following = successor(FIRST, start_height=9)
    replaced = at_last(used, committee_id=ssz_root(KEY_SET, following), key_id=following["key_id"]) | {"accounts": []}
    yield answer_case(
        "another key is in use",
        asked,
        ("Inadmissible", replaced),
        "EVD-12",
        refused=False,
        key_sets=[FIRST, following],
    )


def other_answers() -> Iterator[Case]:
    inbox: dict[str, Any] = {"key_sets": [INBOX_KEYS], "network": INBOX}
    forced = ("ForcedQuestion", {"commitment": in_inbox(), "l1_block": 100})
    settles = in_inbox(height=HEIGHT + 1, inbox_index=4)
    yield answer_case(
        "the entry is settled", forced, ("Settled", {"commitment": settles}), "EVD-13", refused=False, **inbox
    )
    idle = in_inbox(height=HEIGHT + 1)
    yield answer_case("nothing is settled", forced, ("Settled", {"commitment": idle}), "EVD-13", **inbox)

    asked = ("RevealQuestion", REVEAL_QUESTION)
    reveal = {"commitment_root": ssz_root(ORDER_COMMITMENT, MADE), "batch_key": bytes(8), "positions": []}
    opening = {"reveal": reveal, "transactions": BATCH}
    yield answer_case("the reveal", asked, ("Opening", opening), "EVD-14", refused=False)
    wrong = opening | {"reveal": reveal | {"commitment_root": ZERO_HASH}}
    yield answer_case("the reveal of another commitment", asked, ("Opening", wrong), "EVD-14")
    yield answer_case(
        "a reveal beside other transactions", asked, ("Opening", opening | {"transactions": [ALICE]}), "EVD-14"
    )
    key = opening | {"reveal": reveal | {"batch_key": b"\0\0\0\1\0\0\0\0\0"}}
    yield answer_case("a batch key that opens nothing", asked, ("Opening", key), "CLR-2")

    yield answer_case("a member's share", asked, ("Released", {"share": share()}), "EVD-14", refused=False)
    yield answer_case("a share for something else", asked, ("Released", {"share": share(round=9)}), "EVD-14")
    fourth = share(MEMBERS[3], member=4)
    yield answer_case("a share of a member that did not vote", asked, ("Released", {"share": fourth}), "EVD-14")
    yield answer_case("an abstention", asked, ("Abstained", {"abstention": abstention()}), "EVD-14", refused=False)
    elsewhere = abstention(height=HEIGHT + 1)
    yield answer_case("an abstention elsewhere", asked, ("Abstained", {"abstention": elsewhere}), "EVD-14")
    low = signed(KEY_SET, SECOND | {"start_height": HEIGHT}, MEMBERS[0])
    yield answer_case(
        "a successor that bars a member", asked, ("HandedOver", {"successor": low}), "EVD-14", refused=False
    )
    high = signed(KEY_SET, SECOND, MEMBERS[0])
    yield answer_case("a successor that starts later", asked, ("HandedOver", {"successor": high}), "EVD-14")

    opened = ("CertificateQuestion", {"share": share()})
    good = {"certificate": certificate(MADE)}
    yield answer_case("the certificate", opened, ("Certified", good), "EVD-6", refused=False)
    of_other = {"certificate": certificate(commitment(timestamp_ms=0))}
    yield answer_case("another certificate", opened, ("Certified", of_other), "EVD-6")
    few = {"certificate": certificate(MADE, MEMBERS[:2])}
    yield answer_case("a certificate of two", opened, ("Certified", few), "CRT-3")
    yield answer_case("an answer to another question", opened, ("Released", {"share": share()}), "EVD-1")
