"""Where randomness comes from. It enters every function as an argument of type `Random`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import sha256

Random = Callable[[int], bytes]
"""Returns that many uniformly random bytes."""

system: Random = secrets.token_bytes


def deterministic(seed: bytes) -> Random:
    """A reproducible stream: for tests, vectors, simulated markets, and to draw the same again after a restart.

    It protects nothing unless the seed is secret and random."""
    counter = 0
    buffer = b""

    def draw(size: int) -> bytes:
        nonlocal counter, buffer
        while len(buffer) < size:
            buffer += sha256(seed + counter.to_bytes(8, "big")).digest()
            counter += 1
        piece, buffer = buffer[:size], buffer[size:]
        return piece

    return draw


def scalar(random: Random, modulus: int) -> int:
    """A uniform scalar in 1..modulus-1, by rejection."""
    size = (modulus.bit_length() + 7) // 8
    mask = (1 << modulus.bit_length()) - 1
    while True:
        value = int.from_bytes(random(size), "big") & mask
        if 0 < value < modulus:
            return value
