"""Ferveo, as nucypher-core carries it, for `encmempool bench peers`.

Alone in its process because of its licence. It has no batches: a batch is opened one transaction after another.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from answering import Work, serve
from nucypher_core import ferveo


class Committee:
    """A key that its members made, as seen by all of them."""

    def __init__(self, members: int, threshold: int) -> None:
        self.threshold = threshold
        self.keypairs = [ferveo.Keypair.random() for _ in range(members)]
        validators = [
            ferveo.Validator(f"0x{index + 1:040x}", keypair.public_key(), index)
            for index, keypair in enumerate(self.keypairs)
        ]
        self.views = [ferveo.Dkg(0, members, threshold, validators, me) for me in validators]
        messages = [
            ferveo.ValidatorMessage(me, view.generate_transcript())
            for me, view in zip(validators, self.views, strict=True)
        ]
        self.key = self.views[0].aggregate_transcripts(messages)

    def share(self, member: int, ciphertext: Any, aad: bytes) -> Any:
        view, keypair = self.views[member], self.keypairs[member]
        return self.key.create_decryption_share_simple(view, ciphertext.header, aad, keypair)


committee = cache(Committee)


def encrypt(params: dict[str, int], inputs: dict[str, bytes]) -> Work:
    key = committee(params["members"], params["threshold"]).key.public_key
    return lambda: ferveo.encrypt(inputs["message"], inputs["aad"], key)


def share(params: dict[str, int], inputs: dict[str, bytes]) -> Work:
    """Checks the ciphertext itself."""
    members = committee(params["members"], params["threshold"])
    ciphertext = ferveo.encrypt(inputs["message"], inputs["aad"], members.key.public_key)
    return lambda: members.share(0, ciphertext, inputs["aad"])


def open_one(params: dict[str, int], inputs: dict[str, bytes]) -> Work:
    """Checks no share; the decryption checks the ciphertext once more."""
    members = committee(params["members"], params["threshold"])
    aad = inputs["aad"]
    ciphertext = ferveo.encrypt(inputs["message"], aad, members.key.public_key)
    shares = [members.share(member, ciphertext, aad) for member in range(members.threshold)]

    def work() -> bytes:
        secret = ferveo.combine_decryption_shares_simple(shares)
        return bytes(ferveo.decrypt_with_shared_secret(ciphertext, aad, secret))

    assert work() == inputs["message"]
    return work


if __name__ == "__main__":
    serve({"encrypt": encrypt, "share": share, "open": open_one, "open-batch": open_one})
