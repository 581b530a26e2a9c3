"""Amounts as people write them: "1.5 ETH", "4000 TKN". Exact, without floating point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from encmempool.types import Genesis

GWEI_DECIMALS = 9
ETHER_DECIMALS = 18
_AMOUNT = re.compile(r"(\d[\d_]*)(?:\.(\d+))?\s*([A-Za-z][A-Za-z0-9]*)", re.ASCII)
_NUMBER = re.compile(r"(\d[\d_]*)(?:\.(\d+))?", re.ASCII)
_LIMIT = 1 << 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Something amounts are of. `address` is None for ether itself; as a step of a swap's path it is WETH's."""

    symbol: str
    decimals: int
    address: bytes | None

    def __call__(self, units: int) -> str:
        return f"{shown(units, self.decimals)} {self.symbol}"


ETHER = Asset(symbol="ETH", decimals=ETHER_DECIMALS, address=None)


def assets(genesis: Genesis) -> dict[str, Asset]:
    """Those of a network by symbol: ETH, WETH and the tokens of its genesis."""
    known = {"ETH": ETHER, "WETH": Asset(symbol="WETH", decimals=ETHER_DECIMALS, address=genesis.weth)}
    for token in genesis.tokens:
        symbol = token.symbol.decode(errors="replace")
        known.setdefault(symbol, Asset(symbol=symbol, decimals=token.decimals, address=token.address))
    return known


def parse(text: str, known: dict[str, Asset]) -> tuple[int, Asset]:
    """Smallest units and asset. ValueError for anything but a plain number and a known symbol."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'{text!r} is no amount: write a number and a symbol, such as "1.5 ETH"')
    whole, fraction, symbol = match.groups()
    asset = asset_named(symbol, known)
    return _units(text, whole, fraction, asset.decimals, asset.symbol), asset


def asset_named(symbol: str, known: dict[str, Asset]) -> Asset:
    found = {name.upper(): asset for name, asset in known.items()}.get(symbol.upper())
    if found is None:
        raise ValueError(f"{symbol!r} is not traded here: there are {', '.join(known)}")
    return found


def parse_gwei(text: str) -> int:
    """Wei. ValueError."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no number of gwei: write digits, such as 1.5")
    return _units(text, match[1], match[2], GWEI_DECIMALS, "gwei")


def shown(units: int, decimals: int, *, places: int = 6) -> str:
    """Rounded down to some places, thousands apart: 4,475.25."""
    whole, fraction = divmod(units, 10**decimals)
    digits = str(fraction).rjust(decimals, "0")[:places].rstrip("0")
    return f"{whole:,}" + (f".{digits}" if digits else "")


def gwei(wei: int) -> str:
    return f"{shown(wei, GWEI_DECIMALS)} gwei"


def _units(text: str, whole: str, fraction: str | None, decimals: int, symbol: str) -> int:
    fraction = fraction or ""
    if len(fraction) > decimals:
        raise ValueError(f"{text!r} has {len(fraction)} decimal places: {symbol} has {decimals}")
    units = int(whole.replace("_", "")) * int(10**decimals) + int(fraction.ljust(decimals, "0") or "0")
    if units >= _LIMIT:
        raise ValueError(f"{text!r} is too much: amounts are below 2^256 of the smallest unit")
    return units
