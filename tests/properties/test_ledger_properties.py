"""What no batch can break: ether and tokens are conserved, nonces count entries, products never fall."""

from collections import Counter

from hypothesis import given, settings, strategies as st

from encmempool.ethereum import EthereumTransaction
from encmempool.execution.ledger import Entry, Failure, Ledger, LedgerState
from encmempool.execution.pools import Pool
from encmempool.execution.router import Swap, SwapKind, encode

GWEI = 10**9
TOKEN, OTHER, WETH = b"\x10" * 20, b"\x20" * 20, b"\xc0" * 20
ROUTER, PROPOSER = b"\x7a" * 20, b"\xfe" * 20
USERS = tuple(bytes([byte]) * 20 for byte in (0xA1, 0xA2, 0xA3))
OUTCOMES = {"executed", "not_executable", *Failure}

amounts = st.one_of(st.integers(0, 10**20), st.integers(10**13, 10**17), st.integers(0, 2**256 - 1))
addresses = st.sampled_from((*USERS, PROPOSER, ROUTER, WETH, TOKEN, b"\x55" * 20))
tokens = st.sampled_from((TOKEN, OTHER, WETH, b"\x66" * 20))
swaps = st.builds(
    Swap,
    kind=st.sampled_from(SwapKind),
    exact=amounts,
    bound=st.one_of(st.just(0), amounts),
    path=st.one_of(
        st.sampled_from(
            [(WETH, TOKEN), (TOKEN, WETH), (WETH, TOKEN, OTHER), (OTHER, TOKEN, WETH), (WETH, TOKEN, WETH)]
        ),
        st.lists(tokens, max_size=4).map(tuple),
    ),
    recipient=addresses,
    deadline=st.sampled_from((0, 10**10)),
)


@st.composite
def payloads(draw: st.DrawFn) -> EthereumTransaction | Failure:
    kind = draw(st.sampled_from(("swap", "swap", "swap", "transfer", "garbage", "failure")))
    to, value, data = draw(addresses), draw(amounts), b""
    if kind == "failure":
        failure: Failure = draw(st.sampled_from(Failure))
        return failure
    if kind == "swap":
        swap = draw(swaps)
        to, data = ROUTER, encode(swap)
        value = swap.value
    if kind == "garbage":
        data = draw(st.binary(min_size=1, max_size=200))
    return EthereumTransaction(
        chain_id=1,
        nonce=0,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=0,
        gas_limit=draw(st.sampled_from((0, 21_000, 84_000, 168_000, 336_000))),
        to=to,
        value=value,
        data=data,
        sender=bytes(20),
        raw=b"",
    )


entries = st.builds(
    Entry,
    sender=st.sampled_from(USERS),
    nonce=st.integers(0, 3),
    gas_limit=st.sampled_from((0, 21_000, 168_000, 336_000)),
    max_fee_per_gas=st.sampled_from((0, 5 * GWEI, 10 * GWEI, 50 * GWEI, 10**14)),
    max_priority_fee_per_gas=st.sampled_from((0, GWEI, 100 * GWEI)),
    payload=payloads(),
)


@st.composite
def batches(draw: st.DrawFn) -> list[Entry]:
    """Arbitrary entries, their nonces mostly repaired so that most can run."""
    drawn = draw(st.lists(entries, max_size=8))
    if draw(st.integers(0, 4)) == 0:
        return drawn
    used: Counter[bytes] = Counter()
    repaired = []
    for entry in drawn:
        fields = {name: getattr(entry, name) for name in entry.__slots__}
        repaired.append(Entry(**(fields | {"nonce": used[entry.sender]})))
        used[entry.sender] += 1
    return repaired


def genesis() -> Ledger:
    return Ledger(
        chain_id=1,
        accounts={USERS[0]: 10**19, USERS[1]: 10**18, USERS[2]: 10**16},
        token_balances={(token, user): 10**20 for token in (TOKEN, OTHER, WETH) for user in USERS[:2]},
        pools=[
            Pool(token0=TOKEN, token1=WETH, reserve0=3 * 10**21, reserve1=10**18),
            Pool(token0=TOKEN, token1=OTHER, reserve0=10**21, reserve1=10**20),
        ],
        router=ROUTER,
        weth=WETH,
        base_fee=8 * GWEI,
        fee_recipient=PROPOSER,
    )


def supply(state: LedgerState, token: bytes) -> int:
    held = sum(balance.amount for balance in state.token_balances if balance.token == token)
    return held + sum(pool.reserves(token)[0] for pool in state.pools if token in (pool.token0, pool.token1))


@settings(max_examples=250, deadline=None)
@given(batches())
def test_every_batch_keeps_the_ledger_whole(batch: list[Entry]) -> None:
    ledger = genesis()
    before = ledger.snapshot()
    receipts = ledger.execute(1, 1_000_000_000_000, batch)
    after = ledger.snapshot()

    assert ether(before) == ether(after) + ledger.burned
    assert all(supply(before, token) == supply(after, token) for token in (TOKEN, OTHER))
    assert all(account.balance >= 0 for account in after.accounts)
    assert all(balance.amount > 0 for balance in after.token_balances)
    for old, new in zip(before.pools, after.pools, strict=True):
        assert new.reserve0 * new.reserve1 >= old.reserve0 * old.reserve1
    count = Counter(entry.sender for entry in batch)
    assert all(ledger.nonce(user) == count[user] for user in USERS)

    assert [receipt.position for receipt in receipts] == list(range(len(batch)))
    for entry, receipt in zip(batch, receipts, strict=True):
        assert receipt.code in OUTCOMES
        assert receipt.gas_used <= entry.gas_limit
        assert 0 <= receipt.fee <= receipt.gas_used * entry.max_fee_per_gas
        assert receipt.success == (receipt.code == "executed" and not receipt.reason)


def ether(state: LedgerState) -> int:
    """All ether there is: accounts, and WETH backed one to one by the ether it wraps."""
    return sum(account.balance for account in state.accounts) + supply(state, WETH)


@settings(max_examples=100, deadline=None)
@given(batches())
def test_an_entry_without_success_moves_nothing_but_its_fee(batch: list[Entry]) -> None:
    ledger = genesis()
    for height, entry in enumerate(batch, start=1):
        before, balance = ledger.snapshot(), ledger.balance(entry.sender)
        (receipt,) = ledger.execute(height, 1_000_000_000_000, [entry])
        if not receipt.success:
            after = ledger.snapshot()
            assert (after.pools, after.token_balances) == (before.pools, before.token_balances)
            assert ledger.balance(entry.sender) == balance - receipt.fee


@settings(max_examples=60, deadline=None)
@given(batches())
def test_execution_is_a_function_of_state_and_batch(batch: list[Entry]) -> None:
    one, two = genesis(), genesis().copy()
    assert one.execute(1, 5_000, batch) == two.execute(1, 5_000, batch)
    assert one.snapshot() == two.snapshot()
