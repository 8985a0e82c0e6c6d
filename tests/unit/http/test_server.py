"""What the server does about requests that end before they are whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from stator.http.deadlines import HeadWatch
from stator.http.server import HttpServer

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
HALF = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf"


class _Transport(asyncio.Transport):
    """Takes everything."""

    is_lost = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Forget it."""

    def is_closing(self) -> bool:
        return self.is_lost

    def close(self) -> None:
        """Stay."""


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.read())


async def _connect(
    handle: Handler = _echo, transport: _Transport | None = None
) -> web.RequestHandler:
    """Return a connection over which half a request came."""
    watch = HeadWatch(asyncio.get_running_loop(), 1000.0)
    connection = HttpServer(handle, heads=watch, logger=logging.getLogger("server"))()
    connection.connection_made(transport or _Transport())
    await _settle()
    connection.data_received(HALF)
    await _settle()
    return connection


@pytest.mark.parametrize("error", [None, ConnectionResetError(104, "reset by peer")])
async def test_a_client_that_leaves_in_the_middle_of_a_body_is_not_logged(
    caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    connection = await _connect()
    connection.connection_lost(error)
    await _settle()
    assert caplog.records == []


async def test_a_client_that_is_about_to_be_gone_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        transport.is_lost = True
        raise ConnectionResetError("no use in upgrading")

    transport = _Transport()
    connection = await _connect(handle, transport)
    assert caplog.records == []
    connection.connection_lost(None)
    await _settle()


async def test_a_connection_error_of_anything_else_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        raise ConnectionResetError("a link, perhaps")

    connection = await _connect(handle)
    assert [record.message for record in caplog.records] == ["connection failed"]
    connection.connection_lost(None)
    await _settle()
