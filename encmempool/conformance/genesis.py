"""What this package answers of the page genesis.md."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from coincurve import PublicKey

from encmempool import genesis as genesis_file, identity, keysets
from encmempool.conformance.vectors import Json
from encmempool.errors import Malformed
from encmempool.ethereum import address_of
from encmempool.network.ceremony import ceremony_id
from encmempool.types import Erasure, Genesis, KeySet, SignedKeySet, signing_digest
from threshold.curve import DEFAULT_BACKEND
from threshold.keys import Limits
from threshold.schemes.registry import load_scheme


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def genesis_root(given: Json) -> Json:
    return {"root": _hex(genesis_file.check(Genesis.decode(_bytes(given["genesis"]))).root)}


def read_genesis(given: Json) -> Json:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "genesis.json")
        path.write_text(given["text"], encoding="utf-8")
        genesis = genesis_file.read(path)
    return {"genesis": _hex(genesis.encoded), "root": _hex(genesis.root)}


def name_ceremony(given: Json) -> Json:
    scheme = SimpleNamespace(info=SimpleNamespace(number=int(given["scheme"])))
    members = [_bytes(member) for member in given["members"]]
    root = _bytes(given["genesis_root"])
    epoch, t, attempt = (int(given[name]) for name in ("epoch", "t", "attempt"))
    made = ceremony_id(root, scheme, epoch=epoch, members=members, t=t, attempt=attempt)
    return {"ceremony_id": _hex(made)}


def address(given: Json) -> Json:
    try:
        public_key = PublicKey(b"\x04" + _bytes(given["public_key"]))
    except ValueError as error:
        raise Malformed("not a public key") from error
    return {"address": _hex(address_of(public_key.format(compressed=False)))}


def sign(given: Json) -> Json:
    try:
        signer = identity.Identity(_bytes(given["key"]))
    except ValueError as error:
        raise Malformed("not a private key") from error
    return {"signature": _hex(signer.sign(_bytes(given["digest"]))), "address": _hex(signer.address)}


def recover(given: Json) -> Json:
    return {"address": _hex(identity.recover(_bytes(given["digest"]), _bytes(given["signature"])))}


def default_threshold(given: Json) -> Json:
    return {"t": str(keysets.default_threshold(int(given["n"])))}


def check_key_set(given: Json) -> Json:
    genesis = Genesis.decode(_bytes(given["genesis"]))
    signed = SignedKeySet.decode(_bytes(given["signed_key_set"]))
    return _names(keysets.Committee.load(genesis, signed, _bytes(given.get("parameters", "0x"))))


def check_successor(given: Json) -> Json:
    """After a key set of the scheme `clear`, whose own signatures nobody looks at any more."""
    before = keysets.Committee(
        genesis=Genesis.decode(_bytes(given["genesis"])),
        signed=SignedKeySet(message=KeySet.decode(_bytes(given["predecessor"])), signatures=()),
        scheme=load_scheme("clear"),
        public_key=None,
    )
    signed = SignedKeySet.decode(_bytes(given["signed_key_set"]))
    return _names(before.load_successor(signed, _bytes(given.get("parameters", "0x"))))


def _names(committee: keysets.Committee) -> Json:
    return {"committee_id": _hex(committee.committee_id), "key_id": _hex(committee.key_set.key_id)}


def check_form(given: Json) -> Json:
    genesis, key_set = Genesis.decode(_bytes(given["genesis"])), KeySet.decode(_bytes(given["key_set"]))
    keysets._check_form(key_set, genesis, DEFAULT_BACKEND)
    return {}


def check_limits(given: Json) -> Json:
    limits = {name: None if value is None else int(value) for name, value in given["limits"].items()}
    keysets._check_limits(KeySet.decode(_bytes(given["key_set"])), Limits(**limits))
    return {}


def erasure_digest(given: Json) -> Json:
    erasure = Erasure(committee_id=_bytes(given["committee_id"]))
    digest = signing_digest(erasure, _bytes(given["genesis_root"]))
    return {"erasure": _hex(erasure.encoded), "root": _hex(erasure.root), "digest": _hex(digest)}


OPERATIONS: dict[str, Callable[[Json], Json]] = {
    "genesis_root": genesis_root,
    "read_genesis": read_genesis,
    "ceremony_id": name_ceremony,
    "address": address,
    "sign": sign,
    "recover": recover,
    "default_threshold": default_threshold,
    "check_key_set": check_key_set,
    "check_successor": check_successor,
    "check_form": check_form,
    "check_limits": check_limits,
    "erasure_digest": erasure_digest,
}
