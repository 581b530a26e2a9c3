"""Handing a key that is one shared scalar to the next committee, or refreshing its shares in place. Sans-IO.

Each holder i of an old share x_i deals it: a polynomial f_i of degree t-1 with f_i(0) = x_i, in the rounds of
`threshold.setup.dkg`. Member j's share is the sum of lambda_i * f_i(j) over all qualified dealers, with Lagrange's
lambda_i at zero for the dealers' old indices. At least as many as the old threshold must qualify; the encryption key
stays what it was. Old and next committee may differ in members, size and threshold, be disjoint, or be the same.
Source: Desmedt and Jajodia 1997; with Feldman's commitments, Wong, Wang and Wing, IEEE SISW 2002.

All qualified dealers count, not the first few: no rule has to choose them, and the new polynomial holds the
randomness of every honest one. One honest dealer makes it independent of the old one.

Peers are members 1..n of the next committee in its order, then those who leave. Everyone says hello and forwards;
holders deal; members complain and confirm. One who leaves waits for t confirmations and has an announcement, no result.

What a result establishes, if fewer than the old threshold of the holders and fewer than t of the members are
dishonest: the key is the old one, t members of the next committee together can open with it and fewer learn nothing;
this member's share fits its verification key; at least t members saw the same dealings and the same keys.
Nobody can bias or change the key: it is fixed, and each dealing is tied to it by RSH-1. The verification keys can be
biased as in a key generation. Absent holders cost time, nothing else, while as many as the old threshold deal.

What it does not:

* Old shares do not expire. Shares of different epochs lie on different polynomials and do not combine, so t-1 old and
  t-1 new ones open nothing. But as many UNERASED old shares as the old threshold still open everything, past and
  future, that is encrypted to the key. The step to the next epoch is only complete when holders have erased the old
  share, the "dkg-secret" record of the ceremony that made it, this ceremony's, the live Party, and every backup of
  these, and no protocol can show that they did. With erasure, one who learns fewer shares in each epoch than its
  threshold, of changing members, learns nothing, over any number of epochs (Herzberg, Jarecki, Krawczyk, Yung,
  CRYPTO '95). Who is dishonest during the ceremony counts in both epochs.
* An attempt that fails may still have given its members shares that open the key. Erase its records too, and do not
  offer the key to committees that are not trusted with it.
* No forward secrecy, as in a key generation: recorded traffic and a member's "dkg-secret" record open its share.
* Two transcripts may both gather t confirmations if 2t <= n + dishonest members and colluders split the views. Both
  are sharings of the same key; their shares do not combine.
* A share restored from an older epoch is refused at the start: it does not fit its verification key.

Rules DKG-1 to DKG-12 hold as they are, DKG-10 with the old committee's threshold and DKG-13 for the next committee's
signatures. In addition:

RSH-1   a dealing's constant is the dealer's verification key in the old committee                      signed
RSH-2   a transcript names the key and the committee that it was handed on by, and keeps the key;       -
        at least as many of that committee as its threshold dealt
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from threshold import sharing
from threshold.curve import ORDER, Group
from threshold.curve.backend import Point
from threshold.encoding import Reader
from threshold.entropy import Random
from threshold.errors import Malformed, Rejected
from threshold.hashing import Tag, tagged_hash
from threshold.keys import KeyShare, PublicMaterial, SelfTest
from threshold.polynomial import lagrange_at_zero
from threshold.sansio import PeerVerifier, Persist, Signer
from threshold.setup.dkg import CeremonyParty, verify_signatures
from threshold.setup.dkg_messages import Agreement, Ceremony

DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Resharing(Ceremony[Point]):
    """The ceremony in which holders of a key's shares deal them to the next committee.

    holders        peer index -> that peer's member index in the committee that holds the key; who lost its share
                   is not among them
    predecessor    the key, with the verification keys of those who hold it

    ValueError unless enough hold distinct shares, all leavers are holders, and the old keys are on one polynomial.
    """

    holders: Mapping[int, int]
    predecessor: PublicMaterial

    def __post_init__(self) -> None:
        old, shares = self.predecessor, sorted(self.holders.values())
        if shares != sorted(set(shares) & set(range(1, old.members + 1))) or len(shares) < old.threshold:
            raise ValueError(f"dealers must be at least {old.threshold} distinct members of {old.members}")
        if min(self.holders) < 1 or not self.holders.keys() >= set(range(self.n + 1, self.peers + 1)):
            raise ValueError(f"peers are members 1..{self.n}, then those who leave, who all hold a share")
        points = [self.group.decode(key) for key in (old.encryption_key, *old.verification_keys)]
        if not sharing.on_one_polynomial(self.group, points, old.threshold, Tag.KEY_POLYNOMIAL):
            raise ValueError("the old committee's verification keys do not belong to its key")

    @property
    def peers(self) -> int:
        return max(self.n, *self.holders)

    @property
    def dealers(self) -> Collection[int]:
        return self.holders.keys()

    @property
    def dealings_needed(self) -> int:
        return self.predecessor.threshold

    def check_constant(self, dealer: int, constant: Point) -> None:
        holder = self.holders[dealer]
        if self.group.encode(constant) != self.predecessor.verification_keys[holder - 1]:
            raise Rejected("RSH-1", f"peer {dealer} deals another secret than its share", member=dealer)

    def weights(self, dealers: Sequence[int]) -> Sequence[int]:
        return lagrange_at_zero([self.holders[dealer] for dealer in dealers], ORDER)

    def agreement(
        self, dealt: Mapping[int, bytes], encryption_key: bytes, verification_keys: tuple[bytes, ...]
    ) -> Agreement:
        """Names the dealers by their index in the old committee."""
        assert encryption_key == self.predecessor.encryption_key, "shares on one polynomial came to another key"
        by_holder = {self.holders[dealer]: digest for dealer, digest in dealt.items()}
        agreement = Ceremony.agreement(self, by_holder, encryption_key, verification_keys)
        return replace(agreement, predecessor=_digest(self.predecessor))


class Party(CeremonyParty[Point]):
    """One peer of a resharing; the common arguments are those of `CeremonyParty`.

    index      members 1..n of the next committee, then those who leave
    n, t       of the next committee
    dealers    as `Resharing.holders`; all peers have to be started with the same
    public     as `Resharing.predecessor`, likewise
    share      this peer's share, or None if it is not a dealer

    ValueError also for a share that is missing, is not a dealer's, or does not fit its verification key.
    """

    def __init__(
        self,
        *,
        index: int,
        n: int,
        t: int,
        dealers: Mapping[int, int],
        public: PublicMaterial,
        share: KeyShare | None,
        group: Group[Point],
        ceremony_id: bytes,
        signer: Signer,
        peers: PeerVerifier,
        random: Random,
        round_seconds: float,
        self_test: SelfTest,
        resume: Iterable[Persist] = (),
    ) -> None:
        def material(_key: bytes, verification_keys: tuple[bytes, ...]) -> PublicMaterial:
            return replace(public, threshold=t, verification_keys=verification_keys)

        if dealers.get(index) != (None if share is None else share.member):
            raise ValueError(f"peer {index} deals if, and only if, it holds a share")
        super().__init__(
            ceremony=Resharing(
                ceremony_id=ceremony_id, n=n, t=t, group=group, holders=dict(dealers), predecessor=public
            ),
            index=index,
            secret=None if share is None else _secret(group, public, share),
            material=material,
            signer=signer,
            peers=peers,
            random=random,
            round_seconds=round_seconds,
            self_test=self_test,
            resume=resume,
        )


def verify_transcript(
    data: bytes, *, peers: PeerVerifier, t: int, predecessor: PublicMaterial
) -> tuple[Agreement, tuple[int, ...]]:
    """What was agreed, and the members of the next committee that signed it; `peers` knows these.

    Establishes what `threshold.setup.dkg.verify_transcript` does, and that these values hand on the predecessor's
    key. That its members dealt, the signers say; whether the verification keys belong to the key, anyone can see by
    loading them.

    Raises Malformed; Rejected(DKG-13) as there; Rejected(RSH-2): another predecessor, or another key.
    """
    reader = Reader(data, "a resharing's transcript")
    agreement = Agreement.read(reader, predecessor=reader.take(DIGEST_BYTES))
    if agreement.predecessor != _digest(predecessor) or agreement.encryption_key != predecessor.encryption_key:
        raise Rejected("RSH-2", "the transcript hands on another key, or from another committee")
    agreement.check_dealers(n=predecessor.members, t=predecessor.threshold)
    return agreement, verify_signatures(reader, agreement, peers=peers, t=t)


def _digest(public: PublicMaterial) -> bytes:
    """Names a key together with the committee that holds it."""
    return tagged_hash(Tag.RESHARE_TRANSCRIPT, b"predecessor", public.encode())


def _secret(group: Group[Point], public: PublicMaterial, share: KeyShare) -> int:
    try:
        secret = Reader(share.secret_bytes(), "a key share").scalar(ORDER)
    except Malformed as error:
        raise ValueError(f"the share of member {share.member}: {error}") from error
    if group.encode(group.multiply(group.generator, secret)) != public.verification_keys[share.member - 1]:
        raise ValueError(f"the share of member {share.member} does not fit its verification key: of another epoch?")
    return secret
