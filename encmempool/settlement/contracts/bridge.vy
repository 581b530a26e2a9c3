# pragma version 0.4.3
# pragma evm-version prague
"""
@title Bridge: the ether behind the network's
@notice Who transfers wei to his exit address can fetch as much here, once the transfer's state is final. No key opens
        an exit address, so what it holds only grows. Nobody is needed for that but whoever posts commitments.
"""
import ssz
import settlement

event Funded:
    funder: indexed(address)
    amount: uint256

event Exited:
    user: indexed(address)
    amount: uint256

SETTLEMENT: public(immutable(settlement.__interface__))
_STATE_ACCOUNTS: constant(uint256) = 10 << 24

exited: public(HashMap[address, uint256])


@deploy
def __init__(settlement_: address):
    """
    @notice An empty bridge
    @param settlement_ Whose final states count
    """
    SETTLEMENT = settlement.__interface__(settlement_)


@external
@payable
def fund():
    """
    @notice Add to the ether that exits are paid from
    """
    assert msg.value > 0, "nothing"
    log Funded(funder=msg.sender, amount=msg.value)


@external
@nonreentrant
def exit(
    user: address,
    commitment: bytes32[13],
    position: uint256,
    nonce: uint256,
    balance: uint256,
    branch: DynArray[bytes32, 32],
):
    """
    @notice Pay a user what his exit address holds in a final state, less what he was paid before; as much as there is.
            Anybody may have it sent.
    @param user Whose exit address it is, and who is paid
    @param commitment The leaves of a final `OrderCommitment` that names the state
    @param position Of the exit address among the state's accounts
    @param nonce Of this account
    @param balance Of this account
    @param branch From the account to the state's root
    """
    height: uint256 = ssz._to_uint(commitment[0])
    assert height <= staticcall SETTLEMENT.final_height(), "not final"
    assert ssz._root13(commitment) == staticcall SETTLEMENT.roots(height), "not posted"
    account: bytes32 = ssz._account_root(self._exit_address(user), nonce, balance)
    assert position < 2**24, "SSZ branch"
    assert ssz._branch_root(account, _STATE_ACCOUNTS + position, branch) == commitment[12], "SSZ branch"
    before: uint256 = self.exited[user]
    assert balance > before and self.balance > 0, "nothing"
    amount: uint256 = min(balance - before, self.balance)
    self.exited[user] = before + amount
    log Exited(user=user, amount=amount)
    raw_call(user, b"", value=amount)


@external
@pure
def exit_address(user: address) -> address:
    """
    @notice The address on the network from which there is no way but here
    @param user Who will be paid
    """
    return self._exit_address(user)


@internal
@pure
def _exit_address(user: address) -> address:
    digest: bytes32 = sha256(concat(b"encmempool exit", convert(user, bytes20)))
    return convert(convert(digest, uint256) & (2**160 - 1), address)
