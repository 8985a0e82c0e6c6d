"""Parameters of statements: what SQLite can store, checked before anything runs.

Rule 1. ``None``, bool, int of 64 bits, float, str, bytes and their subclasses (an ``IntEnum`` is
        its number). Everything else is refused, and no error shows a value.
Rule 2. By position or by name. One dict as the only argument is by name; its keys may have SQL's
        prefix (``":a"``) or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stator.runtime.database_errors import InvalidBindParameter

Value = int | float | str | bytes | None
Bindings = tuple[Value, ...] | dict[str, Value]

_AS_THEY_ARE = frozenset({type(None), bool, float, str, bytes})
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1


def bind(args: tuple[Any, ...], named: dict[str, Any]) -> Bindings | None:
    """Return what :meth:`execute` was given, or ``None`` if that was nothing."""
    if named:
        if args:
            raise InvalidBindParameter("give parameters by position or by name, not both")
        return _by_name(named)
    if not args:
        return None
    if len(args) == 1 and issubclass(type(args[0]), dict):
        return _by_name(args[0])
    return _by_position(args)


def bind_many(rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> list[Bindings]:
    """Return what :meth:`executemany` was given."""
    return [_bind_row(number, row) for number, row in enumerate(rows)]


def _bind_row(number: int, row: Any) -> Bindings:
    if issubclass(type(row), Mapping):
        return _by_name(row)
    if issubclass(type(row), str | bytes) or not issubclass(type(row), Iterable):
        kind = type(row).__name__
        raise InvalidBindParameter(f"row {number} is a sequence or a mapping, not {kind}")
    return _by_position(tuple(row))


def _by_position(args: tuple[Any, ...]) -> tuple[Value, ...]:
    for value in args:
        if type(value) not in _AS_THEY_ARE:
            break
    else:
        return args
    return tuple([_stored(value, place) for place, value in enumerate(args, 1)])


def _by_name(named: Mapping[Any, Any]) -> dict[str, Value]:
    bound: dict[str, Value] = {}
    for name, value in named.items():
        if not isinstance(name, str) or not name:
            raise InvalidBindParameter(f"a parameter's name is text, not {type(name).__name__}")
        bare = name[1:] if name[0] in ":@$" else name
        bound[bare] = _stored(value, name)
    return bound


def _stored(value: Any, parameter: int | str) -> Value:
    if type(value) in _AS_THEY_ARE:
        return value  # type: ignore[no-any-return]
    if isinstance(value, int):
        if not _SMALLEST <= value <= _LARGEST:
            raise InvalidBindParameter(
                f"parameter {parameter} is an int of more than 64 bits; store it as text",
                metadata={"parameter": parameter, "type": "int"},
            )
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)  # an enum's own text is not its value
    if isinstance(value, bytes):
        return bytes(value)
    raise _refusal(value, parameter)


def _refusal(value: object, parameter: int | str) -> InvalidBindParameter:
    kind = type(value).__name__
    advice = ""
    if isinstance(value, list | tuple) and parameter == 1:
        advice = "; give parameters one by one: execute(sql, a, b)"
    return InvalidBindParameter(
        f"parameter {parameter} is {kind}: SQLite stores None, bool, int, float, str and bytes"
        + advice,
        metadata={"parameter": parameter, "type": kind},
    )
