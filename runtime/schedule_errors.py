"""Errors of schedules and cron (semantics page, section 8.3)."""

from __future__ import annotations

from .errors import ApplicationError, CallerError, SystemTrouble


class InvalidScheduleName(CallerError):
    """The name of a recurring schedule is 1 to 128 bytes of UTF-8."""

    known = ("schedule", "invalid_name", 400)


class InvalidCronExpression(CallerError):
    """A cron expression has five fields: minute, hour, day of month, month, day of week."""

    known = ("schedule", "invalid_cron_expression", 400)


class InvalidTimezone(CallerError):
    """The time zone is not one of the IANA database, like "Europe/Berlin"."""

    known = ("schedule", "invalid_timezone", 400)


class InvalidInterval(CallerError):
    """The interval of a recurring schedule is 5 seconds or more."""

    known = ("schedule", "invalid_interval", 400)


class InvalidMaxHistory(CallerError):
    """A recurring schedule keeps 0 to 1000 lines of history, of which 1 to 1000 can be read."""

    known = ("schedule", "invalid_max_history", 400)


class InvalidScheduleTime(CallerError):
    """A time is a number of Unix seconds or an aware datetime, a delay a number of seconds."""

    known = ("schedule", "invalid_time", 400)


class InvalidScheduleArguments(CallerError):
    """The arguments of a scheduled action hold a value that cannot be stored."""

    known = ("schedule", "invalid_args", 400)


class MaxSchedulesExceeded(CallerError):
    """The actor has as many schedules as its option max_schedules allows."""

    known = ("schedule", "max_schedules_exceeded", 400)


class InvalidScheduleRow(ApplicationError):
    """A stored schedule cannot be read: it was written by a newer stator or is damaged."""

    known = ("schedule", "invalid_schedule_row", 500)


class ScheduleInterrupted(SystemTrouble):
    """The process of the actor ended while the scheduled action ran."""

    known = ("schedule", "interrupted", 503)
