"""A service whose connections the test answers by hand, one after the other."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import web

from stator.runtime.protocol.connection import Init, ToClient, ToServer
from stator.runtime.protocol.encoding import Encoding, encoding_of
from stator.runtime.protocol.to_client import encode_to_client
from stator.runtime.protocol.to_server import decode_to_server

HANG_UP = 0
"""Instead of a status: close the connection without an answer."""


class Peer:
    """The service's end of one WebSocket."""

    def __init__(self, request: web.BaseRequest, socket: web.WebSocketResponse) -> None:
        self.target: str = request.raw_path
        """Path and query, byte for byte."""
        self.headers: Mapping[str, str] = request.headers
        self.protocols = [p.strip() for p in request.headers["sec-websocket-protocol"].split(",")]
        names = [p.partition(".")[2] for p in self.protocols if p.startswith("rivet_encoding.")]
        self.encoding: Encoding = encoding_of(names[0])
        self.socket = socket
        self._request = request
        self.over = asyncio.Event()

    async def init(self, conn_id: str = "c1", actor_id: str = "a1") -> None:
        """Open the connection."""
        await self.say(Init(actor_id, conn_id))

    async def say(self, *messages: ToClient) -> None:
        """Send messages."""
        for message in messages:
            await self.send(encode_to_client(self.encoding, 4, message))

    async def send(self, data: bytes) -> None:
        """Send a frame as the encoding has it."""
        if self.encoding is Encoding.JSON:
            await self.socket.send_str(data.decode())
        else:
            await self.socket.send_bytes(data)

    async def hear(self) -> ToServer:
        """Return the next message."""
        frame = await self.socket.receive()
        assert frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), frame
        assert (frame.type is aiohttp.WSMsgType.TEXT) is (self.encoding is Encoding.JSON)
        data: str | bytes = frame.data
        return decode_to_server(self.encoding, data.encode() if isinstance(data, str) else data)[0]

    async def hear_close(self) -> tuple[int, str]:
        """Return how the client closed, which must be the next it does."""
        frame = await self.socket.receive()
        assert frame.type is aiohttp.WSMsgType.CLOSE, frame
        self.over.set()
        return frame.data, frame.extra or ""

    async def hear_end(self) -> None:
        """Return once the client is gone, in whatever way."""
        while not self.socket.closed:
            await self.socket.receive()
        self.over.set()

    async def close(self, reason: str = "", code: int = 1011) -> None:
        """Close as a service does that says why."""
        await self.socket.close(code=code, message=reason.encode())
        self.over.set()

    def drop(self) -> None:
        """End the connection without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()
        self.over.set()


class StubConnections:
    """Listens on a free port inside ``async with``."""

    def __init__(self, metadata: Mapping[str, Any] | None = None) -> None:
        self.endpoint = ""
        self._metadata = metadata or {}
        self._arrivals: asyncio.Queue[Peer] = asyncio.Queue()
        self._peers: list[Peer] = []
        self._refusals: deque[int] = deque()

    def will_refuse(self, *statuses: int) -> None:
        """Answer the next upgrades with these, or :data:`HANG_UP`."""
        self._refusals.extend(statuses)

    async def accept(self) -> Peer:
        """Return the next WebSocket."""
        return await self._arrivals.get()

    async def __aenter__(self) -> StubConnections:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0]
        self.endpoint = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for peer in self._peers:
            if not peer.over.is_set():
                peer.drop()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.endswith("/metadata"):
            return web.Response(body=json.dumps(self._metadata).encode())
        if self._refusals:
            status = self._refusals.popleft()
            if status == HANG_UP:
                assert request.transport
                request.transport.abort()
            return web.Response(status=status or 500)
        socket = web.WebSocketResponse(protocols=["rivet"])
        await socket.prepare(request)
        peer = Peer(request, socket)
        self._peers.append(peer)
        self._arrivals.put_nowait(peer)
        await peer.over.wait()
        return socket
