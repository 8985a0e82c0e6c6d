"""The gateway's HTTP server in this process, its one worker scripted, and clients by hand."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stator.http.backends import Backends
from stator.http.connections import ClientConnection
from stator.http.front import bounds_of
from stator.http.gateway import Gateway
from stator.http.open_sockets import OpenSockets
from stator.http.server import make_server
from stator.http.switchboard import Switchboard
from stator.runtime.config import Config
from stator.runtime.control_block import ControlBlock
from stator.testing.gateway import SilentMeter
from tests.fakes.held_clients import ACTOR, make_boot
from tests.fakes.recording_log import RecordingLog
from tests.fakes.scripted_worker import ScriptedWorker, WorkerLink
from tests.fakes.wire_frames import BINARY, CLOSE, KEY, TEXT, ServerFrame, client_frame

DIRECT = f"/gateway/{ACTOR}"
BY_KEY = "/gateway/chat{inner}?{query}rvt-namespace=default&rvt-method=get&rvt-key=a%2Cb"


class Answer:
    """An HTTP answer."""

    def __init__(self, head: bytes) -> None:
        first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")[:-2]
        self.status = int(first.split(" ")[1])
        self.headers = [(name.lower(), value) for name, value in (x.split(": ", 1) for x in lines)]
        self.body = b""
        self.is_whole = True
        """Whether the body ended as its framing says."""

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.all(name))


class WireClient:
    """One TCP connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    def request(self, method: str, path: str, *lines: str, body: bytes = b"") -> None:
        """Send a request; ``body`` as it is on the wire."""
        head = [f"{method} {path} HTTP/1.1", "host: gateway.test", *lines, "", ""]
        self.send("\r\n".join(head).encode("utf-8", "surrogateescape") + body)

    def upgrade(self, path: str, *protocols: str, lines: tuple[str, ...] = ()) -> None:
        """Ask for a WebSocket."""
        offer = (f"sec-websocket-protocol: {', '.join(protocols)}",) if protocols else ()
        self.request(
            "GET",
            path,
            "connection: Upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            f"sec-websocket-key: {KEY}",
            *offer,
            *lines,
        )

    async def head(self) -> Answer:
        """Return the head of the next answer."""
        return Answer(await self.reader.readuntil(b"\r\n\r\n"))

    async def answer(self, *, has_body: bool = True) -> Answer:
        """Return the next answer."""
        answer = await self.head()
        try:
            if not has_body:
                return answer
            if answer["transfer-encoding"] == "chunked":
                while part := await self.chunk():
                    answer.body += part
            elif answer["content-length"]:
                answer.body = await self.reader.readexactly(int(answer["content-length"]))
        except (asyncio.IncompleteReadError, ConnectionError):
            answer.is_whole = False
        return answer

    async def chunk(self) -> bytes:
        """Return the next chunk of a body, ``b""`` at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    def say(self, message: str | bytes) -> None:
        """Send a message on a WebSocket."""
        if isinstance(message, str):
            self.send(client_frame(TEXT, message.encode()))
        else:
            self.send(client_frame(BINARY, message))

    async def frame(self) -> ServerFrame:
        """Return the next frame of a WebSocket."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return ServerFrame(first & 0x0F, await self.reader.readexactly(size))

    async def ending(self) -> tuple[int, str]:
        """Return code and reason of the close frame that must come next."""
        frame = await self.frame()
        assert frame.opcode == CLOSE
        code: int = struct.unpack_from("!H", frame.payload)[0]
        return code, frame.payload[2:].decode()

    def leave(self) -> None:
        """Close the TCP connection."""
        self.writer.close()


class PublicPort:
    """The gateway, and its worker."""

    def __init__(self, path: Path, config: Config) -> None:
        self.numbers = itertools.count(1)
        self.sockets = OpenSockets()
        self.log = RecordingLog()
        self.switchboard = Switchboard(bounds_of(config), lambda: next(self.numbers))
        boot = make_boot(path, config)
        block = ControlBlock.create(owners=[0], children=[])
        self.backends = Backends(boot, block, self.switchboard, self.numbers)
        self.switchboard.attach(self.backends)
        self.worker = ScriptedWorker(boot.workers[0])
        self.link: WorkerLink
        self.gateway = Gateway(
            config, self.backends, self.switchboard, self.sockets, SilentMeter(), self.log
        )
        self.server = make_server(self.gateway, config)
        self.listener: asyncio.Server
        self._clients: list[WireClient] = []

    @property
    def counted(self) -> int:
        """How many clients the rate limits count as having something under way."""
        admission: Any = self.gateway._actors._admission  # pyright: ignore[reportPrivateUsage]
        return sum(pair.in_flight for pair in admission._busy.values())

    async def client(self) -> WireClient:
        """Connect a client."""
        port: int = self.listener.sockets[0].getsockname()[1]
        client = WireClient(*await asyncio.open_connection("127.0.0.1", port))
        self._clients.append(client)
        return client

    async def connection(self) -> ClientConnection:
        """Return the one connection there is, once there is one."""
        while not self.switchboard.connections:
            await self.link.sync()
        (connection,) = self.switchboard.connections.values()
        return connection

    async def until_asked(self) -> None:
        """Wait until a raw request waits for the link, and its body too."""
        while not self.switchboard.exchanges:
            await _pause()
        for _ in range(10):
            await _pause()

    async def until_left(self) -> None:
        """Wait until no raw request is under way."""
        while self.switchboard.exchanges:
            await _pause()

    def leave(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.leave()


async def _pause() -> None:
    """Let the loop turn: nothing tells of what is waited for."""
    await asyncio.sleep(0)


@asynccontextmanager
async def public_port(path: Path, config: Config | None = None) -> AsyncGenerator[PublicPort, None]:
    """Serve on a free port of loopback; the worker listens in ``path``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stator.runtime.link.dialer.RECONNECT_DELAY_S", 0.001)
        patch.setattr("stator.http.server.LINGERING_S", 0.01)
        gateway = PublicPort(path, config or Config())
        await gateway.worker.listen()
        gateway.backends.start()
        gateway.link = await gateway.worker.greet()
        await gateway.link.sync()
        loop = asyncio.get_running_loop()
        gateway.listener = await loop.create_server(gateway.server, "127.0.0.1", 0)
        try:
            yield gateway
        finally:
            gateway.leave()
            gateway.listener.close()
            for socket in list(gateway.sockets):
                socket.abort()
            await gateway.sockets.wait_empty()
            await gateway.server.shutdown(0)
            gateway.backends.close()
            gateway.worker.close()
            await asyncio.sleep(0)
