"""What each call of the contracts costs in gas: every function once, on a chain of the caller's choice.

On anvil the numbers are those of real transactions, calldata and its floor price (EIP-7623) included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL, Popen
from time import monotonic, sleep
from typing import Any

import httpx

from encmempool.errors import EnvironmentProblem
from encmempool.identity import Identity
from encmempool.settlement.anvil import command
from encmempool.settlement.deployment import Parameters
from encmempool.settlement.leaves import account_branch, batch_branch, exit_address, leaves, promise, signature
from encmempool.settlement.openings import conviction
from encmempool.settlement.rehearsal import RICH, Chain, Done, KeyedNetwork, Network, Rehearsal, Reverted
from encmempool.ssz import SszObject
from encmempool.types import MAX_CIPHERTEXT_BYTES, Abstain, Account

_PARAMETERS = Parameters(
    unbonding_blocks=500,
    finality_blocks=50,
    challenge_blocks=300,
    answer_blocks=20,
    posting_blocks=10,
    stall_blocks=100,
)
_START_S, _MINED_S = 20, 20
_GAS_LIMIT = 30_000_000


def gas_table(chain: Chain, *, members: int = 4, batch: int = 64) -> dict[str, int]:
    """Gas by call, deployments first. Slots are new where that is usual: first bonds, first entries.

    members    of the committee; t is the default threshold
    batch      transactions in the batch that a branch leads out of
    """
    network = Network(n=members)
    world = Rehearsal(chain, network, _PARAMETERS)
    p, table = world.parameters, world.gas
    sequencer, anybody = network.sequencer.address, world.anybody
    chain.fund(sequencer, RICH)

    def record(name: str, done: Done) -> None:
        table[name] = done.gas

    def send(
        contract: str, function: str, *arguments: Any, wei: int = 0, sender: bytes = anybody, name: str = ""
    ) -> None:
        done = getattr(world, contract).send(function, *arguments, sender=sender, wei=wei)
        record(name or f"{contract}.{function}", done)

    def challenge(function: str, *arguments: Any) -> None:
        send("challenges", function, *arguments, wei=p.challenge_bond)

    record("registry.register", world.register(network.first))
    record("collateral.deposit", world.deposit(sequencer, p.sequencer_bond))
    for member in network.members:
        world.deposit(member.address, p.member_bond)

    entry = network.transaction()
    for name, size in (("inbox.post, 1 KiB", 1 << 10), ("inbox.post, 65 KiB", MAX_CIPHERTEXT_BYTES)):
        data = replace(entry, ciphertext=network.random_bytes(size)).encoded
        send("inbox", "post", data, wei=p.entry_fee + p.byte_fee * len(data), name=name)

    # One height, then eight at once; the fourth has the batch and the state that answers lead to.
    transactions = [network.transaction(nonce=at) for at in range(batch)]
    tx_ids = [transaction.tx_id for transaction in transactions]
    exits = Account(address=exit_address(network.user.address), nonce=0, balance=10**18)
    state = network.state([Account(address=network.user.address, nonce=200, balance=10**18), exits])
    chain_of = network.chain(3)
    chain_of.append(
        network.commitment(
            chain_of[-1], batch_root=network.batch_root(tx_ids), count=len(tx_ids), state_root=state.root
        )
    )
    for _ in range(5):
        chain_of.append(network.commitment(chain_of[-1]))
    record("settlement.post, 1 height", world.post(chain_of[0]))
    record("settlement.post, 8 heights", world.post(*chain_of[1:]))
    fourth, head = chain_of[3], chain_of[-1]

    receipts = [network.receipt(transactions[1], sequence=at, include_by_l1_block=chain.block()) for at in range(3)]
    promises = [promise(receipt, transactions[1]) for receipt in receipts]
    chain.advance(1)
    for receipt, promised in zip(receipts, promises, strict=True):
        challenge("challenge_receipt", promised, signature(receipt.signature))
    send("challenges", "answer_inclusion", promises[0], sequencer, leaves(fourth), 1, batch_branch(tx_ids, 1))
    position, branch = account_branch(state, network.user.address)
    user = state.accounts[position]
    arguments = leaves(fourth), position, user.nonce, user.balance, branch
    send("challenges", "answer_account", promises[1], sequencer, *arguments)

    chain.advance(30)
    challenge("challenge_entry", 0, network.first.root)
    settling = network.commitment(head, inbox_index=1)
    world.post(settling)
    send("challenges", "answer_entry", 0, sequencer, network.first.root)

    first = chain_of[0]
    for at, asked in enumerate((first, fourth)):
        member = network.members[at]
        challenge("challenge_reveal", leaves(asked), member.address)
        share = network.share(asked, at + 1)
        answer = leaves(asked), member.address, share.data, signature(network.sign(member, share))
        send("challenges", "answer_share", *answer, name=f"challenges.answer_share, {len(share.data)} bytes")
    abstaining = network.members[2]
    challenge("challenge_reveal", leaves(first), abstaining.address)
    abstention = Abstain(committee_id=network.first.root, height=1)
    signed = signature(network.sign(abstaining, abstention))
    send("challenges", "answer_abstention", leaves(first), abstaining.address, signed)

    early = network.commitment(settling)
    member = network.members[0]
    challenge("challenge_early_share", *network.signed(member, network.share(early, 1)))
    vote = network.vote(early)
    send("challenges", "answer_certificate", leaves(vote), member.address, network.certificate(early))
    chain.advance(p.answer_blocks)
    send("challenges", "conclude", 1, receipts[2].message.root, sequencer)

    world.collateral.send("begin_unbonding", sequencer, sender=sequencer)
    send("collateral", "cancel_unbonding", sequencer, sender=sequencer)
    send("collateral", "begin_unbonding", sequencer, sender=sequencer)
    chain.advance(p.unbonding_blocks)
    send("collateral", "withdraw", sequencer, sender=sequencer)
    send("collateral", "claim", network.user.address)
    world.deposit(sequencer, p.sequencer_bond)

    send("settlement", "finalize", settling.height)
    send("bridge", "fund", wei=10**18)
    position, branch = account_branch(state, exits.address)
    send("bridge", "exit", network.user.address, leaves(fourth), position, 0, exits.balance, branch)

    other = replace(early, timestamp_ms=6)
    convictions: tuple[tuple[str, Identity, SszObject, SszObject], ...] = (
        ("commitments", network.sequencer, early, other),
        ("votes", network.members[0], vote, network.vote(other)),
        ("shares", network.members[1], network.share(early, 2), network.share(other, 2)),
        ("successors", network.members[2], network.successor(network.first), network.successor(network.first)),
    )
    for kind, signer, one, another in convictions:
        send("judge", f"convict_{kind}", *network.signed(signer, one), *network.signed(signer, another))
    world.deposit(sequencer, p.sequencer_bond)
    pair = (network.receipt(transaction).message for transaction in transactions[:2])
    send("judge", "convict_receipts", *(part for one in pair for part in network.signed(network.sequencer, one)))

    record("settlement.drop", world.drop(settling))
    record("registry.register, successor", world.register(network.successor(network.first)))
    votes = network.certificate(replace(settling, timestamp_ms=6))
    conflicting_vote = network.vote(replace(settling, timestamp_ms=6))
    send("settlement", "halt", leaves(settling), leaves(conflicting_vote), votes)
    return table


def openings_table(chain: Chain, scheme: str, sizes: Sequence[int], *, plaintext_bytes: int = 256) -> dict[str, int]:
    """Gas of the conviction for a wrong share by the number of entries: what shows these, and the verdict.

    chain    one with the precompiles of EIP-2537
    """
    network = KeyedNetwork(scheme, batch_limit=max(sizes), rounds=1)
    world = Rehearsal(chain, network, _PARAMETERS)
    world.register(network.first)
    member, table = network.members[1], dict[str, int]()
    for height, size in enumerate(sizes, start=1):
        transactions = [network.encrypted(plaintext_bytes, height=height) for _ in range(size)]
        commitment = network.listing(transactions, height=height)
        # Another member's share: as long to check as a right one.
        data = network.opened(network.batch(commitment, transactions), 1)
        made = conviction(network.committee, network.accused(commitment, transactions, 2, data))
        world.deposit(member.address, world.parameters.member_bond)
        calls = [world.openings.send(call.function, *call.arguments, sender=world.anybody) for call in made.shown]
        for at, done in enumerate(calls, start=1):
            table[f"openings.show, {size} entries, {at} of {len(calls)}"] = done.gas
        verdict = world.openings.send(made.verdict.function, *made.verdict.arguments, sender=world.anybody)
        table[f"openings.{made.verdict.function}, {size} entries"] = verdict.gas
        if world.collateral.get("bond", member.address):
            raise AssertionError("the conviction took nothing")
    return table


class AnvilChain:
    """Anvil by JSON-RPC, whose accounts need no keys. For measuring: it trusts the node, and retries nothing."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60)

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, *parameters: Any) -> Any:
        """Raises Reverted with the contract's reason, and httpx's errors."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = self._client.post("", json=request).raise_for_status().json()
        if "error" in answer:
            raise Reverted(str(answer["error"].get("message")).removeprefix("execution reverted: "))
        return answer["result"]

    def block(self) -> int:
        return int(self.ask("eth_blockNumber"), 16)

    def advance(self, blocks: int) -> None:
        self.ask("anvil_mine", hex(blocks))

    def fund(self, account: bytes, wei: int) -> None:
        self.ask("anvil_setBalance", _hex(account), hex(wei))

    def balance(self, account: bytes) -> int:
        return int(self.ask("eth_getBalance", _hex(account), "latest"), 16)

    def code(self, account: bytes) -> bytes:
        return _bytes(self.ask("eth_getCode", _hex(account), "latest"))

    def create(self, sender: bytes, code: bytes) -> Done:
        receipt = self._transact({"from": _hex(sender), "data": _hex(code)})
        return replace(self._done(receipt), result=_bytes(receipt["contractAddress"]))

    def send(self, sender: bytes, to: bytes, data: bytes, wei: int) -> Done:
        return self._done(self._transact({"from": _hex(sender), "to": _hex(to), "data": _hex(data), "value": hex(wei)}))

    def call(self, to: bytes, data: bytes) -> bytes:
        return _bytes(self.ask("eth_call", {"to": _hex(to), "data": _hex(data)}, "latest"))

    def _transact(self, transaction: dict[str, str]) -> dict[str, Any]:
        self.ask("anvil_impersonateAccount", transaction["from"])
        # The estimate is left out, but not its reason for a refusal.
        self.ask("eth_call", transaction, "latest")
        hash_ = self.ask("eth_sendTransaction", {**transaction, "gas": hex(_GAS_LIMIT)})
        until = monotonic() + _MINED_S
        while (receipt := self.ask("eth_getTransactionReceipt", hash_)) is None:
            if monotonic() > until:
                raise EnvironmentProblem(f"anvil did not take a transaction within {_MINED_S} s")
            sleep(0.01)
        if int(receipt["status"], 16) != 1:
            raise Reverted("the transaction failed where its call did not")
        return dict(receipt)

    @staticmethod
    def _done(receipt: dict[str, Any]) -> Done:
        logs = tuple(
            (_bytes(log["address"]), tuple(map(_bytes, log["topics"])), _bytes(log["data"])) for log in receipt["logs"]
        )
        return Done(gas=int(receipt["gasUsed"], 16), result=b"", logs=logs)


@contextmanager
def running_anvil(binary: Path, port: int) -> Iterator[AnvilChain]:
    """Anvil on this machine while the context lasts. Raises EnvironmentProblem if it does not come up."""
    with Popen(command(binary, port), stdout=DEVNULL, stderr=DEVNULL) as process:
        chain = AnvilChain(f"http://127.0.0.1:{port}")
        try:
            yield _answering(chain)
        finally:
            chain.close()
            process.terminate()


def _answering(chain: AnvilChain) -> AnvilChain:
    until = monotonic() + _START_S
    while True:
        try:
            chain.block()
        except httpx.TransportError as error:
            if monotonic() > until:
                raise EnvironmentProblem(f"anvil did not start within {_START_S} s") from error
            sleep(0.05)
        else:
            return chain


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
