"""A committee's key set: who the members are, which key they hold, and from where on.

Requirements:
KEY-1  the key set names this network's genesis
KEY-2  at least t members signed it, and no fewer than the default threshold, in their order; the first is signed by
       the genesis' members
KEY-3  key_id is the name of its public key in this network
KEY-4  n, t, members and verification keys agree; t is at least the default unless reduced_threshold is set
KEY-5  a reduced threshold is refused for schemes where two signed batches open more than they list
KEY-6  the first key set has the genesis' sequencer, policy and batch limit, and starts at height 1 from its root
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from encmempool.envelope import Terms
from encmempool.errors import Malformed, Rejected
from encmempool.identity import recover_signer
from encmempool.ordering import Policy
from encmempool.ssz import SszObject
from encmempool.types import ZERO_HASH, EncryptedTransaction, Genesis, KeySet, SignedKeySet
from threshold.curve import DEFAULT_BACKEND
from threshold.keys import PublicMaterial
from threshold.schemes.base import Scheme, VerifiedCiphertext
from threshold.schemes.registry import load_scheme, scheme_name

DISTRIBUTED = 1
TRUSTED_DEALER = 2
NO_END = (1 << 64) - 1


def default_threshold(n: int) -> int:
    """floor(2n/3) + 1: two conflicting commitments for one height cannot both gather that many votes."""
    return 2 * n // 3 + 1


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


@dataclass(frozen=True, kw_only=True)
class Committee:
    """A checked key set, with its scheme and public key loaded: what clients, members and auditors work with."""

    genesis: Genesis
    signed: SignedKeySet
    scheme: Scheme
    public_key: Any

    @classmethod
    def load(cls, genesis: Genesis, signed: SignedKeySet, *, backend: str = DEFAULT_BACKEND) -> Committee:
        """Check KEY-1 to KEY-6 and decode the key. Raises Malformed or Rejected."""
        key_set = signed.message
        if key_set.genesis_root != genesis.root:
            raise Rejected("KEY-1", "the key set belongs to another network")
        try:
            scheme = load_scheme(scheme_name(key_set.scheme), backend)
        except ValueError as error:
            raise Malformed(str(error)) from error
        _check_threshold(key_set, scheme)
        _check_first(key_set, genesis)
        _check_signatures(signed)
        material = public_material(key_set)
        if material.key_id(genesis.root) != key_set.key_id or material.parameter_digest != key_set.parameter_digest:
            raise Rejected("KEY-3", "key_id is not the name of this public key")
        public_key = scheme.load_public_key(material, key_id=key_set.key_id)
        return cls(genesis=genesis, signed=signed, scheme=scheme, public_key=public_key)

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

    def verify_ciphertext(self, transaction: EncryptedTransaction) -> VerifiedCiphertext:
        """TXN-9. Raises Malformed or Rejected."""
        header = transaction.header
        return self.scheme.verify_ciphertext(
            self.public_key, transaction.ciphertext, aad=header.root, height=header.target_height
        )

    def member_index(self, address: bytes) -> int | None:
        """1-based, or None for a stranger."""
        try:
            return self.key_set.members.index(address) + 1
        except ValueError:
            return None

    def signing_member(self, message: SszObject, signature: bytes, *, rule: str) -> int:
        """Which member signed. Raises Rejected with `rule` for anybody else."""
        index = self.member_index(recover_signer(message, signature, self.terms.genesis_root))
        if index is None:
            raise Rejected(rule, f"{type(message).__name__} is not signed by a member of the committee")
        return index


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


def _check_first(key_set: KeySet, genesis: Genesis) -> None:
    if key_set.predecessor != ZERO_HASH:
        raise Rejected("KEY-2", "a successor key set has to be shown with its predecessor's signatures")
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


def _check_signatures(signed: SignedKeySet) -> None:
    key_set, place = signed.message, 0
    for signature in signed.signatures:
        signer = recover_signer(key_set, signature, key_set.genesis_root)
        if signer not in key_set.members[place:]:
            raise Rejected("KEY-2", "the key set is signed by a stranger, twice by a member, or out of their order")
        place = key_set.members.index(signer) + 1
    # Not what the set itself claims to be enough: a few members could claim that few suffice.
    needed = max(key_set.t, default_threshold(key_set.n))
    if len(signed.signatures) < needed:
        raise Rejected("KEY-2", f"the key set needs the signatures of {needed} of its members")


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
