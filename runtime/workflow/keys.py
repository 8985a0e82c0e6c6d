"""Keys of a workflow's entries: where in its code something was asked for.

Rule 1. A key is the names of the scopes around an entry and its own, joined by ``/``.
Rule 2. Turn ``n`` of a loop is the segment ``~n`` after the loop's key: ``orders/~12/charge``.
Rule 3. No two places share a key (workflow page, section 13, no. 18): in a name ``/``, ``%`` and
        a ``~`` or ``=`` at its beginning are written as ``%2F``, ``%25``, ``%7E`` and ``%3D``.
        Other characters stay. So what begins with ``=`` is free for what has no place in the code.
"""

from __future__ import annotations

from ..percent_encoding import percent_decode

TURN = "~"
"""What the segment of a turn begins with."""
_MARKS = (TURN, "=")


def escape(name: str) -> str:
    """Return the segment of a name (rule 3). Raises ``ValueError`` for an empty name."""
    if not name:
        raise ValueError("a name in a workflow is not empty")
    if not name.isascii():
        _check_storable(name)
    if "%" in name:
        name = name.replace("%", "%25")
    if "/" in name:
        name = name.replace("/", "%2F")
    return f"%{ord(name[0]):X}{name[1:]}" if name[0] in _MARKS else name


def _check_storable(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a name in a workflow is text that can be stored: {error}") from error


def join(scope: str, name: str) -> str:
    """Return the key of ``name`` in a scope; the empty scope is the workflow's own.

    Raises ``ValueError`` for an empty name.
    """
    return f"{scope}/{escape(name)}" if scope else escape(name)


def turn_key(loop: str, number: int) -> str:
    """Return the key of a turn of the loop with the key ``loop`` (rule 2)."""
    return f"{loop}/{TURN}{number}"


def is_within(key: str, scope: str) -> bool:
    """Whether ``key`` is inside ``scope``; all are in the empty one, none in itself."""
    return key.startswith(scope + "/") if scope else key != ""


def turn_of(key: str, loop: str) -> int | None:
    """Return the turn of ``loop`` that ``key`` is, or is in; ``None`` if it is in none."""
    beginning = f"{loop}/{TURN}"
    if not key.startswith(beginning):
        return None
    number = key[len(beginning) :].partition("/")[0]
    return int(number) if _is_number(number) else None


def innermost_turn(key: str) -> str | None:
    """Return the key of the turn that ``key`` is directly in, not of a turn it is itself."""
    around = key.rpartition("/")[0]
    while around:
        before, _, segment = around.rpartition("/")
        if before and _is_turn(segment):
            return around
        around = before
    return None


def last_name(key: str) -> str:
    """Return the last segment of a key; :func:`show` makes the name of it that was given."""
    return key.rpartition("/")[2]


def show(key: str) -> str:
    """Return a key or segment for people: names as they were given, joined by ``/``."""
    return percent_decode(key)


def _is_turn(segment: str) -> bool:
    return segment[:1] == TURN and _is_number(segment[1:])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
