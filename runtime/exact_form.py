"""The exact form of a value: msgpack in which extension types keep what msgpack would lose.

Rule 1. ``None``, bool, float, str, bytes, integers of 64 bits, lists, and dicts whose keys are
        such scalars are written as msgpack writes them.
Rule 2. Everything else is an extension; its number is for ever. Nested values are msgpack again.
Rule 3. Records (Structs, dataclasses, named tuples) and enums are written as their fields and
        values: only the annotation of the state brings them back.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import msgpack

from .errors import StateNotSerializable, StateUnreadable
from .protocol.kinds import kind_of
from .views import unwrap

_encode = msgpack.Encoder().encode
_SCALARS = frozenset({type(None), bool, float, bytes})


def encode_exact(value: object) -> bytes:
    """Return the exact form. Raises :class:`StateNotSerializable` naming the path."""
    return _encode(_lowered(value, "state"))


def decode_exact(data: bytes | memoryview) -> Any:
    """Return the value of an exact form; records come back as dicts and lists (rule 3).

    Bytes that are no exact form raise any kind of ``Exception``.
    """
    return msgpack.decode(data, ext_hook=_from_extension)


def _pack_all(values: Iterable[Any], path: str) -> list[bytes]:
    place = f"an item of {path}"
    return [_encode(_lowered(value, place)) for value in values]


def _pack_pairs(value: dict[Any, Any], path: str) -> bytes:
    keys = [_encode(_lowered(key, f"a key of {path}")) for key in value]
    items = [_encode(_lowered(item, f"{path}[{key!r}]")) for key, item in value.items()]
    return _encode([keys, items])


def _iso_text(value: dt.date | dt.time, _: str) -> bytes:
    return value.isoformat().encode()


_EXTENSIONS: dict[type, tuple[int, Callable[[Any, str], bytes]]] = {
    set: (1, lambda value, path: _encode(sorted(_pack_all(value, path)))),
    frozenset: (2, lambda value, path: _encode(sorted(_pack_all(value, path)))),
    tuple: (3, lambda value, path: _encode(_pack_all(value, path))),
    int: (4, lambda value, _: hex(value).encode()),
    dt.datetime: (5, _iso_text),
    dt.date: (6, _iso_text),
    dt.time: (7, _iso_text),
    dt.timedelta: (8, lambda value, _: _encode([value.days, value.seconds, value.microseconds])),
    uuid.UUID: (9, lambda value, _: value.bytes),
    decimal.Decimal: (10, lambda value, _: str(value).encode()),
    dict: (11, _pack_pairs),
}


def _unpack_all(data: bytes) -> list[Any]:
    return [decode_exact(item) for item in msgpack.decode(data, type=list[bytes])]


def _unpack_set(data: bytes) -> Any:
    items = _unpack_all(data)
    try:
        return set(items)
    except TypeError:
        return items  # records: the annotation makes them hashable again (rule 3)


def _unpack_frozenset(data: bytes) -> Any:
    items = _unpack_all(data)
    try:
        return frozenset(items)
    except TypeError:
        return items  # as above


def _unpack_pairs(data: bytes) -> dict[Any, Any]:
    keys, items = msgpack.decode(data, type=tuple[list[bytes], list[bytes]])
    return dict(zip(map(decode_exact, keys), map(decode_exact, items), strict=True))


_CONSTRUCTORS: dict[int, Callable[[bytes], Any]] = {
    1: _unpack_set,
    2: _unpack_frozenset,
    3: lambda data: tuple(_unpack_all(data)),
    4: lambda data: int(data, 16),  # base 16 is linear and has no limit of digits
    5: lambda data: dt.datetime.fromisoformat(data.decode()),
    6: lambda data: dt.date.fromisoformat(data.decode()),
    7: lambda data: dt.time.fromisoformat(data.decode()),
    8: lambda data: dt.timedelta(*msgpack.decode(data, type=tuple[int, int, int])),
    9: lambda data: uuid.UUID(bytes=data),
    10: lambda data: decimal.Decimal(data.decode()),
    11: _unpack_pairs,
}


def _from_extension(code: int, data: memoryview) -> Any:
    constructor = _CONSTRUCTORS.get(code)
    if constructor is None:
        raise StateUnreadable(f"unknown extension type {code}: written by a newer stator?")
    return constructor(bytes(data))


def _is_msgpack_key(key: Any) -> bool:
    kind = kind_of(key)
    return kind in _SCALARS or kind is str or (kind is int and -(2**63) <= key < 2**64)


def _lowered(value: Any, path: str) -> Any:
    """Return ``value`` with everything msgpack would not keep wrapped in extension types."""
    kind = value.__class__
    if kind in _SCALARS:
        return value
    if kind is str:
        return _checked_text(value, path)
    if kind is int and -(2**63) <= value < 2**64:
        return value
    if kind is list:
        return [_lowered(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if kind is dict and all(map(_is_msgpack_key, value)):
        return {
            _lowered(key, f"a key of {path}"): _lowered(item, f"{path}[{key!r}]")
            for key, item in value.items()
        }
    extension = _EXTENSIONS.get(kind)
    if extension is not None:
        code, pack = extension
        return msgpack.Ext(code, pack(value, path))
    return _record_lowered(value, path)


def _checked_text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise StateNotSerializable(f"{path} holds half a surrogate pair: {error}") from error
    return value


def _record_lowered(value: Any, path: str) -> Any:
    value = unwrap(value)
    if isinstance(value, msgspec.Struct):
        return _struct_lowered(value, path)
    if dataclasses.is_dataclass(kind_of(value)):
        return {
            field.name: _lowered(_field_of(value, field.name, path), f"{path}.{field.name}")
            for field in dataclasses.fields(value)
        }
    if isinstance(value, enum.Enum):
        return _lowered(value.value, path)
    kind = kind_of(value)
    if hasattr(kind, "_fields") and issubclass(kind, tuple):
        return [_lowered(item, f"{path}[{index}]") for index, item in enumerate(value)]
    raise StateNotSerializable(f"{path} is a {kind.__qualname__}, which cannot be stored")


def _struct_lowered(value: msgspec.Struct, path: str) -> Any:
    config = value.__struct_config__
    given = {
        field.encode_name: (_field_of(value, field.name, path), f"{path}.{field.name}")
        for field in msgspec.structs.fields(value)
    }
    items = {
        name: _lowered(item, place)
        for name, (item, place) in given.items()
        if item is not msgspec.UNSET
    }
    if config.tag is not None and config.tag_field is not None:
        items = {config.tag_field: config.tag, **items}
    return list(items.values()) if config.array_like else items


def _field_of(record: Any, name: str, path: str) -> Any:
    try:
        return getattr(record, name)
    except AttributeError as error:
        raise StateNotSerializable(f"{path}.{name} has no value") from error
