"""The page `multiparty` answered by the production code.

What a member computes and concludes is asked of `multiparty.Party` itself: a message list is its records of an earlier
life, and single steps start from the state that the question gives it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from encmempool.conformance.tdh2 import Operation
from encmempool.conformance.values import Json, bytes_list, from_hex, to_hex
from encmempool.network.ceremony import Addresses
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND, ORDER, SCALAR_BYTES, load_backend
from threshold.encoding import Reader, u32, u64
from threshold.errors import Malformed, Rejected
from threshold.keys import CeremonyFailed, Limits, PublicMaterial, Seat
from threshold.proofs import KnowledgeProof
from threshold.sansio import Persist
from threshold.schemes.registry import load_scheme
from threshold.setup import multiparty
from threshold.setup.dkg_messages import SIGNATURE_BYTES
from threshold.setup.multiparty_messages import (
    HELLO,
    VIEW_BYTES,
    Agreement,
    Ceremony,
    Hello,
    Message,
    multiplication_threshold,
)

_RULE = re.compile(r"\[(MPC-[0-9]+)\]")


class _Anyone:
    """A signer for parties whose words nobody hears: one that gives up says so."""

    def sign(self, digest: bytes) -> bytes:
        return bytes(SIGNATURE_BYTES)


class MultipartyOperations:
    def __init__(self, backend: str) -> None:
        self.curve = load_backend(backend)
        self.scheme = load_scheme("simple-bte", backend)

    def ceremony(self, given: Json) -> Ceremony:
        return Ceremony(
            backend=self.curve,
            ceremony_id=from_hex(given["ceremony_id"]),
            scheme=self.scheme.info.number,
            n=int(given["n"]),
            t=int(given["t"]),
            batch=int(given["batch"]),
        )

    def party(
        self,
        given: Json,
        *,
        index: int,
        network: bytes = bytes(32),
        addresses: tuple[bytes, ...] = (),
        resume: tuple[Persist, ...] = (),
    ) -> multiparty.Party:
        seat = Seat(
            index=index,
            n=int(given["n"]),
            t=int(given["t"]),
            network=network,
            ceremony_id=from_hex(given["ceremony_id"]),
            signer=_Anyone(),
            peers=Addresses(addresses),
            random=entropy.system,
            round_seconds=1.0,
            limits=Limits(batch=int(given["batch"])),
            resume=resume,
        )
        party = self.scheme.key_generation(seat)
        assert isinstance(party, multiparty.Party)
        return party

    def dealer(self, given: Json) -> multiparty.Party:
        """A member that is about to deal or to combine."""
        party = self.party(given, index=int(given["member"]))
        party._seed = from_hex(given["seed"])
        for member, data in enumerate(given.get("keys", ()), start=1):
            key = self.curve.g1.decode(from_hex(data))
            party._hellos[member] = Hello(key=key, proof=KnowledgeProof(commitment=key, response=0))
        party._powers |= _powers(given.get("powers", ()))
        return party

    def schedule(self, given: Json) -> Json:
        ceremony = self.ceremony(given)
        rounds = [
            {
                "products": [{"left": str(a), "right": str(b)} for a, b in ceremony.products(number)],
                "payload_bytes": str(ceremony.payload_bytes(number)),
            }
            for number in range(HELLO, ceremony.confirm + 1)
        ]
        low = multiplication_threshold(ceremony.n)
        return {"low": str(low), "first_view": to_hex(ceremony.first_view), "rounds": rounds}

    def receive(self, given: Json) -> Json:
        sender, data = int(given["sender"]), from_hex(given["message"])
        listener = self.party(given, index=sender % int(given["n"]) + 1, addresses=bytes_list(given["addresses"]))
        listener.receive(sender, data, now=0.0)
        if listener.blamed:
            raise Rejected(listener.blamed[0][1], "the message is dropped", member=sender)
        message = Message.decode(self.ceremony(given), data)
        return {
            "round": str(message.round),
            "payload": to_hex(message.payload),
            "digest": to_hex(message.digest(from_hex(given["ceremony_id"]))),
        }

    def end_round(self, given: Json) -> Json:
        number = int(given["round"])
        party = self.party(given, index=1)
        party._view = from_hex(given["view"])
        for item in given["payloads"]:
            member = int(item["member"])
            party._log[number][member] = Message(
                round=number, sender=member, payload=from_hex(item["payload"]), signature=bytes(SIGNATURE_BYTES)
            )
        party._bodies(number)
        return {"view": to_hex(party._view)}

    def make_hello(self, given: Json) -> Json:
        return {"hello": to_hex(self.dealer(given)._compose(HELLO)[VIEW_BYTES:])}

    def verify_hello(self, given: Json) -> Json:
        ceremony, member = self.ceremony(given), int(given["member"])
        hello = Hello.decode(ceremony, from_hex(given["hello"]))
        if not hello.is_proven(ceremony, member):
            raise Rejected("MPC-5", "the key's logarithm is not proven", member=member)
        return {"key": to_hex(self.curve.g1.encode(hello.key))}

    def make_boxes(self, given: Json) -> Json:
        return {"boxes": to_hex(b"".join(self.dealer(given)._boxes(int(given["round"]))))}

    def combine(self, given: Json) -> Json:
        party = self.dealer(given)
        before = set(party._powers)
        party._combine(int(given["round"]), dict(enumerate(bytes_list(given["bodies"]), start=1)))
        made = sorted((power, share) for power, share in party._powers.items() if power not in before)
        return {
            "powers": [{"power": str(power), "share": str(share)} for power, share in made],
            "secret": to_hex(b"".join(share.to_bytes(SCALAR_BYTES, "big") for share in party._secrets)),
        }

    def publish(self, given: Json) -> Json:
        party = self.party(given, index=1)
        party._powers |= _powers(given["powers"])
        reader = Reader(from_hex(given["secret"]), "the secret")
        party._secrets = [reader.scalar(ORDER) for _ in range(int(given["batch"]))]
        reader.end()
        return {"publication": to_hex(party._publication().encode(self.ceremony(given)))}

    def assemble(self, given: Json) -> Json:
        party = self.party(given, index=1)
        party._agree(dict(enumerate(bytes_list(given["bodies"]), start=1)))
        assert party._outcome is not None
        return {"material": to_hex(party._outcome[1].encode())}

    def agreement(self, given: Json) -> Json:
        ceremony = self.ceremony(given)
        public = PublicMaterial.decode(from_hex(given["material"]))
        made = Agreement(
            ceremony_id=ceremony.ceremony_id,
            scheme=ceremony.scheme,
            n=ceremony.n,
            t=ceremony.t,
            batch=ceremony.batch,
            view=from_hex(given["view"]),
            encryption_key=public.encryption_key,
            parameter_digest=public.parameter_digest,
            verification_keys=public.verification_keys,
        )
        return {"agreement": to_hex(made.encode()), "digest": to_hex(made.digest)}

    def conclude(self, given: Json) -> Json:
        name = from_hex(given["ceremony_id"])
        seed = Persist(kind=multiparty.SEED_RECORD, key=name, value=u64(0) + from_hex(given["seed"]))
        records = [seed] + [
            Persist(kind=multiparty.JOURNAL_RECORD, key=name + u32(number), value=message)
            for number, message in enumerate(bytes_list(given["messages"]))
        ]
        party = self.party(
            given,
            index=int(given["index"]),
            network=from_hex(given["network"]),
            addresses=bytes_list(given["addresses"]),
            resume=tuple(records),
        )
        party.tick(now=1e9)
        blamed = {"blamed": [{"member": str(member), "rule": rule} for member, rule in sorted(party.blamed)]}
        try:
            result = party.result
        except CeremonyFailed as failure:
            # What ends an attempt in the last round has no rule of its own in the message.
            rules = _RULE.findall(str(failure))
            return {**blamed, "failed": rules[-1] if rules else "MPC-12"}
        if result is None:
            raise Malformed("the messages end before the attempt does")
        return {
            **blamed,
            "material": to_hex(result.public.encode()),
            "secret": to_hex(result.share.secret_bytes()),
            "transcript": to_hex(result.transcript),
        }


def _powers(given: Sequence[Json]) -> dict[int, int]:
    return {int(item["power"]): int(item["share"]) for item in given}


def verify_transcript(given: Json) -> Json:
    peers = Addresses(bytes_list(given["addresses"]))
    agreement, signers = multiparty.verify_transcript(from_hex(given["transcript"]), peers=peers, t=int(given["t"]))
    return {
        "ceremony_id": to_hex(agreement.ceremony_id),
        "scheme": str(agreement.scheme),
        "n": str(agreement.n),
        "batch": str(agreement.batch),
        "view": to_hex(agreement.view),
        "encryption_key": to_hex(agreement.encryption_key),
        "parameter_digest": to_hex(agreement.parameter_digest),
        "verification_keys": [to_hex(key) for key in agreement.verification_keys],
        "digest": to_hex(agreement.digest),
        "signers": [str(member) for member in signers],
    }


def operations(backend: str) -> dict[str, Operation]:
    asked = MultipartyOperations(backend)
    return {
        "schedule": asked.schedule,
        "receive": asked.receive,
        "end_round": asked.end_round,
        "make_hello": asked.make_hello,
        "verify_hello": asked.verify_hello,
        "make_boxes": asked.make_boxes,
        "combine": asked.combine,
        "publish": asked.publish,
        "assemble": asked.assemble,
        "agreement": asked.agreement,
        "conclude": asked.conclude,
        "verify_transcript": verify_transcript,
    }


OPERATIONS = operations(DEFAULT_BACKEND)
