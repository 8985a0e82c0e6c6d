"""Clients of a gateway without HTTP: their sockets in memory, their worker scripted."""

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
from stator.http.connections import Bounds, ClientConnection
from stator.http.open_sockets import OpenSockets
from stator.http.switchboard import Switchboard
from stator.http.web_socket import SocketLimits, WebSocket
from stator.runtime.boot import Boot
from stator.runtime.config import Config
from stator.runtime.control_block import ControlBlock
from stator.runtime.ids import RANDOM_BYTES, make_actor_id
from stator.runtime.link.frames import (
    ConnectionKind,
    Message,
    OpenConnection,
    Opened,
    RequestHead,
    Resolution,
    Revive,
    Suspended,
)
from stator.runtime.protocol.encoding import Encoding
from stator.testing.gateway import boot_record
from tests.fakes.echo_server import MemoryTransport
from tests.fakes.scripted_worker import Received, ScriptedWorker, WorkerLink
from tests.fakes.wire_frames import (
    BINARY,
    CLOSE,
    TEXT,
    ServerFrame,
    client_close,
    client_frame,
    split_frames,
)

RAY = "ray1"
ACTOR = make_actor_id(0, 1, bytes(RANDOM_BYTES))
OTHER_ACTOR = make_actor_id(0, 2, bytes(RANDOM_BYTES))
HEAD = RequestHead("GET", "http://localhost/", "/", "", ())
BOUNDS = Bounds(
    unanswered_messages=8,
    unanswered_bytes=1000,
    backlog_bytes=1000,
    drops_events=False,
    open_timeout_s=20.0,
    wake_timeout_s=20.0,
)


def make_boot(path: Path, config: Config | None = None, shards: int = 1) -> Boot:
    """Return the boot record of a gateway whose one worker listens in the folder ``path``."""
    return boot_record(path / "worker", config or Config(), shards)


class _Transport(MemoryTransport):
    """Says when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.was_written = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.was_written.set()


class HeldClient:
    """One client: what it does, and what it was sent."""

    def __init__(self, gateway: HeldClients, kind: ConnectionKind) -> None:
        conn_id = f"conn-{next(gateway.counter)}"
        self._gateway = gateway
        self.connection = ClientConnection(gateway.switchboard, kind, conn_id, RAY)
        self.socket = WebSocket(self.connection, SocketLimits(2**20), gateway.sockets)
        self.connection.socket = self.socket
        self.transport = _Transport()
        self.socket.connection_made(self.transport)

    @property
    def number(self) -> int:
        """The number of its connection."""
        return self.connection.number

    @property
    def phase(self) -> str:
        """Where its connection is in its life."""
        return self.connection.phase.value

    @property
    def is_read(self) -> bool:
        """Whether what it sends is read."""
        return not self.transport.is_reading_paused

    def say(self, *messages: str | bytes) -> None:
        """Send messages in one piece."""
        frames = (
            client_frame(BINARY, message)
            if isinstance(message, bytes)
            else client_frame(TEXT, message.encode())
            for message in messages
        )
        self.socket.data_received(b"".join(frames))

    def leave(self, code: int = 1000, reason: str = "") -> None:
        """Close as a client does."""
        self.socket.data_received(client_close(code, reason))

    def drop(self) -> None:
        """Lose the TCP connection."""
        self.socket.connection_lost(None)

    def suspended(self) -> Suspended:
        """Return what the worker says when its actor leaves memory."""
        return Suspended(self.number, self.connection.actor_id or ACTOR)

    def revived(self) -> Revive:
        """Return what the worker says when its actor is back."""
        return Revive(self.number, self.connection.conn_id)

    def stop_reading(self, unread: int = 0) -> None:
        """Leave ``unread`` bytes in the gateway's buffer."""
        self.transport.unread = unread
        self.socket.pause_writing()

    def read_again(self) -> None:
        """Read all that is there."""
        self.transport.unread = 0
        self.socket.resume_writing()

    def heard(self) -> list[ServerFrame]:
        """Return every frame it was sent."""
        self.socket.flush()
        return split_frames(bytes(self.transport.written))

    def messages(self) -> list[bytes]:
        """Return the payloads of the messages it was sent."""
        return [frame.payload for frame in self.heard() if frame.opcode in (TEXT, BINARY)]

    def ending(self) -> tuple[int, str] | None:
        """Return code and reason of the close frame it was sent."""
        for frame in self.heard():
            if frame.opcode == CLOSE:
                code: int = struct.unpack_from("!H", frame.payload)[0]
                return code, frame.payload[2:].decode()
        return None

    async def until_ending(self) -> tuple[int, str]:
        """Wait until it was sent a close frame; return what that says."""
        while (ending := self.ending()) is None:
            self.transport.was_written.clear()
            await self.transport.was_written.wait()
        return ending

    def kept(self) -> dict[int, bytes]:
        """Return what its connection holds of what it sent, by index."""
        unanswered = self.connection._unanswered  # pyright: ignore[reportPrivateUsage]
        size = self.connection._unanswered_bytes  # pyright: ignore[reportPrivateUsage]
        kept = {index: data for index, (data, _) in unanswered.items()}
        assert size == sum(map(len, kept.values()))
        return kept

    def open(self, shard: int = 0) -> None:
        """Have the worker asked to open it."""
        opening = OpenConnection(
            self.number,
            shard,
            Resolution.GET,
            "default",
            "chat",
            "key",
            self.connection.conn_id,
            self.connection.kind,
            Encoding.JSON,
            RAY,
            HEAD,
        )
        self.connection.open(self._gateway.backends.link_to(shard), opening, b"")


class HeldClients:
    """A gateway's switchboard, its clients and its worker."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self.counter = itertools.count(1)
        self.numbers = itertools.count(1)
        self.sockets = OpenSockets()
        self.switchboard = Switchboard(bounds, lambda: next(self.numbers))
        boot = make_boot(path)
        block = ControlBlock.create(owners=[0], children=[])
        self.backends = Backends(boot, block, self.switchboard, self.numbers)
        self.switchboard.attach(self.backends)
        self.worker = ScriptedWorker(boot.workers[0])
        self.link: WorkerLink

    def client(self, kind: ConnectionKind = ConnectionKind.ACTOR) -> HeldClient:
        """Return a client whose socket is open and whose connection is not."""
        return HeldClient(self, kind)

    async def opened(
        self,
        kind: ConnectionKind = ConnectionKind.ACTOR,
        *,
        is_hibernatable: bool | None = None,
        actor: str = ACTOR,
    ) -> HeldClient:
        """Return a client whose connection is open."""
        client = self.client(kind)
        client.open()
        can = kind is ConnectionKind.ACTOR if is_hibernatable is None else is_hibernatable
        self.link.send(Opened(client.number, actor, can))
        await self.link.sync()
        assert client.phase == "open"
        return client

    async def new_link(self) -> WorkerLink:
        """Return the link that follows one that was lost."""
        self.link = await self.worker.greet()
        return self.link


@asynccontextmanager
async def held_clients(path: Path, **bounds: Any) -> AsyncGenerator[HeldClients, None]:
    """Link a gateway's parts with a worker that listens in ``path``; ``bounds`` replace some."""
    merged = {name: getattr(BOUNDS, name) for name in Bounds.__struct_fields__} | bounds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stator.runtime.link.dialer.RECONNECT_DELAY_S", 0.001)
        patch.setattr("stator.http.switchboard.RETRY_PAUSE_S", 0.001)
        gateway = HeldClients(path, Bounds(**merged))
        await gateway.worker.listen()
        gateway.backends.start()
        gateway.link = await gateway.worker.greet()
        await gateway.link.sync()
        try:
            yield gateway
        finally:
            for socket in list(gateway.sockets):
                socket.connection_lost(None)
            gateway.backends.close()
            gateway.worker.close()
            await asyncio.sleep(0)


def messages_in(received: list[Received]) -> list[tuple[int, int, bytes]]:
    """Return number, index and payload of the clients' messages that a worker got."""
    return [
        (frame.number, frame.index, payload)
        for frame, payload in received
        if isinstance(frame, Message)
    ]
