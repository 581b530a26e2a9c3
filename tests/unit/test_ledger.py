"""Outcomes, fees and router semantics of the ledger, one entry or one batch at a time."""

import pytest

from encmempool.ethereum import EthereumTransaction, intrinsic_gas
from encmempool.execution.ledger import (
    EXTRA_HOP_GAS,
    REVERTED_SWAP_GAS,
    SWAP_GAS,
    AccountState,
    Entry,
    ExecutionReceipt,
    Failure,
    Ledger,
    TokenBalance,
)
from encmempool.execution.pools import Pool, amount_in, amount_out
from encmempool.execution.router import Swap, SwapKind, encode

ETHER = 10**18
GWEI = 10**9
TOKEN, OTHER, WETH = b"\x10" * 20, b"\x20" * 20, b"\xc0" * 20
ROUTER, PROPOSER, ALICE, BOB = b"\x7a" * 20, b"\xfe" * 20, b"\xa1" * 20, b"\xb0" * 20
NOW_S = 1_700_000_000
BASE, PRIORITY, MAX_FEE = 8 * GWEI, 2 * GWEI, 30 * GWEI
PRICE = BASE + PRIORITY
ETHER_SIDE, TOKEN_SIDE, OTHER_SIDE = 1_000 * ETHER, 3_000_000 * ETHER, 500_000 * ETHER


def ledger() -> Ledger:
    return Ledger(
        chain_id=1337,
        accounts={ALICE: 100 * ETHER, BOB: ETHER},
        token_balances={(TOKEN, ALICE): 10_000 * ETHER, (WETH, ALICE): 5 * ETHER},
        pools=[
            Pool(token0=TOKEN, token1=WETH, reserve0=TOKEN_SIDE, reserve1=ETHER_SIDE),
            Pool(token0=TOKEN, token1=OTHER, reserve0=TOKEN_SIDE, reserve1=OTHER_SIDE),
        ],
        router=ROUTER,
        weth=WETH,
        base_fee=BASE,
        fee_recipient=PROPOSER,
    )


def payload(to: bytes = BOB, value: int = 0, data: bytes = b"", gas_limit: int = 336_000) -> EthereumTransaction:
    return EthereumTransaction(
        chain_id=1337,
        nonce=0,
        max_priority_fee_per_gas=PRIORITY,
        max_fee_per_gas=MAX_FEE,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=data,
        sender=ALICE,
        raw=b"",
    )


def entry(inside: EthereumTransaction | Failure, nonce: int = 0, sender: bytes = ALICE, **fields: int) -> Entry:
    defaults = {"gas_limit": 336_000, "max_fee_per_gas": MAX_FEE, "max_priority_fee_per_gas": PRIORITY}
    return Entry(sender=sender, nonce=nonce, payload=inside, **(defaults | fields))


def call(swap: Swap, **fields: int) -> Entry:
    return entry(payload(to=ROUTER, value=swap.value, data=encode(swap), **fields))


def swap(kind: SwapKind, exact: int, bound: int, *path: bytes, to: bytes = BOB, deadline: int = NOW_S) -> Swap:
    return Swap(kind=kind, exact=exact, bound=bound, path=path, recipient=to, deadline=deadline)


def execute(book: Ledger, *entries: Entry) -> tuple[ExecutionReceipt, ...]:
    return book.execute(book.height + 1, NOW_S * 1000 + 999, entries)


def test_transfer_moves_value_and_splits_the_fee() -> None:
    book = ledger()
    (receipt,) = execute(book, entry(payload(value=3 * ETHER)))
    assert receipt == ExecutionReceipt(
        position=0,
        code="executed",
        success=True,
        reason="",
        gas_used=21_000,
        fee=21_000 * PRICE,
        amount_in=0,
        amount_out=0,
    )
    assert book.balance(ALICE) == 97 * ETHER - 21_000 * PRICE
    assert book.balance(BOB) == 4 * ETHER
    assert book.balance(PROPOSER) == 21_000 * PRIORITY
    assert book.burned == 21_000 * BASE
    assert book.nonce(ALICE) == 1
    assert book.height == 1


def test_price_is_capped_by_max_fee() -> None:
    book = ledger()
    (receipt,) = execute(book, entry(payload(), max_fee_per_gas=BASE + 1))
    assert receipt.fee == 21_000 * (BASE + 1)
    assert book.balance(PROPOSER) == 21_000


@pytest.mark.parametrize("failure", Failure)
def test_failure_charges_the_whole_gas_limit_and_uses_the_nonce(failure: Failure) -> None:
    book = ledger()
    (receipt,) = execute(book, entry(failure, gas_limit=42_000))
    assert (receipt.code, receipt.success, receipt.gas_used) == (failure.value, False, 42_000)
    assert receipt.fee == 42_000 * PRICE
    assert book.balance(ALICE) == 100 * ETHER - 42_000 * PRICE
    assert book.nonce(ALICE) == 1


def test_value_above_balance_is_not_executable_and_charges_intrinsic_gas() -> None:
    book = ledger()
    inside = payload(value=100 * ETHER, data=b"\x01\x00", to=ROUTER)
    (receipt,) = execute(book, entry(inside))
    assert receipt.code == "not_executable"
    assert "value" in receipt.reason
    assert receipt.fee == intrinsic_gas(b"\x01\x00") * PRICE
    assert book.nonce(ALICE) == 1


def test_value_cannot_be_paid_from_what_a_later_entry_reserves() -> None:
    reserved = 336_000 * MAX_FEE
    spendable = 100 * ETHER - 2 * reserved
    first, second = execute(ledger(), entry(payload(value=spendable + 1)), entry(payload(), nonce=1))
    assert (first.code, second.code) == ("not_executable", "executed")
    first, second = execute(ledger(), entry(payload(value=spendable)), entry(payload(), nonce=1))
    assert (first.code, second.code) == ("executed", "executed")


def test_refund_is_released_when_the_entry_has_run() -> None:
    book = ledger()
    released = 100 * ETHER - 336_000 * MAX_FEE - 21_000 * PRICE
    first, second = execute(book, entry(payload()), entry(payload(value=released), nonce=1))
    assert (first.code, second.code) == ("executed", "executed")
    assert book.balance(ALICE) == (336_000 * MAX_FEE) - 21_000 * PRICE


def test_reservation_above_balance_charges_no_more_than_there_is() -> None:
    book = ledger()
    greedy = entry(payload(), sender=BOB, max_fee_per_gas=10**14, max_priority_fee_per_gas=10**14)
    (receipt,) = execute(book, greedy)
    assert receipt.code == "not_executable"
    assert receipt.fee == ETHER
    assert book.balance(BOB) == 0
    assert book.nonce(BOB) == 1


@pytest.mark.parametrize(
    ("nonce", "max_fee", "reason"), [(1, MAX_FEE, "nonce 1, expected 0"), (0, BASE - 1, "below the base fee")]
)
def test_inadmissible_header_is_not_executable(nonce: int, max_fee: int, reason: str) -> None:
    book = ledger()
    (receipt,) = execute(book, entry(payload(value=ETHER), nonce=nonce, max_fee_per_gas=max_fee))
    assert receipt.code == "not_executable"
    assert reason in receipt.reason
    assert book.balance(BOB) == ETHER
    assert book.nonce(ALICE) == 1


@pytest.mark.parametrize(
    ("inside", "reason", "gas"),
    [
        (payload(to=ROUTER, value=1), "contract takes no plain transfer", 21_000),
        (payload(to=WETH, value=1), "contract takes no plain transfer", 21_000),
        (payload(value=1, data=b"\x01"), "no contract at this address", 21_016),
        (payload(to=ROUTER, data=b"\x01"), "no such router call: unknown selector 0x01", 21_016),
        (payload(value=1, gas_limit=20_999), "out of gas", 21_000),
        (payload(to=ROUTER, data=b"\x01", gas_limit=0), "out of gas", 21_016),
    ],
)
def test_call_that_is_no_operation_reverts_and_keeps_its_value(
    inside: EthereumTransaction, reason: str, gas: int
) -> None:
    book = ledger()
    (receipt,) = execute(book, entry(inside))
    assert (receipt.code, receipt.success, receipt.reason, receipt.gas_used) == ("executed", False, reason, gas)
    assert book.balance(ALICE) == 100 * ETHER - gas * PRICE


def test_ether_swap_pays_the_recipient_and_the_pool() -> None:
    book = ledger()
    expected = amount_out(ETHER_SIDE, TOKEN_SIDE, 10 * ETHER)
    (receipt,) = execute(book, call(swap(SwapKind.EXACT_ETH_FOR_TOKENS, 10 * ETHER, expected, WETH, TOKEN)))
    assert (receipt.success, receipt.gas_used) == (True, 87_700)
    assert (receipt.amount_in, receipt.amount_out) == (10 * ETHER, expected)
    assert book.balance(ALICE) == 90 * ETHER - SWAP_GAS * PRICE
    assert book.token_balance(TOKEN, BOB) == expected
    assert book.pool(WETH, TOKEN).reserves(WETH) == (ETHER_SIDE + 10 * ETHER, TOKEN_SIDE - expected)


def test_token_swap_to_ether_credits_ether() -> None:
    book = ledger()
    expected = amount_out(TOKEN_SIDE, ETHER_SIDE, 6_000 * ETHER)
    execute(book, call(swap(SwapKind.EXACT_TOKENS_FOR_ETH, 6_000 * ETHER, expected, TOKEN, WETH)))
    assert book.balance(BOB) == ETHER + expected
    assert book.token_balance(TOKEN, ALICE) == 4_000 * ETHER


def test_token_swap_follows_a_path_of_two_pools() -> None:
    book = ledger()
    middle = amount_out(ETHER_SIDE, TOKEN_SIDE, ETHER)
    expected = amount_out(TOKEN_SIDE, OTHER_SIDE, middle)
    (receipt,) = execute(book, call(swap(SwapKind.EXACT_TOKENS_FOR_TOKENS, ETHER, 0, WETH, TOKEN, OTHER)))
    assert receipt.gas_used == SWAP_GAS + EXTRA_HOP_GAS
    assert book.token_balance(OTHER, BOB) == receipt.amount_out == expected
    assert book.token_balance(TOKEN, BOB) == 0
    assert book.pool(TOKEN, OTHER).reserves(TOKEN) == (TOKEN_SIDE + middle, OTHER_SIDE - expected)


def test_exact_output_swap_pays_what_the_library_asks() -> None:
    book = ledger()
    middle = amount_in(TOKEN_SIDE, OTHER_SIDE, ETHER)
    paid = amount_in(ETHER_SIDE, TOKEN_SIDE, middle)
    (receipt,) = execute(book, call(swap(SwapKind.TOKENS_FOR_EXACT_TOKENS, ETHER, paid, WETH, TOKEN, OTHER)))
    assert (receipt.amount_in, receipt.amount_out) == (paid, ETHER)
    assert book.token_balance(WETH, ALICE) == 5 * ETHER - paid
    assert book.token_balance(OTHER, BOB) == ETHER


def test_path_that_returns_through_its_pool_prices_both_hops_before_the_call() -> None:
    book = ledger()
    middle = amount_out(ETHER_SIDE, TOKEN_SIDE, ETHER)
    final = amount_out(TOKEN_SIDE, ETHER_SIDE, middle)
    (receipt,) = execute(book, call(swap(SwapKind.EXACT_TOKENS_FOR_TOKENS, ETHER, 0, WETH, TOKEN, WETH)))
    assert (receipt.success, receipt.amount_out) == (True, final)
    assert book.pool(WETH, TOKEN).reserves(WETH) == (ETHER_SIDE + ETHER - final, TOKEN_SIDE)


TOKENS, ETH_IN, ETH_OUT, EXACT_OUT = (
    SwapKind.EXACT_TOKENS_FOR_TOKENS,
    SwapKind.EXACT_ETH_FOR_TOKENS,
    SwapKind.EXACT_TOKENS_FOR_ETH,
    SwapKind.TOKENS_FOR_EXACT_TOKENS,
)
QUOTE = amount_out(ETHER_SIDE, TOKEN_SIDE, ETHER)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (swap(ETH_IN, ETHER, 0, WETH, TOKEN, deadline=NOW_S - 1), "UniswapV2Router: EXPIRED"),
        (swap(ETH_IN, ETHER, QUOTE + 1, WETH, TOKEN), "UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT"),
        (swap(EXACT_OUT, QUOTE, ETHER // 2, WETH, TOKEN), "UniswapV2Router: EXCESSIVE_INPUT_AMOUNT"),
        (swap(ETH_IN, ETHER, 0, TOKEN, WETH), "UniswapV2Router: INVALID_PATH"),
        (swap(ETH_OUT, ETHER, 0, WETH, TOKEN), "UniswapV2Router: INVALID_PATH"),
        (swap(ETH_IN, ETHER, 0), "UniswapV2Router: INVALID_PATH"),
        (swap(TOKENS, ETHER, 0, TOKEN), "UniswapV2Library: INVALID_PATH"),
        (swap(TOKENS, ETHER, 0, TOKEN, TOKEN), "UniswapV2Library: IDENTICAL_ADDRESSES"),
        (swap(TOKENS, ETHER, 0, OTHER, WETH), "no pool for this pair"),
        (swap(TOKENS, 0, 0, TOKEN, WETH), "UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT"),
        (swap(EXACT_OUT, 0, ETHER, TOKEN, WETH), "UniswapV2Library: INSUFFICIENT_OUTPUT_AMOUNT"),
        (swap(EXACT_OUT, 2 * ETHER_SIDE, ETHER, TOKEN, WETH), "ds-math-sub-underflow"),
        (swap(TOKENS, 10_001 * ETHER, 0, TOKEN, WETH), "TransferHelper: TRANSFER_FROM_FAILED"),
        (swap(TOKENS, 1, 0, TOKEN, WETH), "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT"),
        (swap(ETH_IN, ETHER, 0, WETH, TOKEN, to=WETH), "UniswapV2: INVALID_TO"),
        (swap(ETH_OUT, ETHER, 0, TOKEN, WETH, to=ROUTER), "TransferHelper: ETH_TRANSFER_FAILED"),
    ],
)
def test_swap_reverts_with_the_reason_of_the_contracts_and_changes_nothing(refused: Swap, reason: str) -> None:
    book = ledger()
    before = book.snapshot()
    (receipt,) = execute(book, call(refused))
    assert (receipt.code, receipt.success, receipt.reason) == ("executed", False, reason)
    assert receipt.gas_used == REVERTED_SWAP_GAS
    assert (receipt.amount_in, receipt.amount_out) == (0, 0)
    assert book.balance(ALICE) == 100 * ETHER - REVERTED_SWAP_GAS * PRICE
    assert (book.snapshot().pools, book.snapshot().token_balances) == (before.pools, before.token_balances)


def test_swap_runs_in_the_second_of_its_deadline() -> None:
    (receipt,) = execute(ledger(), call(swap(ETH_IN, ETHER, QUOTE, WETH, TOKEN, deadline=NOW_S)))
    assert receipt.success


def test_swap_without_enough_gas_reverts_and_uses_its_own_limit() -> None:
    book = ledger()
    (receipt,) = execute(book, call(swap(ETH_IN, ETHER, 0, WETH, TOKEN), gas_limit=SWAP_GAS - 1))
    assert (receipt.success, receipt.reason, receipt.gas_used) == (False, "out of gas", SWAP_GAS - 1)
    assert book.token_balance(TOKEN, BOB) == 0
    (receipt,) = execute(ledger(), call(swap(ETH_IN, ETHER, 0, WETH, TOKEN), gas_limit=SWAP_GAS))
    assert receipt.success


def test_batch_is_executed_in_the_order_given() -> None:
    buy = call(swap(ETH_IN, 20 * ETHER, 0, WETH, TOKEN))
    small = swap(ETH_IN, ETHER // 10, 0, WETH, TOKEN)
    late = entry(payload(to=ROUTER, value=small.value, data=encode(small)), sender=BOB)
    first = execute(ledger(), late, buy)[0].amount_out
    second = execute(ledger(), buy, late)[1].amount_out
    assert first == amount_out(ETHER_SIDE, TOKEN_SIDE, ETHER // 10)
    assert second < first


def test_empty_batch_moves_the_height_only() -> None:
    book = ledger()
    before = book.snapshot()
    assert book.execute(7, 0, ()) == ()
    assert book.height == 7
    assert book.snapshot().accounts == before.accounts


@pytest.mark.parametrize("height", [0, 1])
def test_execute_refuses_a_height_that_is_not_above_the_last(height: int) -> None:
    book = ledger()
    book.execute(1, 0, ())
    with pytest.raises(ValueError, match="not above 1"):
        book.execute(height, 0, ())


def test_snapshot_is_sorted_and_leaves_out_what_is_empty() -> None:
    book = ledger()
    execute(book, entry(payload(value=1), nonce=0))
    state = book.snapshot()
    assert state.height == 1
    assert state.accounts == (
        AccountState(address=ALICE, nonce=1, balance=100 * ETHER - 1 - 21_000 * PRICE),
        AccountState(address=BOB, nonce=0, balance=ETHER + 1),
        AccountState(address=PROPOSER, nonce=0, balance=21_000 * PRIORITY),
    )
    assert state.token_balances == (
        TokenBalance(token=TOKEN, owner=ALICE, amount=10_000 * ETHER),
        TokenBalance(token=WETH, owner=ALICE, amount=5 * ETHER),
    )
    assert [(pool.token0, pool.token1) for pool in state.pools] == [(TOKEN, OTHER), (TOKEN, WETH)]


def test_snapshot_does_not_remember_balances_that_came_and_went() -> None:
    book, untouched = ledger(), ledger()
    everything = swap(TOKENS, 10_000 * ETHER, 0, TOKEN, WETH)
    execute(book, call(everything))
    assert all(balance.amount for balance in book.snapshot().token_balances)
    assert (TOKEN, ALICE) not in {(each.token, each.owner) for each in book.snapshot().token_balances}
    assert untouched.snapshot() == ledger().snapshot()


def test_copy_is_independent() -> None:
    book = ledger()
    twin = book.copy()
    execute(twin, call(swap(ETH_IN, ETHER, 0, WETH, TOKEN)))
    assert book.snapshot() == ledger().snapshot()
    assert twin.snapshot() != book.snapshot()
    assert twin.burned != book.burned


def test_ledger_refuses_negative_balances_and_twin_pools() -> None:
    pool = Pool(token0=TOKEN, token1=WETH, reserve0=1, reserve1=1)
    with pytest.raises(ValueError, match="negative"):
        Ledger(
            chain_id=1,
            accounts={ALICE: -1},
            token_balances={},
            pools=(),
            router=ROUTER,
            weth=WETH,
            base_fee=0,
            fee_recipient=PROPOSER,
        )
    with pytest.raises(ValueError, match="two pools"):
        Ledger(
            chain_id=1,
            accounts={},
            token_balances={},
            pools=(pool, Pool(token0=TOKEN, token1=WETH, reserve0=2, reserve1=2)),
            router=ROUTER,
            weth=WETH,
            base_fee=0,
            fee_recipient=PROPOSER,
        )
