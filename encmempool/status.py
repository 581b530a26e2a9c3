"""Where a transaction stands, as every client is told it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from encmempool.errors import Malformed
from encmempool.reveal import Outcome
from encmempool.types import Header

WAITING = ("unknown", "posted", "received", "committed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a transaction stands.

    state        unknown, posted (to the inbox), received, committed, or an outcome such as executed or undecryptable
    sequence     of the receipt
    height       of the commitment, and `position` in its batch
    success      of an executed transaction; `reason` of one that reverted, or what an inbox entry broke
    fee          wei
    """

    tx_id: bytes
    state: str
    sequence: int | None = None
    height: int | None = None
    position: int | None = None
    success: bool | None = None
    reason: str = ""
    gas_used: int | None = None
    fee: int | None = None
    amount_in: int | None = None
    amount_out: int | None = None

    @property
    def final(self) -> bool:
        return self.state not in WAITING

    def document(self) -> dict[str, Any]:
        """As a node answers: integers as decimal strings."""
        return {
            "tx_id": f"0x{self.tx_id.hex()}",
            "state": self.state,
            "final": self.final,
            **{name: _text(getattr(self, name)) for name in _NUMBERS},
            "success": self.success,
            "reason": self.reason,
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any], tx_id: bytes) -> Status:
        """Raises Malformed."""
        try:
            numbers = {name: None if document[name] is None else int(document[name]) for name in _NUMBERS}
            state, success, reason = document["state"], document["success"], document["reason"]
        except (KeyError, TypeError, ValueError) as error:
            raise Malformed(f"the status is not one: {error}") from error
        if not isinstance(state, str) or not isinstance(reason, str) or success not in (None, True, False):
            raise Malformed("the status is not one")
        return cls(tx_id=tx_id, state=state, success=success, reason=reason, **numbers)


def never_committed(header: Header, *, head: int, key_end: int, opened: Callable[[int], bool | None]) -> str | None:
    """What became of a transaction that no commitment took, or None while one still can.

    head      the newest committed height
    opened    whether a height's key is out: True or False, or None while the height is not executed
    """
    if header.valid_until > min(head, key_end):
        return Outcome.KEY_ENDED.text if key_end <= head else None
    if not header.target_height:
        return Outcome.EXPIRED.text
    # The key that opens a height opens all that was encrypted to it, and it is out once a batch was revealed.
    match opened(header.target_height):
        case None:
            return None
        case True:
            return Outcome.NOT_COMMITTED_OPENED.text
    return Outcome.EXPIRED.text


_NUMBERS = ("sequence", "height", "position", "gas_used", "fee", "amount_in", "amount_out")


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


STATUS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["tx_id", "state", "final", *_NUMBERS, "success", "reason"],
    "properties": {
        "tx_id": {"type": "string", "pattern": "^0x[0-9a-f]{64}$"},
        "state": {"type": "string"},
        "final": {"type": "boolean"},
        **{name: {"type": ["string", "null"], "pattern": "^[0-9]+$"} for name in _NUMBERS},
        "success": {"type": ["boolean", "null"]},
        "reason": {"type": "string"},
    },
}
