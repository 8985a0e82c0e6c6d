"""Actors that fail to start are not started again at once (semantics page, section 2.10).

Rule 1. The first failure delays nothing: the next request tries again.
Rule 2. From the second in a row on, requests are refused with the error of the last start until a
        pause is over that doubles with each failure, with some jitter.
Rule 3. A start that succeeds, or ``FORGET_S`` without another try, makes it as if nothing was.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from stator.runtime.clock import Clock

BASE_S = 2.0
LARGEST_EXPONENT = 8
JITTER_S = 0.5
FORGET_S = 600.0
MOST = 10_000
"""How many failing actors are remembered; beyond that those that failed first are forgotten."""


@dataclass(slots=True)
class StartFailure:
    """The failed starts of one actor, in a row."""

    error: BaseException
    """Why the last one failed."""
    count: int
    at: float
    """When that was, by the clock's own time."""
    until: float
    """When the next may begin, by the clock's own time."""
    until_ms: int
    """The same as Unix milliseconds."""


class StartFailures:
    """Remembers, for one worker, which actors failed to start."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_id: dict[str, StartFailure] = {}

    def note(self, actor_id: str, error: BaseException) -> None:
        """Remember that a start failed."""
        before = self.find(actor_id)
        count = 1 if before is None else before.count + 1
        pause = 0.0
        if count > 1:
            pause = BASE_S * 2 ** min(count - 2, LARGEST_EXPONENT) + random.uniform(0, JITTER_S)
        now = self._clock.time()
        until_ms = self._clock.now_ms() + round(pause * 1000)
        self._by_id.pop(actor_id, None)
        self._by_id[actor_id] = StartFailure(error, count, now, now + pause, until_ms)
        if len(self._by_id) > MOST:
            del self._by_id[next(iter(self._by_id))]

    def forget(self, actor_id: str) -> None:
        """Remember that a start succeeded, or that the actor is no more."""
        if self._by_id:
            self._by_id.pop(actor_id, None)

    def find(self, actor_id: str) -> StartFailure | None:
        """Return what is remembered of an actor."""
        found = self._by_id.get(actor_id)
        if found is not None and self._clock.time() - found.until > FORGET_S:
            del self._by_id[actor_id]
            return None
        return found

    def blocks(self, actor_id: str) -> StartFailure | None:
        """Return the failure for which an actor may not be started now."""
        found = self.find(actor_id)
        return found if found is not None and self._clock.time() < found.until else None
