"""Who listens to which events of a connection, and iterations over events.

Rule 1. Listeners outlive sockets: the service is told of each event name when a connection opens,
        and when the first listener of a name comes or the last one goes.
Rule 2. An iteration keeps a bounded number of events. One more ends it: the events kept are
        given, then it raises ``client.consumer_too_slow``. Nothing is left out silently, and a
        slow loop holds up neither the connection nor the memory.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from stator.runtime.errors import ActorError

from .callbacks import Unsubscribe
from .failures import consumer_too_slow, copy_of

T = TypeVar("T")

Listener = Callable[[list[Any]], bool]
"""Takes the arguments of an event and says whether it wants more of them."""


class Listeners:
    """The listeners of one connection by wire name."""

    def __init__(self, tell_service: Callable[[str, bool], None]) -> None:
        """``tell_service`` hears that a name has listeners, or none any more."""
        self._tell_service = tell_service
        self._by_name: dict[str, dict[object, Listener]] = {}

    @property
    def names(self) -> list[str]:
        """The events that have listeners."""
        return list(self._by_name)

    def add(self, name: str, listener: Listener) -> Unsubscribe:
        """Listen to an event; the returned function ends it and may be called twice."""
        mark = object()
        listeners = self._by_name.get(name)
        if listeners is None:
            listeners = self._by_name[name] = {}
            listeners[mark] = listener
            self._tell_service(name, True)
        else:
            listeners[mark] = listener
        return lambda: self._remove(name, mark)

    def dispatch(self, name: str, args: list[Any]) -> None:
        """Give an event to its listeners."""
        listeners = self._by_name.get(name, {})
        for mark, listener in list(listeners.items()):
            if mark in listeners and not listener(args):
                self._remove(name, mark)

    def _remove(self, name: str, mark: object) -> None:
        listeners = self._by_name.get(name)
        if listeners is None or listeners.pop(mark, None) is None or listeners:
            return
        del self._by_name[name]
        self._tell_service(name, False)


class EventStream(Generic[T]):
    """An iteration over events; it listens from when it is made.

    It ends when its connection is closed, and raises what made the connection give up. While the
    connection is being opened again it waits; what happens meanwhile is not seen.
    """

    def __init__(self, name: str, limit: int, convert: Callable[[list[Any]], T]) -> None:
        self._name = name
        self._limit = limit
        self._convert = convert
        self._kept: deque[list[Any]] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._error: ActorError | None = None
        self._unsubscribe: Unsubscribe | None = None

    def listen(self, listeners: Listeners) -> None:
        """Begin; a stream that nobody holds any more ends by itself with the next event."""
        weak = weakref.ref(self)

        def listener(args: list[Any]) -> bool:
            stream = weak()
            return stream is not None and stream._keep(args)

        self._unsubscribe = listeners.add(self._name, listener)

    def __aiter__(self) -> EventStream[T]:
        return self

    async def __anext__(self) -> T:
        while not self._kept:
            if self._error is not None:
                raise copy_of(self._error)
            if self._is_over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._convert(self._kept.popleft())

    def end(self, error: ActorError | None = None) -> None:
        """Give what is kept, then end or raise ``error``."""
        if not self._is_over:
            self._is_over, self._error = True, error
            self._news.set()

    async def aclose(self) -> None:
        """Listen no more and drop what is kept."""
        self._kept.clear()
        self.end()
        if self._unsubscribe is not None:
            self._unsubscribe()

    def _keep(self, args: list[Any]) -> bool:
        if self._is_over:
            return False
        if len(self._kept) >= self._limit:
            self.end(consumer_too_slow(self._name, self._limit))
            return False
        self._kept.append(args)
        self._news.set()
        return True
