"""How an actor's state becomes bytes, and how a change to it is noticed.

Rule 1. What comes back equals what went in, types included.
Rule 2. A change is noticed however deep it was made, with no call from the user: the state is
        encoded after every turn and compared with what was stored. For a 100-byte state that is
        0.3 microseconds, less than any proxy would cost, and it works for every type.
Rule 3. Nothing is stored that could not be loaded again: a new image is decoded before it is
        accepted.

There are two forms. The plain form is msgspec's msgpack, ten times faster than cbor2, which is
exact for *closed* types (every field annotated) and for ordinary JSON-like values. Where it would
lose a type (a set or tuple in an untyped place, an integer beyond 64 bits, a naive datetime) the
exact form keeps it with msgpack extension types. The first byte of an image says which it is.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
from msgspec import msgpack

from .errors import StateNotSerializable, StateUnreadable

PLAIN, EXACT = b"\x00", b"\x01"

_encode = msgpack.Encoder().encode
_NATIVE = (
    bytes,
    bytearray,
    dt.datetime,
    dt.date,
    dt.time,
    dt.timedelta,
    uuid.UUID,
    decimal.Decimal,
)


class StateCodec:
    """Encodes and decodes the values of one state type; ``Any`` for an untyped state."""

    __slots__ = ("_decode_plain", "is_closed", "type")

    def __init__(self, state_type: Any = Any) -> None:
        """Raises ``TypeError`` for a type that msgspec cannot decode."""
        self.type = state_type
        self.is_closed = _is_closed(state_type)
        self._decode_plain: Callable[[bytes], Any] = msgpack.Decoder(state_type).decode

    def encode_plain(self, value: object) -> bytes | None:
        """Return the plain form, or ``None`` for a value that only the exact form can hold."""
        try:
            return _encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return None

    def decode_plain(self, data: bytes) -> Any:
        """Decode the plain form. Raises ``msgspec.MsgspecError``."""
        return self._decode_plain(data)

    def encode_exact(self, value: object) -> bytes:
        """Return the image in exact form. Raises :class:`StateNotSerializable`."""
        try:
            image = EXACT + _encode(_to_exact(value, "state"))
            difference = _first_difference(value, self.decode(image), "state")
        except RecursionError as error:
            raise StateNotSerializable("state is nested too deeply or contains itself") from error
        except (StateUnreadable, OverflowError) as error:
            raise StateNotSerializable(f"the state cannot be stored: {error}") from error
        if difference is not None:
            raise StateNotSerializable(difference)
        return image

    def decode(self, image: bytes) -> Any:
        """Return the value of an image. Raises :class:`StateUnreadable`."""
        try:
            if image[:1] == PLAIN:
                return self._decode_plain(image[1:])
            loose = msgpack.decode(image[1:], ext_hook=_from_extension)
            if self.type is Any:
                return loose
            return msgspec.convert(loose, self.type, builtin_types=_NATIVE)
        except msgspec.MsgspecError as error:
            raise StateUnreadable(f"the stored state does not match its type: {error}") from error


class StateTracker:
    """Remembers what was last stored of one actor's state."""

    __slots__ = ("_codec", "_exact", "_plain", "_shadow")

    def __init__(self, codec: StateCodec) -> None:
        self._codec = codec
        self._plain: bytes | None = None
        self._exact: bytes | None = None
        self._shadow: Any = None

    def capture(self, value: object) -> bytes | None:
        """Return the image to store, or ``None`` if ``value`` is what was stored last.

        Raises :class:`StateNotSerializable`; what was stored last is then still remembered.
        """
        codec = self._codec
        plain = codec.encode_plain(value)
        if (
            plain is not None
            and plain == self._plain
            and (codec.is_closed or value == self._shadow)
        ):
            return None
        return self._accept(value, plain)

    def restore(self, image: bytes) -> Any:
        """Return the value of a stored image and remember it as stored."""
        value = self._codec.decode(image)
        self._plain = self._codec.encode_plain(value)
        self._exact = None if image[:1] == PLAIN else image
        self._shadow = None if self._codec.is_closed else self._codec.decode(image)
        return value

    def last_value(self) -> Any:
        """Return a fresh copy of what was stored last."""
        return self._codec.decode(self._exact or PLAIN + (self._plain or b"\xc0"))

    def _accept(self, value: object, plain: bytes | None) -> bytes | None:
        codec = self._codec
        image = None
        shadow: Any = None
        if plain is not None:
            try:
                shadow = codec.decode_plain(plain)
            except msgspec.MsgspecError as error:
                raise StateNotSerializable(_explain(error)) from error
            if codec.is_closed or shadow == value:
                image = PLAIN + plain
        if image is None:
            image = codec.encode_exact(value)
            if image == self._exact:
                return None
            shadow = codec.decode(image)
        self._plain = plain
        self._exact = None if image[:1] == PLAIN else image
        self._shadow = None if codec.is_closed else shadow
        return image


def _explain(error: msgspec.MsgspecError) -> str:
    return f"the state no longer matches its type: {error}".replace("`$.", "`state.")


# ------------------------------------------------------------------- which types are closed


def _is_closed(state_type: Any) -> bool:
    """Whether the plain form of every value of the type decodes to an equal value."""
    try:
        info = msgspec.inspect.type_info(state_type)
    except TypeError as error:
        raise TypeError(f"{state_type!r} cannot be a state type: {error}") from error
    return _is_closed_info(info, set())


def _is_closed_info(info: Any, seen: set[Any]) -> bool:
    if isinstance(info, (msgspec.inspect.AnyType, msgspec.inspect.CustomType)):
        return False
    if isinstance(info, (msgspec.inspect.RawType, msgspec.inspect.ExtType)):
        return False
    cls = getattr(info, "cls", None)
    if cls is not None:
        if cls in seen:
            return True
        seen.add(cls)
    return all(_is_closed_info(part, seen) for part in _parts_of(info))


def _parts_of(info: Any) -> list[Any]:
    parts: list[Any] = [
        part
        for name in ("item_type", "key_type", "value_type", "type")
        if isinstance(part := getattr(info, name, None), msgspec.inspect.Type)
    ]
    for name in ("item_types", "types"):
        parts.extend(getattr(info, name, ()))
    fields = getattr(info, "fields", ())
    parts.extend(field.type for field in fields)
    return parts


# ------------------------------------------------------------------------- the exact form

_EXTENSIONS: dict[type, tuple[int, Callable[[Any], bytes]]] = {
    set: (1, lambda value: _encode(sorted(map(_pack, value)))),
    frozenset: (2, lambda value: _encode(sorted(map(_pack, value)))),
    tuple: (3, lambda value: _encode([_pack(item) for item in value])),
    int: (4, lambda value: hex(value).encode()),
    dt.datetime: (5, lambda value: value.isoformat().encode()),
    dt.date: (6, lambda value: value.isoformat().encode()),
    dt.time: (7, lambda value: value.isoformat().encode()),
    dt.timedelta: (8, lambda value: _encode([value.days, value.seconds, value.microseconds])),
    uuid.UUID: (9, lambda value: value.bytes),
    decimal.Decimal: (10, lambda value: str(value).encode()),
}

_CONSTRUCTORS: dict[int, Callable[[bytes], Any]] = {
    1: lambda data: set(map(_unpack, msgpack.decode(data))),
    2: lambda data: frozenset(map(_unpack, msgpack.decode(data))),
    3: lambda data: tuple(map(_unpack, msgpack.decode(data))),
    4: lambda data: _int_of(data.decode()),
    5: lambda data: dt.datetime.fromisoformat(data.decode()),
    6: lambda data: dt.date.fromisoformat(data.decode()),
    7: lambda data: dt.time.fromisoformat(data.decode()),
    8: lambda data: dt.timedelta(*msgpack.decode(data)),
    9: lambda data: uuid.UUID(bytes=data),
    10: lambda data: decimal.Decimal(data.decode()),
}

_SCALARS = frozenset({type(None), bool, float, str, bytes})


def _pack(value: object) -> bytes:
    return _encode(_to_exact(value, "state"))


def _unpack(data: bytes) -> Any:
    return msgpack.decode(data, ext_hook=_from_extension)


def _int_of(digits: str) -> int:
    # Our own image, so its length is bounded by what the actor stored: the interpreter's guard
    # against hostile digits does not apply. Base 16 has no such guard and is linear.
    return int(digits, 16)


def _from_extension(code: int, data: memoryview) -> Any:
    constructor = _CONSTRUCTORS.get(code)
    if constructor is None:
        raise StateUnreadable(f"unknown extension type {code}: written by a newer stator?")
    return constructor(bytes(data))


def _to_exact(value: Any, path: str) -> Any:
    """Return ``value`` with everything msgpack would not keep wrapped in extension types."""
    kind = value.__class__
    if kind in _SCALARS:
        return value
    if kind is int:
        return value if -(2**63) <= value < 2**64 else msgpack.Ext(4, hex(value).encode())
    if kind is dict:
        return {
            _to_exact_key(key, path): _to_exact(item, f"{path}[{key!r}]")
            for key, item in value.items()
        }
    if kind is list:
        return [_to_exact(item, f"{path}[{index}]") for index, item in enumerate(value)]
    extension = _EXTENSIONS.get(kind)
    if extension is not None:
        if kind in (set, frozenset, tuple):
            for item in value:
                _to_exact(item, f"an item of {path}")
        code, pack = extension
        return msgpack.Ext(code, pack(value))
    if isinstance(value, msgspec.Struct):
        return _struct_to_exact(value, path)
    if dataclasses.is_dataclass(value):
        return {
            field.name: _to_exact(getattr(value, field.name), f"{path}.{field.name}")
            for field in dataclasses.fields(value)
        }
    if isinstance(value, enum.Enum):
        return _to_exact(value.value, path)
    raise StateNotSerializable(f"{path} is a {kind.__qualname__}, which cannot be stored")


def _to_exact_key(key: Any, path: str) -> Any:
    if type(key) in (str, int, bytes, bool, float, type(None)):
        return key
    raise StateNotSerializable(
        f"a key of {path} is a {type(key).__qualname__}; keys are strings, numbers or bytes"
    )


def _struct_to_exact(value: msgspec.Struct, path: str) -> Any:
    config = value.__struct_config__
    items = {
        field.encode_name: _to_exact(getattr(value, field.name), f"{path}.{field.name}")
        for field in msgspec.structs.fields(value)
    }
    if config.tag is not None and config.tag_field is not None:
        items = {config.tag_field: config.tag, **items}
    return list(items.values()) if config.array_like else items


# ----------------------------------------------------------- what the exact form did not keep


def _first_difference(before: Any, after: Any, path: str) -> str | None:
    """Say where ``after``, the value read back, is not ``before``; ``None`` if nowhere."""
    if type(before) is not type(after):
        return (
            f"{path} is a {type(before).__qualname__} and would come back as a "
            f"{type(after).__qualname__}; annotate the state so that its type is known"
        )
    if isinstance(before, float):
        same = before == after or (math.isnan(before) and math.isnan(after))
        return None if same else f"{path} would change its value"
    children = _children_of(before)
    if children is None:
        return None if before == after else f"{path} would change its value"
    others = _children_of(after) or {}
    if children.keys() != others.keys():
        return f"{path} would not come back whole"
    for name, child in children.items():
        difference = _first_difference(child, others[name], f"{path}{name}")
        if difference is not None:
            return difference
    return None


def _children_of(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, dict):
        items = cast(dict[Any, Any], value)
        return {f"[{key!r}]": item for key, item in items.items()}
    if isinstance(value, (list, tuple)):
        return {f"[{index}]": item for index, item in enumerate(cast(list[Any], value))}
    if isinstance(value, msgspec.Struct):
        return {f".{name}": getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value):
        return {f".{field.name}": getattr(value, field.name) for field in dataclasses.fields(value)}
    return None
