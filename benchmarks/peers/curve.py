"""py_ecc's calls on BLS12-381, for `encmempool bench peers`."""

from __future__ import annotations

from hashlib import sha256

from answering import Work, serve
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import decompress_G1, decompress_G2
from py_ecc.optimized_bls12_381 import multiply, pairing


def _g1(data: bytes) -> object:
    return decompress_G1(int.from_bytes(data, "big"))


def _g2(data: bytes) -> object:
    return decompress_G2((int.from_bytes(data[:48], "big"), int.from_bytes(data[48:], "big")))


def pair(params: dict[str, int], inputs: dict[str, bytes]) -> Work:
    p, q = _g1(inputs["p"]), _g2(inputs["q"])
    return lambda: pairing(q, p)


def multiply_g1(params: dict[str, int], inputs: dict[str, bytes]) -> Work:
    p, scalar = _g1(inputs["p"]), int.from_bytes(inputs["scalar"], "big")
    return lambda: multiply(p, scalar)


def multiply_g2(params: dict[str, int], inputs: dict[str, bytes]) -> Work:
    q, scalar = _g2(inputs["q"]), int.from_bytes(inputs["scalar"], "big")
    return lambda: multiply(q, scalar)


def hash_to_g1(params: dict[str, int], inputs: dict[str, bytes]) -> Work:
    return lambda: hash_to_G1(inputs["message"], inputs["dst"], sha256)


JOBS = {"pairing": pair, "multiply-g1": multiply_g1, "multiply-g2": multiply_g2, "hash-to-g1": hash_to_g1}

if __name__ == "__main__":
    serve(JOBS)
