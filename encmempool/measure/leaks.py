"""How much of a swap can be told from the public bytes of its envelope: the leak score of padding and gas ladder.

One market, two worlds with the same users, swaps, signatures and order of arrival. `on` is what this project does:
plaintexts padded to a size class, gas limits on the ladder. `off` encrypts with the same scheme, but the bare payload,
and shows the wallet's own gas estimate. In both an observer who knows the wallets, the router and the tokens gets the
encoded envelopes, learns on some blocks with the truth given, and on other blocks guesses the pool, the direction and
whether the size is above the median. The score is the area under the curve (AUC) of each guess: 0.5 tells nothing.

Assumptions, which the figures rest on:

- Sender, nonce, tip and arrival do not depend on the swap. Every user is seen once, so nothing is known of its history:
  what a sender's past or its balance tells no padding hides, and it is not measured here.
- Wallets send exact input for a minimum output, and set the gas limit to execution plus calldata without a margin; a
  known factor would change nothing.
- Execution gas depends on the token alone: every user held it before. Both tokens' swaps lie on one rung of the ladder
  (84,001 to 168,000). The ladder hides nothing between rungs: a token that costs less or more would be known by it.
- Size shows in the number of nonzero bytes of amounts. A byte ends at 2^64 wei = 18.4 ether; in these pools of 10,000
  ether the median input is 18 ether. The border is elsewhere in a pool of another depth, where the bytes tell as much
  of size but less of "above the median": 0.87 to 0.96 between 300 and 100,000 ether, against 0.98 here.
- Nothing but bytes: origin and time of arrival on the network are not looked at.
- That ciphertexts tell nothing is what the scheme's proof is for. Their first bytes are here to notice a format that
  speaks, such as a length in clear; a signal in the low bit of a byte these models would miss.

Interval: DeLong, DeLong and Clarke-Pearson 1988, normal, cut to 0..1. The unit is the transaction: users are drawn
independently and pools start every block alike. Three labels and two models make six figures a world. Bonferroni: each
interval has 1 - 0.025/6 = 99.58 %, so that all six of a world cover the truth together with at least 97.5 %; six
intervals of 97.5 % each would together miss a world that leaks nothing up to one time in seven. That an interval
contains 0.5 is worth what its width is, 0.07 at 4,000 transactions: `off` shows what the same observer finds with as
many.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import groupby
from math import sqrt
from random import Random as Simulation
from statistics import NormalDist, fmean, variance
from typing import Any

from encmempool import genesis as development
from encmempool.envelope import VERSION
from encmempool.errors import EnvironmentProblem
from encmempool.ethereum import TRANSFER_GAS, gas_ladder, intrinsic_gas, sign_transaction
from encmempool.execution import router
from encmempool.execution.ledger import SWAP_GAS
from encmempool.identity import Identity
from encmempool.keysets import TRUSTED_DEALER, Committee, default_threshold, first_key_set
from encmempool.measure.market import (
    DEPTH_WEI,
    SIZE_QUANTILES,
    SLACK_QUANTILES_BPS,
    Order,
    Reserves,
    order_of,
    quantile,
)
from encmempool.network.ceremony import sign_by_members
from encmempool.network.local import limits_of
from encmempool.ordering import Policy
from encmempool.transactions import encrypt_transaction, pad
from encmempool.types import EncryptedTransaction, Genesis, Header, PoolState, Token
from threshold import entropy
from threshold.curve import DEFAULT_BACKEND
from threshold.entropy import Random
from threshold.schemes.registry import load_scheme

LABELS = ("pool", "direction", "size")
MODELS = ("logistic regression", "gradient boosting")
JOINT_COVERAGE = 0.975
COVERAGE = 1 - (1 - JOINT_COVERAGE) / (len(LABELS) * len(MODELS))
BLOCK_USERS = 20
LEADING_BYTES = 32
MEDIAN_SIZE = quantile(SIZE_QUANTILES, 0.5)
MEAN_TIP_WEI = 10**9
NONCES = 500
_MEMBERS = 4
_VALID_HEIGHTS = 16
_DEADLINE_S = 1 << 31
FEWEST = 200
_ZERO_BYTE_DISCOUNT = 12
_CATEGORIES = (0, 1)
"""Which features are categories to a linear model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A token with its pool.

    for_an_ether     whole tokens, the pool's price
    execution_gas    of a swap without its intrinsic gas
    """

    token: Token
    for_an_ether: int
    execution_gas: int

    @property
    def reserves(self) -> Reserves:
        """The experiment's depth, the same at the start of every block."""
        units = DEPTH_WEI * self.for_an_ether * 10**self.token.decimals // 10**18
        return Reserves(ether=DEPTH_WEI, token=units)

    @property
    def pool(self) -> PoolState:
        sides = sorted(((development.WETH, self.reserves.ether), (self.token.address, self.reserves.token)))
        (token0, reserve0), (token1, reserve1) = sides
        return PoolState(token0=token0, token1=token1, reserve0=reserve0, reserve1=reserve1)


PLAIN_TOKEN_GAS = SWAP_GAS - TRANSFER_GAS - 1_500
"""The ledger's cost of a swap less the intrinsic gas of one whose calldata costs no more than this: all cost more, so
that the ledger runs every swap within its limit."""
PROXIED_TOKEN_GAS = PLAIN_TOKEN_GAS + 7_000
"""A token behind a proxy, as dollar coins are: the implementation's address and code are read cold and called on
every transfer and balance; our estimate."""

MARKET = (
    Listed(token=development.DEVELOPMENT_TOKEN, for_an_ether=1_250, execution_gas=PLAIN_TOKEN_GAS),
    Listed(
        token=Token(address=bytes.fromhex("d011a7" * 6 + "c01d"), symbol=b"USD", decimals=6),
        for_an_ether=3_000,
        execution_gas=PROXIED_TOKEN_GAS,
    ),
)
"""Two pools, of a plain token with 18 decimals and of a dollar with 6."""


@dataclass(frozen=True, kw_only=True)
class Trade:
    """One user's swap at its place in a block. The size is relative to the reserve it enters."""

    block: int
    arrival: int
    order: Order
    size: float
    sender: Identity
    nonce: int
    listed: Listed

    @property
    def labels(self) -> tuple[bool, bool, bool]:
        """What an observer would like to know, as in LABELS."""
        return self.order.pool == 1, self.order.buys, self.size > MEDIAN_SIZE

    @cached_property
    def swap(self) -> router.Swap:
        return self.order.swap(recipient=self.sender.address, deadline=_DEADLINE_S, token=self.listed.token.address)

    @cached_property
    def gas_limit(self) -> int:
        """The wallet's estimate: execution and calldata, to the unit."""
        return self.listed.execution_gas + intrinsic_gas(router.encode(self.swap))

    @cached_property
    def payload(self) -> bytes:
        """The signed transaction."""
        return sign_transaction(
            self.sender.secret_bytes(),
            chain_id=development.DEVELOPMENT_CHAIN_ID,
            nonce=self.nonce,
            to=development.ROUTER,
            value=self.swap.value,
            data=router.encode(self.swap),
            gas_limit=self.gas_limit,
            max_fee_per_gas=development.BASE_FEE + self.order.tip_wei,
            max_priority_fee_per_gas=self.order.tip_wei,
        )


def leak_score(
    *,
    seed: int,
    transactions: int = 4000,
    scheme: str = "tdh2",
    backend: str = DEFAULT_BACKEND,
    random: Random = entropy.system,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Both worlds' AUC for every label and model, with intervals. 9 s for 4,000 transactions of tdh2, on one core.

    seed      fixes users, swaps and arrival, and nothing of the encryption
    random    of keys and ciphertexts; figures of `on` change a little from run to run with it

    Raises EnvironmentProblem without scikit-learn, ValueError for fewer than 200 transactions.
    """
    _require_sklearn()
    committee = dealt_committee(scheme, backend=backend, random=random)
    progress(f"signing {transactions} swaps")
    trades = draw_trades(seed, transactions)
    scores = {}
    for world, hidden in (("on", True), ("off", False)):
        progress(f"encrypting {transactions} swaps, padding and gas ladder {world}")
        envelopes = [seal(t, committee, padding=hidden, ladder=hidden, random=random).encoded for t in trades]
        progress(f"guessing, padding and gas ladder {world}")
        scores[world] = score(trades, [features(e, t.arrival) for e, t in zip(envelopes, trades, strict=True)])
    return {"transactions": transactions, "models": list(MODELS), **scores}


def draw_trades(seed: int, transactions: int) -> tuple[Trade, ...]:
    """The market of a seed, block by block: fresh users, pool and direction by fair coins, real sizes and tolerances.

    ValueError for fewer than 200.
    """
    if transactions < FEWEST:
        raise ValueError(f"{transactions} transactions are too few to learn from: take at least {FEWEST}")
    trades = []
    for number in range(transactions):
        block, arrival = divmod(number, BLOCK_USERS)
        if arrival == 0:
            simulation = Simulation(f"leak score {seed}, block {block}")
        pool = simulation.randrange(len(MARKET))
        size = quantile(SIZE_QUANTILES, simulation.random())
        order = order_of(
            MARKET[pool].reserves,
            sender=number,
            buys=simulation.random() < 0.5,
            size=size,
            slack_bps=quantile(SLACK_QUANTILES_BPS, simulation.random()),
            pool=pool,
            tip_wei=round(simulation.expovariate(1 / MEAN_TIP_WEI)),
        )
        sender = Identity(hashlib.sha256(b"leak score" + simulation.randbytes(32)).digest())
        nonce = simulation.randrange(NONCES)
        trades.append(
            Trade(block=block, arrival=arrival, order=order, size=size, sender=sender, nonce=nonce, listed=MARKET[pool])
        )
    return tuple(trades)


def dealt_committee(scheme: str, *, backend: str = DEFAULT_BACKEND, random: Random) -> Committee:
    """3 of 4 members of a network with the two pools, its key from a TRUSTED dealer: nothing is ever opened."""
    loaded = load_scheme(scheme, backend)
    limits = limits_of(loaded, batch_limit=BLOCK_USERS if loaded.info.limits_batch else None, rounds=None)
    members = [Identity(random(32)) for _ in range(_MEMBERS)]
    genesis = development.check(
        Genesis(
            chain_id=development.DEVELOPMENT_CHAIN_ID,
            timestamp_ms=0,
            accounts=(),
            tokens=tuple(listed.token for listed in MARKET),
            pools=tuple(listed.pool for listed in MARKET),
            router=development.ROUTER,
            weth=development.WETH,
            base_fee=development.BASE_FEE,
            sequencer=Identity(random(32)).address,
            members=tuple(member.address for member in members),
            policy_id=Policy.ARRIVAL,
            policy_parameters=b"",
            batch_limit=BLOCK_USERS,
            gas_limit=development.BATCH_GAS_LIMIT,
            size_classes=development.SIZE_CLASSES,
            deadlines=development.DEADLINES,
        )
    )
    public, _ = loaded.deal(n=_MEMBERS, t=default_threshold(_MEMBERS), limits=limits, random=random)
    key_set = first_key_set(genesis, public, setup_kind=TRUSTED_DEALER, setup_privacy=0, rounds=limits.rounds or 0)
    return Committee.load(genesis, sign_by_members(key_set, members), public.parameters, backend=backend)


def seal(trade: Trade, committee: Committee, *, padding: bool, ladder: bool, random: Random) -> EncryptedTransaction:
    """The trade's envelope. With both switches on it is `encrypt_transaction`'s; else one that admission refuses.

    padding    whether the plaintext is padded to a size class, or the bare payload
    ladder     whether the header's gas limit is a rung, or the wallet's estimate
    """
    terms, valid_until = committee.terms, trade.block + _VALID_HEIGHTS
    if padding and ladder:
        return encrypt_transaction(
            trade.payload,
            terms=terms,
            scheme=committee.scheme,
            public_key=committee.public_key,
            identity=trade.sender,
            valid_until=valid_until,
            random=random,
        )
    header = Header(
        version=VERSION,
        key_id=terms.key_set.key_id,
        scheme=terms.key_set.scheme,
        sender=trade.sender.address,
        nonce=trade.nonce,
        gas_limit=gas_ladder(trade.gas_limit) if ladder else trade.gas_limit,
        max_fee_per_gas=development.BASE_FEE + trade.order.tip_wei,
        max_priority_fee_per_gas=trade.order.tip_wei,
        target_height=valid_until if terms.addresses_height else 0,
        valid_until=valid_until,
    )
    plaintext = pad(trade.payload, terms.genesis.size_classes, random=random) if padding else trade.payload
    ciphertext = committee.scheme.encrypt(
        committee.public_key, plaintext, aad=header.root, height=header.target_height, random=random
    )
    signature = trade.sender.sign(terms.signing_hash(header, ciphertext))
    return EncryptedTransaction(header=header, ciphertext=ciphertext, signature=signature)


def features(envelope: bytes, arrival: int, *, leading_bytes: int = LEADING_BYTES) -> tuple[int, ...]:
    """What an observer makes of an encoded EncryptedTransaction and its place in the block, as numbers.

    The first two are what remains of the ciphertext's length and of the gas limit once the observer takes off what
    it knows: the lengths of public fields inside the payload, and the zero bytes of the sender, to whom wallets send
    the output. Then the length and gas limit as they are, the header's other fields, arrival, the sender's bytes and
    the ciphertext's first. Left out are the key's name, the same in every envelope, and the signature, which is
    RFC 6979's function of the rest and of a key that says nothing of the swap.

    Raises Malformed.
    """
    transaction = EncryptedTransaction.decode(envelope)
    header, ciphertext = transaction.header, transaction.ciphertext
    inside = (header.nonce, header.max_priority_fee_per_gas, header.max_fee_per_gas)
    return (
        len(ciphertext) - sum(map(_rlp_size, inside)),
        header.gas_limit + _ZERO_BYTE_DISCOUNT * header.sender.count(0),
        len(ciphertext),
        header.gas_limit,
        header.version,
        header.scheme,
        header.nonce,
        header.max_fee_per_gas,
        header.max_priority_fee_per_gas,
        header.target_height,
        header.valid_until,
        arrival,
        *header.sender,
        *ciphertext[:leading_bytes].ljust(leading_bytes, b"\0"),
    )


def score(trades: Sequence[Trade], rows: Sequence[Sequence[int]]) -> dict[str, dict[str, dict[str, float]]]:
    """AUC and interval of every label and model: learnt on the even blocks, measured on the odd ones.

    rows    `features` of each trade's envelope; the models are given nothing else
    """
    learn = [at for at, trade in enumerate(trades) if trade.block % 2 == 0]
    test = [at for at, trade in enumerate(trades) if trade.block % 2]
    result: dict[str, dict[str, dict[str, float]]] = {}
    for which, label in enumerate(LABELS):
        truth = [trade.labels[which] for trade in trades]
        result[label] = {}
        for model in MODELS:
            guesses = _guess(model, [rows[at] for at in learn], [truth[at] for at in learn], [rows[at] for at in test])
            result[label][model] = auc_interval(guesses, [truth[at] for at in test])
    return result


def auc_interval(guesses: Sequence[float], truth: Sequence[bool], *, coverage: float = COVERAGE) -> dict[str, float]:
    """AUC of guesses with a two-sided interval, cut to 0..1; ties count half.

    Of zero width where every pair is in the right order: no bound for what other transactions would show. ValueError
    unless both classes are there, twice at least.
    """
    everyone = _midranks(guesses)
    auc, spread = 0.0, 0.0
    for kind in (False, True):
        places = [at for at, is_true in enumerate(truth) if is_true is kind]
        others = len(truth) - len(places)
        if min(len(places), others) < 2:
            raise ValueError("both classes must be present, twice at least")
        own = _midranks([guesses[at] for at in places])
        below = [(everyone[at] - rank) / others for at, rank in zip(places, own, strict=True)]
        auc = fmean(below)  # of the true ones at last: the share of false ones below them
        spread += variance(below) / len(places)
    reach = NormalDist().inv_cdf((1 + coverage) / 2) * sqrt(spread)
    return {"auc": auc, "low": max(auc - reach, 0.0), "high": min(auc + reach, 1.0)}


def _midranks(values: Sequence[float]) -> list[float]:
    """Rank of each value from 1, ties sharing their mean."""
    ranks, place = [0.0] * len(values), 0
    ascending = sorted(range(len(values)), key=values.__getitem__)
    for _, group in groupby(ascending, key=values.__getitem__):
        tied = list(group)
        for at in tied:
            ranks[at] = place + (len(tied) + 1) / 2
        place += len(tied)
    return ranks


def _guess(
    model: str, rows: Sequence[Sequence[int]], truth: Sequence[bool], unseen: Sequence[Sequence[int]]
) -> list[float]:
    """A model's confidence that the label holds for each unseen row, learnt from rows with the truth. One core."""
    numpy, threads = import_module("numpy"), import_module("threadpoolctl")
    with warnings.catch_warnings(), threads.threadpool_limits(1):
        warnings.simplefilter("ignore")  # advice for whoever tunes the models, not for whoever reads the score
        classifier = _classifier(model)
        classifier.fit(numpy.array(rows, dtype=float), numpy.array(truth))
        return [float(confidence) for confidence in classifier.predict_proba(numpy.array(unseen, dtype=float))[:, 1]]


def _classifier(model: str) -> Any:
    """Boosting takes the features as numbers. For the linear model they are scaled, and what remains of length and gas
    limit is given a second time as categories: few values occur, and each means something of its own."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if model == "gradient boosting":
        return HistGradientBoostingClassifier(max_iter=60, random_state=0)
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)
    prepared = ColumnTransformer(
        [("numbers", StandardScaler(), slice(0, None)), ("categories", categories, list(_CATEGORIES))]
    )
    return make_pipeline(prepared, LogisticRegression(max_iter=1000))


def _require_sklearn() -> None:
    try:
        import_module("sklearn")
    except ImportError:
        raise EnvironmentProblem(
            "the leak score needs scikit-learn; install the extra: pip install 'encmempool[measure]'"
        ) from None


def _rlp_size(value: int) -> int:
    return 1 if value < 0x80 else 1 + (value.bit_length() + 7) // 8
