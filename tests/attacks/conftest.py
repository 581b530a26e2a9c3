"""Whole networks for attacks that need the protocol: the scenario tests' `World`, with keys small enough to be fast.

A trusted dealer makes the keys: what is attacked here comes after the ceremony.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from encmempool.committee import Ballot, Member, vote_for
from encmempool.home import Home
from encmempool.keysets import Committee
from encmempool.network.local import Plan, create_network, fresh_home
from encmempool.ordering import Policy
from encmempool.reveal import Follower
from encmempool.store import MemoryStore, perform
from encmempool.types import OrderCertificate, Proposal, ShareRelease, SignedVote
from tests.scenarios.conftest import START_MS, World, unsynced
from threshold.entropy import deterministic
from threshold.errors import Rejected
from threshold.sansio import Persist
from threshold.schemes.registry import load_scheme

__all__ = ["unsynced"]
"""A fixture that is used by being here."""

KEY_BATCH, KEY_ROUNDS = 4, 3


@pytest.fixture
def dealt_world(tmp_path: Path) -> Callable[..., World]:
    """A network of four members, with a home of its own each time."""
    count = 0

    def make(scheme_name: str, policy: str = "arrival", *, threshold: int = 3) -> World:
        nonlocal count
        count += 1
        scheme = load_scheme(scheme_name)
        home, password = fresh_home(tmp_path / f"home-{count}")
        plan = Plan(
            members=4,
            threshold=threshold,
            policy=Policy.named(policy),
            funded=tuple(person.address for person in World.people),
            batch_limit=KEY_BATCH if scheme.info.limits_batch else None,
            rounds=KEY_ROUNDS if scheme.info.limits_rounds else None,
            trusted_dealer=True,
            reduced_threshold=threshold < 3,
            timestamp_ms=START_MS,
        )
        create_network(home, plan, scheme, password, random=deterministic(f"{scheme_name} {policy}".encode()))
        return World(home=Home(home.path), password=password)

    return make


class Overwriting(MemoryStore):
    """Keeps the newest of what should be written once."""

    def put(self, records: Sequence[Persist]) -> None:
        self._records.update({(record.kind, record.key): record.value for record in records})


class Node:
    """One member in a process of its own. What it keeps is in `store`: a copy of that is a backup, a new one a loss."""

    def __init__(
        self, world: World, index: int, store: MemoryStore | None = None, *, committees: Sequence[Committee] = ()
    ) -> None:
        """A member of the last of `committees`, by default of the only one."""
        self.world, self.index = world, index
        self.store = MemoryStore() if store is None else store
        first, *successors = self.committees = committees or (world.committee,)
        self.follower = Follower(first, successors=successors, records=self.store)
        self.member = Member(
            index=index,
            chain=self.follower.chain,
            committee=self.committees[-1],
            identity=world.member_identity(index),
            key_share=world.home.key_share(index, world.password),
            records=self.store,
            random=world.random,
        )

    def restarted(self) -> Node:
        return Node(self.world, self.index, self.store, committees=self.committees)

    def backup(self) -> MemoryStore:
        return copy.deepcopy(self.store)

    def vote(self, proposal: Proposal) -> SignedVote:
        (send,) = perform(self.member.vote(proposal, now_ms=self.world.clock()), self.store)
        return SignedVote.decode(send.message)

    def release(self, certificate: OrderCertificate) -> ShareRelease:
        (send,) = perform(self.member.release(certificate), self.store)
        return ShareRelease.decode(send.message)

    def follow(self, proposal: Proposal, certificate: OrderCertificate) -> None:
        perform(self.follower.follow(proposal, certificate), self.store)

    def take(self, height: int) -> None:
        """What the network published of a height that is open."""
        perform(self.follower.take(self.world.network.follower.executed_at(height)), self.store)


def committed(world: World, person: int) -> Proposal:
    """The next height, with one transaction."""
    world.network.submit(world.transfer(world.people[person]).encoded)
    return world.network.commit()


def equivocating(world: World) -> tuple[Proposal, Proposal]:
    """Two commitments for one height and round with nothing in common, both signed by the sequencer."""
    honest = committed(world, 0)
    return honest, world.forge(honest, transactions=(world.transfer(world.people[1]),))


def voted(nodes: Sequence[Node], proposal: Proposal) -> OrderCertificate | None:
    """By members who are asked, as they please."""
    certificate, ballot = None, Ballot(nodes[0].member.committee)
    for node in nodes:
        certificate = ballot.add(node.vote(proposal)) or certificate
    return certificate


def certified(world: World, proposal: Proposal, committee: Committee | None = None) -> OrderCertificate:
    """By the keys of members 1 to 3: what nobody could make if enough of them are honest."""
    ballot, vote = Ballot(committee or world.committee), vote_for(proposal.commitment.message)
    made = [
        ballot.add(SignedVote(message=vote, signature=world.sign(world.member_identity(index), vote)))
        for index in (1, 2, 3)
    ]
    assert made[-1] is not None
    return made[-1]


def rule_of(call: Callable[..., Any], *arguments: Any) -> str:
    """The rule that a refusal names."""
    with pytest.raises(Rejected) as caught:
        call(*arguments)
    return caught.value.rule
