"""Time that stands still until a test moves it (``runtime/clock.py``).

Rule 1. It begins at the machine's time and moves by :meth:`VirtualClock.step` alone.
Rule 2. Timers fire in the order of their instants, those of one instant in the order in which
        they were set, each while the clock shows its own instant.
Rule 3. A timer fires as one of the event loop does: in a turn of its own, in the context in which
        it was set, and never once it was cancelled.
Rule 4. Time is counted in ticks, and every length of time is rounded up to a whole one. A tick is
        a power of two, so that ``time() + 0.1 - time()`` is as many of them as 0.1 was: nobody
        who computes a deadline and sets a timer for it wakes up a moment too early, and who
        moves the clock by the length of a timer meets it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

TICKS_PER_SECOND = 1 << 20
"""A tick is about a microsecond (rule 4)."""

MANY_CANCELLED = 100
"""Cancelled timers are swept out when there are so many, and more of them than others."""


class VirtualTimer:
    """A call that is to happen later; implements ``runtime.clock.Timer``."""

    __slots__ = ("_arguments", "_callback", "_clock", "_context", "_handle", "due")

    def __init__(
        self,
        clock: VirtualClock,
        due: int,
        callback: Callable[..., None],
        arguments: tuple[Any, ...],
    ) -> None:
        self.due = due
        """The tick it fires at."""
        self._clock: VirtualClock | None = clock
        self._callback = callback
        self._arguments = arguments
        self._context = copy_context()
        self._handle: asyncio.Handle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it neither fired nor was cancelled."""
        return self._clock is not None

    def cancel(self) -> None:
        """Let it not happen; does nothing once it has."""
        if self._clock is not None:
            clock, self._clock = self._clock, None
            clock.note_cancelled()
        if self._handle is not None:
            self._handle.cancel()

    def fire(self) -> None:
        """Let it happen in the next turn of the event loop (rule 3)."""
        self._clock = None
        self._handle = asyncio.get_running_loop().call_soon(
            self._callback, *self._arguments, context=self._context
        )


class VirtualClock:
    """Implements :class:`~stator.runtime.clock.Clock`."""

    may_be_set = False

    def __init__(self, start_ms: int | None = None, *, ticks: int = 0) -> None:
        """``start_ms`` is the Unix time it began at, the machine's if left out; ``ticks`` is how
        long ago that was."""
        self._start_ms = time.time_ns() // 1_000_000 if start_ms is None else start_ms
        self._ticks = ticks
        self._timers: list[tuple[int, int, VirtualTimer]] = []
        self._numbers = itertools.count()
        self._cancelled = 0

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds."""
        return self._start_ms + self._ticks * 1000 // TICKS_PER_SECOND

    def now(self) -> float:
        """Return the Unix time in seconds."""
        return self._start_ms / 1000 + self._ticks / TICKS_PER_SECOND

    def time(self) -> float:
        """Return how many seconds the clock has been moved."""
        return self._ticks / TICKS_PER_SECOND

    def call_later(self, seconds: float, callback: Callable[..., None], *args: Any) -> VirtualTimer:
        """Call ``callback`` once the clock was moved by ``seconds``; at once if that is not more
        than 0."""
        timer = VirtualTimer(self, self.after(max(0.0, seconds)), callback, args)
        if timer.due == self._ticks:
            timer.fire()
        else:
            heapq.heappush(self._timers, (timer.due, next(self._numbers), timer))
        return timer

    @property
    def ticks(self) -> int:
        """How many ticks the clock has been moved."""
        return self._ticks

    def after(self, seconds: float) -> int:
        """Return what :attr:`ticks` will be in ``seconds``."""
        return self._ticks + math.ceil(seconds * TICKS_PER_SECOND)

    def step(self, until: int) -> bool:
        """Move to the next timer and fire all of its instant, or to ``until`` if none is due by
        then; return whether there was one."""
        timers = self._timers
        while timers and not timers[0][2].is_waiting:
            heapq.heappop(timers)
            self._cancelled -= 1
        if not timers or timers[0][0] > until:
            self._ticks = max(self._ticks, until)
            return False
        self._ticks = timers[0][0]
        while timers and timers[0][0] == self._ticks:
            timer = heapq.heappop(timers)[2]
            if timer.is_waiting:
                timer.fire()
            else:
                self._cancelled -= 1
        return True

    def without_timers(self) -> VirtualClock:
        """Return a clock that shows the same time, and on which nobody has set a timer yet."""
        return VirtualClock(self._start_ms, ticks=self._ticks)

    def note_cancelled(self) -> None:
        """Note that one of the timers was cancelled."""
        self._cancelled += 1
        if self._cancelled > MANY_CANCELLED and 2 * self._cancelled > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].is_waiting]
            heapq.heapify(self._timers)
            self._cancelled = 0
