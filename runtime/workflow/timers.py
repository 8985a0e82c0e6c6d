"""Waiting for an instant by a clock that may be set meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

from ..clock import Clock, Timer

LONGEST_TIMER_S = 3600.0
"""The clock may be set: nobody waits for longer without a look at it."""


class InstantTimer:
    """Gives a future ``None`` at an instant, unless it is done by then."""

    __slots__ = ("_clock", "_due_ms", "_future", "_timer")

    def __init__(self, clock: Clock, future: asyncio.Future[Any], due_ms: int) -> None:
        self._clock = clock
        self._future = future
        self._due_ms = due_ms
        self._timer: Timer | None = None
        self._look()

    def cancel(self) -> None:
        """Let it not happen; does nothing once it has."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        left = (self._due_ms - self._clock.now_ms()) / 1000
        if self._future.done():
            return
        if left <= 0:
            self._future.set_result(None)
        else:
            self._timer = self._clock.call_later(min(left, LONGEST_TIMER_S), self._look)
