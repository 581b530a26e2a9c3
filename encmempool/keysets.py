"""A committee's key set: who the members are, which key they hold, and from where on.

Requirements:
KEY-1  the key set names this network's genesis
KEY-2  at least t members signed it, and no fewer than the default threshold, in their order; the first is signed by
       the genesis' members
KEY-3  key_id is the name of its public key in this network
KEY-4  n, t, members and verification keys agree; t is at least the default unless reduced_threshold is set
KEY-5  a reduced threshold is refused for schemes where two signed batches open more than they list
KEY-6  the first key set has the genesis' sequencer, policy and batch limit, and starts at height 1 from its root
KEY-7  batch_limit is at most the largest batch the key opens, and rounds are exactly those the key has, else 0
KEY-8  a successor names its predecessor and the next epoch, and is signed by as many of the predecessor's members as
       KEY-2 asks, in their order
KEY-9  a successor starts above its predecessor, above all that was certified under it and, with the same sequencer,
       above all that this one committed to. With the same key it names the commitment it starts from and that one's
       round; with another key, whose shares say nothing about the old one, it may start later and leave the commitment
       open as zero, and its rounds count from zero
KEY-10 a member signs one successor of a key set, only if it knows no certificate and released no share from its start
       on and no share in a round above its start round, and from there on does nothing more under the old key set
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock
from typing import Any

from encmempool.envelope import Terms
from encmempool.errors import Malformed, Rejected
from encmempool.identity import recover_signer, require_signer
from encmempool.ordering import Policy
from encmempool.ssz import SszObject
from encmempool.summaries import GenesisSummary
from encmempool.types import (
    ZERO_HASH,
    Genesis,
    KeySet,
    SignedCommitment,
    SignedKeySet,
    Transaction,
)
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.errors import ThresholdError
from threshold.keys import Limits, PublicMaterial, key_name
from threshold.schemes.base import Batch, Candidate, Scheme, VerifiedCiphertext
from threshold.schemes.registry import load_scheme, scheme_name

DISTRIBUTED = 1
TRUSTED_DEALER = 2
NO_END = (1 << 64) - 1
_PRECOMPUTED_KEPT = 4
_VERIFIED_KEPT = 4_096


def default_threshold(n: int) -> int:
    """floor(2n/3) + 1: two conflicting commitments for one height cannot both gather that many votes."""
    return 2 * n // 3 + 1


def signatures_needed(key_set: KeySet) -> int:
    """Members of a key set who have to sign it, or its successor.

    Not what the set itself claims to be enough: a few members could claim that few suffice.
    """
    return max(key_set.t, default_threshold(key_set.n))


def first_key_set(
    genesis: Genesis, public: PublicMaterial, *, setup_kind: int, setup_privacy: int, rounds: int = 0
) -> KeySet:
    """The key set of epoch 1, starting at height 1, not yet signed."""
    n, t = public.members, public.threshold
    return KeySet(
        genesis_root=genesis.root,
        predecessor=ZERO_HASH,
        key_id=public.key_id(genesis.root),
        epoch=1,
        scheme=public.scheme,
        setup_kind=setup_kind,
        setup_privacy=setup_privacy,
        n=n,
        t=t,
        reduced_threshold=int(t < default_threshold(n)),
        members=genesis.members,
        sequencer=genesis.sequencer,
        policy_id=genesis.policy_id,
        policy_parameters=genesis.policy_parameters,
        encryption_key=public.encryption_key,
        verification_keys=public.verification_keys,
        parameter_digest=public.parameter_digest,
        batch_limit=genesis.batch_limit,
        rounds=rounds,
        start_height=1,
        start_parent=genesis.root,
        start_round=0,
        valid_until=NO_END,
    )


def successor_key_set(
    before: KeySet,
    public: PublicMaterial,
    *,
    members: Sequence[bytes],
    start: tuple[int, bytes, int],
    setup_kind: int,
    setup_privacy: int,
    batch_limit: int,
    rounds: int = 0,
    sequencer: bytes | None = None,
) -> KeySet:
    """The key set of the next epoch, not yet signed. `start`: height, parent root and round (KEY-9). Another
    `sequencer` takes over at the start; by default it stays."""
    n, t = public.members, public.threshold
    height, parent, round = start
    return replace(
        before,
        predecessor=before.root,
        key_id=public.key_id(before.genesis_root),
        epoch=before.epoch + 1,
        scheme=public.scheme,
        setup_kind=setup_kind,
        setup_privacy=setup_privacy,
        n=n,
        t=t,
        reduced_threshold=int(t < default_threshold(n)),
        members=tuple(members),
        sequencer=before.sequencer if sequencer is None else sequencer,
        encryption_key=public.encryption_key,
        verification_keys=public.verification_keys,
        parameter_digest=public.parameter_digest,
        batch_limit=batch_limit,
        rounds=rounds,
        start_height=height,
        start_parent=parent,
        start_round=round,
    )


@dataclass(frozen=True, kw_only=True)
class Committee:
    """A checked key set, with its scheme and public key loaded: what clients, members and auditors work with."""

    genesis: Genesis
    signed: SignedKeySet
    scheme: Scheme
    public_key: Any
    parameters: bytes = field(default=b"", repr=False)
    _precomputed: dict[bytes, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _verified: dict[bytes, VerifiedCiphertext] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    @classmethod
    def load(
        cls, genesis: Genesis, signed: SignedKeySet, parameters: bytes = b"", *, backend: str = DEFAULT_BACKEND
    ) -> Committee:
        """The first committee: check KEY-1 to KEY-7 and decode the key. Raises Malformed or Rejected.

        That the parameters were made well is what the members signed; `scheme.verify_parameters` checks it again.
        """
        scheme = _check_form(signed.message, genesis, backend)
        _check_first(signed.message, genesis)
        _check_signatures(signed, by=signed.message, rule="KEY-2")
        return cls._with_key(genesis, signed, scheme, parameters)

    def load_successor(
        self, signed: SignedKeySet, parameters: bytes = b"", *, backend: str = DEFAULT_BACKEND
    ) -> Committee:
        """The committee after this one: KEY-1, KEY-3 to KEY-5 and KEY-7 to KEY-9. Raises Malformed or Rejected.

        Whether the commitment it starts from is the certified one is known to those who follow the chain.
        """
        scheme = self.check_successor(signed, backend=backend)
        following = self._with_key(self.genesis, signed, scheme, parameters)
        _check_other_key(following.key_set, self.key_set)
        return following

    def check_successor(self, signed: SignedKeySet, *, backend: str = DEFAULT_BACKEND) -> Scheme:
        """All that can be said of a successor without its parameters, which need not be fetched for strangers'."""
        scheme = _check_form(signed.message, self.genesis, backend)
        _check_succession(signed.message, self.key_set)
        _check_signatures(signed, by=self.key_set, rule="KEY-8")
        return scheme

    @classmethod
    def _with_key(cls, genesis: Genesis, signed: SignedKeySet, scheme: Scheme, parameters: bytes) -> Committee:
        key_set = signed.message
        material = public_material(key_set, parameters)
        if material.parameter_digest != key_set.parameter_digest:
            raise Rejected("KEY-3", "the parameters are not those of the key set: their digest differs")
        _check_name(key_set)
        public_key = scheme.load_public_key(material, key_id=key_set.key_id)
        _check_limits(key_set, public_key.limits)
        return cls(genesis=genesis, signed=signed, scheme=scheme, public_key=public_key, parameters=parameters)

    @property
    def key_set(self) -> KeySet:
        return self.signed.message

    @cached_property
    def committee_id(self) -> bytes:
        return self.key_set.root

    @cached_property
    def terms(self) -> Terms:
        return Terms(
            genesis=self.genesis,
            key_set=self.key_set,
            overhead_bytes=self.scheme.info.ciphertext_overhead_bytes,
            addresses_height=self.scheme.info.addresses_height,
        )

    def verify_ciphertext(self, transaction: Transaction) -> VerifiedCiphertext:
        """TXN-9. Raises Malformed or Rejected. The newest results are kept for `examine_ciphertexts`."""
        header = transaction.header
        verified = self.scheme.verify_ciphertext(
            self.public_key, transaction.ciphertext, aad=header.root, height=header.target_height
        )
        with self._lock:
            while len(self._verified) >= _VERIFIED_KEPT:
                del self._verified[next(iter(self._verified))]
            self._verified[transaction.tx_id] = verified
        return verified

    def verify_ciphertexts(self, transactions: Sequence[Transaction]) -> tuple[VerifiedCiphertext, ...]:
        """TXN-9 for many at once. Raises Malformed or Rejected for the first that fails."""
        verified = []
        for result in self.examine_ciphertexts(transactions):
            if not isinstance(result, VerifiedCiphertext):
                raise result
            verified.append(result)
        return tuple(verified)

    def examine_ciphertexts(
        self, transactions: Sequence[Transaction]
    ) -> tuple[VerifiedCiphertext | ThresholdError, ...]:
        """The same, saying of each what is wrong with it."""
        with self._lock:
            known = [self._verified.pop(t.tx_id, None) for t in transactions]
        fresh = iter(
            self.scheme.verify_ciphertexts(
                self.public_key,
                [
                    Candidate(ciphertext=t.ciphertext, aad=t.header.root, height=t.header.target_height)
                    for t, verified in zip(transactions, known, strict=True)
                    if verified is None
                ],
                random=entropy.system,
            )
        )
        return tuple(next(fresh) if verified is None else verified for verified in known)

    def precompute(self, batch: Batch) -> Any:
        """The work on a batch that needs no share: done once, and kept for the newest batches.

        Any thread may call this while others use the committee."""
        with self._lock:
            if batch.digest in self._precomputed:
                return self._precomputed[batch.digest]
        made = self.scheme.precompute(self.public_key, batch)
        with self._lock:
            while len(self._precomputed) >= _PRECOMPUTED_KEPT:
                del self._precomputed[next(iter(self._precomputed))]
            self._precomputed[batch.digest] = made
        return made

    def member_index(self, address: bytes) -> int | None:
        """1-based, or None for a stranger."""
        try:
            return self.key_set.members.index(address) + 1
        except ValueError:
            return None

    def signing_member(self, message: SszObject, signature: bytes, *, rule: str) -> int:
        """Which member signed. Raises Rejected with `rule` for anybody else."""
        return signing_member(self.key_set, message, signature, rule=rule)

    def check_sequencer(self, signed: SignedCommitment) -> None:
        """Raises Rejected VOT-1 unless this committee's sequencer signed the commitment."""
        require_signer(
            self.key_set.sequencer,
            signed.message,
            signed.signature,
            self.terms.genesis_root,
            rule="VOT-1",
            who="the sequencer",
        )


def check_chain(
    genesis: Genesis | GenesisSummary, chain: Sequence[SignedKeySet], *, backend: str = DEFAULT_BACKEND
) -> None:
    """All that can be said of a network's key sets, the first one first, without their parameters: KEY-1 to KEY-6,
    KEY-8 and KEY-9, of KEY-3 the name alone. Raises Malformed or Rejected."""
    before = None
    for signed in chain:
        key_set = signed.message
        _check_form(key_set, genesis, backend)
        if before is None:
            _check_first(key_set, genesis)
            _check_signatures(signed, by=key_set, rule="KEY-2")
        else:
            _check_succession(key_set, before)
            _check_signatures(signed, by=before, rule="KEY-8")
            _check_other_key(key_set, before)
        _check_name(key_set)
        before = key_set


def signing_member(key_set: KeySet, message: SszObject, signature: bytes, *, rule: str) -> int:
    """Which member of a key set signed, from 1. Raises Rejected with `rule` for anybody else."""
    signer = recover_signer(message, signature, key_set.genesis_root)
    if signer not in key_set.members:
        raise Rejected(rule, f"{type(message).__name__} is not signed by a member of the committee")
    return key_set.members.index(signer) + 1


def load_registry(
    genesis: Genesis,
    key_sets: Sequence[SignedKeySet],
    parameters: Callable[[KeySet], bytes],
    *,
    backend: str = DEFAULT_BACKEND,
) -> tuple[Committee, ...]:
    """Every committee of a network, checked one from the other. Raises Malformed or Rejected.

    parameters    those of a key set
    """
    committees: list[Committee] = []
    for signed in key_sets:
        shown = parameters(signed.message)
        if committees:
            committees.append(committees[-1].load_successor(signed, shown, backend=backend))
        else:
            committees.append(Committee.load(genesis, signed, shown, backend=backend))
    return tuple(committees)


def public_material(key_set: KeySet, parameters: bytes = b"") -> PublicMaterial:
    return PublicMaterial(
        scheme=key_set.scheme,
        threshold=key_set.t,
        encryption_key=key_set.encryption_key,
        verification_keys=key_set.verification_keys,
        parameters=parameters,
    )


def sign_key_set(key_set: KeySet, signatures: Sequence[bytes]) -> SignedKeySet:
    return SignedKeySet(message=key_set, signatures=tuple(signatures))


def _check_form(key_set: KeySet, genesis: Genesis | GenesisSummary, backend: str) -> Scheme:
    """KEY-1, KEY-4 and KEY-5; the scheme named."""
    if key_set.genesis_root != genesis.root:
        raise Rejected("KEY-1", "the key set belongs to another network")
    try:
        scheme = load_scheme(scheme_name(key_set.scheme), backend)
    except ValueError as error:
        raise Malformed(str(error)) from error
    _check_threshold(key_set, scheme)
    return scheme


def _check_limits(key_set: KeySet, limits: Limits) -> None:
    if limits.batch is not None and key_set.batch_limit > limits.batch:
        raise Rejected("KEY-7", f"batches of {key_set.batch_limit} are more than the {limits.batch} the key opens")
    if key_set.rounds != (limits.rounds or 0):
        raise Rejected("KEY-7", f"{key_set.rounds} rounds are not the {limits.rounds or 0} of the key")


def _check_first(key_set: KeySet, genesis: Genesis | GenesisSummary) -> None:
    if key_set.predecessor != ZERO_HASH:
        raise Rejected("KEY-2", "a successor key set has to be shown with its predecessor")
    if key_set.members != genesis.members:
        raise Rejected("KEY-2", "the first committee is not the genesis' own")
    expected = {
        "sequencer": genesis.sequencer,
        "policy_id": genesis.policy_id,
        "policy_parameters": genesis.policy_parameters,
        "batch_limit": genesis.batch_limit,
        "epoch": 1,
        "start_height": 1,
        "start_parent": genesis.root,
        "start_round": 0,
    }
    for name, value in expected.items():
        if getattr(key_set, name) != value:
            raise Rejected("KEY-6", f"the first key set's {name} is not what the genesis fixes")


def _check_succession(key_set: KeySet, before: KeySet) -> None:
    if key_set.predecessor != before.root or key_set.epoch != before.epoch + 1:
        raise Rejected("KEY-8", f"the key set does not follow that of epoch {before.epoch}")
    if not before.start_height < key_set.start_height <= before.valid_until + 1:
        raise Rejected("KEY-9", f"the key set starts at height {key_set.start_height}, not above its predecessor")
    same_key = key_set.key_id == before.key_id
    if same_key and (key_set.start_parent == ZERO_HASH or key_set.start_round < before.start_round):
        raise Rejected("KEY-9", "a key set with the same key names the commitment it starts from, and its round")
    if not same_key and key_set.start_round != 0:
        raise Rejected("KEY-9", "the rounds of another key count from zero")


def _check_other_key(key_set: KeySet, before: KeySet) -> None:
    if key_set.key_id != before.key_id and key_set.encryption_key == before.encryption_key:
        raise Rejected("KEY-9", "an earlier key under another name: its shares would be made a second time")


def _check_name(key_set: KeySet) -> None:
    if key_set.key_id != key_name(
        key_set.genesis_root, key_set.scheme, key_set.encryption_key, key_set.parameter_digest
    ):
        raise Rejected("KEY-3", "key_id is not the name of this public key")


def _check_signatures(signed: SignedKeySet, *, by: KeySet, rule: str) -> None:
    key_set, place = signed.message, 0
    for signature in signed.signatures:
        signer = recover_signer(key_set, signature, key_set.genesis_root)
        if signer not in by.members[place:]:
            raise Rejected(rule, "the key set is signed by a stranger, twice by a member, or out of their order")
        place = by.members.index(signer) + 1
    needed = signatures_needed(by)
    if len(signed.signatures) < needed:
        raise Rejected(rule, f"the key set needs the signatures of {needed} members")


def _check_threshold(key_set: KeySet, scheme: Scheme) -> None:
    n, t = key_set.n, key_set.t
    if not 1 <= t <= n or len(key_set.members) != n or len(key_set.verification_keys) != n:
        raise Rejected(
            "KEY-4",
            f"{t} of {n}, {len(key_set.members)} members and "
            f"{len(key_set.verification_keys)} verification keys do not fit together",
        )
    if len(set(key_set.members)) != n:
        raise Rejected("KEY-4", "a member is listed twice")
    if key_set.policy_id == Policy.SHUFFLE and not scheme.info.hides:
        raise Rejected(
            "KEY-4", f"the shuffle policy needs an encrypting scheme: with {scheme.info.name} the seed is known"
        )
    reduced = t < default_threshold(n)
    if reduced != bool(key_set.reduced_threshold) or key_set.reduced_threshold > 1:
        raise Rejected("KEY-4", f"threshold {t} of {n} is below the default {default_threshold(n)} and must say so")
    if reduced and scheme.info.needs_default_threshold:
        raise Rejected("KEY-5", f"{scheme.info.name} needs a threshold of at least {default_threshold(n)} of {n}")
