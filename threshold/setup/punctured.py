"""Public parameters of simple-bte: powers of a secret tau with a hole at B+1, their checks, and a TRUSTED dealer.

Anyone may know h_i = tau^i * g2 for i = 1..2B except B+1: that one point opens every ciphertext. Member j holds a share
s_j^i of every tau^i with i <= B, on polynomials independent of each other: two with the same randomness would give
every member a difference of two powers, and so tau. [x]_1 and [x]_2 are x times the generator of G1 and G2.

What `verify` establishes: the points are powers of one tau, and any t verification keys of a power determine it. Not
that nobody knows tau; see `threshold.setup.multiparty`. Source: eprint 2026/760; the checks are ours.

SBT-20  e(T1, g2) = e(g1, h_1)                                          T1 and h_1 hold the same tau
SBT-21  e(T2, g2) = e(T1, h_1)                                          T2 holds its square
SBT-22  e(T1, h_i) = e(g1, h_(i+1)) unless i or i+1 is the hole         consecutive powers
SBT-23  e(T2, h_B) = e(g1, h_(B+2))                                     the bridge over the hole
SBT-24  for every i, h_i and the verification keys of power i lie on one polynomial of degree below t
SBT-25  1 <= t <= n, and no point is the identity. How many points there are follows from B and n
SBT-26  g2 and the powers differ from each other, also up to sign: else the hole is one of them, or its negative
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from math import factorial

from threshold import entropy, sharing
from threshold.curve import G1, G1_BYTES, G2, G2_BYTES, ORDER, Backend, FixedBase, load_backend
from threshold.curve.backend import Group, Point
from threshold.encoding import Reader, u32
from threshold.entropy import Random
from threshold.errors import Malformed, Rejected
from threshold.hashing import Tag, weights
from threshold.keys import MAX_MEMBERS, PublicMaterial
from threshold.polynomial import evaluate


@dataclass(frozen=True, slots=True, kw_only=True)
class PuncturedPowers:
    """The parameters of one key.

    batch                B, the most ciphertexts in a batch
    t1                   [tau]_1
    t2                   [tau^2]_1; None for B = 1, where no check needs it and the security assumption, which
                         allows powers up to B in G1, does not cover it
    h                    h_1..h_B, then h_(B+2)..h_2B: 2B-1 points
    verification_keys    [j-1][i-1] is [s_j^i]_2 for members 1..n and powers 1..B

    ValueError for any other number of points.
    """

    batch: int
    t1: G1
    t2: G1 | None
    h: tuple[G2, ...]
    verification_keys: tuple[tuple[G2, ...], ...]

    def __post_init__(self) -> None:
        if self.batch < 1 or len(self.h) != 2 * self.batch - 1 or (self.t2 is None) != (self.batch == 1):
            raise ValueError(f"{len(self.h)} powers for a batch of {self.batch}")
        if any(len(keys) != self.batch for keys in self.verification_keys):
            raise ValueError(f"every member needs {self.batch} verification keys")

    @property
    def members(self) -> int:
        return len(self.verification_keys)

    @property
    def exponents(self) -> tuple[int, ...]:
        """1..B, B+2..2B: what `h` holds, in its order."""
        return exponents(self.batch)

    def power(self, i: int) -> G2:
        """h_i. ValueError unless 1 <= i <= 2B and i is not B+1."""
        if not 1 <= i <= 2 * self.batch or i == self.batch + 1:
            raise ValueError(f"there is no power {i} in the parameters for a batch of {self.batch}")
        return self.h[i - 1 if i <= self.batch else i - 2]


def exponents(batch: int) -> tuple[int, ...]:
    """The powers that parameters for this batch size hold, in order."""
    return (*range(1, batch + 1), *range(batch + 2, 2 * batch + 1))


@cache
def images(backend: str) -> FixedBase[G2]:
    """x -> [x]_2 on the backend of that name. Its table is made once."""
    group = load_backend(backend).g2
    return group.fixed_base(group.generator)


def size_bytes(batch: int, n: int) -> int:
    """How long encoded parameters are."""
    return 4 + G1_BYTES * (1 if batch == 1 else 2) + G2_BYTES * (2 * batch - 1 + n * batch)


def encode(backend: Backend, powers: PuncturedPowers) -> bytes:
    """B (4 bytes), T1, T2 unless B = 1, the powers, then each member's verification keys."""
    in_g1 = (powers.t1,) if powers.t2 is None else (powers.t1, powers.t2)
    in_g2 = chain(powers.h, *powers.verification_keys)
    return b"".join((u32(powers.batch), *map(backend.g1.encode, in_g1), *map(backend.g2.encode, in_g2)))


def decode(backend: Backend, data: bytes, n: int) -> PuncturedPowers:
    """Strict; no equation is checked. Costs one subgroup check a point, (n+2)B in all.

    Raises Malformed naming the point."""
    reader = Reader(data, "the parameters")
    batch = reader.u32()
    if batch < 1 or len(data) != size_bytes(batch, n):
        raise Malformed(f"{len(data)} bytes are not the parameters for a batch of {batch} and {n} members")
    t1 = _point(backend.g1, reader, "T1")
    t2 = None if batch == 1 else _point(backend.g1, reader, "T2")
    h = tuple(_point(backend.g2, reader, f"h_{i}") for i in exponents(batch))
    verification_keys = tuple(
        tuple(_point(backend.g2, reader, f"member {j}'s verification key {i}") for i in range(1, batch + 1))
        for j in range(1, n + 1)
    )
    reader.end()
    return PuncturedPowers(batch=batch, t1=t1, t2=t2, h=h, verification_keys=verification_keys)


def _point(group: Group[Point], reader: Reader, name: str) -> Point:
    try:
        return group.decode(reader.take(group.size_bytes))
    except Malformed as error:
        raise Malformed(f"{name}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Equation:
    """e(left, p) = e(right, q), where left and right are numbered among g1, T1, T2."""

    rule: str
    text: str
    left: int
    p: G2
    right: int
    q: G2


_G1, _T1, _T2 = range(3)


def _equations(backend: Backend, powers: PuncturedPowers) -> Iterator[_Equation]:
    """SBT-20 to SBT-23: 2B in all, for B > 1."""
    g2, h, batch = backend.g2.generator, powers.power, powers.batch
    yield _Equation(rule="SBT-20", text="h_1 is not T1's power", left=_T1, p=g2, right=_G1, q=h(1))
    if batch == 1:
        return
    yield _Equation(rule="SBT-21", text="T2 is not the square", left=_T2, p=g2, right=_T1, q=h(1))
    for i in range(1, 2 * batch):
        if i not in (batch, batch + 1):
            text = f"h_{i + 1} does not follow h_{i}"
            yield _Equation(rule="SBT-22", text=text, left=_T1, p=h(i), right=_G1, q=h(i + 1))
    text = f"h_{batch + 2} does not follow h_{batch}"
    yield _Equation(rule="SBT-23", text=text, left=_T2, p=h(batch), right=_G1, q=h(batch + 2))


def verify(backend: Backend, powers: PuncturedPowers, t: int) -> None:
    """All rules of the module's table, up to an error of 2^-128 for parameters made without knowing SHA-256's outputs.

    The equations are added up with weights hashed from all the points, and looked at one by one only if the sum
    fails. Costs multi-scalar multiplications of (n+1)B and 4B terms in G2, and 3 Miller loops.

    Raises Rejected(rule) naming the power."""
    _check_shape(backend, powers, t)
    encoded = encode(backend, powers)
    _check_powers(backend, powers, encoded)
    _check_verification_keys(backend, powers, t, encoded)
    _check_order(backend, powers)


def _check_shape(backend: Backend, powers: PuncturedPowers, t: int) -> None:
    if not 1 <= t <= powers.members <= MAX_MEMBERS:
        raise Rejected("SBT-25", f"threshold {t} of {powers.members} members")
    if any(backend.g1.equal(point, backend.g1.identity) for point in (powers.t1, powers.t2) if point is not None):
        raise Rejected("SBT-25", "T1 or T2 is the identity")
    if any(backend.g2.equal(point, backend.g2.identity) for point in powers.h):
        raise Rejected("SBT-25", "a power is the identity")
    for member, keys in enumerate(powers.verification_keys, start=1):
        if any(backend.g2.equal(key, backend.g2.identity) for key in keys):
            raise Rejected("SBT-25", f"a verification key of member {member} is the identity", member=member)


def _check_powers(backend: Backend, powers: PuncturedPowers, encoded: bytes) -> None:
    equations = tuple(_equations(backend, powers))
    bases = [backend.g1.generator, powers.t1]
    if powers.t2 is not None:
        bases.append(powers.t2)
    points: list[list[G2]] = [[] for _ in bases]
    factors: list[list[int]] = [[] for _ in bases]
    for equation, weight in zip(equations, weights(Tag.SBTE_WEIGHT, len(equations), b"powers", encoded), strict=True):
        points[equation.left].append(equation.p)
        factors[equation.left].append(weight)
        points[equation.right].append(equation.q)
        factors[equation.right].append(-weight)
    if backend.pairing_check(bases, [backend.g2.msm(*terms) for terms in zip(points, factors, strict=True)]):
        return
    for equation in equations:
        sides = (bases[equation.left], backend.g1.negate(bases[equation.right]))
        if not backend.pairing_check(sides, (equation.p, equation.q)):
            raise Rejected(equation.rule, equation.text)
    raise AssertionError("equations that all hold do not add up")


def _check_verification_keys(backend: Backend, powers: PuncturedPowers, t: int, encoded: bytes) -> None:
    columns = tuple(zip(powers.h[: powers.batch], *powers.verification_keys, strict=True))
    if on_polynomials(backend.g2, columns, t, encoded):
        return
    for i, column in enumerate(columns, start=1):
        if not sharing.on_one_polynomial(backend.g2, column, t, Tag.SBTE_WEIGHT):
            raise Rejected("SBT-24", f"the verification keys for power {i} do not fit h_{i} and threshold {t}")
    raise AssertionError("columns that all fit do not add up")


def _check_order(backend: Backend, powers: PuncturedPowers) -> None:
    """The encoding of a point without the bits of its sign is the same for its negative."""
    seen: dict[bytes, int] = {}
    for i, point in zip((0, *powers.exponents), (backend.g2.generator, *powers.h), strict=True):
        encoded = backend.g2.encode(point)
        coordinate = bytes([encoded[0] & 0x1F]) + encoded[1:]
        if coordinate in seen:
            raise Rejected("SBT-26", f"h_{i} is h_{seen[coordinate]} or its negative: anyone could compute the hole")
        seen[coordinate] = i


def on_polynomials(group: Group[Point], columns: Sequence[Sequence[Point]], t: int, encoded: bytes) -> bool:
    """Whether for each column there is a polynomial f of degree below t with column[x] = f(x) * generator, x = 0..n.

    The SCRAPE test with one codeword for all columns, which are added up with weights. Both are hashed from `encoded`,
    which determines the columns. One multi-scalar multiplication of as many terms as there are points. Source:
    Cascudo and David, ACNS 2017.
    """
    if not columns:
        return True
    n = len(columns[0]) - 1
    mask = weights(Tag.SBTE_WEIGHT, n + 1 - t, b"codeword", encoded)
    codeword = [
        evaluate(mask, x, ORDER) * pow((-1) ** (n - x) * factorial(x) * factorial(n - x), -1, ORDER)
        for x in range(n + 1)
    ]
    factors = [
        weight * entry for weight in weights(Tag.SBTE_WEIGHT, len(columns), b"columns", encoded) for entry in codeword
    ]
    return group.equal(group.msm(list(chain(*columns)), factors), group.identity)


def material(scheme: int, t: int, powers: PuncturedPowers, backend: Backend) -> PublicMaterial:
    """The parameters as a key: T1 and h_B, from whose pairing every mask is made, are the encryption key."""
    return PublicMaterial(
        scheme=scheme,
        threshold=t,
        encryption_key=backend.g1.encode(powers.t1) + backend.g2.encode(powers.power(powers.batch)),
        verification_keys=tuple(backend.g2.encode(keys[0]) for keys in powers.verification_keys),
        parameters=encode(backend, powers),
    )


def deal(
    backend: Backend, *, n: int, t: int, batch: int, random: Random
) -> tuple[PuncturedPowers, tuple[tuple[int, ...], ...]]:
    """Parameters from a TRUSTED dealer, who knows tau and could open everything, and for members 1..n the B shares of
    tau^1..tau^B. For tests, vectors and experiments only.

    ValueError unless 1 <= t <= n <= 1024 and batch >= 1."""
    sharing.check_parameters(n, t)
    if batch < 1:
        raise ValueError(f"a batch of {batch} holds nothing")
    tau = entropy.scalar(random, ORDER)
    image = images(backend.name)
    dealt = [
        sharing.deal(sharing.random_polynomial(t, random, secret=pow(tau, i, ORDER)), n) for i in range(1, batch + 1)
    ]
    secrets = tuple(tuple(shares[member] for shares in dealt) for member in range(1, n + 1))
    g1 = backend.g1
    powers = PuncturedPowers(
        batch=batch,
        t1=g1.multiply(g1.generator, tau),
        t2=None if batch == 1 else g1.multiply(g1.generator, tau * tau),
        h=tuple(image(pow(tau, i, ORDER)) for i in exponents(batch)),
        verification_keys=tuple(tuple(map(image, shares)) for shares in secrets),
    )
    return powers, secrets
