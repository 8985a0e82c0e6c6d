"""The typed form of a value: records in untyped places, each with its class.

Rule 1. A typed form is msgpack of ``[classes, body]``: a table of references to classes with the
        names of their fields, and the exact form (``exact_form.py``) of the value in which
        what that cannot hold is a tuple that begins with :data:`MARK`.
Rule 2. After the mark comes a number, the class of a record in the table, followed by the values
        of its fields; or a letter: ``t`` a tuple that begins with the mark itself, ``d`` the pairs
        of a dict and ``s`` or ``f`` the items of a set or frozenset that hold records.
Rule 3. A record is a Struct, dataclass, attrs class, named tuple or enum that can be imported. It
        comes back without its ``__init__``, so it is what it was; fields that its class has got
        since have their defaults, and those that it has no more are left out.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import msgpack

from ..errors import StateNotSerializable
from ..exact_form import decode_exact, encode_exact
from ..protocol.kinds import kind_of
from ..views import unwrap
from .references import find, is_findable, reference_of

MARK = "\0stator"

_ATOMS = frozenset(
    {type(None), bool, int, float, str, bytes, dt.datetime, dt.date, dt.time, dt.timedelta}
    | {uuid.UUID, decimal.Decimal}
)
_Row = tuple[str, list[str]]
"""Reference to a class and the names of the fields that follow."""


def encode_typed(value: Any, path: str) -> bytes:
    """Return the typed form. Raises :class:`StateNotSerializable` naming the path."""
    writer = _Writer()
    body = encode_exact(writer.lower(value, path))
    return msgpack.encode((writer.table, body))


def decode_typed(data: bytes, *, loose: bool = False) -> Any:
    """Return the value of a typed form.

    ``loose`` makes dicts of records and looks for no classes. Raises ``LookupError`` for a class
    that is not there; bytes that are no typed form raise any kind of ``Exception``.
    """
    table, body = msgpack.decode(data, type=tuple[list[_Row], bytes])
    make = _LooseReader(table) if loose else _Reader(table)
    return make.lift(decode_exact(body))


# ------------------------------------------------------------------------------- writing


class _Writer:
    """Replaces records by marked tuples."""

    def __init__(self) -> None:
        self.table: list[_Row] = []
        self._places: dict[tuple[Any, ...], int] = {}

    def lower(self, value: Any, path: str) -> Any:
        kind = kind_of(value)
        if kind in _ATOMS:
            if kind is str and not value.isascii():
                _check_text(value, path)
            return value
        if kind is list:
            return self._items(value, path)
        if kind is tuple:
            items = self._items(value, path)
            return (MARK, "t", *items) if _is_marked(value) else tuple(items)
        if kind is dict:
            return self._dict(value, path)
        if kind is set or kind is frozenset:
            if all(kind_of(item) in _ATOMS for item in value):
                return value
            items = [self.lower(item, f"an item of {path}") for item in value]
            return (MARK, "s" if kind is set else "f", items)
        return self._record(unwrap(value), path)

    def _items(self, values: Sequence[Any], path: str) -> list[Any]:
        return [self.lower(item, f"{path}[{index}]") for index, item in enumerate(values)]

    def _dict(self, value: dict[Any, Any], path: str) -> Any:
        items = {key: self.lower(item, f"{path}[{key!r}]") for key, item in value.items()}
        if all(kind_of(key) in _ATOMS for key in items):
            return items
        place = f"a key of {path}"
        return (MARK, "d", [[self.lower(key, place), item] for key, item in items.items()])

    def _record(self, value: Any, path: str) -> Any:
        kind = kind_of(value)
        names = field_names(kind)
        if names is None:
            raise StateNotSerializable(f"{path} is a {kind.__qualname__}, which cannot be stored")
        if isinstance(value, enum.Enum):
            return (MARK, self._place(kind, (), path), self.lower(value.value, path))
        given = {name: _field_of(value, name, path) for name in names}
        given = {name: item for name, item in given.items() if item is not msgspec.UNSET}
        place = self._place(kind, tuple(given), path)
        return (
            MARK,
            place,
            *(self.lower(item, f"{path}.{name}") for name, item in given.items()),
        )

    def _place(self, kind: Any, names: tuple[str, ...], path: str) -> int:
        place = self._places.get((kind, names))
        if place is None:
            if not is_findable(kind):
                raise StateNotSerializable(
                    f"{path} is a {kind.__qualname__}, whose class cannot be imported: define it "
                    "at the top of a module"
                )
            place = self._places[kind, names] = len(self.table)
            self.table.append((reference_of(kind), list(names)))
        return place


def _is_marked(value: Any) -> bool:
    return bool(value) and kind_of(value[0]) is str and value[0] == MARK


def _check_text(value: str, path: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise StateNotSerializable(f"{path} holds half a surrogate pair: {error}") from error


def _field_of(record: Any, name: str, path: str) -> Any:
    try:
        return getattr(record, name)
    except AttributeError as error:
        raise StateNotSerializable(f"{path}.{name} has no value") from error


def field_names(kind: Any) -> Sequence[str] | None:
    """Return the names of the fields of a class of records, ``None`` for any other class."""
    if issubclass(kind, enum.Enum):
        return ()
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    attributes: Any = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return [field.name for field in attributes]
    names: Sequence[str] | None = getattr(kind, "__struct_fields__", None)
    return getattr(kind, "_fields", None) if names is None else names


# ------------------------------------------------------------------------------- reading


class _Reader:
    """Makes values of what a writer made."""

    def __init__(self, table: list[_Row]) -> None:
        self._table = table
        self._classes: list[Any] = [None] * len(table)

    def lift(self, value: Any) -> Any:
        kind = kind_of(value)
        if kind is list:
            return [self.lift(item) for item in value]
        if kind is dict:
            return {key: self.lift(item) for key, item in value.items()}
        if kind is not tuple:
            return value
        if not _is_marked(value):
            return tuple(self.lift(item) for item in value)
        tag, *parts = value[1:]
        items = [self.lift(part) for part in parts]
        return self.record(tag, items) if kind_of(tag) is int else _UNMARK[tag](items)

    def record(self, place: int, values: list[Any]) -> Any:
        reference, names = self._table[place]
        kind = self._classes[place]
        if kind is None:
            kind = self._classes[place] = find(reference)
            if not (isinstance(kind, type) and field_names(kind) is not None):
                raise LookupError(f"{reference} is no class of records any more")
        return _make_record(kind, names, values)


class _LooseReader(_Reader):
    """Makes dicts of records."""

    def record(self, place: int, values: list[Any]) -> Any:
        _, names = self._table[place]
        return dict(zip(names, values, strict=True)) if names else _only(values)


def _only(values: list[Any]) -> Any:
    return values[0] if values else {}  # an enum's value; a record without fields


def _hashed(make: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    def collect(items: list[Any]) -> Any:
        try:
            return make(items[0])
        except TypeError:
            return items[0]  # dicts, where records are read loosely

    return collect


_UNMARK: dict[str, Callable[[list[Any]], Any]] = {
    "t": tuple,
    "d": _hashed(dict),
    "s": _hashed(set),
    "f": _hashed(frozenset),
}


def _make_record(kind: Any, names: list[str], values: list[Any]) -> Any:
    if issubclass(kind, enum.Enum):
        return kind(values[0])
    has = field_names(kind) or ()
    given = {name: item for name, item in zip(names, values, strict=True) if name in has}
    if _is_made_by_call(kind):
        return kind(**given)
    new: Callable[[Any], Any] = object.__new__
    made = new(kind)
    for name, item in {**_defaults_of(made, given), **given}.items():
        object.__setattr__(made, name, item)
    return made


def _is_made_by_call(kind: Any) -> bool:
    return issubclass(kind, (msgspec.Struct, tuple))


def _defaults_of(record: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return what fields of a dataclass have that are not given, if they have a default."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(record) if dataclasses.is_dataclass(record) else ():
        if field.name not in given:
            if field.default is not dataclasses.MISSING:
                found[field.name] = field.default
            elif field.default_factory is not dataclasses.MISSING:
                found[field.name] = field.default_factory()
            else:
                name = kind_of(record).__qualname__
                raise LookupError(f"{name}.{field.name} was not stored")
    return found
