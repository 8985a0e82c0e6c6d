"""When a batch is committed: at once, or a moment later so that more changes share its sync.

Rule 1. A change that comes alone is never delayed.
Rule 2. A batch is held only if holding paid last time: it is committed as soon as it has
        ``FULL`` changes, and holding paid if it got ``WORTH`` of them within ``interval``.
Rule 3. When holding did not pay, the next batches are not held; the pause doubles each time, so
        that a load too light to share syncs loses a moment once in a thousand commits.

A sync costs about as much as a dozen small changes (docs/storage.md), so six changes a batch have
most of what sharing can give; holding longer would only make callers wait.
"""

from __future__ import annotations

FULL = 6
"""A held batch with this many changes goes at once."""
WORTH = 4
"""A held batch with fewer was not worth holding."""
FIRST_PAUSE, LAST_PAUSE = 8, 1024
"""Commits before holding is tried again."""


class Pacer:
    """Decides for the batches of one shard. Pure: it is told of changes and commits."""

    __slots__ = ("_interval", "_is_holding", "_pause", "_skip")

    def __init__(self, interval: float) -> None:
        """``interval`` is the longest time a change is held, in seconds; 0 never holds."""
        self._interval = interval
        self._is_holding = False
        self._pause = FIRST_PAUSE
        self._skip = 0

    def hold(self, changes: int) -> float:
        """Return for how long, in seconds, a batch with ``changes`` may be held."""
        return self._interval if self._is_holding and changes < FULL else 0.0

    def is_full(self, changes: int) -> bool:
        """Whether a held batch has what it was held for."""
        return changes >= FULL

    def committed(self, changes: int, *, callers: int) -> None:
        """Learn from a batch that goes to disk: its changes, and how many callers wait for it."""
        if self._is_holding:
            self._is_holding = changes >= WORTH
            self._pause = FIRST_PAUSE if self._is_holding else min(2 * self._pause, LAST_PAUSE)
            self._skip = 0 if self._is_holding else self._pause
        elif self._skip:
            self._skip -= 1
        else:
            self._is_holding = callers > 1 and self._interval > 0
