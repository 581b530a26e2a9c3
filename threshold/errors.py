"""One error tree for everything that comes from outside.

Malformed says that bytes are not an encoding of the thing expected. Rejected says that a well-formed thing
breaks a numbered rule of the specifications, and names who is to blame where that is known.
"""

from __future__ import annotations


class ThresholdError(Exception):
    """Base of the tree. Programming mistakes are ValueError or AssertionError instead."""


class Malformed(ThresholdError):
    """Undecodable, truncated, non-canonical, or followed by trailing bytes."""


class Rejected(ThresholdError):
    """A rule is broken.

    rule      id of the requirement, such as "TDH-4"
    member    1-based index of the committee member to blame, or None
    """

    def __init__(self, rule: str, message: str, *, member: int | None = None) -> None:
        super().__init__(f"{message} [{rule}]")
        self.rule = rule
        self.member = member


class CiphertextRejected(Rejected):
    """The ciphertext's public check fails: no share may be made for it."""


class ShareRejected(Rejected):
    """A decryption share is not what its member had to send."""


class NotEnoughShares(Rejected):
    """Fewer than t valid shares. `blamed` lists the members whose shares were refused."""

    def __init__(self, rule: str, message: str, *, blamed: tuple[int, ...] = ()) -> None:
        super().__init__(rule, message, member=blamed[0] if blamed else None)
        self.blamed = blamed


class BackendUnavailable(Exception):
    """A curve backend that is not installed, or not in the version that this package needs."""
