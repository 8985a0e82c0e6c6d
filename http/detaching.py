"""Taking a connection away from aiohttp, once its request has become something else.

After the answer 101 a connection speaks WebSocket for hours. aiohttp would keep its HTTP parser,
its connection handler, a request and two tasks for it; here its transport gets another protocol
and all of that is dropped.
"""

from __future__ import annotations

import asyncio

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from stator.runtime.errors import MalformedHttp


class HandedOver(web.StreamResponse):
    """What a handler returns whose connection is not aiohttp's any more: it writes nothing."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing: there is nowhere to write."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the answer was written when the connection was handed over."""


class DetachableConnection(web.RequestHandler):
    """A connection of aiohttp's whose transport can be given to another protocol."""

    def hand_over(self, head: bytes, protocol: asyncio.Protocol) -> None:
        """Write ``head`` and make ``protocol`` the transport's; aiohttp forgets the connection.

        To be called while the handler of the connection's request runs. What the client sent
        after its request is given to ``protocol`` before this returns. Raises
        :class:`MalformedHttp`, nothing done, if the request is followed by a body or by another
        request, and ``ConnectionResetError`` if the client is gone.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client closed the connection")
        if not self._upgraded or self._messages:  # pyright: ignore[reportUnknownMemberType]
            raise MalformedHttp(metadata={"reason": "nothing may follow a request to upgrade"})
        early, self._message_tail = self._message_tail, b""
        was_paused = self._buffer_paused or self._reading_paused
        self._let_go()
        transport.write(head)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if early:
            protocol.data_received(early)
        if was_paused and not transport.is_closing():
            transport.resume_reading()

    def _let_go(self) -> None:
        """Do what aiohttp does at the end of a connection, but for closing it."""
        self.transport = None
        # Without its task the connection leaves the server's list now rather than when the task
        # ends, and the running handler is not cancelled, whatever the server's settings.
        self._task_handler = None
        self.connection_lost(None)


def hand_over(request: web.BaseRequest, head: bytes, protocol: asyncio.Protocol) -> HandedOver:
    """Give the connection of ``request`` to ``protocol``; return what the handler must return.

    Raises like :meth:`DetachableConnection.hand_over`.
    """
    if request.version < HttpVersion11:
        raise MalformedHttp(metadata={"reason": "HTTP/1.0 cannot be upgraded"})
    connection = request.protocol
    assert isinstance(connection, DetachableConnection)
    connection.hand_over(head, protocol)
    return HandedOver()
