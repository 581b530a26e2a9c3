# pragma version 0.4.3
# pragma evm-version prague
"""
@title Collateral of sequencers and members
@notice Bonds by identity address, slashed by the judges named at deployment and by nobody else. What is owed is fetched
        by whom it is owed to. Always: bonded + claimable + pooled + burnt + paid = deposited, and this contract holds
        all of it but what is paid. What is burnt stays here for ever.
"""

event Deposited:
    party: indexed(address)
    amount: uint256

event UnbondingBegun:
    party: indexed(address)
    withdrawable_at: uint256

event UnbondingCancelled:
    party: indexed(address)

event Withdrawn:
    party: indexed(address)
    amount: uint256

event Slashed:
    party: indexed(address)
    amount: uint256
    reward: uint256
    compensation: uint256
    pooled: uint256

event PayeeNamed:
    party: indexed(address)
    payee: address

UNBONDING_BLOCKS: public(immutable(uint256))
PENALTY: public(immutable(uint256))
COMPENSATION: public(immutable(uint256))
REWARD_BPS: public(immutable(uint256))
POOL_BPS: public(immutable(uint256))
JUDGE: public(immutable(address))
CHALLENGES: public(immutable(address))

bond: public(HashMap[address, uint256])
unbonding_since: public(HashMap[address, uint256])
open_challenges: public(HashMap[address, uint256])
claimable: public(HashMap[address, uint256])
pool: public(HashMap[address, uint256])
_payees: HashMap[address, address]

deposited: public(uint256)
bonded: public(uint256)
total_claimable: public(uint256)
pooled: public(uint256)
burnt: public(uint256)
paid: public(uint256)


@deploy
def __init__(
    judge: address,
    challenges: address,
    unbonding_blocks: uint256,
    penalty: uint256,
    compensation: uint256,
    reward_bps: uint256,
    pool_bps: uint256,
):
    """
    @notice Fix who slashes, and how much
    @param judge Slashes whole bonds on evidence
    @param challenges Slashes, and locks, on challenges
    @param unbonding_blocks From the beginning of unbonding to withdrawal; longer than evidence takes
    @param penalty Of a bond, for what was promised and not done; all of it for what was done and forbidden
    @param compensation To the harmed, of the penalty or the offender's pool
    @param reward_bps Of the rest, to who reports, in ten-thousandths
    @param pool_bps Of the rest, kept to compensate whom the same offender harmed; what remains is burnt
    """
    assert compensation <= penalty and reward_bps + pool_bps <= 10_000, "schedule"
    JUDGE = judge
    CHALLENGES = challenges
    UNBONDING_BLOCKS = unbonding_blocks
    PENALTY = penalty
    COMPENSATION = compensation
    REWARD_BPS = reward_bps
    POOL_BPS = pool_bps


@external
@payable
def deposit(party: address):
    """
    @notice Add to a party's bond. Anybody may; it then belongs to the party's payee.
    @param party The identity address, by which it signs
    """
    assert party != empty(address) and msg.value > 0, "nothing"
    self.deposited += msg.value
    self.bonded += msg.value
    self.bond[party] += msg.value
    log Deposited(party=party, amount=msg.value)


@external
def name_payee(party: address, payee: address):
    """
    @notice Hand the say over a bond to another address: unbonding, withdrawing, naming the next payee
    @param party Whose bond. It is its own payee at first.
    @param payee The address that the bond is for from now on
    """
    assert msg.sender == self._payee(party), "payee"
    assert payee != empty(address), "payee"
    self._payees[party] = payee
    log PayeeNamed(party=party, payee=payee)


@external
def begin_unbonding(party: address):
    """
    @notice Start the delay after which the bond can be withdrawn. Until then it can be slashed; it counts as none.
    @param party Whose bond; by its payee only
    """
    assert msg.sender == self._payee(party), "payee"
    assert self.bond[party] > 0 and self.unbonding_since[party] == 0, "unbonding"
    self.unbonding_since[party] = block.number
    log UnbondingBegun(party=party, withdrawable_at=block.number + UNBONDING_BLOCKS)


@external
def cancel_unbonding(party: address):
    """
    @notice Have the bond count again
    @param party Whose bond; by its payee only
    """
    assert msg.sender == self._payee(party), "payee"
    assert self.unbonding_since[party] != 0, "unbonding"
    self.unbonding_since[party] = 0
    log UnbondingCancelled(party=party)


@external
@nonreentrant
def withdraw(party: address):
    """
    @notice Pay the bond out after the delay, unless a challenge against the party is open
    @param party Whose bond; by its payee only, to whom it goes
    """
    payee: address = self._payee(party)
    since: uint256 = self.unbonding_since[party]
    assert msg.sender == payee, "payee"
    assert since != 0 and block.number >= since + UNBONDING_BLOCKS, "unbonding"
    assert self.open_challenges[party] == 0, "challenged"
    amount: uint256 = self.bond[party]
    self.bond[party] = 0
    self.unbonding_since[party] = 0
    self.bonded -= amount
    self.paid += amount
    log Withdrawn(party=party, amount=amount)
    raw_call(payee, b"", value=amount)


@external
@nonreentrant
def claim(beneficiary: address):
    """
    @notice Pay out what somebody is owed. Anybody may have it sent.
    @param beneficiary To whom it is owed and goes
    """
    amount: uint256 = self.claimable[beneficiary]
    assert amount > 0, "nothing"
    self.claimable[beneficiary] = 0
    self.total_claimable -= amount
    self.paid += amount
    raw_call(beneficiary, b"", value=amount)


@external
@payable
def credit(beneficiary: address):
    """
    @notice Owe somebody the ether sent: a challenge's bond that was decided
    @param beneficiary To whom
    """
    assert msg.sender == CHALLENGES, "judges only"
    self.deposited += msg.value
    self._owe(beneficiary, msg.value)


@external
def lock(party: address):
    """
    @notice Keep a bond from being withdrawn while a challenge is open
    @param party Whose bond
    """
    assert msg.sender == CHALLENGES, "judges only"
    self.open_challenges[party] += 1


@external
def unlock(party: address):
    """
    @notice The challenge is closed
    @param party Whose bond
    """
    assert msg.sender == CHALLENGES, "judges only"
    self.open_challenges[party] -= 1


@external
def slash(party: address, whole: bool, reporter: address, harmed: address) -> uint256:
    """
    @notice Take a bond, or the penalty, and owe it to the harmed, the reporter and the pool; burn the rest. Never
            reverts for lack of a bond. Returns what was taken.
    @param party The offender
    @param whole All of its bond, else the penalty
    @param reporter Who gets the reward
    @param harmed Who gets the compensation; the zero address for none
    """
    assert msg.sender == JUDGE or msg.sender == CHALLENGES, "judges only"
    bond: uint256 = self.bond[party]
    taken: uint256 = bond if whole else min(bond, PENALTY)
    self.bond[party] = bond - taken
    self.bonded -= taken

    owed: uint256 = COMPENSATION if harmed != empty(address) else 0
    compensation: uint256 = min(owed, taken)
    rest: uint256 = taken - compensation
    reward: uint256 = rest * REWARD_BPS // 10_000
    pooled: uint256 = rest * POOL_BPS // 10_000
    self.burnt += rest - reward - pooled

    # Compensation that the bond is too short for comes from what this offender was slashed of before. Anybody else's
    # pool would be open to a sequencer who breaks promises to itself.
    from_pool: uint256 = min(owed - compensation, self.pool[party])
    self.pool[party] = self.pool[party] + pooled - from_pool
    self.pooled = self.pooled + pooled - from_pool
    compensation += from_pool
    if compensation > 0:
        self._owe(harmed, compensation)
    if reward > 0:
        self._owe(reporter, reward)
    log Slashed(party=party, amount=taken, reward=reward, compensation=compensation, pooled=pooled)
    return taken


@external
@view
def is_bonded(party: address, minimum: uint256) -> bool:
    """
    @notice Whether a party has at least this bond and is not withdrawing it
    @param party The identity address
    @param minimum In wei
    """
    return self.bond[party] >= minimum and self.unbonding_since[party] == 0


@external
@view
def payee(party: address) -> address:
    """
    @notice Who has the say over a bond
    @param party Whose bond
    """
    return self._payee(party)


@internal
@view
def _payee(party: address) -> address:
    named: address = self._payees[party]
    return party if named == empty(address) else named


@internal
def _owe(beneficiary: address, amount: uint256):
    self.total_claimable += amount
    self.claimable[beneficiary] += amount
