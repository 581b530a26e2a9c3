"""A chain in this process, and the contracts on it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from encmempool.npm import cache_directory
from encmempool.settlement.anvil import FETCH, VERSION
from encmempool.settlement.deployment import Parameters
from encmempool.settlement.gas import AnvilChain, running_anvil
from encmempool.settlement.rehearsal import Done, Network, Rehearsal, Reverted

_OUTPUT = re.compile(r"Revert \{ gas_used: \d+, output: 0x([0-9a-f]*) \}")


class Evm:
    """pyrevm as the `Chain` of a rehearsal. Blocks pass when told to. Slots stay warm, so its gas is too little."""

    def __init__(self) -> None:
        self._pyrevm = pytest.importorskip("pyrevm")
        self._number = 1_000
        env = self._pyrevm.Env(block=self._pyrevm.BlockEnv(number=self._number))
        self._evm = self._pyrevm.EVM(spec_id="Prague", env=env)

    def block(self) -> int:
        return self._number

    def advance(self, blocks: int) -> None:
        self._number += blocks
        self._evm.set_block_env(self._pyrevm.BlockEnv(number=self._number))

    def fund(self, account: bytes, wei: int) -> None:
        self._evm.set_balance(_text(account), wei)

    def balance(self, account: bytes) -> int:
        return int(self._evm.get_balance(_text(account)))

    def code(self, account: bytes) -> bytes:
        return bytes(self._evm.get_code(_text(account)).rstrip(b"\0"))

    def create(self, sender: bytes, code: bytes) -> Done:
        return self._done(lambda: bytes.fromhex(self._evm.deploy(_text(sender), code)[2:]))

    def send(self, sender: bytes, to: bytes, data: bytes, wei: int) -> Done:
        return self._done(lambda: self._evm.message_call(_text(sender), _text(to), data, wei))

    def call(self, to: bytes, data: bytes) -> bytes:
        return self._done(lambda: self._evm.message_call(_text(bytes(20)), _text(to), data, is_static=True)).result

    def _done(self, act: Callable[[], Any]) -> Done:
        before = self._evm.snapshot()
        try:
            result = bytes(act())
        except RuntimeError as error:
            self._evm.revert(before)
            raise Reverted(_reason(str(error))) from None
        done = self._evm.result
        logs = tuple(
            (
                bytes.fromhex(log.address[2:]),
                tuple(bytes.fromhex(topic[2:]) for topic in log.topics),
                bytes(log.data[1]),
            )
            for log in done.logs
        )
        return Done(gas=done.gas_used, result=result, logs=logs)


def _text(address: bytes) -> str:
    return "0x" + address.hex()


def _reason(text: str) -> str:
    found = _OUTPUT.search(text)
    if found is None:
        return text
    data = bytes.fromhex(found[1])
    return data[68 : 68 + int.from_bytes(data[36:68], "big")].decode()


PARAMETERS = Parameters(
    unbonding_blocks=500,
    finality_blocks=50,
    challenge_blocks=200,
    answer_blocks=20,
    posting_blocks=10,
    stall_blocks=100,
)


@pytest.fixture
def evm() -> Evm:
    return Evm()


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def bare(evm: Evm, network: Network) -> Rehearsal:
    """Deployed, and no key set registered."""
    return Rehearsal(evm, network, PARAMETERS)


@pytest.fixture
def world(bare: Rehearsal) -> Rehearsal:
    """Deployed, with the first key set and everybody's bond."""
    bare.register(bare.network.first)
    bare.deposit(bare.network.sequencer.address, bare.parameters.sequencer_bond)
    for member in bare.network.members:
        bare.deposit(member.address, bare.parameters.member_bond)
    return bare


@pytest.fixture
def refused() -> Callable[..., Any]:
    """`with refused("EVD-2"):` the contract reverts with that reason."""

    def expect(reason: str) -> Any:
        return pytest.raises(Reverted, match=f"^{re.escape(reason)}$")

    return expect


@pytest.fixture(scope="session")
def anvil() -> Iterator[AnvilChain]:
    """A chain with the precompiles of EIP-2537, which the one in this process lacks. One for all tests."""
    binary = cache_directory() / f"anvil-{VERSION}"
    if not binary.exists():
        pytest.skip(f"anvil is not here: {FETCH}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running_anvil(binary, port) as chain:
        yield chain


@pytest.fixture
def precompiled(anvil: AnvilChain) -> Iterator[AnvilChain]:
    """The same, left as it was found."""
    before = anvil.ask("evm_snapshot")
    yield anvil
    assert anvil.ask("evm_revert", before)
