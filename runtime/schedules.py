"""Schedules and cron as the actor's code sees them (python-api, section 6; semantics, 8)."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import msgspec

Seconds = float | timedelta
Instant = float | datetime
"""Unix seconds or an aware datetime."""
ActionLike = Callable[..., Any] | str
"""A bound method that is an action, or its wire name."""


class Schedule(msgspec.Struct, frozen=True):
    """A pending one-shot schedule."""

    id: str
    action: str
    args: tuple[Any, ...]
    run_at: float
    """Unix seconds."""


class CronJob(msgspec.Struct, frozen=True):
    """A recurring schedule."""

    name: str
    kind: Literal["cron", "every"]
    action: str
    args: tuple[Any, ...]
    next_run_at: float
    """Unix seconds."""
    last_run_at: float | None
    max_history: int
    expression: str | None = None
    """Of kind "cron"."""
    timezone: str | None = None
    """Of kind "cron"."""
    interval: float | None = None
    """Of kind "every", in seconds."""


class HistoryEntry(msgspec.Struct, frozen=True):
    """One run of a recurring schedule. Instants are Unix seconds."""

    action: str
    scheduled_at: float
    fired_at: float
    finished_at: float | None
    result: Literal["running", "ok", "error", "skipped"]
    error: dict[str, Any] | None
    """``group``, ``code``, ``message`` and ``metadata``, as a caller would see them."""


class ScheduledFire(msgspec.Struct, frozen=True):
    """Why a scheduled action runs. Instants are Unix seconds."""

    kind: Literal["at", "cron", "every"]
    id: str
    """Of a recurring schedule, its name."""
    name: str | None
    scheduled_at: float
    fired_at: float


class ActorSchedule(Protocol):
    """``self.schedule``: calls of the actor's own actions, once.

    What is scheduled is kept on disk: it survives sleep, crashes and upgrades, and wakes the
    actor when it is due. Each schedule fires at most once: it is taken off the disk before its
    action runs, and an action that fails is logged, not repeated (semantics page, section 8.2).
    An action is named by a bound method or by its wire name; whether there is one of that name is
    found out when it is due. Every call that writes raises ``storage.unavailable`` if that cannot
    be made durable, and ``actor.state_not_serializable`` like any other that stores the state.
    """

    async def after(self, delay: Seconds, action: ActionLike, *args: Any) -> str:
        """Call ``action`` with ``args`` after ``delay`` seconds; return the schedule's id.

        It is durable when this returns. Raises as :meth:`at` does.
        """
        ...

    async def at(self, when: Instant, action: ActionLike, *args: Any) -> str:
        """Call ``action`` with ``args`` at ``when``, at once if that is past; return an id.

        It is durable when this returns. Arguments come back as they went in, types included;
        records come back where the action's annotations say so. Raises ``schedule.invalid_time``
        (also for a datetime without a time zone), ``schedule.invalid_args``,
        ``schedule.max_schedules_exceeded``, and ``actor.action_not_found`` for a function that is
        no action of this class.
        """
        ...

    async def get(self, schedule_id: str) -> Schedule | None:
        """Return a pending one-shot schedule, ``None`` once it has fired."""
        ...

    async def list(self) -> list[Schedule]:
        """Return the pending one-shot schedules by time, then id."""
        ...

    async def cancel(self, schedule_id: str) -> bool:
        """Let a pending one-shot schedule not happen; return whether there was one.

        It is too late once it fired, also while its action still runs.
        """
        ...


class ActorCron(Protocol):
    """``self.cron``: calls of the actor's own actions, again and again.

    A recurring schedule is known by its name. Its next time is on disk before its action runs.
    What came due while the actor could not run fires once, then goes on at the next regular time.
    A time that comes while the last run still executes is skipped (semantics page, section 8.2).
    A schedule whose action is no longer there when it is due is deleted.
    """

    async def set(
        self,
        *,
        name: str,
        expression: str,
        action: ActionLike,
        args: Sequence[Any] = (),
        timezone: str = "UTC",
        max_history: int = 100,
    ) -> None:
        """Call ``action`` at the times of a cron expression on the clocks of ``timezone``.

        ``expression`` has five fields. Local times that a clock skips do not occur, those it
        shows twice occur once. Under a name that exists the schedule is replaced; if the cadence
        stays the same, so does the next time. Durable when it returns.

        Raises ``schedule.invalid_name``, ``schedule.invalid_cron_expression``,
        ``schedule.invalid_timezone``, ``schedule.invalid_max_history``, ``schedule.invalid_args``,
        ``schedule.max_schedules_exceeded`` or ``actor.action_not_found`` as
        :meth:`ActorSchedule.at` does.
        """
        ...

    async def every(
        self,
        *,
        name: str,
        interval: Seconds,
        action: ActionLike,
        args: Sequence[Any] = (),
        max_history: int = 100,
    ) -> None:
        """Call ``action`` every ``interval`` seconds, 5 or more, the first time after one.

        The times are a grid from when it was set, however late a run is. Raises
        ``schedule.invalid_interval`` and what :meth:`set` raises.
        """
        ...

    async def get(self, name: str) -> CronJob | None:
        """Return a recurring schedule."""
        ...

    async def list(self) -> list[CronJob]:
        """Return the recurring schedules by name."""
        ...

    async def delete(self, name: str) -> bool:
        """Delete a recurring schedule and its history; return whether there was one.

        A run under way goes on.
        """
        ...

    async def history(self, name: str, limit: int = 20) -> builtins.list[HistoryEntry]:
        """Return up to ``limit`` (1 to 1000) runs of a recurring schedule, the newest first.

        Raises ``schedule.invalid_max_history``.
        """
        ...
