"""The group ``lifecycle``: queues, sleep and wake, schedules, databases and pairs of actors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from . import lateness, ledgers, sleepers
from .http_actions import Length, alternate
from .load import Job, Outcome, drive
from .population import call_each, start_workshop
from .report import Row, Target, compare
from .subjects import Service, data_directory

ENQUEUE = Target(0.9)
COMPLETE = Target(0.5)

AT_ONCE = 64
"""Connections, each to an actor of its own."""

FULL, QUICK = Length(7, 1.2), Length(3, 0.8)


def run(
    *, quick: bool, hot: bool = False, settings: Mapping[str, object] | None = None
) -> Iterator[Row]:
    """Yield each row as it is measured; ``hot`` those of queues and of databases alone."""
    length, chosen = QUICK if quick else FULL, dict(settings or {})
    with data_directory() as data, start_workshop(data, chosen) as service:
        service.wait_first_answer()
        yield from enqueued(service, length)
        yield from completed(service, length)
        if not hot:
            yield sleepers.wake(service, length)
        yield from ledgers.rows(service, length)
    if hot:
        return
    yield from sleepers.sleep(chosen)
    yield from lateness.rows(chosen, rounds=1 if quick else 3)
    yield from sleepers.memory(chosen, quick=quick)


def enqueued(service: Service, length: Length) -> Iterator[Row]:
    """Yield the row of messages that are stored, beside actions that change a state.

    Each round has new actors: no queue holds more than the messages of one round.
    """
    fresh = count()
    actions = loaded(service, "shelf", "acting", length)

    def enqueue() -> Outcome:
        return drive(loaded(service, "shelf", f"shelf{next(fresh)}", length, queue="jobs"))

    pairs = alternate(enqueue, lambda: drive(actions), length)
    yield from rows_of("durable enqueues / durable actions, 64 connections", pairs, ENQUEUE)


def completed(service: Service, length: Length) -> Iterator[Row]:
    """Yield the rows of messages that are stored, taken and completed, beside actions."""
    actions = loaded(service, "desk", "acting", length)
    for actors, name, target in ((AT_ONCE, "64 actors", COMPLETE), (1, "1 actor", None)):
        jobs = loaded(
            service, "desk", f"desk{actors}", length, queue="jobs", wait=True, actors=actors
        )
        pairs = alternate(lambda jobs=jobs: drive(jobs), lambda: drive(actions), length)  # type: ignore[misc]
        figure = f"enqueue, take and complete / durable actions, 64 in flight, {name}"
        yield from rows_of(figure, pairs, target)


def loaded(
    service: Service,
    actor: str,
    key: str,
    length: Length,
    *,
    queue: str = "",
    wait: bool = False,
    actors: int = AT_ONCE,
) -> Job:
    """Return the load of 64 connections; its actors are awake."""
    call_each(service, actor, key, actors)
    return Job(
        port=service.port,
        actor=actor,
        key=key,
        actors=actors,
        queue=queue,
        wait=wait,
        connections=AT_ONCE,
        seconds=length.seconds,
    )


def rows_of(
    figure: str, pairs: list[tuple[Outcome, Outcome]], target: Target | None
) -> Iterator[Row]:
    """Yield the row of a rate and that of its median latency."""
    rates = [(ours.per_second, limit.per_second) for ours, limit in pairs]
    yield compare(f"{figure}: rate", "1/s", rates, target)
    times = [(ours.p50_us / 1e3, limit.p50_us / 1e3) for ours, limit in pairs]
    yield compare(f"{figure}: p50", "ms", times)
