"""Values of actors for people: JSON that never fails (client-protocol, 4.1).

What JSON cannot say becomes its text, what cannot be read a line that says so: who looks for what
is wrong with a workflow has to see the rest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast

from stator.runtime.errors import OutputNotSerializable
from stator.runtime.protocol.cbor_dialect import READ_NATIVE, decode_cbor
from stator.runtime.protocol.json_dialect import JSON
from stator.runtime.protocol.lowering import lowered
from stator.runtime.workflow.values import decode_value

MAX_TEXT = 1000
"""How many characters stand for a value that JSON cannot say."""
MAX_DEPTH = 32
"""How deep the walk goes that finds out which part of a value it is."""


def shown(value: object) -> Any:
    """Return a value as JSON can say it, in the JSON of clients where that can."""
    return _shown(value, MAX_DEPTH)


def _shown(value: object, depth: int) -> Any:
    try:
        return lowered(value, JSON, "value")
    except OutputNotSerializable:
        pass  # a part of it stands in the way, the rest is shown
    if depth and isinstance(value, Mapping):
        members = cast(Mapping[object, object], value)
        return {_text_of(key): _shown(item, depth - 1) for key, item in members.items()}
    if depth and isinstance(value, list | tuple | AbstractSet):
        return [_shown(item, depth - 1) for item in cast(list[object], value)]
    return _text_of(value)


def _text_of(value: object) -> str:
    try:
        text = value if isinstance(value, str) else repr(value)
    except (RecursionError, ValueError):  # nested too deeply; an integer of very many digits
        text = type(value).__name__
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()


def shown_image(image: bytes | None) -> Any:
    """Return the value of an image (``runtime/workflow/values.py``); records are objects."""
    return _read(image, lambda data: decode_value(data, loose=True))


def shown_body(body: bytes) -> Any:
    """Return the body of a message, as its queue stored it."""
    return _read(body, lambda data: decode_cbor(data, READ_NATIVE))


def _read(data: bytes | None, decode: Callable[[bytes], Any]) -> Any:
    if data is None:
        return None
    try:
        value = decode(data)
    except Exception as error:  # a newer stator wrote it, or the file is damaged
        return f"(cannot be read: {_text_of(str(error))})"
    return shown(value)
