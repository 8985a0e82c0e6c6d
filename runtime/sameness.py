"""Whether a value that was read back is the one that was stored: equal, and of equal types.

Python's ``==`` does not say so: ``1 == True == 1.0``, a set equals a frozenset, an enum member
the text it stands for, and noon in London one o'clock in Paris. Containers of atoms, which most
of a state is, are compared in bulk.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from .protocol.kinds import kind_of

_ATOMS = frozenset({type(None), bool, int, str, bytes})


def is_same(before: Any, after: Any) -> bool:
    """Whether two values are equal, types and UTC offsets included, however deep; NaN is NaN."""
    kind = kind_of(before)
    if kind is not kind_of(after):
        return False
    if kind in _ATOMS:
        return bool(before == after)
    if kind is dict:
        return _are_same(list(before), list(after)) and _are_same(
            list(before.values()), list(after.values())
        )
    if issubclass(kind, (list, tuple)):
        return _are_same(before, after)
    comparison = _COMPARISONS.get(kind)
    if comparison is not None:
        return comparison(before, after)
    if issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind):
        names = _fields_of(kind)
        return _are_same([getattr(before, n) for n in names], [getattr(after, n) for n in names])
    return bool(before == after)


def _are_same(before: Sequence[Any], after: Sequence[Any]) -> bool:
    kinds = list(map(kind_of, before))
    if kinds != list(map(kind_of, after)):
        return False
    if _ATOMS.issuperset(kinds):
        return before == after
    return all(map(is_same, before, after))


def _is_same_number(before: float, after: float) -> bool:
    return before == after or (math.isnan(before) and math.isnan(after))


def _is_same_moment(before: dt.datetime | dt.time, after: dt.datetime | dt.time) -> bool:
    return before == after and before.utcoffset() == after.utcoffset()


def _is_same_decimal(before: decimal.Decimal, after: decimal.Decimal) -> bool:
    return str(before) == str(after)  # a signalling NaN cannot be compared


def _is_same_set(before: frozenset[Any], after: frozenset[Any]) -> bool:
    if before != after:
        return False
    kinds = set(map(kind_of, before))
    if len(kinds) <= 1 and kinds <= _ATOMS and kinds == set(map(kind_of, after)):
        return True
    found = {item: item for item in after}
    return all(is_same(item, found[item]) for item in before)


_COMPARISONS: dict[type[Any], Callable[[Any, Any], bool]] = {
    float: _is_same_number,
    dt.datetime: _is_same_moment,
    dt.time: _is_same_moment,
    decimal.Decimal: _is_same_decimal,
    set: _is_same_set,
    frozenset: _is_same_set,
}


def _fields_of(kind: Any) -> Sequence[str]:
    if issubclass(kind, msgspec.Struct):
        names: tuple[str, ...] = kind.__struct_fields__
        return names
    return [field.name for field in dataclasses.fields(kind)]


def first_difference(before: Any, after: Any, path: str) -> str:
    """Say where and how ``after`` is not the same as ``before``, for two values that are not."""
    if kind_of(before) is not kind_of(after):
        return (
            f"{path} is a {kind_of(before).__qualname__} and would come back as a "
            f"{kind_of(after).__qualname__}; annotate the state so that its type is known"
        )
    inner, others = list(_parts_of(before, path)), list(_parts_of(after, path))
    if len(inner) != len(others):
        return f"{path} would not come back whole"
    for (place, part), (_, other) in zip(inner, others, strict=True):
        if not is_same(part, other):
            return first_difference(part, other, place)
    return f"{path} would change its value"


def _parts_of(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    kind = kind_of(value)
    if kind is dict:
        for key, item in value.items():
            yield f"a key of {path}", key
            yield f"{path}[{key!r}]", item
    elif issubclass(kind, (list, tuple)):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    elif kind in (set, frozenset):
        # Equal items of two sets have equal hashes and, sorted by them, equal places.
        for item in sorted(value, key=hash):
            yield f"an item of {path}", item
    elif issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind):
        for name in _fields_of(kind):
            yield f"{path}.{name}", getattr(value, name)
