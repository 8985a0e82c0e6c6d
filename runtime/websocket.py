"""A raw WebSocket as ``on_websocket`` sees it (python-api, section 4; semantics page, 10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from .conn import Conn
    from .raw_http import Request


class SocketHost(Protocol):
    """What a raw WebSocket needs of the place its actor lives in."""

    async def receive(self) -> str | bytes | None:
        """Return the next message, ``None`` once the socket is closed."""
        ...

    async def send(self, message: str | bytes) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class WebSocket:
    """A client's WebSocket, open when the handler gets it.

    ``async for message in ws`` gives text as ``str`` and binary as ``bytes`` and ends when the
    socket closes; :attr:`close_code` and :attr:`close_reason` then say how.
    """

    __slots__ = (
        "_host",
        "close_code",
        "close_reason",
        "conn",
        "message_index",
        "request",
        "restored",
    )

    conn: Conn
    request: Request
    """The request that opened it."""
    restored: bool
    """Whether it was open before the actor woke: its handler runs again, its hooks do not."""
    message_index: int
    """The index of the last message received, -1 before the first; counts on across sleep."""
    close_code: int | None
    """How it was closed (RFC 6455, 7.4), ``None`` while it is open."""
    close_reason: str

    def __init__(
        self, host: SocketHost, conn: Conn, request: Request, *, restored: bool, message_index: int
    ) -> None:
        self._host = host
        self.conn = conn
        self.request = request
        self.restored = restored
        self.message_index = message_index
        self.close_code = None
        self.close_reason = ""

    @property
    def path(self) -> str:
        """What follows ``/websocket`` in the URL, percent-encoded, without the query."""
        return self.request.path

    def __aiter__(self) -> WebSocket:
        return self

    async def __anext__(self) -> str | bytes:
        message = await self._host.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def send(self, message: str | bytes) -> None:
        """Send text or bytes; waits while the client reads too slowly.

        On a closed socket it is dropped. Raises ``message.outgoing_too_long``, and ``TypeError``
        for anything else than text and bytes.
        """
        if not isinstance(cast(object, message), str | bytes | bytearray | memoryview):
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        await self._host.send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket. Raises ``ValueError`` for a code that may not be sent.

        ``reason`` is cut to 123 bytes (RFC 6455, 5.5.1). Raises ``TypeError`` for a code that is
        no ``int`` or a reason that is no ``str``.
        """
        if not (isinstance(cast(object, code), int) and isinstance(cast(object, reason), str)):
            raise TypeError(f"a close has an int and a str, not {code!r} and {reason!r}")
        if code != 1000 and not 3000 <= code <= 4999 and code not in _MAY_BE_SENT:
            raise ValueError(f"{code} is not a close code: 1000, 1001-1014 or 3000-4999")
        await self._host.close(code, reason)


_MAY_BE_SENT = frozenset(range(1001, 1015)) - {1004, 1005, 1006}
