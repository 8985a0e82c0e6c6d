"""Raw HTTP and raw WebSockets without ``await``."""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import Any

import msgspec
from multidict import CIMultiDict, MultiMapping

from .fetches import FetchResponse
from .loop_thread import LoopThread
from .raw_socket import RawSocket as AsyncRawSocket

_END = object()


class FetchAnswer:
    """An answer that was read to its end."""

    def __init__(self, status: int, headers: MultiMapping[str], body: bytes, text: str) -> None:
        self.status = status
        """The HTTP status."""
        self.headers: MultiMapping[str] = CIMultiDict(headers)
        """The header fields, by name in any case."""
        self._body = body
        self._text = text

    @staticmethod
    async def of(fetching: Awaitable[FetchResponse]) -> FetchAnswer:
        """Read an answer."""
        async with await fetching as response:
            body, text = await response.read(), await response.text()
            return FetchAnswer(response.status, response.headers, body, text)

    def read(self) -> bytes:
        """Return the body."""
        return self._body

    def text(self) -> str:
        """Return the body in the charset of its content type, UTF-8 without one.

        What is no text in it is replaced.
        """
        return self._text

    def json(self) -> Any:
        """Return the body decoded from JSON. Raises ``ValueError``."""
        return msgspec.json.decode(self._body)

    def __repr__(self) -> str:
        return f"<response {self.status}>"


class RawSocket:
    """An open WebSocket; iterations over it block their own thread alone."""

    def __init__(self, thread: LoopThread, socket: AsyncRawSocket) -> None:
        self._thread = thread
        self._socket = socket

    @property
    def close_code(self) -> int | None:
        """How it was closed, ``None`` while it is open."""
        return self._socket.close_code

    @property
    def close_reason(self) -> str:
        """The text that came with the code."""
        return self._socket.close_reason

    def __iter__(self) -> RawSocket:
        return self

    def __next__(self) -> str | bytes:
        message: Any = self._thread.run(self._receive())
        if message is _END:
            raise StopIteration
        received: str | bytes = message
        return received

    def send(self, message: str | bytes) -> None:
        """Send text or bytes. Raises ``client.connection_closed``."""
        self._thread.run(self._socket.send(message))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket. May be called twice."""
        self._thread.run(self._socket.close(code, reason))

    def __enter__(self) -> RawSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def _receive(self) -> Any:
        return await anext(self._socket, _END)
