"""What processes hold in memory, and the curve of it over time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

STEADY_READINGS = 4
"""So many readings in a row that differ by no more than :data:`STEADY_SHARE` are a rest."""
STEADY_SHARE = 0.002
PAUSE = 0.5
"""Seconds between two readings."""
DEADLINE = 20.0
"""Seconds after which the last reading has to do."""


def private_kib(pid: int) -> int:
    """Return what would be free if a process ended (its USS), swapped pages included.

    Not its resident memory: that counts pages of libraries which other processes share.
    """
    return parse_private_kib(Path(f"/proc/{pid}/smaps_rollup").read_text())


def parse_private_kib(rollup: str) -> int:
    """Return the sum of the private lines of a ``smaps_rollup``, in KiB."""
    wanted = ("Private_Clean:", "Private_Dirty:", "Swap:")
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(wanted))


def total_kib(pids: Iterable[int]) -> int:
    """Return what several processes hold."""
    return sum(map(private_kib, pids))


def is_steady(readings: Sequence[int]) -> bool:
    """Whether the last readings are as good as equal."""
    last = readings[-STEADY_READINGS:]
    return len(last) == STEADY_READINGS and max(last) - min(last) <= STEADY_SHARE * max(last)


def settled_kib(pids: Sequence[int]) -> list[int]:
    """Return what each process holds once their sum no longer moves."""
    sums: list[int] = []
    deadline = time.monotonic() + DEADLINE
    while True:
        each = [private_kib(pid) for pid in pids]
        sums.append(sum(each))
        if is_steady(sums) or time.monotonic() > deadline:
            return each
        time.sleep(PAUSE)


@dataclass(frozen=True, slots=True)
class Curve:
    """Readings at equal distances."""

    readings: tuple[int, ...]

    @property
    def halves(self) -> tuple[int, int]:
        """The greatest reading of the first half and of the second."""
        middle = len(self.readings) // 2
        return max(self.readings[:middle]), max(self.readings[middle:])


def watch(read: Callable[[], int], seconds: float, readings: int) -> Curve:
    """Read so many times within ``seconds``."""
    started = time.monotonic()
    values: list[int] = []
    for number in range(1, readings + 1):
        time.sleep(max(0.0, started + number * seconds / readings - time.monotonic()))
        values.append(read())
    return Curve(tuple(values))
