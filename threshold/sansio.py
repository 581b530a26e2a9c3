"""Effects: what a sans-IO party asks its adapter to do, in order.

A party never touches a disk, a socket or a clock. It returns effects, and the adapter performs them one by one: a
record is durable before the message that depends on it leaves. A party restarted from its records sends the same
bytes again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Persist:
    """Write a record once. Writing the same bytes again is harmless; other bytes under one (kind, key) are a bug."""

    kind: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Hand a message to one peer by index, or to all when `recipient` is None."""

    message: bytes
    recipient: int | None = None


Effect = Persist | Send


class Signer(Protocol):
    """A member's identity key. Signatures are deterministic, so that signing again yields the same bytes."""

    def sign(self, digest: bytes) -> bytes:
        """65 bytes: recoverable secp256k1, low-s, over a 32-byte digest."""


class PeerVerifier(Protocol):
    """Checks members' signatures against the identity keys the ceremony was started with."""

    def verify(self, member: int, digest: bytes, signature: bytes) -> bool: ...
