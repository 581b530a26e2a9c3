"""A home directory: where a network's files, keys and databases live.

    genesis.json  key-set.ssz          what everyone may know; key-set-2.ssz … are its successors
    parameters/DIGEST.bin              public parameters of a key that has some
    accounts/NAME.json                 users' accounts, Ethereum keystores; dev-0 … dev-9 are PUBLIC development keys
    sequencer/  members/1/ …           identity.json, key-share.json (EIP-2335), records.sqlite; a longer share is in
                                       key-share.sealed, whose key the keystore holds; key-share-2.json … are those of
                                       later epochs
    archive/records.sqlite             published history, as the sequencer's follower keeps it
    password                           opens the keystores that `committee create` made

Secrets are written with mode 0600 and never printed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_keyfile import create_keyfile_json, decode_keyfile_json

from encmempool import genesis as genesis_file
from encmempool.documents import decode_json
from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.identity import Identity
from encmempool.locking import exclusive
from encmempool.store import DatabaseStore
from encmempool.types import Genesis, KeySet, SignedKeySet
from threshold import entropy
from threshold.curve import ORDER
from threshold.keys import KeyShare, parameter_digest
from threshold.symmetric import KEY_BYTES, AuthenticationFailed, seal, unseal

DEVELOPMENT_MNEMONIC = "test test test test test test test test test test test junk"
"""The well-known phrase of local Ethereum networks: these ten keys are public."""
DEVELOPMENT_ACCOUNTS = 10
DEVELOPMENT_LABEL = "DEVELOPMENT KEY, PUBLICLY KNOWN: never send anything of value to it"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_STRONG_ITERATIONS = 262_144
_LIGHT_ITERATIONS = 1_024


class WrongPassword(EnvironmentProblem):
    """A keystore did not open."""


@dataclass(frozen=True, slots=True)
class Password:
    """Opens keystores. `generated` ones are 256 random bits, so a light key derivation protects them as well."""

    text: bytes
    generated: bool

    def __repr__(self) -> str:
        return "<password>"

    @property
    def iterations(self) -> int:
        return _LIGHT_ITERATIONS if self.generated else _STRONG_ITERATIONS


class Home:
    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def genesis_path(self) -> Path:
        return self.path / "genesis.json"

    @property
    def exists(self) -> bool:
        return self.genesis_path.exists()

    @property
    def has_key_set(self) -> bool:
        """Whether the first key set is here."""
        return self._key_set_path(1).exists()

    def genesis(self) -> Genesis:
        if not self.exists:
            raise EnvironmentProblem(f"there is no network in {self.path}: run `encmempool committee create` first")
        return genesis_file.read(self.genesis_path)

    def key_sets(self) -> tuple[SignedKeySet, ...]:
        """The first key set and its successors."""
        epochs = 1
        while self._key_set_path(epochs + 1).exists():
            epochs += 1
        return tuple(map(self._key_set, range(1, epochs + 1)))

    def parameters(self, key_set: KeySet) -> bytes:
        """The public parameters of its key, empty for most schemes. Malformed unless they have the stated digest."""
        if key_set.parameter_digest == parameter_digest(b""):
            return b""
        path = self._parameters_path(key_set.parameter_digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise EnvironmentProblem(f"{path} is missing: copy it from another home, it is public") from None
        if parameter_digest(data) != key_set.parameter_digest:
            raise Malformed(f"{path} is damaged: its digest is not the key set's; copy it from another home")
        return data

    def has_parameters(self, key_set: KeySet) -> bool:
        """Whether nothing has to be fetched to load a key set."""
        digest = key_set.parameter_digest
        return digest == parameter_digest(b"") or self._parameters_path(digest).exists()

    def known_parameters(self, digest: bytes) -> bytes | None:
        """Those with this digest, if they are here."""
        path = self._parameters_path(digest)
        return path.read_bytes() if path.exists() else None

    def write_genesis(self, genesis: Genesis) -> None:
        """Before a network's first key exists. ValueError if another network is here."""
        if self.exists:
            if self.genesis().root != genesis.root:
                raise ValueError(f"{self.path} belongs to another network already")
            return
        self.path.mkdir(parents=True, exist_ok=True)
        genesis_file.write(genesis, self.genesis_path)

    def _key_set_path(self, epoch: int) -> Path:
        return self.path / ("key-set.ssz" if epoch == 1 else f"key-set-{epoch}.ssz")

    def _parameters_path(self, digest: bytes) -> Path:
        return self.path / "parameters" / f"{digest.hex()}.bin"

    def _key_set(self, epoch: int) -> SignedKeySet:
        path = self._key_set_path(epoch)
        try:
            return SignedKeySet.decode(bytes.fromhex(path.read_text().strip().removeprefix("0x")))
        except FileNotFoundError:
            raise EnvironmentProblem(f"{path} is missing: restore it from a backup or from another home") from None
        except ValueError as error:
            raise Malformed(f"{path} is not hex: restore it from a backup or from another home") from error

    def nodes(self) -> genesis_file.Nodes | None:
        """Where the network's nodes are, or None for one whose roles are all in this home."""
        return genesis_file.read_nodes(self.genesis_path) if self.exists else None

    def write_nodes(self, nodes: genesis_file.Nodes) -> None:
        genesis_file.write(self.genesis(), self.genesis_path, nodes)

    def write_network(
        self, genesis: Genesis, key_set: SignedKeySet, parameters: bytes, *, nodes: genesis_file.Nodes | None = None
    ) -> None:
        self.write_parameters(key_set.message.parameter_digest, parameters)
        self.write_key_set(key_set)
        genesis_file.write(genesis, self.genesis_path, nodes)

    def write_parameters(self, digest: bytes, parameters: bytes) -> None:
        if parameters:
            path = self._parameters_path(digest)
            path.parent.mkdir(exist_ok=True)
            _write_durably(path, parameters)

    def write_key_set(self, key_set: SignedKeySet) -> None:
        """After all that it names."""
        _write_durably(self._key_set_path(key_set.message.epoch), f"0x{key_set.encoded.hex()}\n".encode())

    @property
    def has_roles(self) -> bool:
        """Whether keys or databases of a network are here, complete or not."""
        return any(
            (self.path / role).exists() for role in ("sequencer", "members", "archive", "parameters", "key-set.ssz")
        )

    def create_store(self, role: str) -> None:
        """The empty database of a new network's `sequencer`, `archive` or `members/1`."""
        DatabaseStore.sqlite(self.path / role / "records.sqlite").close()

    def store(self, role: str, *, max_pages: int | None = None) -> DatabaseStore:
        """A role's database, of at most so many pages. EnvironmentProblem if it is gone: an empty one would forget
        what was signed."""
        path = self.path / role / "records.sqlite"
        if not path.exists():
            raise EnvironmentProblem(
                f"{path} is missing, and with it the memory of what {role} signed: restore the newest copy"
            )
        return DatabaseStore.sqlite(path, max_pages=max_pages)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time acts in a home: two could sign two things."""
        self.path.mkdir(parents=True, exist_ok=True)
        taken = f"another process is using {self.path}: wait for it to end, or choose another --home"
        with exclusive(self.path / "lock", taken):
            yield

    def generated_password(self, *, create: bool = False) -> Password | None:
        path = self.path / "password"
        if create and not path.exists():
            if self.has_roles or any(map(self._opened_by_generated_password, self.account_names())):
                raise EnvironmentProblem(f"{path} is missing, and keystores here need it: restore it")
            _write_secret(path, secrets.token_hex(32) + "\n")
        return Password(read_password(path), generated=True) if path.exists() else None

    # accounts

    def account_names(self) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in (self.path / "accounts").glob("*.json")))

    def create_account(self, name: str, password: Password) -> bytes:
        """A new account's address. ValueError for a bad or taken name."""
        identity = Identity(secrets.token_bytes(32))
        self._write_account(name, identity, password, label=None)
        return identity.address

    def create_development_accounts(self, password: Password) -> tuple[bytes, ...]:
        Account.enable_unaudited_hdwallet_features()
        addresses = []
        for at in range(DEVELOPMENT_ACCOUNTS):
            account = Account.from_mnemonic(DEVELOPMENT_MNEMONIC, account_path=f"m/44'/60'/0'/0/{at}")
            identity = Identity(bytes(account.key))
            if not self._account_path(f"dev-{at}").exists():
                self._write_account(f"dev-{at}", identity, password, label=DEVELOPMENT_LABEL)
            addresses.append(identity.address)
        return tuple(addresses)

    def account_address(self, name: str) -> bytes:
        keystore = self._account_file(name)
        try:
            return bytes.fromhex(keystore["address"].removeprefix("0x"))
        except (KeyError, AttributeError, ValueError) as error:
            raise Malformed(f"the keystore of account {name!r} names no address") from error

    def account_label(self, name: str) -> str | None:
        label = self._account_file(name).get("label")
        return None if label is None else str(label)

    def account(self, name: str, password: Password) -> Identity:
        return Identity(_open(self._account_file(name), password, what=f"account {name!r}"))

    def _account_path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a key: use letters, digits, - and _")
        return self.path / "accounts" / f"{name}.json"

    def _account_file(self, name: str) -> dict[str, Any]:
        path = self._account_path(name)
        if not path.exists():
            have = ", ".join(self.account_names()) or "none"
            raise ValueError(
                f"no key named {name!r} in {self.path} (there are: {have}); make one with `key new {name}`"
            )
        return _read_json(path)

    def _opened_by_generated_password(self, name: str) -> bool:
        try:
            return bool(self._account_file(name)["crypto"]["kdfparams"]["c"] == _LIGHT_ITERATIONS)
        except (KeyError, TypeError, Malformed):
            return False

    def _write_account(self, name: str, identity: Identity, password: Password, *, label: str | None) -> None:
        path = self._account_path(name)
        if path.exists():
            raise ValueError(f"a key named {name!r} exists already in {self.path}: choose another name")
        keystore = create_keyfile_json(
            identity.secret_bytes(), password.text, version=3, kdf="pbkdf2", iterations=password.iterations
        )
        _write_secret(path, json.dumps(keystore | ({"label": label} if label else {}), indent=2) + "\n")

    # roles

    def write_identity(self, role: str, identity: Identity, password: Password) -> None:
        keystore = create_keyfile_json(
            identity.secret_bytes(), password.text, version=3, kdf="pbkdf2", iterations=password.iterations
        )
        _write_secret(self.path / role / "identity.json", json.dumps(keystore, indent=2) + "\n")

    def identity(self, role: str, password: Password) -> Identity:
        return Identity(_open(_read_json(self.path / role / "identity.json"), password, what=f"{role}'s identity"))

    def member_role(self, key_set: KeySet, index: int) -> str:
        """Where a member's files are: `members/1` for the first of the genesis, and so on for those who joined."""
        if key_set.epoch == 1:
            return f"members/{index}"
        address = key_set.members[index - 1].hex()
        for path in sorted((self.path / "members").glob("*/identity.json")):
            with contextlib.suppress(Malformed):  # a damaged file hides its own member only
                if str(_read_json(path).get("address", "")).removeprefix("0x").lower() == address:
                    return f"members/{path.parent.name}"
        raise EnvironmentProblem(f"the keys of member {index}, 0x{address}, are not here")

    def member_roles(self) -> tuple[str, ...]:
        """Everyone whose files are here, whether still a member or not."""
        numbers = [int(path.name) for path in (self.path / "members").glob("*") if path.name.isdecimal()]
        return tuple(f"members/{number}" for number in sorted(numbers))

    def next_member_roles(self, count: int) -> tuple[str, ...]:
        """Where the files of members who join will be."""
        last = max((int(role.removeprefix("members/")) for role in self.member_roles()), default=0)
        return tuple(f"members/{last + at}" for at in range(1, count + 1))

    def write_key_share(self, role: str, share: KeyShare, public: bytes, password: Password, *, epoch: int = 1) -> None:
        """An EIP-2335 keystore of the share, or of the key to a sealed file with it. `public` is the verification
        key, in the clear."""
        keystore_path, sealed_path = self._share_paths(role, epoch)
        secret = share.secret_bytes()
        sealed = len(secret) > KEY_BYTES
        if sealed:
            key = entropy.scalar(entropy.system, ORDER).to_bytes(KEY_BYTES, "big")  # EIP-2335 takes BLS keys only
            _write_durably(sealed_path, seal(key, secret, _share_context(share.member)))
            secret = key
        keystore = create_keyfile_json(
            secret,
            password.text,
            version=4,
            kdf="pbkdf2",
            iterations=password.iterations,
            description=f"encmempool key share of member {share.member}",
        )
        keystore["pubkey"] = public.hex()
        if sealed:
            keystore["sealed"] = sealed_path.name
        _write_secret(keystore_path, json.dumps(keystore, indent=2) + "\n")

    def key_share(self, member: int, password: Password, *, role: str | None = None, epoch: int = 1) -> KeyShare:
        keystore_path, sealed_path = self._share_paths(role or f"members/{member}", epoch)
        keystore = _read_json(keystore_path)
        secret = _open(keystore, password, what=f"member {member}'s key share")
        if "sealed" in keystore:
            try:
                secret = unseal(secret, sealed_path.read_bytes(), _share_context(member))
            except FileNotFoundError:
                raise EnvironmentProblem(f"{sealed_path} is missing: restore it, or rotate the committee") from None
            except AuthenticationFailed as error:
                raise Malformed(f"{sealed_path} is damaged, or belongs to another keystore: restore it") from error
        return KeyShare(member, secret)

    def erase_key_share(self, role: str, epoch: int) -> None:
        """Remove a share that another has replaced. Copies elsewhere, and what a disk still holds, stay dangerous."""
        for path in self._share_paths(role, epoch):
            path.unlink(missing_ok=True)

    def _share_paths(self, role: str, epoch: int) -> tuple[Path, Path]:
        name = "key-share" if epoch == 1 else f"key-share-{epoch}"
        return self.path / role / f"{name}.json", self.path / role / f"{name}.sealed"


def read_password(path: Path) -> bytes:
    """The first line of a file."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise EnvironmentProblem(f"cannot read the password file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EnvironmentProblem(f"the password file {path} is not text") from error
    if not lines or not lines[0]:
        raise EnvironmentProblem(f"the password file {path} is empty")
    return lines[0].encode()


def _open(keystore: dict[str, Any], password: Password, *, what: str) -> bytes:
    try:
        return bytes(decode_keyfile_json(keystore, password.text))
    except ValueError as error:
        raise WrongPassword(f"wrong password for {what}") from error
    except (KeyError, TypeError, AttributeError, OverflowError, NotImplementedError) as error:
        raise Malformed(f"the keystore of {what} is damaged: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = decode_json(path.read_bytes())
    except FileNotFoundError:
        raise EnvironmentProblem(
            f"{path} is missing: restore it, or rotate the committee: `encmempool committee rotate`"
        ) from None
    except ValueError as error:
        raise Malformed(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Malformed(f"{path} is not a keystore")
    return document


def _share_context(member: int) -> bytes:
    return f"encmempool key share of member {member}".encode()


def _write_secret(path: Path, text: str) -> None:
    _write_durably(path, text.encode())


def _write_durably(path: Path, data: bytes) -> None:
    """Mode 0600 from the first byte, durable, and never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
