"""Cases of ordering.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from spec import genesis as signatures, ordering as page
from spec.notation import (
    ENCRYPTED_TRANSACTION,
    GENESIS,
    KEY_SET,
    ORDER_COMMITMENT,
    RECEIPT,
    SIGNED_COMMITMENT,
    SIGNED_RECEIPT,
    ZERO_HASH,
    signing_digest,
    ssz_encode,
    ssz_root,
    to_hex,
)
from spec.transactions import tx_id

from specs.generate.case import Case, Json, labelled
from specs.generate.forced import WINDOW, network, posted, shown as shown_entries
from specs.generate.genesis import ETHER, GWEI, address, genesis, hexed, key_set, secret, successor
from specs.generate.transactions import HEIGHT, VALID_UNTIL, envelope

RESERVED = 21_000 * 30 * GWEI
"""What one usual envelope reserves."""
ROOT = labelled("commitment root")(32)
VALUE = labelled("batch key value")(96)


def cases() -> Iterator[Case]:
    yield from _orders()
    yield from _batch_root()
    yield from _admit()
    yield from _select()
    yield from _receipts()
    yield from _commitments()


def _case(operation: str, title: str, *rules: str, refused: bool, **given: Any) -> Case:
    shown = {name: to_hex(value) if isinstance(value, bytes) else value for name, value in given.items()}
    return Case(operation=operation, title=title, requirements=rules, input=shown, refused=refused)


# --- orders ----------------------------------------------------------------------------------------------------------


def _candidate(tx: int, sender: str, nonce: int = 0, *, sequence: int = 0, fee: int = 0) -> Json:
    """`tx` is the first byte of the id; the last bytes would rank otherwise."""
    return {
        "tx_id": to_hex(bytes([tx]) + bytes(30) + bytes([255 - tx])),
        "sender": to_hex(address(sender)),
        "nonce": str(nonce),
        "sequence": str(sequence),
        "priority_fee": str(fee),
    }


def _orders() -> Iterator[Case]:
    def case(title: str, policy: int, candidates: list[Json], *rules: str, refused: bool = False) -> Case:
        return _case("committed_order", title, *rules, refused=refused, policy_id=str(policy), candidates=candidates)

    of = _candidate
    mixed = [
        of(9, "alice", 4, sequence=0, fee=1),
        of(2, "bob", 0, sequence=1, fee=5),
        of(7, "alice", 3, sequence=2, fee=9),
        of(4, "carol", 1, sequence=3, fee=5),
        of(1, "alice", 5, sequence=4, fee=5),
        of(6, "carol", 0, sequence=5, fee=7),
    ]
    three = [of(1, "alice", sequence=9), of(2, "bob", sequence=3, fee=1), of(3, "carol", sequence=300)]
    yield case("arrival, three senders", page.ARRIVAL, three, "ORD-2")
    tied = [of(200, "alice"), of(3, "bob"), of(100, "carol")]
    yield case("arrival, one sequence: the id decides", page.ARRIVAL, tied, "ORD-4")
    yield case("arrival, nonces against the sequences", page.ARRIVAL, mixed, "ORD-2", "ORD-5")
    paying = [of(1, "alice", fee=1), of(2, "bob", sequence=9, fee=2**80), of(3, "carol", sequence=1, fee=2)]
    yield case("priority fee, three senders", page.PRIORITY_FEE, paying, "ORD-3")
    yield case("priority fee, equal fees: the id decides, not the sequence", page.PRIORITY_FEE, tied, "ORD-3", "ORD-4")
    yield case("priority fee, nonces against the fees", page.PRIORITY_FEE, mixed, "ORD-3", "ORD-4", "ORD-5")
    yield case("shuffle: ids alone, nonces notwithstanding", page.SHUFFLE, mixed, "ORD-6")
    yield case("an empty batch", page.ARRIVAL, [], "ORD-2")
    yield case("the policy 0", 0, three, "ORD-1", refused=True)
    yield case("the policy 4", 4, three, "ORD-1", refused=True)

    for size, title in {0: "nothing", 1: "one place", 2: "two places", 10: "ten places", 257: "257 places"}.items():
        seed = labelled(f"permutation {size}")(32)
        yield _case("permutation", title, "ORD-9", refused=False, seed=seed, size=str(size))
    yield _case("permutation", "a seed of zeros", "ORD-9", refused=False, seed=ZERO_HASH, size="16")

    def executed(
        title: str,
        policy: int,
        batch: list[Json],
        *rules: str,
        refused: bool = False,
        root: bytes = ROOT,
        value: bytes = VALUE,
    ) -> Case:
        return Case(
            operation="execution_order",
            title=title,
            requirements=rules,
            input={
                "policy_id": str(policy),
                "candidates": batch,
                "commitment_root": to_hex(root),
                "batch_key_value": to_hex(value),
            },
            intermediate={"seed": to_hex(page.shuffle_seed(root, value))} if policy == page.SHUFFLE else {},
            refused=refused,
        )

    batch = sorted(mixed, key=lambda c: str(c["tx_id"]))
    eight = [of(tx, f"sender {tx}") for tx in range(8)]
    yield executed("arrival: as committed", page.ARRIVAL, three, "ORD-7")
    yield executed("priority fee: as committed", page.PRIORITY_FEE, paying, "ORD-7")
    yield executed("shuffle, eight senders", page.SHUFFLE, eight, "ORD-8", "ORD-9")
    yield executed("shuffle, another commitment", page.SHUFFLE, eight, "ORD-8", root=ZERO_HASH)
    yield executed("shuffle, another batch key", page.SHUFFLE, eight, "ORD-8", value=b"")
    yield executed("shuffle, nonces put back into order", page.SHUFFLE, batch, "ORD-8")
    one = [of(tx, "alice", 9 - tx) for tx in range(6)]
    yield executed("shuffle, one sender: nonces decide", page.SHUFFLE, one, "ORD-8")
    yield executed("shuffle, an empty batch", page.SHUFFLE, [], "ORD-8")
    yield executed("the policy 4", 4, eight, "ORD-1", refused=True)


def _batch_root() -> Iterator[Case]:
    ids = [labelled(f"tx {number}")(32) for number in range(5)]

    def case(title: str, tx_ids: Sequence[bytes], *, refused: bool = False) -> Case:
        shown = [to_hex(tx_id) for tx_id in tx_ids]
        return _case("batch_root", title, "ORD-10", refused=refused, tx_ids=shown)

    yield case("an empty batch", [])
    yield case("one id", ids[:1])
    yield case("three ids", ids[:3])
    yield case("the same in another order", ids[2::-1])
    yield case("five ids", ids)
    yield case("an id of 31 bytes", [ids[0], ids[1][:31]], refused=True)
    yield case("an id of 33 bytes", [ids[0] + b"\0"], refused=True)


# --- admission and selection -----------------------------------------------------------------------------------------


def _encoded(transaction: Json) -> str:
    return hexed(ENCRYPTED_TRANSACTION, transaction)


def _pool(
    of: Json,
    *,
    live: Sequence[Json] = (),
    in_flight: Sequence[Json] = (),
    height: int = HEIGHT,
    nonce: int = 0,
    balance: int = ETHER,
    keys: Json | None = None,
    later: Sequence[Json] = (),
    addresses_height: bool = False,
    parent: Json | None = None,
) -> Json:
    """Alice's nonce and balance may differ; Bob and Carol have 0 and an ether."""
    accounts = [{"address": to_hex(address("alice")), "nonce": str(nonce), "balance": str(balance)}]
    others = [{"address": to_hex(address(n)), "nonce": "0", "balance": str(ETHER)} for n in ("bob", "carol")]
    seldom: Json = {
        "successors": [hexed(KEY_SET, one) for one in later],
        "addresses_height": addresses_height,
        "parent": None if parent is None else hexed(ORDER_COMMITMENT, parent),
    }
    return {
        "genesis": hexed(GENESIS, of),
        "key_set": hexed(KEY_SET, keys or key_set(of)),
        "accounts": accounts + others,
        "live": [_encoded(transaction) for transaction in live],
        "in_flight": [_encoded(transaction) for transaction in in_flight],
        "height": str(height),
    } | {name: value for name, value in seldom.items() if value}


def _admit() -> Iterator[Case]:
    usual = genesis()

    def tx(nonce: int, sender: str = "alice", **changes: Any) -> Json:
        return envelope(usual, sender, nonce=nonce, **changes)

    def case(title: str, new: Sequence[Json | bytes], *rules: str, refused: bool = True, **pool: Any) -> Case:
        shown = [to_hex(item) if isinstance(item, bytes) else _encoded(item) for item in new]
        given = _pool(usual, **pool) | {"transactions": shown}
        return _case("admit", title, *rules, refused=refused, **given)

    everything = ("MEM-1", "MEM-2", "MEM-3", "MEM-4", "MEM-6")
    yield case("the first transaction of an account", [tx(0)], *everything, refused=False)
    senders = [tx(0), tx(0, "bob"), tx(1), tx(2), tx(1, "bob")]
    yield case("two senders' nonces in turn", senders, "MEM-2", refused=False)
    yield case("a nonce that continues the state", [tx(7)], "MEM-2", refused=False, nonce=7)
    yield case("a nonce that continues the one in flight", [tx(1)], "MEM-2", refused=False, in_flight=[tx(0)])
    yield case("a gap closed: the one after it is held already", [tx(0)], "MEM-2", refused=False, live=[tx(1)])
    yield case("reservations of exactly the balance", [tx(0), tx(1)], "MEM-3", refused=False, balance=2 * RESERVED)
    expiring = tx(0, valid_until=HEIGHT - 1)
    yield case("the nonce of an expired one is free", [tx(0)], "MEM-7", refused=False, live=[expiring])
    freed = {"live": [expiring], "balance": RESERVED}
    yield case("the reservation of an expired one is free", [tx(0)], "MEM-3", "MEM-7", refused=False, **freed)
    overtaken = {"live": [tx(0)], "nonce": 1, "balance": RESERVED}
    yield case("one that the state has overtaken counts no more", [tx(1)], "MEM-7", refused=False, **overtaken)
    used = {"in_flight": [tx(0)], "balance": RESERVED}
    yield case("what is in flight does not count", [tx(1)], "MEM-3", refused=False, **used)
    many = [tx(nonce) for nonce in range(65)]
    yield case("a sender's 64th", [many[63]], "MEM-4", refused=False, live=many[:63])

    again = tx(0) | {"signature": bytes(65)}
    other = tx(0, max_priority_fee_per_gas=GWEI)
    yield case("one that is live", [tx(0), tx(0)], "MEM-1")
    yield case("one that is live, with another signature", [again], "MEM-1", live=[tx(0)])
    yield case("one that is in flight", [tx(0)], "MEM-1", in_flight=[tx(0)])
    yield case("one that expired", [expiring], "MEM-1", live=[expiring])
    yield case("a nonce below the state's", [tx(6)], "MEM-2", nonce=7)
    yield case("a nonce left out", [tx(0), tx(2)], "MEM-2")
    yield case("the nonce of another live one", [other], "MEM-2", live=[tx(0)])
    yield case("the nonce of another in flight", [other], "MEM-2", in_flight=[tx(0)])
    yield case("another sender's nonce", [tx(1, "bob")], "MEM-2", live=[tx(0)])
    yield case("a reservation one above the balance", [tx(0)], "MEM-3", balance=RESERVED - 1)
    yield case("a second reservation one above the balance", [tx(0), tx(1)], "MEM-3", balance=2 * RESERVED - 1)
    yield case("an account that is not in the state", [tx(0, "nobody")], "MEM-3")
    yield case("a sender's 65th", [many[64]], "MEM-4", live=many[:64])
    yield case("a gas limit that is no rung", [tx(0, gas_limit=21_001)], "MEM-6", "TXN-3")
    stolen = tx(0) | {"signature": tx(1)["signature"]}
    yield case("a signature of another transaction", [stolen], "MEM-6", "TXN-7")
    yield case("expired for the next commitment", [expiring], "MEM-6", "TXN-8")
    yield case("cut off", [ssz_encode(ENCRYPTED_TRANSACTION, tx(0))[:-65]], "TXN-13")

    first = key_set(usual)
    following = successor(first, start_height=HEIGHT + 3)
    anew = successor(first, same_key=True, start_height=HEIGHT)
    announced: Json = {"keys": first, "later": [following]}
    begun: Json = {"keys": first, "later": [successor(first, start_height=HEIGHT)]}
    to_next = {"key_id": following["key_id"]}
    rules = ("MEM-6", "TXN-2")
    yield case("the key in use, its end announced", [tx(0)], *rules, refused=False, **announced)
    yield case("the next key, before it begins", [tx(0, **to_next)], *rules, refused=False, **announced)
    yield case("both keys in turn", [tx(0), tx(1, **to_next)], "MEM-2", "MEM-6", refused=False, **announced)
    yield case("the next key, at its first height", [tx(0, **to_next)], *rules, refused=False, **begun)
    yield case("the same key, shared anew", [tx(0)], *rules, refused=False, keys=first, later=[anew])
    short = successor(first, same_key=True, start_height=HEIGHT, valid_until=VALID_UNTIL - 1)
    yield case("beyond the end that the same key has now", [tx(0)], "MEM-6", "TXN-8", keys=first, later=[short])
    yield case("at the last height of the key", [tx(0)], "MEM-6", refused=False, **announced, height=HEIGHT + 2)
    yield case("after the last height of the key", [tx(0)], *rules, **announced, height=HEIGHT + 3)
    yield case("the key before, at the first height of the next", [tx(0)], *rules, **begun)
    yield case("a key that nobody knows", [tx(0, key_id=ZERO_HASH)], *rules, **announced)
    yield case(
        "the nonce of one whose key ended is free", [tx(0, **to_next)], "MEM-7", refused=False, live=[tx(0)], **begun
    )
    yield case("one whose key ended", [tx(0)], "MEM-1", live=[tx(0)], **begun)
    aimed = tx(0, target_height=VALID_UNTIL)
    yield case("one addressed to a height", [aimed], "TXN-5", "MEM-6", refused=False, addresses_height=True)
    yield case("none addressed where one is asked for", [tx(0)], "TXN-5", "MEM-6", addresses_height=True)


def _select() -> Iterator[Case]:
    def case(title: str, of: Json, live: Sequence[Json], *rules: str, **pool: Any) -> Case:
        return _case("select", title, *rules, refused=False, **_pool(of, live=live, **pool))

    def txs(of: Json, *made: tuple[str, int, int, int]) -> list[Json]:
        """(sender, nonce, priority fee in gwei, gas limit in first rungs)"""
        return [
            envelope(of, sender, nonce=nonce, max_priority_fee_per_gas=fee * GWEI, gas_limit=21_000 * gas)
            for sender, nonce, fee, gas in made
        ]

    several = (("alice", 0, 1, 1), ("bob", 0, 2, 1), ("alice", 1, 3, 1), ("carol", 0, 2, 1), ("bob", 1, 9, 1))
    for policy, title in {1: "arrival", 2: "priority fee", 3: "shuffle"}.items():
        of = genesis(policy_id=policy)
        yield case(f"{title}: everything fits", of, txs(of, *several), "ORD-13", "ORD-14")
    usual = genesis()
    five = txs(usual, *((("alice", nonce, 1, 1)) for nonce in range(5)))
    yield case("nothing is live", usual, [], "ORD-13")
    yield case("a nonce is missing: what comes after it waits", usual, [*five[:2], *five[3:]], "ORD-13")
    yield case("the state's nonce is not there", usual, five[1:], "ORD-13")
    yield case("the balance covers two", usual, five, "ORD-13", balance=2 * RESERVED)
    yield case("the balance misses the second by one", usual, five, "ORD-13", balance=2 * RESERVED - 1)
    expiring = envelope(usual, nonce=1, valid_until=HEIGHT - 1)
    yield case("one expired: what comes after it waits", usual, [five[0], expiring, five[2]], "ORD-13", "MEM-7")
    last = envelope(usual, nonce=0, valid_until=HEIGHT)
    yield case("one that is valid for this height only", usual, [last], "ORD-13")
    waiting = [*five[1:3], *txs(usual, ("bob", 0, 1, 1))]
    yield case("a sender in flight", usual, waiting, "MEM-5", "ORD-13", in_flight=five[:1])
    for policy in (1, 2, 3):
        of = genesis(policy_id=policy, batch_limit=3)
        made = txs(of, *((("alice", nonce, nonce, 1)) for nonce in range(5)))
        yield case(f"room for three, policy {policy}: the lowest nonces", of, made, "ORD-14")
    small = key_set(usual, batch_limit=2)
    yield case("a key set with a lower batch limit than the genesis", usual, five, "ORD-14", keys=small)
    tight = genesis(gas_limit=21_000 * 4)
    made = txs(tight, ("alice", 0, 1, 2), ("alice", 1, 1, 4), ("alice", 2, 1, 1), ("bob", 0, 1, 2))
    yield case("gas for two: others go on, the sender without room does not", tight, made, "ORD-14")
    made = txs(tight, ("bob", 0, 1, 1), ("alice", 0, 1, 4), ("alice", 1, 1, 1), ("carol", 0, 1, 2))
    yield case("a first transaction without room keeps back the second", tight, made, "ORD-14")

    first = key_set(usual)
    following = successor(first, start_height=HEIGHT, batch_limit=2)
    later = successor(first, start_height=HEIGHT + 1)
    to_next = [envelope(usual, nonce=nonce, key_id=following["key_id"]) for nonce in range(4)]
    by_bob = envelope(usual, "bob", key_id=following["key_id"])
    known: Json = {"keys": first, "later": [later]}
    yield case("the key's last height: the next key's wait", usual, [five[0], by_bob], "ORD-13", **known)
    yield case(
        "the next key's first of a sender keeps back his others", usual, [to_next[0], five[1]], "ORD-13", **known
    )
    known = {"keys": first, "later": [following]}
    live = [five[0], by_bob]
    yield case("the next key's first height: the others have expired", usual, live, "ORD-13", "MEM-7", **known)
    yield case("the next key's own batch limit", usual, to_next, "ORD-14", **known)
    by_fee = successor(first, start_height=HEIGHT, policy_id=2)
    made = [
        envelope(usual, name, key_id=by_fee["key_id"], max_priority_fee_per_gas=fee * GWEI)
        for name, fee in (("alice", 1), ("bob", 3), ("carol", 2))
    ]
    yield case("the next key set's own policy", usual, made, "ORD-14", keys=first, later=[by_fee])
    anew = successor(first, same_key=True, start_height=HEIGHT)
    yield case("the same key, shared anew: nothing expires", usual, five, "ORD-13", keys=first, later=[anew])

    def aimed(height: int, sender: str = "alice", nonce: int = 0) -> Json:
        return envelope(usual, sender, nonce=nonce, valid_until=height, target_height=height)

    at: Json = {"addresses_height": True}
    yield case("addressed to this height", usual, [aimed(HEIGHT), aimed(HEIGHT, "bob")], "ORD-13", **at)
    yield case(
        "addressed to the next height: it waits", usual, [aimed(HEIGHT + 1), aimed(HEIGHT, "bob")], "ORD-13", **at
    )
    live = [aimed(HEIGHT), aimed(HEIGHT + 1, nonce=1)]
    yield case("a sender's second, addressed to the next height", usual, live, "ORD-13", **at)
    live = [aimed(HEIGHT + 1), aimed(HEIGHT, nonce=1)]
    yield case("a sender's first, addressed to the next height, keeps back his second", usual, live, "ORD-13", **at)
    yield case("addressed to the height before: expired", usual, [aimed(HEIGHT - 1)], "ORD-13", "MEM-7", **at)


# --- receipts and commitments ----------------------------------------------------------------------------------------


def _signed(kind: Any, message: Json, of: Json, signer: str) -> Json:
    digest = signing_digest(kind, message, ssz_root(GENESIS, of))
    return {"message": message, "signature": signatures.sign_digest(secret(signer), digest)}


def _receipts() -> Iterator[Case]:
    usual = genesis()
    keys = key_set(usual, start_height=HEIGHT, valid_until=100)
    times = {"now_ms": "1700000001234", "l1_block": "900"}

    def made(
        title: str,
        transaction: Json,
        *rules: str,
        refused: bool = False,
        of: Json = usual,
        by: str = "sequencer",
        **pool: Any,
    ) -> Case:
        given = _pool(of, **({"keys": keys} | pool)) | times | {"transaction": _encoded(transaction)}
        given["sequencer_key"] = to_hex(secret(by))
        return _case("make_receipt", title, *rules, refused=refused, **given)

    first, second = envelope(usual, nonce=0), envelope(usual, nonce=1)
    yield made("the first receipt", first, "SEQ-2", "SEQ-4", "SEQ-6", "SEQ-7", "SEQ-8", "SIG-2")
    yield made("the third receipt", second, "SEQ-2", live=[first, envelope(usual, "bob")])
    short = envelope(usual, nonce=0, valid_until=HEIGHT + 2)
    yield made("a transaction that expires before the deadline", short, "SEQ-4")
    ending = envelope(usual, nonce=0, valid_until=HEIGHT + 1)
    ends = key_set(usual, start_height=HEIGHT, valid_until=HEIGHT + 1)
    yield made("a key that ends before the deadline", ending, "SEQ-4", keys=ends)
    yield made("a transaction that is not admitted", second, "MEM-2", refused=True)
    expired = envelope(usual, nonce=0, valid_until=HEIGHT - 1)
    yield made("a transaction that has expired", expired, "TXN-8", refused=True)
    begun = key_set(usual, start_height=HEIGHT)
    following = successor(begun, start_height=HEIGHT + 2)
    yield made("a key whose end was announced", first, "SEQ-4", keys=begun, later=[following])
    anew = successor(begun, same_key=True, start_height=HEIGHT + 2, start_round=0)
    yield made("a key that is shared anew", first, "SEQ-4", keys=begun, later=[anew])
    aimed = envelope(usual, nonce=0, target_height=VALID_UNTIL)
    yield made("addressed to a height beyond the deadline", aimed, "SEQ-4", keys=keys, addresses_height=True)
    soon = envelope(usual, nonce=0, valid_until=HEIGHT, target_height=HEIGHT)
    yield made("addressed to the next height", soon, "SEQ-4", keys=keys, addresses_height=True)
    used = key_set(usual, start_height=HEIGHT - 1, rounds=3)
    before: Json = {
        "height": HEIGHT - 1,
        "parent": ROOT,
        "committee_id": ssz_root(KEY_SET, used),
        "key_id": used["key_id"],
        "round": 3,
        "batch_root": page.batch_root([]),
        "count": 0,
        "policy_id": 1,
        "l1_block": 0,
        "inbox_index": 0,
        "timestamp_ms": 1_700_000_000_000,
        "executed_height": HEIGHT - 2,
        "state_root": ROOT,
    }
    one_left: Json = {"keys": used, "parent": before | {"round": 2}}
    none_left: Json = {"keys": used, "parent": before}
    yield made("a key with one round left", first, "SEQ-9", **one_left)
    yield made("a key with no round left", first, "SEQ-9", refused=True, **none_left)
    fresh = successor(used, start_height=HEIGHT + 3, rounds=32)
    to_next = envelope(usual, nonce=0, key_id=fresh["key_id"])
    yield made("the next key: the deadline counts from its start", to_next, "SEQ-4", **one_left, later=[fresh])
    yield made("the next key, while the one in use has no round left", to_next, "SEQ-9", **none_left, later=[fresh])
    waiting: Json = {"live": [first]}
    yield made("the nonce of one whose key is used up is free", to_next, "MEM-7", **none_left, later=[fresh], **waiting)
    expiring = envelope(usual, nonce=0, key_id=fresh["key_id"], valid_until=HEIGHT + 2)
    rules = ("MEM-6", "TXN-8")
    yield made("one that expires before its key begins", expiring, *rules, refused=True, **one_left, later=[fresh])
    beginning = envelope(usual, nonce=0, key_id=fresh["key_id"], valid_until=HEIGHT + 3)
    yield made("one that is valid at its key's first height only", beginning, *rules, **one_left, later=[fresh])
    aimed_at: Json = {"keys": begun, "later": [following], "addresses_height": True}
    at_end, beyond = (
        envelope(usual, nonce=0, valid_until=height, target_height=height) for height in (HEIGHT + 1, HEIGHT + 2)
    )
    yield made("addressed to the last height of its key", at_end, "SEQ-4", "MEM-6", **aimed_at)
    yield made("addressed to the height after its key's last", beyond, *rules, refused=True, **aimed_at)
    now = "next sequencer"
    taken = successor(begun, start_height=HEIGHT + 2, sequencer=address(now))
    for_it = envelope(usual, nonce=0, key_id=taken["key_id"])
    to_come: Json = {"keys": begun, "later": [taken]}
    yield made("a key whose successor has another sequencer", first, "SEQ-4", "SEQ-6", **to_come)
    yield made("the key of another sequencer", for_it, "SEQ-6", refused=True, **to_come)
    yield made("received ahead by the sequencer of the next key", for_it, "SEQ-2", "SEQ-6", **to_come, by=now)
    before_it = key_set(usual, start_height=HEIGHT - 1)
    over: Json = {"keys": before_it, "later": [successor(before_it, same_key=True, sequencer=address(now))]}
    yield made("a key that another sequencer goes on with", first, "SEQ-6", refused=True, **over)
    yield made("the first receipt of the one that goes on with it", first, "SEQ-2", "SEQ-6", **over, by=now)

    pool = page.to_pool(_pool(usual, keys=key_set(usual, start_height=HEIGHT, valid_until=100)))
    promise = page.receive(pool, first, sequencer=address("sequencer"), height=HEIGHT, now_ms=1, l1_block=900)
    message = promise | {"sequence": 4, "include_by_height": HEIGHT + 16}

    def checked(
        title: str,
        receipt: Json | bytes,
        *rules: str,
        refused: bool = True,
        transaction: Json = first,
        addresses_height: bool = False,
    ) -> Case:
        data = receipt if isinstance(receipt, bytes) else ssz_encode(SIGNED_RECEIPT, receipt)
        given: Json = {"genesis": hexed(GENESIS, usual), "key_set": hexed(KEY_SET, keys)}
        given |= {"addresses_height": True} if addresses_height else {}
        return _case(
            "check_receipt", title, *rules, refused=refused, transaction=_encoded(transaction), receipt=data, **given
        )

    def by(signer: str, of: Json = usual, **changes: Any) -> Json:
        return _signed(RECEIPT, message | changes, of, signer)

    good = by("sequencer")
    yield checked("a good receipt", good, "SEQ-4", "SEQ-6", "SEQ-7", "SEQ-8", refused=False)
    edge = by("sequencer", include_by_height=VALID_UNTIL)
    yield checked("include_by at the transaction's last height", edge, "SEQ-4", refused=False)
    yield checked("signed by a member", by("member 1"), "SEQ-6")
    yield checked("another sequence than was signed", good | {"message": message | {"sequence": 5}}, "SEQ-6")
    yield checked("signed for another network", by("sequencer", genesis(chain_id=1)), "SEQ-6", "SIG-2")
    yield checked("the signature ends in 0", good | {"signature": good["signature"][:64] + b"\0"}, "SEQ-6", "SIG-1")
    yield checked("the receipt of another transaction", good, "SEQ-7", transaction=second)
    late = by("sequencer", include_by_height=VALID_UNTIL + 1)
    yield checked("include_by after the transaction's last height", late, "SEQ-4")
    reveal = by("sequencer", reveal_by_l1_block=message["reveal_by_l1_block"] + 1)
    yield checked("reveal_by one block too late", reveal, "SEQ-8")
    yield checked("cut within the signature", ssz_encode(SIGNED_RECEIPT, good)[:-1], "ORD-12")
    to_aimed: Json = {"transaction": aimed, "addresses_height": True}
    on_time = by("sequencer", tx_id=tx_id(aimed), include_by_height=VALID_UNTIL)
    early = by("sequencer", tx_id=tx_id(aimed), include_by_height=VALID_UNTIL - 1)
    late = by("sequencer", tx_id=tx_id(aimed), include_by_height=VALID_UNTIL + 1)
    yield checked("include_by at the height that is addressed", on_time, "SEQ-4", refused=False, **to_aimed)
    yield checked("include_by one below the height that is addressed", early, "SEQ-4", **to_aimed)
    yield checked("include_by one above the height that is addressed", late, "SEQ-4", **to_aimed)


def _commitments() -> Iterator[Case]:
    usual = genesis()
    root = labelled("state root")(32)

    def made(
        title: str,
        *rules: str,
        refused: bool = False,
        now_ms: int = 1_700_000_002_000,
        executed: int = HEIGHT - 1,
        live: Sequence[Json] = (),
        height: int = HEIGHT,
        of: Json = usual,
        later: Sequence[Json] = (),
        parent: Json | None = None,
        announced: Json | None = None,
        by: str = "sequencer",
        head: int = 77,
        inbox: Sequence[Json] = (),
        nonce: int = 0,
        **keys: Any,
    ) -> Case:
        begun = key_set(of, **({"start_height": height, "start_round": 3, "start_parent": ROOT} | keys))
        given = _pool(of, live=live, height=height, nonce=nonce, keys=begun, later=later, parent=parent) | {
            "executed_height": str(executed),
            "state_root": to_hex(root),
            "now_ms": str(now_ms),
            "l1_block": str(head),
            "sequencer_key": to_hex(secret(by)),
        }
        given |= {"inbox": shown_entries(inbox)} if inbox else {}
        given |= {} if announced is None else {"announced": hexed(KEY_SET, announced)}
        return _case("make_commitment", title, *rules, refused=refused, **given)

    live = [envelope(usual, nonce=0), envelope(usual, "bob"), envelope(usual, nonce=1)]
    yield made("an empty batch leaves the round", "SEQ-13", "SEQ-11", "ORD-10", "ORD-11")
    yield made("three transactions, a round more", "SEQ-13", "ORD-10", live=live)
    yield made("a clock behind the genesis", "SEQ-12", now_ms=1)
    yield made("the last height of the key", "SEQ-3", valid_until=HEIGHT)
    yield made("32 heights ahead of execution", "SEQ-5", height=40, executed=8)
    yield made("33 heights ahead of execution", "SEQ-5", refused=True, height=40, executed=7)
    yield made("one height after the end of the key", "SEQ-3", refused=True, valid_until=HEIGHT - 1)
    yield made("a batch in the last round of the key", "SEQ-9", "SEQ-13", live=live, rounds=4)
    yield made("no round left: an empty batch, though transactions wait", "SEQ-9", "SEQ-13", live=live, rounds=3)

    before = page.make_commitment(
        page.to_pool(_pool(usual)),
        sequencer=address("sequencer"),
        height=HEIGHT - 1,
        announced=None,
        executed_height=HEIGHT - 2,
        state_root=root,
        now_ms=1_700_000_003_000,
        l1_block=77,
    )
    old: Json = {"start_height": HEIGHT - 1, "start_parent": ROOT, "parent": before | {"round": 7}}
    yield made("above a parent", "SEQ-13", "SEQ-12", live=live, **old)
    first = key_set(usual, **{name: old[name] for name in ("start_height", "start_parent")}, start_round=3)
    anew = successor(first, same_key=True, start_height=HEIGHT, start_round=7)
    yield made("the first height of the same key shared anew: rounds go on", "SEQ-13", live=live, later=[anew], **old)
    fresh = successor(first, start_height=HEIGHT, rounds=1)
    to_next = [envelope(usual, key_id=fresh["key_id"]), envelope(usual, "bob")]
    yield made("the first height of another key: round 1 again", "SEQ-13", "ORD-13", live=to_next, later=[fresh], **old)
    yield made("the first height of another key, an empty batch: round 0", "SEQ-13", later=[fresh], **old)
    yield made("the last height before an announced key set", "SEQ-10", announced=fresh | {"start_height": 6}, **old)
    yield made("the first height of an announced key set", "SEQ-10", refused=True, announced=fresh, **old)
    other = successor(key_set(usual, setup_kind=2), start_height=HEIGHT)
    yield made("the start of what was announced after another key set", "SEQ-10", announced=other, **old)
    now = "next sequencer"
    taken = successor(first, same_key=True, start_height=HEIGHT, start_round=7, sequencer=address(now))
    over: Json = old | {"later": [taken]}
    yield made("the first height of another sequencer", "SEQ-5", "SEQ-11", live=live, by=now, **over)
    yield made("one that builds on what is not executed", "SEQ-5", refused=True, executed=HEIGHT - 2, by=now, **over)
    yield made("a height that another sequencer took over", "SEQ-11", refused=True, **over)
    yield made("the sequencer of later heights", "SEQ-11", refused=True, by=now, **old)

    yield from _forced(made, before)

    message = page.make_commitment(
        page.to_pool(_pool(usual, live=live)),
        sequencer=address("sequencer"),
        height=HEIGHT,
        announced=None,
        executed_height=HEIGHT - 1,
        state_root=root,
        now_ms=1_700_000_002_000,
        l1_block=77,
    )

    def rooted(title: str, commitment: Json | bytes, *rules: str, refused: bool = True) -> Case:
        data = commitment if isinstance(commitment, bytes) else ssz_encode(SIGNED_COMMITMENT, commitment)
        given = {"genesis": hexed(GENESIS, usual), "commitment": data}
        return _case("commitment_root", title, *rules, refused=refused, **given)

    good = _signed(ORDER_COMMITMENT, message, usual, "sequencer")
    yield rooted("a commitment to three transactions", good, "ORD-11", "SEQ-11", "SIG-2", refused=False)
    resigned = _signed(ORDER_COMMITMENT, message, usual, "member 1")
    yield rooted("the same signed by another: one root", resigned, "ORD-11", refused=False)
    largest = dict.fromkeys(("height", "round", "l1_block", "inbox_index", "timestamp_ms"), 2**64 - 1)
    wide = _signed(ORDER_COMMITMENT, message | largest | {"count": 2**32 - 1}, usual, "sequencer")
    yield rooted("the largest integers", wide, "ORD-11", refused=False)
    data = ssz_encode(SIGNED_COMMITMENT, good)
    yield rooted("the last byte missing", data[:-1], "ORD-12")
    yield rooted("one byte too many", data + b"\0", "ORD-12")
    yield rooted("the signature ends in 0", data[:-1] + b"\0", "SIG-1", "SEQ-11")


def _forced(made: Callable[..., Case], before: Json) -> Iterator[Case]:
    """Commitments of a network with an inbox, whose entries are overdue at block 77."""
    of = network(batch_limit=4)
    overdue = 77 - WINDOW

    def tx(sender: str = "alice", nonce: int = 0, **changes: Any) -> Json:
        return envelope(changes.pop("of", of), sender, nonce=nonce, **changes)

    def case(title: str, *rules: str, inbox: Sequence[Json], **given: Any) -> Case:
        return made(title, "SEQ-14", *rules, **{"of": of, "inbox": inbox} | given)

    alice, bob, carol = tx(), tx("bob"), tx("carol")
    one = posted(alice, block=overdue)
    yield case("an overdue entry, then what is live", "ORD-14", inbox=one, live=[bob, carol])
    yield case("an overdue entry alone takes a round", "SEQ-13", inbox=one)
    yield case("an entry that is not overdue yet", "ORD-14", inbox=posted(alice, block=overdue + 1), live=[bob])
    yield case("entries that are passed over", "FRC-6", inbox=posted(b"\1", tx("nobody"), block=overdue), live=[bob])
    yield case("one that is live is taken from the inbox", "ORD-13", inbox=one, live=[bob, alice])
    own = [bob, tx(nonce=1)]
    yield case("a sender's next one waits for the forced one", "ORD-13", inbox=one, live=own)
    other = [tx(max_fee_per_gas=40 * GWEI), bob]
    yield case("another one with the nonce of the forced one", "ORD-13", inbox=one, live=other)
    two = posted(alice, bob, carol, block=overdue)
    rest = [tx("carol"), tx("carol", 1), tx("carol", 2)]
    yield case("half of four forced, the rest of the batch live", "FRC-4", "ORD-14", inbox=two, live=rest)
    narrow = network(batch_limit=4, gas_limit=21_000 * 4)
    wide = posted(tx(of=narrow, gas_limit=42_000), block=overdue)
    fits = [tx("bob", of=narrow), tx("carol", of=narrow, gas_limit=42_000), tx("bob", 1, of=narrow)]
    yield case("the gas of forced ones is taken from the batch's", "FRC-4", "ORD-14", inbox=wide, of=narrow, live=fits)
    by_fee = network(batch_limit=4, policy_id=2)
    cheap = posted(tx(of=by_fee, max_priority_fee_per_gas=0), block=overdue)
    yield case("not where the fees rank it", "ORD-14", inbox=cheap, of=by_fee, live=[tx("bob", of=by_fee)])
    yield case("no round left: it is passed over", "SEQ-9", inbox=one, live=[bob], rounds=3)
    yield case("a nonce that is used: it is passed over", "FRC-7", inbox=one, live=[bob], nonce=1)

    keys = key_set(of, start_height=HEIGHT - 1, start_parent=ROOT)
    own_keys = {"committee_id": ssz_root(KEY_SET, keys), "key_id": keys["key_id"]}
    old: Json = {"start_height": HEIGHT - 1, "start_parent": ROOT, "start_round": 0}
    old["parent"] = before | own_keys | {"round": 2, "inbox_index": 1}
    following = [*posted(b"\1", block=overdue - 9), *posted(alice, bob, block=overdue, first=1)]
    yield case("the walk begins where the parent's stopped", "FRC-3", inbox=following, **old)
    yield case("the block of its parent, where the head is below", "FRC-9", inbox=following, head=70, **old)
    yield case("as far below its parent's block as nothing is missed", inbox=following, head=77 - WINDOW, **old)
    yield case("so far below that an entry may be missed", inbox=following, refused=True, head=66, **old)
    out_of_step = [*following[:2], following[2] | {"index": 3}]
    yield case("an inbox with an entry missing", "FRC-1", inbox=out_of_step, refused=True, **old)
