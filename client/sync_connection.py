"""Connections without ``await``: the same, and they block.

Rule 1. Callbacks run on the client's own thread, one after the other, and hold up everything of
        that client while they run. They may add and remove callbacks; a call, which would wait for
        that thread, raises ``RuntimeError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    TypeVarTuple,
    cast,
    overload,
)

from stator.runtime.declarations import Event, Queue
from stator.runtime.errors import ActorError
from stator.runtime.handles import ActionCaller
from stator.runtime.publication import QueueOutcome, Seconds

from .callbacks import Unsubscribe
from .connection import EVENTS_KEPT
from .connection import Connection as AsyncConnection
from .listeners import EventStream
from .loop_thread import LoopThread
from .session import Status

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Body = TypeVar("Body")
Reply = TypeVar("Reply")

_END = object()


class Action:
    """An action of a handle, ready to be called; attributes go on to nested names."""

    __slots__ = ("_caller", "_thread")

    def __init__(self, thread: LoopThread, caller: ActionCaller) -> None:
        self._thread = thread
        self._caller = caller

    def __call__(self, *arguments: Any) -> Any:
        """Call the action. Raises ``ActorError``."""
        return self._thread.run(self._caller(*arguments))

    def __getattr__(self, name: str) -> Action:
        return Action(self._thread, getattr(self._caller, public_name(name)))


class Events(Generic[T]):
    """An iteration over events that blocks its own thread alone."""

    def __init__(self, thread: LoopThread, stream: EventStream[T], timeout: float | None) -> None:
        """``timeout`` is in seconds and for each step."""
        self._thread = thread
        self._stream = stream
        self._timeout = timeout

    def __iter__(self) -> Events[T]:
        return self

    def __next__(self) -> T:
        """Return the next payload. Raises ``TimeoutError``, after which it may go on."""
        payload: Any = self._thread.run(self._wait())
        if payload is _END:
            raise StopIteration
        given: T = payload
        return given

    def close(self) -> None:
        """Listen no more."""
        self._thread.run(self._stream.aclose())

    async def _wait(self) -> Any:
        async with asyncio.timeout(self._timeout):
            return await anext(self._stream, _END)


class Connection:
    """A connection that opens itself again when it is lost. Any attribute is an action."""

    def __init__(self, thread: LoopThread, connection: AsyncConnection) -> None:
        self._thread = thread
        self._connection = connection

    @property
    def status(self) -> Status:
        """``idle``, ``connecting``, ``connected`` or ``disconnected``."""
        return self._connection.status

    @property
    def id(self) -> str | None:
        """The connection's id; ``None`` unless connected."""
        return self._connection.id

    @property
    def actor_id(self) -> str | None:
        """The id of the actor it is connected to; ``None`` unless connected."""
        return self._connection.actor_id

    def ready(self, timeout: float | None = None) -> None:
        """Return once connected; ``timeout`` is in seconds.

        Raises ``TimeoutError``, or the ``ActorError`` that made it give up.
        """

        async def wait() -> None:
            async with asyncio.timeout(timeout):
                await self._connection.ready()

        self._thread.run(wait())

    def close(self) -> None:
        """Close it; see the asynchronous one. May be called twice."""
        self._thread.run(self._connection.close())

    @overload
    def call(
        self,
        action: Callable[Concatenate[Any, P], Awaitable[T]],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T: ...
    @overload
    def call(
        self, action: Callable[Concatenate[Any, P], T], *arguments: P.args, **keywords: P.kwargs
    ) -> T: ...
    @overload
    def call(self, action: str, *arguments: Any) -> Any: ...
    def call(self, action: Any, *arguments: Any, **keywords: Any) -> Any:
        """Call an action by its method (type-checked) or its wire name. Raises ``ActorError``."""
        return self._thread.run(self._connection.call(action, *arguments, **keywords))

    @overload
    def enqueue(
        self,
        queue: Queue[Body, Reply],
        body: Body,
        *,
        wait: Literal[True],
        timeout: Seconds | None = None,
    ) -> QueueOutcome[Reply]: ...
    @overload
    def enqueue(
        self, queue: str, body: Any, *, wait: Literal[True], timeout: Seconds | None = None
    ) -> QueueOutcome[Any]: ...
    @overload
    def enqueue(
        self, queue: Queue[Body, Any], body: Body, *, wait: Literal[False] = False
    ) -> None: ...
    @overload
    def enqueue(self, queue: str, body: Any, *, wait: Literal[False] = False) -> None: ...
    def enqueue(
        self, queue: Any, body: Any, *, wait: bool = False, timeout: Seconds | None = None
    ) -> QueueOutcome[Any] | None:
        """Put a message into a queue of the actor; see the asynchronous connection.

        ``timeout`` is in seconds. Raises ``ActorError``.
        """
        sending: Any = self._connection.enqueue
        return cast(
            QueueOutcome[Any] | None,
            self._thread.run(sending(queue, body, wait=wait, timeout=timeout)),
        )

    @overload
    def on(self, event: Event[tuple[*Ts]], callback: Callable[[*Ts], object]) -> Unsubscribe: ...
    @overload
    def on(self, event: Event[None], callback: Callable[[], object]) -> Unsubscribe: ...
    @overload
    def on(self, event: Event[T], callback: Callable[[T], object]) -> Unsubscribe: ...
    @overload
    def on(self, event: str, callback: Callable[..., object]) -> Unsubscribe: ...
    def on(self, event: Any, callback: Callable[..., object]) -> Unsubscribe:
        """Call ``callback`` with the arguments of each event, on the client's thread (rule 1)."""
        return self._add(lambda: self._connection.on(event, callback))

    @overload
    def once(self, event: Event[tuple[*Ts]], callback: Callable[[*Ts], object]) -> Unsubscribe: ...
    @overload
    def once(self, event: Event[None], callback: Callable[[], object]) -> Unsubscribe: ...
    @overload
    def once(self, event: Event[T], callback: Callable[[T], object]) -> Unsubscribe: ...
    @overload
    def once(self, event: str, callback: Callable[..., object]) -> Unsubscribe: ...
    def once(self, event: Any, callback: Callable[..., object]) -> Unsubscribe:
        """Call ``callback`` with the arguments of the next event only."""
        return self._add(lambda: self._connection.once(event, callback))

    @overload
    def events(
        self, event: Event[T], *, timeout: float | None = ..., limit: int = ...
    ) -> Events[T]: ...
    @overload
    def events(
        self, event: str, *, timeout: float | None = ..., limit: int = ...
    ) -> Events[Any]: ...
    def events(
        self, event: Any, *, timeout: float | None = None, limit: int = EVENTS_KEPT
    ) -> Events[Any]:
        """Return an iteration over the payloads of an event, from now on.

        A step that takes longer than ``timeout`` seconds raises ``TimeoutError``.
        """
        stream = self._thread.do(lambda: self._connection.events(event, limit=limit))
        return Events(self._thread, stream, timeout)

    def on_open(self, callback: Callable[[], object]) -> Unsubscribe:
        """Call ``callback`` each time it is connected, also if it is now."""
        return self._add(lambda: self._connection.on_open(callback))

    def on_close(self, callback: Callable[[], object]) -> Unsubscribe:
        """Call ``callback`` each time an open connection ends."""
        return self._add(lambda: self._connection.on_close(callback))

    def on_error(self, callback: Callable[[ActorError], object]) -> Unsubscribe:
        """Call ``callback`` with errors that no call raises."""
        return self._add(lambda: self._connection.on_error(callback))

    def on_status(self, callback: Callable[[Status], object]) -> Unsubscribe:
        """Call ``callback`` with each new status."""
        return self._add(lambda: self._connection.on_status(callback))

    def __getattr__(self, name: str) -> Action:
        return Action(self._thread, getattr(self._connection, public_name(name)))

    def __enter__(self) -> Connection:
        self._thread.run(self._connection.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._connection)

    def _add(self, register: Callable[[], Unsubscribe]) -> Unsubscribe:
        remove = self._thread.do(register)
        return lambda: self._thread.do(remove)


def public_name(name: str) -> str:
    """Return ``name`` if it may be that of an action. Raises ``AttributeError``.

    So that copying, pickling and debuggers find no action where they look for a protocol.
    """
    if name.startswith("_"):
        raise AttributeError(name)
    return name
