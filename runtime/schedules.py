"""Schedules and cron as the actor's code sees them (python-api, section 6; semantics, section 8)."""

from __future__ import annotations

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
    """``self.schedule``: calls of the actor's own actions, once."""

    async def after(self, delay: Seconds, action: ActionLike, *args: Any) -> str: ...
    async def at(self, when: Instant, action: ActionLike, *args: Any) -> str: ...
    async def get(self, schedule_id: str) -> Schedule | None: ...
    async def list(self) -> list[Schedule]: ...
    async def cancel(self, schedule_id: str) -> bool: ...


class ActorCron(Protocol):
    """``self.cron``: calls of the actor's own actions, again and again."""

    async def set(
        self,
        *,
        name: str,
        expression: str,
        action: ActionLike,
        args: Sequence[Any] = (),
        timezone: str = "UTC",
        max_history: int = 100,
    ) -> None: ...

    async def every(
        self,
        *,
        name: str,
        interval: Seconds,
        action: ActionLike,
        args: Sequence[Any] = (),
        max_history: int = 100,
    ) -> None: ...

    async def get(self, name: str) -> CronJob | None: ...
    async def list(self) -> list[CronJob]: ...
    async def delete(self, name: str) -> bool: ...
    async def history(self, name: str, limit: int = 20) -> list[HistoryEntry]: ...
