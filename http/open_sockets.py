"""The WebSockets of a gateway: counted, written to once a turn, closed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .web_socket import WebSocket


class OpenSockets:
    """All WebSockets whose TCP connection is open.

    Frames for a socket are collected until the turn of the event loop ends, and written at once:
    uvloop makes a system call of each write, which costs eight times as much as the rest of an
    answer (5.3 against 0.65 microseconds for each of 64 answers in a turn).
    """

    def __init__(self) -> None:
        self._sockets: set[WebSocket] = set()
        self._waiting: list[WebSocket] = []
        self._emptied: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(self._sockets)

    def add(self, socket: WebSocket) -> None:
        """Count a socket that was opened."""
        self._sockets.add(socket)

    def discard(self, socket: WebSocket) -> None:
        """Forget a socket whose connection is gone."""
        self._sockets.discard(socket)
        if not self._sockets and self._emptied is not None:
            self._emptied.set_result(None)
            self._emptied = None

    def flush_soon(self, socket: WebSocket) -> None:
        """Have ``socket.flush()`` called before the loop looks at the outside again."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(socket)

    def close_all(self, code: int, reason: str) -> None:
        """Begin to close every socket, as :meth:`WebSocket.close` does."""
        for socket in list(self._sockets):
            socket.close(code, reason)

    async def wait_empty(self) -> None:
        """Wait until no socket is left. After :meth:`close_all` that takes seconds at most."""
        while self._sockets:
            if self._emptied is None:
                self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._emptied)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for socket in waiting:
            socket.flush()
