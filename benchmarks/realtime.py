"""The group ``realtime``: connections and events beside bare aiohttp, and what they hold."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from stator.runtime.control import Role
from stator.runtime.protocol.encoding import Encoding

from .http_actions import Length, alternate
from .memory import settled_kib, total_kib, watch
from .plaza import NEWS_SIZE
from .realtime_bare import ECHO, SQUARE
from .realtime_load import AIOHTTP, LIGHT, Begin, Call, Close, Drain, Load, Open, Outcome, Shout
from .report import Row, Target, compare
from .subjects import ROOT, BareRealtime, Server, Service, data_directory

PATH = (
    "/gateway/plaza/connect?rvt-namespace=default&rvt-method=getOrCreate"
    "&rvt-runner=default&rvt-key=bench&rvt-crash-policy=sleep"
)
APPLICATION = {
    "application.path": ROOT,
    "application.registry": "benchmarks.plaza:registry",
    "actors.sleep_timeout": 3600,
}
TARGETS = {"get": Target(0.6), "increment": Target(0.45)}
"""Of many calls in flight over one connection in BARE."""
BROADCAST = Target(0.7)
IDLE_KIB = Target(20, is_at_most=True)
NO_GROWTH = Target(1.05, is_at_most=True)

ACTIONS = {"get": "read-only", "increment": "changing"}
CROWDS = (100, 1_000, 5_000)
TARGET_LISTENERS = 1_000
IDLE = 2_000
IDLE_BEFORE = 200
"""Connections opened before the first reading, so that what the first ones cost is not counted."""
PARAMS = "%7B%22name%22%3A%22ann%22%7D"
STALLED, READING = 200, 800
STALL_SIZE, STALL_PER_SECOND = 8_192, 25.0
"""What each stalled connection is sent: 200 KiB a second."""
STALL_BACKLOG = 262_144

Pairs = list[tuple[Outcome, Outcome]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how much to measure."""

    targeted: Length
    """Of rates that have a target."""
    others: Length
    """Of other rates under full load."""
    sequential: Length
    opened: int
    stalled_seconds: float


FULL = Plan(Length(5, 0.8), Length(3, 0.8), Length(3, 0.6), 1_000, 60.0)
QUICK = Plan(Length(3, 0.5), Length(2, 0.5), Length(2, 0.3), 300, 5.0)


def run(
    *, quick: bool, hot: bool = False, settings: Mapping[str, object] | None = None
) -> Iterator[Row]:
    """Yield each row as it is measured; ``hot`` the pipelined ones and a broadcast alone."""
    plan = QUICK if quick else FULL
    raise_descriptor_limit()
    with Pair(settings) as pair:
        for encoding in (Encoding.BARE,) if hot else (Encoding.BARE, Encoding.CBOR, Encoding.JSON):
            yield from over_one(pair, encoding, plan, hot=hot)
        yield from with_aiohttp(pair, plan)
        if not hot:
            yield from over_many(pair, plan)
            yield opening(pair, plan)
        for listeners in (TARGET_LISTENERS,) if hot else CROWDS:
            yield from broadcast(pair, listeners, plan)
    if hot:
        return
    yield from idle(settings)
    for policy in ("close", "drop_events"):
        yield from stalled(policy, plan.stalled_seconds, settings)


def raise_descriptor_limit() -> None:
    """Let this process and its children hold as many connections as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Pair:
    """A service and a bare server, both started afresh; a context."""

    def __init__(self, settings: Mapping[str, object] | None) -> None:
        self._settings = {**APPLICATION, **(settings or {})}
        self._stack = ExitStack()

    def __enter__(self) -> Pair:
        data = self._stack.enter_context(data_directory())
        self.service = self._stack.enter_context(start_service(data, self._settings))
        self.bare = self._stack.enter_context(BareRealtime())
        self.bare.wait_first_answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def start_service(data: Path, settings: Mapping[str, object]) -> Service:
    """Start the service and wait until the actor is awake."""
    service = Service(data, actor="plaza", settings=settings)
    service.wait_first_answer()
    return service


def hold(
    server: Server,
    path: str,
    encoding: Encoding = Encoding.BARE,
    params: str = "",
    client: str = LIGHT,
) -> Load:
    """Return a load generator for a path of a server."""
    return Load(Begin(port=server.port, path=path, encoding=encoding, params=params), client)


def hold_both(
    pair: Pair, bare_path: str, encoding: Encoding = Encoding.BARE, client: str = LIGHT
) -> tuple[Load, Load]:
    """Return a load generator for the service and one for the bare server."""
    return (
        hold(pair.service, PATH, encoding, client=client),
        hold(pair.bare, bare_path, encoding, client=client),
    )


def over_one(pair: Pair, encoding: Encoding, plan: Plan, *, hot: bool) -> Iterator[Row]:
    """Yield the rows of round trips over one connection, many at a time and one at a time."""
    ours, limit = hold_both(pair, ECHO, encoding)
    with ours, limit:
        ours.ask(Open(count=1))
        limit.ask(Open(count=1))
        where = f"1 connection, {encoding.name.lower()}"
        is_bare = encoding is Encoding.BARE
        for action, target in TARGETS.items():
            name = f"{ACTIONS[action]}, {where}, 64 in flight"
            length = plan.targeted if is_bare else plan.others
            pairs = round_trips(ours, limit, action, 64, length)
            yield from rate_rows(name, "actions/s", pairs, target if is_bare else None)
            if is_bare:
                pairs = round_trips(ours, limit, action, 64, plan.others, separately=True)
                yield from rate_rows(f"{name}, a write each", "actions/s", pairs)
        for action in () if hot else ACTIONS:
            name = f"{ACTIONS[action]}, {where}, 1 in flight"
            pairs = round_trips(ours, limit, action, 1, plan.sequential)
            yield from rate_rows(name, "actions/s", pairs)
            times = [(one.p99_us / 1e3, other.p99_us / 1e3) for one, other in pairs]
            yield compare(f"{name}: p99", "ms", times)


def with_aiohttp(pair: Pair, plan: Plan) -> Iterator[Row]:
    """Yield the rows of round trips over one connection of an ordinary client, many at a time."""
    ours, limit = hold_both(pair, ECHO, client=AIOHTTP)
    with ours, limit:
        for action, target in TARGETS.items():
            name = f"{ACTIONS[action]}, 1 connection, bare, 64 in flight, aiohttp client"
            pairs = round_trips(ours, limit, action, 64, plan.targeted, separately=True)
            yield from rate_rows(name, "actions/s", pairs, target)


def over_many(pair: Pair, plan: Plan) -> Iterator[Row]:
    """Yield the rows of round trips over 64 connections, one at a time on each."""
    ours, limit = hold_both(pair, ECHO)
    with ours, limit:
        ours.ask(Open(count=64))
        limit.ask(Open(count=64))
        for action, kind in ACTIONS.items():
            pairs = round_trips(ours, limit, action, 1, plan.sequential)
            yield from rate_rows(f"{kind}, 64 connections, bare, 1 in flight", "actions/s", pairs)


def round_trips(
    ours: Load,
    limit: Load,
    action: str,
    in_flight: int,
    length: Length,
    *,
    separately: bool = False,
) -> Pairs:
    """Call an action by turns at the service and, as a message to echo, at the bare server."""

    def order(*, echo: bool) -> Call:
        return Call(
            action=action,
            in_flight=in_flight,
            seconds=length.seconds,
            separately=separately,
            echo=echo,
        )

    return alternate(
        lambda: ours.ask(order(echo=False)), lambda: limit.ask(order(echo=True)), length
    )


def rate_rows(name: str, unit: str, pairs: Pairs, target: Target | None = None) -> Iterator[Row]:
    """Yield the row of a rate and the row of what its load generator took of a core."""
    rates = [(ours.per_second, limit.per_second) for ours, limit in pairs]
    yield compare(f"{name}: rate", unit, rates, target)
    cores = [median(outcome.cores for outcome in side) for side in zip(*pairs, strict=True)]
    yield Row(f"{name}: load generator", "cores", cores[0], cores[1])


def opening(pair: Pair, plan: Plan) -> Row:
    """Return the row of connections opened a second, each with its first message."""
    ours, limit = hold_both(pair, ECHO)

    def measure(load: Load) -> Outcome:
        opened = load.ask(Open(count=plan.opened))
        load.ask(Close())
        return opened

    with ours, limit:
        pairs = alternate(lambda: measure(ours), lambda: measure(limit), plan.others)
    rates = [(one.per_second, other.per_second) for one, other in pairs]
    return compare("connections opened, 32 at a time: rate", "connections/s", rates)


def broadcast(pair: Pair, listeners: int, plan: Plan) -> Iterator[Row]:
    """Yield the rows of events delivered to so many connections."""
    ours, limit = hold_both(pair, SQUARE)
    with ours, limit:
        for load in (ours, limit):
            gather(load, listeners)
        length = plan.targeted if listeners == TARGET_LISTENERS else plan.others
        yield from deliveries(ours, limit, listeners, 4, length)
        if listeners == TARGET_LISTENERS:
            yield from deliveries(ours, limit, listeners, 1, length)
        for load in (ours, limit):
            load.ask(Close())


def deliveries(
    ours: Load, limit: Load, listeners: int, at_once: int, length: Length
) -> Iterator[Row]:
    """Yield the rows of shouting, ``at_once`` shouts under way.

    With several a server may send a connection two events in one write; with one it cannot.
    """
    order = Shout(size=NEWS_SIZE, seconds=length.seconds, window=at_once)
    pairs = alternate(lambda: ours.ask(order), lambda: limit.ask(order), length)
    name = f"broadcast to {listeners:,} connections, {at_once} at once"
    target = BROADCAST if listeners == TARGET_LISTENERS else None
    yield from rate_rows(name, "deliveries/s", pairs, target)


def gather(load: Load, listeners: int) -> None:
    """Open the connections that listen and the one that calls."""
    load.ask(Open(count=listeners, subscribe=True))
    load.ask(Open(count=1))


def idle(settings: Mapping[str, object] | None) -> Iterator[Row]:
    """Yield the rows of the memory of an idle subscribed connection."""
    with Pair(settings) as pair:
        gateways, workers = pair.service.pids(Role.GATEWAY), pair.service.pids(Role.WORKER)
        ours = hold(pair.service, PATH, params=PARAMS)
        limit = hold(pair.bare, SQUARE, params=PARAMS)
        with ours, limit:
            held = grown_kib(ours, [*gateways, *workers])
            bare = sum(grown_kib(limit, [pair.bare.pid]))
    gateway, worker = sum(held[: len(gateways)]), sum(held[len(gateways) :])
    name = f"memory per idle connection, {IDLE:,} subscribed"
    yield Row(f"{name}: gateway", "KiB", gateway, bare)
    yield Row(f"{name}: workers", "KiB", worker)
    yield Row(f"{name}: together", "KiB", gateway + worker, bare, None, IDLE_KIB)


def grown_kib(load: Load, pids: list[int]) -> list[float]:
    """Return what each process holds for a connection more, in KiB."""
    load.ask(Open(count=IDLE_BEFORE, subscribe=True))
    before = settled_kib(pids)
    load.ask(Open(count=IDLE, subscribe=True))
    after = settled_kib(pids)
    return [(one - other) / IDLE for one, other in zip(after, before, strict=True)]


def stalled(policy: str, seconds: float, settings: Mapping[str, object] | None) -> Iterator[Row]:
    """Yield the rows of the service's memory while a fifth of those who listen stops reading."""
    chosen = {
        **APPLICATION,
        "limits.slow_client": policy,
        "limits.max_connection_backlog": STALL_BACKLOG,
        **(settings or {}),
    }
    order = Shout(size=STALL_SIZE, seconds=seconds, per_second=STALL_PER_SECOND)
    with data_directory() as data, start_service(data, chosen) as service:
        pids = [*service.pids(Role.GATEWAY), *service.pids(Role.WORKER)]
        with hold(service, PATH) as load:
            load.ask(Open(count=STALLED, subscribe=True, stalled=True))
            gather(load, READING)
            before = sum(settled_kib(pids))
            outcome = load.begin(order)
            curve = watch(lambda: total_kib(pids), seconds, max(10, int(seconds)))
            outcome()
            ended = load.ask(Drain()).done
    first, second = (most / 1024 for most in curve.halves)
    name = f"{STALLED} of {STALLED + READING:,} stalled, {seconds:.0f} s, {policy}"
    yield Row(
        f"{name}: most memory in the second half / first",
        *("MiB", second, first, second / first, NO_GROWTH),
    )
    yield Row(f"{name}: growth at most", "MiB", max(first, second) - before / 1024)
    yield Row(f"{name}: ended by the service", "connections", ended, STALLED)
