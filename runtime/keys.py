"""Actor keys: a tuple of strings and its serialised form.

The serialised form (client-protocol, 2.4) identifies an actor in the control API, in storage and
in logs. The form in ``rvt-key`` URL parameters is a plain comma join without escapes and cannot
be told apart from other keys in some cases (3.3); :func:`split_query_key` copies the peer's rule.
"""

from __future__ import annotations

from collections.abc import Sequence

Key = tuple[str, ...]

EMPTY_KEY = "/"
EMPTY_PART = "\\0"


def serialize_key(key: Sequence[str]) -> str:
    """Return the serialised form: parts joined by ``/``, escaped by ``\\``."""
    if not key:
        return EMPTY_KEY
    return "/".join(_escape(part) for part in key)


def _escape(part: str) -> str:
    if not part:
        return EMPTY_PART
    if "\\" not in part and "/" not in part:
        return part
    return part.replace("\\", "\\\\").replace("/", "\\/")


def deserialize_key(text: str | None) -> Key:
    """Return the key of a serialised form; never fails: a lone trailing ``\\`` is literal."""
    if not text or text == EMPTY_KEY:
        return ()
    if "\\" not in text:
        return tuple(text.split("/"))
    parts: list[str] = []
    part: list[str] = []
    characters = iter(text)
    for character in characters:
        if character == "/":
            parts.append("".join(part))
            part = []
        elif character != "\\":
            part.append(character)
        else:
            escaped = next(characters, None)
            if escaped is None:
                part.append("\\")
            elif escaped != "0":
                part.append(escaped)
    parts.append("".join(part))
    return tuple(parts)


def split_query_key(text: str | None) -> Key:
    """Return the key of an ``rvt-key`` parameter; absent or empty means no parts (3.3)."""
    return tuple(text.split(",")) if text else ()


def normalize_key(key: str | Sequence[str] | None) -> Key:
    """Return the key a user wrote: a string is a one-part key, ``None`` the empty key."""
    if key is None:
        return ()
    return (key,) if isinstance(key, str) else tuple(key)
