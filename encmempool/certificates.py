"""What t votes make of an order commitment, for who has the key set and nothing else."""

from __future__ import annotations

from encmempool.errors import Rejected
from encmempool.keysets import signing_member
from encmempool.types import KeySet, OrderCertificate, OrderCommitment, Vote


def vote_for(commitment: OrderCommitment) -> Vote:
    return Vote(
        committee_id=commitment.committee_id,
        height=commitment.height,
        round=commitment.round,
        commitment_root=commitment.root,
    )


def check_certificate(key_set: KeySet, certificate: OrderCertificate, commitment: OrderCommitment) -> None:
    """Exactly t members, ascending, voted for this commitment. Raises Rejected CRT-3."""
    if certificate.vote != vote_for(commitment):
        raise Rejected("CRT-3", "the certificate is for another commitment")
    check_votes(key_set, certificate)


def check_votes(key_set: KeySet, certificate: OrderCertificate) -> None:
    """Exactly t members, ascending, signed the certificate's vote, whatever it is for. Raises Rejected CRT-3."""
    members = [
        signing_member(key_set, certificate.vote, signature, rule="CRT-3") for signature in certificate.signatures
    ]
    if members != sorted(set(members)) or len(members) != key_set.t:
        raise Rejected("CRT-3", f"a certificate needs {key_set.t} different members in order")
