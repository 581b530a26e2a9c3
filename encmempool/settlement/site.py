"""A network's contracts on a chain: where they stand, deploying them, and finding them again.

`l1.json` names them. Its word is checked: the registry on the chain has to be that of the network's genesis.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from encmempool.errors import EnvironmentProblem, Malformed
from encmempool.identity import Identity
from encmempool.settlement.compile import CONTRACTS, load
from encmempool.settlement.deployment import Parameters, creations
from encmempool.settlement.l1 import L1, Deployed, Reverted
from encmempool.types import Genesis

FILE = "l1.json"
_SCHEMA = "encmempool.l1/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a network's contracts stand.

    deployed_at    the block before the first of them
    """

    chain_id: int
    genesis_root: bytes
    deployed_at: int
    addresses: dict[str, bytes]
    parameters: Parameters

    def write(self, path: Path) -> None:
        document = {
            "schema": _SCHEMA,
            "chain_id": self.chain_id,
            "genesis_root": f"0x{self.genesis_root.hex()}",
            "deployed_at": self.deployed_at,
            "contracts": {name: f"0x{address.hex()}" for name, address in self.addresses.items()},
            "parameters": {name: str(value) for name, value in asdict(self.parameters).items()},
        }
        path.write_text(json.dumps(document, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Site:
        """EnvironmentProblem if the file is not there, Malformed if it is not one."""
        try:
            document = json.loads(path.read_text())
            if document["schema"] != _SCHEMA:
                raise ValueError(f"its schema is {document['schema']!r}, not {_SCHEMA!r}")
            addresses = {name: _address(document["contracts"][name]) for name in CONTRACTS}
            return cls(
                chain_id=int(document["chain_id"]),
                genesis_root=bytes.fromhex(document["genesis_root"][2:]),
                deployed_at=int(document["deployed_at"]),
                addresses=addresses,
                parameters=Parameters(**{name: int(value) for name, value in document["parameters"].items()}),
            )
        except FileNotFoundError:
            raise EnvironmentProblem(f"{path} is not there: it names the network's contracts on L1") from None
        except OSError as error:
            raise EnvironmentProblem(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Malformed(f"{path} does not name contracts: {error!r}") from error


class Contracts:
    """All contracts of one network."""

    def __init__(self, l1: L1, site: Site) -> None:
        artifacts = load()
        self.l1, self.site = l1, site

        def at(name: str) -> Deployed:
            return Deployed(l1, artifacts[name], site.addresses[name])

        self.registry, self.collateral, self.settlement = at("registry"), at("collateral"), at("settlement")
        self.inbox, self.judge, self.challenges = at("inbox"), at("judge"), at("challenges")
        self.bridge, self.openings = at("bridge"), at("openings")


def connect(l1: L1, site: Site, genesis: Genesis) -> Contracts:
    """The contracts, once it is sure that they are this network's. EnvironmentProblem if they are not there, Malformed
    if they are another network's."""
    if site.genesis_root != genesis.root:
        raise Malformed(f"{FILE} names the contracts of the network 0x{site.genesis_root.hex()}, not of this one")
    if l1.chain_id != site.chain_id:
        raise EnvironmentProblem(f"the chain at {l1.url} is chain {l1.chain_id}, the contracts are on {site.chain_id}")
    for name, address in site.addresses.items():
        if not l1.has_code(address):
            raise EnvironmentProblem(f"there is no {name} contract at 0x{address.hex()} on the chain at {l1.url}")
    contracts = Contracts(l1, site)
    if contracts.registry.get("GENESIS_ROOT") != genesis.root:
        raise Malformed(f"the registry at 0x{contracts.registry.address.hex()} is another network's")
    return contracts


def deploy(
    l1: L1,
    deployer: Identity,
    genesis: Genesis,
    parameters: Parameters,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Contracts:
    """Create all contracts, in a row. EnvironmentProblem if another transaction of the deployer comes between."""
    artifacts, before, nonce = load(), l1.block(), l1.nonce(deployer.address)
    made = creations(artifacts, genesis, parameters, deployer=deployer.address, nonce=nonce)
    for name, (address, code) in made.items():
        if l1.has_code(address):
            raise EnvironmentProblem(f"there is a contract at 0x{address.hex()} already: deploy from another account")
        progress(name)
        try:
            mined = l1.send(deployer, None, code)
        except Reverted as error:
            raise EnvironmentProblem(f"the {name} contract cannot be created: {error}") from error
        if mined.contract != address:
            raise EnvironmentProblem("another transaction of the deployer came between: deploy again")
    site = Site(
        chain_id=l1.chain_id,
        genesis_root=genesis.root,
        deployed_at=before,
        addresses={name: address for name, (address, _) in made.items()},
        parameters=parameters,
    )
    return Contracts(l1, site)


def _address(text: str) -> bytes:
    address = bytes.fromhex(text.removeprefix("0x"))
    if len(address) != 20:
        raise ValueError(f"{text!r} is no address")
    return address
