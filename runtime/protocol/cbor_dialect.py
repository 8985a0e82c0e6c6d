"""Values in CBOR: four ways to write and three to read (client-protocol, 4.2, 4.3 and 12.4).

    ESCAPED   cbor mode, to a client: native forms, ``["$x", v]`` escaped since 2.3 revives it
    PLAIN     cbor mode from a client, and BARE 1-3 both ways: native forms, nothing escaped
    TAGGED    BARE 4 both ways, and actor input: tagged arrays where JSON would use them
    NATIVE    actor to actor: nothing is narrowed for JavaScript

Rule 1. A JavaScript number is 32 bits wide in CBOR or a float64; a 9-byte integer is a BigInt.
        So integers are written in 5 bytes, as float64 up to 2**53 - 1, and as BigInt beyond, and
        a whole float64 from 2**32 to 2**53 is read as an integer. NATIVE does neither.
Rule 2. ``undefined`` is read as ``None`` and never written; other simple values are refused.
Rule 3. A body is one item; depth is bounded by cbor2, declared lengths are never trusted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, NamedTuple

import msgspec
from cbor2 import (
    CBOREncoder,
    CBORError,
    CBORSimpleValue,
    CBORTag,
    dumps,
    frozendict,
    load,
    undefined,
)

from ..errors import InvalidRequest
from . import tagged
from .cbor_tags import EPOCH, MAX_INTEGER_BYTES, NATIVE_READERS, PEER_READERS, TagReader, refuse_tag
from .json_dialect import MAX_SAFE_INTEGER, date_text
from .kinds import kind_of
from .lowering import Dialect, is_plain, lowered, native_key, text_key
from .wording import refuse

_INT32 = 2**32
"""Five CBOR bytes hold -2**32 to 2**32 - 1."""


def _number(integer: int) -> Any:
    if -_INT32 <= integer < _INT32:
        return integer
    if abs(integer) <= MAX_SAFE_INTEGER:
        return float(integer)
    if integer.bit_length() > 8 * MAX_INTEGER_BYTES:
        raise ValueError("a peer of this protocol refuses so long an integer")
    return integer


def _tagged_number(integer: int) -> Any:
    number = _number(integer)
    return tagged.tag_integer(integer) if abs(number) > MAX_SAFE_INTEGER else number


def _epoch(moment: datetime) -> Any:
    """Tag 1; a whole number of seconds is an integer as long as JavaScript reads a number."""
    if moment.tzinfo is None:
        return date_text(moment)
    seconds = (moment.astimezone(UTC) - EPOCH).total_seconds()
    whole = seconds.is_integer() and abs(seconds) < _INT32
    return CBORTag(1, int(seconds) if whole else seconds)


def _any_moment(moment: datetime) -> CBORTag:
    return CBORTag(0, moment.isoformat())


def _native_set(members: list[Any]) -> CBORTag:
    return CBORTag(258, members)


def _uint8_array(data: bytes) -> CBORTag:
    return CBORTag(64, data)


ESCAPED = Dialect(
    integer=_number,
    binary=_uint8_array,
    moment=_epoch,
    members=_native_set,
    key=text_key,
    escapes=True,
    safe=_INT32,
)
PLAIN = ESCAPED._replace(escapes=False)
TAGGED = ESCAPED._replace(integer=_tagged_number, binary=tagged.tag_bytes, members=tagged.tag_set)
NATIVE = PLAIN._replace(integer=int, binary=bytes, moment=_any_moment, key=native_key)


def _splice(encoder: CBOREncoder, value: Any) -> None:
    """Write an ``msgspec.Raw`` as the bytes it holds, as msgspec does in JSON."""
    if not isinstance(value, msgspec.Raw):
        raise TypeError(f"{type(value).__name__} was not lowered")
    encoder.write(bytes(value))


def encode_plain(value: Any) -> bytes:
    """Encode what is lowered already; ``msgspec.Raw`` members are spliced in."""
    return dumps(value, default=_splice)


def encode_cbor(value: Any, dialect: Dialect, root: str) -> bytes:
    """Encode any value; raises ``OutputNotSerializable`` with the path from ``root``."""
    try:
        if is_plain(value, dialect.safe):
            return dumps(value)
    except (UnicodeEncodeError, RecursionError):
        pass  # the walk below meets the same problem and names its path
    return dumps(lowered(value, dialect, root))


class Reading(NamedTuple):
    """How decoded CBOR is turned into Python values."""

    tags: Mapping[int, TagReader]
    suspects: re.Pattern[bytes]
    """Finds a byte that may be the head of an item the walk must see; most bodies have none."""
    narrows: bool
    """Whether rule 1 holds."""
    revives: bool
    """Whether tagged arrays are read."""


_SIMPLE = rb"\xe0-\xf3\xf7\xf8"
_FLOATS = rb"\xfa\xfb"
READ_NATIVE = Reading(NATIVE_READERS, re.compile(rb"[" + _SIMPLE + rb"]"), False, False)
READ_PLAIN = Reading(PEER_READERS, re.compile(rb"[" + _SIMPLE + _FLOATS + rb"]"), True, False)
READ_TAGGED = Reading(PEER_READERS, re.compile(rb"[$" + _SIMPLE + _FLOATS + rb"]"), True, True)


def decode_cbor(data: bytes, reading: Reading) -> Any:
    """Decode exactly one CBOR item; raises ``InvalidRequest`` for anything else."""
    stream = BytesIO(data)
    try:
        value = load(stream, tag_hook=refuse_tag, semantic_decoders=reading.tags)
        if stream.tell() != len(data):
            raise InvalidRequest("There are bytes after the CBOR item.")
        if reading.suspects.search(data):
            return _settle(value, reading)
    except (CBORError, ValueError, TypeError, RecursionError) as error:
        raise refuse("The CBOR is not valid", error) from None
    return value


_SETTLED = frozenset({str, int, bool, type(None), bytes, datetime})


def _settle(value: Any, reading: Reading) -> Any:
    """Apply rules 1 and 2 and read tagged arrays; changes lists and dicts in place."""
    kind = kind_of(value)
    if kind in _SETTLED:
        return value
    if kind is float:
        return _whole(value) if reading.narrows else value
    if kind is list:
        return _settle_list(value, reading)
    if kind is dict:
        return _settle_dict(value, reading)
    if value is undefined:
        return None
    if kind is CBORSimpleValue:
        raise InvalidRequest(f"CBOR simple value {value.value} is not supported.")
    return _settle_frozen(value, reading)


def _whole(number: float) -> float:
    return int(number) if _INT32 <= abs(number) <= 2**53 and number.is_integer() else number


def _settle_list(items: list[Any], reading: Reading) -> Any:
    if reading.revives and tagged.is_pair(items):
        return tagged.read_pair(items, lambda item: _settle(item, reading))
    for index, item in enumerate(items):
        if type(item) not in _SETTLED:
            items[index] = _settle(item, reading)
    return items


def _settle_dict(members: dict[Any, Any], reading: Reading) -> Any:
    for key, item in members.items():
        if type(key) is not str:
            return {
                tagged.freeze(_settle(key, reading)): _settle(item, reading)
                for key, item in members.items()
            }
        if type(item) not in _SETTLED:
            members[key] = _settle(item, reading)
    return members


def _settle_frozen(value: Any, reading: Reading) -> Any:
    """Settle a set or what stands in one: a tuple, a frozen set or a frozen dict."""
    kind = kind_of(value)
    if kind is tuple:
        return tagged.freeze(_settle_list(list(value), reading))
    if kind is frozendict:
        return tagged.freeze(_settle_dict(dict(value), reading))
    settled = [tagged.freeze(_settle(item, reading)) for item in value]
    return frozenset(settled) if kind is frozenset else set(settled)
