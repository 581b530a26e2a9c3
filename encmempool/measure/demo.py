"""The main job on one market, next to its plaintext control.

The same users sign the same swaps and arrive in the same order in every run. An attacker who is the sequencer plays
both worlds. In plaintext it reads the swaps and sandwiches them by the closed form. Encrypted, it gets the envelopes
it records, byte for byte, and picks on training markets among abstaining, blind brackets and blind spam; its own
transactions take the way of everyone else's, through encryption, commitment, votes, shares and execution.

Everything runs for real: key ceremony, SQLite, signatures, ciphertexts, ledger, audit. One market is an illustration.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from encmempool import audit
from encmempool.bench.machine import machine, versions
from encmempool.bench.stages import Stages
from encmempool.errors import Malformed
from encmempool.ethereum import decode_signed
from encmempool.execution import router
from encmempool.execution.ledger import Entry, ExecutionReceipt
from encmempool.genesis import SIZE_CLASSES, ledger_of
from encmempool.home import Home, Password
from encmempool.identity import Identity
from encmempool.keysets import Committee
from encmempool.measure.attacker import (
    BLIND_STRATEGIES,
    BlindStrategy,
    Placement,
    arrange,
    choose,
    greedy_sandwich,
)
from encmempool.measure.figures import Measurement, measure
from encmempool.measure.market import ATTACKER, Market, Order, Reserves, from_receipts, play, sign_order
from encmempool.network.local import (
    LocalNetwork,
    Plan,
    create_network,
    development_genesis,
    fresh_home,
    load_committees,
)
from encmempool.ordering import Policy
from encmempool.sequencer import TRANSACTION
from encmempool.transactions import encrypt_transaction, unpad
from encmempool.types import EncryptedTransaction, PoolState
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.schemes.base import Batch, BatchKey
from threshold.schemes.registry import load_scheme

STAGES = (
    "keygen",
    "encrypt",
    "admit",
    "commit",
    "vote",
    "precompute",
    "share",
    "combine",
    "decrypt",
    "execute",
    "audit",
)
TRAINING_SWAPS = 64_000
MAX_TRAINING_MARKETS = 4_000
_FIRST_TRAINING_SEED = 1_000_000
_VALID_HEIGHTS = 10_000
_ADDRESSED_HEIGHT = 1
_ROUNDS = 16
_MAX_TRANSACTIONS = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Created:
    """A network without transactions: where its home is, and how long its key ceremony took."""

    path: Path
    password: Password
    stages: Stages


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One pass of the market through the encrypted network."""

    measurement: Measurement
    stages: Stages
    envelopes: tuple[EncryptedTransaction, ...]
    share_bytes: int
    left_out_opens: bool


def run(
    *,
    members: int = 4,
    threshold: int = 3,
    scheme: str = "tdh2",
    transactions: int = 64,
    seed: int = 7,
    backend: str = DEFAULT_BACKEND,
    reduced_threshold: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """The object behind `encmempool demo --json`. Same seed, same market and same economic figures."""
    if not 1 <= transactions <= _MAX_TRANSACTIONS:
        raise ValueError(f"the demo takes 1 to {_MAX_TRANSACTIONS} transactions, not {transactions}")
    world = _World(
        Market.draw(seed, transactions),
        members=members,
        threshold=threshold,
        scheme=scheme,
        backend=backend,
        reduced_threshold=reduced_threshold,
    )
    progress("plaintext: the sequencer reads and sandwiches")
    plaintext = world.plaintext()
    training = min(max(TRAINING_SWAPS // transactions, 50), MAX_TRAINING_MARKETS)
    progress(f"training the blind attacker on {training} markets")
    choice = choose(BLIND_STRATEGIES, _training_seeds(seed, training), transactions)
    chosen, active = choice.best.strategy, choice.best_active.strategy
    if not load_scheme(scheme, backend).info.hides:
        chosen = active = ReadingSandwich(size_classes=SIZE_CLASSES)
    with tempfile.TemporaryDirectory(prefix="encmempool-demo-") as folder:
        progress(f"encrypted: {members} members generate a key; the attacker plays {chosen.name}")
        created = world.create(Path(folder))
        played = world.encrypted(chosen, created)
        progress(f"encrypted once more, with {active.name}")
        alternative = played if active is chosen else world.encrypted(active, created)
    return {
        "schema": "encmempool.demo/1",
        "seed": seed,
        "scheme": scheme,
        "members": members,
        "threshold": threshold,
        "transactions": transactions,
        "backend": backend,
        "plaintext": _figures(plaintext),
        "encrypted": _figures(played.measurement)
        | {
            "strategy": chosen.name,
            "extracted_bps_not_abstaining": alternative.measurement.extracted_bps,
            "strategy_not_abstaining": active.name,
            "training_markets": training,
        },
        "stages_ms": {name: round(played.stages.ms(name), 3) for name in STAGES},
        "left_out_opens": played.left_out_opens,
        "bytes": {
            "transaction": round(sum(len(e.encoded) for e in played.envelopes) / len(played.envelopes)),
            "ciphertext_overhead": load_scheme(scheme, backend).info.ciphertext_overhead_bytes,
            "share": played.share_bytes,
        },
        "audit": "ok",
        "machine": machine(),
        "versions": versions(),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSandwich:
    """What an attacker does with recorded bytes that hide nothing: read the swaps in them, and sandwich.

    The negative control of everything else here: with the `clear` scheme the plaintext figures return.
    """

    size_classes: tuple[int, ...]
    name: str = "sandwich (nothing is hidden)"

    def plan(self, view: Sequence[bytes], pools: Sequence[Reserves], random: Random) -> tuple[Placement[Order], ...]:
        return greedy_sandwich(pools, [self._read(data) for data in view])

    def _read(self, data: bytes) -> Order:
        call = decode_signed(unpad(EncryptedTransaction.decode(data).ciphertext, self.size_classes))
        swap = router.decode(call.data, call.value)
        buys = swap.kind is router.SwapKind.EXACT_ETH_FOR_TOKENS
        return Order(sender=0, buys=buys, amount_in=swap.exact, minimum_out=swap.bound)


class _World:
    """One market and the people in it."""

    def __init__(
        self, market: Market, *, members: int, threshold: int, scheme: str, backend: str, reduced_threshold: bool
    ) -> None:
        self._market = market
        self._scheme = load_scheme(scheme, backend)
        self._backend = backend
        senders = {ATTACKER, *(order.sender for order in market.orders)}
        self._people = {sender: _identity(market.seed, sender) for sender in senders}
        pool = market.pool
        limits, count = self._scheme.info, len(market.orders)
        plans = (strategy.plan([b""] * count, market.pools, Random(0)) for strategy in BLIND_STRATEGIES)
        largest = count + max(map(len, plans))
        self._plan = Plan(
            batch_limit=largest if limits.limits_batch else None,
            rounds=_ROUNDS if limits.limits_rounds else None,
            members=members,
            threshold=threshold,
            policy=Policy.ARRIVAL,
            funded=tuple(identity.address for identity in self._people.values()),
            pools=(PoolState(token0=pool.token0, token1=pool.token1, reserve0=pool.reserve0, reserve1=pool.reserve1),),
            reduced_threshold=reduced_threshold,
        )

    def plaintext(self) -> Measurement:
        """The control: signed transactions in the clear, in the order the attacker likes best."""
        block = arrange(self._market.orders, greedy_sandwich(self._market.pools, self._market.orders))
        return self._measured(block, self._executed_in_the_clear(block))

    def encrypted(self, strategy: BlindStrategy, created: _Created) -> _Run:
        """The same through the network, the attacker's placements put where it wants them."""
        stages, orders = Stages(), self._market.orders
        stages.add(created.stages)
        password = created.password
        with tempfile.TemporaryDirectory(prefix="encmempool-demo-") as folder:
            home = Home(Path(shutil.copytree(created.path, Path(folder) / "home")))
            (committee,) = load_committees(home, backend=self._backend)
            network = LocalNetwork(home, password=lambda: password, backend=self._backend, stage=stages)
            payloads = self._signed(orders)
            with stages("encrypt"):
                users = [self._encrypt(committee, order, raw) for order, raw in zip(orders, payloads, strict=True)]
            view = tuple(envelope.encoded for envelope in users)
            placements = strategy.plan(view, self._market.pools, Random(f"{strategy.name}/{self._market.seed}"))
            block = arrange(orders, placements)
            arriving = iter(users)
            envelopes = [
                self._encrypt(committee, order, raw) if order.sender == ATTACKER else next(arriving)
                for order, raw in zip(block, self._signed(block), strict=True)
            ]
            with stages("admit"):
                for envelope in envelopes:
                    network.submit(envelope.encoded)
            recorded = {value for _, value in home.store("sequencer").scan(TRANSACTION)}
            if not recorded.issuperset(view):
                raise AssertionError("the attacker saw other bytes than the sequencer recorded")
            left_out = self._encrypt(committee, orders[0], payloads[0])
            receipts = _play_heights(network, stages)
            left_out_opens = _opens(network, left_out)
            with stages("audit"):
                report = audit.verify(audit.export(network), backend=self._backend)
            if report.state_root != network.follower.latest.root:
                raise AssertionError("the auditor reached another state than the network")
            share_bytes = len(network.follower.shares(1)[0].message.data)
        if [_result(r) for r in receipts] != [_result(r) for r in self._executed_in_the_clear(block)]:
            raise AssertionError("the encrypted run did not execute the order that was committed")
        return _Run(
            measurement=self._measured(block, receipts),
            stages=stages,
            envelopes=tuple(users),
            share_bytes=share_bytes,
            left_out_opens=left_out_opens,
        )

    def create(self, folder: Path) -> _Created:
        """The network before its first transaction; every run plays on a copy of it."""
        stages = Stages()
        home, password = fresh_home(folder)
        with stages("keygen"):
            create_network(home, self._plan, self._scheme, password, random=entropy.system, backend=self._backend)
        return _Created(path=home.path, password=password, stages=stages)

    def _signed(self, block: Sequence[Order]) -> list[bytes]:
        """Every order as its sender's signed transaction; the same bytes for the same user in every run."""
        nonces: Counter[int] = Counter()
        payloads = []
        for order in block:
            payloads.append(sign_order(order, self._people[order.sender], nonce=nonces[order.sender]))
            nonces[order.sender] += 1
        return payloads

    def _encrypt(self, committee: Committee, order: Order, payload: bytes) -> EncryptedTransaction:
        return encrypt_transaction(
            payload,
            terms=committee.terms,
            scheme=committee.scheme,
            public_key=committee.public_key,
            identity=self._people[order.sender],
            valid_until=_ADDRESSED_HEIGHT if committee.terms.addresses_height else _VALID_HEIGHTS,
            random=entropy.system,
        )

    def _executed_in_the_clear(self, block: Sequence[Order]) -> tuple[ExecutionReceipt, ...]:
        members = [bytes([0, *index.to_bytes(19, "big")]) for index in range(self._plan.members)]
        genesis = development_genesis(self._plan, sequencer=bytes(20), members=members)
        entries = [
            Entry(
                sender=inner.sender,
                nonce=inner.nonce,
                gas_limit=inner.gas_limit,
                max_fee_per_gas=inner.max_fee_per_gas,
                max_priority_fee_per_gas=inner.max_priority_fee_per_gas,
                payload=inner,
            )
            for inner in map(decode_signed, self._signed(block))
        ]
        return ledger_of(genesis).execute(1, genesis.timestamp_ms, entries)

    def _measured(self, block: Sequence[Order], receipts: Sequence[ExecutionReceipt]) -> Measurement:
        alone = play(self._market.pools, self._market.orders)
        return measure(self._market.pools, from_receipts(block, receipts), alone)


def _play_heights(network: LocalNetwork, stages: Stages) -> list[ExecutionReceipt]:
    """Commit, vote, share and execute until nothing waits. Receipts in the order of execution.

    `vote` and `share` are one member's time: the members here run one after another.
    """
    receipts: list[ExecutionReceipt] = []
    network.load()
    while network.sequencer.pending:
        with stages("commit"):
            proposal = network.commit()
        certificate = network.vote(proposal, stage=stages)
        network.follower.precompute(certificate.vote.height)
        network.release(certificate, stage=stages)
        for executed in network.execute():
            receipts += executed.receipts
    return receipts


def _opens(network: LocalNetwork, left_out: EncryptedTransaction) -> bool:
    """Whether what is public after the first height opens a ciphertext that was made for it and left out of it."""
    committee, executed = network.committees[0], network.follower.executed_at(1)
    if executed is None or executed.reveal is None:
        raise AssertionError("the first height was not revealed")
    commitment = executed.ready.commitment
    entry = committee.verify_ciphertext(left_out)
    batch = Batch(key_id=committee.key_set.key_id, height=1, round=commitment.round, entries=(entry,))
    batch_key = BatchKey.decode(executed.reveal.batch_key)
    try:
        (opened,) = committee.scheme.decrypt(committee.public_key, batch, batch_key, committee.precompute(batch))
    except Malformed:
        return False
    return isinstance(opened, bytes)


def _result(receipt: ExecutionReceipt) -> tuple[str, bool, int, int, int]:
    return receipt.code, receipt.success, receipt.amount_in, receipt.amount_out, receipt.fee


def _figures(measurement: Measurement) -> dict[str, float]:
    return {
        "extracted_bps": measurement.extracted_bps,
        "victim_loss_bps": measurement.victim_loss_bps,
        "failed_volume": measurement.failed_volume,
    }


def _identity(seed: int, sender: int) -> Identity:
    """A simulated person's account. Their envelopes are encrypted with real randomness all the same."""
    return Identity(hashlib.sha256(f"encmempool demo market {seed} person {sender}".encode()).digest())


def _training_seeds(seed: int, count: int) -> range:
    """Markets the attacker may learn from: never the one it will play."""
    first = _FIRST_TRAINING_SEED if seed < _FIRST_TRAINING_SEED else 0
    return range(first, first + count)
