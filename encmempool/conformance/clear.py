"""The page `clear` answered by the production code."""

from __future__ import annotations

from encmempool.conformance.tdh2 import Operation, SchemeOperations
from encmempool.conformance.values import Json, to_hex
from threshold.curve import DEFAULT_BACKEND
from threshold.schemes.registry import load_scheme


def operations(backend: str) -> dict[str, Operation]:
    asked = SchemeOperations(load_scheme("clear", backend))

    def decrypt(given: Json) -> Json:
        return {"digest": to_hex(asked.batch(asked.key(given), given).digest), **asked.decrypt(given)}

    return {
        "load_public_key": asked.load_public_key,
        "encrypt": asked.encrypt,
        "verify_ciphertext": asked.verify_ciphertext,
        "verify_share": asked.verify_share,
        "combine": asked.combine,
        "verify_batch_key": asked.verify_batch_key,
        "decrypt": decrypt,
    }


OPERATIONS = operations(DEFAULT_BACKEND)
