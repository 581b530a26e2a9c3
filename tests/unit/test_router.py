"""Router calldata: known selectors, round trips, and refusal of every other encoding."""

from random import Random

import eth_abi
import pytest
from hypothesis import given, settings, strategies as st

from encmempool.errors import Malformed
from encmempool.ethereum import keccak256
from encmempool.execution.router import Swap, SwapKind, decode, encode

A, B, C, TO = (bytes([byte]) * 20 for byte in (0xA1, 0xB2, 0xC3, 0xD4))
SIGNATURES = {
    SwapKind.EXACT_TOKENS_FOR_TOKENS: "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
    SwapKind.EXACT_ETH_FOR_TOKENS: "swapExactETHForTokens(uint256,address[],address,uint256)",
    SwapKind.EXACT_TOKENS_FOR_ETH: "swapExactTokensForETH(uint256,uint256,address[],address,uint256)",
    SwapKind.TOKENS_FOR_EXACT_TOKENS: "swapTokensForExactTokens(uint256,uint256,address[],address,uint256)",
}


def swap(kind: SwapKind = SwapKind.EXACT_TOKENS_FOR_TOKENS, path: tuple[bytes, ...] = (A, B)) -> Swap:
    return Swap(kind=kind, exact=10**18, bound=997, path=path, recipient=TO, deadline=2_000_000_000)


@pytest.mark.parametrize("kind", SwapKind)
def test_selector_is_the_hash_of_the_signature(kind: SwapKind) -> None:
    assert kind.value == keccak256(SIGNATURES[kind].encode())[:4]


@pytest.mark.parametrize("kind", SwapKind)
@pytest.mark.parametrize("path", [(), (A,), (A, B), (A, B, C)])
def test_decode_returns_what_was_encoded(kind: SwapKind, path: tuple[bytes, ...]) -> None:
    original = swap(kind, path)
    assert decode(encode(original), original.value) == original


def test_encode_writes_the_contract_layout() -> None:
    words = [10**18, 997, 160, int.from_bytes(TO, "big"), 2_000_000_000, 2, *(int.from_bytes(t, "big") for t in (A, B))]
    assert encode(swap()) == bytes.fromhex("38ed1739") + b"".join(word.to_bytes(32, "big") for word in words)


def test_value_is_carried_by_ether_swaps_only() -> None:
    assert {kind for kind in SwapKind if swap(kind).value} == {SwapKind.EXACT_ETH_FOR_TOKENS}


@pytest.mark.parametrize("data", [b"", b"\x38\xed\x17", bytes.fromhex("deadbeef") + bytes(256)])
def test_decode_refuses_unknown_selector(data: bytes) -> None:
    with pytest.raises(Malformed, match="selector"):
        decode(data, 0)


@pytest.mark.parametrize("kind", [kind for kind in SwapKind if kind is not SwapKind.EXACT_ETH_FOR_TOKENS])
def test_decode_refuses_ether_where_none_is_taken(kind: SwapKind) -> None:
    with pytest.raises(Malformed, match="no ether"):
        decode(encode(swap(kind)), 1)


def test_decode_refuses_trailing_bytes() -> None:
    with pytest.raises(Malformed, match="canonical"):
        decode(encode(swap()) + bytes(32), 0)


def test_decode_refuses_truncation_anywhere() -> None:
    data = encode(swap())
    for length in range(4, len(data)):
        with pytest.raises(Malformed):
            decode(data[:length], 0)


def test_decode_refuses_shifted_path() -> None:
    data = bytearray(encode(swap()))
    data[4 + 3 * 32 - 1] = 192
    moved = bytes(data[: 4 + 5 * 32]) + bytes(32) + bytes(data[4 + 5 * 32 :])
    assert eth_abi.decode(["uint256", "uint256", "address[]", "address", "uint256"], moved[4:])
    with pytest.raises(Malformed, match="canonical"):
        decode(moved, 0)


@pytest.mark.parametrize("word", [2, 5])
def test_decode_refuses_huge_offset_or_count(word: int) -> None:
    data = bytearray(encode(swap()))
    data[4 + 32 * word : 4 + 32 * word + 32] = b"\xff" * 32
    with pytest.raises(Malformed, match="do not decode"):
        decode(bytes(data), 0)


def test_decode_raises_nothing_but_malformed_on_corrupted_bytes() -> None:
    seed = 11
    random = Random(seed)
    data = encode(swap(path=(A, B, C)))
    refused = 0
    for _ in range(1000):
        corrupted = bytearray(data)
        corrupted[random.randrange(len(data))] ^= 1 << random.randrange(8)
        try:
            decoded = decode(bytes(corrupted), 0)
        except Malformed:
            refused += 1
        else:
            assert encode(decoded) == corrupted
    assert refused > 100, f"seed {seed}"


def expected(data: bytes, value: int) -> Swap | str:
    """By the ABI library: decode, encode again, compare."""
    kind = SwapKind(data[:4])
    types = SIGNATURES[kind].partition("(")[2][:-1].split(",")
    try:
        *amounts, path, recipient, deadline = eth_abi.decode(types, data[4:])
    except (eth_abi.exceptions.DecodingError, OverflowError):
        return "do not decode"
    if kind is SwapKind.EXACT_ETH_FOR_TOKENS:
        amounts.insert(0, value)
    elif value:
        return "takes no ether"
    swap = Swap(
        kind=kind,
        exact=amounts[0],
        bound=amounts[1],
        path=tuple(bytes.fromhex(token[2:]) for token in path),
        recipient=bytes.fromhex(recipient[2:]),
        deadline=deadline,
    )
    return swap if encode(swap) == data else "canonical form"


@st.composite
def calldata(draw: st.DrawFn) -> bytes:
    """That of a swap, with up to three words or bytes changed, and sometimes cut or lengthened."""
    amounts, addresses = st.integers(0, 2**256 - 1), st.binary(min_size=20, max_size=20)
    fields = {"exact": amounts, "bound": amounts, "recipient": addresses, "deadline": amounts}
    path = st.lists(addresses, max_size=4).map(tuple)
    data = bytearray(encode(draw(st.builds(Swap, kind=st.sampled_from(SwapKind), path=path, **fields))))
    for _ in range(draw(st.integers(0, 3))):
        word = draw(st.integers(0, (len(data) - 4) // 32 - 1))
        if draw(st.booleans()):
            data[4 + 32 * word + draw(st.integers(0, 31))] = draw(st.integers(0, 255))
        else:
            number = draw(st.sampled_from((0, 1, 2, 3, 96, 128, 160, 192, 2**160, 2**256 - 1)))
            data[4 + 32 * word : 36 + 32 * word] = number.to_bytes(32, "big")
    end = draw(st.sampled_from((None, None, None, -1, -32, -64)))
    return bytes(data[:end]) + draw(st.sampled_from((b"", b"", b"", b"\0", bytes(32))))


@settings(max_examples=600, deadline=None)
@given(data=calldata(), value=st.sampled_from((0, 0, 1, 2**255)))
def test_decode_agrees_with_the_abi_library(data: bytes, value: int) -> None:
    result = expected(data, value)
    if isinstance(result, Swap):
        assert decode(data, value) == result
    else:
        with pytest.raises(Malformed, match=result):
            decode(data, value)


@pytest.mark.parametrize("change", [{"exact": 2**256}, {"bound": -1}, {"recipient": b"\x01"}, {"path": (A, b"")}])
def test_swap_refuses_values_calldata_cannot_hold(change: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "kind": SwapKind.EXACT_TOKENS_FOR_ETH,
        "exact": 1,
        "bound": 1,
        "path": (A, B),
        "recipient": TO,
        "deadline": 0,
    }
    with pytest.raises(ValueError):
        Swap(**(fields | change))  # type: ignore[arg-type]
