"""Schedules of ten thousand actors: how late they fire, how many a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median

from stator.runtime.control import Role

from .population import ask, awake, call_each, put_to_sleep, start_workshop
from .report import Row, Target
from .subjects import DEADLINE, Service, data_directory

P99_S = Target(1, is_at_most=True)

BELLS = 10_000
WORKERS = 2
HEAD_START_S = 3.0
"""How long before the first is due everything should be in place."""
WITNESSES = 64
"""Keys of those who tell; among so many every worker has one."""


def rows(settings: dict[str, object], *, rounds: int) -> Iterator[Row]:
    """Yield the rows of ten thousand schedules due in one second, and of as many due at once."""
    chosen = {**settings, "workers.count": WORKERS}
    with data_directory() as data, start_workshop(data, chosen, actor="bell") as service:
        service.wait_first_answer()
        witnesses = find_witnesses(service)
        seconds = timed(lambda: call_each(service, "bell", "bell", BELLS))
        seconds += timed(lambda: put_to_sleep(service, "bell", "bell"))
        for is_asleep in (False, True):
            kind = "asleep" if is_asleep else "awake"

            def late(action: str, is_asleep: bool = is_asleep) -> list[float]:
                return fire(service, witnesses, action, seconds, is_asleep=is_asleep)

            spread = [late("ring_within") for _ in range(rounds)]
            name = f"{BELLS:,} schedules due in one second, actors {kind}"
            yield Row(f"{name}: lateness p50", "s", median(percentile(each, 50) for each in spread))
            p99 = median(percentile(each, 99) for each in spread)
            yield Row(f"{name}: lateness p99", "s", p99, target=P99_S)
            yield Row(f"{name}: latest", "s", median(each[-1] for each in spread))
            together = [late("ring_at") for _ in range(rounds)]
            fired = median(BELLS / each[-1] for each in together)
            yield Row(f"{BELLS:,} schedules due at once, actors {kind}: fired", "1/s", fired)


def percentile(ordered: list[float], percent: int) -> float:
    """Return the value below which ``percent`` of a sorted list are."""
    return ordered[len(ordered) * percent // 100]


def timed(work: Callable[[], object]) -> float:
    """Return how long ``work`` takes, in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def find_witnesses(service: Service) -> list[str]:
    """Return the keys of one witness in each worker."""
    found: dict[int, str] = {}
    for number in range(WITNESSES):
        key = f"witness{number}"
        found.setdefault(ask(service, "witness", key, "get"), key)
    if len(found) != len(service.pids(Role.WORKER)):
        raise RuntimeError("not every worker has a witness")
    return list(found.values())


def fire(
    service: Service, witnesses: list[str], action: str, seconds: float, *, is_asleep: bool
) -> list[float]:
    """Have all schedules fire once; return how late each was, in seconds, in order.

    ``seconds`` is how long it takes to call each actor and to put it to sleep.
    """
    wake_all(service)
    at = time.time() + 2.5 * seconds + HEAD_START_S
    call_each(service, "bell", "bell", BELLS, action=action, argument=round(at * 1000))
    if is_asleep:
        put_to_sleep(service, "bell", "bell")
    in_memory = awake(service)
    is_in_place = in_memory < WITNESSES + 10 if is_asleep else in_memory >= BELLS
    if not is_in_place or time.time() > at:
        raise RuntimeError(f"not in place in time: {in_memory} actors are awake")
    late: list[float] = []
    while len(late) < BELLS:
        if time.time() > at + DEADLINE:
            raise TimeoutError(f"{len(late)} of {BELLS} schedules fired")
        time.sleep(max(0.5, at + 2.0 - time.time()))
        for key in witnesses:
            late += ask(service, "witness", key, "take_lateness")
    return sorted(late)


def wake_all(service: Service) -> None:
    """Have all bells in memory, so that creation is not measured."""
    call_each(service, "bell", "bell", BELLS)
