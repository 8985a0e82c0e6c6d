"""A clock that stands still until a test moves it (``runtime/clock.py``)."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class ManualTimer:
    """A call that a test may bring about; implements ``runtime.clock.Timer``."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    @property
    def is_waiting(self) -> bool:
        """Whether it neither fired nor was cancelled."""
        return self._callback is not None

    def cancel(self) -> None:
        """Let it not happen; does nothing once it has."""
        self._callback = None

    def fire(self) -> None:
        """Let it happen, unless it was cancelled."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class ManualClock:
    """Implements ``runtime.clock.Clock``; timers fire within :meth:`advance`."""

    may_be_set = True

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self._wall_ms = now_ms
        """The Unix time when ``time()`` was 0."""
        self._time = 0.0
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._numbers = itertools.count()

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds."""
        return self._wall_ms + round(self._time * 1000)

    def time(self) -> float:
        """Return how many seconds the clock was moved."""
        return self._time

    def call_later(self, seconds: float, callback: Callable[..., None], *args: Any) -> ManualTimer:
        """Call ``callback`` once the clock was moved so far."""
        assert seconds >= 0, "the machine's clock would take it, but nobody means it"
        timer = ManualTimer(lambda: callback(*args))
        heapq.heappush(self._timers, (self._time + seconds, next(self._numbers), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Move on and fire what is due by then, in order, each at its own time."""
        until = self._time + seconds
        while self._timers and self._timers[0][0] <= until:
            at, _, timer = heapq.heappop(self._timers)
            self._time = max(self._time, at)
            timer.fire()
        self._time = until

    def set_wall(self, seconds: float) -> None:
        """Put the machine's clock forward, or back; timers do not notice."""
        self._wall_ms += round(seconds * 1000)

    @property
    def timers(self) -> int:
        """How many timers wait."""
        return sum(timer.is_waiting for _, _, timer in self._timers)

    @property
    def next_in(self) -> float | None:
        """In how many seconds the next timer fires."""
        waiting = [at for at, _, timer in self._timers if timer.is_waiting]
        return min(waiting) - self._time if waiting else None
