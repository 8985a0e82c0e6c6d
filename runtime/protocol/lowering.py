"""From what actor code returns to what a codec can write, with the path of what cannot be.

Rule 1. A :class:`Dialect` says how a format carries the five kinds of value that JavaScript
        sees differently; the walk over containers and records is the same for all formats.
Rule 2. Most values need no walk: :func:`is_plain` proves by exact types that a codec writes
        them right as they are, and costs less than copying them.
Rule 3. For JavaScript object keys are text: numbers, booleans and ``None`` become their JSON
        text. Anything else, and two keys that are written alike, cannot be sent.
Rule 4. Records (Structs, dataclasses), enums, UUIDs, decimals, dates and attrs classes are
        written as ``msgspec.to_builtins`` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from ..database import Row
from ..errors import OutputNotSerializable
from ..views import unwrap
from . import tagged
from .expand import dataclass_members, is_dataclass_instance, struct_members
from .kinds import kind_of


class Dialect(NamedTuple):
    """How one format carries what is not plain (rule 1)."""

    integer: Callable[[int], Any]
    binary: Callable[[bytes], Any]
    moment: Callable[[datetime], Any]
    members: Callable[[list[Any]], Any]
    """Of a set."""
    key: Callable[[Any], Any]
    """Of an object: :func:`text_key` or :func:`native_key`."""
    escapes: bool
    """Whether the reader takes ``["$x", v]`` for a tagged array."""
    safe: int
    """Integers strictly between ``-safe`` and ``safe`` are plain."""


_ATOMS = frozenset({str, bool, float, type(None)})


def is_plain(value: Any, safe: int) -> bool:
    """Whether every codec writes ``value`` right without a walk (rule 2)."""
    kind = kind_of(value)
    if kind in _ATOMS:
        return True
    if kind is int:
        return bool(-safe < value < safe)
    if kind is list:
        if len(value) == 2 and tagged.is_pair(value):
            return False
        for item in value:
            if type(item) in _ATOMS:
                continue
            if not is_plain(item, safe):
                return False
        return True
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                return False
            if type(item) not in _ATOMS and not is_plain(item, safe):
                return False
        return True
    return False


def lowered(value: Any, dialect: Dialect, root: str) -> Any:
    """Return ``value`` in the terms of ``dialect``.

    Raises :class:`OutputNotSerializable` naming the path from ``root``, e.g. ``output["a"][0]``.
    """
    try:
        return _lower(value, dialect)
    except _CannotBeSent as problem:
        path = root + "".join(reversed(problem.steps))
        raise OutputNotSerializable(f"{path}: {problem.reason}") from None
    except RecursionError:
        raise OutputNotSerializable(f"{root} contains itself or is nested too deeply") from None


class _CannotBeSent(Exception):
    """What stands in the way, and the steps to it, the innermost first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str] = []


def _lower(value: Any, dialect: Dialect) -> Any:
    return _EXACT.get(kind_of(value), _lower_other)(value, dialect)


def _same(value: Any, _dialect: Dialect) -> Any:
    return value


def _text(value: str, _dialect: Dialect) -> str:
    return _encodable(value)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _CannotBeSent("text with a lone surrogate cannot be sent") from None
    return str.__str__(text)


def _integer(value: int, dialect: Dialect) -> Any:
    try:
        return dialect.integer(int(value))
    except ValueError:
        raise _CannotBeSent("the integer has too many digits") from None


def _float(value: float, _dialect: Dialect) -> float:
    return float(value)


def _binary(value: Any, dialect: Dialect) -> Any:
    return dialect.binary(bytes(value))


def _moment(value: datetime, dialect: Dialect) -> Any:
    try:
        return dialect.moment(value)
    except OverflowError:
        raise _CannotBeSent("the datetime has no UTC form") from None


def _array(items: Sequence[Any], dialect: Dialect) -> list[Any]:
    lowered_items = _each(items, dialect)
    return tagged.escaped(lowered_items) if dialect.escapes else lowered_items


def _set(items: Set[Any], dialect: Dialect) -> Any:
    return dialect.members(_each(items, dialect))


def _each(items: Sequence[Any] | Set[Any], dialect: Dialect) -> list[Any]:
    result: list[Any] = []
    try:
        for item in items:
            result.append(_lower(item, dialect))
    except _CannotBeSent as problem:
        problem.steps.append(f"[{len(result)}]")
        raise
    return result


def _object(members: Mapping[Any, Any], dialect: Dialect) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    key = None
    try:
        for key, item in members.items():
            result[dialect.key(key)] = _lower(item, dialect)
    except _CannotBeSent as problem:
        problem.steps.append(f"[{_shown(key)}]")
        raise
    if len(result) != len(members):
        raise _CannotBeSent("two of its keys are written alike")
    return result


def text_key(key: Any) -> str:
    """Return an object key as text (rule 3); for the ``key`` of a dialect only."""
    if isinstance(key, Enum):
        return text_key(key.value)
    if isinstance(key, str):
        return _encodable(key)
    if key is None or isinstance(key, (bool, int, float)):
        try:
            return json.dumps(key)
        except ValueError:
            raise _CannotBeSent("the key has too many digits") from None
    raise _CannotBeSent(f"a key of type {type(key).__name__} cannot be sent")


def native_key(key: Any) -> Any:
    """Return an object key as it is; for the ``key`` of a dialect only."""
    if isinstance(key, Enum):
        return native_key(key.value)
    if isinstance(key, str):
        return _encodable(key)
    if key is None or isinstance(key, (bool, int, float, bytes)):
        return key
    if kind_of(key) is tuple:
        return tuple([native_key(part) for part in key])
    raise _CannotBeSent(f"a key of type {type(key).__name__} cannot be sent")


def _shown(key: Any) -> str:
    return json.dumps(str(key)[:80]) if isinstance(key, str) else type(key).__name__


def _lower_other(value: Any, dialect: Dialect) -> Any:
    """Lower a value of no exact builtin type: a subclass, a record, or what msgspec knows."""
    bare = unwrap(value)
    if bare is not value:
        return _lower(bare, dialect)
    for kind, lower in _KINDS:
        if isinstance(value, kind):
            return lower(value, dialect)
    if is_dataclass_instance(value):
        return _object(dataclass_members(value), dialect)
    try:
        builtin = msgspec.to_builtins(value, builtin_types=(bytes, bytearray, datetime))
    except (TypeError, ValueError):
        raise _CannotBeSent(f"a value of type {type(value).__name__} cannot be sent") from None
    return _lower(builtin, dialect)


def _enum(value: Enum, dialect: Dialect) -> Any:
    return _lower(value.value, dialect)


def _struct(record: msgspec.Struct, dialect: Dialect) -> Any:
    return _lower(struct_members(record), dialect)


def _row(row: Row, dialect: Dialect) -> Any:
    return _lower(dict(row), dialect)  # of columns with one name the last


_Lower = Callable[[Any, Dialect], Any]

_EXACT: dict[object, _Lower] = {
    type(None): _same,
    bool: _same,
    float: _same,
    str: _text,
    int: _integer,
    list: _array,
    tuple: _array,
    dict: _object,
    bytes: _binary,
    datetime: _moment,
    set: _set,
    frozenset: _set,
    Row: _row,
}

_KINDS: tuple[tuple[type | tuple[type, ...], _Lower], ...] = (
    (Enum, _enum),
    (str, _text),
    (int, _integer),
    (float, _float),
    ((bytes, bytearray, memoryview), _binary),
    (datetime, _moment),
    (msgspec.Struct, _struct),
    (Mapping, _object),
    (Set, _set),
    (Sequence, _array),
)
"""Subclasses, the narrower kind first: an ``IntEnum`` is an enum before it is a number."""
