"""WebSocket frames as a client writes them, right or wrong, and as it reads them."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x12\x84\x5f\x00"
KEY = base64.b64encode(bytes(range(16))).decode()


class ServerFrame(NamedTuple):
    """One frame from the server."""

    opcode: int
    payload: bytes


def client_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    is_last: bool = True,
    reserved: int = 0,
    is_masked: bool = True,
) -> bytes:
    """Return a frame as a client sends it."""
    size = len(payload)
    mask_bit = 0x80 if is_masked else 0
    first = (0x80 if is_last else 0) | reserved << 4 | opcode
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    return head + (MASK + _masked(payload) if is_masked else payload)


def client_close(code: int | None = 1000, reason: str | bytes = b"") -> bytes:
    """Return a client's close frame."""
    text = reason.encode() if isinstance(reason, str) else reason
    return client_frame(CLOSE, b"" if code is None else struct.pack("!H", code) + text)


def in_pieces(opcode: int, *payloads: bytes) -> bytes:
    """Return one message in as many frames as there are payloads."""
    last = len(payloads) - 1
    return b"".join(
        client_frame(opcode if i == 0 else CONTINUATION, payload, is_last=i == last)
        for i, payload in enumerate(payloads)
    )


def chopped(data: bytes, size: int) -> list[bytes]:
    """Return ``data`` in parts of ``size`` bytes."""
    return [data[i : i + size] for i in range(0, len(data), size)]


def split_frames(data: bytes) -> list[ServerFrame]:
    """Return the frames that a server wrote: whole, final, unmasked and of minimal length."""
    frames: list[ServerFrame] = []
    while data:
        first, size = data[0], data[1]
        start = 2
        assert first & 0x70 == 0 and first & 0x80 and size < 128
        if size == 126:
            (size,), start = struct.unpack_from("!H", data, 2), 4
            assert size > 125
        elif size == 127:
            (size,), start = struct.unpack_from("!Q", data, 2), 10
            assert size > 65535
        assert len(data) >= start + size
        frames.append(ServerFrame(first & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return frames


def close_code(frame: ServerFrame) -> int | None:
    """Return the code of a close frame, None if it has none."""
    assert frame.opcode == CLOSE
    return struct.unpack_from("!H", frame.payload)[0] if frame.payload else None


def upgrade_request(*lines: str, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    """Return the request that opens a WebSocket, with more header lines."""
    head = [
        f"{method} /chat {version}",
        "host: localhost",
        "connection: keep-alive, Upgrade",
        "upgrade: WebSocket",
        "sec-websocket-version: 13",
        f"sec-websocket-key: {KEY}",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


async def read_head(reader: asyncio.StreamReader) -> list[str]:
    """Return the lines of an answer's head."""
    return (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]


def _masked(payload: bytes) -> bytes:
    size = len(payload)
    key = (MASK * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)
