"""Inputs for the vectors of settlement.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from spec import settlement as page
from spec.genesis import N, sign_digest
from spec.notation import (
    ABSTAIN,
    ACCOUNT,
    BATCH_LIST,
    DEADLINES,
    DECRYPTION_SHARE,
    ENCRYPTED_TRANSACTION,
    GENESIS,
    HEADER,
    KEY_SET,
    OBJECT_TAGS,
    ORDER_CERTIFICATE,
    ORDER_COMMITMENT,
    RECEIPT,
    SIGNED_COMMITMENT,
    STATE,
    VOTE,
    Container,
    signing_digest,
    ssz_encode,
    ssz_root,
    to_hex,
)

from specs.generate.case import Case, Json, labelled
from specs.generate.genesis import ETHER, GWEI, MEMBERS, address, genesis, key_set, secret

Object = dict[str, Any]

NETWORK = genesis()
GENESIS_ROOT: bytes = ssz_root(GENESIS, NETWORK)
COMMITTEE = key_set(NETWORK)
COMMITTEE_ID: bytes = ssz_root(KEY_SET, COMMITTEE)
MAX_U64 = 2**64 - 1


def drawn(name: str, size: int = 32) -> bytes:
    return labelled(f"settlement/{name}")(size)


def ssz(kind: Container, value: Object) -> str:
    return str(to_hex(ssz_encode(kind, value)))


def commitment(**changes: Any) -> Object:
    return {
        "height": 7,
        "parent": drawn("parent"),
        "committee_id": COMMITTEE_ID,
        "key_id": COMMITTEE["key_id"],
        "round": 5,
        "batch_root": ssz_root(BATCH_LIST, {"tx_ids": tx_ids(3)}),
        "count": 3,
        "policy_id": 1,
        "l1_block": 20,
        "inbox_index": 2,
        "timestamp_ms": 1_700_000_007_000,
        "executed_height": 5,
        "state_root": drawn("state"),
    } | changes


def vote(of: Object) -> Object:
    root = ssz_root(ORDER_COMMITMENT, of)
    return {"committee_id": COMMITTEE_ID, "height": of["height"], "round": of["round"], "commitment_root": root}


def share(**changes: Any) -> Object:
    return vote(commitment()) | {"member": 2, "data": drawn("share", 48)} | changes


def transaction(ciphertext: bytes) -> Object:
    header = {
        "version": 1,
        "key_id": COMMITTEE["key_id"],
        "scheme": 1,
        "sender": address("alice"),
        "nonce": 3,
        "gas_limit": 42_000,
        "max_fee_per_gas": 30 * GWEI,
        "max_priority_fee_per_gas": 2 * GWEI,
        "target_height": 0,
        "valid_until": 100,
    }
    return {"header": header, "ciphertext": ciphertext, "signature": bytes(65)}


def receipt(**changes: Any) -> Object:
    return {
        "tx_id": drawn("tx 1"),
        "sequence": 12,
        "received_at_ms": 1_700_000_006_500,
        "include_by_height": 23,
        "include_by_l1_block": 84,
        "reveal_by_l1_block": 116,
    } | changes


def tx_ids(count: int) -> list[bytes]:
    return [drawn(f"tx {at}") for at in range(count)]


def account(at: int) -> Object:
    return {"address": bytes([at + 1]) * 20, "nonce": at, "balance": at * ETHER}


def state(accounts: int, **changes: Any) -> Object:
    return {
        "height": 5,
        "accounts": [account(at) for at in range(accounts)],
        "token_balances": [{"token": b"\x70" * 20, "owner": address("alice"), "amount": 10**21}],
        "pools": NETWORK["pools"],
    } | changes


def leaves_cases() -> Iterator[Case]:
    objects: Sequence[tuple[str, Container, Object]] = (
        ("a genesis with accounts, a token and a pool", GENESIS, NETWORK),
        ("the first key set", KEY_SET, COMMITTEE),
        ("a commitment", ORDER_COMMITMENT, commitment()),
        ("a commitment with the largest numbers", ORDER_COMMITMENT, commitment(height=MAX_U64, round=MAX_U64)),
        ("a vote", VOTE, vote(commitment())),
        ("an abstention", ABSTAIN, {"committee_id": COMMITTEE_ID, "height": 7}),
        ("a receipt", RECEIPT, receipt()),
        ("a share of one point", DECRYPTION_SHARE, share()),
        ("a share without bytes", DECRYPTION_SHARE, share(data=b"")),
        ("a share of several chunks", DECRYPTION_SHARE, share(data=drawn("long share", 48 * 65))),
        ("a header", HEADER, transaction(b"")["header"]),
        ("deadlines", DEADLINES, NETWORK["deadlines"]),
        ("an account with the largest balance", ACCOUNT, account(1) | {"balance": 2**256 - 1}),
    )
    for title, kind, value in objects:
        requirements = ("STL-1", "STL-2", *(("STL-4",) if "members" in kind.fields else ()))
        yield Case(
            operation="leaves",
            title=title,
            requirements=requirements,
            input={"type": kind.name, "encoded": ssz(kind, value)},
            refused=False,
        )
    encoded = ssz(ORDER_COMMITMENT, commitment())
    for title, text in (("a byte is missing", encoded[:-2]), ("a byte follows", encoded + "00")):
        yield Case(
            operation="leaves",
            title=title,
            requirements=("SSZ-2",),
            input={"type": "OrderCommitment", "encoded": text},
            refused=True,
        )


def recover_case(title: str, kind: Container, value: Object, signature: bytes, *, refused: bool = False) -> Case:
    return Case(
        operation="recover",
        title=title,
        requirements=("SIG-1", "SSZ-7", "STL-3"),
        input={
            "type": kind.name,
            "encoded": ssz(kind, value),
            "genesis_root": to_hex(GENESIS_ROOT),
            "signature": to_hex(signature),
        },
        refused=refused,
    )


def recover_cases() -> Iterator[Case]:
    values = {
        "Receipt": (RECEIPT, receipt()),
        "OrderCommitment": (ORDER_COMMITMENT, commitment()),
        "Vote": (VOTE, vote(commitment())),
        "DecryptionShare": (DECRYPTION_SHARE, share()),
        "Abstain": (ABSTAIN, {"committee_id": COMMITTEE_ID, "height": 7}),
        "KeySet": (KEY_SET, COMMITTEE),
    }
    for name, (kind, value) in values.items():
        assert name in OBJECT_TAGS
        signed = sign_digest(secret(MEMBERS[0]), signing_digest(kind, value, GENESIS_ROOT))
        yield recover_case(f"the tag of {name}", kind, value, signed)
    kind, value = values["Vote"]
    good = sign_digest(secret(MEMBERS[1]), signing_digest(kind, value, GENESIS_ROOT))
    r, s, v = page.parts_of(good)
    other = sign_digest(secret(MEMBERS[1]), signing_digest(kind, value, bytes(32)))
    yield recover_case("signed for another network: recovers to a stranger", kind, value, other)

    def made(r: int, s: int, v: int) -> bytes:
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])

    for title, signature in (
        ("the second form of the signature", made(r, N - s, 55 - v)),
        ("v is 0 or 1", made(r, s, v - 27)),
        ("v is 29", made(r, s, 29)),
        ("r is 0", made(0, s, v)),
        ("s is 0", made(r, 0, v)),
        ("r is the order", made(N, s, v)),
        ("a byte is missing", good[1:]),
        ("a byte follows", good + b"\0"),
    ):
        yield recover_case(title, kind, value, signature, refused=True)


def posting_cases() -> Iterator[Case]:
    for title, of, voters in (
        ("three of four votes", commitment(), MEMBERS[:3]),
        ("all votes", commitment(count=0, round=4), MEMBERS),
    ):
        signature = sign_digest(secret("sequencer"), signing_digest(ORDER_COMMITMENT, of, GENESIS_ROOT))
        digest = signing_digest(VOTE, vote(of), GENESIS_ROOT)
        votes = [sign_digest(secret(name), digest) for name in voters]
        yield Case(
            operation="posting",
            title=title,
            requirements=("STL-1", "STL-3", "STL-11"),
            input={
                "commitment": ssz(SIGNED_COMMITMENT, {"message": of, "signature": signature}),
                "certificate": ssz(ORDER_CERTIFICATE, {"vote": vote(of), "signatures": votes}),
            },
            intermediate={
                "vote_digest": to_hex(digest),
                "counted": str(page.count_signers([address(name) for name in MEMBERS], digest, votes)),
            },
            refused=False,
        )


def promise_cases() -> Iterator[Case]:
    for title, ciphertext in (
        ("a short ciphertext", drawn("ciphertext", 300)),
        ("a ciphertext that fills its last chunk", drawn("full", 320)),
    ):
        yield Case(
            operation="promise",
            title=title,
            requirements=("STL-1",),
            input={
                "receipt": ssz(RECEIPT, receipt()),
                "transaction": ssz(ENCRYPTED_TRANSACTION, transaction(ciphertext)),
            },
            refused=False,
        )


def branch_cases() -> Iterator[Case]:
    for count, position in ((1, 0), (3, 0), (3, 2), (4, 1), (33, 32)):
        yield Case(
            operation="batch_branch",
            title=f"position {position} of {count}",
            requirements=("STL-5",),
            input={"tx_ids": [to_hex(one) for one in tx_ids(count)], "position": str(position)},
            refused=False,
        )
    for title, of, at in (
        ("the only account", state(1), 0),
        ("the first of three", state(3), 0),
        ("the last of five", state(5), 4),
        ("no tokens and no pools", state(2, token_balances=[], pools=[]), 1),
    ):
        yield Case(
            operation="account_branch",
            title=title,
            requirements=("STL-5",),
            input={"state": ssz(STATE, of), "address": to_hex(account(at)["address"])},
            refused=False,
        )
    yield Case(
        operation="account_branch",
        title="the state has no such account",
        requirements=("STL-5",),
        input={"state": ssz(STATE, state(3)), "address": to_hex(account(3)["address"])},
        refused=True,
    )


def row_cases() -> Iterator[Case]:
    def case(title: str, leaves: int, first: int, count: int, levels: int, *, refused: bool = False) -> Case:
        return Case(
            operation="row_branch",
            title=title,
            requirements=("STL-46",),
            input={
                "leaves": [to_hex(one) for one in tx_ids(leaves)],
                "first": str(first),
                "count": str(count),
                "levels": str(levels),
            },
            refused=refused,
        )

    yield case("the only leaf, which is the root", 1, 0, 1, 0)
    yield case("the only leaf of a list", 1, 0, 1, 12)
    yield case("all leaves of a full tree", 8, 0, 8, 3)
    yield case("all leaves, as many as fill no tree", 11, 0, 11, 4)
    yield case("one node on each side", 8, 1, 6, 3)
    yield case("one leaf at an odd place", 6, 3, 1, 3)
    yield case("one leaf at an even place", 6, 4, 1, 3)
    yield case("the last leaf, beside which nothing is", 5, 4, 1, 3)
    yield case("two leaves of different pairs", 8, 3, 2, 3)
    yield case("the middle of a long list", 100, 33, 41, 12)
    yield case("no leaves", 8, 3, 0, 3, refused=True)
    yield case("a row beyond the leaves", 8, 5, 4, 3, refused=True)
    yield case("more leaves than the tree has", 9, 0, 9, 3, refused=True)


def check_case(name: str, title: str, refused: bool, given: Json, **changes: Any) -> Case:
    return Case(
        operation="check_branch",
        title=title,
        requirements=("STL-5",),
        input={"list": name} | given | changes,
        refused=refused,
    )


def check_cases() -> Iterator[Case]:
    ids, of = tx_ids(5), state(5)
    _, to_account = page.account_branch(of, account(3)["address"])
    batches = {
        "leaf": to_hex(ids[3]),
        "position": "3",
        "branch": page.hexed(page.batch_branch(ids, 3)),
        "root": to_hex(ssz_root(BATCH_LIST, {"tx_ids": ids})),
    }
    accounts = {
        "leaf": to_hex(ssz_root(ACCOUNT, account(3))),
        "position": "3",
        "branch": page.hexed(to_account),
        "root": to_hex(ssz_root(STATE, of)),
    }
    for name, good, width in (("batch", batches, 2**12), ("accounts", accounts, 2**24)):
        branch = list(good["branch"])
        yield check_case(name, "an honest branch", False, good)
        yield check_case(name, "another leaf", True, good, leaf=to_hex(bytes(32)))
        yield check_case(name, "another position", True, good, position="2")
        yield check_case(name, "a position as far above as the list has room", True, good, position=str(3 + width))
        yield check_case(name, "the position of the length", True, good, position=str(width))
        yield check_case(name, "the last sibling is missing", True, good, branch=branch[:-1])
        yield check_case(name, "a sibling too many", True, good, branch=[*branch, to_hex(bytes(32))])
        yield check_case(name, "two siblings in each other's place", True, good, branch=[*branch[1::-1], *branch[2:]])
        yield check_case(name, "another root", True, good, root=to_hex(bytes(32)))


def exit_cases() -> Iterator[Case]:
    for title, user in (("an address", address("alice")), ("the zero address", bytes(20))):
        yield Case(
            operation="exit_address", title=title, requirements=("STL-7",), input={"user": to_hex(user)}, refused=False
        )


def parameters_cases() -> Iterator[Case]:
    every = ("STL-33", "STL-34", "STL-35", "STL-36", "STL-37")

    def case(title: str, rules: tuple[str, ...], refused: bool, deadlines: Object, changes: Object) -> Case:
        parameters = {name: str(value) for name, value in (page.PARAMETERS | changes).items()}
        return Case(
            operation="check_parameters",
            title=title,
            requirements=rules,
            input={"parameters": parameters, "deadlines": ssz(DEADLINES, NETWORK["deadlines"] | deadlines)},
            refused=refused,
        )

    yield case("the defaults", every, False, {}, {})
    yield case(
        "every bound is touched",
        every,
        False,
        {"include_l1_blocks": 150, "reveal_l1_blocks": 159},
        {
            "posting_blocks": 1,
            "answer_blocks": 2,
            "finality_blocks": 3,
            "stall_blocks": 157,
            "challenge_blocks": 40,
            "unbonding_blocks": 200,
            "compensation": 8 * ETHER,
            "penalty": 8 * ETHER,
            "reward_bps": 6_000,
        },
    )
    for title, rule, deadlines, changes in (
        ("nothing may be posted after a deadline", "STL-33", {}, {"posting_blocks": 0}),
        ("posting may take as long as answering", "STL-33", {}, {"posting_blocks": 600}),
        ("bonds are out with the last answer", "STL-34", {}, {"unbonding_blocks": 58_200}),
        ("bonds are out before an inclusion is asked for", "STL-34", {"include_l1_blocks": 50_400}, {}),
        ("bonds are out before a reveal is asked for", "STL-34", {"reveal_l1_blocks": 50_400}, {}),
        ("final with the last answer", "STL-35", {}, {"finality_blocks": 600}),
        ("more for the harmed than is taken", "STL-36", {}, {"compensation": ETHER + 1}),
        ("less than nothing for the harmed", "STL-36", {}, {"compensation": -1}),
        ("a penalty above a member's bond", "STL-36", {}, {"penalty": 8 * ETHER + 1}),
        ("a penalty above a sequencer's bond", "STL-36", {}, {"sequencer_bond": ETHER - 1}),
        ("more is given than taken", "STL-37", {}, {"reward_bps": 6_001}),
    ):
        yield case(title, (rule,), True, deadlines, changes)


def cases() -> Iterator[Case]:
    yield from leaves_cases()
    yield from recover_cases()
    yield from posting_cases()
    yield from promise_cases()
    yield from branch_cases()
    yield from row_cases()
    yield from check_cases()
    yield from exit_cases()
    yield from parameters_cases()
