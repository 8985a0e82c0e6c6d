"""BARE: the binary frame around CBOR values (client-protocol, 11.1).

Rule 1. Every message starts with its version, two bytes, and is answered in the same version.
Rule 2. A reader refuses what a writer would not write: lengths beyond the end, numbers that are
        not minimal, booleans other than 0 and 1, text that is not UTF-8, bytes after the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..errors import InvalidRequest

VERSIONS = range(1, 5)
QUEUE_VERSIONS = range(3, 5)
"""Queue messages exist since version 3 (client-protocol, 11.2)."""
COMMON_VERSION = 3
"""The newest version that both client families, 2.1 and 2.3, understand (12.4)."""
LATEST_VERSION = 4

_MAX_UINT_BYTES = 10
_MAX_UINT = 2**64 - 1

_BYTES = [bytes((number,)) for number in range(256)]
_VERSION_BYTES = [number.to_bytes(2, "little") for number in range(16)]

T = TypeVar("T")


class Reader:
    """Reads one message from its start; every method raises ``InvalidRequest`` (rule 2)."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise InvalidRequest("The BARE message is truncated.")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def version(self, accepted: range = VERSIONS) -> int:
        """Read the version of the message, one of ``accepted``."""
        version = int.from_bytes(self._take(2), "little")
        if not accepted.start <= version < accepted.stop:
            allowed = f"{accepted[0]} to {accepted[-1]}"
            raise InvalidRequest(f"BARE version {version} is not supported, only {allowed}.")
        return version

    def uint(self) -> int:
        """Read a variable-length unsigned integer of at most 64 bits."""
        at = self._at
        if at < len(self._data) and (value := self._data[at]) < 0x80:  # most are one byte
            self._at = at + 1
            return value
        value = 0
        for position in range(_MAX_UINT_BYTES):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                if (byte == 0 and position) or value > _MAX_UINT:
                    break
                return value
        raise InvalidRequest("A BARE integer is not minimal or wider than 64 bits.")

    def u64(self) -> int:
        """Read an unsigned integer of eight bytes."""
        return int.from_bytes(self._take(8), "little")

    def boolean(self) -> bool:
        """Read a byte that is 0 or 1."""
        byte = self._take(1)[0]
        if byte > 1:
            raise InvalidRequest(f"A BARE boolean must be 0 or 1, not {byte}.")
        return byte == 1

    def blob(self) -> bytes:
        """Read bytes with their length before them."""
        size = self.uint()
        start = self._at
        self._at = end = start + size
        if end > len(self._data):
            raise InvalidRequest("The BARE message is truncated.")
        return self._data[start:end]

    def text(self) -> str:
        """Read UTF-8 with its length before it."""
        try:
            return self.blob().decode()
        except UnicodeDecodeError:
            raise InvalidRequest("A BARE string is not UTF-8.") from None

    def optional(self, read: Callable[[], T]) -> T | None:
        """Read a presence byte and, if it is 1, what ``read`` reads."""
        return read() if self.boolean() else None

    def end(self) -> None:
        """Refuse bytes after the message."""
        if self._at != len(self._data):
            raise InvalidRequest("There are bytes after the BARE message.")


def version(number: int) -> bytes:
    """Write the version a message starts with."""
    return _VERSION_BYTES[number]


def uint(number: int) -> bytes:
    """Write a variable-length unsigned integer."""
    if number < 0x80:
        return _BYTES[number]
    if number < 0x4000:
        return _BYTES[number & 0x7F | 0x80] + _BYTES[number >> 7]
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def u64(number: int) -> bytes:
    """Write an unsigned integer in eight bytes."""
    return number.to_bytes(8, "little")


def boolean(flag: bool) -> bytes:
    """Write a byte that is 0 or 1."""
    return b"\x01" if flag else b"\x00"


def blob(data: bytes) -> bytes:
    """Write bytes with their length before them."""
    return uint(len(data)) + data


def text(string: str) -> bytes:
    """Write UTF-8 with its length before it; a lone surrogate becomes a question mark."""
    return blob(string.encode(errors="replace"))


def optional(written: bytes | None) -> bytes:
    """Write a presence byte and, if there is something, the thing."""
    return b"\x00" if written is None else b"\x01" + written
