"""Private ordering with encrypted mempools.

Clients threshold-encrypt transactions, a sequencer commits to an order it cannot read, and a committee reveals the
contents only after that commitment.
"""

__version__ = "0.1.0"
