"""A raw WebSocket to an actor's ``on_websocket`` (client-protocol, 8.2)."""

from __future__ import annotations

from types import TracebackType

from .failures import connection_closed
from .sockets import Closed, Socket

MAX_REASON_BYTES = 123
"""A close frame takes no more (RFC 6455, 5.5)."""


class RawSocket:
    """An open WebSocket; it is not opened again when it is lost::

    async with await room.websocket("/cursors") as ws:
        await ws.send("hello")
        async for message in ws: ...
    """

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.close_code: int | None = None
        """How it was closed (RFC 6455, 7.4), ``None`` while it is open; 1006 if it was lost."""
        self.close_reason = ""
        """The text that came with the code; ``group.code`` if the service refused it."""

    def __aiter__(self) -> RawSocket:
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message, text as ``str`` and binary as ``bytes``."""
        if self.close_code is not None:
            raise StopAsyncIteration
        message = await self._socket.receive()
        if isinstance(message, Closed):
            self._note(message.code, message.reason)
            raise StopAsyncIteration
        return message

    async def send(self, message: str | bytes) -> None:
        """Send text or bytes; waits while the actor reads too slowly.

        Raises ``client.connection_closed`` once the socket is closed.
        """
        if self.close_code is not None:
            raise connection_closed()
        try:
            await self._socket.send(message)
        except ConnectionError as error:
            raise connection_closed() from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket, which ends iterations over it. May be called twice.

        ``code`` is 1000 or 3000 to 4999, ``reason`` at most 123 bytes. Raises ``ValueError``.
        """
        if code != 1000 and not 3000 <= code <= 4999:
            raise ValueError(f"a client closes with 1000 or 3000 to 4999, not {code}")
        if len(reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(f"a reason has at most {MAX_REASON_BYTES} bytes")
        self._note(code, reason)
        await self._socket.close(code, reason)

    async def __aenter__(self) -> RawSocket:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _note(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
