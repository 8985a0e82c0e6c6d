"""What requests to the inspector say about a workflow, in JSON or msgpack, as frames carry it."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from stator.runtime.errors import InvalidRequest, StateNotSerializable
from stator.runtime.exact_form import encode_exact
from stator.runtime.protocol.json_dialect import decode_json
from stator.runtime.workflow_control import Verb, VerbArguments

_MEMBERS: dict[Verb, tuple[str, ...]] = {
    Verb.FORK: ("from", "key"),
    Verb.RESOLVE: ("promise", "key", "value"),
}
"""What the body of a verb may hold; names of the key, then the value."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(VerbArguments).decode


def check_arguments(body: bytes) -> bytes:
    """Return a body in msgpack as it is. Raises ``actor.invalid_request``."""
    if body:
        try:
            _decode(body)
        except ValueError as error:
            raise InvalidRequest(f"the body is not what a verb takes: {error}") from error
    return body


def read_arguments(verb: Verb, body: bytes) -> bytes:
    """Return the msgpack of what a body in JSON says. Raises ``actor.invalid_request``.

    Members that nobody asked for are refused: a misspelt one must not be ignored.
    """
    members = read_object(body)
    allowed = _MEMBERS.get(verb, ())
    if unknown := sorted(members.keys() - set(allowed)):
        raise InvalidRequest(f"{verb.name.lower()} takes no '{unknown[0][:60]}'")
    names = [name for name in allowed if name != "value" and name in members]
    if len(names) > 1:
        raise InvalidRequest(f"give '{names[0]}' or '{names[1]}', not both")
    key = text_of(members, names[0]) if names else ""
    try:
        value = encode_exact(members.get("value"))
    except StateNotSerializable as error:
        raise InvalidRequest("the value cannot be stored") from error
    return _encode(VerbArguments(key, value))


def read_entry_id(body: bytes) -> bytes:
    """Return the msgpack of what the body of a replay says. Raises ``actor.invalid_request``."""
    return _encode(VerbArguments(text_of(read_object(body), "entryId")))


def read_object(body: bytes) -> dict[str, Any]:
    """Return the members of a body, none without one. Raises ``actor.invalid_request``."""
    value: object = decode_json(body) if body else {}
    if not isinstance(value, dict):
        raise InvalidRequest("Invalid inspector JSON body: it is no object")
    return cast(dict[str, Any], value)


def text_of(members: dict[str, Any], name: str) -> str:
    """Return a member that is text, empty if it is not there or null."""
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"Invalid inspector JSON body: '{name}' is no text")
    return value or ""
