"""State and execution of revealed transactions: balances, nonces, pools and the four router swaps.

Every entry of a batch gets a receipt and uses one nonce, whatever it turns out to hold (rules 2 and 5, outcome
table): the ledger is total and raises on no party's input.

Money. The reservation of every entry (gas_limit * max_fee_per_gas) is escrowed before the first entry runs. When
an entry has run, its fee is taken from its own escrow and the rest is released at once, so a release depends
only on earlier positions of the committed order, and no entry can spend what a later one has reserved. The
price is min(max_fee, base_fee + priority); the base-fee part is burned, the rest goes to the fee recipient. No fee
exceeds the escrow.

Simplifications. The router is approved for every token by genesis (no `approve`). Accounts hold no code. Ether
sent to the router or the WETH contract reverts. Gas follows the fixed schedule below instead of an EVM, and
does not depend on amounts or addresses of a swap.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from encmempool.errors import Malformed
from encmempool.ethereum import TRANSFER_GAS, EthereumTransaction, intrinsic_gas
from encmempool.execution.pools import Pool, Reverted, amount_in, amount_out
from encmempool.execution.router import Swap, SwapKind, decode as decode_call

SWAP_GAS = 87_700
"""A one-hop router swap, calldata included: measured on the genuine contracts (research, section 6.2)."""
EXTRA_HOP_GAS = 60_000
"""Each further hop: another pair's storage, two transfers and its events; our estimate."""
REVERTED_SWAP_GAS = 35_000
"""A well-formed swap the router refuses, any path: it stops after reading reserves; our estimate."""


class Failure(StrEnum):
    """Why a revealed entry holds nothing that can run. Its whole gas limit is charged."""

    UNDECRYPTABLE = "undecryptable"
    BAD_PADDING = "bad_padding"
    BAD_PAYLOAD = "bad_payload"
    HEADER_MISMATCH = "header_mismatch"


EXECUTED = "executed"
NOT_EXECUTABLE = "not_executable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One committed transaction after the reveal: its public header and what was inside.

    Gas in units, fees in wei per gas. The payload's sender, nonce, chain and fees must already equal the header's
    (else it is HEADER_MISMATCH); the header is what is charged.
    """

    sender: bytes
    nonce: int
    gas_limit: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    payload: EthereumTransaction | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReceipt:
    """What happened to the entry at `position` of its batch.

    code          an outcome of the protocol's table; `success` is False for every code but "executed"
    reason        of a revert or of "not_executable", else empty
    fee           wei, taken from the escrow
    amount_in     of a successful swap, in units of the first token of its path, else 0
    amount_out    of a successful swap, in units of the last token, else 0
    """

    position: int
    code: str
    success: bool
    reason: str
    gas_used: int
    fee: int
    amount_in: int
    amount_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """Balance in wei."""

    address: bytes
    nonce: int
    balance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBalance:
    """Amount in the token's smallest unit."""

    token: bytes
    owner: bytes
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """Everything execution depends on, sorted by address; empty accounts and zero balances left out."""

    height: int
    accounts: tuple[AccountState, ...]
    token_balances: tuple[TokenBalance, ...]
    pools: tuple[Pool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """Where a ledger may differ from the one it is a copy of: addresses, (token, owner), and pairs as in `Pool`."""

    accounts: set[bytes] = field(default_factory=set)
    tokens: set[tuple[bytes, bytes]] = field(default_factory=set)
    pools: set[tuple[bytes, bytes]] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trade:
    """A swap that will succeed: what it moves, before anything is written."""

    swap: Swap
    paid: int
    received: int
    pools: dict[tuple[bytes, bytes], Pool]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    code: str = EXECUTED
    reason: str = ""
    gas_used: int
    trade: _Trade | None = None


class Ledger:
    """The chain's state at one height. Addresses have 20 bytes, ether is in wei.

    accounts         ether by address; nonces start at 0
    token_balances   by (token, owner)
    router, weth     addresses; the ether behind WETH is not an account's balance
    base_fee         wei per gas, constant
    """

    def __init__(
        self,
        *,
        chain_id: int,
        accounts: Mapping[bytes, int],
        token_balances: Mapping[tuple[bytes, bytes], int],
        pools: Iterable[Pool],
        router: bytes,
        weth: bytes,
        base_fee: int,
        fee_recipient: bytes,
    ) -> None:
        if base_fee < 0 or any(amount < 0 for amount in (*accounts.values(), *token_balances.values())):
            raise ValueError("balances and base fee cannot be negative")
        self.chain_id = chain_id
        self.router = router
        self.weth = weth
        self.base_fee = base_fee
        self.fee_recipient = fee_recipient
        self.touched = Touched()
        self._height = 0
        self._burned = 0
        self._balances = dict(accounts)
        self._nonces: dict[bytes, int] = {}
        self._tokens = dict(token_balances)
        self._pools: dict[tuple[bytes, bytes], Pool] = {}
        for pool in pools:
            if self._pools.setdefault((pool.token0, pool.token1), pool) is not pool:
                raise ValueError("two pools for one pair of tokens")

    @property
    def height(self) -> int:
        """Of the last batch executed; 0 at genesis."""
        return self._height

    @property
    def burned(self) -> int:
        """Wei destroyed by base fees since genesis."""
        return self._burned

    def nonce(self, address: bytes) -> int:
        """The next nonce `address` may use."""
        return self._nonces.get(address, 0)

    def balance(self, address: bytes) -> int:
        """Wei held by `address`."""
        return self._balances.get(address, 0)

    def token_balance(self, token: bytes, address: bytes) -> int:
        """Units of `token` held by `address`."""
        return self._tokens.get((token, address), 0)

    def pool(self, token_a: bytes, token_b: bytes) -> Pool:
        """The pool of two tokens, in either order. KeyError if there is none."""
        return self._pools[min(token_a, token_b), max(token_a, token_b)]

    def snapshot(self) -> LedgerState:
        """The state as sorted values, for a root computed elsewhere. Cost: one sort."""
        addresses = sorted(self._balances.keys() | self._nonces.keys())
        return LedgerState(
            height=self._height,
            accounts=tuple(
                AccountState(address=address, nonce=nonce, balance=balance)
                for address in addresses
                if (nonce := self.nonce(address)) | (balance := self.balance(address))
            ),
            token_balances=tuple(
                TokenBalance(token=token, owner=owner, amount=amount)
                for (token, owner), amount in sorted(self._tokens.items())
                if amount
            ),
            pools=tuple(pool for _, pool in sorted(self._pools.items(), key=lambda item: item[0])),
        )

    def copy(self) -> Ledger:
        """An independent ledger in the same state."""
        twin = copy.copy(self)
        twin.touched = Touched()
        twin._balances = dict(self._balances)
        twin._nonces = dict(self._nonces)
        twin._tokens = dict(self._tokens)
        twin._pools = dict(self._pools)
        return twin

    def in_state(self, state: LedgerState, *, burned: int) -> Ledger:
        """A ledger of the same chain in another state."""
        twin = self.copy()
        twin._height, twin._burned = state.height, burned
        twin._balances = {account.address: account.balance for account in state.accounts}
        twin._nonces = {account.address: account.nonce for account in state.accounts if account.nonce}
        twin._tokens = {(balance.token, balance.owner): balance.amount for balance in state.token_balances}
        twin._pools = {(pool.token0, pool.token1): pool for pool in state.pools}
        return twin

    def execute(self, height: int, timestamp_ms: int, entries: Sequence[Entry]) -> tuple[ExecutionReceipt, ...]:
        """Run one batch in the given order and move to `height`.

        timestamp_ms   of the commitment; deadlines compare with its whole seconds

        Returns one receipt per entry. ValueError if `height` is not above the ledger's.
        """
        if height <= self._height:
            raise ValueError(f"height {height} is not above {self._height}, the last one executed")
        escrows = [self._escrow(entry) for entry in entries]
        receipts = tuple(
            self._execute_one(position, entry, escrow, timestamp_ms // 1000)
            for position, (entry, escrow) in enumerate(zip(entries, escrows, strict=True))
        )
        self._height = height
        return receipts

    def _escrow(self, entry: Entry) -> int:
        """Set the reservation aside, or all there is: such an entry was not admissible and will not run."""
        escrow = min(_reservation(entry), self.balance(entry.sender))
        self._credit(entry.sender, -escrow)
        return escrow

    def _execute_one(self, position: int, entry: Entry, escrow: int, now_s: int) -> ExecutionReceipt:
        run = self._decide(entry, escrow, now_s)
        success = run.code == EXECUTED and not run.reason
        if success:
            assert not isinstance(entry.payload, Failure)
            self._write(entry.sender, entry.payload, run.trade)
        price = min(entry.max_fee_per_gas, self.base_fee + entry.max_priority_fee_per_gas)
        fee = min(run.gas_used * price, escrow)
        burned = min(run.gas_used * self.base_fee, fee)
        self._burned += burned
        self._credit(self.fee_recipient, fee - burned)
        self._credit(entry.sender, escrow - fee)
        self._use_nonce(entry.sender)
        return ExecutionReceipt(
            position=position,
            code=run.code,
            success=success,
            reason=run.reason,
            gas_used=run.gas_used,
            fee=fee,
            amount_in=run.trade.paid if run.trade else 0,
            amount_out=run.trade.received if run.trade else 0,
        )

    def _decide(self, entry: Entry, escrow: int, now_s: int) -> _Run:
        """What the entry does, without writing."""
        payload = entry.payload
        if isinstance(payload, Failure):
            return _Run(code=payload.value, gas_used=entry.gas_limit)
        intrinsic = intrinsic_gas(payload.data)
        charged = min(intrinsic, entry.gas_limit)
        obstacle = self._obstacle(entry, payload, escrow)
        if obstacle:
            return _Run(code=NOT_EXECUTABLE, reason=obstacle, gas_used=charged)
        gas_limit = min(payload.gas_limit, entry.gas_limit)
        # Before anybody spends time on decoding what is not paid for.
        run = self._call(entry.sender, payload, now_s, gas_limit, intrinsic) if intrinsic <= gas_limit else None
        if run is not None and run.gas_used <= gas_limit:
            return run
        # A limit below the intrinsic gas would otherwise buy a place in the batch for nothing.
        return _Run(reason="out of gas", gas_used=max(gas_limit, charged))

    def _obstacle(self, entry: Entry, payload: EthereumTransaction, escrow: int) -> str:
        if escrow < _reservation(entry):
            return "balance does not cover the reservation"
        if entry.max_fee_per_gas < self.base_fee:
            return "max_fee_per_gas is below the base fee"
        if entry.nonce != self.nonce(entry.sender):
            return f"nonce {entry.nonce}, expected {self.nonce(entry.sender)}"
        if payload.value > self.balance(entry.sender):
            return "balance does not cover the value"
        return ""

    def _call(self, sender: bytes, payload: EthereumTransaction, now_s: int, gas_limit: int, intrinsic: int) -> _Run:
        if not payload.data:
            refused = payload.to in (self.router, self.weth)
            return _Run(reason="contract takes no plain transfer" if refused else "", gas_used=TRANSFER_GAS)
        if payload.to != self.router:
            return _Run(reason="no contract at this address", gas_used=intrinsic)
        try:
            swap = decode_call(payload.data, payload.value)
        except Malformed as error:
            return _Run(reason=f"no such router call: {error}", gas_used=intrinsic)
        hops = EXTRA_HOP_GAS * (len(swap.path) - 2)
        if hops > gas_limit:
            return _Run(reason="out of gas", gas_used=hops)
        try:
            trade = self._trade(sender, swap, now_s)
        except Reverted as error:
            return _Run(reason=str(error), gas_used=max(REVERTED_SWAP_GAS, intrinsic))
        return _Run(gas_used=max(SWAP_GAS + hops, intrinsic), trade=trade)

    def _trade(self, sender: bytes, swap: Swap, now_s: int) -> _Trade:
        """Check and price a swap in the order of UniswapV2Router02. Raises Reverted with its reasons."""
        if swap.deadline < now_s:
            raise Reverted("UniswapV2Router: EXPIRED")
        from_ether = swap.kind is SwapKind.EXACT_ETH_FOR_TOKENS
        to_ether = swap.kind is SwapKind.EXACT_TOKENS_FOR_ETH
        if (from_ether and swap.path[:1] != (self.weth,)) or (to_ether and swap.path[-1:] != (self.weth,)):
            raise Reverted("UniswapV2Router: INVALID_PATH")
        if len(swap.path) < 2:
            raise Reverted("UniswapV2Library: INVALID_PATH")
        amounts = self._amounts(swap)
        if not from_ether and self.token_balance(swap.path[0], sender) < amounts[0]:
            raise Reverted("TransferHelper: TRANSFER_FROM_FAILED")

        after: dict[tuple[bytes, bytes], Pool] = {}
        for (token_in, token_out), (paid, taken) in zip(pairwise(swap.path), pairwise(amounts), strict=True):
            pool = self._existing_pool(token_in, token_out)
            key = pool.token0, pool.token1
            after[key] = after.get(key, pool).swap(token_in, paid, taken)
        if not to_ether and swap.recipient in swap.path[-2:]:
            raise Reverted("UniswapV2: INVALID_TO")
        if to_ether and swap.recipient in (self.router, self.weth):
            raise Reverted("TransferHelper: ETH_TRANSFER_FAILED")
        return _Trade(swap=swap, paid=amounts[0], received=amounts[-1], pools=after)

    def _amounts(self, swap: Swap) -> list[int]:
        """Amounts along the path at the reserves before the call, as the router computes them."""
        if swap.kind is SwapKind.TOKENS_FOR_EXACT_TOKENS:
            amounts = [swap.exact]
            for token_in, token_out in reversed(tuple(pairwise(swap.path))):
                pool = self._existing_pool(token_in, token_out)
                amounts.insert(0, amount_in(*pool.reserves(token_in), amounts[0]))
            if amounts[0] > swap.bound:
                raise Reverted("UniswapV2Router: EXCESSIVE_INPUT_AMOUNT")
            return amounts
        amounts = [swap.exact]
        for token_in, token_out in pairwise(swap.path):
            pool = self._existing_pool(token_in, token_out)
            amounts.append(amount_out(*pool.reserves(token_in), amounts[-1]))
        if amounts[-1] < swap.bound:
            raise Reverted("UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT")
        return amounts

    def _existing_pool(self, token_a: bytes, token_b: bytes) -> Pool:
        if token_a == token_b:
            raise Reverted("UniswapV2Library: IDENTICAL_ADDRESSES")
        try:
            return self.pool(token_a, token_b)
        except KeyError:
            raise Reverted("no pool for this pair") from None

    def _write(self, sender: bytes, payload: EthereumTransaction, trade: _Trade | None) -> None:
        self._credit(sender, -payload.value)
        if trade is None:
            self._credit(payload.to, payload.value)
            return
        swap = trade.swap
        if swap.kind is not SwapKind.EXACT_ETH_FOR_TOKENS:
            self._credit_token(swap.path[0], sender, -trade.paid)
        if swap.kind is SwapKind.EXACT_TOKENS_FOR_ETH:
            self._credit(swap.recipient, trade.received)
        else:
            self._credit_token(swap.path[-1], swap.recipient, trade.received)
        self._pools.update(trade.pools)
        self.touched.pools.update(trade.pools)

    def _use_nonce(self, address: bytes) -> None:
        self._nonces[address] = self.nonce(address) + 1
        self.touched.accounts.add(address)

    def _credit(self, address: bytes, amount: int) -> None:
        balance = self._balances.get(address, 0) + amount
        assert balance >= 0
        self._balances[address] = balance
        self.touched.accounts.add(address)

    def _credit_token(self, token: bytes, owner: bytes, amount: int) -> None:
        at = (token, owner)
        balance = self._tokens.get(at, 0) + amount
        assert balance >= 0
        self._tokens[at] = balance
        self.touched.tokens.add(at)


def _reservation(entry: Entry) -> int:
    return entry.gas_limit * entry.max_fee_per_gas
