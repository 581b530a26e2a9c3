"""Shares that are one point of G1, of which any t add up to one batch key: reading and combining them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from threshold.curve import G1, Group
from threshold.errors import Malformed, NotEnoughShares, Rejected, ShareRejected
from threshold.schemes.base import Share
from threshold.sharing import recover_points

_Read = Callable[[Share], G1]
"""The point of a share. Raises ShareRejected."""


def read_point(group: Group[G1], members: int, share: Share, *, rule: str) -> G1:
    """The point of a share of one of the members 1..n, not compared with anything."""
    member = share.member
    if not 1 <= member <= members:
        raise ShareRejected(rule, f"there is no member {member}", member=member)
    try:
        return group.decode(share.data)
    except Malformed as error:
        raise ShareRejected(rule, f"member {member}'s share: {error}", member=member) from error


def combine(
    group: Group[G1],
    shares: Sequence[Share],
    threshold: int,
    *,
    unchecked: _Read,
    checked: _Read,
    is_key: Callable[[G1], bool],
    rule: str,
) -> tuple[G1, tuple[int, ...]]:
    """The batch key, and the members whose shares were refused on the way.

    First the sum of t shares that only decode is tried; if it is not the key, each share is checked by itself. Wrong
    shares whose errors cancel pass, and the key is right all the same. Raises NotEnoughShares.
    """
    for read in (unchecked, checked):
        accepted, refused = _accept(shares, threshold, read)
        if len(accepted) == threshold:
            (key,) = recover_points(group, {member: (point,) for member, point in accepted.items()})
            if is_key(key):
                return key, refused
    if len(accepted) == threshold:
        raise Rejected(rule, "valid shares do not make the batch key: the parameters do not fit together")
    raise not_enough(rule, len(accepted), threshold, refused)


def not_enough(rule: str, found: int, needed: int, refused: Sequence[int]) -> NotEnoughShares:
    whose = f"; refused those of members {sorted(refused)}" if refused else ""
    return NotEnoughShares(rule, f"{found} valid shares of {needed} needed{whose}", blamed=tuple(refused))


def _accept(shares: Sequence[Share], threshold: int, read: _Read) -> tuple[dict[int, G1], tuple[int, ...]]:
    """What `read` makes of the first shares that it takes, by member, up to the threshold; and whose it refused."""
    accepted: dict[int, G1] = {}
    refused: dict[int, None] = {}
    for share in shares:
        if share.member in accepted:
            continue
        try:
            accepted[share.member] = read(share)
        except ShareRejected:
            refused[share.member] = None
        if len(accepted) == threshold:
            break
    return accepted, tuple(refused)
