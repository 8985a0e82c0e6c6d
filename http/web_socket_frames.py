"""Frames of WebSocket (RFC 6455, section 5) as the server makes and judges them.

Splitting bytes into frames and unmasking them is done by aiohttp's C reader; what is here is
the rest: frames to send, close codes, and the fragments of a message.
"""

from __future__ import annotations

import codecs
import struct
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""Opcodes."""

NORMAL, GOING_AWAY, PROTOCOL_ERROR = 1000, 1001, 1002
NO_CODE, ABNORMAL, INVALID_TEXT, TOO_BIG, INTERNAL = 1005, 1006, 1007, 1009, 1011
"""Close codes. ``NO_CODE`` and ``ABNORMAL`` are told to programs and never sent."""

MAX_REASON_BYTES = 123
PING_FRAME = b"\x89\x00"

_FINAL = 0x80
_MEDIUM, _LARGE = struct.Struct("!BBH"), struct.Struct("!BBQ")
_CODE = struct.Struct("!H")
_REGISTERED = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
_UTF8 = codecs.getincrementaldecoder("utf-8")


class Closing(NamedTuple):
    """Why a WebSocket ends."""

    code: int
    reason: str


def make_frame(payload: bytes, is_text: bool) -> bytes:
    """Return a whole message as one frame. It is not masked, so it suits every client."""
    return _frame(TEXT if is_text else BINARY, payload)


def make_pong(payload: bytes) -> bytes:
    """Return the answer to a ping with ``payload``, of at most 125 bytes."""
    return _frame(PONG, payload)


def make_close(code: int, reason: str) -> bytes:
    """Return a close frame; the reason is cut to what fits. ``NO_CODE`` makes an empty one.

    Raises ``ValueError`` for a code that must not be sent.
    """
    if code == NO_CODE:
        return _frame(CLOSE, b"")
    if not is_sendable(code):
        raise ValueError(f"{code} is not a close code that may be sent")
    text = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES]
    return _frame(CLOSE, _CODE.pack(code) + text.decode("utf-8", "ignore").encode())


def is_sendable(code: int) -> bool:
    """Whether a close frame may carry ``code`` (RFC 6455, 7.4, and its IANA registry)."""
    return code in _REGISTERED or 3000 <= code <= 4999


def parse_close(payload: bytes | bytearray) -> Closing:
    """Return what a client's close frame says. Raises ``ValueError`` if it must not say that,
    ``UnicodeDecodeError`` among them."""
    if not payload:
        return Closing(NO_CODE, "")
    if len(payload) == 1:
        raise ValueError("half a close code")
    (code,) = _CODE.unpack_from(payload)
    if not is_sendable(code):
        raise ValueError("a close code that must not be sent")
    return Closing(code, payload[2:].decode("utf-8"))


def is_utf8(data: bytes) -> bool:
    """Whether ``data`` may be a text message."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class Fragments:
    """The beginning of a message that comes in several frames."""

    __slots__ = ("_data", "_decoder", "is_text")

    def __init__(self, *, is_text: bool) -> None:
        self.is_text = is_text
        self._data = bytearray()
        self._decoder = _UTF8() if is_text else None

    def __len__(self) -> int:
        return len(self._data)

    def add(self, payload: bytes | bytearray, *, is_last: bool) -> bool:
        """Add one frame's payload; return False if the text so far cannot become UTF-8."""
        self._data += payload
        if self._decoder is None:
            return True
        try:
            self._decoder.decode(payload, is_last)
        except UnicodeDecodeError:
            return False
        return True

    def joined(self) -> bytes:
        """Return the message as far as it came."""
        return bytes(self._data)


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((_FINAL | opcode, size)) + payload
    if size < 65536:
        return _MEDIUM.pack(_FINAL | opcode, 126, size) + payload
    return _LARGE.pack(_FINAL | opcode, 127, size) + payload
