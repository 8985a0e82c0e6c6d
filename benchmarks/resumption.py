"""How long a workflow takes from the wake of its actor to the end of its history."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from statistics import median

from .http_actions import Length
from .lateness import timed
from .population import awake, put_to_sleep, send
from .report import Row, Target
from .subjects import Service

LONGEST_S = Target(1, is_at_most=True)
LINEAR = Target(100, is_at_most=True)
CONSTANT = Target(2, is_at_most=True)

ENTRIES = (100, 1_000, 10_000)
TURNS = (100, 10_000)


def rows(service: Service, length: Length) -> Iterator[Row]:
    """Yield the rows of resumes, by how many entries are kept, then by how many turns there were.

    The time is that of a message which the actor, asleep, is woken by, and which its workflow
    completes once it has played its history; beside the same message when it is awake.
    """
    kept = {entries: resume(service, length, "diarist", entries) for entries in ENTRIES}
    for entries, (cold, warm) in kept.items():
        figure = f"resume with {entries:,} kept entries: wake to the end of history"
        target = LONGEST_S if entries == ENTRIES[-1] else None
        yield Row(figure, "s", cold, target=target)
        yield Row(f"the same message, {entries:,} entries, awake", "s", warm)
    yield growth(f"resume with {ENTRIES[-1]:,} kept entries / with {ENTRIES[0]}", kept, LINEAR)
    turns = {number: resume(service, length, "walker", number) for number in TURNS}
    yield growth(f"resume after {TURNS[-1]:,} turns, keep=20 / after {TURNS[0]}", turns, CONSTANT)


def growth(figure: str, times: dict[int, tuple[float, float]], target: Target) -> Row:
    """Return the row of the time with the most of something, beside that with the least."""
    (least, _), (most, _) = times[min(times)], times[max(times)]
    return Row(figure, "s", most, least, most / least, target)


_fresh = count()


def resume(service: Service, length: Length, actor: str, entries: int) -> tuple[float, float]:
    """Return the seconds of a message to the actor asleep and of one to it awake: the medians."""
    several = f"{actor}{entries}-{next(_fresh)}"
    key = f"{several},0"
    send(service, actor, key, "orders", entries, wait=False)
    send(service, actor, key, "orders", 0)
    cold: list[float] = []
    warm: list[float] = []
    for number in range(length.rounds):
        before = awake(service)
        put_to_sleep(service, actor, several)
        if before - awake(service) != 1:
            raise RuntimeError("the actor does not sleep")
        for times in (cold, warm):
            times.append(timed(lambda number=number: send(service, actor, key, "orders", number)))  # type: ignore[misc]
    return median(cold), median(warm)
