"""One level of a record as members: what msgspec would write, with the values untouched.

``msgspec.to_builtins`` would do the whole tree at once and turn sets into lists on the way, so
records are opened here one level at a time and the walk of :mod:`lowering` goes on inside.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import FieldInfo


@lru_cache(maxsize=1024)
def _fields(kind: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _is_default(field: FieldInfo, value: Any) -> bool:
    """Msgspec's own rule for ``omit_defaults``: the same object, or a fresh empty container."""
    if field.default is not msgspec.NODEFAULT:
        return value is field.default
    factory = field.default_factory
    return factory in (list, dict, set) and type(value) is factory and not value


def struct_members(record: msgspec.Struct) -> dict[str, Any] | list[Any]:
    """Return the members of a Struct as its configuration says (renames, tag, array form)."""
    config = record.__struct_config__
    fields = _fields(type(record))
    if config.array_like:
        head = [] if config.tag is None else [config.tag]
        return head + [getattr(record, field.name) for field in fields]
    members: dict[str, Any] = {}
    if config.tag_field is not None:
        members[config.tag_field] = config.tag
    for field in fields:
        value = getattr(record, field.name)
        if value is msgspec.UNSET or (config.omit_defaults and _is_default(field, value)):
            continue
        members[field.encode_name] = value
    return members


def dataclass_members(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that are set."""
    members = {field.name: getattr(record, field.name, msgspec.UNSET) for field in _of(record)}
    return {name: value for name, value in members.items() if value is not msgspec.UNSET}


def _of(record: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(record)


def is_dataclass_instance(value: object) -> bool:
    """Whether ``value`` is an instance (not the class) of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
