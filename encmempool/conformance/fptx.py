"""The page `fptx` answered by the production code."""

from __future__ import annotations

from encmempool.conformance.tdh2 import Operation, SchemeOperations
from encmempool.conformance.values import Json, bytes_list, from_hex, reader, to_hex
from encmempool.network.ceremony import Addresses
from threshold import entropy, onetime
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.errors import Rejected
from threshold.keys import KeyGenerationParty, Limits, Seat
from threshold.schemes import fptx
from threshold.setup import contributions, powers


class _Mute:
    """A signer for a party that says nothing."""

    def sign(self, digest: bytes) -> bytes:
        raise AssertionError(digest)


def operations(backend: str) -> dict[str, Operation]:
    curve = load_backend(backend)
    scheme = fptx.make(curve)
    asked = SchemeOperations(scheme)

    def verify_parameters(given: Json) -> Json:
        parameters = from_hex(given["parameters"])
        powers.verify(curve, parameters)
        header = powers.decode_header(curve, parameters)
        return {"batch": str(header.batch), "rounds": str(header.rounds)}

    def start(given: Json) -> Json:
        return {"parameters": to_hex(powers.start(curve, batch=int(given["batch"]), rounds=int(given["rounds"])))}

    def contribute(given: Json) -> Json:
        after, proof = powers.contribute(
            curve,
            from_hex(given["before"]),
            ceremony_id=from_hex(given["ceremony_id"]),
            contributor=int(given["contributor"]),
            random=reader(given["random"]),
        )
        return {"after": to_hex(after), "proof": to_hex(proof)}

    def verify_contribution(given: Json) -> Json:
        before, after, proof = (from_hex(given[name]) for name in ("before", "after", "proof"))
        powers.verify_contribution(
            curve,
            before,
            after,
            proof,
            ceremony_id=from_hex(given["ceremony_id"]),
            contributor=int(given["contributor"]),
            random=entropy.system,
        )
        return {}

    def conclude(given: Json) -> Json:
        concluded: list[tuple[Seat, bytes]] = []

        def key_ceremony(seat: Seat, parameters: bytes) -> KeyGenerationParty:
            concluded.append((seat, parameters))
            return party  # instead of the next phase's, which is never started

        seat = Seat(
            index=1,
            n=int(given["n"]),
            t=int(given["t"]),
            network=bytes(32),
            ceremony_id=from_hex(given["ceremony_id"]),
            signer=_Mute(),
            peers=Addresses(()),
            random=entropy.system,
            round_seconds=1.0,
            limits=Limits(batch=int(given["batch"]), rounds=int(given["rounds"])),
        )
        party = contributions.Party(seat, curve, key_ceremony)
        for message in bytes_list(given["messages"]):
            party._add(contributions.Message.decode(message))
        party._conclude()
        if not concluded:
            raise Rejected("PTX-10", "too few contributions count")
        ((after, parameters),) = concluded
        return {
            "key_ceremony_id": to_hex(after.ceremony_id),
            "parameters": to_hex(parameters),
            "blamed": [{"member": str(member), "rule": rule} for member, rule in sorted(party.blamed)],
        }

    def load_public_key(given: Json) -> Json:
        key = asked.key(given)
        return {
            **asked.load_public_key(given),
            "batch": str(key.limits.batch),
            "rounds": str(key.limits.rounds),
            "encryption_key": to_hex(curve.g2.encode(key.point)),
            "verification_keys": [to_hex(curve.g2.encode(point)) for point in key.verification_keys],
            "label": to_hex(curve.g1.encode(key.label)),
        }

    def digest(given: Json) -> Json:
        key = asked.key(given)
        _, point = scheme._digest(key, asked.batch(key, given))
        return {"digest": to_hex(curve.g1.encode(point))}

    def openings(given: Json) -> Json:
        key = asked.key(given)
        values = scheme.precompute(key, asked.batch(key, given)).openings
        return {"openings": [to_hex(curve.gt_encode(value)) for value in values]}

    return {
        "verify_parameters": verify_parameters,
        "start": start,
        "contribute": contribute,
        "verify_contribution": verify_contribution,
        "read_contribution": read_contribution,
        "key_ceremony_id": key_ceremony_id,
        "conclude": conclude,
        "load_public_key": load_public_key,
        "identity": identity,
        "verify_signature": verify_signature,
        "encrypt": asked.encrypt,
        "verify_ciphertext": asked.verify_ciphertext,
        "digest": digest,
        "openings": openings,
        "partial_decrypt": asked.partial_decrypt,
        "verify_share": asked.verify_share,
        "combine": asked.combine,
        "verify_batch_key": asked.verify_batch_key,
        "decrypt": asked.decrypt,
        "self_test": asked.self_test,
    }


def read_contribution(given: Json) -> Json:
    message = contributions.Message.decode(from_hex(given["message"]))
    made = contributions.Contribution.decode(message.payload, batch=int(given["batch"]), rounds=int(given["rounds"]))
    return {
        "sender": str(message.sender),
        "name": to_hex(message.digest(from_hex(given["ceremony_id"]))),
        "before": to_hex(made.before),
        "parameters": to_hex(made.parameters),
        "proof": to_hex(made.proof),
    }


def key_ceremony_id(given: Json) -> Json:
    name = contributions.key_ceremony_id(from_hex(given["ceremony_id"]), from_hex(given["parameters"]))
    return {"key_ceremony_id": to_hex(name)}


def identity(given: Json) -> Json:
    return {"identity": str(fptx._identity(from_hex(given["key_id"]), from_hex(given["one_time_key"])))}


def verify_signature(given: Json) -> Json:
    return {"valid": onetime.verify(*(from_hex(given[name]) for name in ("one_time_key", "message", "signature")))}


OPERATIONS = operations(DEFAULT_BACKEND)
