"""Inputs for the vectors of voting.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from spec.genesis import address_of_key, sign_digest
from spec.notation import (
    ABSTAIN,
    DECRYPTION_SHARE,
    DROP_CERTIFICATE,
    ENCRYPTED_TRANSACTION,
    KEY_SET,
    ORDER_CERTIFICATE,
    ORDER_COMMITMENT,
    RECEIPT,
    SIGNED_ABSTAIN,
    SIGNED_COMMITMENT,
    SIGNED_RECEIPT,
    SIGNED_SHARE,
    SIGNED_VOTE,
    VOTE,
    ZERO_HASH,
    Container,
    signing_digest,
    ssz_encode,
    ssz_root,
    to_hex,
)
from spec.ordering import batch_root
from spec.transactions import tx_id
from spec.voting import share_message, vote_for

from specs.generate.case import Case, Json, labelled

Object = dict[str, Any]

GENESIS_ROOT = labelled("voting/genesis")(32)
COMMITTEE_ID = labelled("voting/committee")(32)
KEY_ID = labelled("voting/key")(32)
STATE_ROOT = labelled("voting/state")(32)
GWEI = 10**9
MEMBERS, T = 4, 3
TIME_MS = 1_700_000_000_000


def secret(name: str) -> bytes:
    return b"\x01" + labelled(f"voting/secret/{name}")(31)


def address(name: str) -> bytes:
    found: bytes = address_of_key(secret(name))
    return found


ADDRESSES = [address(f"member {at}") for at in range(1, MEMBERS + 1)]


def signed(kind: Container, message: Object, by: str) -> bytes:
    made: bytes = sign_digest(secret(by), signing_digest(kind, message, GENESIS_ROOT))
    return made


def ssz(kind: Container, value: Object) -> str:
    return str(to_hex(ssz_encode(kind, value)))


def transaction(sender: str, nonce: int = 0, **changes: Any) -> Object:
    """An envelope whose ciphertext and signature nobody looks at here."""
    header = {
        "version": 1,
        "key_id": KEY_ID,
        "scheme": 0,
        "sender": address(sender),
        "nonce": nonce,
        "gas_limit": 21_000,
        "max_fee_per_gas": 30 * GWEI,
        "max_priority_fee_per_gas": 2 * GWEI,
        "target_height": 0,
        "valid_until": 100,
    }
    ciphertext = labelled(f"voting/ciphertext/{sender}/{nonce}")(32)
    return {"header": header | changes, "ciphertext": ciphertext, "signature": bytes(65)}


def commitment(transactions: Sequence[Object] = (), **changes: Any) -> Object:
    """For height 7, whose parent is not named unless the changes do."""
    tx_ids = [tx_id(one) for one in transactions]
    usual = {
        "height": 7,
        "parent": labelled("voting/parent")(32),
        "committee_id": COMMITTEE_ID,
        "key_id": KEY_ID,
        "round": 5 if transactions else 4,
        "batch_root": batch_root(tx_ids),
        "count": len(transactions),
        "policy_id": 1,
        "l1_block": 20,
        "inbox_index": 0,
        "timestamp_ms": TIME_MS + 7_000,
        "executed_height": 5,
        "state_root": STATE_ROOT,
    }
    return usual | changes


def vote_cases() -> Iterator[Case]:
    for title, made in (
        ("a batch of two", commitment([transaction("alice"), transaction("bob")])),
        ("an empty batch is voted for like any other", commitment()),
        ("the largest numbers", commitment(height=2**64 - 1, round=2**64 - 1, l1_block=2**64 - 1)),
    ):
        encoded = ssz(ORDER_COMMITMENT, made)
        yield Case(
            operation="vote_for",
            title=title,
            requirements=("SSZ-7", "VOT-10"),
            input={"genesis_root": to_hex(GENESIS_ROOT), "commitment": encoded},
            intermediate={"commitment_root": to_hex(ssz_root(ORDER_COMMITMENT, made))},
            refused=False,
        )
    encoded = ssz(ORDER_COMMITMENT, commitment())
    for title, text in (("a byte is missing", encoded[:-2]), ("a byte follows", encoded + "00")):
        yield Case(
            operation="vote_for",
            title=title,
            requirements=("SSZ-2",),
            input={"genesis_root": to_hex(GENESIS_ROOT), "commitment": text},
            refused=True,
        )


def commitment_case(
    title: str,
    requirements: tuple[str, ...],
    *,
    refused: bool = True,
    transactions: Sequence[Object] | None = None,
    handed: Sequence[Object] | None = None,
    previous: Object | None = None,
    first: bool = False,
    signer: str = "sequencer",
    signature: bytes | None = None,
    state: Json | None = None,
    no_state: bool = False,
    now_ms: int | None = TIME_MS + 8_000,
    key_set: Json | None = None,
    network: Json | None = None,
    changes: Object | None = None,
) -> Case:
    """A commitment at height 7 above its parent, or the first of a key set; `changes` are signed."""
    chosen = [transaction("alice"), transaction("bob")] if transactions is None else transactions
    before = None if first else previous or commitment(height=6, round=4, timestamp_ms=TIME_MS + 6_000, l1_block=19)
    terms: Json = {
        "committee_id": to_hex(COMMITTEE_ID),
        "key_id": to_hex(KEY_ID),
        "sequencer": to_hex(address("sequencer")),
        "batch_limit": "8",
        "valid_until": "100",
        "start_height": "1",
        "start_parent": to_hex(GENESIS_ROOT),
        "start_round": "0",
    }
    if before is None:
        usual = {"height": 1, "parent": GENESIS_ROOT, "round": 1 if chosen else 0, "executed_height": 0}
    else:
        usual = {"parent": ssz_root(ORDER_COMMITMENT, before)}
    made = commitment(chosen, **usual | (changes or {}))
    message = {"message": made, "signature": signature or signed(ORDER_COMMITMENT, made, signer)}
    own = state or {"height": str(made["executed_height"]), "root": to_hex(STATE_ROOT)}
    return Case(
        operation="check_commitment",
        title=title,
        requirements=requirements,
        input={
            "network": {
                "genesis_root": to_hex(GENESIS_ROOT),
                "timestamp_ms": str(TIME_MS),
                "gas_limit": str(21_000 * 64),
                **(network or {}),
            },
            "key_set": terms | (key_set or {}),
            "previous": None if before is None else ssz(ORDER_COMMITMENT, before),
            "commitment": ssz(SIGNED_COMMITMENT, message),
            "transactions": [ssz(ENCRYPTED_TRANSACTION, one) for one in (chosen if handed is None else handed)],
            "state": None if no_state else own,
            "now_ms": None if now_ms is None else str(now_ms),
        },
        refused=refused,
    )


def commitment_cases() -> Iterator[Case]:
    every = ("VOT-1", "VOT-2", "VOT-3", "VOT-7", "VOT-8", "VOT-9")
    alice, bob = transaction("alice"), transaction("bob")
    yield commitment_case("two transactions above a parent", every, refused=False)
    yield commitment_case("the first height of a key set", every, refused=False, first=True)
    yield commitment_case("an empty batch keeps the round", every, refused=False, transactions=())
    yield commitment_case(
        "every bound is touched",
        ("VOT-7", "VOT-9"),
        refused=False,
        transactions=[transaction("alice", gas_limit=21_000 * 64)],
        previous=commitment(height=36, round=4, timestamp_ms=TIME_MS + 7_000, executed_height=5),
        changes={"height": 37},
        now_ms=TIME_MS + 7_000 - 60_000,
        key_set={"valid_until": "37", "batch_limit": "1"},
    )
    yield commitment_case("history is read without a clock", ("VOT-9",), refused=False, now_ms=None)

    yield commitment_case("a stranger signed", ("VOT-1",), signer="mallory")
    other = commitment([alice, bob], timestamp_ms=TIME_MS + 7_001)
    yield commitment_case(
        "the sequencer's signature of another commitment",
        ("VOT-1",),
        signature=signed(ORDER_COMMITMENT, other, "sequencer"),
    )
    yield commitment_case("the signature is no signature", ("SIG-1",), signature=bytes(65))
    yield commitment_case("another committee", ("VOT-2",), changes={"committee_id": bytes(32)})
    yield commitment_case("another key", ("VOT-2",), changes={"key_id": bytes(32)})
    yield commitment_case("a height is skipped", ("VOT-2",), changes={"height": 8})
    yield commitment_case("another parent", ("VOT-2",), changes={"parent": bytes(32)})
    yield commitment_case(
        "the first height does not start from the key set", ("VOT-2",), first=True, changes={"parent": bytes(32)}
    )
    yield commitment_case("a transaction is withheld", ("VOT-3",), handed=[alice])
    yield commitment_case("the transactions are exchanged", ("VOT-3",), handed=[bob, alice])
    yield commitment_case("count is one too high", ("VOT-3",), changes={"count": 3})
    yield commitment_case("the executed height falls behind the parent's", ("VOT-7",), changes={"executed_height": 4})
    yield commitment_case("the executed height is its own", ("VOT-7",), changes={"executed_height": 7})
    yield commitment_case(
        "33 heights wait for their execution",
        ("VOT-7",),
        previous=commitment(height=37, round=4, timestamp_ms=TIME_MS, executed_height=5),
        changes={"height": 38},
    )
    yield commitment_case("another state root", ("VOT-7",), state={"height": "5", "root": to_hex(bytes(32))})
    yield commitment_case("a state this party does not have", ("VOT-7",), no_state=True)
    yield commitment_case("the round stands still", ("VOT-8",), changes={"round": 4})
    yield commitment_case("an empty batch takes a round", ("VOT-8",), transactions=(), changes={"round": 5})
    yield commitment_case("the key has ended", ("VOT-9",), key_set={"valid_until": "6"})
    yield commitment_case("one transaction too many", ("VOT-9",), key_set={"batch_limit": "1"})
    yield commitment_case("one gas too much", ("VOT-9",), network={"gas_limit": "41999"})
    yield commitment_case("an inbox entry, and no chain below", ("VOT-9",), changes={"inbox_index": 1})
    read: Json = {"network": {"force_l1_blocks": "10"}}
    yield commitment_case(
        "three inbox entries of a chain below", ("VOT-9",), refused=False, changes={"inbox_index": 3}, **read
    )
    yield commitment_case(
        "the parent's block of the chain below", ("VOT-9",), refused=False, changes={"l1_block": 19}, **read
    )
    yield commitment_case("the block of the chain below goes back", ("VOT-9",), changes={"l1_block": 18})
    yield commitment_case("earlier than its parent", ("VOT-9",), changes={"timestamp_ms": TIME_MS + 5_999})
    yield commitment_case("earlier than the genesis", ("VOT-9",), first=True, changes={"timestamp_ms": TIME_MS - 1})
    yield commitment_case("a millisecond too far in the future", ("VOT-9",), now_ms=TIME_MS + 7_000 - 60_001)
    short = commitment_case("a byte of the commitment is missing", ("SSZ-2",))
    short.input["commitment"] = short.input["commitment"][:-2]
    yield short

    parent = commitment(height=6, round=4, timestamp_ms=TIME_MS + 6_000, l1_block=19)
    other = parent | {"key_id": labelled("voting/key before")(32)}

    def begins(
        title: str, *rules: str, refused: bool = True, batch: bool = True, same_key: bool = False, **changes: Any
    ) -> Case:
        """The first height of a successor; `start_parent`, `start_round` and `rounds` are its own."""
        start = {"start_height": "7", "start_parent": to_hex(ZERO_HASH), "start_round": "0"}
        own = {name: changes.pop(name) for name in ("start_parent", "start_round", "rounds") if name in changes}
        return commitment_case(
            title,
            rules,
            refused=refused,
            transactions=None if batch else (),
            previous=parent if same_key else other,
            key_set=start | own,
            changes={"round": int(batch)} | changes,
        )

    yield begins("another key begins: round 1", "VOT-2", "VOT-8", refused=False)
    yield begins("another key begins with an empty batch: round 0", "VOT-8", refused=False, batch=False)
    named: Json = {"start_parent": to_hex(ssz_root(ORDER_COMMITMENT, other))}
    yield begins("another key begins from a commitment that it names", "VOT-2", refused=False, **named)
    anew: Json = {"same_key": True, "start_parent": to_hex(ssz_root(ORDER_COMMITMENT, parent))}
    yield begins("the same key goes on, shared anew", "VOT-2", "VOT-8", refused=False, **anew, start_round="4", round=5)
    yield begins("the last round of the key", "VOT-8", refused=False, rounds="1")
    yield begins("the key set starts from another commitment", "VOT-2", start_parent=to_hex(GENESIS_ROOT))
    yield begins("a start from zero, and another parent", "VOT-2", parent=ZERO_HASH)
    yield begins("another key begins, and the rounds go on", "VOT-8", round=5)
    yield begins("an empty batch takes the first round of a key", "VOT-8", batch=False, round=1)
    yield begins("the same key goes on from another round", "VOT-8", **anew, start_round="3", round=4)
    yield begins("a round that the key does not have", "VOT-8", **anew, start_round="4", round=5, rounds="4")
    yield commitment_case(
        "all rounds are used: an empty batch", ("VOT-8",), refused=False, transactions=(), key_set={"rounds": "4"}
    )
    yield commitment_case("all rounds are used: a batch with transactions", ("VOT-8",), key_set={"rounds": "4"})


def receipt(of: Object, sequence: int, by: str = "sequencer") -> Object:
    message = {
        "tx_id": tx_id(of),
        "sequence": sequence,
        "received_at_ms": TIME_MS,
        "include_by_height": 20,
        "include_by_l1_block": 64,
        "reveal_by_l1_block": 128,
    }
    return {"message": message, "signature": signed(RECEIPT, message, by)}


def batch_case(
    title: str,
    requirements: tuple[str, ...],
    transactions: Sequence[Object],
    *,
    refused: bool = True,
    receipts: Sequence[Object] | None = None,
    policy: int = 1,
    committed_policy: int | None = None,
    committed: Json | None = None,
    unexecuted: Sequence[str] = (),
    accounts: dict[str, tuple[int, int]] | None = None,
    addresses_height: bool = False,
    forced: int = 0,
) -> Case:
    made = commitment(transactions, policy_id=policy if committed_policy is None else committed_policy)
    given = [receipt(one, at) for at, one in enumerate(transactions[forced:])] if receipts is None else receipts
    people = {"alice": (0, 10**18), "bob": (0, 10**18)} | (accounts or {})
    return Case(
        operation="check_batch",
        title=title,
        requirements=requirements,
        input={
            "network": {"genesis_root": to_hex(GENESIS_ROOT), "base_fee": str(10 * GWEI)},
            "key_set": {"sequencer": to_hex(address("sequencer")), "policy_id": str(policy)}
            | ({"addresses_height": True} if addresses_height else {}),
            "commitment": ssz(ORDER_COMMITMENT, made),
            "transactions": [ssz(ENCRYPTED_TRANSACTION, one) for one in transactions],
            "receipts": [ssz(SIGNED_RECEIPT, one) for one in given],
            "committed": {"tx_ids": [], "nonces": [], "sequences": []} | (committed or {}),
            "unexecuted_senders": [to_hex(address(name)) for name in unexecuted],
            "accounts": [
                {"address": to_hex(address(name)), "nonce": str(nonce), "balance": str(balance)}
                for name, (nonce, balance) in people.items()
            ],
            **({"forced": str(forced)} if forced else {}),
        },
        refused=refused,
    )


def batch_cases() -> Iterator[Case]:
    alice, bob, later = transaction("alice"), transaction("bob"), transaction("alice", 1)
    reservation = 21_000 * 30 * GWEI
    by_id = sorted([alice, bob], key=tx_id)
    rich = transaction("bob", max_priority_fee_per_gas=3 * GWEI)
    capped = transaction("bob", max_fee_per_gas=11 * GWEI, max_priority_fee_per_gas=11 * GWEI)
    yield batch_case("arrival: by receipt", ("VOT-4", "VOT-5", "VOT-6"), [bob, alice, later], refused=False)
    yield batch_case(
        "arrival: sequences may have gaps",
        ("VOT-6",),
        [alice, bob],
        refused=False,
        receipts=[receipt(alice, 3), receipt(bob, 9)],
    )
    yield batch_case(
        "arrival: a sender's nonces ascend on its own places, whatever its receipts say",
        ("VOT-6",),
        [alice, bob, later],
        refused=False,
        receipts=[receipt(alice, 9), receipt(bob, 5), receipt(later, 3)],
    )
    yield batch_case("priority fee: the higher first", ("VOT-6",), [rich, alice], refused=False, policy=2)
    yield batch_case(
        "priority fee: what max_fee leaves above the base fee counts",
        ("VOT-6",),
        [alice, capped],
        refused=False,
        policy=2,
    )
    yield batch_case("shuffle: committed by id", ("VOT-6",), by_id, refused=False, policy=3)
    yield batch_case("an empty batch", ("VOT-4", "VOT-5", "VOT-6"), [], refused=False)
    yield batch_case(
        "balance and last height just suffice",
        ("VOT-5",),
        [transaction("alice", 4, valid_until=7), transaction("alice", 5)],
        refused=False,
        accounts={"alice": (4, 2 * reservation)},
    )

    yield batch_case("committed before", ("VOT-4",), [alice, bob], committed={"tx_ids": [to_hex(tx_id(bob))]})
    yield batch_case(
        "a nonce committed before",
        ("VOT-4",),
        [alice, bob],
        committed={"nonces": [{"sender": to_hex(address("bob")), "nonce": "0"}]},
    )
    yield batch_case("a sender whose transaction waits for execution", ("VOT-4",), [alice, bob], unexecuted=["bob"])
    yield batch_case("expired one height ago", ("VOT-5",), [transaction("alice", valid_until=6), bob])
    yield batch_case("a nonce is left out", ("VOT-5",), [alice, transaction("alice", 2)])
    yield batch_case("a nonce already used", ("VOT-5",), [alice], accounts={"alice": (1, 10**18)})
    yield batch_case(
        "one wei short for two reservations", ("VOT-5",), [alice, later], accounts={"alice": (0, 2 * reservation - 1)}
    )
    yield batch_case("a sender without an account", ("VOT-5",), [transaction("carol")])
    yield batch_case("another policy", ("VOT-6",), [alice, bob], committed_policy=2)
    yield batch_case(
        "arrival: the later receipt first", ("VOT-6",), [alice, bob], receipts=[receipt(alice, 2), receipt(bob, 1)]
    )
    yield batch_case("a receipt is missing", ("VOT-6",), [alice, bob], receipts=[receipt(alice, 1)])
    yield batch_case("another transaction's receipt", ("VOT-6",), [alice], receipts=[receipt(bob, 1)])
    yield batch_case("somebody else's receipt", ("VOT-6",), [alice], receipts=[receipt(alice, 1, by="mallory")])
    yield batch_case("one sequence twice", ("VOT-6",), by_id, receipts=[receipt(by_id[0], 1), receipt(by_id[1], 1)])
    yield batch_case("a sequence committed before", ("VOT-6",), [alice], committed={"sequences": ["0"]})
    yield batch_case("no receipts, though the policy looks at none", ("VOT-6",), by_id, receipts=(), policy=3)
    yield batch_case("priority fee: the lower first", ("VOT-6",), [alice, rich], policy=2)
    yield batch_case("shuffle: not by id", ("VOT-6",), by_id[::-1], policy=3)

    here, later = (transaction("alice", valid_until=height, target_height=height) for height in (7, 8))
    both = [here, transaction("bob", valid_until=7, target_height=7)]
    yield batch_case("all addressed to this height", ("VOT-5",), both, refused=False, addresses_height=True)
    yield batch_case("one addressed to the next height", ("VOT-5",), [later, both[1]], addresses_height=True)
    yield batch_case("one addressed to no height", ("VOT-5",), [here, bob], addresses_height=True)

    after = transaction("alice", 1)
    yield batch_case(
        "a forced transaction before one with a receipt", ("VOT-6",), [bob, alice], refused=False, forced=1
    )
    yield batch_case("nothing but forced transactions", ("VOT-6",), [bob, alice, after], refused=False, forced=3)
    yield batch_case("forced: not where the fees rank it", ("VOT-6",), [alice, rich], refused=False, policy=2, forced=1)
    yield batch_case("forced: not in the order of ids", ("VOT-6",), by_id[::-1], refused=False, policy=3, forced=1)
    yield batch_case(
        "a sender's forced transaction, then his next", ("VOT-5",), [alice, after], refused=False, forced=1
    )
    yield batch_case(
        "a forced transaction comes with its receipt",
        ("VOT-6",),
        [bob, alice],
        receipts=[receipt(bob, 1), receipt(alice, 2)],
        forced=1,
    )
    yield batch_case("the one after the forced comes without", ("VOT-6",), [bob, alice], receipts=(), forced=1)
    yield batch_case("after the forced one: the lower fee first", ("VOT-6",), [after, alice, rich], policy=2, forced=1)
    yield batch_case("a nonce left out after a forced one", ("VOT-5",), [alice, transaction("alice", 2)], forced=1)
    short = {"alice": (0, 2 * reservation - 1)}
    yield batch_case("one wei short for a forced one and another", ("VOT-5",), [alice, after], accounts=short, forced=1)
    held = {"tx_ids": [to_hex(tx_id(bob))]}
    yield batch_case("a forced one that is committed", ("VOT-4",), [bob, alice], committed=held, forced=1)


def vote(of: Object, member: str, **changes: Any) -> Object:
    message = vote_for(of) | changes
    return {"message": message, "signature": signed(VOTE, message, member)}


def certificate(of: Object, voters: Sequence[int] = (1, 2, 3), **changes: Any) -> Object:
    votes = [vote(of, f"member {at}", **changes) for at in voters]
    return {"vote": vote_for(of) | changes, "signatures": [one["signature"] for one in votes]}


def common() -> Json:
    return {"genesis_root": to_hex(GENESIS_ROOT), "members": [to_hex(member) for member in ADDRESSES], "t": str(T)}


def certificate_cases() -> Iterator[Case]:
    made = commitment([transaction("alice")])
    other = commitment([transaction("bob")])

    def collect(title: str, rule: str, votes: Sequence[Object], *, refused: bool) -> Case:
        given = common() | {
            "committee_id": to_hex(COMMITTEE_ID),
            "votes": [ssz(SIGNED_VOTE, one) for one in votes],
        }
        return Case(operation="collect_votes", title=title, requirements=(rule,), input=given, refused=refused)

    def check(title: str, rule: str, given: Object, *, refused: bool) -> Case:
        fields = common() | {
            "commitment": ssz(ORDER_COMMITMENT, made),
            "certificate": ssz(ORDER_CERTIFICATE, given),
        }
        return Case(operation="check_certificate", title=title, requirements=(rule,), input=fields, refused=refused)

    one, two, three, four = (vote(made, f"member {at}") for at in (1, 2, 3, 4))
    yield collect("three of four, in any order of arrival", "CRT-3", [four, one, three], refused=False)
    yield collect("the fourth changes nothing", "CRT-3", [one, two, three, four], refused=False)
    yield collect("two are too few", "CRT-3", [one, two], refused=False)
    yield collect("one member's vote three times is one vote", "CRT-2", [one, one, two, one], refused=False)
    yield collect(
        "votes for two commitments do not add up", "CRT-3", [one, two, vote(other, "member 3")], refused=False
    )
    yield collect(
        "votes of two heights stand beside each other",
        "CRT-2",
        [one, vote(commitment(height=8), "member 1"), two, three],
        refused=False,
    )
    yield collect("a stranger's vote", "CRT-1", [one, vote(made, "mallory")], refused=True)
    yield collect(
        "a vote in another committee", "CRT-1", [vote(made, "member 1", committee_id=bytes(32))], refused=True
    )
    yield collect("a member votes for two commitments", "CRT-2", [one, two, vote(other, "member 1")], refused=True)
    high = one["signature"][:64] + b"\x1d"
    yield collect("a signature that ends in 29", "SIG-1", [one | {"signature": high}], refused=True)

    yield check("members 1, 2 and 3", "CRT-3", certificate(made), refused=False)
    yield check("members 1, 2 and 4", "CRT-3", certificate(made, (1, 2, 4)), refused=False)
    yield check("for another commitment", "CRT-3", certificate(other), refused=True)
    yield check("for another round", "CRT-3", certificate(made, round=6), refused=True)
    yield check("two signatures", "CRT-3", certificate(made, (1, 2)), refused=True)
    yield check("four signatures, one more than t", "CRT-3", certificate(made, (1, 2, 3, 4)), refused=True)
    yield check("out of order", "CRT-3", certificate(made, (1, 3, 2)), refused=True)
    yield check("one member twice", "CRT-3", certificate(made, (1, 2, 2)), refused=True)
    foreign = certificate(made, (1, 2))
    foreign["signatures"].append(vote(made, "mallory")["signature"])
    yield check("a stranger among them", "CRT-3", foreign, refused=True)
    moved = certificate(made)
    moved["signatures"] = certificate(other)["signatures"]
    yield check("signatures of votes for another commitment", "CRT-3", moved, refused=True)
    empty = certificate(made) | {"signatures": []}
    yield check("no signatures", "CRT-3", empty, refused=True)
    cut = check("a byte is missing", "SSZ-5", certificate(made), refused=True)
    cut.input["certificate"] = cut.input["certificate"][:-2]
    yield cut


def dropping(members: Sequence[int] = (1, 2, 3), height: int = 7, **changes: Any) -> Object:
    message = {"committee_id": COMMITTEE_ID, "height": height} | changes
    return {"abstention": message, "signatures": [signed(ABSTAIN, message, f"member {at}") for at in members]}


def check_drop_cases() -> Iterator[Case]:
    def case(title: str, given: Object, *rules: str, refused: bool = True, **changes: Any) -> Case:
        fields = common() | {"committee_id": to_hex(COMMITTEE_ID), "certificate": ssz(DROP_CERTIFICATE, given)}
        return Case(
            operation="check_drop",
            title=title,
            requirements=rules or ("DRP-1",),
            input=fields | changes,
            refused=refused,
        )

    yield case("three of four", dropping(), refused=False)
    yield case("any three", dropping((1, 3, 4)), refused=False)
    yield case("all four: more than are needed", dropping((1, 2, 3, 4)), refused=False)
    yield case("with t = n one member is enough", dropping((2,)), refused=False, t="4")
    yield case("two of four", dropping((1, 2)))
    yield case("nobody", dropping(()))
    yield case("with t = 2 of 4 not even all", dropping((1, 2, 3, 4)), t="2")
    yield case("of another committee", dropping(committee_id=KEY_ID))
    yield case("one member twice", dropping((1, 2, 2)))
    yield case("out of order", dropping((1, 3, 2)))
    foreign = dropping((1, 2))
    foreign["signatures"].append(signed(ABSTAIN, foreign["abstention"], "mallory"))
    yield case("a stranger among them", foreign)
    moved = dropping() | {"signatures": dropping(height=8)["signatures"]}
    yield case("signatures of another height", moved)
    vote_instead = dropping((1, 2))
    vote_instead["signatures"].append(signed(VOTE, vote_for(commitment()), "member 3"))
    yield case("a vote among them", vote_instead)
    nothing = dropping((1, 2))
    nothing["signatures"].append(bytes(65))
    yield case("a signature that is none", nothing, "SIG-1")
    cut = case("a byte is missing", dropping(), "SSZ-5")
    cut.input["certificate"] = cut.input["certificate"][:-2]
    yield cut


def drop_cases() -> Iterator[Case]:
    below = commitment([transaction("alice")], height=6, round=4, inbox_index=3)

    def case(
        title: str,
        *rules: str,
        refused: bool = True,
        previous: Object | None = below,
        given: Object | None = None,
        settled: int = 6,
        executed: int = 5,
        **changes: Any,
    ) -> Case:
        key_set = {
            "committee_id": to_hex(COMMITTEE_ID),
            "key_id": to_hex(KEY_ID),
            "policy_id": "2",
            "start_height": "1",
            "start_parent": to_hex(GENESIS_ROOT),
            "start_round": "0",
            "valid_until": "7",
        }
        fields = {name: value for name, value in common().items() if name != "genesis_root"}
        fields |= {
            "network": {"genesis_root": to_hex(GENESIS_ROOT), "timestamp_ms": str(TIME_MS)},
            "key_set": key_set | changes,
            "certificate": ssz(DROP_CERTIFICATE, dropping() if given is None else given),
            "previous": None if previous is None else ssz(ORDER_COMMITMENT, previous),
            "settled": str(settled),
            "executed": {"height": str(executed), "root": to_hex(STATE_ROOT)},
        }
        return Case(operation="drop", title=title, requirements=rules, input=fields, refused=refused)

    yield case("above a batch", "DRP-4", refused=False)
    empty = commitment(height=6)
    yield case("above an empty height", "DRP-4", refused=False, previous=empty)
    yield case("above one that is executed", "DRP-2", "DRP-4", refused=False, executed=6)
    yield case("one that was certified, or what was built on it", "DRP-2", "DRP-3", refused=False, settled=9)
    many = dropping((1, 2, 3, 4))
    yield case("by more abstentions: the same commitment", "DRP-4", refused=False, given=many)
    first = dropping(height=1)
    yield case("the very first height", "DRP-4", refused=False, previous=None, given=first, settled=0, executed=0)
    other = below | {"key_id": labelled("voting/key before")(32), "committee_id": bytes(32)}
    starts: Json = {"start_height": "7", "start_parent": to_hex(ZERO_HASH)}
    yield case("the first height of another key: its own round", "DRP-4", refused=False, previous=other, **starts)
    anew: Json = {"start_height": "7", "start_round": "4", "start_parent": to_hex(ssz_root(ORDER_COMMITMENT, below))}
    yield case("the first height of a key shared anew", "DRP-4", refused=False, **anew)
    lost = anew | {"start_round": "5", "start_parent": to_hex(KEY_ID)}
    yield case("one that starts from what is void: from its round, above what stands", "DRP-4", refused=False, **lost)

    yield case("two abstentions", "DRP-1", given=dropping((1, 2)))
    yield case("abstentions of the committee before", "DRP-1", previous=other, **starts, committee_id=to_hex(KEY_ID))
    yield case("the height is executed", "DRP-2", executed=7, settled=7)
    yield case("the height and the next are executed", "DRP-2", executed=8, settled=8)
    yield case("the height below is not settled", "DRP-3", settled=5)
    yield case("the key ended with the height below", "DRP-6", valid_until="6")


def share_cases() -> Iterator[Case]:
    made = commitment([transaction("alice")])
    for title, member, data in (
        ("a share of two points", 2, labelled("voting/share")(96)),
        ("an empty share, as clear has it", 4, b""),
        ("the last member of the largest committee", 1024, b"\x01"),
    ):
        yield Case(
            operation="share_digest",
            title=title,
            requirements=("SSZ-7", "SHR-2"),
            input={
                "genesis_root": to_hex(GENESIS_ROOT),
                "commitment": ssz(ORDER_COMMITMENT, made),
                "member": str(member),
                "data": to_hex(data),
            },
            refused=False,
        )


def guard_cases() -> Iterator[Case]:
    made, other = commitment([transaction("alice")]), commitment([transaction("bob")])
    empty = commitment()
    height = made["height"]
    abstention = {"message": {"committee_id": COMMITTEE_ID, "height": height}}
    abstention["signature"] = signed(ABSTAIN, abstention["message"], "member 2")  # type: ignore[assignment]

    def share(of: Object) -> Object:
        message = share_message(of, 2, b"")
        return {"message": message, "signature": signed(DECRYPTION_SHARE, message, "member 2")}

    def case(
        title: str,
        rules: tuple[str, ...],
        action: Json,
        *,
        refused: bool,
        checked: Object | None = None,
        voted: Object | None = None,
        shared: Object | None = None,
        abstained: bool = False,
        elsewhere: Object | None = None,
        successor: Object | None = None,
        void: Object | None = None,
        settled: Sequence[Object] = (),
        abstained_at: int | None = None,
        **fields: str,
    ) -> Case:
        given = common() | {
            "member": "2",
            "checked": None if checked is None else ssz(ORDER_COMMITMENT, checked),
            "vote": None if voted is None else ssz(SIGNED_VOTE, vote(voted, "member 2")),
            "share": None if shared is None else ssz(SIGNED_SHARE, share(shared)),
            "abstention": ssz(SIGNED_ABSTAIN, abstention) if abstained else None,
            "action": action,
        }
        given |= {} if elsewhere is None else {"other_share": ssz(SIGNED_SHARE, share(elsewhere))}
        given |= {} if successor is None else {"successor": ssz(KEY_SET, successor)}
        given |= {} if void is None else {"voted": ssz(ORDER_COMMITMENT, void)}
        given |= {"settled": [ssz(ORDER_COMMITMENT, one) for one in settled]} if settled else {}
        if abstained_at is not None:
            message = {"committee_id": COMMITTEE_ID, "height": abstained_at}
            other = {"message": message, "signature": signed(ABSTAIN, message, "member 2")}
            given["other_abstention"] = ssz(SIGNED_ABSTAIN, other)
        given |= fields
        return Case(operation="guard", title=title, requirements=rules, input=given, refused=refused)

    to_vote = {"vote": ssz(ORDER_COMMITMENT, made)}
    to_release = {"release": ssz(ORDER_CERTIFICATE, certificate(made))}
    to_abstain = {"abstain": str(height)}
    yield case("a first vote", ("VOT-10",), to_vote, refused=False)
    yield case("the same vote again", ("VOT-10", "VOT-12"), to_vote, refused=False, checked=made, voted=made)
    yield case("a first share", ("SHR-1", "SHR-2"), to_release, refused=False, checked=made, voted=made)
    yield case("a share without an own vote, on others'", ("SHR-1",), to_release, refused=False, checked=made)
    yield case("the same share again", ("SHR-2", "VOT-12"), to_release, refused=False, checked=made, shared=made)
    yield case(
        "an empty batch gets no share",
        ("SHR-3",),
        {"release": ssz(ORDER_CERTIFICATE, certificate(empty))},
        refused=False,
        checked=empty,
    )
    yield case("an abstention", ("SHR-2",), to_abstain, refused=False)
    yield case("an abstention after a vote", ("SHR-2",), to_abstain, refused=False, checked=made, voted=made)
    yield case("the same abstention again", ("SHR-2", "VOT-12"), to_abstain, refused=False, abstained=True)

    yield case("a vote for another commitment", ("VOT-10",), to_vote, refused=True, voted=other)
    yield case("a vote after an abstention", ("VOT-10",), to_vote, refused=True, abstained=True)
    yield case("the sequencer's second commitment", ("VOT-10",), to_vote, refused=True, checked=other)
    yield case("a share for a height not checked", ("SHR-3",), to_release, refused=True)
    yield case(
        "a share with a certificate for another commitment", ("SHR-1", "CRT-3"), to_release, refused=True, checked=other
    )
    too_few = {"release": ssz(ORDER_CERTIFICATE, certificate(made, (1, 2)))}
    yield case("a share on two votes", ("SHR-1", "CRT-3"), too_few, refused=True, checked=made)
    yield case("a share after an abstention", ("SHR-2",), to_release, refused=True, checked=made, abstained=True)
    yield case("a share where another was released", ("SHR-2",), to_release, refused=True, checked=made, shared=other)
    yield case("an abstention after a share", ("SHR-2",), to_abstain, refused=True, shared=made)
    yield case("a vote where a share for another was released", ("VOT-10",), to_vote, refused=True, shared=other)

    before, same = (commitment([transaction("bob")], height=height - 1, round=at) for at in (4, 5))
    rules = ("SHR-2",)
    yield case("a share in the next round", rules, to_release, refused=False, checked=made, elsewhere=before)
    yield case("a second share in one round", rules, to_release, refused=True, checked=made, elsewhere=same)
    at_next, at_this = key_set(start_height=height + 1), key_set(start_height=height)
    office = ("KEY-10",)
    yield case("a vote below the start of a signed successor", office, to_vote, refused=False, successor=at_next)
    yield case("a share below it", office, to_release, refused=False, checked=made, successor=at_next)
    yield case("a vote at the start of a signed successor", office, to_vote, refused=True, successor=at_this)
    yield case("a share at it", office, to_release, refused=True, checked=made, successor=at_this)

    rules, low = ("SHR-4",), str(height - 2)
    own: Json = {"checked": made}
    yield case(
        "a share above a height abstained at, open",
        rules,
        to_release,
        refused=True,
        **own,
        abstained_at=6,
        executed=low,
    )
    yield case("the same, two below", rules, to_release, refused=True, **own, abstained_at=5, executed="4")
    yield case("the same, executed or dropped by now", rules, to_release, refused=False, **own, abstained_at=6)
    yield case("a share below a height abstained at", rules, to_release, refused=False, **own, abstained_at=8)
    yield case("a share above an open height", rules, to_release, refused=False, **own, executed=low)
    yield case(
        "a share at the start of the key set, all below executed", rules, to_release, refused=False, **own, start="7"
    )
    yield case("the same, the height below open", rules, to_release, refused=True, **own, start="7", executed=low)
    yield case(
        "above the start, the one below it executed", rules, to_release, refused=False, **own, start="6", executed=low
    )
    yield case(
        "above the start, the one below it open", rules, to_release, refused=True, **own, start="6", executed="4"
    )
    above = commitment([transaction("bob")], height=height + 1, round=6)
    yield case("an abstention below a share", rules, to_abstain, refused=True, elsewhere=above)
    yield case("an abstention above a share", rules, to_abstain, refused=False, elsewhere=before)
    yield case("again, below a share made since", rules, to_abstain, refused=False, abstained=True, elsewhere=above)

    rules, below = ("SHR-5",), commitment(height=height - 1)
    vain = commitment(parent=ssz_root(ORDER_COMMITMENT, below))
    voted: Json = {"checked": vain, "voted": vain}
    yield case("an abstention after a vote for an empty batch", rules, to_abstain, refused=True, **voted)
    yield case("the same, certified", rules, to_abstain, refused=True, **voted, settled=[vain])
    yield case("the same, its parent settled", rules, to_abstain, refused=True, **voted, settled=[below])
    lost: Json = {"checked": None, "voted": vain, "void": vain}
    instead = commitment(height=height - 1, timestamp_ms=TIME_MS)
    yield case("its parent was dropped", rules, to_abstain, refused=False, **lost, settled=[instead])
    yield case("another is certified at its height", rules, to_abstain, refused=False, **lost, settled=[made])
    yield case("it is not held any more, and nothing settled", rules, to_abstain, refused=True, **lost)
    yield case(
        "a vote for an empty batch after an abstention",
        ("VOT-10",),
        {"vote": ssz(ORDER_COMMITMENT, vain)},
        refused=True,
        abstained=True,
    )

    end = ("DRP-6",)
    yield case("an abstention at the last height of a key", end, to_abstain, refused=False, valid_until="7")
    yield case("an abstention above it", end, to_abstain, refused=True, valid_until="6")
    rules = ("DRP-5",)
    named, unnamed = key_set(start_height=height + 1, start_parent=KEY_ID), at_next
    yield case(
        "an abstention below a successor that names no parent", rules, to_abstain, refused=False, successor=unnamed
    )
    yield case("an abstention at the start of a successor", rules, to_abstain, refused=True, successor=at_this)
    yield case("below a successor that names its parent", rules, to_abstain, refused=True, successor=named)


def key_set(**changes: Any) -> Object:
    """A successor of the committee, with another key, from height 7 on."""
    return {
        "genesis_root": GENESIS_ROOT,
        "predecessor": COMMITTEE_ID,
        "key_id": labelled("voting/next key")(32),
        "epoch": 2,
        "scheme": 0,
        "setup_kind": 1,
        "setup_privacy": 0,
        "n": MEMBERS,
        "t": T,
        "reduced_threshold": 0,
        "members": ADDRESSES,
        "sequencer": address("sequencer"),
        "policy_id": 1,
        "policy_parameters": b"",
        "encryption_key": b"",
        "verification_keys": [b""] * MEMBERS,
        "parameter_digest": ZERO_HASH,
        "batch_limit": 8,
        "rounds": 0,
        "start_height": 7,
        "start_parent": ZERO_HASH,
        "start_round": 0,
        "valid_until": 100,
    } | changes


def successor_cases() -> Iterator[Case]:
    before = commitment([transaction("alice")], height=6, round=4)
    anew: dict[str, Any] = {
        "key_id": KEY_ID,
        "start_parent": ssz_root(ORDER_COMMITMENT, before),
        "start_round": 4,
    }

    def share(height: int, round: int) -> Object:
        return share_message(commitment(height=height, round=round), 1, b"")

    def case(
        title: str,
        *,
        refused: bool,
        signed: Object | None = None,
        shares: Sequence[Object] = (),
        known: Object | None = before,
        certified: int | None = None,
        abstained: Sequence[int] = (),
        rule: str = "KEY-10",
        **changes: Any,
    ) -> Case:
        given: Json = {
            "committee_id": to_hex(COMMITTEE_ID),
            "key_id": to_hex(KEY_ID),
            "signed": None if signed is None else ssz(KEY_SET, signed),
            "shares": [ssz(DECRYPTION_SHARE, one) for one in shares],
            "before": None if known is None else ssz(ORDER_COMMITMENT, known),
            "key_set": ssz(KEY_SET, key_set(**changes)),
        }
        given |= {} if certified is None else {"certified": str(certified)}
        given |= {"abstained": [str(height) for height in abstained]} if abstained else {}
        return Case(operation="sign_successor", title=title, requirements=(rule,), input=given, refused=refused)

    below = [share(5, 3), share(6, 4)]
    yield case("another key", refused=False, shares=below)
    yield case("another key, from a height that nobody has seen", refused=False, known=None, start_height=40)
    yield case("another key, after more rounds than it counts", refused=False, shares=[share(6, 9)])
    yield case("the same key, shared anew", refused=False, shares=below, **anew)
    yield case("the same key, no share in its last round", refused=False, shares=below[:1], **anew)
    yield case("the same key set again", refused=False, signed=key_set(**anew), **anew)
    yield case("a second, other successor", refused=True, signed=key_set(**anew), **anew, valid_until=99)
    yield case("of another committee", refused=True, predecessor=ZERO_HASH)
    yield case("after a share at its start", refused=True, shares=[share(7, 5)])
    yield case("after a share above its start", refused=True, shares=[share(8, 5)])
    yield case("the same key, from a height not checked", refused=True, known=None, **anew)
    yield case("the same key, from another commitment", refused=True, **anew | {"start_parent": GENESIS_ROOT})
    yield case("the same key, from a higher round", refused=True, **anew | {"start_round": 5})
    yield case("the same key, from a lower round", refused=True, **anew | {"start_round": 3})
    yield case("the same key, after a share in a higher round", refused=True, shares=[share(5, 5)], **anew)
    yield case("above all that is certified", refused=False, certified=6, **anew)
    yield case("from a height that is certified", refused=True, certified=7, **anew)
    yield case("another key, from below a height that is certified", refused=True, known=None, certified=9)
    yield case("signed before its height was certified", refused=False, signed=key_set(**anew), certified=7, **anew)
    yield case("another key, abstained below its start", rule="DRP-5", refused=False, abstained=[5, 6])
    yield case("another key, abstained at its start", rule="DRP-5", refused=True, abstained=[7])
    yield case("another key, abstained above its start", rule="DRP-5", refused=True, abstained=[5, 9])
    yield case("the same key, abstained at its parent's height", rule="DRP-5", refused=True, abstained=[6], **anew)
    yield case("the same key, abstained two below its start", rule="DRP-5", refused=True, abstained=[5], **anew)


def adoption_cases() -> Iterator[Case]:
    first = key_set(predecessor=ZERO_HASH, key_id=KEY_ID, epoch=1, start_height=1, encryption_key=b"one")
    sixth = commitment([transaction("alice")], height=6, round=4)
    seventh = commitment([transaction("bob")], height=7, round=5, parent=ssz_root(ORDER_COMMITMENT, sixth))
    other: dict[str, Any] = {"encryption_key": b"two"}
    anew: dict[str, Any] = {
        "key_id": KEY_ID,
        "encryption_key": b"one",
        "start_parent": ssz_root(ORDER_COMMITMENT, sixth),
        "start_round": 4,
    }
    moved: dict[str, Any] = {"sequencer": address("next sequencer")}

    def case(
        title: str,
        *rules: str,
        refused: bool,
        key_sets: Sequence[Object] = (first,),
        chain: Sequence[Object] = (sixth,),
        certified: int = 6,
        **changes: Any,
    ) -> Case:
        following = key_set(predecessor=ssz_root(KEY_SET, key_sets[-1]), epoch=len(key_sets) + 1, **changes)
        given = {
            "key_sets": [ssz(KEY_SET, one) for one in key_sets],
            "chain": [ssz(ORDER_COMMITMENT, one) for one in chain],
            "certified": str(certified),
            "key_set": ssz(KEY_SET, following),
        }
        return Case(operation="adopt", title=title, requirements=("KEY-9", *rules), input=given, refused=refused)

    both = (sixth, seventh)
    yield case("another key, at the next height", refused=False, **other)
    yield case("another key, at a later one", refused=False, **other, start_height=12)
    yield case("the same key, at the next height", refused=False, **anew)
    yield case("before the chain has come to its start", refused=False, **anew, start_height=9)
    yield case("from a height that is certified", refused=True, chain=both, certified=7, **anew)
    yield case("the same, with another sequencer", refused=True, chain=both, certified=7, **anew, **moved)
    yield case("from below a height that is certified", refused=True, chain=both, certified=7, **anew, **moved)
    yield case("from a height that its own sequencer committed to", refused=True, chain=both, **anew)
    yield case("another sequencer, from a height that is void", "VOT-14", refused=False, chain=both, **anew, **moved)
    yield case("another sequencer and key", "VOT-14", refused=False, chain=both, **other, **moved)
    eighth = commitment(height=8, round=5, parent=ssz_root(ORDER_COMMITMENT, seventh))
    above = (*both, eighth)
    yield case("from the first of two heights that are void", "VOT-14", refused=False, chain=above, **anew, **moved)
    yield case("from the second of two", "VOT-14", refused=False, chain=above, **other, **moved, start_height=8)
    elsewhere = anew | {"start_parent": GENESIS_ROOT}
    yield case("from another commitment than the certified one", refused=True, **elsewhere)
    yield case("from another than one that is not certified", "VOT-14", refused=False, certified=5, **elsewhere)
    yield case(
        "the same, where more was built on it", "VOT-14", refused=False, chain=both, certified=5, **elsewhere, **moved
    )
    yield case("the same key, from another round", refused=True, **anew | {"start_round": 3})
    yield case(
        "a key that another has replaced", refused=True, key_sets=(first, key_set(**other)), **anew, start_height=9
    )
    renamed = anew | {"key_id": labelled("voting/renamed")(32), "start_round": 0}
    yield case("the same one under another name", refused=True, **renamed)


def cases() -> Iterator[Case]:
    yield from vote_cases()
    yield from commitment_cases()
    yield from batch_cases()
    yield from certificate_cases()
    yield from check_drop_cases()
    yield from drop_cases()
    yield from share_cases()
    yield from guard_cases()
    yield from successor_cases()
    yield from adoption_cases()
