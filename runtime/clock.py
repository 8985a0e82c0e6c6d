"""The time that actors live by: the machine's own, or one that tests move by hand.

Everything an actor can notice of time comes from here: time limits, idleness, schedules, cron and
the deadlines of queue receives. ``shards/clock.py`` has the machine's, ``stator.testing`` a virtual
one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """A call that is to happen later."""

    def cancel(self) -> None:
        """Let it not happen; does nothing once it has."""
        ...


class Clock(Protocol):
    """Tells the time and calls back later, on the event loop."""

    @property
    def may_be_set(self) -> bool:
        """Whether :meth:`now_ms` may jump while :meth:`time` goes on."""
        ...

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds; it may jump when the machine's clock is set."""
        ...

    def time(self) -> float:
        """Return seconds since some point in the past; never goes backwards."""
        ...

    def call_later(self, seconds: float, callback: Callable[..., None], *args: Any) -> Timer:
        """Call ``callback`` once ``seconds`` have passed."""
        ...
