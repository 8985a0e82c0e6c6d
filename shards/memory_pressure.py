"""Idle actors sleep early when a worker's memory runs short.

Rule 1. The worker's resident memory is looked at every ``LOOK_INTERVAL_S``. While it is above the
        limit, a part of the idle actors sleeps, those idle for longest first.
Rule 2. A part at a time: what sleeping actors leave free is used by others or goes back to the
        system, which the next look sees.
Rule 3. Actors that work are left alone; the limit is a bound on idleness, not on work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stator.runtime.log import Logger

LOOK_INTERVAL_S = 1.0
PART = 8
"""One in so many actors in memory sleeps at a time."""
LEAST = 16
"""At least so many do."""


class MemoryPressure:
    """Watches the memory of one worker."""

    def __init__(
        self,
        limit_bytes: int,
        *,
        resident_bytes: Callable[[], int],
        awake: Callable[[], int],
        sleep: Callable[[int], int],
        log: Logger,
    ) -> None:
        """``awake`` counts the actors in memory; ``sleep`` puts up to so many idle ones to sleep
        and returns how many it did."""
        self._limit = limit_bytes
        self._resident_bytes = resident_bytes
        self._awake = awake
        self._sleep = sleep
        self._log = log
        self._timer: asyncio.TimerHandle | None = None
        self._is_high = False

    def start(self) -> None:
        """Begin to watch, until :meth:`close`."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LOOK_INTERVAL_S, self._look_and_go_on)

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> int:
        """Look once; return how many actors were put to sleep."""
        resident = self._resident_bytes()
        if resident <= self._limit:
            self._is_high = False
            return 0
        slept = self._sleep(max(LEAST, self._awake() // PART))
        if not self._is_high:
            self._is_high = True
            self._log.warning(
                "memory is above workers.memory_limit_mib: idle actors sleep early",
                resident_mib=resident >> 20,
                limit_mib=self._limit >> 20,
                slept=slept,
            )
        return slept

    def _look_and_go_on(self) -> None:
        self.look()
        self.start()
