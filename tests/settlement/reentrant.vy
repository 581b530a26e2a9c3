# pragma version 0.4.3
# pragma evm-version prague
"""
@title A payee that asks for more while it is being paid
"""

victim: address
again: Bytes[4096]
tried: public(uint256)
succeeded: public(bool)


@external
def act(victim: address, first: Bytes[4096], again: Bytes[4096]):
    """
    @notice Call the victim, and once more from within
    @param victim Whom
    @param first Calldata
    @param again Calldata for when ether comes in
    """
    self.victim = victim
    self.again = again
    raw_call(victim, first)


@external
@payable
def __default__():
    if self.tried == 0 and len(self.again) > 0:
        self.tried = 1
        self.succeeded = raw_call(self.victim, self.again, revert_on_failure=False)
