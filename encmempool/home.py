"""A home directory: where a network's files, keys and databases live.

    genesis.json  key-set.ssz          what everyone may know
    accounts/NAME.json                 users' accounts, Ethereum keystores; dev-0 … dev-9 are PUBLIC development keys
    sequencer/  members/1/ …           identity.json, key-share.json (EIP-2335), records.sqlite
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
from encmempool.store import DatabaseStore
from encmempool.types import Genesis, SignedKeySet
from threshold.keys import KeyShare

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this platform
    fcntl = None  # type: ignore[assignment]

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

    def genesis(self) -> Genesis:
        if not self.exists:
            raise EnvironmentProblem(f"there is no network in {self.path}: run `encmempool committee create` first")
        return genesis_file.read(self.genesis_path)

    def key_set(self) -> SignedKeySet:
        path = self.path / "key-set.ssz"
        try:
            return SignedKeySet.decode(bytes.fromhex(path.read_text().strip().removeprefix("0x")))
        except FileNotFoundError:
            raise EnvironmentProblem(f"{path} is missing: restore it from a backup or from another home") from None
        except ValueError as error:
            raise Malformed(f"{path} is not hex: restore it from a backup or from another home") from error

    def write_network(self, genesis: Genesis, key_set: SignedKeySet) -> None:
        (self.path / "key-set.ssz").write_text("0x" + key_set.encoded.hex() + "\n")
        genesis_file.write(genesis, self.genesis_path)

    @property
    def has_roles(self) -> bool:
        """Whether keys or databases of a network are here, complete or not."""
        return any((self.path / role).exists() for role in ("sequencer", "members", "archive", "key-set.ssz"))

    def create_store(self, role: str) -> None:
        """The empty database of a new network's `sequencer`, `archive` or `members/1`."""
        DatabaseStore.sqlite(self.path / role / "records.sqlite").close()

    def store(self, role: str) -> DatabaseStore:
        """A role's database. EnvironmentProblem if it is gone: an empty one would forget what was signed."""
        path = self.path / role / "records.sqlite"
        if not path.exists():
            raise EnvironmentProblem(
                f"{path} is missing, and with it the memory of what {role} signed: restore the newest copy"
            )
        return DatabaseStore.sqlite(path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time acts in a home: two could sign two things."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "lock", "w") as file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise EnvironmentProblem(
                        f"another process is using {self.path}: wait for it to end, or choose another --home"
                    ) from None
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

    def write_key_share(self, role: str, share: KeyShare, public: bytes, password: Password) -> None:
        """An EIP-2335 keystore. `public` is the verification key, in the clear."""
        keystore = create_keyfile_json(
            share.secret_bytes(),
            password.text,
            version=4,
            kdf="pbkdf2",
            iterations=password.iterations,
            description=f"encmempool key share of member {share.member}",
        )
        keystore["pubkey"] = public.hex()
        _write_secret(self.path / role / "key-share.json", json.dumps(keystore, indent=2) + "\n")

    def key_share(self, member: int, password: Password) -> KeyShare:
        keystore = _read_json(self.path / f"members/{member}" / "key-share.json")
        return KeyShare(member, _open(keystore, password, what=f"member {member}'s key share"))


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
        raise EnvironmentProblem(f"{path} is missing: restore it, or create the committee anew") from None
    except ValueError as error:
        raise Malformed(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Malformed(f"{path} is not a keystore")
    return document


def _write_secret(path: Path, text: str) -> None:
    """Mode 0600 from the first byte, durable, and never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
