"""A server on loopback whose WebSockets send back what they get, and a transport without one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import uvloop
from aiohttp import web

from stator.http.deadlines import HeadWatch
from stator.http.detaching import hand_over
from stator.http.handshake import check_upgrade, handshake_answer, is_upgrade, parse_offer
from stator.http.open_sockets import OpenSockets
from stator.http.server import HttpServer
from stator.http.web_socket import SocketLimits, WebSocket
from stator.http.web_socket_frames import make_frame
from stator.runtime.errors import ActorError

MAX_MESSAGE_BYTES = 2**21
DEADLINE_S = 20.0
Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS: dict[str, Loop] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def run_on(loop: Loop, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``test`` in a loop of this kind; what its callbacks raise fails the test."""
    raised: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: raised.append(context))
        runner.run(asyncio.wait_for(test(), DEADLINE_S))
    assert not raised, f"the event loop caught: {raised}"


class Script(Protocol):
    """What an owner does with a message."""

    def __call__(self, socket: WebSocket, data: bytes, is_text: bool) -> None: ...


def echo(socket: WebSocket, data: bytes, is_text: bool) -> None:
    """Send a message back."""
    socket.send_frame(make_frame(data, is_text))


class RecordingOwner:
    """Notes what its socket tells, and does with messages what its script says."""

    socket: WebSocket

    def __init__(self, script: Script = echo) -> None:
        self._script = script
        self.messages: list[tuple[bytes, bool]] = []
        self.endings: list[tuple[int, str]] = []
        self.drained = 0
        self.closed = asyncio.Event()

    def on_message(self, data: bytes, is_text: bool) -> None:
        """Note a message."""
        assert not self.endings and type(data) is bytes
        self.messages.append((data, is_text))
        self._script(self.socket, data, is_text)

    def on_closed(self, code: int, reason: str) -> None:
        """Note the end."""
        self.endings.append((code, reason))
        self.closed.set()

    def on_drained(self) -> None:
        """Note that the client has read."""
        assert not self.endings
        self.drained += 1


class MemoryTransport(asyncio.Transport):
    """Records what is written and how it ends; it has ended when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.writes = 0
        self.unread = 0
        """What the client did not read."""
        self.is_reading_paused = False
        self.has_eof = False
        self.is_closed = False
        self.aborted = asyncio.Event()

    @property
    def is_aborted(self) -> bool:
        """Whether it was cut off."""
        return self.aborted.is_set()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed and not self.has_eof
        self.written += data
        self.writes += 1

    def get_write_buffer_size(self) -> int:
        return self.unread

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_eof = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True
        self.aborted.set()

    def pause_reading(self) -> None:
        assert not self.is_reading_paused
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        assert self.is_reading_paused
        self.is_reading_paused = False


def open_in_memory(
    owner: RecordingOwner,
    limits: SocketLimits | None = None,
    sockets: OpenSockets | None = None,
) -> MemoryTransport:
    """Give ``owner`` an open socket on a transport of its own."""
    transport = MemoryTransport()
    limits = limits or SocketLimits(MAX_MESSAGE_BYTES)
    owner.socket = WebSocket(owner, limits, OpenSockets() if sockets is None else sockets)
    owner.socket.connection_made(transport)
    return transport


class EchoServer:
    """The real HTTP server with a handler that opens WebSockets and greets everything else."""

    def __init__(self, script: Script, settings: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        self.sockets = OpenSockets()
        self.owners: list[RecordingOwner] = []
        self._script = script
        self._limits = SocketLimits(MAX_MESSAGE_BYTES)
        heads = HeadWatch(loop, 1000.0)
        self.http = HttpServer(self._handle, heads=heads, access_log=None, **settings)
        self.listener = cast(asyncio.Server, None)
        self.asked = asyncio.Event()
        """Set by a request for a WebSocket."""
        self.may_answer = asyncio.Event()
        """Cleared by a test that wants such a request to wait."""
        self.may_answer.set()

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.listener.sockets[0].getsockname()[1])

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not is_upgrade(request.headers):
            return web.Response(text="hello")
        self.asked.set()
        await self.may_answer.wait()
        owner = RecordingOwner(self._script)
        try:
            key = check_upgrade(request.method, request.headers)
            head = handshake_answer(parse_offer(request.headers), key)
            owner.socket = WebSocket(owner, self._limits, self.sockets)
            answer = hand_over(request, head, owner.socket)
        except ActorError as error:
            return web.Response(status=error.status, text=error.code)
        self.owners.append(owner)
        return answer


@asynccontextmanager
async def echo_server(
    *,
    script: Script = echo,
    path: Path | None = None,
    tls: ssl.SSLContext | None = None,
    **settings: Any,
) -> AsyncGenerator[EchoServer, None]:
    """Serve on a free port, or on the Unix socket ``path``; leave no connection behind."""
    server = EchoServer(script, settings)
    loop = asyncio.get_running_loop()
    if path is None:
        server.listener = await loop.create_server(server.http, "127.0.0.1", 0, ssl=tls)
    else:
        server.listener = await loop.create_unix_server(server.http, str(path), ssl=tls)
    try:
        yield server
    finally:
        server.listener.close()
        for socket in list(server.sockets):
            socket.abort()
        await server.sockets.wait_empty()
        await server.http.shutdown(0)
