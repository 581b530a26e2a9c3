"""Cases of forced.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from spec import forced as page
from spec.notation import (
    ENCRYPTED_TRANSACTION,
    GENESIS,
    INBOX_ENTRY,
    KEY_SET,
    ORDER_COMMITMENT,
    ZERO_HASH,
    ssz_encode,
    ssz_root,
    to_hex,
)
from spec.ordering import batch_root
from spec.transactions import tx_id

from specs.generate.case import Case, Json, labelled
from specs.generate.genesis import ETHER, GWEI, address, genesis, hexed, key_set, successor
from specs.generate.transactions import HEIGHT, envelope

WINDOW, LAG = 10, 4
BLOCK = 100
"""Of the usual commitment: what was posted at block 90 is overdue, and at block 91 not."""
DEADLINES = genesis()["deadlines"] | {"force_l1_blocks": WINDOW, "l1_depth": 2, "l1_lag_blocks": LAG}
RESERVED = 21_000 * 30 * GWEI


def network(**changes: Any) -> Json:
    """With an inbox, batches of up to 8 transactions, and room for 64 of the smallest gas."""
    return genesis(**{"deadlines": DEADLINES} | changes)


USUAL = network()


def tx(sender: str = "alice", nonce: int = 0, *, of: Json = USUAL, **changes: Any) -> Json:
    return envelope(of, sender, nonce=nonce, **changes)


def posted(*contents: Json | bytes, block: int = BLOCK - WINDOW, first: int = 0) -> list[Json]:
    """Entries of one block."""
    return [
        {
            "index": first + at,
            "l1_block": block,
            "data": content if isinstance(content, bytes) else ssz_encode(ENCRYPTED_TRANSACTION, content),
        }
        for at, content in enumerate(contents)
    ]


def shown(entries: Sequence[Json]) -> list[str]:
    return [hexed(INBOX_ENTRY, entry) for entry in entries]


def accounts(**changes: tuple[int, int]) -> list[Json]:
    """Nonce and balance by name; usually 0 and an ether."""
    people = dict.fromkeys(("alice", "bob", "carol", "dave", "erin", "frank"), (0, ETHER)) | changes
    return [
        {"address": to_hex(address(name)), "nonce": str(nonce), "balance": str(balance)}
        for name, (nonce, balance) in people.items()
    ]


def cases() -> Iterator[Case]:
    yield from _inboxes()
    yield from _walks()
    yield from _views()
    yield from _checks()
    yield from _outcomes()


def _inboxes() -> Iterator[Case]:
    def case(
        title: str, entries: Sequence[Json] | Sequence[str], *, refused: bool = False, rule: str = "FRC-1"
    ) -> Case:
        given: Json = {"inbox": [entry if isinstance(entry, str) else hexed(INBOX_ENTRY, entry) for entry in entries]}
        return Case(operation="read_inbox", title=title, requirements=(rule,), input=given, refused=refused)

    whole = ssz_encode(ENCRYPTED_TRANSACTION, tx())
    one = posted(tx())
    yield case("an inbox without entries", [])
    yield case("two transactions of one block", posted(tx(), tx("bob")))
    yield case("entries of ascending blocks, with blocks left out", [*one, *posted(tx("bob"), block=200, first=1)])
    yield case("what does not decode", posted(b"", b"\xff" * 400, whole[:200], b"\0" + whole))
    yield case("one transaction twice", posted(tx(), tx()))
    yield case("the first entry is not 0", posted(tx(), first=1), refused=True)
    yield case("an index is left out", [*one, *posted(tx("bob"), first=2)], refused=True)
    yield case("an index twice", [*one, *posted(tx("bob"))], refused=True)
    yield case("an earlier block than the entry before", [*one, *posted(tx("bob"), block=89, first=1)], refused=True)
    data = shown(one)
    yield case("an entry is cut off", [data[0][:30]], refused=True, rule="SSZ-2")


def _walks() -> Iterator[Case]:
    def case(
        title: str,
        entries: Sequence[Json],
        *rules: str,
        of: Json = USUAL,
        keys: Json | None = None,
        people: list[Json] | None = None,
        in_flight: Sequence[str] = (),
        start: int = 0,
        height: int = HEIGHT,
        l1_block: int = BLOCK,
        **seldom: bool,
    ) -> Case:
        given: Json = {
            "genesis": hexed(GENESIS, of),
            "key_set": hexed(KEY_SET, keys or key_set(of)),
            "inbox": shown(entries),
            "start": str(start),
            "height": str(height),
            "l1_block": str(l1_block),
            "accounts": people or accounts(),
            "in_flight": [to_hex(address(name)) for name in in_flight],
            **seldom,
        }
        return Case(operation="settle", title=title, requirements=rules, input=given, refused=False)

    yield case("nothing was posted", [], "FRC-3", "FRC-9")
    yield case("two overdue entries, in the order of the inbox", posted(tx("bob"), tx()), "FRC-3", "FRC-4")
    yield case("posted exactly one window before", posted(tx()), "FRC-9")
    yield case("posted one block less than a window before", posted(tx(), block=BLOCK - WINDOW + 1), "FRC-9")
    mixed = [*posted(tx()), *posted(tx("bob"), block=91, first=1)]
    yield case("one overdue, one not yet", mixed, "FRC-3", "FRC-9")
    yield case("a view below the window", posted(tx(), block=0), "FRC-9", l1_block=WINDOW - 1)
    yield case("settled before: the walk starts behind it", posted(tx(), tx("bob")), "FRC-3", start=1)
    yield case("all settled before", posted(tx()), "FRC-3", start=1)
    without = network(deadlines=DEADLINES | {"force_l1_blocks": 0})
    yield case("a network that reads no chain below", posted(tx(of=without)), "FRC-9", of=without)
    late = network(deadlines=DEADLINES | {"force_l1_blocks": 2**64 - 1})
    yield case("the largest window", posted(tx(of=late)), "FRC-9", of=late, l1_block=2**64 - 1)

    five = [tx(name) for name in ("alice", "bob", "carol", "dave", "erin")]
    yield case("half the batch and no more", posted(*five), "FRC-4")
    odd = network(batch_limit=7)
    four = posted(*(tx(name, of=odd) for name in ("alice", "bob", "carol", "dave")))
    yield case("half of an odd batch, rounded down", four, "FRC-4", of=odd)
    single = network(batch_limit=1)
    pair = posted(tx(of=single), tx("bob", of=single))
    yield case("a batch of one takes one", pair, "FRC-4", of=single)
    many = posted(*five[:2], tx("alice", 9), *five[2:])
    yield case("what is passed over takes no place", many, "FRC-4", "FRC-6")
    flood = posted(*[b"\1"] * page.MAX_SETTLED, tx())
    yield case("256 entries and no more", flood, "FRC-3", "FRC-4")
    yield case("the rest of them, the next time", flood, "FRC-3", "FRC-4", start=page.MAX_SETTLED)
    yield case("257 from the second on", flood, "FRC-3", "FRC-4", start=1)

    half = 21_000 * 32
    yield case("exactly half the gas", posted(tx(gas_limit=half)), "FRC-4")
    yield case("more than half the gas: passed over", posted(tx(gas_limit=2 * half), tx("bob")), "FRC-4", "FRC-6")
    filled = posted(tx(gas_limit=half // 2), tx("bob", gas_limit=half), tx("carol"))
    yield case("more than what is left of the half: it waits, and what follows it", filled, "FRC-4")
    rest = posted(tx(gas_limit=half // 2), tx("bob", gas_limit=half // 2), tx("carol"))
    yield case("the half is used up to the last gas", rest, "FRC-4")
    narrow = network(gas_limit=21_000 * 4 + 1)
    uneven = posted(tx(of=narrow, gas_limit=42_000), tx("bob", of=narrow))
    yield case("half of an odd gas limit, rounded down", uneven, "FRC-4", of=narrow)
    heavy = posted(tx(gas_limit=half // 2), tx("alice", 5, gas_limit=half), tx("carol"))
    yield case("it waits for gas even if it is inadmissible", heavy, "FRC-4", "FRC-6")

    def passed(title: str, entry: Json | bytes, *rules: str, **given: Any) -> Case:
        """And another one that is not."""
        return case(title, posted(entry, tx("bob")), "FRC-6", *rules, **given)

    encoded = ssz_encode(ENCRYPTED_TRANSACTION, tx())
    yield passed("nothing at all", b"", "FRC-1")
    yield passed("a transaction that is cut off", encoded[:200], "FRC-1")
    yield passed("a byte before the transaction", b"\0" + encoded, "FRC-1")
    yield passed("a byte after the transaction, which counts to its ciphertext", encoded + b"\0", "TXN-6")
    yield passed("a nonce that is used", tx(), "VOT-5", "FRC-7", people=accounts(alice=(1, ETHER)))
    yield passed("a nonce to come", tx(nonce=1), "VOT-5")
    yield passed("a sender without an account", tx("nobody"), "VOT-5")
    yield passed("one wei short", tx(), "VOT-5", people=accounts(alice=(0, RESERVED - 1)))
    yield passed("a sender in flight", tx(), "MEM-5", "FRC-7", in_flight=["alice"])
    yield passed("another version", tx(version=2), "TXN-1")
    yield passed("another key", tx(key_id=ZERO_HASH), "TXN-2")
    yield passed("another scheme", tx(scheme=1), "TXN-2")
    yield passed("no rung", tx(gas_limit=21_001), "TXN-3")
    yield passed("a fee below the base fee", tx(max_fee_per_gas=9 * GWEI), "TXN-4")
    yield passed("addressed to a height by a scheme that addresses none", tx(target_height=50), "TXN-5")
    yield passed("a ciphertext of no size class", tx(ciphertext=bytes(65)), "TXN-6")
    yield passed("another's signature", tx() | {"signature": tx(nonce=1)["signature"]}, "TXN-7")
    yield passed("a signature that is none", tx() | {"signature": bytes(65)}, "SIG-1")
    yield passed("expired", tx(valid_until=HEIGHT - 1), "TXN-8")
    yield case("valid for this height only", posted(tx(valid_until=HEIGHT)), "FRC-6")
    yield case("the balance just suffices", posted(tx()), "FRC-6", people=accounts(alice=(0, RESERVED)))
    yield case("a key that is used up: all are passed over", posted(tx(), tx("bob")), "FRC-6", "SEQ-9", used_up=True)
    yield case("a sender's nonces in turn", posted(tx(), tx("bob"), tx(nonce=1)), "FRC-6")
    yield case("a sender's nonces turned round", posted(tx(nonce=1), tx()), "FRC-6")
    yield case("one transaction twice: the second time its nonce is used", posted(tx(), tx()), "FRC-6", "FRC-7")
    both: Json = {"people": accounts(alice=(0, 2 * RESERVED - 1))}
    yield case("one wei short for two of a sender", posted(tx(), tx(nonce=1)), "FRC-6", **both)
    after = posted(tx(max_fee_per_gas=GWEI), tx(nonce=1))
    yield case("what is passed over keeps no nonce free", after, "FRC-6")
    here, there = (tx(valid_until=height, target_height=height) for height in (HEIGHT, HEIGHT + 1))
    at: Json = {"addresses_height": True}
    yield case("addressed to this height", posted(here), "FRC-6", **at)
    yield case("addressed to the next height: passed over", posted(there, tx("bob")), "FRC-6", "VOT-5", **at)


def _views() -> Iterator[Case]:
    def case(title: str, head: int, *, votes: bool = True, refused: bool = False, of: Json = USUAL) -> Case:
        given = {"genesis": hexed(GENESIS, of), "head": str(head), "l1_block": str(BLOCK), "votes": votes}
        return Case(operation="check_view", title=title, requirements=("FRC-2",), input=given, refused=refused)

    yield case("the voter's own head", BLOCK)
    yield case("as far behind as is allowed", BLOCK + LAG)
    yield case("one block further behind", BLOCK + LAG + 1, refused=True)
    yield case("far behind, as after an outage", 2**63, refused=True)
    yield case("far behind, and certified", 2**63, votes=False)
    yield case("a block that the voter does not know yet", BLOCK - 1, refused=True)
    yield case("a block that a follower does not know yet", BLOCK - 1, votes=False, refused=True)
    without = network(deadlines=DEADLINES | {"force_l1_blocks": 0})
    yield case("a network that reads no chain below", 0, of=without)
    strict = network(deadlines=DEADLINES | {"l1_lag_blocks": 0})
    yield case("no lag at all", BLOCK, of=strict)
    yield case("no lag is allowed", BLOCK + 1, refused=True, of=strict)


def commitment(transactions: Sequence[Json], *, of: Json = USUAL, **changes: Any) -> Json:
    """For the height above `parent()`."""
    keys = key_set(of)
    return {
        "height": HEIGHT,
        "parent": labelled("forced/parent")(32),
        "committee_id": ssz_root(KEY_SET, keys),
        "key_id": keys["key_id"],
        "round": 5,
        "batch_root": batch_root([tx_id(one) for one in transactions]),
        "count": len(transactions),
        "policy_id": 1,
        "l1_block": BLOCK,
        "inbox_index": 2,
        "timestamp_ms": 1_700_000_007_000,
        "executed_height": HEIGHT - 1,
        "state_root": labelled("forced/state")(32),
    } | changes


def parent(**changes: Any) -> Json:
    before: Json = {"height": HEIGHT - 1, "inbox_index": 0, "l1_block": BLOCK - 3, "round": 4}
    return commitment((), **before | {"executed_height": HEIGHT - 3} | changes)


def _checks() -> Iterator[Case]:
    def case(
        title: str,
        entries: Sequence[Json],
        transactions: Sequence[Json],
        *rules: str,
        refused: bool = True,
        before: Json | None = None,
        first: bool = False,
        keys: Json | None = None,
        people: list[Json] | None = None,
        in_flight: Sequence[str] = (),
        addresses_height: bool = False,
        **changes: Any,
    ) -> Case:
        given: Json = {
            "genesis": hexed(GENESIS, USUAL),
            "key_set": hexed(KEY_SET, keys or key_set(USUAL, start_height=HEIGHT if first else 1)),
            "inbox": shown(entries),
            "parent": None if first else hexed(ORDER_COMMITMENT, before or parent()),
            "commitment": hexed(ORDER_COMMITMENT, commitment(transactions, **changes)),
            "transactions": [hexed(ENCRYPTED_TRANSACTION, one) for one in transactions],
            "accounts": people or accounts(),
            "in_flight": [to_hex(address(name)) for name in in_flight],
            **({"addresses_height": True} if addresses_height else {}),
        }
        return Case(operation="check_forced", title=title, requirements=rules, input=given, refused=refused)

    alice, bob, carol = tx(), tx("bob"), tx("carol")
    two = posted(alice, bob)
    every = ("FRC-3", "FRC-4", "FRC-5")
    yield case("two forced, one of the order policy's", two, [alice, bob, carol], *every, refused=False)
    yield case("the very first height", two, [alice, bob], *every, refused=False, first=True)
    yield case("nothing is overdue", posted(alice, block=91), [carol], *every, refused=False, inbox_index=0)
    yield case("nothing else in the batch", two, [alice, bob], *every, refused=False)
    yield case("one passed over", posted(b"\1", bob), [bob, carol], "FRC-3", "FRC-6", refused=False)
    yield case("all passed over", posted(b"\1", b"\2"), [carol], "FRC-3", "FRC-6", refused=False)
    behind: Json = {"before": parent(inbox_index=1), "inbox_index": 2}
    yield case("the walk goes on where the parent's stopped", two, [bob], "FRC-3", refused=False, **behind)
    yield case(
        "not overdue in the commitment's view, whatever the voter's head is",
        two,
        [carol],
        "FRC-9",
        refused=False,
        l1_block=BLOCK - 1,
        inbox_index=0,
    )
    ended = key_set(USUAL, rounds=4)
    none: Json = {"keys": ended, "round": 4}
    yield case("a key that is used up: the entries are passed over", two, [], "FRC-6", "SEQ-9", refused=False, **none)
    fresh = successor(key_set(USUAL), same_key=True, start_height=HEIGHT, start_round=0, rounds=4)
    yield case("the first round of a key set that begins", two, [alice, bob], "FRC-6", refused=False, keys=fresh)
    aimed = [tx(name, valid_until=HEIGHT, target_height=HEIGHT) for name in ("alice", "bob")]
    yield case("addressed to this height", posted(*aimed), aimed, "FRC-6", refused=False, addresses_height=True)
    waits: Json = {"in_flight": ["alice"], "executed_height": HEIGHT - 2}
    yield case("a sender in flight is passed over", two, [bob], "FRC-6", "FRC-7", refused=False, **waits)

    yield case("an empty batch leaves both out", two, [], "FRC-5", inbox_index=0)
    yield case("both are left out, and settled all the same", two, [carol], "FRC-5")
    yield case("the second is left out", two, [alice, carol], "FRC-5")
    yield case("the first is left out", two, [bob, carol], "FRC-5")
    yield case("the other way round", two, [bob, alice, carol], "FRC-5")
    yield case("after another transaction", two, [carol, alice, bob], "FRC-5")
    resigned = alice | {"signature": bytes(65)}
    yield case("a forced transaction with another signature than was posted", two, [resigned, bob], "FRC-5")
    yield case("a sender in flight is not passed over", two, [alice, bob], "FRC-5", **waits)
    yield case("what is inadmissible is committed", posted(tx(nonce=1), bob), [tx(nonce=1), bob], "FRC-5")
    yield case("the index one too low", two, [alice, bob], "FRC-3", inbox_index=1)
    yield case("the index one too high", two, [alice, bob], "FRC-3", inbox_index=3)
    yield case("the index stands still at a passed entry", posted(b"\1"), [carol], "FRC-3", inbox_index=0)
    yield case("what is not overdue yet is settled", posted(alice, bob, block=91), [alice, bob], "FRC-3", "FRC-9")
    yield case("the index falls behind the parent's", two, [], "FRC-3", before=parent(inbox_index=2), inbox_index=1)


def _outcomes() -> Iterator[Case]:
    def case(title: str, content: Json | bytes, *rules: str, committed: Sequence[Json] = ()) -> Case:
        data = content if isinstance(content, bytes) else ssz_encode(ENCRYPTED_TRANSACTION, content)
        given = {"data": to_hex(data), "committed": [to_hex(tx_id(one)) for one in committed]}
        return Case(operation="outcome", title=title, requirements=rules, input=given, refused=False)

    yield case("what does not decode", b"\1", "FRC-6")
    yield case("committed nowhere", tx(), "FRC-6", committed=[tx("bob")])
    yield case(
        "another transaction of its nonce is committed", tx(), "FRC-6", committed=[tx(max_fee_per_gas=40 * GWEI)]
    )
    yield case("committed", tx(), "FRC-7", committed=[tx("bob"), tx()])
    yield case("committed with another signature", tx() | {"signature": bytes(65)}, "FRC-7", committed=[tx()])
