"""Raw WebSockets: runs ``on_websocket`` for a connection (semantics page, section 10.2).

Rule 1. A handler parked in ``async for`` is idle; from the moment it gets a message until it asks
        for the next one it is at work, and then the message is acknowledged.
Rule 2. What it sends is bounded: :data:`WINDOW_BYTES` may be on their way, then ``send`` waits
        until the gateway has handed some to the client.
Rule 3. When the actor leaves memory a parked handler is cancelled, one at work when it next asks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER
from stator.runtime.clock import Timer
from stator.runtime.errors import ActorError, OutgoingTooLong
from stator.runtime.link.frames import Deliver
from stator.runtime.websocket import WebSocket

from .visits import dismiss

if TYPE_CHECKING:
    from .connections import Connection

WINDOW_BYTES = 256 * 1024


class RawSocket:
    """The socket of one raw connection; implements ``runtime.websocket.SocketHost``."""

    __slots__ = (
        "_connection",
        "_current",
        "_dismissal",
        "_inbox",
        "_is_leaving",
        "_outstanding",
        "_parked",
        "_room",
        "_task",
        "_ws",
    )

    def __init__(self, connection: Connection, *, restored: bool) -> None:
        request, conn = connection.make_request(), connection.conn
        assert request is not None and conn is not None
        connection.show(request)
        self._connection = connection
        self._ws = WebSocket(
            self, conn, request, restored=restored, message_index=connection.last_index
        )
        self._inbox: deque[tuple[int, str | bytes]] = deque()
        self._current: int | None = None
        self._parked: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._outstanding = 0
        self._is_leaving = False
        self._dismissal: Timer | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run the handler."""
        token = CALLER.set(self._connection)
        try:
            self._task = asyncio.get_running_loop().create_task(self._run())
        finally:
            CALLER.reset(token)

    # -- what the connection says

    def take(self, index: int, message: str | bytes) -> None:
        """Queue a message of the client."""
        self._inbox.append((index, message))
        self._wake()

    def credit(self, size: int) -> None:
        """Note that so many bytes have reached the client."""
        self._outstanding = max(0, self._outstanding - size)
        self._make_room()

    def client_gone(self, code: int, reason: str) -> None:
        """End the iteration once the messages before it are handled."""
        if self._ws.close_code is None:
            self._ws.close_code, self._ws.close_reason = code, reason
        self._wake()
        self._make_room()

    def leave(self) -> None:
        """Let the handler end: the actor leaves memory, the socket stays open (rule 3)."""
        self._is_leaving = True
        if self._parked is not None and self._task is not None:
            self._task.cancel()

    def dismiss_after(self, seconds: float) -> None:
        """Begin ``on_disconnect`` when the handler has ended, or after ``seconds``."""
        if self._task is None or self._task.done():
            dismiss(self._connection)
        else:
            self._connection.cell.keep(self._task)  # a stop ends it with its grace period
            clock = self._connection.cell.shard.clock
            self._dismissal = clock.call_later(seconds, dismiss, self._connection)

    def cancel(self) -> None:
        """End the handler now."""
        self._is_leaving = True
        if self._task is not None:
            self._task.cancel()

    # -- runtime.websocket.SocketHost

    async def receive(self) -> str | bytes | None:
        """Return the next message, ``None`` once the socket is closed."""
        self._acknowledge()
        while True:
            if self._is_leaving:
                raise asyncio.CancelledError
            if self._inbox:
                return self._hand_over()
            if self._ws.close_code is not None:
                return None
            await self._park()

    def _hand_over(self) -> str | bytes:
        connection = self._connection
        self._current, message = self._inbox.popleft()
        self._ws.message_index = connection.last_index = self._current
        connection.touch()  # the handler may have kept its state from before
        return message

    async def send(self, message: str | bytes) -> None:
        """Send a message; waits for room (rule 2)."""
        connection = self._connection
        data = message.encode() if isinstance(message, str) else bytes(message)
        limit = connection.cell.shard.limits.max_websocket_message_bytes
        if len(data) > limit:
            raise OutgoingTooLong(
                f"the message has {len(data)} bytes, "
                f"limits.max_websocket_message_size allows {limit}"
            )
        while self._outstanding >= WINDOW_BYTES and self._ws.close_code is None:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        if self._ws.close_code is not None or connection.is_over:
            return
        self._outstanding += len(data)
        header = Deliver(connection.number, -1, isinstance(message, str))
        connection.cell.shard.emit(connection.cell, connection, header, data)

    async def close(self, code: int, reason: str) -> None:
        """Close the socket."""
        self._connection.close(code, reason)

    # -- the handler

    async def _run(self) -> None:
        connection = self._connection
        cell = connection.cell
        cell.enter()
        hook: Any = cell.actor
        try:
            await result_of(hook.on_websocket(self._ws))
        except BaseException as error:  # user code must not end the worker
            if not self._is_leaving:
                self._fail(error)
        else:
            if not self._is_leaving:
                connection.close(1000, "")
        finally:
            if self._dismissal is not None:
                self._dismissal.cancel()
                dismiss(connection)
            if cell.queues is not None:
                cell.queues.release(connection)
            cell.leave()
            cell.shard.capture_quietly(cell)

    def _fail(self, error: BaseException) -> None:
        connection = self._connection
        if isinstance(error, asyncio.CancelledError) and self._dismissal is not None:
            return  # the end of a stop's grace period
        if not isinstance(error, ActorError) or error.status >= 500:
            log = connection.cell.log
            log.error("on_websocket failed", conn=connection.conn_id, exc_info=error)
        view = connection.cell.runner.view(error)
        connection.close(1011, f"{view.group}.{view.code}")

    async def _park(self) -> None:
        cell = self._connection.cell
        self._parked = asyncio.get_running_loop().create_future()
        cell.leave()
        try:
            await self._parked
        finally:
            self._parked = None
            cell.enter()

    def _acknowledge(self) -> None:
        if self._current is not None:
            index, self._current = self._current, None
            self._connection.acknowledge(index)

    def _wake(self) -> None:
        if self._parked is not None and not self._parked.done():
            self._parked.set_result(None)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
