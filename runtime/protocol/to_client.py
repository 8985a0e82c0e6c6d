"""What a server sends on a connection: Init, answers, errors, events (client-protocol, 7.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..error_views import ErrorView
from ..errors import InvalidRequest
from . import bare
from .connection import (
    ActionResponse,
    ErrorMessage,
    Event,
    Init,
    ToClient,
    big_integer,
    call_id,
    object_member,
    unwrap,
    wrap,
)
from .encoding import Encoding
from .envelope import decode_bare_value, encode_value, raw_value, text_member
from .error_bodies import (
    ActorSpecifier,
    actor_members,
    bare_actor,
    bare_error,
    encode_metadata,
    read_actor,
    wire_text,
)
from .kinds import is_array
from .wording import excerpt

_STATUS = 500
"""Of errors on a connection, which carry none."""


def encode_to_client(encoding: Encoding, version: int, message: ToClient) -> bytes:
    """Encode a message of a server.

    Raises ``OutputNotSerializable`` with a path from ``output`` or ``args``; an error never
    fails (see :mod:`error_bodies`, rule 3).
    """
    if encoding is Encoding.BARE:
        return bare.version(version) + _FIELD_WRITERS[type(message)](version, message)
    tag, members = _MEMBER_WRITERS[type(message)](encoding, message)
    if encoding is Encoding.JSON:
        members = dict(sorted(members.items()))
    return wrap(encoding, tag, members)


_JSON_RESPONSE = '{"body":{"tag":"ActionResponse","val":{"id":["$BigInt","%d"],"output":'
_CBOR_RESPONSE = b"\xa1\x64body\xa2\x63tag\x6eActionResponse\x63val\xa2\x62id\x1b%b\x66output%b"


def encode_response(encoding: Encoding, version: int, call: int, output: object) -> bytes:
    """Encode :class:`ActionResponse` as :func:`encode_to_client` does, without making one.

    Most messages of a server are this one. Raises ``OutputNotSerializable`` from ``output``.
    """
    value = encode_value(encoding, version, output, "output", to_client=True)
    if encoding is Encoding.BARE:
        return bare.version(version) + b"\x02" + bare.uint(call) + bare.blob(value)
    if encoding is Encoding.JSON:
        return (_JSON_RESPONSE % call).encode() + value + b"}}}"
    return _CBOR_RESPONSE % (call.to_bytes(8, "big"), value)


def _write_init(version: int, message: Init) -> bytes:
    fields = b"\x00" + bare.text(message.actor_id) + bare.text(message.connection_id)
    return fields + bare.text(message.connection_token or "") if version == 1 else fields


def _write_error(version: int, message: ErrorMessage) -> bytes:
    metadata = encode_metadata(Encoding.BARE, version, message.error)
    number = None if message.action_id is None else bare.uint(message.action_id)
    fields = bare_error(message.error, metadata) + bare.optional(number)
    return b"\x01" + fields + bare_actor(version, message.actor)


def _write_response(version: int, message: ActionResponse) -> bytes:
    output = encode_value(Encoding.BARE, version, message.output, "output", to_client=True)
    return b"\x02" + bare.uint(message.id) + bare.blob(output)


def _write_event(version: int, message: Event) -> bytes:
    args = encode_value(Encoding.BARE, version, message.args, "args", to_client=True)
    return b"\x03" + bare.text(message.name) + bare.blob(args)


_Members = tuple[str, dict[str, Any]]


def _init_members(_encoding: Encoding, message: Init) -> _Members:
    return "Init", {"actorId": message.actor_id, "connectionId": message.connection_id}


def _error_members(encoding: Encoding, message: ErrorMessage) -> _Members:
    error = message.error
    members: dict[str, Any] = {
        "group": wire_text(error.group),
        "code": wire_text(error.code),
        "message": wire_text(error.message),
    }
    metadata = encode_metadata(encoding, 0, error)
    if metadata is not None:
        members["metadata"] = msgspec.Raw(metadata)
    if message.actor is not None:
        members["actor"] = actor = actor_members(message.actor)
        if encoding is not Encoding.JSON:  # captured so; in JSON it is a plain number
            actor["generation"] = big_integer(encoding, message.actor.generation)
    number = message.action_id
    members["actionId"] = None if number is None else big_integer(encoding, number)
    return "Error", members


def _response_members(encoding: Encoding, message: ActionResponse) -> _Members:
    output = raw_value(encoding, message.output, "output", to_client=True)
    return "ActionResponse", {"id": big_integer(encoding, message.id), "output": output}


def _event_members(encoding: Encoding, message: Event) -> _Members:
    args = raw_value(encoding, message.args, "args", to_client=True)
    return "Event", {"name": message.name, "args": args}


_FIELD_WRITERS: dict[type, Callable[[int, Any], bytes]] = {
    Init: _write_init,
    ErrorMessage: _write_error,
    ActionResponse: _write_response,
    Event: _write_event,
}
_MEMBER_WRITERS: dict[type, Callable[[Encoding, Any], _Members]] = {
    Init: _init_members,
    ErrorMessage: _error_members,
    ActionResponse: _response_members,
    Event: _event_members,
}


def decode_to_client(encoding: Encoding, data: bytes) -> tuple[ToClient, int]:
    """Return the message and, for BARE, the version it came in, else 0.

    Raises ``InvalidRequest``, whatever the bytes; a client drops such a message (7.3).
    """
    if encoding is Encoding.BARE:
        reader = bare.Reader(data)
        version = reader.version()
        read_fields = _FIELD_READERS.get(tag := reader.uint())
        if read_fields is None:
            raise InvalidRequest(f"Unknown message tag {tag}.")
        message = read_fields(reader, version)
        reader.end()
        return message, version
    name, members = unwrap(encoding, data, at_client=True)
    read_members = _MEMBER_READERS.get(name)
    if read_members is None:
        raise InvalidRequest(f'Unknown message tag "{excerpt(name)}".')
    return read_members(members), 0


def _read_init(reader: bare.Reader, version: int) -> Init:
    actor_id, connection_id = reader.text(), reader.text()
    return Init(actor_id, connection_id, reader.text() if version == 1 else None)


def _read_error(reader: bare.Reader, version: int) -> ErrorMessage:
    group, code, message = reader.text(), reader.text(), reader.text()
    data = reader.optional(reader.blob)
    number = reader.optional(reader.uint)
    actor = read_actor(reader, version)
    metadata = None if data is None else decode_bare_value(version, data)
    return ErrorMessage(ErrorView(group, code, message, metadata, _STATUS), number, actor)


def _read_response(reader: bare.Reader, version: int) -> ActionResponse:
    return ActionResponse(reader.uint(), decode_bare_value(version, reader.blob()))


def _read_event(reader: bare.Reader, version: int) -> Event:
    return Event(reader.text(), _event_args(decode_bare_value(version, reader.blob())))


def _event_args(value: Any) -> list[Any]:
    if not is_array(value):
        raise InvalidRequest('"args" of an event must be an array.')
    return value


def _init_from(members: dict[str, Any]) -> Init:
    return Init(text_member(members, "actorId"), text_member(members, "connectionId"))


def _error_from(members: dict[str, Any]) -> ErrorMessage:
    group, code, message = (text_member(members, name) for name in ("group", "code", "message"))
    number = members.get("actionId")
    view = ErrorView(group, code, message, members.get("metadata"), _STATUS)
    return ErrorMessage(view, None if number is None else call_id(number), _actor_from(members))


def _actor_from(members: dict[str, Any]) -> ActorSpecifier | None:
    if members.get("actor") is None:
        return None
    actor = object_member(members, "actor")
    key = None if actor.get("key") is None else text_member(actor, "key")
    return ActorSpecifier(text_member(actor, "actorId"), call_id(actor.get("generation")), key)


def _response_from(members: dict[str, Any]) -> ActionResponse:
    if "output" not in members:
        raise InvalidRequest('The answer has no "output".')
    return ActionResponse(call_id(members.get("id")), members["output"])


def _event_from(members: dict[str, Any]) -> Event:
    return Event(text_member(members, "name"), _event_args(members.get("args")))


_FIELD_READERS: dict[int, Callable[[bare.Reader, int], ToClient]] = {
    0: _read_init,
    1: _read_error,
    2: _read_response,
    3: _read_event,
}
_MEMBER_READERS: dict[str, Callable[[dict[str, Any]], ToClient]] = {
    "Init": _init_from,
    "Error": _error_from,
    "ActionResponse": _response_from,
    "Event": _event_from,
}
