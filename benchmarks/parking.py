"""What workflows that wait hold in memory: of actors that are awake, and of ones that sleep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

from .population import APPLICATION, awake, call_each, wait_awake, workers_kib
from .report import Row, Target
from .subjects import Service, data_directory

NOTHING = Target(32, is_at_most=True)
"""Bytes: less than any object of Python; the allocators grow by whole arenas."""

AWAKE, QUICK_AWAKE = 10_000, 3_000
BEFORE_AWAKE = 300
PORTION, BEFORE, MEASURED, QUICK_MEASURED = 10_000, 4, 6, 2
"""Actors of the sleeping rows, in portions that sleep before the next one is created."""


def awake_rows(settings: Mapping[str, object], *, quick: bool) -> Iterator[Row]:
    """Yield the rows of a parked workflow, beyond the same actor without any ``run``."""
    actors = QUICK_AWAKE if quick else AWAKE
    used = {
        actor: awake_bytes(settings, actor, actors)
        for actor in ("idler", "loiterer", "waiter", "dozer")
    }
    alone, by_hand = used["idler"], used["loiterer"] - used["idler"]
    yield Row(f"memory per awake actor without run, {actors:,} of them", "bytes", alone)
    yield Row("memory of a plain run loop that waits on a queue", "bytes", by_hand)
    for actor, what in (("waiter", "on a queue"), ("dozer", "for the time")):
        beyond = used[actor] - alone
        figure = f"memory of a workflow parked {what}, actor awake / plain run loop on a queue"
        yield Row(figure, "bytes", beyond, by_hand, beyond / by_hand)


def awake_bytes(settings: Mapping[str, object], actor: str, actors: int) -> float:
    """Return what an actor that is awake and idle holds of its worker's private memory."""
    with data_directory() as data, start(data, settings) as service:
        service.wait_first_answer()
        call_each(service, actor, "before", BEFORE_AWAKE)
        before = workers_kib(service)
        call_each(service, actor, "measured", actors)
        return (workers_kib(service) - before) * 1024 / actors


def asleep_rows(settings: Mapping[str, object], *, quick: bool) -> Iterator[Row]:
    """Yield the rows of parked workflows whose actors sleep, beyond sleeping actors."""
    portions = QUICK_MEASURED if quick else MEASURED
    alone = asleep_bytes(settings, "napping-idler", portions)
    actors = PORTION * portions
    yield Row(f"memory per sleeping actor without run, {actors:,} of them", "bytes", alone)
    for actor, what in (("napping-waiter", "on a queue"), ("napping-dozer", "for the time")):
        beyond = asleep_bytes(settings, actor, portions) - alone
        figure = f"memory of a workflow parked {what}, actor asleep, beyond a sleeping actor"
        yield Row(figure, "bytes", beyond, target=NOTHING)


def asleep_bytes(settings: Mapping[str, object], actor: str, portions: int) -> float:
    """Return what a sleeping actor adds to its worker's private memory (``sleepers.memory``)."""
    fresh = count()
    with data_directory() as data, start(data, settings) as service:
        service.wait_first_answer()
        others = awake(service)

        def let_sleep() -> None:
            key = f"nap{next(fresh)}"
            call_each(service, actor, key, PORTION, action="increment", argument=1)
            wait_awake(service, others)

        for _ in range(BEFORE):
            let_sleep()
        before = workers_kib(service)
        for _ in range(portions):
            let_sleep()
        return (workers_kib(service) - before) * 1024 / (PORTION * portions)


def start(data: Path, settings: Mapping[str, object]) -> Service:
    """Start the service of :mod:`.errands`."""
    application = {**APPLICATION, "application.registry": "benchmarks.errands:registry"}
    return Service(data, actor="overseer", settings={**application, **settings})
