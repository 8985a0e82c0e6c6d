"""The group ``service``: the rows of the running service and what each must reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from stator.runtime.control import Counter, Role

from . import commits
from .http_actions import (
    DURABLE,
    FULL,
    OTHERS,
    QUICK,
    READ_ONLY,
    Length,
    Pairs,
    alternate,
    beside,
    rows_of,
    warm_up,
)
from .load import Job, Outcome, drive
from .neighbours import busy
from .report import Row, Target, compare
from .subjects import ROOT, Bare, Server, Service, data_directory, resident_kib

COMMITS_PER_CHANGE = Target(0.2, is_at_most=True)
CREATION = Target(3, is_at_most=True)
NEIGHBOURS = Target(0.25)
MEMORY_KIB = Target(3, is_at_most=True)
START = Target(3, is_at_most=True)

AWAKE = 10_000
"""Actors of the memory row."""


def run(
    *, quick: bool, hot: bool = False, settings: Mapping[str, object] | None = None
) -> Iterator[Row]:
    """Yield each row as it is measured; ``hot`` those at 64 connections and 1,000 actors alone."""
    length = QUICK if quick else FULL
    with (
        data_directory() as data,
        Service(data, settings=settings) as service,
        Bare() as bare,
    ):
        service.wait_first_answer()
        bare.wait_first_answer()
        warm_up(service)
        before = service.counts()
        pairs = beside(service, bare, DURABLE, length)
        share = commits_per_change(before, service.counts(), pairs)
        yield from rows_of(DURABLE, pairs)
        yield Row(f"commits per change, {DURABLE.load}", "", share, 1.0, share, COMMITS_PER_CHANGE)
        for case in (READ_ONLY,) if hot else OTHERS:
            yield from rows_of(case, beside(service, bare, case, length))
        if hot:
            return
        yield storage(service, length, rows=max(1, round(1 / share)))
        yield creation(service, length)
        yield beside_neighbours("stator", service, length, NEIGHBOURS)
        yield beside_neighbours("bare aiohttp", bare, length, None)
    yield memory()
    yield from start(length)


def commits_per_change(before: list[int], after: list[int], pairs: Pairs) -> float:
    """Return how many transactions a change took that was acknowledged in between."""
    committed = after[Counter.COMMITS] - before[Counter.COMMITS]
    return committed / sum(ours.acknowledged for ours, _ in pairs)


def storage(service: Service, length: Length, *, rows: int) -> Row:
    """Return the row of the changes per second, beside APSW alone with ``rows`` in a commit."""
    workers, shards = len(service.pids(Role.WORKER)), service.shards()
    rates: list[tuple[float, float]] = []
    with data_directory() as data:
        for _ in range(length.rounds):
            ours = drive(DURABLE.job(service.port, length))
            alone = commits.measure(
                data, workers=workers, shards=shards, rows=rows, seconds=length.seconds
            )
            rates.append((ours.per_second, alone))
    return compare(f"durable changes / APSW alone with {rows} a commit", "changes/s", rates)


def creation(service: Service, length: Length) -> Row:
    """Return the row of creating actors, beside a change to one that is awake."""
    fresh = count()

    def create() -> Outcome:
        """Create as many actors as the time allows, each with its first change."""
        key = f"new{next(fresh)}"
        job = Job(port=service.port, key=key, actors=20_000, once=True, seconds=length.seconds)
        return drive(job)

    warm = Job(port=service.port, actors=1_000, seconds=length.seconds)
    pairs = alternate(create, lambda: drive(warm), length)
    times = [(ours.p50_us / 1e3, limit.p50_us / 1e3) for ours, limit in pairs]
    return compare("creation and first change / warm change: p50", "ms", times, CREATION)


def beside_neighbours(name: str, server: Server, length: Length, target: Target | None) -> Row:
    """Return the row of the rate with both cores loaded, beside the rate without."""

    def calm() -> Outcome:
        return drive(DURABLE.job(server.port, length))

    def crowded() -> Outcome:
        with busy(2):
            return calm()

    pairs = alternate(crowded, calm, length)
    rates = [(ours.per_second, limit.per_second) for ours, limit in pairs]
    return compare(f"{name} with two busy neighbours / without: rate", "actions/s", rates, target)


def memory() -> Row:
    """Return the row of what an idle awake actor adds to its worker's resident memory."""
    settings = {
        "application.path": ROOT,
        "application.registry": "benchmarks.parcel:registry",
        "actors.sleep_timeout": 3600,
    }

    def fill(key: str, actors: int) -> None:
        drive(
            Job(
                port=service.port,
                actor="parcel",
                action="fill",
                argument=None,
                key=key,
                actors=actors,
                once=True,
                connections=16,
                seconds=120.0,
            )
        )

    with data_directory() as data, Service(data, actor="parcel", settings=settings) as service:
        service.wait_first_answer()
        fill("before", 200)
        workers = service.pids(Role.WORKER)
        awake_before = service.counts()[Counter.ACTORS_AWAKE]
        before = sum(map(resident_kib, workers))
        fill("measured", AWAKE)
        grown = service.counts()[Counter.ACTORS_AWAKE] - awake_before
        used = sum(map(resident_kib, workers)) - before
    figure = f"memory per awake idle actor, 100-byte state, {grown:,} actors"
    return Row(figure, "KiB", used / grown, target=MEMORY_KIB)


def start(length: Length) -> Iterator[Row]:
    """Yield the rows of the time from the start of the process to the first answered action."""
    new: list[tuple[float, float]] = []
    again: list[tuple[float, float]] = []
    for _ in range(length.rounds):
        with data_directory() as data:
            limit = _start(Bare())
            new.append((_start(Service(data)), limit))
            again.append((_start(Service(data)), limit))
    yield compare("start to first answer, new data directory", "s", new, START)
    yield compare("start to first answer, existing data directory", "s", again, START)


def _start(server: Server) -> float:
    with server:
        return server.wait_first_answer()
