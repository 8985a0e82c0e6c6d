"""What the server does about requests that end before they are whole."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web

from stator.http.deadlines import HeadWatch
from stator.http.server import HttpServer

HALF = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf"


class _Transport(asyncio.Transport):
    """Takes everything."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Forget it."""

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Stay."""


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _connect(error: Exception | None = None) -> web.RequestHandler:
    """Return a connection whose handler reads the body, or fails with ``error``."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if error is not None:
            raise error
        return web.Response(body=await request.read())

    watch = HeadWatch(asyncio.get_running_loop(), 1000.0)
    connection = HttpServer(handle, heads=watch, logger=logging.getLogger("server"))()
    connection.connection_made(_Transport())
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


async def test_a_connection_error_of_anything_else_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = await _connect(error=ConnectionResetError("a link, perhaps"))
    assert [record.message for record in caplog.records] == ["connection failed"]
    connection.connection_lost(None)
    await _settle()
