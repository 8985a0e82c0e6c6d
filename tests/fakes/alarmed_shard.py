"""What an alarm rings for: a shard whose rows and actors are whatever a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from stator.runtime.errors import ActorNotConfigured, StorageUnavailable
from stator.shards.lifecycle import Status
from stator.shards.schedules.alarm import Alarm
from tests.fakes.engine_in_process import turns
from tests.fakes.manual_clock import ManualClock
from tests.fakes.recording_log import RecordingLog


class FiringCell:
    """An actor in memory; implements ``shards.alarm.DueCell``."""

    def __init__(self, shard: FakeShard, actor_id: str, status: Status = Status.READY) -> None:
        self.status = status
        self._shard = shard
        self._actor_id = actor_id

    def fire_due(self, until_ms: int) -> None:
        """Fire what is due: it leaves the rows."""
        due = [at for at in self._shard.rows.get(self._actor_id, []) if at <= until_ms]
        for at in due:
            self._shard.fired.append((self._actor_id, at))
            self._shard.rows[self._actor_id].remove(at)


class FakeStore:
    """The rows of a shard; implements ``shards.alarm.DueStore``."""

    def __init__(self, shard: FakeShard) -> None:
        self._shard = shard
        self.look_ups = 0
        self.failures = 0
        """How many look-ups are going to fail."""

    def find_due(self, until_ms: int) -> asyncio.Future[list[str]]:
        self.look_ups += 1
        found = sorted(
            (min(due), actor_id)
            for actor_id, due in self._shard.rows.items()
            if due and min(due) <= until_ms
        )
        return self._answer([actor_id for _, actor_id in found])

    def next_due(self, after_ms: int) -> asyncio.Future[int | None]:
        later = [at for due in self._shard.rows.values() for at in due if at > after_ms]
        return self._answer(min(later, default=None))

    def find_live(self) -> asyncio.Future[list[str]]:
        return self._answer(list(self._shard.live))

    def _answer(self, result: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.failures:
            self.failures -= 1
            future.set_exception(OSError("disk gone"))
        else:
            future.set_result(result)
        return future


class FakeShard:
    """Implements ``shards.alarm.AlarmedShard``, and wakes and blocks as a worker does."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = RecordingLog()
        self.store = FakeStore(self)
        self.by_id: dict[str, FiringCell] = {}
        self.rows: dict[str, list[int]] = {}
        """When something of an actor is due."""
        self.live: list[str] = []
        """Whose workflow is under way, by what is stored."""
        self.fired: list[tuple[str, int]] = []
        self.blocked: set[str] = set()
        self.unknown: set[str] = set()
        self.woken: list[str] = []
        """Who was to be brought up, in order."""
        self.failing: dict[str, int] = {}
        """How many starts of an actor are going to fail."""
        self.commit_failures = 0
        """How many commits are going to fail."""
        self.uncommitted: dict[str, list[int]] = {}
        """Like :attr:`rows`, not yet on disk."""
        self._starts: asyncio.Event = asyncio.Event()
        self._starts.set()

    def due_in(self, actor_id: str, seconds: float) -> int:
        """Let something of an actor be due; return when."""
        at = self.clock.now_ms() + round(seconds * 1000)
        self.rows.setdefault(actor_id, []).append(at)
        return at

    def awaken(self, actor_id: str, status: Status = Status.READY) -> FiringCell:
        """Let an actor be in memory."""
        cell = self.by_id[actor_id] = FiringCell(self, actor_id, status)
        return cell

    def hold_starts(self) -> None:
        """Let starts last until :meth:`release_starts`."""
        self._starts.clear()

    def release_starts(self) -> None:
        """Let the starts under way end."""
        self._starts.set()

    async def wait_durable(self) -> None:
        if self.commit_failures:
            self.commit_failures -= 1
            raise StorageUnavailable
        uncommitted, self.uncommitted = self.uncommitted, {}
        for actor_id, due in uncommitted.items():
            self.rows.setdefault(actor_id, []).extend(due)

    async def wake(self, actor_id: str) -> None:
        """Start an actor; its start fires what is due."""
        self.woken.append(actor_id)
        if actor_id in self.unknown:
            raise ActorNotConfigured
        await self._starts.wait()
        if self.failing.get(actor_id):
            self.failing[actor_id] -= 1
            raise RuntimeError("on_wake failed")
        if actor_id not in self.by_id:  # else it was starting, and has looked for what is due
            self.awaken(actor_id).fire_due(self.clock.now_ms())

    def is_blocked(self, actor_id: str) -> bool:
        return actor_id in self.blocked


@asynccontextmanager
async def opened(shard: FakeShard, *, at_once: int = 1_000) -> AsyncGenerator[Alarm]:
    """Run an alarm that has looked at what was due."""
    alarm = Alarm(shard, shard.wake, shard.is_blocked, at_once=at_once)
    alarm.open()
    await pass_time(shard, 0)
    try:
        yield alarm
    finally:
        alarm.close()


async def pass_time(shard: FakeShard, seconds: float) -> None:
    """Move the clock in steps of a second at most, and let the loop turn after each."""
    while seconds > 1:
        shard.clock.advance(1)
        await turns()
        seconds -= 1
    shard.clock.advance(seconds)
    await turns()
