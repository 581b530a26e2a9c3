"""Any calls by anybody, in any order: who is honest loses nothing, and no ether is made or lost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from encmempool.settlement.deployment import Parameters
from encmempool.settlement.leaves import batch_branch, leaves, promise, signature
from encmempool.settlement.rehearsal import RICH, Network, Rehearsal, Reverted

RECEIPT, ENTRY, REVEAL, EARLY_SHARE = 1, 2, 4, 8
PARAMETERS = Parameters(
    unbonding_blocks=500,
    finality_blocks=50,
    challenge_blocks=200,
    answer_blocks=20,
    posting_blocks=10,
    stall_blocks=100,
)
PICK = st.integers(0, 2**16)
LAG = 3
"""Heights by which execution lags: longer than a reveal may take."""
DISHONEST = 3
"""The last of four members: it signs whatever helps, and answers nothing."""


@dataclass
class Given:
    """A receipt, its transaction, and where it was included."""

    transaction: Any
    receipt: Any
    commitment: Any = None
    batch: tuple[bytes, ...] = ()


@dataclass
class Open:
    subject: int
    root: bytes
    accused: bytes
    answer: Any = None
    """What an honest party sends, or None."""


@dataclass
class Scene:
    world: Rehearsal
    chain: list[Any] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)


def machine(chain_type):
    class Anybody(RuleBasedStateMachine):
        """The sequencer commits, posts and answers in time, and so do three of four members."""

        @initialize()
        def deploy(self):
            self.network = network = Network(seed=21)
            self.world = world = Rehearsal(chain_type(), network, PARAMETERS)
            self.scene = Scene(world)
            world.register(network.first)
            world.deposit(network.sequencer.address, PARAMETERS.sequencer_bond)
            for member in network.members:
                world.deposit(member.address, PARAMETERS.member_bond)
            self.attacker = network.random_bytes(20)
            world.chain.fund(self.attacker, RICH)
            self.commit(1)

        # the honest

        def commit(self, count):
            network, scene = self.network, self.scene
            parent = scene.chain[-1] if scene.chain else None
            batch = []
            for _ in range(count):
                transaction = network.transaction(nonce=len(scene.given))
                receipt = network.receipt(
                    transaction,
                    sequence=len(scene.given),
                    include_by_height=len(scene.chain) + 8,
                    include_by_l1_block=self.world.chain.block() + 20,
                )
                batch.append(Given(transaction, receipt))
                scene.given.append(batch[-1])
            tx_ids = tuple(each.transaction.tx_id for each in batch)
            commitment = network.commitment(
                parent,
                batch_root=network.batch_root(tx_ids),
                count=count,
                inbox_index=self.world.inbox.get("count"),
                executed_height=max(len(scene.chain) - LAG, 0),
            )
            for each in batch:
                each.commitment, each.batch = commitment, tx_ids
            scene.chain.append(commitment)
            self.world.post(commitment)

        def answer_all(self):
            for each in [one for one in self.scene.open if one.answer is not None]:
                each.answer()
                self.scene.open.remove(each)

        @rule(spans=st.lists(st.integers(3, 9), min_size=1, max_size=5), count=st.integers(1, 3))
        def time_passes(self, spans, count):
            for blocks in spans:
                self.answer_all()
                self.world.chain.advance(blocks)
                self.commit(count)

        # the others

        def attempt(self, contract, function, *arguments, wei=0):
            try:
                getattr(self.world, contract).send(function, *arguments, sender=self.attacker, wei=wei)
            except Reverted:
                return False
            return True

        def challenge(self, function, *arguments):
            return self.attempt("challenges", function, *arguments, wei=PARAMETERS.challenge_bond)

        def answer(self, function, *arguments):
            def send():
                self.world.challenges.send(function, *arguments, sender=self.world.anybody)

            return send

        @rule(pick=PICK)
        def challenge_receipt(self, pick):
            given = self.scene.given[pick % len(self.scene.given)]
            shown = promise(given.receipt, given.transaction)
            if self.challenge("challenge_receipt", shown, signature(given.receipt.signature)):
                accused = self.network.sequencer.address
                at = given.batch.index(given.transaction.tx_id)
                branch = batch_branch(given.batch, at)
                answer = self.answer("answer_inclusion", shown, accused, leaves(given.commitment), at, branch)
                self.scene.open.append(Open(RECEIPT, given.receipt.message.root, accused, answer))

        @rule(data=st.binary(min_size=1, max_size=40))
        def post_entry(self, data):
            self.attempt("inbox", "post", data, wei=PARAMETERS.entry_fee + PARAMETERS.byte_fee * len(data))

        @rule()
        def challenge_entry(self):
            index = self.world.settlement.get("inbox_index")
            assert not self.challenge("challenge_entry", index, self.network.first.root)

        @rule(pick=PICK, member=st.integers(0, 3))
        def challenge_reveal(self, pick, member):
            chain = self.scene.chain
            commitment = chain[-1 - pick % min(len(chain), LAG + 2)]
            party = self.network.members[member]
            if self.challenge("challenge_reveal", leaves(commitment), party.address):
                answer = None
                if member != DISHONEST:
                    share = self.network.share(commitment, member + 1)
                    signed = signature(self.network.sign(party, share))
                    answer = self.answer("answer_share", leaves(commitment), party.address, share.data, signed)
                self.scene.open.append(Open(REVEAL, commitment.root, party.address, answer))

        @rule(pick=PICK, member=st.integers(0, 3), posted=st.booleans())
        def challenge_early_share(self, pick, member, posted):
            commitment = self.scene.chain[pick % len(self.scene.chain)]
            if not posted:
                commitment = self.network.commitment(self.scene.chain[-1])
            party = self.network.members[member]
            if self.challenge(
                "challenge_early_share", *self.network.signed(party, self.network.share(commitment, member + 1))
            ):
                vote = self.network.vote(commitment)
                answer = None
                if member != DISHONEST:
                    votes = self.network.certificate(commitment)
                    answer = self.answer("answer_certificate", leaves(vote), party.address, votes)
                self.scene.open.append(Open(EARLY_SHARE, vote.root, party.address, answer))

        @rule()
        def conclude_everything(self):
            self.time_passes([9, 9, 9], 1)
            for each in list(self.scene.open):
                if self.attempt("challenges", "conclude", each.subject, each.root, each.accused):
                    self.scene.open.remove(each)

        @rule(pick=PICK, kind=st.sampled_from(["commitments", "votes", "receipts", "shares"]))
        def show_what_the_honest_signed(self, pick, kind):
            network, chain, given = self.network, self.scene.chain, self.scene.given
            commitment, other = chain[pick % len(chain)], chain[(pick // 7) % len(chain)]
            match kind:
                case "commitments":
                    signer, shown = network.sequencer, (commitment, other)
                case "votes":
                    signer, shown = network.members[0], (network.vote(commitment), network.vote(other))
                case "shares":
                    signer = network.members[1]
                    shown = network.share(commitment, 2), network.share(other, 2)
                case _:
                    signer = network.sequencer
                    shown = (given[pick % len(given)].receipt.message, given[(pick // 7) % len(given)].receipt.message)
            first, second = (network.signed(signer, each) for each in shown)
            assert not self.attempt("judge", f"convict_{kind}", *first, *second)
            forged = network.signed(network.user, replace(shown[0]))
            assert not self.attempt("judge", f"convict_{kind}", *first, *forged)

        @rule(height=st.integers(1, 40))
        def convict_the_dishonest(self, height):
            network = self.network
            vote = replace(network.vote(self.scene.chain[0]), height=height)
            party = network.members[DISHONEST]
            other = replace(vote, commitment_root=bytes(32))
            self.attempt("judge", "convict_votes", *network.signed(party, vote), *network.signed(party, other))

        @rule(height=st.integers(1, 40))
        def finalize(self, height):
            self.attempt("settlement", "finalize", height)

        @rule(pick=PICK)
        def drop_or_forget(self, pick):
            parent = self.scene.chain[pick % len(self.scene.chain)]
            party = self.network.members[DISHONEST]
            abstained = self.network.abstentions(parent.height + 1, [party])
            assert not self.attempt("settlement", "drop", leaves(parent), self.network.first.root, abstained)
            assert not self.attempt("settlement", "forget", leaves(parent), leaves(parent))

        # what holds

        @invariant()
        def honest_parties_keep_their_bonds(self):
            if not hasattr(self, "attacker"):
                return
            bond = self.world.collateral.get
            assert bond("bond", self.network.sequencer.address) == PARAMETERS.sequencer_bond
            for member in self.network.members[:DISHONEST]:
                assert bond("bond", member.address) == PARAMETERS.member_bond

        @invariant()
        def ether_is_accounted_for(self):
            if not hasattr(self, "attacker"):
                return
            world, get = self.world, self.world.collateral.get
            held = get("bonded") + get("total_claimable") + get("pooled") + get("burnt")
            assert held + get("paid") == get("deposited")
            assert world.chain.balance(world.collateral.address) == held
            at_stake = len(self.scene.open) * PARAMETERS.challenge_bond
            assert world.chain.balance(world.challenges.address) == at_stake
            assert world.settlement.get("open_challenges") == len(self.scene.open)

    return Anybody


def test_no_honest_party_is_slashed_whatever_anybody_calls(evm):
    run_state_machine_as_test(
        machine(type(evm)),
        settings=settings(
            max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
