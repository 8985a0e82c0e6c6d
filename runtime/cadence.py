"""When a recurring schedule is due (semantics page, section 8.2), and what is wrong with one.

Instants are Unix milliseconds.

Rule 1. A cadence gives the smallest of its instants after another instant: what was missed
        meanwhile is not made up for.
Rule 2. A cron expression speaks of the clock on a wall in its time zone. A local time that the
        clock skips, in spring, does not occur; one that it shows twice, in autumn, occurs once,
        when it is shown first.
Rule 3. An interval is a grid from the instant at which it was set. How late a run is does not
        move the next one.

cronsim reads the expression and finds the days and hours that match on a wall clock that is never
put forward or back; rule 2 is kept here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from .schedule_errors import (
    InvalidCronExpression,
    InvalidInterval,
    InvalidMaxHistory,
    InvalidScheduleName,
    InvalidScheduleTime,
    InvalidTimezone,
)

MIN_INTERVAL_MS = 5_000
MAX_NAME_BYTES = 128
MAX_HISTORY = 1_000
"""Lines of history that one recurring schedule may keep."""
MAX_EXPRESSION = 256
"""Characters. Whoever needs more means several schedules."""
HORIZON_YEARS = 50
"""What does not occur within so many years never does: leap days on a given day of the week come
back after 40 years at most."""
MAX_MS = 8_640_000_000_000_000
"""The last instant that a client in JavaScript can name, 275 thousand years away."""

_FIELDS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class CronCadence(msgspec.Struct, frozen=True):
    """The times of a cron expression on the clocks of a time zone."""

    expression: str
    timezone: str

    def next_after(self, instant_ms: int) -> int | None:
        """Return the first time after an instant, ``None`` if none comes in 50 years.

        Raises ``schedule.invalid_cron_expression`` or ``schedule.invalid_timezone``.
        """
        zone = _find_zone(self.timezone)
        start = (_EPOCH + instant_ms * _MILLISECOND).astimezone(zone).replace(tzinfo=None)
        for wall in _wall_times(self.expression, start):
            found = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
            if found.astimezone(zone).replace(tzinfo=None) != wall:
                continue  # the clock skips it
            found_ms = (found - _EPOCH) // _MILLISECOND
            if found_ms > instant_ms:  # else it is shown for the second time
                return found_ms
        return None

    def is_same(self, other: Cadence) -> bool:
        """Whether both have the same times."""
        return (
            isinstance(other, CronCadence)
            and self.expression.split() == other.expression.split()
            and self.timezone == other.timezone
        )


class EveryCadence(msgspec.Struct, frozen=True):
    """A fixed interval, counted from an anchor."""

    interval_ms: int
    anchor_ms: int

    def next_after(self, instant_ms: int) -> int:
        """Return the first time after an instant: the anchor and a number of whole intervals."""
        passed = max(0, (instant_ms - self.anchor_ms) // self.interval_ms)
        return self.anchor_ms + (passed + 1) * self.interval_ms

    def is_same(self, other: Cadence) -> bool:
        """Whether both have the same interval; the older one then keeps its grid."""
        return isinstance(other, EveryCadence) and self.interval_ms == other.interval_ms


Cadence = CronCadence | EveryCadence


def make_cron(expression: object, timezone: object, now_ms: int) -> CronCadence:
    """Return the cadence of a cron expression.

    Raises ``schedule.invalid_cron_expression``, also for one that never matches, or
    ``schedule.invalid_timezone``.
    """
    if not isinstance(expression, str) or not isinstance(timezone, str):
        raise InvalidTimezone if isinstance(expression, str) else InvalidCronExpression
    cadence = CronCadence(expression, timezone)
    if cadence.next_after(now_ms) is None:
        raise InvalidCronExpression(f"the cron expression {expression!r} never matches")
    return cadence


def make_every(interval: object, now_ms: int) -> EveryCadence:
    """Return the cadence of an interval in seconds. Raises ``schedule.invalid_interval``."""
    seconds = _in_seconds(interval)
    if seconds is None or not MIN_INTERVAL_MS / 1000 <= seconds <= MAX_MS / 1000:
        raise InvalidInterval(f"an interval is {MIN_INTERVAL_MS // 1000} s or more, not {interval}")
    return EveryCadence(round(seconds * 1000), now_ms)


def check_name(name: object) -> str:
    """Return the name of a recurring schedule. Raises ``schedule.invalid_name``."""
    try:
        if isinstance(name, str) and 1 <= len(name.encode()) <= MAX_NAME_BYTES:
            return name
    except UnicodeEncodeError as error:
        raise InvalidScheduleName("the name holds half a surrogate pair") from error
    raise InvalidScheduleName


def check_max_history(lines: object) -> int:
    """Return how many lines of history to keep. Raises ``schedule.invalid_max_history``."""
    return _check_lines(lines, 0)


def check_history_limit(limit: object) -> int:
    """Return how many lines of history to read. Raises ``schedule.invalid_max_history``."""
    return _check_lines(limit, 1)


def instant_to_ms(when: object) -> int:
    """Return an instant, in Unix seconds or as an aware datetime, in milliseconds.

    Raises ``schedule.invalid_time``.
    """
    if isinstance(when, datetime):
        if when.tzinfo is None or when.utcoffset() is None:
            raise InvalidScheduleTime(f"{when.isoformat()} has no time zone")
        return (when - _EPOCH) // _MILLISECOND
    if isinstance(when, timedelta):
        raise InvalidScheduleTime("a timedelta is a delay: use schedule.after")
    return delay_to_ms(when)


def delay_to_ms(delay: object) -> int:
    """Return seconds in milliseconds. Raises ``schedule.invalid_time``."""
    seconds = _in_seconds(delay)
    if seconds is None or abs(seconds) > MAX_MS / 1000:
        raise InvalidScheduleTime
    return round(seconds * 1000)


def check_due(due_ms: int) -> int:
    """Return an instant that is not out of all bounds. Raises ``schedule.invalid_time``."""
    if abs(due_ms) > MAX_MS:
        raise InvalidScheduleTime("the time is out of all bounds")
    return due_ms


def _check_lines(lines: Any, least: int) -> int:
    if type(lines) is not int or not least <= lines <= MAX_HISTORY:
        raise InvalidMaxHistory(f"{least} to {MAX_HISTORY} lines of history, not {lines!r}")
    return lines


def _in_seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None  # an integer beyond all floats


def _find_zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # also on a machine without a database of time zones
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidTimezone(f"{name!r} is no time zone of the IANA database") from error


def _wall_times(expression: str, start: datetime) -> Iterator[datetime]:
    """Yield the naive local times after another that match, up to the horizon."""
    if len(expression) > MAX_EXPRESSION or len(expression.split()) != _FIELDS:
        raise InvalidCronExpression
    try:
        times = CronSim(expression, start)
    except (CronSimError, ValueError) as error:
        text = str(error).lower() or "it cannot be read"
        raise InvalidCronExpression(f"the cron expression {expression!r}: {text}") from error
    try:
        for found in times:
            if found.year > start.year + HORIZON_YEARS:
                return
            yield found
    except OverflowError:
        return  # the calendar ends in the year 9999
