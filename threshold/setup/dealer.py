"""TRUSTED dealer: one process knows the whole key. For tests, vectors and experiments only.

Whoever runs it, or reads its memory, can open everything ever encrypted to the key. `threshold.setup.dkg` makes keys
that nobody knows.
"""

from __future__ import annotations

from threshold import sharing
from threshold.curve import SCALAR_BYTES, Group
from threshold.curve.backend import Point
from threshold.entropy import Random
from threshold.keys import KeyShare, PublicMaterial
from threshold.setup.dkg import MaterialBuilder


def deal(
    *, n: int, t: int, group: Group[Point], material: MaterialBuilder, random: Random
) -> tuple[PublicMaterial, tuple[KeyShare, ...]]:
    """A key of `group` shared among members 1..n by a TRUSTED dealer: any t shares open, t-1 say nothing.

    Costs n+1 multiplications. No ceremony, no signatures, no transcript: nothing shows that the key was made well.
    ValueError unless 1 <= t <= n <= 1024.
    """
    sharing.check_parameters(n, t)
    coefficients = sharing.random_polynomial(t, random)
    shares = sharing.deal(coefficients, n)

    def image(secret: int) -> bytes:
        return group.encode(group.multiply(group.generator, secret))

    public = material(image(coefficients[0]), tuple(image(share) for share in shares.values()))
    key_shares = tuple(KeyShare(member, share.to_bytes(SCALAR_BYTES, "big")) for member, share in shares.items())
    return public, key_shares
