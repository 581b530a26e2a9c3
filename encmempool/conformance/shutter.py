"""The page `shutter` answered by the production code."""

from __future__ import annotations

from encmempool.conformance.tdh2 import Operation
from encmempool.conformance.values import Json, bytes_list, from_hex, to_hex
from threshold.curve import DEFAULT_BACKEND, load_backend
from threshold.schemes import shutter


def operations(backend: str) -> dict[str, Operation]:
    curve = load_backend(backend)

    def identity(given: Json) -> Json:
        return {"identity": to_hex(curve.g1.encode(shutter.identity(curve, from_hex(given["preimage"]))))}

    def encrypt(given: Json) -> Json:
        fields = _bytes(given, "eon_key", "preimage", "plaintext", "sigma")
        return {"message": to_hex(shutter.encrypt(curve, *fields))}

    def decrypt(given: Json) -> Json:
        fields = _bytes(given, "key", "message")
        return {"plaintext": to_hex(shutter.decrypt(curve, *fields, lax_padding=given["lax"]))}

    def verify_key(given: Json) -> Json:
        shutter.verify_key(curve, *_bytes(given, "eon_key", "preimage", "key"))
        return {}

    def key_share(given: Json) -> Json:
        secret, preimage = _bytes(given, "secret", "preimage")
        return {"share": to_hex(shutter.key_share(curve, shutter.decode_scalar(secret), preimage))}

    def verify_key_share(given: Json) -> Json:
        public_share, preimage, share = _bytes(given, "public_share", "preimage", "share")
        shutter.verify_key_share(curve, public_share, preimage, int(given["keyper"]), share)
        return {}

    def combine(given: Json) -> Json:
        shares = [(int(item["keyper"]), from_hex(item["share"])) for item in given["shares"]]
        return {"key": to_hex(shutter.combine(curve, shares, threshold=int(given["threshold"])))}

    def eon_public_key(given: Json) -> Json:
        made = shutter.eon_public_key(
            curve, bytes_list(given["gammas"]), keypers=int(given["keypers"]), threshold=int(given["threshold"])
        )
        return {"eon_key": to_hex(made.key), "public_shares": [to_hex(share) for share in made.shares]}

    return {
        "gnosis_preimage": gnosis_preimage,
        "service_preimage": service_preimage,
        "identity": identity,
        "encrypt": encrypt,
        "decrypt": decrypt,
        "verify_key": verify_key,
        "key_share": key_share,
        "verify_key_share": verify_key_share,
        "combine": combine,
        "eon_public_key": eon_public_key,
        "encode_scalar": encode_scalar,
        "decode_scalar": decode_scalar,
    }


def gnosis_preimage(given: Json) -> Json:
    return {"preimage": to_hex(shutter.gnosis_preimage(*_bytes(given, "prefix", "sender")))}


def service_preimage(given: Json) -> Json:
    return {"preimage": to_hex(shutter.service_preimage(*_bytes(given, "prefix", "sender", "trigger")))}


def encode_scalar(given: Json) -> Json:
    return {"encoded": to_hex(shutter.encode_scalar(int(given["value"])))}


def decode_scalar(given: Json) -> Json:
    return {"value": str(shutter.decode_scalar(from_hex(given["encoded"])))}


def _bytes(given: Json, *names: str) -> tuple[bytes, ...]:
    return tuple(from_hex(given[name]) for name in names)


OPERATIONS = operations(DEFAULT_BACKEND)
