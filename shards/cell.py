"""One actor in memory: the user's instance, its state tracker and where it is in its life.

It is what an :class:`~stator.runtime.actor.Actor` reaches through ``self._host``. An idle actor
is this object, the instance and its state, with no task and no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from stator.runtime.actor import Actor
from stator.runtime.calling import CALLER
from stator.runtime.conn import Conn
from stator.runtime.database_errors import DatabaseNotConfigured
from stator.runtime.declarations import Event
from stator.runtime.definition import ActorDefinition
from stator.runtime.errors import ActorStopping, StorageUnavailable
from stator.runtime.events import check_payload, resolve_event
from stator.runtime.handles import ActorClient
from stator.runtime.keys import Key, deserialize_key
from stator.runtime.link.frames import ToActor
from stator.runtime.log import Logger
from stator.runtime.state_codec import StateTracker
from stator.runtime.storage import ActorRow

from .batch import Batch, Output, ReplyPort
from .lifecycle import ENDING, Status
from .pairs import KeyValues
from .queues.book import QueueBook, book_of
from .schedules.book import ScheduleBook
from .topics import Topics
from .visits import LiveConns, Visit
from .workflows.control import handle_of

if TYPE_CHECKING:
    from stator.runtime.database import ActorDatabase
    from stator.runtime.pairs import KeyValueStore
    from stator.runtime.queues import ActorQueue
    from stator.runtime.schedules import ActorCron, ActorSchedule
    from stator.runtime.workflow_handle import WorkflowHandle

    from .actions import ActionCaller, ActionRunner, RunningAction
    from .connections import Connection
    from .databases import CellDatabase
    from .pulse import Pulse
    from .run_loop import RunLoop
    from .schedules.book import Claim
    from .shard import Shard
    from .workflows.loop import WorkflowLoop

Identity = tuple[str, str, str]
"""Namespace, name, serialised key."""

Held = tuple[ToActor, bytes, ReplyPort]
"""A request that waits for the actor."""


class Cell:
    """An actor of a shard, from the first request for it until it leaves memory."""

    __slots__ = (
        "_abort",
        "_changes",
        "_client",
        "_log",
        "actor",
        "batch",
        "calls",
        "database",
        "definition",
        "held",
        "identity",
        "idle",
        "idle_since",
        "is_untold",
        "lingering",
        "parked",
        "pulse",
        "queues",
        "refuses_work",
        "row",
        "run_loop",
        "running",
        "schedules",
        "shard",
        "status",
        "tasks",
        "topics",
        "touched",
        "tracker",
        "unsent",
        "visits",
        "wants_sleep",
    )

    actor: Actor
    """Set when the actor starts."""
    row: ActorRow
    """Set when it was found or created: from STARTING on."""

    def __init__(self, shard: Shard, definition: ActorDefinition, identity: Identity) -> None:
        self.shard = shard
        self.definition = definition
        self.identity = identity
        self.status = Status.LOADING
        self.batch: Batch | None = None
        """The last batch with a change of this actor that is not on disk yet."""
        self.tracker: StateTracker | None = None
        """Remembers the stored state; ``None`` for an actor without state."""
        self.is_untold = False
        """Whether ``on_state_change`` was not told of the last change yet."""
        self.wants_sleep = False
        """Whether it asked to leave memory."""
        self.refuses_work = False
        """Whether its end is so near that background work may not begin any more."""
        self.visits: dict[str, Visit] = {}
        """Who is in ``self.conns``, by connection id."""
        self.calls: dict[ActionCaller, RunningAction] = {}
        """The actions that are awaited."""
        self.tasks: dict[asyncio.Future[Any], None] = {}
        """What is cancelled when the grace period of a stop is over: raw requests, background."""
        self.topics = Topics()
        self.touched: dict[Connection, None] = {}
        """Connections whose state may differ from what is stored."""
        self.unsent: list[Output] | None = None
        """What the actor emitted in this turn."""
        self.held: list[Held] = []
        self.running = 0
        """How many actions, hooks and background awaitables are under way."""
        self.lingering = 0
        """How many awaitables a stop waits for that do not keep the actor awake."""
        self.parked = 0
        """How many receives wait for a message of a queue."""
        self.idle_since = shard.clock.time()
        """When it last had something to do, by the clock's own time."""
        self.idle: asyncio.Future[None] | None = None
        """Awaited by a stop until nothing is ``running`` or ``lingering``."""
        self.pulse: Pulse = shard.pulse_of(definition)
        self.run_loop: RunLoop | WorkflowLoop | None = None
        self.queues: QueueBook | None = None
        self.schedules: ScheduleBook | None = None
        self.database: CellDatabase | None = None
        self._changes: list[asyncio.Future[None]] | None = None
        self._abort: asyncio.Event | None = None
        self._client: ActorClient | None = None
        self._log: Logger | None = None

    # -- what the actor sees (runtime.actor.Host)

    @property
    def actor_id(self) -> str:
        return self.row.actor_id

    @property
    def name(self) -> str:
        return self.identity[1]

    @property
    def key(self) -> Key:
        return deserialize_key(self.identity[2])

    @property
    def region(self) -> str:
        return ""

    @property
    def log(self) -> Logger:
        if self._log is None:
            self._log = self.shard.log.bind(
                actor=self.name, key=self.identity[2], actor_id=self.row.actor_id
            )
        return self._log

    @property
    def client(self) -> ActorClient:
        if self._client is None:
            self._client = self.shard.make_client(self)
        return self._client

    @property
    def aborted(self) -> bool:
        if self._abort is not None and self._abort.is_set():
            return True
        action = self._current_action()
        return action is not None and action.is_aborted

    @property
    def abort_signal(self) -> asyncio.Event:
        action = self._current_action()
        if action is not None and not self.is_aborted:
            return action.signal
        if self._abort is None:
            self._abort = asyncio.Event()
        return self._abort

    def _current_action(self) -> RunningAction | None:
        """Return the action on whose behalf this code runs, which may be over its time."""
        caller = CALLER.get()
        return self.calls.get(cast("ActionCaller", caller)) if self.calls else None

    @property
    def conns(self) -> Mapping[str, Conn]:
        return LiveConns(self)

    @property
    def queue(self) -> ActorQueue:
        return book_of(self)

    @property
    def schedule(self) -> ActorSchedule:
        return self.schedule_book.schedule

    @property
    def cron(self) -> ActorCron:
        return self.schedule_book.cron

    @property
    def kv(self) -> KeyValueStore:
        return KeyValues(self)

    @property
    def db(self) -> ActorDatabase:
        if self.database is None:
            raise DatabaseNotConfigured
        return self.database

    @property
    def workflow(self) -> WorkflowHandle:
        return handle_of(self)

    def broadcast(self, event: Event[Any] | str, args: tuple[Any, ...]) -> None:
        name, declared = resolve_event(self.definition.events, event)
        self.topics.broadcast(self, name, check_payload(declared, args))

    def sleep(self) -> None:
        self.shard.sleep(self)

    async def save_state(self) -> None:
        self.shard.capture(self, urgent=True)
        await self.wait_committed()

    def destroy(self) -> None:
        if self.status in ENDING or self.status is Status.GONE:
            raise ActorStopping(f"{self.name} is being destroyed already")
        self.shard.destroy(self)

    def keep_awake(self, awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
        future = asyncio.ensure_future(awaitable)
        if self._takes_work("keep_awake", future):
            self.enter()
            self.keep(future)
            future.add_done_callback(self._on_work_done)
        return future

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        future = asyncio.ensure_future(awaitable)
        if self._takes_work("wait_until", future):
            self.lingering += 1
            self.keep(future)
            future.add_done_callback(self._on_lingering_done)

    # -- what the shard does with it

    @property
    def runner(self) -> ActionRunner:
        """What runs the actor's actions."""
        return self.shard.runner

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine in the background; what it raises is logged."""
        return self.shard.spawn(work)

    def keep(self, task: asyncio.Future[Any]) -> None:
        """Let ``task`` be cancelled when the grace period of a stop is over."""
        self.tasks[task] = None
        task.add_done_callback(self.tasks.pop)

    @property
    def schedule_book(self) -> ScheduleBook:
        """Its schedules, made when first asked for."""
        if self.schedules is None:
            self.schedules = ScheduleBook(self)
        return self.schedules

    @property
    def generation(self) -> int:
        """Which start of the actor this is."""
        return self.row.generation

    def become(self, status: Status) -> None:
        """Go on to another status and tell those who wait for that."""
        self.status = status
        changes, self._changes = self._changes, None
        for change in changes or ():
            if not change.done():
                change.set_result(None)

    async def changed(self) -> None:
        """Wait until the status is another one."""
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._changes is None:
            self._changes = []
        self._changes.append(change)
        await change

    async def wait_committed(self) -> None:
        """Return once what the actor changed is on disk. Raises ``storage.unavailable``."""
        if self.batch is not None and self.status is not Status.GONE:
            await self.batch.wait()
        if self.status is Status.GONE:
            raise StorageUnavailable  # the batch may have been written without this actor's part

    def hold(self, request: ToActor, payload: bytes, port: ReplyPort) -> None:
        """Keep a request until the actor can take it."""
        self.held.append((request, payload, port))

    def take_held(self) -> list[Held]:
        """Return the requests that waited, in order of arrival."""
        held, self.held = self.held, []
        return held

    def fire_due(self, until_ms: int) -> None:
        """Claim the schedules due by an instant; run them once that is on disk."""
        claims = self.schedules.claim_due(until_ms) if self.schedules is not None else []
        if claims:
            assert self.batch is not None
            self.enter()
            self.batch.wait().add_done_callback(partial(self._on_claimed, claims))

    def _on_claimed(self, claims: list[Claim], committed: asyncio.Future[None]) -> None:
        if committed.exception() is None and self.schedules is not None:
            self.schedules.dispatch(claims)
        self.leave()

    def enter(self) -> None:
        """Note that a piece of work began."""
        self.running += 1
        if self.running == 1:
            self.pulse.add(self)

    def leave(self) -> None:
        """Note that a piece of work ended."""
        self.running -= 1
        if self.running == 0:
            self.rest()

    def rest(self) -> None:
        """Note that the actor may have nothing to do from here on."""
        self.idle_since = self.shard.clock.time()
        if self.running:
            return
        if self.run_loop is None or not self.run_loop.keeps_awake:
            self.pulse.remove(self)
        if self.lingering == 0 and self.idle is not None and not self.idle.done():
            self.idle.set_result(None)

    def park(self) -> None:
        """Note that a receive waits for a message. An actor that does nothing else is at rest."""
        self.parked += 1
        self.idle_since = self.shard.clock.time()
        if self.running == 0:
            self.shard.capture_quietly(self)
            self.pulse.remove(self)

    def unpark(self) -> None:
        """Note that a receive waits no longer."""
        self.parked -= 1
        self.idle_since = self.shard.clock.time()
        loop = self.run_loop
        if loop is not None and loop.keeps_awake and self.status is not Status.GONE:
            self.pulse.add(self)

    @property
    def is_idle(self) -> bool:
        """Whether nothing keeps the actor awake (semantics page, section 2.5)."""
        return (
            self.status is Status.READY
            and self.running == 0
            and (self.run_loop is None or not self.run_loop.keeps_awake)
            and all(visit.is_hibernatable for visit in self.visits.values())
        )

    @property
    def is_aborted(self) -> bool:
        """Whether a stop of the actor has begun."""
        return self._abort is not None and self._abort.is_set()

    def abort(self) -> None:
        """Tell the actor's code that shutdown has begun."""
        if self._abort is None:
            self._abort = asyncio.Event()
        self._abort.set()
        for action in self.calls.values():
            action.abort()
        if self.queues is not None:
            self.queues.abort()
        if self.run_loop is not None:
            self.run_loop.stop()

    def let_go(self) -> None:
        """Break the circles of references, so that an actor that left is freed at once and not
        when the garbage collector gets round to old objects; while code of it runs, they stay."""
        is_running = self.run_loop is not None and self.run_loop.is_active
        if is_running or self.running or self.lingering or self.tasks or self.calls:
            return
        self.actor = _NOBODY
        if self.run_loop is not None:
            self.run_loop.let_go()
        self.tracker = self.queues = self.schedules = self.run_loop = self._client = None

    async def wait_idle(self) -> None:
        """Return when no work is under way."""
        while self.running or self.lingering:
            self.idle = asyncio.get_running_loop().create_future()
            await self.idle

    def _takes_work(self, how: str, future: asyncio.Future[Any]) -> bool:
        """Whether background work may begin; refused once the teardown has (semantics, 2.6)."""
        if not self.refuses_work and self.status not in (Status.DELETED, Status.GONE):
            return True
        self.log.warning("background work refused: the actor has stopped", how=how)
        future.cancel()
        return False

    def _on_work_done(self, future: asyncio.Future[Any]) -> None:
        self.leave()
        self._settle_background(future)

    def _on_lingering_done(self, future: asyncio.Future[Any]) -> None:
        self.lingering -= 1
        self.rest()
        self._settle_background(future)

    def _settle_background(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self.log.error("background work failed", exc_info=error)
        if self.status is not Status.GONE:
            self.shard.capture_quietly(self)


_NOBODY: Any = object.__new__(Actor)
"""Stands for the instance of an actor that has left memory."""
