"""The page `simple_bte` answered by the production code."""

from __future__ import annotations

from encmempool.conformance.tdh2 import Operation, SchemeOperations
from encmempool.conformance.values import Json, to_hex
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.schemes import simple_bte


def operations(backend: str) -> dict[str, Operation]:
    curve = load_backend(backend)
    scheme = simple_bte.make(curve)
    asked = SchemeOperations(scheme)

    def load_public_key(given: Json) -> Json:
        return {**asked.load_public_key(given), "batch": str(asked.key(given).batch)}

    def verify_parameters(given: Json) -> Json:
        scheme.verify_parameters(asked.key(given))
        return {}

    def precompute(given: Json) -> Json:
        key = asked.key(given)
        made = scheme.precompute(key, asked.batch(key, given))
        return {
            "check": to_hex(curve.gt_encode(made.check)),
            "inverses": [to_hex(curve.gt_encode(inverse)) for inverse in made.inverses],
        }

    return {
        "load_public_key": load_public_key,
        "verify_parameters": verify_parameters,
        "encrypt": asked.encrypt,
        "verify_ciphertext": asked.verify_ciphertext,
        "precompute": precompute,
        "partial_decrypt": asked.partial_decrypt,
        "verify_share": asked.verify_share,
        "combine": asked.combine,
        "verify_batch_key": asked.verify_batch_key,
        "decrypt": asked.decrypt,
        "self_test": asked.self_test,
    }


OPERATIONS = operations(DEFAULT_BACKEND)
