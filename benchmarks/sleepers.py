"""Sleep and wake: how long a wake takes, how fast actors fall asleep, what a sleeping one costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count

from .http_actions import Length
from .load import Outcome
from .population import (
    awake,
    call_each,
    put_to_sleep,
    start_workshop,
    wait_awake,
    workers_kib,
)
from .report import Row, Target, compare
from .subjects import Service, data_directory

WAKE = Target(4, is_at_most=True)
SLEEPING_BYTES = Target(64, is_at_most=True)

WOKEN = 300
"""Actors of one round of wakes."""
SLEEPERS = 10_000
NAP_S = 0.5
"""How long a napper is idle before it sleeps."""

PORTION, BEFORE, MEASURED = 10_000, 3, 10
"""Actors that are awake together, and how many times that sleep before and while it is measured."""
QUICK_MEASURED = 2


def wake(service: Service, length: Length) -> Row:
    """Return the row of a sleeping actor's first action, beside that of one that is awake.

    One connection. The warm action is the same one of the same actors, after the wake.
    """
    rounds: list[tuple[float, float]] = []
    for number in range(length.rounds):
        key = f"woken{number}"
        call_each(service, "shelf", key, WOKEN, action="increment", argument=1)
        before = awake(service)
        put_to_sleep(service, "shelf", key)
        if before - awake(service) != WOKEN:
            raise RuntimeError("not all actors sleep")
        cold, warm = (one_by_one(service, key).p50_us / 1e3 for _ in range(2))
        rounds.append((cold, warm))
    return compare("wake and action / warm action: p50", "ms", rounds, WAKE)


def one_by_one(service: Service, key: str) -> Outcome:
    """Change each actor once, over one connection."""
    return call_each(service, "shelf", key, WOKEN, action="increment", argument=1, connections=1)


def sleep(settings: dict[str, object]) -> Iterator[Row]:
    """Yield the rows of ten thousand actors falling asleep."""
    with data_directory() as data, start_workshop(data, settings) as service:
        service.wait_first_answer()
        call_each(service, "shelf", "warm", SLEEPERS, action="increment", argument=1)
        put_to_sleep(service, "shelf", "warm")
        asleep = workers_kib(service)
        call_each(service, "shelf", "warm", SLEEPERS, action="increment", argument=1)
        up = workers_kib(service)
        outcome = put_to_sleep(service, "shelf", "warm")
        after = workers_kib(service)
        yield Row(
            f"sleep of {SLEEPERS:,} actors by POST /actors/ID/sleep, 64 connections",
            "actors/s",
            outcome.per_second,
        )
        yield Row(f"sleep of {SLEEPERS:,} actors that are idle at once", "actors/s", nap(service))
    name = f"workers' memory, {SLEEPERS:,} actors"
    yield Row(f"{name} awake / asleep before", "MiB", up / 1024, asleep / 1024)
    yield Row(f"{name} asleep again / asleep before", "MiB", after / 1024, asleep / 1024)


def nap(service: Service) -> float:
    """Return how many actors a second sleep, all of which are idle from the same instant on."""
    others = awake(service)
    at_ms = round((time.time() + SLEEPERS / 1_000) * 1000)
    call_each(service, "napper", "nap", SLEEPERS, action="stay_until", argument=at_ms)
    begins = at_ms / 1000 + NAP_S
    if awake(service) - others < SLEEPERS or time.time() > begins:
        raise RuntimeError("the actors were not awake together")
    time.sleep(begins - time.time())
    wait_awake(service, others)
    return SLEEPERS / (time.time() - begins)


def memory(settings: dict[str, object], *, quick: bool) -> Iterator[Row]:
    """Yield the row of what a sleeping actor adds to its worker's private memory.

    Portions of new actors, each asleep before the next one is created, so that never more are
    awake than before the first reading. What is left of serving the first portions (caches of
    SQLite up to their bound, memory that the allocator keeps for later) is in both readings.
    """
    measured = QUICK_MEASURED if quick else MEASURED
    fresh = count()
    with data_directory() as data, start_workshop(data, settings) as service:
        service.wait_first_answer()
        others = awake(service)

        def let_sleep() -> None:
            key = f"nap{next(fresh)}"
            call_each(service, "napper", key, PORTION, action="increment", argument=1)
            wait_awake(service, others)

        for _ in range(BEFORE):
            let_sleep()
        before = workers_kib(service)
        for _ in range(measured):
            let_sleep()
        grown = workers_kib(service) - before
    actors = PORTION * measured
    figure = f"memory per sleeping actor, {actors:,} of them"
    yield Row(figure, "bytes", grown * 1024 / actors, target=SLEEPING_BYTES)
