"""Order policies: pure functions from what is public to an order, fixed by the key set.

Ties go by transaction id. Afterwards each sender's transactions are put into ascending nonces on the positions that
sender has, so that a policy never makes a sender's own transactions fail.

`shuffle` commits to the ascending ids and executes a permutation seeded by the commitment and the batch key, which
nobody knows before t members have opened the batch, and which is the same whichever members did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from threshold.encoding import u64
from threshold.hashing import Tag, tagged_hash


class Policy(IntEnum):
    """Numbers as in key sets and commitments."""

    ARRIVAL = 1
    PRIORITY_FEE = 2
    SHUFFLE = 3

    @classmethod
    def named(cls, name: str) -> Policy:
        """ValueError if there is none of that name."""
        try:
            return cls[name.upper()]
        except KeyError:
            raise ValueError(f"unknown order policy {name!r}: choose one of {', '.join(POLICY_NAMES)}") from None


POLICY_NAMES = tuple(policy.name.lower() for policy in Policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What a policy may look at.

    sequence        of the receipt; 0 where the policy does not use it
    priority_fee    wei per gas above the base fee that the sender pays
    """

    tx_id: bytes
    sender: bytes
    nonce: int
    sequence: int
    priority_fee: int


Rank = tuple[int | bytes, ...]


def rank(policy: Policy, candidate: Candidate) -> Rank:
    """What a policy sorts by, before each sender's nonces are put in order."""
    return _RANKING[policy](candidate)


def committed_order(policy: Policy, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The order a commitment must list."""
    ranked = sorted(candidates, key=_RANKING[policy])
    return tuple(ranked) if policy is Policy.SHUFFLE else ascending_nonces(ranked)


def execution_order(
    policy: Policy, batch: Sequence[Candidate], *, commitment_root: bytes, batch_key_value: bytes
) -> tuple[int, ...]:
    """Positions of the committed batch in the order they run."""
    if policy is not Policy.SHUFFLE:
        return tuple(range(len(batch)))
    seed = tagged_hash(Tag.SHUFFLE_SEED, commitment_root, batch_key_value)
    position = {candidate.tx_id: at for at, candidate in enumerate(batch)}
    shuffled = [batch[at] for at in permutation(seed, len(batch))]
    return tuple(position[candidate.tx_id] for candidate in ascending_nonces(shuffled))


def permutation(seed: bytes, size: int) -> tuple[int, ...]:
    """Fisher and Yates' shuffle, with indices drawn by rejection from SHA-256(seed | counter), 8 bytes each."""
    items = list(range(size))
    counter = 0
    for last in range(size - 1, 0, -1):
        bound = (1 << 64) - (1 << 64) % (last + 1)
        while True:
            draw = int.from_bytes(hashlib.sha256(seed + u64(counter)).digest()[:8], "big")
            counter += 1
            if draw < bound:
                break
        chosen = draw % (last + 1)
        items[last], items[chosen] = items[chosen], items[last]
    return tuple(items)


def ascending_nonces(ranked: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Each sender's candidates by nonce, on the positions that sender has."""
    if len({candidate.sender for candidate in ranked}) == len(ranked):
        return tuple(ranked)
    by_sender: dict[bytes, list[Candidate]] = {}
    for candidate in ranked:
        by_sender.setdefault(candidate.sender, []).append(candidate)
    queues = {sender: iter(sorted(own, key=lambda c: c.nonce)) for sender, own in by_sender.items()}
    return tuple(next(queues[candidate.sender]) for candidate in ranked)


_RANKING: dict[Policy, Callable[[Candidate], Rank]] = {
    Policy.ARRIVAL: lambda c: (c.sequence, c.tx_id),
    Policy.PRIORITY_FEE: lambda c: (-c.priority_fee, c.tx_id),
    Policy.SHUFFLE: lambda c: (c.tx_id,),
}
