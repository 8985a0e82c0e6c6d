"""The form of frames on a link.

On the wire a frame is::

    u32 length of what follows | u32 length of the header | header (msgpack) | payload
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct as Layout

import msgspec

from .frames import AnyFrame

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Larger than any body or message the limits allow (client-protocol, 10.1)."""

_PREFIX = Layout("<II")
"""The header may be long: it holds an actor's input, up to ``limits.max_input_size``."""
_LENGTH_BYTES = 4

_encode_header = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(AnyFrame).decode


class LinkProtocolError(Exception):
    """The other end of a link sent something that is not a frame (rule 4)."""


def encode_frame(header: AnyFrame, payload: bytes = b"") -> bytes:
    """Return the bytes of one frame."""
    head = _encode_header(header)
    size = _LENGTH_BYTES + len(head) + len(payload)
    if size > MAX_FRAME_BYTES:
        raise LinkProtocolError(f"a frame of {size} bytes is larger than {MAX_FRAME_BYTES}")
    return _PREFIX.pack(size, len(head)) + head + payload


class FrameDecoder:
    """Cuts a byte stream into frames. Feed it whatever arrives; it keeps the incomplete rest.

    The pieces of a large frame are joined once, when the last of them is there.
    """

    __slots__ = ("_missing", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._missing = 0
        """How many more bytes there must be before looking at the pieces is of use."""

    def feed(self, data: bytes) -> Iterator[tuple[AnyFrame, bytes]]:
        """Yield the frames that ``data`` completes. Raises :class:`LinkProtocolError`."""
        if self._pieces:
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        start, end = 0, len(data)
        stop = _PREFIX.size
        while stop <= end:
            size, head_size = _PREFIX.unpack_from(data, start)
            if size > MAX_FRAME_BYTES or head_size + _LENGTH_BYTES > size:
                raise LinkProtocolError(f"impossible frame: {size} bytes, header {head_size}")
            stop = start + _LENGTH_BYTES + size
            if stop > end:
                break
            head_start = start + _PREFIX.size
            body_start = head_start + head_size
            try:
                header = _decode_header(data[head_start:body_start])
            except (ValueError, RecursionError) as error:
                raise LinkProtocolError(f"unreadable frame header: {error}") from error
            yield header, data[body_start:stop]
            start = stop
            stop = start + _PREFIX.size
        if start < end:
            self._pieces.append(data[start:] if start else data)
            self._missing = stop - end
