"""The page `keygen` answered by the production code.

What a member concludes from messages is asked of `dkg.Party` itself: it runs through them as its own records of an
earlier life, and time does the rest.
"""

from __future__ import annotations

from encmempool.conformance.tdh2 import Operation
from encmempool.conformance.values import Json, bytes_list, from_hex, reader, to_hex
from encmempool.network.ceremony import Addresses
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND, ORDER, SCALAR_BYTES, load_backend
from threshold.curve.backend import G1
from threshold.encoding import Reader, u32, u64
from threshold.errors import Malformed, Rejected
from threshold.keys import CeremonyFailed, Seat
from threshold.proofs import verify_knowledge
from threshold.sansio import Persist
from threshold.schemes.registry import load_scheme
from threshold.setup import dkg
from threshold.setup.dkg_messages import (
    Ceremony,
    Complaint,
    Dealing,
    Hello,
    Message,
    decode_complaints,
    encode_complaints,
)


class _Mute:
    """A signer for parties that have nothing left to say."""

    def sign(self, digest: bytes) -> bytes:
        raise AssertionError("this party was asked what it concludes, not to speak")


class KeygenOperations:
    def __init__(self, backend: str) -> None:
        self.group = load_backend(backend).g1
        self.scheme = load_scheme("tdh2", backend)

    def ceremony(self, given: Json) -> Ceremony[G1]:
        return Ceremony(
            ceremony_id=from_hex(given["ceremony_id"]), n=int(given["n"]), t=int(given["t"]), group=self.group
        )

    def secret(self, given: Json) -> int:
        return Reader(from_hex(given["secret"]), "a secret").scalar(ORDER)

    def dealing(self, given: Json) -> Dealing[G1]:
        return Dealing.decode(self.ceremony(given), int(given["dealer"]), from_hex(given["dealing"]))

    def party(self, given: Json, *, index: int, network: bytes, resume: tuple[Persist, ...] = ()) -> dkg.Party[G1]:
        seat = Seat(
            index=index,
            n=int(given["n"]),
            t=int(given["t"]),
            network=network,
            ceremony_id=from_hex(given["ceremony_id"]),
            signer=_Mute(),
            peers=Addresses(bytes_list(given["addresses"])),
            random=entropy.system,
            round_seconds=1.0,
            resume=resume,
        )
        party = self.scheme.key_generation(seat)
        assert isinstance(party, dkg.Party)
        return party

    def receive(self, given: Json) -> Json:
        sender, n = int(given["sender"]), int(given["n"])
        data = from_hex(given["message"])
        listener = self.party(given, index=sender % n + 1, network=bytes(32))
        listener.receive(sender, data, now=0.0)
        if listener.blamed:
            raise Rejected(listener.blamed[0][1], "the message is dropped", member=sender)
        message = Message.decode(data)
        return {
            "round": str(int(message.round)),
            "payload": to_hex(message.payload),
            "digest": to_hex(message.digest(from_hex(given["ceremony_id"]))),
        }

    def make_hello(self, given: Json) -> Json:
        made = Hello.make(self.ceremony(given), int(given["member"]), self.secret(given), reader(given["random"]))
        return {"hello": to_hex(made.encode(self.group))}

    def verify_hello(self, given: Json) -> Json:
        ceremony, member = self.ceremony(given), int(given["member"])
        hello = Hello.decode(ceremony, member, from_hex(given["hello"]))
        self.verify_claims(hello, ceremony, "DKG-4", member)
        return {"key": to_hex(self.group.encode(hello.key))}

    def verify_claims(self, made: Hello[G1] | Dealing[G1], ceremony: Ceremony[G1], rule: str, member: int) -> None:
        if not all(verify_knowledge(self.group, statement, proof) for statement, proof in made.claims(ceremony)):
            raise Rejected(rule, "a proof of possession does not hold", member=member)

    def deal(self, given: Json) -> Json:
        keys = {int(item["member"]): self.group.decode(from_hex(item["key"])) for item in given["keys"]}
        made = Dealing.make(self.ceremony(given), int(given["dealer"]), keys, reader(given["random"]))
        return {"dealing": to_hex(made.encode(self.group))}

    def verify_dealing(self, given: Json) -> Json:
        dealing = self.dealing(given)
        if dealing.addressed != {int(member) for member in given["heard"]}:
            raise Rejected("DKG-7", "the boxes are for other members than those heard", member=dealing.dealer)
        self.verify_claims(dealing, self.ceremony(given), "DKG-6", dealing.dealer)
        return {
            "commitment": [to_hex(self.group.encode(point)) for point in dealing.commitment],
            "ephemeral": to_hex(self.group.encode(dealing.ephemeral)),
        }

    def open_box(self, given: Json) -> Json:
        dealing, secret = self.dealing(given), self.secret(given)
        key = self.group.multiply(self.group.generator, secret)
        shared = self.group.multiply(dealing.ephemeral, secret)
        share = dealing.open(self.ceremony(given), int(given["member"]), key, shared)
        return {"share": to_hex(share.to_bytes(SCALAR_BYTES, "big"))}

    def complain(self, given: Json) -> Json:
        made = Complaint.make(
            self.ceremony(given), int(given["member"]), self.secret(given), self.dealing(given), reader(given["random"])
        )
        return {"complaints": to_hex(encode_complaints(self.group, [made]))}

    def judge(self, given: Json) -> Json:
        ceremony, dealing = self.ceremony(given), self.dealing(given)
        key = self.group.decode(from_hex(given["key"]))
        for complaint in decode_complaints(ceremony, from_hex(given["complaints"])):
            if complaint.dealer == dealing.dealer:
                complaint.judge(ceremony, int(given["member"]), key, dealing)
        return {"at_fault": str(dealing.dealer)}

    def conclude(self, given: Json) -> Json:
        name = from_hex(given["ceremony_id"])
        secret = u64(0) + self.secret(given).to_bytes(SCALAR_BYTES, "big")
        records = [Persist(kind=dkg.EPHEMERAL_RECORD, key=name, value=secret)] + [
            Persist(kind=dkg.JOURNAL_RECORD, key=name + u32(number), value=message)
            for number, message in enumerate(bytes_list(given["messages"]))
        ]
        try:
            party = self.party(
                given, index=int(given["index"]), network=from_hex(given["network"]), resume=tuple(records)
            )
            party.tick(now=1e9)
            result = party.result
        except CeremonyFailed as failure:
            raise Rejected("DKG-10", str(failure)) from failure
        if result is None:
            raise Malformed("the messages end before the ceremony does")
        return {
            "material": to_hex(result.public.encode()),
            "share": to_hex(result.share.secret_bytes()),
            "transcript": to_hex(result.transcript),
            "blamed": [{"member": str(member), "rule": rule} for member, rule in sorted(result.blamed)],
        }


def verify_transcript(given: Json) -> Json:
    peers = Addresses(bytes_list(given["addresses"]))
    agreement, signers = dkg.verify_transcript(from_hex(given["transcript"]), peers=peers, t=int(given["t"]))
    return {
        "ceremony_id": to_hex(agreement.ceremony_id),
        "n": str(agreement.n),
        "dealers": [str(dealer) for dealer, _ in agreement.dealings],
        "encryption_key": to_hex(agreement.encryption_key),
        "verification_keys": [to_hex(key) for key in agreement.verification_keys],
        "digest": to_hex(agreement.digest),
        "signers": [str(member) for member in signers],
    }


def operations(backend: str) -> dict[str, Operation]:
    asked = KeygenOperations(backend)
    return {
        "receive": asked.receive,
        "make_hello": asked.make_hello,
        "verify_hello": asked.verify_hello,
        "deal": asked.deal,
        "verify_dealing": asked.verify_dealing,
        "open_box": asked.open_box,
        "complain": asked.complain,
        "judge": asked.judge,
        "conclude": asked.conclude,
        "verify_transcript": verify_transcript,
    }


OPERATIONS = operations(DEFAULT_BACKEND)
