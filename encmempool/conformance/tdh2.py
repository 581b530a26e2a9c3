"""The page `tdh2` answered by the production code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from encmempool.conformance.values import Json, from_hex, reader, to_hex
from threshold.curve import DEFAULT_BACKEND, Group, load_backend
from threshold.keys import KeyShare, PublicMaterial
from threshold.schemes import base
from threshold.schemes.base import Batch, BatchKey, Scheme, Share, Undecryptable, VerifiedCiphertext
from threshold.schemes.key_generation import DerivedSelfTest
from threshold.schemes.registry import load_scheme
from threshold.schemes.tdh2 import Tdh2PublicKey

Operation = Callable[[Json], Json]


class SchemeOperations:
    """What is asked of every scheme, in the fields of their pages."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme

    def key(self, given: Json) -> Any:
        material = PublicMaterial.decode(from_hex(given["material"]))
        return self.scheme.load_public_key(material, key_id=from_hex(given["key_id"]))

    def batch(self, key: Any, given: Json) -> Batch:
        """The batch, each entry checked."""
        asked = given["batch"]
        return Batch(
            key_id=key.key_id,
            height=int(asked["height"]),
            round=int(asked["round"]),
            entries=tuple(self.ciphertext(key, entry) for entry in asked["entries"]),
        )

    def ciphertext(self, key: Any, given: Json) -> VerifiedCiphertext:
        return self.scheme.verify_ciphertext(
            key, from_hex(given["ciphertext"]), aad=from_hex(given["aad"]), height=_addressed(given)
        )

    def load_public_key(self, given: Json) -> Json:
        key = self.key(given)
        return {"threshold": str(key.threshold), "members": str(key.members)}

    def load_points(self, group: Group[Any], given: Json) -> Json:
        """`load_public_key` where the keys are points of one group."""
        key = self.key(given)
        return {
            **self.load_public_key(given),
            "encryption_key": to_hex(key.point_bytes),
            "verification_keys": [to_hex(group.encode(point)) for point in key.verification_keys],
        }

    def encrypt(self, given: Json) -> Json:
        ciphertext = self.scheme.encrypt(
            self.key(given),
            from_hex(given["plaintext"]),
            aad=from_hex(given["aad"]),
            height=_addressed(given),
            random=reader(given.get("random", "0x")),
        )
        return {"ciphertext": to_hex(ciphertext)}

    def verify_ciphertext(self, given: Json) -> Json:
        return {"ciphertext_id": to_hex(self.ciphertext(self.key(given), given).ciphertext_id)}

    def partial_decrypt(self, given: Json) -> Json:
        key = self.key(given)
        key_share = KeyShare(int(given["member"]), from_hex(given["secret"]))
        random = reader(given.get("random", "0x"))
        share = self.scheme.partial_decrypt(key, key_share, self.batch(key, given), random=random)
        return {"share": to_hex(share.data)}

    def verify_share(self, given: Json) -> Json:
        key = self.key(given)
        share = Share(member=int(given["member"]), data=from_hex(given["share"]))
        self.scheme.verify_share(key, self.batch(key, given), share)
        return {}

    def combine(self, given: Json) -> Json:
        key = self.key(given)
        shares = [Share(member=int(share["member"]), data=from_hex(share["share"])) for share in given["shares"]]
        batch = self.batch(key, given)
        batch_key, refused = self.scheme.combine(key, batch, shares, self.scheme.precompute(key, batch))
        return {"batch_key": to_hex(batch_key.encode()), "refused": [str(member) for member in sorted(set(refused))]}

    def verify_batch_key(self, given: Json) -> Json:
        key = self.key(given)
        batch, batch_key = self.batch(key, given), BatchKey.decode(from_hex(given["batch_key"]))
        self.scheme.verify_batch_key(key, batch, batch_key, self.scheme.precompute(key, batch))
        return {}

    def decrypt(self, given: Json) -> Json:
        key = self.key(given)
        batch = self.batch(key, given)
        batch_key = BatchKey.decode(from_hex(given["batch_key"]))
        plaintexts = self.scheme.decrypt(key, batch, batch_key, self.scheme.precompute(key, batch))
        return {"plaintexts": [_opened(plaintext) for plaintext in plaintexts]}

    def self_test(self, given: Json) -> Json:
        test = DerivedSelfTest(self.scheme, network=from_hex(given["network"]), random=reader("0x"))
        _, batch = test._batch(PublicMaterial.decode(from_hex(given["material"])))
        (entry,) = batch.entries
        return {"ciphertext": to_hex(entry.ciphertext), "aad": to_hex(entry.aad), "digest": to_hex(batch.digest)}


def _addressed(given: Json) -> int:
    """The height that a ciphertext addresses; pages of schemes without such leave it out."""
    return int(given.get("height", "0"))


def _opened(plaintext: bytes | Undecryptable) -> Json:
    return {"undecryptable": True} if isinstance(plaintext, Undecryptable) else {"plaintext": to_hex(plaintext)}


def operations(backend: str) -> dict[str, Operation]:
    group = load_backend(backend).g1
    asked = SchemeOperations(load_scheme("tdh2", backend))

    def second_generator(given: Json) -> Json:
        key = Tdh2PublicKey(
            key_id=from_hex(given["key_id"]),
            threshold=1,
            point=group.generator,
            verification_keys=(group.generator,),
            group=group,
        )
        return {"gbar": to_hex(group.encode(key.times_gbar(1)))}

    return {
        "key_id": key_id,
        "load_public_key": partial(asked.load_points, group),
        "second_generator": second_generator,
        "encrypt": asked.encrypt,
        "verify_ciphertext": asked.verify_ciphertext,
        "batch_digest": batch_digest,
        "partial_decrypt": asked.partial_decrypt,
        "verify_share": asked.verify_share,
        "combine": asked.combine,
        "verify_batch_key": asked.verify_batch_key,
        "decrypt": asked.decrypt,
        "self_test": asked.self_test,
    }


def key_id(given: Json) -> Json:
    material = PublicMaterial.decode(from_hex(given["material"]))
    name = material.key_id(from_hex(given["network"]))
    return {"key_id": to_hex(name), "parameter_digest": to_hex(material.parameter_digest)}


def batch_digest(given: Json) -> Json:
    name, batch = from_hex(given["key_id"]), given["batch"]
    ids = [base.ciphertext_id(name, from_hex(e["aad"]), from_hex(e["ciphertext"])) for e in batch["entries"]]
    digest = base.batch_digest(name, int(batch["height"]), int(batch["round"]), ids)
    return {"ciphertext_ids": [to_hex(id) for id in ids], "digest": to_hex(digest)}


OPERATIONS = operations(DEFAULT_BACKEND)
