"""The root of the state that is kept from height to height equals the one computed from all its parts."""

from hypothesis import given, settings, strategies as st
from remerkleable.basic import uint64, uint256
from remerkleable.byte_arrays import ByteVector
from remerkleable.complex import Container, List

from encmempool.ethereum import EthereumTransaction
from encmempool.execution.ledger import Entry, Ledger, LedgerState
from encmempool.execution.pools import Pool
from encmempool.execution.router import Swap, SwapKind, encode
from encmempool.reveal import Snapshot
from encmempool.state import StateTree
from encmempool.types import state_root

TOKEN, OTHER, WETH = b"\x10" * 20, b"\x20" * 20, b"\xc0" * 20
ROUTER, PROPOSER = b"\x7a" * 20, b"\xfe" * 20
PEOPLE = tuple(bytes([byte]) * 20 for byte in range(1, 8))
STRANGERS = tuple(bytes([byte]) * 20 for byte in (0, 0x35, 0x85, 0xFF))
HELD = 10**6


class Account(Container):
    address: ByteVector[20]
    nonce: uint64
    balance: uint256


class Balance(Container):
    token: ByteVector[20]
    owner: ByteVector[20]
    amount: uint256


class Pair(Container):
    token0: ByteVector[20]
    token1: ByteVector[20]
    reserve0: uint256
    reserve1: uint256


class State(Container):
    height: uint64
    accounts: List[Account, 1 << 24]
    token_balances: List[Balance, 1 << 24]
    pools: List[Pair, 1 << 10]


def oracle(state: LedgerState) -> bytes:
    accounts = [Account(address=a.address, nonce=a.nonce, balance=a.balance) for a in state.accounts]
    balances = [Balance(token=b.token, owner=b.owner, amount=b.amount) for b in state.token_balances]
    pools = [Pair(token0=p.token0, token1=p.token1, reserve0=p.reserve0, reserve1=p.reserve1) for p in state.pools]
    made = State(height=state.height, accounts=accounts, token_balances=balances, pools=pools)
    return bytes(made.hash_tree_root())


def genesis() -> Ledger:
    return Ledger(
        chain_id=1,
        accounts=dict.fromkeys(PEOPLE[:5], HELD),
        token_balances={(token, person): HELD for token in (TOKEN, OTHER) for person in PEOPLE[1:4]},
        pools=[
            Pool(token0=TOKEN, token1=WETH, reserve0=10**9, reserve1=10**9),
            Pool(token0=TOKEN, token1=OTHER, reserve0=10**9, reserve1=10**9),
        ],
        router=ROUTER,
        weth=WETH,
        base_fee=0,
        fee_recipient=PROPOSER,
    )


@st.composite
def moves(draw: st.DrawFn) -> Entry:
    """A transfer or a swap, often of all there is and often to somebody who has nothing yet. The price is 0 or 1."""
    sender, recipient = draw(st.sampled_from(PEOPLE)), draw(st.sampled_from((*PEOPLE, *STRANGERS)))
    amount = draw(st.sampled_from((HELD, HELD, 1, 500_000)))
    to, value, data = recipient, amount, b""
    if draw(st.booleans()):
        path = draw(
            st.sampled_from([(TOKEN, OTHER), (OTHER, TOKEN), (WETH, TOKEN), (TOKEN, WETH), (OTHER, TOKEN, WETH)])
        )
        kind = SwapKind.EXACT_TOKENS_FOR_TOKENS
        if path[0] == WETH:
            kind = SwapKind.EXACT_ETH_FOR_TOKENS
        elif path[-1] == WETH:
            kind = SwapKind.EXACT_TOKENS_FOR_ETH
        swap = Swap(kind=kind, exact=amount, bound=0, path=path, recipient=recipient, deadline=10**12)
        to, value, data = ROUTER, swap.value, encode(swap)
    price = draw(st.sampled_from((0, 0, 0, 1)))
    payload = EthereumTransaction(
        chain_id=1,
        nonce=0,
        max_priority_fee_per_gas=price,
        max_fee_per_gas=price,
        gas_limit=336_000,
        to=to,
        value=value,
        data=data,
        sender=sender,
        raw=b"",
    )
    return Entry(
        sender=sender,
        nonce=0,
        gas_limit=336_000,
        max_fee_per_gas=price,
        max_priority_fee_per_gas=price,
        payload=payload,
    )


def run(snapshot: Snapshot, height: int, batch: list[Entry]) -> Snapshot:
    """With the nonces that make the entries run."""
    following = {person: snapshot.nonce(person) for person in PEOPLE}
    entries = []
    for entry in batch:
        fields = {name: getattr(entry, name) for name in entry.__slots__}
        entries.append(Entry(**(fields | {"nonce": following[entry.sender]})))
        following[entry.sender] += 1
    after, _ = snapshot.execute(height, 1_000, entries)
    return after


@settings(max_examples=150, deadline=None)
@given(batches=st.lists(st.lists(moves(), max_size=6), max_size=5))
def test_kept_state_root_equals_remerkleables_at_every_height(batches):
    snapshot = Snapshot(0, genesis())
    assert snapshot.root == oracle(snapshot.ledger.snapshot())
    for height, batch in enumerate(batches, 1):
        before = snapshot
        snapshot = run(before, height, batch)
        before.settle()
        state = snapshot.ledger.snapshot()
        assert snapshot.root == state_root(state) == oracle(state)


@settings(max_examples=30, deadline=None)
@given(first=st.lists(moves(), max_size=4), second=st.lists(moves(), max_size=4))
def test_snapshot_is_not_changed_by_what_follows_it(first, second):
    """A batch may be run, found wrong and run otherwise."""
    start = Snapshot(0, genesis())
    root = start.root
    for batch in (first, second, first):
        after = run(start, 1, batch)
        assert after.root == state_root(after.ledger.snapshot())
        assert StateTree(start.ledger).root == root


def test_batches_make_and_use_up_accounts_and_balances():
    """What the random ones above are for: positions that move."""
    sell_all = Swap(
        kind=SwapKind.EXACT_TOKENS_FOR_TOKENS,
        exact=HELD,
        bound=0,
        path=(TOKEN, OTHER),
        recipient=STRANGERS[1],
        deadline=10**12,
    )
    payload = EthereumTransaction(
        chain_id=1,
        nonce=0,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=0,
        gas_limit=336_000,
        to=ROUTER,
        value=0,
        data=encode(sell_all),
        sender=PEOPLE[2],
        raw=b"",
    )
    entry = Entry(
        sender=PEOPLE[2], nonce=0, gas_limit=336_000, max_fee_per_gas=0, max_priority_fee_per_gas=0, payload=payload
    )
    start = Snapshot(0, genesis())
    after = run(start, 1, [entry])
    owners = {(b.token, b.owner) for b in after.ledger.snapshot().token_balances}
    assert (TOKEN, PEOPLE[2]) not in owners
    assert (OTHER, STRANGERS[1]) in owners
    assert after.root == oracle(after.ledger.snapshot())
