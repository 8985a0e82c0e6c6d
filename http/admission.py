"""Who is let in: requests per minute, and in flight, of one client address to one actor.

Rule 1. A pair of client address and actor never has more than ``max_in_flight`` requests at once.
Rule 2. No more than ``requests_per_minute`` of its requests are let in within any 60 seconds. They
        are counted in slots of a second, and a slot counts until its last moment is a minute
        old: the limit is never exceeded, and never is a client held back longer than 61 seconds.
Rule 3. What is refused does not count, so a client that keeps on asking recovers all the same.
Rule 4. A pair without requests in flight is forgotten once its last minute has passed; at
        ``max_pairs`` the one idle for longest is forgotten early. Pairs are kept by hash, as
        clients choose how many and how long the names are. (Hashes of text are keyed by a
        secret of the process, so nobody can choose two that collide.)

Each gateway counts for itself: with ``server.gateways`` above 1 a client that opens many
connections gets the limit of each. The address is that of the connection's other end. Behind a
reverse proxy that is the proxy: all its clients share the limits, so leave them off there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache
from ipaddress import IPv6Address
from typing import cast

from stator.runtime.errors import RateLimited

WINDOW_S = 60
"""What "per minute" means."""
MAX_PAIRS = 100_000
"""How many pairs of address and actor are remembered, about 400 bytes each; one that asks in every
second of its minute takes 6 KiB, but all of them doing so would be 100,000 requests a second."""
BUSY_RETRY_MS = 1_000
"""What a client with too many requests in flight is told to wait: when one ends is unknown."""
FORGET_AT_ONCE = 16
"""How many pairs one request forgets: more than it adds, and too few to be felt."""


class _Pair:
    """What one client address did to one actor."""

    __slots__ = ("admitted", "in_flight", "slots")

    def __init__(self) -> None:
        self.in_flight = 0
        self.admitted = 0
        """How many requests the slots count."""
        self.slots: list[list[int]] = []
        """``[second, requests]`` of the last minute, oldest first, none empty."""

    def forget_before(self, second: int) -> None:
        """Drop the slots before ``second``."""
        slots = self.slots
        while slots and slots[0][0] < second:
            self.admitted -= slots.pop(0)[1]

    def count(self, second: int) -> None:
        """Count a request."""
        if self.slots and self.slots[-1][0] == second:
            self.slots[-1][1] += 1
        else:
            self.slots.append([second, 1])
        self.admitted += 1


class Admission:
    """Lets requests in or refuses them; whoever was let in has to :meth:`leave`.

    A limit of 0 is off. ``clock`` returns seconds and never goes back. What names an actor is up
    to the caller: its id, or its namespace, name and key.
    """

    def __init__(
        self,
        requests_per_minute: int,
        max_in_flight: int,
        clock: Callable[[], float],
        *,
        max_pairs: int = MAX_PAIRS,
    ) -> None:
        self._requests_per_minute = requests_per_minute
        self._max_in_flight = max_in_flight
        self._clock = clock
        self._max_pairs = max_pairs
        self._busy: dict[int, _Pair] = {}
        self._idle: OrderedDict[int, _Pair] = OrderedDict()
        """In the order in which they became idle."""

    @property
    def is_off(self) -> bool:
        """Whether nobody is ever refused: then there is no need to call anything else."""
        return not (self._requests_per_minute or self._max_in_flight)

    @property
    def size(self) -> int:
        """How many pairs are remembered."""
        return len(self._busy) + len(self._idle)

    def enter(self, address: str, actor: Hashable) -> None:
        """Let a request in. Raises :class:`RateLimited`; then there is nothing to leave."""
        now = self._clock()
        self.forget(now, FORGET_AT_ONCE)
        name = hash((address, actor))
        pair = self._busy.get(name) or self._idle.get(name)
        if pair is None:
            pair = self._new_pair()
        elif self._max_in_flight and pair.in_flight >= self._max_in_flight:
            raise _too_many_in_flight(self._max_in_flight)
        if self._requests_per_minute:
            self._check_rate(pair, now)
            pair.count(int(now))
        pair.in_flight += 1
        if pair.in_flight == 1:
            self._idle.pop(name, None)
            self._busy[name] = pair

    def leave(self, address: str, actor: Hashable) -> None:
        """Note the end of a request that was let in."""
        name = hash((address, actor))
        pair = self._busy[name]
        pair.in_flight -= 1
        if pair.in_flight == 0:
            del self._busy[name]
            if self._requests_per_minute:
                self._idle[name] = pair

    def forget(self, now: float, at_most: int) -> None:
        """Forget idle pairs whose last minute has passed; :meth:`enter` does so itself."""
        first = _first_second(now)
        while at_most and self._idle:
            name, pair = next(iter(self._idle.items()))
            if pair.slots[-1][0] >= first:
                return
            del self._idle[name]
            at_most -= 1

    def _new_pair(self) -> _Pair:
        if self.size >= self._max_pairs:
            if not self._idle:
                raise RateLimited(
                    "this gateway is serving as many clients as it can keep count of; repeat later",
                    metadata={"retry_after_ms": BUSY_RETRY_MS, "limit": self._max_pairs},
                )
            self._idle.popitem(last=False)
        return _Pair()

    def _check_rate(self, pair: _Pair, now: float) -> None:
        pair.forget_before(_first_second(now))
        limit = self._requests_per_minute
        if pair.admitted >= limit:
            wait_ms = int((pair.slots[0][0] + 1 + WINDOW_S - now) * 1000) + 1
            raise RateLimited(
                f"this client sent {limit} requests to this actor within a minute, all that "
                f"limits.requests_per_minute allows: wait {wait_ms} ms before the next",
                metadata={"retry_after_ms": wait_ms, "limit": limit},
            )


def _first_second(now: float) -> int:
    """Return the first slot that may hold a request less than a minute old."""
    return int(now) - WINDOW_S


def _too_many_in_flight(limit: int) -> RateLimited:
    return RateLimited(
        f"this client has {limit} requests to this actor in flight, all that "
        "limits.max_in_flight_per_client allows: wait for their answers before sending more",
        metadata={"retry_after_ms": BUSY_RETRY_MS, "limit": limit},
    )


def client_address(peername: object) -> str:
    """Return the address that limits are kept by, from a transport's ``peername``.

    Of IPv6 it is the network of 64 bits: whoever has one address there has them all. Clients of
    a Unix socket are all ``"unix"``.
    """
    if not isinstance(peername, tuple) or not peername:
        return "unix"
    host = str(cast(tuple[object, ...], peername)[0])
    return _network_of(host) if ":" in host else host


@lru_cache(maxsize=4096)
def _network_of(host: str) -> str:
    address = IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
