"""One actor in memory: the user's instance, its state tracker and where it is in its life.

It is what an :class:`~stator.runtime.actor.Actor` reaches through ``self._host``. An idle actor
is this object, the instance and its state, with no task and no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from stator.runtime.actor import Actor
from stator.runtime.conn import Conn
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
from .topics import Topics
from .visits import LiveConns, Visit

if TYPE_CHECKING:
    from .actions import ActionCaller, ActionRunner, RunningAction
    from .connections import Connection
    from .shard import Shard

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
        "definition",
        "held",
        "identity",
        "idle",
        "row",
        "running",
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
        self.wants_sleep = False
        """Whether it asked to leave memory."""
        self.visits: dict[str, Visit] = {}
        """Who is in ``self.conns``, by connection id."""
        self.calls: dict[ActionCaller, RunningAction] = {}
        """The actions that are awaited."""
        self.tasks: dict[asyncio.Task[None], None] = {}
        """What serves raw HTTP requests and is cancelled when the grace period is over."""
        self.topics = Topics()
        self.touched: dict[Connection, None] = {}
        """Connections whose state may differ from what is stored."""
        self.unsent: list[Output] | None = None
        """What the actor emitted in this turn."""
        self.held: list[Held] = []
        self.running = 0
        """How many actions, hooks and background awaitables are under way."""
        self.idle: asyncio.Future[None] | None = None
        """Awaited by a stop until ``running`` is 0."""
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
        return self._abort is not None and self._abort.is_set()

    @property
    def abort_signal(self) -> asyncio.Event:
        if self._abort is None:
            self._abort = asyncio.Event()
        return self._abort

    @property
    def conns(self) -> Mapping[str, Conn]:
        return LiveConns(self)

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
        self.enter()
        future.add_done_callback(self._on_background_done)
        return future

    # -- what the shard does with it

    @property
    def runner(self) -> ActionRunner:
        """What runs the actor's actions."""
        return self.shard.runner

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background; what it raises is logged."""
        self.shard.spawn(work)

    def keep(self, task: asyncio.Task[None]) -> None:
        """Let ``task`` be cancelled when the grace period of a stop is over."""
        self.tasks[task] = None
        task.add_done_callback(self.tasks.pop)

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

    def enter(self) -> None:
        """Note that a piece of work began."""
        self.running += 1

    def leave(self) -> None:
        """Note that a piece of work ended."""
        self.running -= 1
        if self.running == 0 and self.idle is not None and not self.idle.done():
            self.idle.set_result(None)

    def abort(self) -> None:
        """Tell the actor's code that shutdown has begun."""
        self.abort_signal.set()

    async def wait_idle(self, seconds: float) -> bool:
        """Wait until no work is under way; ``False`` if it took longer than ``seconds``."""
        if self.running == 0:
            return True
        self.idle = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self.idle
        except TimeoutError:
            return False
        return True

    def _on_background_done(self, future: asyncio.Future[Any]) -> None:
        self.leave()
        if not future.cancelled() and (error := future.exception()) is not None:
            self.log.error("background work failed", exc_info=error)
        if self.status is not Status.GONE:
            self.shard.capture_quietly(self)
