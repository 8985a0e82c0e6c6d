"""The payload of an event: what ``broadcast`` and ``conn.send`` were given, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_origin

from .declarations import Event
from .errors import ValidationFailed
from .signature import convert_value


def resolve_event(
    declared: Mapping[str, Event[Any]], event: Event[Any] | str
) -> tuple[str, Event[Any] | None]:
    """Return the wire name of an event and its declaration, if the class has one."""
    if isinstance(event, str):
        return event, declared.get(event)
    return event.wire_name, event


def check_payload(event: Event[Any] | None, args: tuple[Any, ...]) -> list[Any]:
    """Return the arguments that listeners get (semantics page, section 6.4).

    ``Event[T]`` takes one argument of type ``T``, for a tuple type as many as it says;
    ``Event[None]`` none. Raises ``actor.validation_error``.
    """
    expected = Any if event is None else event.payload_type
    if event is None or expected is Any:
        return list(args)
    if get_origin(expected) is tuple or expected is tuple:
        return list(convert_value(list(args), expected, event.wire_name))
    if not args and expected in (None, type(None)):
        return []
    if len(args) != 1:
        raise ValidationFailed(
            f"event '{event.wire_name}' takes one argument, {len(args)} were given",
            metadata={"issues": [{"path": [], "message": "wrong number of arguments"}]},
        )
    return [convert_value(args[0], expected, event.wire_name)]
