"""Sending to a Unix socket, whatever host a URL names."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from stator.client.exchange import Exchange
from stator.client.sockets import Socket


async def _answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.headers.get("upgrade") != "websocket":
        return web.Response(text=request.host)
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(request.host)
    await socket.close()
    return socket


@asynccontextmanager
async def exchange_with(path: str) -> AsyncGenerator[Exchange]:
    runner = web.ServerRunner(web.Server(_answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    exchange = Exchange({}, unix_socket=path)
    try:
        yield exchange
    finally:
        await exchange.close()
        await runner.cleanup()


async def test_requests_go_to_the_unix_socket(short_tmp: Path) -> None:
    async with exchange_with(str(short_tmp / "s")) as exchange:
        answer = await exchange.send("GET", "http://somewhere/", {})
    assert answer.body == b"somewhere"


async def test_web_sockets_go_to_the_unix_socket(short_tmp: Path) -> None:
    async with exchange_with(str(short_tmp / "s")) as exchange:
        socket = Socket(await exchange.open_socket("http://somewhere/", []))
        assert await socket.receive() == "somewhere"
