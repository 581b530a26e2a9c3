"""Cases of ordering.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

from specs.generate.case import Case, Json, labelled
from specs.generate.genesis import ETHER, GWEI, address, genesis, hexed, key_set, secret
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
) -> Json:
    """Alice's nonce and balance may differ; Bob and Carol have 0 and an ether."""
    accounts = [{"address": to_hex(address("alice")), "nonce": str(nonce), "balance": str(balance)}]
    others = [{"address": to_hex(address(n)), "nonce": "0", "balance": str(ETHER)} for n in ("bob", "carol")]
    return {
        "genesis": hexed(GENESIS, of),
        "key_set": hexed(KEY_SET, keys or key_set(of)),
        "accounts": accounts + others,
        "live": [_encoded(transaction) for transaction in live],
        "in_flight": [_encoded(transaction) for transaction in in_flight],
        "height": str(height),
    }


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


# --- receipts and commitments ----------------------------------------------------------------------------------------


def _signed(kind: Any, message: Json, of: Json, signer: str) -> Json:
    digest = signing_digest(kind, message, ssz_root(GENESIS, of))
    return {"message": message, "signature": signatures.sign_digest(secret(signer), digest)}


def _receipts() -> Iterator[Case]:
    usual = genesis()
    keys = key_set(usual, start_height=HEIGHT, valid_until=100)
    times = {"now_ms": "1700000001234", "l1_block": "900", "sequencer_key": to_hex(secret("sequencer"))}

    def made(title: str, transaction: Json, *rules: str, refused: bool = False, of: Json = usual, **pool: Any) -> Case:
        given = _pool(of, **({"keys": keys} | pool)) | times | {"transaction": _encoded(transaction)}
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

    message = page.make_receipt(usual, keys, first, sequence=4, height=HEIGHT, now_ms=1, l1_block=900)

    def checked(
        title: str, receipt: Json | bytes, *rules: str, refused: bool = True, transaction: Json = first
    ) -> Case:
        data = receipt if isinstance(receipt, bytes) else ssz_encode(SIGNED_RECEIPT, receipt)
        given = {"genesis": hexed(GENESIS, usual), "key_set": hexed(KEY_SET, keys)}
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
        **keys: Any,
    ) -> Case:
        begun = key_set(of, **({"start_height": height, "start_round": 3, "start_parent": ROOT} | keys))
        given = _pool(of, live=live, height=height, keys=begun) | {
            "executed_height": str(executed),
            "state_root": to_hex(root),
            "now_ms": str(now_ms),
            "l1_block": "77",
            "sequencer_key": to_hex(secret("sequencer")),
        }
        return _case("make_commitment", title, *rules, refused=refused, **given)

    live = [envelope(usual, nonce=0), envelope(usual, "bob"), envelope(usual, nonce=1)]
    yield made("an empty batch leaves the round", "SEQ-10", "SEQ-11", "ORD-10", "ORD-11")
    yield made("three transactions, a round more", "SEQ-10", "ORD-10", live=live)
    yield made("a clock behind the genesis", "SEQ-9", now_ms=1)
    yield made("the last height of the key", "SEQ-3", valid_until=HEIGHT)
    yield made("32 heights ahead of execution", "SEQ-5", height=40, executed=8)
    yield made("33 heights ahead of execution", "SEQ-5", refused=True, height=40, executed=7)
    yield made("one height after the end of the key", "SEQ-3", refused=True, valid_until=HEIGHT - 1)

    message = page.make_commitment(
        page.to_pool(_pool(usual, live=live)),
        height=HEIGHT,
        parent=None,
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
