"""How long a client may take over the head of a request.

Rule 1. A head counts from the moment the connection was accepted, or from the first byte that
        comes after the request before it; it is whole ``server.header_timeout`` later.
Rule 2. Who sent a part of a head gets 408 and is closed; who sent nothing is closed silently, and
        who does not read answers either is cut off.
Rule 3. An idle connection between two requests is not reading a head: ``server.keep_alive`` is
        its limit, and that one never cuts off a head that has begun. (A head whose beginning came
        in one piece with the request before it has begun when more of it comes.)

A request costs no timer. One timer for all connections looks, four times per limit, at those that
were reading a head lately, so a client has up to a quarter of the limit more. Bodies have their
own limit, in bodies.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import StreamReader, web

from stator.runtime.errors import RequestTimeout

from .answers import date_header
from .problems import problem_response

ROUNDS_PER_LIMIT = 4


class HeadWatch:
    """The connections that read the head of a request, and since when."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._since: dict[TimedConnection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size(self) -> int:
        """How many connections are watched."""
        return len(self._since)

    def begin(self, connection: TimedConnection) -> None:
        """Watch a connection whose next head begins now."""
        self._since[connection] = self._loop.time()
        if self._timer is None:
            self._start_timer()

    def forget(self, connection: TimedConnection) -> None:
        """Watch a connection no longer."""
        self._since.pop(connection, None)

    def round(self, now: float) -> None:
        """Close the connections whose time is over; forget those whose head is whole."""
        too_old = now - self._timeout_s
        for connection, since in list(self._since.items()):
            if not connection.is_reading_head:
                del self._since[connection]
            elif since <= too_old and connection.is_waiting:
                del self._since[connection]
                connection.time_out()

    def _start_timer(self) -> None:
        self._timer = self._loop.call_later(self._timeout_s / ROUNDS_PER_LIMIT, self._turn)

    def _turn(self) -> None:
        self._timer = None
        self.round(self._loop.time())
        if self._since:
            self._start_timer()


class TimedConnection(web.RequestHandler):
    """A client connection that sends its request heads in time, or ends.

    It knows where in a request it is from what aiohttp's handler knows: ``_request_count``, the
    requests parsed so far, ``_messages``, those nobody began to answer, and ``_waiter``, pending
    while there is none of them.
    """

    def __init__(self, manager: web.Server, *, heads: HeadWatch, **options: Any) -> None:
        super().__init__(manager, **options)
        self._heads = heads
        self._begun_after = -1
        """After how many requests the last head began that did not come in one piece."""
        self.on_lost: Callable[[], None] | None = None
        """Told when the client is gone."""
        self._body: StreamReader | None = None
        """The body of the last request, while it is not whole."""

    @property
    def is_reading_head(self) -> bool:
        """Whether a head is due: the first one, or one of which a part has come."""
        return self._request_count in (0, self._begun_after)

    @property
    def is_waiting(self) -> bool:
        """Whether everything that came before is answered."""
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect the first head."""
        super().connection_made(transport)
        self._heads.begin(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Expect nothing any more."""
        self._heads.forget(self)
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note the beginning of a head whose end is not there yet."""
        requests = self._request_count
        web.RequestHandler.data_received(self, data)
        if self._request_count != requests:
            body = self._messages[-1][1]
            self._body = None if body.is_eof() else body
        elif self._body is not None:
            if self._body.is_eof():
                self._body = None
        elif data and self._begun_after != requests:
            self._begun_after = requests
            if requests:
                self._heads.begin(self)

    def time_out(self) -> None:
        """End the connection: its head is overdue."""
        transport = self.transport
        if transport is None:
            return
        if transport.get_write_buffer_size():
            transport.abort()  # closing would wait for a client that does not read
            return
        if self._begun_after == self._request_count:
            transport.write(_timed_out_answer())
        self.force_close()

    def _process_keepalive(self) -> None:
        if self.is_reading_head:
            self._keepalive_handle = None
        else:
            super()._process_keepalive()


def _timed_out_answer() -> bytes:
    """Return a whole answer. There is no request that aiohttp could answer, only half a head."""
    response = problem_response(RequestTimeout(), {}, is_gateway=True)
    assert isinstance(response.body, bytes)
    names = [f"{name}: {value}\r\n" for name, value in response.headers.items()]
    head = f"HTTP/1.1 {response.status} Request Timeout\r\n{''.join(names)}"
    rest = f"content-length: {len(response.body)}\r\nconnection: close\r\n{date_header()}\r\n"
    return (head + rest).encode() + response.body
