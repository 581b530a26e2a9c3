"""One misbehaviour after another in a real network of processes on a real chain, and what it costs who did it.

A party misbehaves with its own keys, as one that runs another program would. What follows is nobody's doing here: nodes
find and hand on the evidence, one of them reports it on the chain below, and contracts slash and compensate.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from encmempool.certificates import vote_for
from encmempool.errors import EnvironmentProblem
from encmempool.ethereum import sign_transaction
from encmempool.evidence import ConflictingReceipts, ConflictingSuccessors, Evidence, WrongShare
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.keysets import Committee
from encmempool.network.devnet import BlockingPeerOf, Devnet, Layout, NodeProcess, Wanted, launch, with_wrong_key
from encmempool.network.devnet_l1 import DEADLINES, PARAMETERS, bond, deployer_of
from encmempool.network.export import RemoteHistory
from encmempool.network.peer import PeerProblem, Refused
from encmempool.network.remote import RemoteNetwork
from encmempool.network.trading import trade
from encmempool.network.wire import HeightRecord
from encmempool.prover import followed_to
from encmempool.settlement import exits
from encmempool.settlement.keeper import WRONG_SHARE, Subject
from encmempool.settlement.l1 import L1, Reverted
from encmempool.settlement.leaves import exit_address, leaves, posting, promise, signature
from encmempool.settlement.site import Contracts
from encmempool.ssz import SszObject
from encmempool.status import Status
from encmempool.transactions import encrypt_transaction
from encmempool.types import (
    Abstain,
    DecryptionShare,
    EncryptedTransaction,
    OrderCertificate,
    OrderCommitment,
    Proposal,
    Receipt,
    SignedAbstain,
    SignedCommitment,
    SignedKeySet,
    SignedReceipt,
    SignedShare,
    SignedVote,
    Vote,
    signing_digest,
)
from threshold import entropy

_WAIT_S = 90.0
_VALID_HEIGHTS = 10_000
_ATTEMPTS = 5
_QUIET_S = 3.0
_GAS = 21_000
_MAX_FEE = 30 * 10**9
_USER, _WATCHER = "dev-3", "dev-4"
EXIT_WEI = 10**18


class Failed(Exception):
    """A scenario did not come to its end. The message says what did not happen."""


@dataclass(slots=True)
class Outcome:
    """What a scenario came to. `facts` are amounts in wei, blocks and counts."""

    name: str
    passed: bool
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "passed": self.passed,
            "seconds": round(self.seconds, 1),
            "facts": {n: v if isinstance(v, bool) else str(v) for n, v in self.facts.items() if v is not None},
            "problem": self.problem,
        }


class Stage:
    """A running network, and what can be done to it."""

    def __init__(self, devnet: Devnet, home: Home, password: Password, *, backend: str) -> None:
        self.devnet, self.home, self.password = devnet, home, password
        self.backend = backend
        self.genesis = devnet.public_home.genesis()
        self.l1: L1 = devnet.l1()
        self.contracts: Contracts = devnet.contracts()
        self.deployer = deployer_of(None)
        self.sequencer = self._identity(devnet.sequencer)
        self.members = [self._identity(node) for node in devnet.members]
        self.user, self.watcher = (home.account(name, password) for name in (_USER, _WATCHER))

    def _identity(self, node: NodeProcess) -> Identity:
        return self.devnet.home(node).identity(node.role, self.devnet.password(node))

    def sign(self, signer: Identity, message: SszObject) -> bytes:
        return signer.sign(signing_digest(message, self.genesis.root))

    @contextmanager
    def view(self, node: NodeProcess | None = None) -> Iterator[RemoteNetwork]:
        """A user's, at a node that need not be the sequencer."""
        url = (node or self.devnet.of_role("auditor")[0]).url
        with closing(RemoteNetwork(url, self.home, genesis_root=self.genesis.root, backend=self.backend)) as network:
            yield network

    def call(self, name: str, node: NodeProcess | None = None, **options: Any) -> Any:
        with BlockingPeerOf((node or self.devnet.of_role("auditor")[0]).url, timeout_s=10.0) as peer:
            return peer.call(name, **options)

    def transfer(self, to: bytes, wei: int) -> EncryptedTransaction:
        """The user's, encrypted."""
        with self.view() as view:
            payload = sign_transaction(
                self.user.secret_bytes(),
                chain_id=self.genesis.chain_id,
                nonce=view.account(self.user.address).next_nonce,
                to=to,
                value=wei,
                data=b"",
                gas_limit=_GAS,
                max_fee_per_gas=_MAX_FEE,
                max_priority_fee_per_gas=10**9,
            )
            committee = view.committee
            return encrypt_transaction(
                payload,
                terms=committee.terms,
                scheme=committee.scheme,
                public_key=committee.public_key,
                identity=self.user,
                valid_until=view.head + _VALID_HEIGHTS,
                random=entropy.system,
            )

    def final(self, tx_id: bytes) -> Status:
        """Once it is."""

        def look() -> Status | None:
            with self.view() as view:
                status = view.status(tx_id)
            return status if status.final else None

        found: Status = self.wait(look, "the transaction comes to its end")
        if found.state != "executed":
            raise Failed(f"the transaction is executed: it is {found.state}")
        return found

    def post(self, data: bytes) -> int:
        """To the inbox, by the user; the entry's index."""
        parameters = self.contracts.site.parameters
        fee = parameters.entry_fee + parameters.byte_fee * len(data)
        mined = self.contracts.inbox.send("post", data, sender=self.user, wei=fee)
        return int(self.contracts.inbox.logs_of(mined)[0].arguments["index"])

    @contextmanager
    def stopped(self, *nodes: NodeProcess) -> Iterator[None]:
        """They do nothing for a while, and know nothing of that."""
        for node in nodes:
            self.devnet.signal(node, signal.SIGSTOP)
        try:
            yield
        finally:
            for node in nodes:
                self.devnet.signal(node, signal.SIGCONT)

    def executed(self) -> int:
        return int(self.call("node")["executed_height"])

    def is_settled(self) -> bool:
        """Whether nothing is open on the chain below: no entry of the inbox, and no height."""
        settlement, inbox = self.contracts.settlement, self.contracts.inbox
        return bool(settlement.get("inbox_index") == inbox.get("count") and settlement.get("height") == self.executed())

    def commitment(self, height: int, node: NodeProcess | None = None) -> SignedCommitment:
        found: SignedCommitment = self.call("commitment", node, path={"block": height})
        return found

    @contextmanager
    def without_sequencer(self) -> Iterator[None]:
        """It ends between two heights, and starts again afterwards: a commitment that members see only then may be too
        old for them, and so may one by what a stopped process has read of the chain below."""
        height = self.executed()
        self.wait(lambda: height < self.executed() == self.head(), "another height is executed")
        self.devnet.kill(self.devnet.sequencer)
        try:
            yield
        finally:
            self.restart(self.devnet.sequencer)
            self.wait(lambda: self.executed() > height + 1, "the sequencer goes on")

    def head(self) -> int:
        return int(self.call("node", self.devnet.sequencer)["head"])

    def with_shares(self, height: int) -> HeightRecord | None:
        """The newest height up to this one that members opened."""
        for at in range(height, 0, -1):
            record: HeightRecord = self.call("height", path={"height": at})
            if record.shares and not record.drop:
                return record
        return None

    def height_of(self, tx_id: bytes) -> int | None:
        with self.view(self.devnet.sequencer) as view:
            return view.status(tx_id).height

    def certificate(self, height: int) -> OrderCertificate | None:
        """None while there is none."""
        with suppress(Refused):
            found: OrderCertificate = self.call("certificate", path={"height": height})
            return found
        return None

    def post_up_to(self, height: int) -> None:
        """What is certified and not executed, which no node posts by itself."""
        settlement = self.contracts.settlement
        for at in range(settlement.get("height") + 1, height + 1):
            certificate = self.wait(partial(self.certificate, at), f"height {at} is certified")
            shown = posting(self.commitment(at, self.devnet.sequencer), certificate.signatures)
            with suppress(Reverted):  # a node was faster
                settlement.send("post", [shown], sender=self.watcher)
        self.wait(lambda: settlement.get("height") >= height, "the height is posted")

    def committee(self) -> Committee:
        with self.view() as view:
            return view.committee

    def mine(self, blocks: int) -> None:
        self.l1.request("anvil_mine", hex(blocks))

    def wait(self, reached: Callable[[], Any], what: str, *, timeout_s: float = _WAIT_S) -> Any:
        end = time.monotonic() + timeout_s
        while not (found := reached()):
            if time.monotonic() > end:
                raise Failed(f"{what} within {timeout_s:g} s: it did not happen")
            time.sleep(0.3)
        return found

    def bond(self, party: bytes) -> int:
        return int(self.contracts.collateral.get("bond", party))

    def claimable(self, account: bytes) -> int:
        return int(self.contracts.collateral.get("claimable", account))

    def slashes(self, *, since: int) -> list[dict[str, Any]]:
        return [found for _, found in self.contracts.collateral.logs("Slashed", first=since, last=self.l1.block())]

    def rebond(self) -> None:
        """Whoever lost a bond puts down another: the next scenario is about somebody else's fault."""
        members = [member.address for member in self.members]
        bond(self.contracts, self.deployer, sequencers=[self.sequencer.address], members=members)

    def convicted(self, offender: Identity, *, since: int) -> dict[str, Any]:
        """Wait until a node has reported the offender and all of its bond is gone. Nobody else may lose anything."""
        self.wait(lambda: self.bond(offender.address) == 0, "the offender's bond is slashed")
        slashes = [slashed for slashed in self.slashes(since=since) if slashed["amount"]]
        if {slashed["party"] for slashed in slashes} != {offender.address}:
            raise Failed("nobody but the offender is slashed: others were")
        return {
            "slashed": sum(slashed["amount"] for slashed in slashes),
            "reward": sum(slashed["reward"] for slashed in slashes),
            "offender": f"0x{offender.address.hex()}",
        }

    def wrong_heights(self, member: Identity) -> set[int]:
        """Where any node can show a wrong share of a member."""
        shown = [each.open() for node in self.devnet.nodes for each in self.call("evidence", node).evidence]
        return {
            one.share.message.height
            for one in shown
            if isinstance(one, WrongShare) and self.members[one.share.message.member - 1] is member
        }

    def is_reported(self, member: Identity) -> bool:
        """Whether the member is convicted of every wrong share that is shown, and no more are for a while."""
        judge, before = self.contracts.judge, self.wrong_heights(member)
        if not all(judge.get("convicted", WRONG_SHARE, member.address, height) for height in before):
            return False
        time.sleep(_QUIET_S)
        return self.wrong_heights(member) == before

    def restart(self, node: NodeProcess) -> None:
        self.devnet.start(node)
        self.devnet.wait([node], "ready", timeout_s=_WAIT_S)

    def unanswered(self, subject: Subject, root: bytes, accused: Identity, *, since: int) -> dict[str, Any]:
        """Let a challenge's window pass, and conclude."""
        bond, harmed = self.bond(accused.address), self.claimable(self.user.address)
        self.mine(PARAMETERS.answer_blocks + 2)
        self.contracts.challenges.send("conclude", subject, root, accused.address, sender=self.watcher)
        if not any(slashed["party"] == accused.address for slashed in self.slashes(since=since)):
            raise Failed("the silent party is slashed: it was not")
        return {
            "slashed": bond - self.bond(accused.address),
            "compensation": self.claimable(self.user.address) - harmed,
            "offender": f"0x{accused.address.hex()}",
        }


# --- the scenarios


def honest(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """Trading goes on, heights are posted, and nobody is slashed."""
    since = stage.l1.block()
    trades = trade(stage.devnet, stage.home, seconds=seconds, rate=4.0, seed=1, backend=stage.backend)
    height = stage.executed()
    stage.wait(lambda: stage.contracts.settlement.get("height") >= height, "all heights are posted")
    if slashes := stage.slashes(since=since):
        raise Failed(f"nobody is slashed: {len(slashes)} were")
    if trades.lost or not trades.receipted:
        raise Failed("what has a receipt is executed: it was not")
    return {"executed": len(trades.receipted), "posted_height": height, "slashed": 0}


def censored_user(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """A user whom the sequencer never hears of gets an encrypted transaction in by force."""
    sent = stage.transfer(b"\x77" * 20, 1)
    index = stage.post(sent.encoded)
    since = stage.l1.block()
    status = stage.final(sent.tx_id)
    return {"entry": index, "height": status.height, "position": status.position, "blocks": stage.l1.block() - since}


def flooded_inbox(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """Rubbish before a good entry costs who posted it, and holds up nobody for long."""
    before = stage.l1.balance(stage.user.address)
    for _ in range(10):
        stage.post(b"rubbish" * 20)
    cost = before - stage.l1.balance(stage.user.address)
    return {"cost": cost, **censored_user(stage, seconds=seconds)}


def two_commitments(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """The sequencer signs another commitment for a height that is executed."""
    since, height = stage.l1.block(), stage.wait(stage.executed, "a height is executed")
    second = replace(stage.commitment(height).message, timestamp_ms=stage.commitment(height).message.timestamp_ms + 1)
    stage.call("propose", body=_bare(second, stage.sign(stage.sequencer, second)))
    return stage.convicted(stage.sequencer, since=since)


def two_receipts(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """The sequencer gives one sequence twice."""
    since = stage.l1.block()
    shown = []
    for tx_id in (b"\x01" * 32, b"\x02" * 32):
        receipt = _receipt(stage, tx_id, sequence=10**6)
        shown.append(SignedReceipt(message=receipt, signature=stage.sign(stage.sequencer, receipt)))
    evidence = Evidence.of(ConflictingReceipts(first=shown[0], second=shown[1]))
    stage.call("submit_evidence", body=evidence)
    return stage.convicted(stage.sequencer, since=since)


def two_votes(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """A member votes for two commitments at one height."""
    since = stage.l1.block()
    height = stage.wait(stage.executed, "a height is executed")
    certificate = stage.call("certificate", path={"height": height})
    second = replace(certificate.vote, commitment_root=b"\x03" * 32)
    for signature_ in certificate.signatures:
        stage.call("submit_vote", body=SignedVote(message=certificate.vote, signature=signature_))
    voters = {stage.committee().signing_member(certificate.vote, s, rule="CRT-3") for s in certificate.signatures}
    offender = stage.members[min(voters) - 1]
    stage.call("submit_vote", body=SignedVote(message=second, signature=stage.sign(offender, second)))
    return stage.convicted(offender, since=since)


def wrong_share(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """A member runs with a share of another key, so what it signs opens nothing."""
    since, offender = stage.l1.block(), stage.members[2]
    with with_wrong_key(stage.devnet, stage.devnet.members[2], stage.restart):
        for seed in range(_ATTEMPTS):
            trade(stage.devnet, stage.home, seconds=2.0, rate=4.0, seed=seed, backend=stage.backend)
            if stage.wrong_heights(offender):
                break
    facts = stage.convicted(offender, since=since)
    # The bond is put down again after this: what comes to be reported later would take it.
    stage.wait(lambda: stage.is_reported(offender), "every wrong share is reported")
    return facts


def early_share(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """A member signs a share for which no certificate exists, and cannot show one."""
    since, member = stage.l1.block(), stage.members[1]
    share = DecryptionShare(
        committee_id=stage.committee().committee_id,
        height=stage.executed() + 10**6,
        round=1,
        commitment_root=b"\x04" * 32,
        member=2,
        data=b"\x05" * 48,
    )
    signed = SignedShare(message=share, signature=stage.sign(member, share))
    vote_root = _vote_root(share)
    stage.contracts.challenges.send(
        "challenge_early_share",
        leaves(share),
        signature(signed.signature),
        sender=stage.watcher,
        wei=PARAMETERS.challenge_bond,
    )
    return stage.unanswered(Subject.EARLY_SHARE, vote_root, member, since=since)


def broken_receipt(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """The sequencer gives a receipt and never commits the transaction: it pays, and the user is compensated."""
    since = stage.l1.block()
    sent = stage.transfer(b"\x77" * 20, 2)
    receipt = _receipt(stage, sent.tx_id, sequence=10**6 + 1, l1_block=stage.l1.block())
    signed = SignedReceipt(message=receipt, signature=stage.sign(stage.sequencer, receipt))
    stage.mine(DEADLINES.include_l1_blocks + 2)
    stage.contracts.challenges.send(
        "challenge_receipt",
        promise(signed, sent),
        signature(signed.signature),
        sender=stage.watcher,
        wei=PARAMETERS.challenge_bond,
    )
    facts = stage.unanswered(Subject.RECEIPT, receipt.root, stage.sequencer, since=since)
    if facts["compensation"] != PARAMETERS.compensation:
        raise Failed(f"the user is compensated with {PARAMETERS.compensation} wei: it was {facts['compensation']}")
    return facts


def kept_receipt(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """A receipt that was kept is challenged: the sequencer's node answers by itself, and the challenger pays."""
    since = stage.l1.block()
    sent = stage.transfer(b"\x77" * 20, 3)
    with stage.view(stage.devnet.sequencer) as view:
        signed = view.submit(sent)
    height = stage.final(sent.tx_id).height or 0
    stage.wait(lambda: stage.contracts.settlement.get("height") >= height, "the height is posted")
    stage.mine(max(signed.message.include_by_l1_block + 2 - stage.l1.block(), 0))
    before = stage.claimable(stage.sequencer.address)
    stage.contracts.challenges.send(
        "challenge_receipt",
        promise(signed, sent),
        signature(signed.signature),
        sender=stage.watcher,
        wei=PARAMETERS.challenge_bond,
    )
    gained = stage.wait(lambda: stage.claimable(stage.sequencer.address) - before, "the challenge is answered")
    if stage.slashes(since=since):
        raise Failed("the honest sequencer is not slashed: it was")
    return {"answered": True, "challenger_lost": gained}


def skipped_entry(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """The sequencer stops and leaves an overdue entry of the inbox where it is."""
    with stage.without_sequencer():
        since = stage.l1.block()
        index = stage.post(stage.transfer(b"\x77" * 20, 4).encoded)
        deadlines = stage.genesis.deadlines
        stage.mine(deadlines.force_l1_blocks + deadlines.l1_depth + deadlines.l1_lag_blocks + 2)
        first = stage.contracts.settlement.get("inbox_index")
        stage.contracts.challenges.send(
            "challenge_entry",
            first,
            stage.committee().committee_id,
            sender=stage.watcher,
            wei=PARAMETERS.challenge_bond,
        )
        root = first.to_bytes(32, "big")
        return {"entry": index, **stage.unanswered(Subject.ENTRY, root, stage.sequencer, since=since)}


def exit_without_sequencer(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """The sequencer is gone for good; a user fetches its ether with the history that an auditor has."""
    sent = stage.transfer(exit_address(stage.user.address), EXIT_WEI)
    with stage.view(stage.devnet.sequencer) as view:
        view.submit(sent)
    height = stage.final(sent.tx_id).height
    settlement, user = stage.contracts.settlement, stage.user.address
    stage.wait(lambda: settlement.get("executed_height") >= height, "the state after the transfer is posted")
    paid_before = stage.contracts.bridge.get("exited", user)
    with stage.without_sequencer():
        stage.mine(2 * PARAMETERS.finality_blocks)
        final = exits.finalize(stage.contracts, stage.watcher)
        with stage.view() as view:
            follower = followed_to(RemoteHistory(view), final)
        claimed = exits.claim(stage.contracts, follower, user, final_height=final)
        before = stage.l1.balance(user)
        paid, mined = exits.fetch(stage.contracts, claimed, stage.watcher)
        if not paid == EXIT_WEI == stage.l1.balance(user) - before == claimed.balance - paid_before:
            raise Failed(f"the user is paid {EXIT_WEI} wei on the chain below: it was {paid}")
    return {"paid": paid, "height": claimed.height, "gas": mined.gas}


def share_and_abstention(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """A member that has sent its share for a height abstains from it as well."""
    since = stage.l1.block()
    height = stage.wait(stage.executed, "a height is executed")
    record = stage.wait(lambda: stage.with_shares(height), "a height with shares is executed")
    share = record.shares[-1].message
    offender = stage.members[share.member - 1]
    abstention = Abstain(committee_id=share.committee_id, height=share.height)
    stage.call("submit_abstention", body=SignedAbstain(message=abstention, signature=stage.sign(offender, abstention)))
    return stage.convicted(offender, since=since)


def two_successors(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """A member signs two key sets to follow the present one."""
    since, member, present = stage.l1.block(), stage.members[2], stage.committee().key_set
    start = stage.executed() + 10**6
    following = replace(present, predecessor=present.root, epoch=present.epoch + 1, start_height=start)
    shown = [
        SignedKeySet(message=key_set, signatures=(stage.sign(member, key_set),))
        for key_set in (following, replace(following, start_height=start + 1))
    ]
    stage.call("submit_evidence", body=Evidence.of(ConflictingSuccessors(first=shown[0], second=shown[1])))
    return stage.convicted(member, since=since)


def silent_members(stage: Stage, *, seconds: float) -> dict[str, Any]:
    """A batch is certified and two of four members never send a share for it. Both are asked on the chain, and pay;
    so is one who sent its share, and whose node answers."""
    stage.wait(stage.is_settled, "all entries and heights are settled")
    asked, silent = stage.members[0], stage.members[2:]
    with stage.stopped(*stage.devnet.members[2:]):
        sent = stage.transfer(b"\x77" * 20, 5)
        with stage.view(stage.devnet.sequencer) as view:
            view.submit(sent)
        height = stage.wait(lambda: stage.height_of(sent.tx_id), "the transaction is committed")
        for at in range(stage.executed() + 1, height + 1):
            vote = vote_for(stage.commitment(at, stage.devnet.sequencer).message)
            stage.call("submit_vote", body=SignedVote(message=vote, signature=stage.sign(silent[0], vote)))
        stage.post_up_to(height)
        commitment = stage.commitment(height, stage.devnet.sequencer)
        stage.mine(DEADLINES.reveal_l1_blocks + 2)
        since, gained = stage.l1.block(), stage.claimable(asked.address)
        bonds = [stage.bond(member.address) for member in silent]
        for member in (asked, *silent):
            stage.contracts.challenges.send(
                "challenge_reveal",
                leaves(commitment.message),
                member.address,
                sender=stage.watcher,
                wei=PARAMETERS.challenge_bond,
            )
        stage.wait(lambda: stage.claimable(asked.address) > gained, "who sent its share answers")
        for member in silent:
            stage.unanswered(Subject.REVEAL, commitment.message.root, member, since=since)
    stage.final(sent.tx_id)
    return {
        "slashed": sum(bonds) - sum(stage.bond(member.address) for member in silent),
        "offenders": len(silent),
        "answered": True,
        "height": height,
    }


SCENARIOS: dict[str, Callable[..., dict[str, Any]]] = {
    "honest": honest,
    "censored-user": censored_user,
    "flooded-inbox": flooded_inbox,
    "exit-without-sequencer": exit_without_sequencer,
    "kept-receipt": kept_receipt,
    "broken-receipt": broken_receipt,
    "two-receipts": two_receipts,
    "two-votes": two_votes,
    "wrong-share": wrong_share,
    "early-share": early_share,
    "share-and-abstention": share_and_abstention,
    "two-successors": two_successors,
    "two-commitments": two_commitments,
    "skipped-entry": skipped_entry,
    "silent-members": silent_members,
}
"""In an order in which none spoils another."""


def run(
    home: Home,
    names: Sequence[str],
    *,
    scheme: str,
    seconds: float,
    backend: str,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """A network, the scenarios in it, and nothing left behind. EnvironmentProblem if it cannot be started."""
    path = home.path / "scenarios"
    devnet, _ = launch(
        path, home, Layout(l1="anvil", backend=backend), Wanted(scheme=scheme), backend=backend, progress=progress
    )
    try:
        password = home.generated_password()
        if password is None:
            raise EnvironmentProblem(f"{home.path} has lost its password")
        stage = Stage(devnet, home, password, backend=backend)
        outcomes = []
        for name in [known for known in SCENARIOS if known in names]:
            progress(name)
            outcomes.append(_play(stage, name, seconds))
        return outcomes
    finally:
        devnet.remove()


def _play(stage: Stage, name: str, seconds: float) -> Outcome:
    began = time.monotonic()
    stage.rebond()
    try:
        facts = SCENARIOS[name](stage, seconds=seconds)
    except (Failed, PeerProblem, Refused, Reverted) as failed:
        return Outcome(name, False, time.monotonic() - began, problem=str(failed))
    return Outcome(name, True, time.monotonic() - began, facts)


def _receipt(stage: Stage, tx_id: bytes, *, sequence: int, l1_block: int = 0) -> Receipt:
    include = l1_block + DEADLINES.include_l1_blocks
    return Receipt(
        tx_id=tx_id,
        sequence=sequence,
        received_at_ms=time.time_ns() // 1_000_000,
        include_by_height=stage.executed() + DEADLINES.include_heights,
        include_by_l1_block=include,
        reveal_by_l1_block=include + DEADLINES.reveal_l1_blocks,
    )


def _bare(commitment: OrderCommitment, signature_: bytes) -> Any:
    return Proposal(commitment=SignedCommitment(message=commitment, signature=signature_), transactions=(), receipts=())


def _vote_root(share: DecryptionShare) -> bytes:
    return Vote(
        committee_id=share.committee_id,
        height=share.height,
        round=share.round,
        commitment_root=share.commitment_root,
    ).root
