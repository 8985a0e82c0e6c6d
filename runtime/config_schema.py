"""What each setting accepts, in words, read off the types of ``config``.

Error messages, ``configs/reference.toml`` and ``docs/reference/configuration.md`` all use these
words, so a limit is written down once. Only the supervisor needs this.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import inspect

from .config import Config

_SHOWN_LENGTH = 80


class Setting(NamedTuple):
    """One key of one section."""

    section: str
    key: str
    type: Any
    """The annotation, as msgspec takes it."""
    default: Any
    expected: str
    """What it accepts: ``an integer from 1 to 64``."""
    is_text: bool
    """Every value it accepts is a string."""
    is_path: bool
    is_secret: bool

    @property
    def name(self) -> str:
        """``server.port``: as in messages and ``--set``."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """``STATOR_SERVER__PORT``: the environment variable that overrides it."""
        return f"STATOR_{self.section}__{self.key}".upper()


@cache
def settings() -> dict[str, Setting]:
    """Return every setting by its name, in the order of the structs."""
    found = [
        _setting(section.name, field)
        for section in msgspec.structs.fields(Config)
        for field in msgspec.structs.fields(section.type)
    ]
    return {setting.name: setting for setting in found}


@cache
def section_names() -> tuple[str, ...]:
    """Return the sections in the order of the file."""
    return Config.__struct_fields__


def _setting(section: str, field: msgspec.structs.FieldInfo) -> Setting:
    described = inspect.type_info(field.type)
    notes = _notes(described)
    return Setting(
        section,
        field.name,
        field.type,
        field.default,
        expected=_expected(described),
        is_text=_is_text(described),
        is_path="path" in notes,
        is_secret="secret" in notes,
    )


def shown(value: object) -> str:
    """Return ``value`` the way a user would write it, cut to one short line."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 3] + "..."


def _notes(described: inspect.Type) -> dict[str, Any]:
    """Return what ``Meta(extra=...)`` says: ``unit``, ``path``, ``secret``."""
    return cast("Any", described).extra or {} if isinstance(described, inspect.Metadata) else {}


def _is_text(described: inspect.Type) -> bool:
    if isinstance(described, inspect.Metadata):
        return _is_text(described.type)
    if isinstance(described, inspect.LiteralType):
        return all(isinstance(value, str) for value in described.values)
    return isinstance(described, inspect.StrType)


def _expected(described: inspect.Type, unit: str = "") -> str:
    if isinstance(described, inspect.Metadata):
        schema: dict[str, str] = cast("Any", described).extra_json_schema or {}
        unit = _notes(described).get("unit", "")
        return schema.get("description") or _expected(described.type, unit)
    return _WORDS[type(described)](described, unit)


def _range(described: inspect.IntType | inspect.FloatType, unit: str) -> str:
    noun = "an integer" if isinstance(described, inspect.IntType) else "a number"
    if unit:
        noun = f"a whole number of {unit}" if noun == "an integer" else f"a number of {unit}"
    return f"{noun} from {described.ge} to {described.le}"


def _one_of(described: inspect.LiteralType, unit: str) -> str:
    *first, last = map(shown, described.values)
    return f"{', '.join(first)} or {last}" if first else last


def _either(described: inspect.UnionType, unit: str) -> str:
    return " or ".join(_expected(member, unit) for member in described.types)


def _list(described: inspect.VarTupleType, unit: str) -> str:
    size = " that is not empty" if described.min_length else ""
    return f"a list{size}, each item {_expected(described.item_type)}"


_WORDS: dict[type[inspect.Type], Callable[[Any, str], str]] = {
    inspect.IntType: _range,
    inspect.FloatType: _range,
    inspect.LiteralType: _one_of,
    inspect.UnionType: _either,
    inspect.VarTupleType: _list,
    inspect.StrType: lambda described, unit: "a string",
    inspect.BoolType: lambda described, unit: "true or false",
}
