"""The CBOR tags a peer may send, and the refusal of all others (client-protocol, 4.2).

cbor2 knows two dozen tags by itself. Some of them are dangerous from a stranger: shared values
build cycles, a bigfloat of ten bytes needs gigabytes, a regular expression is code. So every tag
is decided here; what is not in a table is refused, and a test walks through all numbers.

A reader gets the decoded content and whether the place demands something hashable (a map key, a
member of a set).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from struct import Struct as Layout
from struct import error as LayoutError
from typing import Any, NoReturn

from cbor2 import CBORTag, frozendict

from .kinds import kind_of

TagReader = Callable[[Any, bool], Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_INTEGER_BYTES = 1785
"""4299 digits: one more byte, and Python refuses to show the integer in a log or in JSON."""

_BUILT_IN = (4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 260, 261, 1004, 43000)
"""What cbor2 reads by itself and a peer never sends: fractions, string and value references,
expressions, MIME, UUIDs, addresses, dates, complex numbers."""

_TYPED_ARRAYS = {
    65: ">H",
    66: ">I",
    67: ">Q",
    68: "<B",
    69: "<H",
    70: "<I",
    71: "<Q",
    72: "<b",
    73: ">h",
    74: ">i",
    75: ">q",
    77: "<h",
    78: "<i",
    79: "<q",
    80: ">e",
    81: ">f",
    82: ">d",
    84: "<e",
    85: "<f",
    86: "<d",
}
"""RFC 8746: byte order and type of each; 64 is bytes, 83 and 87 are wider than any Python float."""


def refuse_tag(tag: CBORTag, _frozen: bool) -> NoReturn:
    """The hook for tags neither cbor2 nor a table knows."""
    raise ValueError(f"tag {tag.tag} is not supported")


def _refusal(number: int) -> TagReader:
    return lambda _content, frozen: refuse_tag(CBORTag(number, None), frozen)


def _read_utc(content: Any, _frozen: bool) -> datetime:
    moment = datetime.fromisoformat(content)
    if moment.tzinfo is None:
        raise ValueError("a datetime needs an offset from UTC")
    return moment.astimezone(UTC)


def _read_moment(content: Any, _frozen: bool) -> datetime:
    return datetime.fromisoformat(content)


def _read_epoch(content: Any, _frozen: bool) -> datetime:
    if isinstance(content, bool) or not isinstance(content, (int, float)):
        raise ValueError("an epoch time must be a number")
    return EPOCH + timedelta(seconds=content)


def _magnitude(content: Any) -> int:
    if not isinstance(content, bytes) or len(content) > MAX_INTEGER_BYTES:
        raise ValueError("a bignum must be a byte string of moderate length")
    return int.from_bytes(content, "big")


def _read_positive(content: Any, _frozen: bool) -> int:
    return _magnitude(content)


def _read_negative(content: Any, _frozen: bool) -> int:
    return -1 - _magnitude(content)


def _read_bytes(content: Any, _frozen: bool) -> bytes:
    if not isinstance(content, bytes):
        raise ValueError("a typed array must be a byte string")
    return content


def _numbers(form: str) -> TagReader:
    order, kind = form[0], form[1]
    width = Layout(form).size

    def read(content: Any, frozen: bool) -> Any:
        data = _read_bytes(content, frozen)
        try:
            numbers = Layout(f"{order}{len(data) // width}{kind}").unpack(data)
        except LayoutError:
            raise ValueError("a typed array has a broken length") from None
        return numbers if frozen else list(numbers)

    return read


def _read_map(content: Any, _frozen: bool) -> Any:
    kind = kind_of(content)
    if kind not in (dict, frozendict):
        raise ValueError("tag 259 must hold a map")
    return content


NATIVE_READERS: dict[int, TagReader] = {
    0: _read_moment,
    **{number: _refusal(number) for number in _BUILT_IN},
}
"""What stator's own encoding needs beyond cbor2's bignums and sets."""

PEER_READERS: dict[int, TagReader] = {
    **NATIVE_READERS,
    0: _read_utc,
    1: _read_epoch,
    2: _read_positive,
    3: _read_negative,
    64: _read_bytes,
    **{number: _numbers(form) for number, form in _TYPED_ARRAYS.items()},
    259: _read_map,
}
"""What a JavaScript peer may send; sets (258) are read by cbor2."""
