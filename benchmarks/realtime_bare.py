"""The limit of connections: the smallest aiohttp WebSocket servers that do alike, in one process.

``/echo`` sends back each message; ``/square`` sends an event to all that subscribed, in a loop,
whenever it is called, and answers. Both begin with a message as long as ``Init``, so that the same
client opens them. ``python -m benchmarks.realtime_bare PORT`` serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import re
import sys

import uvloop
from aiohttp import WSMsgType, web

from stator.runtime.protocol.connection import ActionRequest
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.to_server import decode_to_server

from . import messages
from .plaza import text_of

ECHO, SQUARE = "/echo", "/square"
FIRST = re.compile(r"rivet_encoding\.(\w+)")


async def open_socket(request: web.Request) -> tuple[web.WebSocketResponse, Encoding]:
    """Accept the upgrade and send the first message."""
    offered = FIRST.search(request.headers["Sec-WebSocket-Protocol"])
    assert offered
    encoding = Encoding[offered[1].upper()]
    socket = web.WebSocketResponse(protocols=("rivet",), compress=False)
    await socket.prepare(request)
    first = messages.init(encoding)
    if encoding is Encoding.JSON:
        await socket.send_str(first.decode())
    else:
        await socket.send_bytes(first)
    return socket, encoding


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send back each message as it came."""
    socket, _ = await open_socket(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


class Square:
    """Those who listen, and a loop over them."""

    def __init__(self) -> None:
        self._listening: set[web.WebSocketResponse] = set()

    async def join(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection, in BARE."""
        socket, encoding = await open_socket(request)
        try:
            async for message in socket:
                call, _ = decode_to_server(encoding, message.data)
                if isinstance(call, ActionRequest):
                    await self._shout(messages.event(encoding, text_of(call.args[0])))
                    await socket.send_bytes(messages.answer(encoding))
                else:
                    self._listening.add(socket)
        finally:
            self._listening.discard(socket)
        return socket

    async def _shout(self, payload: bytes) -> None:
        for listener in tuple(self._listening):
            await listener.send_bytes(payload)


async def answer(_request: web.Request) -> web.Response:
    """Answer the request that asks whether the server is up."""
    return web.Response(body=b'{"output":0}', content_type="application/json")


async def serve(port: int) -> None:
    """Serve for ever."""
    application = web.Application()
    application.router.add_get(ECHO, echo)
    application.router.add_get(SQUARE, Square().join)
    application.router.add_post("/gateway/plaza/action/get", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
