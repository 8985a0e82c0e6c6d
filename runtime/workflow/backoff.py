"""How long a failed step waits before its next attempt."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

import msgspec

from ..declarations import DefinitionError


class Backoff(msgspec.Struct, frozen=True):
    """The pauses after failed attempts: 0.2, 0.4, 0.8 seconds and so on, without arguments.

    Durations are seconds or timedeltas. Raises :class:`DefinitionError` for what is no number and
    ``ValueError`` for one that makes no sense.
    """

    first: float | timedelta = 0.2
    """After the first attempt."""
    factor: float = 2.0
    """How much longer each pause is than the one before; 1 or more."""
    max: float | timedelta = 30.0
    """The longest pause."""
    jitter: float = 0.0
    """The fraction of a pause, 0 to 1, that chance may take off."""

    def __post_init__(self) -> None:
        _check("first", seconds_of(self.first), 0.0)
        _check("factor", self.factor, 1.0)
        _check("max", seconds_of(self.max), 0.0)
        _check("jitter", self.jitter, 0.0, 1.0)

    def delay(self, attempt: int, draw: Callable[[], float]) -> float:
        """Return the seconds to wait after attempt number ``attempt``, counted from 1.

        ``draw`` gives a random number from 0 to 1; it is asked only if there is a jitter.
        """
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        longest = seconds_of(self.max)
        try:
            pause = min(longest, seconds_of(self.first) * float(self.factor) ** (attempt - 1))
        except OverflowError:
            pause = longest if seconds_of(self.first) else 0.0
        return pause * (1.0 - self.jitter * draw()) if self.jitter else pause


def seconds_of(duration: float | timedelta) -> float:
    """Return a duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def _check(name: str, value: object, least: float, most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DefinitionError(f"{name} of a Backoff is a number, not {value!r}")
    if not (least <= value <= most and math.isfinite(value)):
        limit = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
        raise ValueError(f"{name} of a Backoff is {limit}, not {value!r}")
