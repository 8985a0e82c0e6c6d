"""WebSocket frames of a client that does as little as a client can (RFC 6455, 5.2).

Frames to send are bytes made beforehand; of what arrives it is counted how many whole data frames
it holds, and looked whether each begins as it should.
"""

from __future__ import annotations

import struct

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
FINAL, MASKED = 0x80, 0x80
MASK = b"\x5a\xc3\x17\xe8"
"""Any would do; zeros would leave the server nothing to unmask."""
_SHORT = struct.Struct(">BB")
_MEDIUM = struct.Struct(">BBH")
_LONG = struct.Struct(">BBQ")


class UnexpectedFrame(Exception):
    """The server sent something else than what is counted: an error, or a close frame."""


def apply_mask(payload: bytes, mask: bytes = MASK) -> bytes:
    """Mask or unmask a payload."""
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(len(payload), "big")


def client_frame(payload: bytes, opcode: int = BINARY) -> bytes:
    """Return a whole message as a client sends it."""
    return _head(opcode, len(payload), MASKED) + MASK + apply_mask(payload)


def server_frame(payload: bytes, opcode: int = BINARY) -> bytes:
    """Return a whole message as a server sends it."""
    return _head(opcode, len(payload), 0) + payload


def _head(opcode: int, length: int, masked: int) -> bytes:
    if length < 126:
        return _SHORT.pack(FINAL | opcode, masked | length)
    if length < 65_536:
        return _MEDIUM.pack(FINAL | opcode, masked | 126, length)
    return _LONG.pack(FINAL | opcode, masked | 127, length)


class FrameCounter:
    """Counts the data frames of one connection.

    Rule 1. Each data frame must begin with the expected bytes, else :class:`UnexpectedFrame`.
    Rule 2. Many equal-sized short frames in one piece, which is what a busy server sends, are
            told by strides over the piece and not looked at one by one: as the first frame's
            length leads to the second's head and so on, that is as certain.
    Rule 3. Pings are answered by the caller (:meth:`take_pings`); a close frame ends the count.
    """

    __slots__ = ("_expected", "_pings", "_rest", "_size", "closed")

    def __init__(self, expected: bytes) -> None:
        self._expected = expected
        self._rest = b""
        self._size = 0
        """Of the last short data frame, its head included; 0 before the first."""
        self._pings: list[bytes] = []
        self.closed: bytes | None = None
        """The payload of the close frame, once it came."""

    def expect(self, expected: bytes) -> None:
        """Expect other frames from now on."""
        self._expected = expected
        self._size = 0

    def take_pings(self) -> list[bytes]:
        """Return the payloads of the pings since the last call."""
        pings, self._pings = self._pings, []
        return pings

    @property
    def has_pings(self) -> bool:
        """Whether a ping waits for its answer."""
        return bool(self._pings)

    def feed(self, data: bytes) -> int:
        """Return how many data frames end in these bytes."""
        size = self._size
        if size and not self._rest:
            count, odd = divmod(len(data), size)
            mark = len(self._expected) + 1
            if (
                not odd
                and count
                and data[1] == size - 2
                and data[::size].count(data[0]) == count
                and data[1::size].count(data[1]) == count
                and data[mark::size].count(self._expected[-1]) == count
                and data.startswith(self._expected, 2)
                and data[0] & 0x0F <= BINARY
            ):
                return count
        return self._walk(self._rest + data if self._rest else data)

    def _walk(self, data: bytes) -> int:
        at, end, count = 0, len(data), 0
        while end - at >= 2:
            start = at + 2
            length = data[at + 1]
            if length >= 126:
                start += 2 if length == 126 else 8
                if start > end:
                    break
                length = int.from_bytes(data[at + 2 : start], "big")
            if start + length > end:
                break
            if data[at] & 0x0F > BINARY:
                self._control(data[at] & 0x0F, data[start : start + length])
            elif data.startswith(self._expected, start):
                count += 1
                self._size = start + length - at if length < 126 else 0
            else:
                raise UnexpectedFrame(repr(data[start : start + length][:400]))
            at = start + length
        self._rest = data[at:]
        return count

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._pings.append(payload)
        elif opcode == CLOSE:
            self.closed = payload
