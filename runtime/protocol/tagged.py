"""Tagged arrays: how JSON, and CBOR inside BARE 4, carry what JSON has no word for.

    ["$BigInt","5"]  ["$Uint8Array","AQI="]  ["$ArrayBuffer","AQI="]  ["$Undefined",0]
    ["$Set",[...]]   ["$$x",v] for the plain array ["$x",v]

Rule 1. Any other two-element array that starts with a ``$`` string makes the whole message
        invalid (client-protocol, 4.1).
Rule 2. ``undefined`` becomes ``None``, both kinds of bytes become ``bytes``.
Rule 3. What goes into a set is frozen: list to tuple, dict to frozendict, set to frozenset.
Rule 4. The array inside ``$Set`` is a list of members, never itself a tagged array.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cbor2 import frozendict

from ..errors import InvalidRequest
from .kinds import kind_of
from .wording import excerpt

_DECIMAL = re.compile(r"-?[0-9]+")
_CONTAINERS = frozenset({list, dict})


def is_pair(items: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a peer would read ``items`` as a tagged array."""
    return len(items) == 2 and isinstance(items[0], str) and items[0].startswith("$")


def escaped(items: list[Any]) -> list[Any]:
    """Return ``items`` so that a peer reads the plain array; changes it in place."""
    if is_pair(items):
        items[0] = "$" + items[0]
    return items


def tag_integer(number: int) -> list[Any]:
    """Carry an integer as a BigInt; ``ValueError`` above Python's limit of 4300 digits."""
    return ["$BigInt", str(number)]


def tag_bytes(data: bytes) -> list[Any]:
    """Carry bytes as a Uint8Array."""
    return ["$Uint8Array", b2a_base64(data, newline=False).decode()]


def tag_set(members: list[Any]) -> list[Any]:
    """Carry a set; only BARE 4 may use it (client-protocol, 12.4)."""
    return ["$Set", members]


def freeze(value: Any) -> Any:
    """Return a hashable form of a decoded value (rule 3)."""
    kind = kind_of(value)
    if kind is list:
        return tuple([freeze(item) for item in value])
    if kind is dict:
        return frozendict({key: freeze(item) for key, item in value.items()})
    return frozenset(value) if kind is set else value


def read_pair(items: Any, walk: Callable[[Any], Any]) -> Any:
    """Return the value of a tagged array; ``walk`` decodes what is inside (rules 1 and 4)."""
    tag, payload = items
    kind = kind_of(payload)
    if tag == "$Set" and kind in (list, tuple):
        return {freeze(walk(member)) for member in payload}
    payload = walk(payload)
    read = _READERS.get(tag)
    if read is not None:
        return read(payload)
    if tag.startswith("$$"):
        return [tag[1:], payload]
    raise InvalidRequest(f'Unknown tag "{excerpt(tag)}" in an array of two.')


def revive(value: Any) -> Any:
    """Return decoded JSON with its tagged arrays read; changes lists and dicts in place."""
    kind = kind_of(value)
    if kind is list:
        if is_pair(value):
            return read_pair(value, revive)
        for index, item in enumerate(value):
            if type(item) in _CONTAINERS:
                value[index] = revive(item)
    elif kind is dict:
        for key, item in value.items():
            if type(item) in _CONTAINERS:
                value[key] = revive(item)
    return value


def _read_integer(payload: Any) -> int:
    if isinstance(payload, str) and _DECIMAL.fullmatch(payload):
        try:
            return int(payload)
        except ValueError:
            raise InvalidRequest("A $BigInt has too many digits.") from None
    raise InvalidRequest("A $BigInt must be a decimal number in a string.")


def _read_bytes(payload: Any) -> bytes:
    if isinstance(payload, str):
        with suppress(ValueError):  # the same refusal as for what is no string at all
            return a2b_base64(payload, strict_mode=True)
    raise InvalidRequest("A $Uint8Array or $ArrayBuffer must be padded standard base64.")


def _read_undefined(_payload: Any) -> None:
    return None


def _read_set(_payload: Any) -> set[Any]:
    raise InvalidRequest("A $Set must hold an array.")


_READERS: dict[str, Callable[[Any], Any]] = {
    "$BigInt": _read_integer,
    "$Uint8Array": _read_bytes,
    "$ArrayBuffer": _read_bytes,
    "$Undefined": _read_undefined,
    "$Set": _read_set,
}
