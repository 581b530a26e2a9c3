"""The page `ibe` answered by the production code."""

from __future__ import annotations

from functools import partial

from encmempool.conformance.tdh2 import Operation, SchemeOperations
from encmempool.conformance.values import Json, from_hex, to_hex
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.schemes import ibe


def operations(backend: str) -> dict[str, Operation]:
    curve = load_backend(backend)
    scheme = ibe.make(curve)
    asked = SchemeOperations(scheme)

    def identity(given: Json) -> Json:
        return {"identity": to_hex(curve.g1.encode(scheme._identity(from_hex(given["key_id"]), int(given["height"]))))}

    return {
        "load_public_key": partial(asked.load_points, curve.g2),
        "identity": identity,
        "encrypt": asked.encrypt,
        "verify_ciphertext": asked.verify_ciphertext,
        "partial_decrypt": asked.partial_decrypt,
        "verify_share": asked.verify_share,
        "combine": asked.combine,
        "verify_batch_key": asked.verify_batch_key,
        "decrypt": asked.decrypt,
        "self_test": asked.self_test,
    }


OPERATIONS = operations(DEFAULT_BACKEND)
