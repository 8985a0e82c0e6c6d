"""``self.schedule``: calls of the actor's own actions, once (python-api, section 6)."""

from __future__ import annotations

import builtins
import uuid
from typing import TYPE_CHECKING, Any

from stator.runtime.cadence import check_due, delay_to_ms, instant_to_ms
from stator.runtime.schedules import ActionLike, Instant, Schedule, Seconds

from .images import OneShot, encode_args

if TYPE_CHECKING:
    from ..cell import Cell
    from .book import ScheduleBook


class OneShots:
    """Implements :class:`~stator.runtime.schedules.ActorSchedule`."""

    __slots__ = ("_book", "_cell")

    def __init__(self, book: ScheduleBook, cell: Cell) -> None:
        self._book = book
        self._cell = cell

    async def after(self, delay: Seconds, action: ActionLike, *args: Any) -> str:
        now_ms = self._cell.shard.clock.now_ms()
        return await self._put(now_ms + delay_to_ms(delay), action, args)

    async def at(self, when: Instant, action: ActionLike, *args: Any) -> str:
        return await self._put(instant_to_ms(when), action, args)

    async def get(self, schedule_id: str) -> Schedule | None:
        found = self._book.once.get(schedule_id)
        return None if found is None else found.view()

    async def list(self) -> builtins.list[Schedule]:
        pending = sorted(self._book.once.values(), key=lambda each: (each.due_ms, each.id))
        return [each.view() for each in pending]

    async def cancel(self, schedule_id: str) -> bool:
        found = self._book.once.get(schedule_id)
        if found is None:
            return False
        self._book.remove(found)
        await self._cell.wait_committed()
        return True

    async def _put(self, due_ms: int, action: ActionLike, args: tuple[Any, ...]) -> str:
        name = self._book.wire_name(action)
        one_shot = OneShot(str(uuid.uuid4()), check_due(due_ms), name, encode_args(args))
        self._book.put(one_shot)
        await self._cell.wait_committed()
        return one_shot.id
