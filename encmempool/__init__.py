"""Private ordering with encrypted mempools.

Clients threshold-encrypt transactions, a sequencer commits to an order it cannot read, and a committee reveals the
contents only after that commitment.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from encmempool.client import Client

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Client":  # imported when asked for: most parts of the package need no network
        from encmempool.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
