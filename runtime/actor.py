"""The base class of all actors: the instance is the context (python-api, sections 1 to 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from .calling import CALLER
from .database_errors import DatabaseNotConfigured
from .declarations import Event
from .definition import RESERVED, read_class
from .errors import StateNotEnabled, VarsNotEnabled

if TYPE_CHECKING:
    from .conn import Conn
    from .database import ActorDatabase
    from .handles import ActorClient
    from .keys import Key
    from .log import Logger
    from .pairs import KeyValueStore
    from .queues import ActorQueue
    from .raw_http import Request
    from .schedules import ActorCron, ActorSchedule
    from .workflow_handle import WorkflowHandle

T = TypeVar("T")


class Host(Protocol):
    """What an actor needs of the place it lives in; the worker implements it."""

    @property
    def actor_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def key(self) -> Key: ...
    @property
    def region(self) -> str: ...
    @property
    def log(self) -> Logger: ...
    @property
    def client(self) -> ActorClient: ...
    @property
    def aborted(self) -> bool: ...
    @property
    def abort_signal(self) -> asyncio.Event: ...
    @property
    def conns(self) -> Mapping[str, Conn]: ...
    @property
    def queue(self) -> ActorQueue: ...
    @property
    def schedule(self) -> ActorSchedule: ...
    @property
    def cron(self) -> ActorCron: ...
    @property
    def kv(self) -> KeyValueStore: ...
    @property
    def db(self) -> ActorDatabase: ...
    @property
    def workflow(self) -> WorkflowHandle: ...

    def broadcast(self, event: Event[Any] | str, args: tuple[Any, ...]) -> None: ...
    def sleep(self) -> None: ...
    async def save_state(self) -> None: ...
    def destroy(self) -> None: ...
    def keep_awake(self, awaitable: Awaitable[Any]) -> asyncio.Future[Any]: ...
    def wait_until(self, awaitable: Awaitable[Any]) -> None: ...


class Actor:
    """A small, long-lived object with a key, persistent state and actions.

    Subclass it, give it ``state`` and methods marked with ``@action``, and register the class
    with ``setup``. Class keyword ``rename="camel"`` turns wire names into camelCase.
    """

    if TYPE_CHECKING:
        state: Any
        conn_state: Any
        vars: Any

    _host: Host
    __stator_name__: ClassVar[str] = ""
    """The name the class was last registered under."""

    def __init_subclass__(cls, *, rename: str | None = None, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        read_class(cls, rename)

    def __getattr__(self, name: str) -> Any:
        # Reached only for attributes the instance does not have, so an actor without state
        # pays nothing for this and one with state even less.
        if name == "state":
            raise StateNotEnabled
        if name == "vars":
            raise VarsNotEnabled
        if name == "db":
            raise DatabaseNotConfigured
        raise AttributeError(f"{type(self).__qualname__!r} object has no attribute {name!r}")

    @property
    def actor_id(self) -> str:
        """The id of this actor: unique for ever, new when a key is created again."""
        return self._host.actor_id

    @property
    def name(self) -> str:
        """The actor's name in the registry."""
        return self._host.name

    @property
    def key(self) -> Key:
        """The actor's key."""
        return self._host.key

    @property
    def region(self) -> str:
        """The region this service runs in; empty when it has none."""
        return self._host.region

    @property
    def log(self) -> Logger:
        """A logger that adds this actor's name, key and id to every line."""
        return self._host.log

    @property
    def client(self) -> ActorClient:
        """Calls other actors of this service; carries no user identity."""
        return self._host.client

    @property
    def aborted(self) -> bool:
        """Whether shutdown of this actor has begun."""
        return self._host.aborted

    @property
    def abort_signal(self) -> asyncio.Event:
        """Set as soon as shutdown of this actor begins."""
        return self._host.abort_signal

    @property
    def conn(self) -> Conn | None:
        """The caller's connection: of the WebSocket it came by or, for a stateless call or raw
        HTTP request, one that lives as long as that. ``None`` where nobody calls from outside."""
        caller = CALLER.get()
        return caller.conn if caller is not None and caller.actor is self else None

    @property
    def conns(self) -> Mapping[str, Conn]:
        """The live connections by id; a view, of which a snapshot is iterated."""
        return self._host.conns

    @property
    def request(self) -> Request | None:
        """Inside connection hooks, the HTTP request that opened the connection."""
        caller = CALLER.get()
        return caller.request if caller is not None and caller.actor is self else None

    @property
    def queue(self) -> ActorQueue:
        """The actor's durable queues."""
        return self._host.queue

    @property
    def schedule(self) -> ActorSchedule:
        """Calls of the actor's own actions at a later time, once."""
        return self._host.schedule

    @property
    def cron(self) -> ActorCron:
        """Calls of the actor's own actions again and again."""
        return self._host.cron

    @property
    def kv(self) -> KeyValueStore:
        """Key-value pairs of this actor, durable when a write returns."""
        return self._host.kv

    @property
    def workflow(self) -> WorkflowHandle:
        """The actor's workflow, from outside of it: for actions, which may resolve a promise."""
        return self._host.workflow

    def broadcast(self, event: Event[Any] | str, *args: Any) -> None:
        """Send an event to every connection subscribed to it; returns at once.

        It leaves once the changes made before it are durable, in order with the replies of each
        connection. Delivery is at most once (semantics page, section 6.4). Raises
        ``actor.validation_error`` for a payload that is not what the event declares and
        ``actor.output_not_serializable`` for one that cannot be sent.
        """
        self._host.broadcast(event, args)

    def sleep(self) -> None:
        """Ask for this actor to leave memory until it is needed again; returns at once.

        The running handler goes on and its reply is delivered. Hibernatable connections stay open
        (semantics page, sections 2.7 and 6.5).
        """
        self._host.sleep()

    async def save_state(self) -> None:
        """Return once every change made so far is durable.

        Raises ``actor.state_not_serializable`` or ``storage.unavailable``.
        """
        await self._host.save_state()

    def destroy(self) -> None:
        """Ask for this actor and all its data to be deleted; returns at once.

        The running handler goes on and its reply is delivered (semantics page, section 2.8).
        Raises ``actor.stopping`` when it was asked before.
        """
        self._host.destroy()

    def keep_awake(self, awaitable: Awaitable[T]) -> asyncio.Future[T]:
        """Run ``awaitable`` in the background and keep the actor awake until it is done.

        A graceful stop waits for it within the grace period (semantics page, section 2.6).
        """
        return self._host.keep_awake(awaitable)

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        """Run ``awaitable`` in the background; a graceful stop waits for it, idleness does not.

        What it raises is logged (semantics page, section 2.6).
        """
        self._host.wait_until(awaitable)


RESERVED.update(name for name in vars(Actor) if not name.startswith("_"))
RESERVED.update({"state", "conn_state", "vars", "db", "options", "_host"})
