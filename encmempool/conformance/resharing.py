"""The page `resharing` answered by the production code.

What is the same as in a key generation is asked as the page `keygen` asks it, about a ceremony that is a resharing.
"""

from __future__ import annotations

from encmempool.conformance.keygen import KeygenOperations, _Mute
from encmempool.conformance.tdh2 import Operation
from encmempool.conformance.values import Json, bytes_list, from_hex, reader, to_hex
from encmempool.network.ceremony import Addresses
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND, ORDER, SCALAR_BYTES
from threshold.curve.backend import G1
from threshold.encoding import Reader, u32, u64
from threshold.errors import Malformed, Rejected
from threshold.keys import CeremonyFailed, KeyShare, PublicMaterial, ResharingSeat
from threshold.sansio import Persist
from threshold.schemes.key_generation import DerivedSelfTest, resharing_party, shared_scalar_material
from threshold.setup import dkg, reshare
from threshold.setup.dkg_messages import Dealing, Message


class ResharingOperations(KeygenOperations):
    def ceremony(self, given: Json) -> reshare.Resharing[G1]:
        started = given["started"]
        return reshare.Resharing(
            ceremony_id=from_hex(started["ceremony_id"]),
            n=int(started["n"]),
            t=int(started["t"]),
            group=self.group,
            holders={int(item["peer"]): int(item["holder"]) for item in started["dealers"]},
            predecessor=PublicMaterial.decode(from_hex(started["predecessor"])),
        )

    def receive(self, given: Json) -> Json:
        ceremony, sender, data = self.ceremony(given), int(given["sender"]), from_hex(given["message"])
        listener = dkg.CeremonyParty(
            ceremony=ceremony,
            index=sender % ceremony.peers + 1,
            secret=None,
            material=shared_scalar_material(self.scheme, ceremony.t),
            signer=_Mute(),
            peers=Addresses(bytes_list(given["addresses"])),
            random=entropy.system,
            round_seconds=1.0,
            self_test=DerivedSelfTest(self.scheme, network=bytes(32), random=entropy.system),
            resume=(),
        )
        listener.receive(sender, data, now=0.0)
        if listener.blamed:
            raise Rejected(listener.blamed[0][1], "the message is dropped", member=sender)
        message = Message.decode(data)
        return {
            "round": str(int(message.round)),
            "payload": to_hex(message.payload),
            "digest": to_hex(message.digest(ceremony.ceremony_id)),
        }

    def deal(self, given: Json) -> Json:
        keys = {int(item["member"]): self.group.decode(from_hex(item["key"])) for item in given["keys"]}
        share = Reader(from_hex(given["share"]), "a key share").scalar(ORDER)
        made = Dealing.make(self.ceremony(given), int(given["dealer"]), keys, reader(given["random"]), secret=share)
        return {"dealing": to_hex(made.encode(self.group))}

    def verify_dealing(self, given: Json) -> Json:
        dealing = self.dealing(given)
        self.ceremony(given).check_constant(dealing.dealer, dealing.commitment[0])
        return super().verify_dealing(given)

    def weights(self, given: Json) -> Json:
        factors = self.ceremony(given).weights([int(dealer) for dealer in given["qualified"]])
        return {"weights": [to_hex(factor.to_bytes(SCALAR_BYTES, "big")) for factor in factors]}

    def conclude(self, given: Json) -> Json:
        ceremony, index = self.ceremony(given), int(given["index"])
        name, secret = ceremony.ceremony_id, u64(0) + self.secret(given).to_bytes(SCALAR_BYTES, "big")
        records = [Persist(kind=dkg.EPHEMERAL_RECORD, key=name, value=secret)] + [
            Persist(kind=dkg.JOURNAL_RECORD, key=name + u32(number), value=message)
            for number, message in enumerate(bytes_list(given["messages"]))
        ]
        seat = ResharingSeat(
            index=index,
            n=ceremony.n,
            t=ceremony.t,
            dealers=ceremony.holders,
            public=ceremony.predecessor,
            share=KeyShare(ceremony.holders[index], from_hex(given["share"])) if index in ceremony.holders else None,
            network=from_hex(given["network"]),
            ceremony_id=name,
            signer=_Mute(),
            peers=Addresses(bytes_list(given["addresses"])),
            random=entropy.system,
            round_seconds=1.0,
            resume=tuple(records),
        )
        try:
            party = resharing_party(self.scheme, self.group, seat)
            party.tick(now=1e9)
            announced, result = party.announcement, party.result
        except CeremonyFailed as failure:
            raise Rejected("DKG-10", str(failure)) from failure
        if announced is None:
            raise Malformed("the messages end before the ceremony does")
        return {
            "material": to_hex(announced.public.encode()),
            "share": to_hex(result.share.secret_bytes() if result else b""),
            "transcript": to_hex(announced.transcript),
            "blamed": [{"member": str(peer), "rule": rule} for peer, rule in sorted(party.blamed)],
        }


def verify_transcript(given: Json) -> Json:
    agreement, signers = reshare.verify_transcript(
        from_hex(given["transcript"]),
        peers=Addresses(bytes_list(given["addresses"])),
        t=int(given["t"]),
        predecessor=PublicMaterial.decode(from_hex(given["predecessor"])),
    )
    return {
        "predecessor": to_hex(agreement.predecessor),
        "ceremony_id": to_hex(agreement.ceremony_id),
        "n": str(agreement.n),
        "dealers": [str(dealer) for dealer, _ in agreement.dealings],
        "encryption_key": to_hex(agreement.encryption_key),
        "verification_keys": [to_hex(key) for key in agreement.verification_keys],
        "digest": to_hex(agreement.digest),
        "signers": [str(member) for member in signers],
    }


def operations(backend: str) -> dict[str, Operation]:
    asked = ResharingOperations(backend)
    return {
        "receive": asked.receive,
        "deal": asked.deal,
        "verify_dealing": asked.verify_dealing,
        "judge": asked.judge,
        "weights": asked.weights,
        "conclude": asked.conclude,
        "verify_transcript": verify_transcript,
    }


OPERATIONS = operations(DEFAULT_BACKEND)
