"""A WebSocket client that sends what it is told, byte by byte, and reports every frame."""

from __future__ import annotations

import base64
import os
import socket
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from tests.fakes.running_service import DEADLINE

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
OPCODES = {"text": TEXT, "binary": BINARY, "close": CLOSE, "ping": PING, "pong": PONG}


class WireFrame(NamedTuple):
    """One frame; ``opcode`` as on the wire."""

    opcode: int
    data: bytes

    @property
    def code(self) -> int | None:
        """The code of a close frame, if it has one."""
        return struct.unpack("!H", self.data[:2])[0] if self.data else None

    @property
    def reason(self) -> str:
        """The reason of a close frame."""
        return self.data[2:].decode()


class SocketClient:
    """One WebSocket, opened when it is made; as a context it is closed at the end."""

    def __init__(
        self,
        endpoint: str,
        path: str,
        protocols: str | Sequence[str] | None = ("rivet",),
        headers: dict[str, str] | None = None,
    ) -> None:
        """``protocols`` are the offered subprotocols, or the header as it is to be sent."""
        parts = urlsplit(endpoint)
        assert parts.hostname and parts.port
        self._socket = socket.create_connection((parts.hostname, parts.port), DEADLINE)
        self._buffer = bytearray()
        lines = [
            f"GET {path} HTTP/1.1",
            f"host: {parts.hostname}:{parts.port}",
            "connection: Upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            f"sec-websocket-key: {base64.b64encode(os.urandom(16)).decode()}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        if protocols is not None:
            text = protocols if isinstance(protocols, str) else ", ".join(protocols)
            lines.append(f"sec-websocket-protocol: {text}")
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        self.status, self.headers = self._read_head()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()

    def drop(self) -> None:
        """End the TCP connection without a word."""
        self._socket.close()

    def send(self, opcode: int, data: bytes = b"", *, final: bool = True) -> None:
        """Send one masked frame."""
        head = bytes([opcode | (0x80 if final else 0)])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        elif len(data) < 65536:
            head += b"\xfe" + struct.pack("!H", len(data))
        else:
            head += b"\xff" + struct.pack("!Q", len(data))
        self.send_raw(head + bytes(4) + data)  # with a mask of zeros the data are themselves

    def send_raw(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

    def close(self, code: int | None = None, reason: str = "") -> None:
        """Send a close frame; without a code an empty one."""
        self.send(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())

    def receive(self, seconds: float = DEADLINE) -> WireFrame | None:
        """Return the next frame, ``None`` at the end of the connection.

        Raises ``TimeoutError``.
        """
        self._socket.settimeout(seconds)
        head = self._take(2)
        if head is None:
            return None
        assert not head[1] & 0x80, "a server must not mask"
        assert head[0] & 0x80, "a server of ours sends whole messages"
        length = head[1]
        if length >= 126:
            extended = self._take(2 if length == 126 else 8)
            assert extended is not None
            length = int.from_bytes(extended)
        data = self._take(length)
        assert data is not None
        return WireFrame(head[0] & 0x0F, data)

    def receive_close(self) -> tuple[int | None, str]:
        """Return code and reason of the close that comes, whatever comes before it."""
        while (frame := self.receive()) is not None:
            if frame.opcode == CLOSE:
                return frame.code, frame.reason
        raise AssertionError("the connection ended without a close frame")

    def _read_head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._buffer:
            received = self._socket.recv(65536)
            assert received, f"no answer to the handshake: {bytes(self._buffer)!r}"
            self._buffer += received
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split(" ")[1]), headers

    def _take(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            received = self._socket.recv(65536)
            if not received:
                return None
            self._buffer += received
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken
