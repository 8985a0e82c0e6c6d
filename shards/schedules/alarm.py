"""The alarm of a shard: lets actors run when something of theirs is due or was interrupted.

Rule 1. One timer per shard, set for the earliest instant at which anything is due. What is
        pending costs nothing but its row: the store knows who is due.
Rule 2. When it rings, actors that are awake fire themselves. Those that are not in memory are
        brought up, the longest overdue first and so many at a time; their start fires what is
        due ahead of any request.
Rule 3. Who cannot fire now (it leaves memory, or its starts back off) is tried again a second
        later. Whoever was due is looked at once more after a minute, in case it came to nothing.
        An actor of a class that the registry does not know is left to the next process.
Rule 4. Where the clock may be set, the timer is never set for more than a minute, so that it is
        noticed when the clock was put forward; when it was put back, the alarm waits on.
Rule 5. Actors whose workflow was interrupted are brought up although nothing of theirs is due,
        after those of rule 2: at the first ringing those that the store names, as the end of a
        process interrupts them all; later those that :meth:`Alarm.bring_up` names. Each is tried,
        as in rule 3, until it was ready once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from stator.runtime.clock import Clock, Timer
from stator.runtime.errors import ActorNotConfigured, ActorNotFound
from stator.runtime.log import Logger

from ..lifecycle import Status

LONGEST_SLEEP_S = 60.0
RETRY_S = 1.0
AT_ONCE = 250
"""How many actors of one shard are brought up at a time; a worker has a few shards."""
TURN = 200
"""How many actors fire before others of the worker have their turn."""


class DueCell(Protocol):
    """What the alarm needs of an actor in memory."""

    @property
    def status(self) -> Status: ...

    def fire_due(self, until_ms: int) -> None:
        """Begin to run what is due by an instant; without effect if nothing is."""
        ...


class DueStore(Protocol):
    """What the alarm needs of a shard's store."""

    def find_due(self, until_ms: int) -> asyncio.Future[list[str]]: ...
    def next_due(self, after_ms: int) -> asyncio.Future[int | None]: ...
    def find_live(self) -> asyncio.Future[list[str]]: ...


class AlarmedShard(Protocol):
    """What the alarm needs of its shard."""

    @property
    def store(self) -> DueStore: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def log(self) -> Logger: ...
    @property
    def by_id(self) -> Mapping[str, DueCell]:
        """The actors in memory."""
        ...

    async def wait_durable(self) -> None: ...


class Alarm:
    """Rings when actors of one shard have something to do."""

    __slots__ = (
        "_absent",
        "_at_once",
        "_closed",
        "_coming",
        "_due_ms",
        "_interrupted",
        "_is_blocked",
        "_is_ringing",
        "_looks_for_live",
        "_retry_at",
        "_rung_at",
        "_rung_ms",
        "_shard",
        "_tasks",
        "_timer",
        "_waiting",
        "_wake",
    )

    def __init__(
        self,
        shard: AlarmedShard,
        wake: Callable[[str], Coroutine[Any, Any, None]],
        is_blocked: Callable[[str], bool],
        *,
        at_once: int = AT_ONCE,
    ) -> None:
        """``wake`` brings an actor up and returns when it is ready; raises why it is not.
        ``is_blocked`` says whether an actor may not be started now."""
        self._shard = shard
        self._wake = wake
        self._is_blocked = is_blocked
        self._at_once = at_once
        self._timer: Timer | None = None
        self._due_ms: int | None = None
        """The earliest instant known for which it has not rung yet."""
        self._retry_at: float | None = None
        """When it rings anyway, by the clock's own time."""
        self._rung_ms = 0
        """For what instant it rang last."""
        self._rung_at = 0.0
        """When that was, by the clock's own time."""
        self._is_ringing = False
        self._waiting: dict[str, None] = {}
        """Who is to be brought up, in order."""
        self._coming: set[str] = set()
        """Who is being brought up."""
        self._absent: set[str] = set()
        """Who is due and cannot be brought up by this process."""
        self._interrupted: dict[str, None] = {}
        """Who is to be brought up although nothing may be due, in order."""
        self._looks_for_live = False
        """Whether the store is still to be asked whose workflow was interrupted."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def is_armed(self) -> bool:
        """Whether it is going to ring."""
        return self._timer is not None or self._is_ringing

    def open(self) -> None:
        """Begin with what became due while the shard was closed, or was interrupted."""
        self._looks_for_live = True
        self._retry_at = self._shard.clock.time()
        self._arm()

    def note(self, due_ms: int) -> None:
        """Ring at an instant too: something that is due then is in the shard's batch."""
        if self._due_ms is None or due_ms < self._due_ms:
            self._due_ms = due_ms
            self._arm()

    def retry(self, seconds: float = RETRY_S) -> None:
        """Ring in a while whatever is due then: something could not be fired now."""
        at = self._shard.clock.time() + seconds
        if self._retry_at is None or at < self._retry_at:
            self._retry_at = at
            self._arm()

    def bring_up(self, actor_id: str) -> None:
        """Start an actor in a second, whether something is due then or not.

        It is one whose generation was lost to a failed commit while its workflow was under way.
        """
        if not self._closed:
            self._interrupted[actor_id] = None
            self.retry()

    def close(self) -> None:
        """Ring no more; actors that are being brought up go on without it."""
        self._closed = True
        self._disarm()
        self._waiting.clear()
        self._interrupted.clear()
        for task in list(self._tasks):
            task.cancel()

    # -- the timer

    def _arm(self) -> None:
        self._disarm()
        if self._closed or self._is_ringing:
            return
        clock = self._shard.clock
        seconds = LONGEST_SLEEP_S if clock.may_be_set else math.inf
        if self._due_ms is not None:
            seconds = min(seconds, max(0.0, (self._due_ms - clock.now_ms()) / 1000))
            if self._waiting:
                # Each ringing asks for all who are due: once in a second will do.
                seconds = max(seconds, self._rung_at + RETRY_S - clock.time())
        elif self._retry_at is None:
            return
        if self._retry_at is not None:
            seconds = min(seconds, max(0.0, self._retry_at - clock.time()))
        self._timer = clock.call_later(seconds, self._look)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        clock = self._shard.clock
        is_due = self._due_ms is not None and self._due_ms <= clock.now_ms()
        if is_due or (self._retry_at is not None and self._retry_at <= clock.time()):
            self._is_ringing = True
            self._spawn(self._ring())
        else:
            self._arm()

    # -- ringing

    async def _ring(self) -> None:
        shard = self._shard
        self._rung_ms = now_ms = shard.clock.now_ms()
        self._rung_at = shard.clock.time()
        self._due_ms = self._retry_at = None
        try:
            await shard.wait_durable()  # the store's look-ups see what is on disk
            due = await self._find(now_ms)
            if due:
                self.retry(LONGEST_SLEEP_S)
                await self._let_fire(due, now_ms)
            following = await shard.store.next_due(now_ms)
        except Exception as error:
            shard.log.error("due schedules cannot be looked up", exc_info=error)
            self.retry()
        else:
            if following is not None:
                self.note(following)
        finally:
            self._is_ringing = False
            self._arm()

    async def _find(self, now_ms: int) -> list[str]:
        store = self._shard.store
        if self._looks_for_live:
            self._interrupted.update(dict.fromkeys(await store.find_live()))
            self._looks_for_live = False
        due = await store.find_due(now_ms)
        found = dict.fromkeys([*due, *self._interrupted])
        return [actor_id for actor_id in found if actor_id not in self._absent]

    async def _let_fire(self, due: list[str], now_ms: int) -> None:
        for count, actor_id in enumerate(due, 1):
            if actor_id not in self._coming:
                self._let_one_fire(actor_id, now_ms)
            if count % TURN == 0:
                await asyncio.sleep(0)
        self._bring_up()

    def _let_one_fire(self, actor_id: str, now_ms: int) -> None:
        cell = self._shard.by_id.get(actor_id)
        if cell is None or cell.status is Status.STARTING:
            self._waiting[actor_id] = None
        elif cell.status is Status.READY:
            self._interrupted.pop(actor_id, None)
            cell.fire_due(now_ms)
        else:
            self.retry()  # it is leaving

    def _bring_up(self) -> None:
        had_waiting = bool(self._waiting)
        while self._waiting and len(self._coming) < self._at_once:
            actor_id = next(iter(self._waiting))
            del self._waiting[actor_id]
            if self._is_blocked(actor_id):
                self.retry()
            else:
                self._coming.add(actor_id)
                self._spawn(self._bring_one_up(actor_id))
        if had_waiting and not self._waiting:
            self._arm()  # for what came due while it did not ring for every instant

    async def _bring_one_up(self, actor_id: str) -> None:
        try:
            await self._wake(actor_id)
        except (ActorNotConfigured, ActorNotFound) as error:
            self._absent.add(actor_id)
            self._interrupted.pop(actor_id, None)
            self._shard.log.warning("due actor is not there", actor_id=actor_id, problem=str(error))
        except Exception:
            self.retry()  # whoever failed to start it has logged why
        else:
            self._interrupted.pop(actor_id, None)
            self._fire_after_start(actor_id)
        finally:
            self._coming.discard(actor_id)
            self._bring_up()

    def _fire_after_start(self, actor_id: str) -> None:
        # Something may have become due after its start looked for that.
        cell = self._shard.by_id.get(actor_id)
        if cell is not None and cell.status is Status.READY:
            cell.fire_due(self._rung_ms)
        else:
            self.retry()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._shard.log.error("alarm failed", exc_info=error)
