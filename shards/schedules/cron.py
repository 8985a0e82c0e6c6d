"""``self.cron``: calls of the actor's own actions, again and again (python-api, section 6).

Rule 1. A name that exists is replaced: same cadence, same next time; another cadence counts from
        now. When it fired last and its history stay.
Rule 2. Fewer lines of history than before are kept from the commit of the change on.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stator.runtime.cadence import (
    Cadence,
    check_history_limit,
    check_max_history,
    check_name,
    make_cron,
    make_every,
)
from stator.runtime.schedule_errors import InvalidCronExpression
from stator.runtime.schedules import ActionLike, CronJob, HistoryEntry, Seconds

from .history import read_line
from .images import Job, encode_args

if TYPE_CHECKING:
    from ..cell import Cell
    from .book import ScheduleBook


class Cron:
    """Implements :class:`~stator.runtime.schedules.ActorCron`."""

    __slots__ = ("_book", "_cell")

    def __init__(self, book: ScheduleBook, cell: Cell) -> None:
        self._book = book
        self._cell = cell

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
        check_name(name)
        now_ms = self._cell.shard.clock.now_ms()
        cadence = make_cron(expression, timezone, now_ms)
        await self._put(name, cadence, action, args, max_history, now_ms)

    async def every(
        self,
        *,
        name: str,
        interval: Seconds,
        action: ActionLike,
        args: Sequence[Any] = (),
        max_history: int = 100,
    ) -> None:
        check_name(name)
        now_ms = self._cell.shard.clock.now_ms()
        await self._put(name, make_every(interval, now_ms), action, args, max_history, now_ms)

    async def get(self, name: str) -> CronJob | None:
        found = self._book.jobs.get(name)
        return None if found is None else found.view()

    async def list(self) -> builtins.list[CronJob]:
        return [job.view() for _, job in sorted(self._book.jobs.items())]

    async def delete(self, name: str) -> bool:
        found = self._book.jobs.get(name)
        if found is None:
            return False
        self._book.remove(found)
        await self._cell.wait_committed()
        return True

    async def history(self, name: str, limit: int = 20) -> builtins.list[HistoryEntry]:
        check_history_limit(limit)
        if name not in self._book.jobs:
            return []
        shard = self._cell.shard
        await shard.wait_durable()  # reads see what is on disk
        rows = await shard.store.list_fires(self._cell.row.pk, name, limit)
        return [read_line(row) for row in rows]

    async def _put(
        self,
        name: str,
        cadence: Cadence,
        action: ActionLike,
        args: Sequence[Any],
        max_history: int,
        now_ms: int,
    ) -> None:
        wire_name, data = self._book.wire_name(action), encode_args(args)
        check_max_history(max_history)
        job = self._book.jobs.get(name)
        if job is None:
            due_ms = _first_after(cadence, now_ms)
            self._book.put(Job(name, due_ms, cadence, wire_name, data, max_history))
        else:
            self._replace(job, cadence, wire_name, data, max_history, now_ms)
        await self._cell.wait_committed()

    def _replace(
        self, job: Job, cadence: Cadence, action: str, args: bytes, max_history: int, now_ms: int
    ) -> None:
        self._book.begin_change()
        if not job.cadence.is_same(cadence):
            job.cadence = cadence
            job.due_ms = _first_after(cadence, now_ms)
            self._book.schedule_again(job)
        is_shorter = max_history < job.max_history
        job.action, job.args, job.max_history = action, args, max_history
        self._book.store(job)
        if is_shorter:
            self._book.keep_fires(job)


def _first_after(cadence: Cadence, now_ms: int) -> int:
    due_ms = cadence.next_after(now_ms)
    if due_ms is None:
        raise InvalidCronExpression  # unreachable: an expression that never matches was refused
    return due_ms
