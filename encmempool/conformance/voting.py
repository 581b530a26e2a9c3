"""The page `voting`, answered by this package: real committees, chains and members around what a vector states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from encmempool.certificates import vote_for
from encmempool.committee import (
    ABSTENTION,
    PROPOSAL,
    ROUND_GUARD,
    SHARE,
    SUCCESSOR,
    VOTE,
    Ballot,
    Chain,
    Member,
    Ready,
    check_certificate,
    check_drop,
)
from encmempool.conformance.state import OneState, accounts_of
from encmempool.errors import Conflict, Rejected
from encmempool.forced import InboxView
from encmempool.intervals import IntervalSet
from encmempool.keysets import NO_END, Committee, default_threshold
from encmempool.ssz import SszObject
from encmempool.store import MemoryStore, Store
from encmempool.types import (
    ZERO_HASH,
    Abstain,
    Deadlines,
    DecryptionShare,
    DropCertificate,
    EncryptedTransaction,
    Genesis,
    Header,
    KeySet,
    OrderCertificate,
    OrderCommitment,
    Proposal,
    ShareRelease,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
    Vote,
    signing_digest,
)
from threshold.encoding import u64
from threshold.entropy import deterministic
from threshold.keys import KeyShare
from threshold.sansio import Persist, Send
from threshold.schemes.base import Batch
from threshold.schemes.clear import ClearPublicKey
from threshold.schemes.registry import load_scheme

Json = dict[str, Any]

_NO_SIGNATURE = bytes(65)
_NOBODY = bytes(20)


def from_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def to_hex(data: bytes) -> str:
    return "0x" + data.hex()


def committee_of(
    genesis_root: bytes, *, members: Sequence[bytes], t: int, committee_id: bytes | None = None, **fields: Any
) -> Committee:
    """A committee of the control scheme, with roots and fields as a vector names them."""
    named: dict[str, Any] = {
        "chain_id": 1,
        "timestamp_ms": 0,
        "accounts": (),
        "tokens": (),
        "pools": (),
        "router": _NOBODY,
        "weth": _NOBODY,
        "base_fee": 0,
        "sequencer": _NOBODY,
        "members": tuple(members),
        "policy_id": 1,
        "policy_parameters": b"",
        "batch_limit": 1,
        "gas_limit": 0,
        "size_classes": (256,),
        "deadlines": deadlines_of(),
        "genesis_root": genesis_root,
        "predecessor": ZERO_HASH,
        "key_id": ZERO_HASH,
        "epoch": 1,
        "scheme": 0,
        "setup_kind": 1,
        "setup_privacy": 0,
        "n": len(members),
        "t": t,
        "reduced_threshold": int(t < default_threshold(len(members))),
        "encryption_key": b"",
        "verification_keys": (b"",) * len(members),
        "parameter_digest": ZERO_HASH,
        "rounds": 0,
        "start_height": 1,
        "start_parent": genesis_root,
        "start_round": 0,
        "valid_until": NO_END,
    } | fields
    genesis = Genesis(**{name: named[name] for name in Genesis.__dataclass_fields__})
    key_set = KeySet(**{name: named[name] for name in KeySet.__dataclass_fields__})
    _name(genesis, genesis_root)
    if committee_id is not None:
        _name(key_set, committee_id)
    return Committee(
        genesis=genesis,
        signed=SignedKeySet(message=key_set, signatures=()),
        scheme=load_scheme("clear"),
        public_key=ClearPublicKey(key_id=key_set.key_id, threshold=t, members=len(members)),
    )


def deadlines_of(*, force_l1_blocks: int = 0) -> Deadlines:
    return Deadlines(
        include_heights=1,
        include_l1_blocks=1,
        reveal_l1_blocks=1,
        force_l1_blocks=force_l1_blocks,
        l1_depth=0,
        l1_lag_blocks=0,
    )


def _name(value: SszObject, root: bytes) -> None:
    """A vector may name a network or committee by its root alone."""
    value.__dict__["root"] = root


def unsigned(commitment: OrderCommitment) -> SignedCommitment:
    return SignedCommitment(message=commitment, signature=_NO_SIGNATURE)


def ready(
    committee: Committee, commitment: OrderCommitment, transactions: tuple[EncryptedTransaction, ...] = ()
) -> Ready:
    """A commitment as it stands in a chain that has checked it."""
    entries = tuple(committee.verify_ciphertext(transaction) for transaction in transactions)
    return Ready(
        proposal=Proposal(commitment=unsigned(commitment), transactions=transactions, receipts=()),
        batch=Batch(key_id=committee.key_set.key_id, height=commitment.height, round=commitment.round, entries=entries),
    )


def chain_of(
    committee: Committee,
    state: OneState,
    checked: Sequence[Ready] = (),
    *,
    successors: Sequence[Committee] = (),
    inbox: InboxView | None = None,
) -> Chain:
    chain = Chain(committee, state, successors=successors, inbox=inbox)
    for one in checked:
        chain._append(one)
    return chain


def _vote_for(given: Json) -> Json:
    vote = vote_for(OrderCommitment.decode(from_hex(given["commitment"])))
    return _to_sign("vote", vote, from_hex(given["genesis_root"]))


def _to_sign(name: str, message: SszObject, genesis_root: bytes) -> Json:
    digest = signing_digest(message, genesis_root)
    return {name: to_hex(message.encoded), "root": to_hex(message.root), "digest": to_hex(digest)}


def _check_commitment(given: Json) -> Json:
    network, key_set, state = given["network"], given["key_set"], given["state"]
    signed = SignedCommitment.decode(from_hex(given["commitment"]))
    previous = None if given["previous"] is None else OrderCommitment.decode(from_hex(given["previous"]))
    transactions = tuple(EncryptedTransaction.decode(from_hex(one)) for one in given["transactions"])
    genesis: dict[str, Any] = {
        "timestamp_ms": int(network["timestamp_ms"]),
        "gas_limit": int(network["gas_limit"]),
        "deadlines": deadlines_of(force_l1_blocks=int(network.get("force_l1_blocks", "0"))),
    }
    committee = committee_of(
        from_hex(network["genesis_root"]),
        members=(),
        t=1,
        committee_id=from_hex(key_set["committee_id"]),
        key_id=from_hex(key_set["key_id"]),
        sequencer=from_hex(key_set["sequencer"]),
        batch_limit=int(key_set["batch_limit"]),
        valid_until=int(key_set["valid_until"]),
        start_height=int(key_set["start_height"]),
        start_parent=from_hex(key_set["start_parent"]),
        start_round=int(key_set["start_round"]),
        rounds=int(key_set.get("rounds", "0")),
        **genesis,
    )
    view = (
        OneState(height=-1, root=b"")
        if state is None
        else OneState(height=int(state["height"]), root=from_hex(state["root"]))
    )
    if previous is None:
        chain = chain_of(committee, view)
    else:
        first = committee_of(committee.genesis.root, members=(), t=1, start_height=previous.height, **genesis)
        chain = chain_of(first, view, [ready(first, previous)], successors=[committee])
    proposal = Proposal(commitment=signed, transactions=transactions, receipts=())
    chain._check_commitment(proposal, None if given["now_ms"] is None else int(given["now_ms"]))
    return {"root": to_hex(signed.message.root)}


def _check_batch(given: Json) -> Json:
    network, key_set, committed = given["network"], given["key_set"], given["committed"]
    commitment = OrderCommitment.decode(from_hex(given["commitment"]))
    transactions = tuple(EncryptedTransaction.decode(from_hex(one)) for one in given["transactions"])
    receipts = tuple(SignedReceipt.decode(from_hex(one)) for one in given["receipts"])
    committee = committee_of(
        from_hex(network["genesis_root"]),
        members=(),
        t=1,
        base_fee=int(network["base_fee"]),
        sequencer=from_hex(key_set["sequencer"]),
        policy_id=int(key_set["policy_id"]),
        key_id=commitment.key_id,
        start_height=commitment.executed_height + 1,
    )
    addresses_height = key_set.get("addresses_height", False)
    committee.__dict__["terms"] = replace(committee.terms, addresses_height=addresses_height)
    unexecuted = tuple(transaction_of(from_hex(sender), commitment) for sender in given["unexecuted_senders"])
    heights = [
        ready(
            committee,
            replace(commitment, height=height),
            unexecuted if height == commitment.height - 1 else (),
        )
        for height in range(commitment.executed_height + 1, commitment.height)
    ]
    state = OneState(
        height=commitment.executed_height,
        root=commitment.state_root,
        accounts=accounts_of(given["accounts"]),
    )
    chain = chain_of(committee, state, heights)
    # Of what is committed a chain remembers each sender's next nonce: an id has its place in its own header.
    places = [(from_hex(one["sender"]), int(one["nonce"])) for one in committed["nonces"]]
    places += [(t.header.sender, t.header.nonce) for t in transactions if to_hex(t.tx_id) in committed["tx_ids"]]
    for sender, nonce in places:
        chain._next_nonces[sender] = max(nonce + 1, chain._next_nonces.get(sender, 0))
    sequences = IntervalSet()
    for one in committed["sequences"]:
        sequences.add(int(one))
    chain._sequences[committee.key_set.sequencer] = sequences
    proposal = Proposal(commitment=unsigned(commitment), transactions=transactions, receipts=receipts)
    chain._check_transactions(proposal, forced=int(given.get("forced", "0")))
    return {"tx_ids": [to_hex(transaction.tx_id) for transaction in transactions]}


def transaction_of(sender: bytes, commitment: OrderCommitment) -> EncryptedTransaction:
    """Any transaction of a sender, for a height that waits for its execution."""
    header = Header(
        version=1,
        key_id=commitment.key_id,
        scheme=0,
        sender=sender,
        nonce=0,
        gas_limit=21_000,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
        target_height=0,
        valid_until=0,
    )
    return EncryptedTransaction(header=header, ciphertext=b"", signature=_NO_SIGNATURE)


def any_batch(commitment: OrderCommitment) -> tuple[EncryptedTransaction, ...]:
    """As many transactions as the commitment counts, where only their number matters."""
    return tuple(transaction_of(bytes([at]) * 20, commitment) for at in range(commitment.count))


def _collect_votes(given: Json) -> Json:
    committee = committee_of(
        from_hex(given["genesis_root"]),
        members=[from_hex(member) for member in given["members"]],
        t=int(given["t"]),
        committee_id=from_hex(given["committee_id"]),
    )
    ballot = Ballot(committee)
    made = [ballot.add(SignedVote.decode(from_hex(vote))) for vote in given["votes"]]
    first = next((certificate for certificate in made if certificate is not None), None)
    return {"certificate": None if first is None else to_hex(first.encoded)}


def _check_certificate(given: Json) -> Json:
    committee = committee_of(
        from_hex(given["genesis_root"]),
        members=[from_hex(member) for member in given["members"]],
        t=int(given["t"]),
    )
    certificate = OrderCertificate.decode(from_hex(given["certificate"]))
    check_certificate(committee, certificate, OrderCommitment.decode(from_hex(given["commitment"])))
    voters = [committee.signing_member(certificate.vote, one, rule="CRT-3") for one in certificate.signatures]
    return {"members": [str(voter) for voter in voters]}


def _check_drop(given: Json) -> Json:
    committee = committee_of(
        from_hex(given["genesis_root"]),
        members=[from_hex(member) for member in given["members"]],
        t=int(given["t"]),
        committee_id=from_hex(given["committee_id"]),
    )
    certificate = DropCertificate.decode(from_hex(given["certificate"]))
    check_drop(committee, certificate)
    numbers = [committee.signing_member(certificate.abstention, one, rule="DRP-1") for one in certificate.signatures]
    return {"members": [str(number) for number in numbers]}


def _drop(given: Json) -> Json:
    network, key_set, executed = given["network"], given["key_set"], given["executed"]
    previous = None if given["previous"] is None else OrderCommitment.decode(from_hex(given["previous"]))
    genesis: dict[str, Any] = {"timestamp_ms": int(network["timestamp_ms"])}
    committee = committee_of(
        from_hex(network["genesis_root"]),
        members=[from_hex(member) for member in given["members"]],
        t=int(given["t"]),
        committee_id=from_hex(key_set["committee_id"]),
        key_id=from_hex(key_set["key_id"]),
        policy_id=int(key_set["policy_id"]),
        start_height=int(key_set["start_height"]),
        start_parent=from_hex(key_set["start_parent"]),
        start_round=int(key_set["start_round"]),
        valid_until=int(key_set["valid_until"]),
        **genesis,
    )
    state = OneState(height=int(executed["height"]), root=from_hex(executed["root"]))
    if previous is None:
        chain = chain_of(committee, state)
    elif previous.height < committee.key_set.start_height:
        first = committee_of(committee.genesis.root, members=(), t=1, start_height=previous.height, **genesis)
        chain = chain_of(first, state, [ready(first, previous, any_batch(previous))], successors=[committee])
    else:
        chain = chain_of(committee, state)
        chain.resume(previous.height - 1, None, next_nonces={}, sequences={committee.key_set.sequencer: IntervalSet()})
        chain._append(ready(committee, previous, any_batch(previous)))
    chain.certified = int(given["settled"])
    commitment = chain.drop(DropCertificate.decode(from_hex(given["certificate"]))).commitment
    return {"commitment": to_hex(commitment.encoded), "root": to_hex(commitment.root)}


def _share_digest(given: Json) -> Json:
    commitment = OrderCommitment.decode(from_hex(given["commitment"]))
    share = DecryptionShare(
        committee_id=commitment.committee_id,
        height=commitment.height,
        round=commitment.round,
        commitment_root=commitment.root,
        member=int(given["member"]),
        data=from_hex(given["data"]),
    )
    return _to_sign("share", share, from_hex(given["genesis_root"]))


_GUARDED = ("vote", "share", "abstention")


class _Signer:
    """Signs with bytes that no vector's records hold, so that what is new can be told from what is stored."""

    address = _NOBODY

    def sign(self, digest: bytes) -> bytes:
        return b"\xff" * 65


def _guard(given: Json) -> Json:
    action = given["action"]
    stored = {name: None if given[name] is None else from_hex(given[name]) for name in _GUARDED}
    asked = None if "vote" not in action else OrderCommitment.decode(from_hex(action["vote"]))
    checked = asked if given["checked"] is None else OrderCommitment.decode(from_hex(given["checked"]))
    voted = OrderCommitment.decode(from_hex(given["voted"])) if "voted" in given else None
    known = checked or voted
    committee = committee_of(
        from_hex(given["genesis_root"]),
        members=[from_hex(member) for member in given["members"]],
        t=int(given["t"]),
        committee_id=ZERO_HASH if known is None else known.committee_id,
        key_id=ZERO_HASH if known is None else known.key_id,
        start_height=int(given.get("start", "1")),
        valid_until=int(given.get("valid_until", NO_END)),
        rounds=2**32 - 1 if "other_share" in given else 0,
    )
    height = int(action["abstain"]) if checked is None and "abstain" in action else checked.height if checked else 1
    chain = chain_of(committee, OneState(height=int(given.get("executed", height - 1)), root=ZERO_HASH))
    settled = [OrderCommitment.decode(from_hex(one)) for one in given.get("settled", ())]
    for one in (checked, *settled):
        if one is not None:
            chain._heights[one.height] = ready(committee, one, any_batch(one))
    chain.certified = max((one.height for one in settled), default=0)
    store = _records(stored, committee.key_set.key_id)
    if voted is not None:
        proposal = Proposal(commitment=unsigned(voted), transactions=(), receipts=())
        store.put([Persist(kind=PROPOSAL, key=u64(voted.height) + voted.root, value=proposal.encoded)])
    if "other_abstention" in given:
        signed = SignedAbstain.decode(from_hex(given["other_abstention"]))
        name = committee.key_set.key_id + u64(signed.message.height)
        store.put([Persist(kind=ABSTENTION, key=name, value=signed.encoded)])
    if "other_share" in given:
        signed_other = SignedShare.decode(from_hex(given["other_share"]))
        store.put([_share_record(signed_other, committee.key_set.key_id)])
        other = signed_other.message
        name, value = committee.key_set.key_id + u64(other.round), b"share" + other.commitment_root
        store.put([Persist(kind=ROUND_GUARD, key=name, value=value)])
    if "successor" in given:
        successor = SignedKeySet(message=KeySet.decode(from_hex(given["successor"])), signatures=())
        store.put([Persist(kind=SUCCESSOR, key=committee.committee_id, value=successor.encoded)])
    member = Member(
        index=int(given["member"]),
        chain=chain,
        committee=committee,
        identity=_Signer(),
        key_share=KeyShare(int(given["member"]), bytes(32)),
        records=store,
        random=deterministic(b"guard"),
    )
    if asked is not None:
        effects = member.vote(Proposal(commitment=unsigned(asked), transactions=(), receipts=()), now_ms=0)
    elif "abstain" in action:
        effects = member.abstain(int(action["abstain"]))
    else:
        effects = member.release(OrderCertificate.decode(from_hex(action["release"])))
    try:
        store.put([effect for effect in effects if isinstance(effect, Persist)])
    except Conflict as error:
        # The store itself refuses a second share in a round, before anything leaves.
        raise Rejected("SHR-2", str(error)) from error
    return {"sends": _sent(effects, stored)}


def _records(stored: dict[str, bytes | None], key_id: bytes) -> Store:
    store = MemoryStore()
    vote, share, abstention = (stored[name] for name in _GUARDED)
    if vote is not None:
        message = SignedVote.decode(vote).message
        store.put([Persist(kind=VOTE, key=message.committee_id + u64(message.height), value=vote)])
    if share is not None:
        store.put([_share_record(SignedShare.decode(share), key_id)])
    if abstention is not None:
        height = SignedAbstain.decode(abstention).message.height
        store.put([Persist(kind=ABSTENTION, key=key_id + u64(height), value=abstention)])
    return store


def _share_record(signed: SignedShare, key_id: bytes) -> Persist:
    message = signed.message
    vote = Vote(
        committee_id=message.committee_id,
        height=message.height,
        round=message.round,
        commitment_root=message.commitment_root,
    )
    release = ShareRelease(share=signed, certificate=OrderCertificate(vote=vote, signatures=()))
    return Persist(kind=SHARE, key=key_id + u64(message.height), value=release.encoded)


def _sign_successor(given: Json) -> Json:
    key_set = KeySet.decode(from_hex(given["key_set"]))
    before = None if given["before"] is None else OrderCommitment.decode(from_hex(given["before"]))
    committee = committee_of(
        key_set.genesis_root,
        members=(),
        t=1,
        committee_id=from_hex(given["committee_id"]),
        key_id=from_hex(given["key_id"]),
        encryption_key=b"the key in use",  # KEY-9 looks at it; what these key sets bring is theirs
    )
    store = MemoryStore()
    for encoded in given["shares"]:
        share = DecryptionShare.decode(from_hex(encoded))
        store.put([_share_record(SignedShare(message=share, signature=_NO_SIGNATURE), committee.key_set.key_id)])
    if given["signed"] is not None:
        signed = SignedKeySet(message=KeySet.decode(from_hex(given["signed"])), signatures=())
        store.put([Persist(kind=SUCCESSOR, key=committee.committee_id, value=signed.encoded)])
    for height in given.get("abstained", ()):
        abstention = Abstain(committee_id=committee.committee_id, height=int(height))
        signed_one = SignedAbstain(message=abstention, signature=_NO_SIGNATURE)
        key = committee.key_set.key_id + u64(abstention.height)
        store.put([Persist(kind=ABSTENTION, key=key, value=signed_one.encoded)])
    chain = chain_of(committee, OneState(height=0, root=ZERO_HASH))
    chain.certify(int(given.get("certified", "0")))
    if before is not None:  # with nothing past: whatever was released is looked at
        chain._heights[before.height] = ready(committee, before, any_batch(before))
    member = Member(
        index=1,
        chain=chain,
        committee=committee,
        identity=_Signer(),
        key_share=KeyShare(1, bytes(32)),
        records=store,
        random=deterministic(b"successor"),
    )
    member.sign_successor(key_set)
    # Signing is deterministic, so a member signs the same key set again instead of reading its bytes.
    return {"sends": "new" if given["signed"] is None else "stored"}


def _adopt(given: Json) -> Json:
    key_sets = [KeySet.decode(from_hex(one)) for one in given["key_sets"]]
    commitments = [OrderCommitment.decode(from_hex(one)) for one in given["chain"]]
    names = KeySet.__dataclass_fields__
    first, *others, following = (
        committee_of(
            key_set.genesis_root,
            committee_id=key_set.root,
            **{name: getattr(key_set, name) for name in names if name != "genesis_root"},
        )
        for key_set in (*key_sets, KeySet.decode(from_hex(given["key_set"])))
    )
    chain = Chain(first, OneState(height=0, root=ZERO_HASH), successors=others)
    chain.resume(commitments[0].height - 1, None, next_nonces={}, sequences={})
    for commitment in commitments:
        chain._append(ready(first, commitment, any_batch(commitment)))
        chain._sequences[chain.committee_at(commitment.height).key_set.sequencer] = IntervalSet()
    chain.certified = int(given["certified"])
    chain.adopt(following)
    return {"next_height": str(chain.next_height)}


def _sent(effects: Sequence[Persist | Send], stored: dict[str, bytes | None]) -> str:
    messages = [effect.message for effect in effects if isinstance(effect, Send)]
    if not messages:
        return "nothing"
    kinds = {record.kind for record in effects if isinstance(record, Persist)}
    if SHARE in kinds:
        return "stored" if ShareRelease.decode(messages[0]).share.encoded == stored["share"] else "new"
    if ABSTENTION in kinds:
        # Signing is deterministic, so a member signs the same abstention again instead of reading its bytes.
        return "stored" if stored["abstention"] is not None else "new"
    return "stored" if messages[0] == stored["vote"] else "new"


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "vote_for": _vote_for,
    "check_commitment": _check_commitment,
    "check_batch": _check_batch,
    "collect_votes": _collect_votes,
    "check_certificate": _check_certificate,
    "check_drop": _check_drop,
    "drop": _drop,
    "share_digest": _share_digest,
    "guard": _guard,
    "sign_successor": _sign_successor,
    "adopt": _adopt,
}
