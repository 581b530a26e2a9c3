"""What one node gives to its callers, and the counting of it."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_KIB, _MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one node gives to its callers.

    requests_per_s            what each address may ask for in the long run, in units of the endpoints' weights; a body
                              costs one unit for every 16 KiB besides
    burst                     and at once
    addresses                 remembered with what they have left
    exempt                    addresses without a limit of requests and connections, such as those of peers; callers
                              with a certificate have no limit of requests either
    header_timeout_s          from the first byte of a request, or the opening of a connection, to the end of its head
    body_timeout_s            for the whole body
    idle_timeout_s            between the requests of a connection
    write_timeout_s           without progress of a response
    shutdown_timeout_s        that requests under way have to finish
    header_bytes              of a request's head
    connections               at once; and from one address
    body_bytes                of all large bodies held at once; and from one address
    streams                   event streams at once; and from one address
    keep_alive_s              between comments on an idle event stream
    """

    requests_per_s: float = 200.0
    burst: int = 400
    addresses: int = 10_000
    exempt: frozenset[str] = frozenset()
    header_timeout_s: float = 5.0
    body_timeout_s: float = 15.0
    idle_timeout_s: float = 60.0
    write_timeout_s: float = 15.0
    shutdown_timeout_s: float = 10.0
    header_bytes: int = 16 * _KIB
    connections: int = 512
    connections_per_address: int = 128
    body_bytes: int = 512 * _MIB
    body_bytes_per_address: int = 256 * _MIB
    streams: int = 64
    streams_per_address: int = 16
    keep_alive_s: float = 10.0

    def __post_init__(self) -> None:
        if self.requests_per_s <= 0 or self.burst < 1:
            raise ValueError("callers need a rate above zero and a burst of at least one request")


class RateLimiter:
    """A token bucket for each address, of a bounded number of addresses: who was silent longest is forgotten."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = limits.requests_per_s
        self._burst = float(limits.burst)
        self._kept = limits.addresses
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, address: str, weight: int) -> float:
        """Take `weight` and return 0, or take nothing and return the seconds until there is enough."""
        left = self._left(address)
        cost = min(float(weight), self._burst)
        if left < cost:
            self._keep(address, left)
            return (cost - left) / self._rate
        self._keep(address, left - cost)
        return 0.0

    def charge(self, address: str, weight: int) -> None:
        """Take `weight` for what was given already: the bucket may owe up to a burst."""
        self._keep(address, max(-self._burst, self._left(address) - weight))

    def _left(self, address: str) -> float:
        now = self._clock()
        left, since = self._buckets.get(address, (self._burst, now))
        return min(self._burst, left + (now - since) * self._rate)

    def _keep(self, address: str, left: float) -> None:
        self._buckets[address] = (left, self._clock())
        self._buckets.move_to_end(address)
        if len(self._buckets) > self._kept:
            self._buckets.popitem(last=False)


class Budget:
    """So much of something at once, and so much of it for one address."""

    def __init__(self, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._taken = 0
        self._by_address: dict[str, int] = {}

    @property
    def taken(self) -> int:
        return self._taken

    def take(self, address: str, amount: int) -> bool:
        mine = self._by_address.get(address, 0)
        if self._taken + amount > self._total or mine + amount > self._each:
            return False
        self._taken += amount
        self._by_address[address] = mine + amount
        return True

    def give_back(self, address: str, amount: int) -> None:
        self._taken -= amount
        left = self._by_address[address] - amount
        if left:
            self._by_address[address] = left
        else:
            del self._by_address[address]


def network_of(address: str) -> str:
    """What is limited as one caller: an IPv4 address, or the /64 of an IPv6 address, which one host has for itself."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
