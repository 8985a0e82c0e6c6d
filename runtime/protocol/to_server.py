"""What a client sends on a connection: calls and subscriptions (client-protocol, 7.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InvalidRequest
from . import bare
from .connection import (
    ActionRequest,
    SubscriptionRequest,
    ToServer,
    big_integer,
    call_id,
    unwrap,
    wrap,
)
from .encoding import Encoding
from .envelope import as_arguments, decode_bare_value, encode_value, raw_value, text_member
from .wording import excerpt


def encode_to_server(encoding: Encoding, version: int, message: ToServer) -> bytes:
    """Encode a message of a client; raises ``OutputNotSerializable`` with a path from ``args``."""
    if isinstance(message, ActionRequest):
        return _encode_call(encoding, version, message)
    if encoding is Encoding.BARE:
        name = bare.text(message.event_name)
        return bare.version(version) + b"\x01" + name + bare.boolean(message.subscribe)
    members = {"eventName": message.event_name, "subscribe": message.subscribe}
    return wrap(encoding, "SubscriptionRequest", members)


def _encode_call(encoding: Encoding, version: int, call: ActionRequest) -> bytes:
    if encoding is Encoding.BARE:
        args = encode_value(encoding, version, call.args, "args", to_client=False)
        head = bare.version(version) + b"\x00" + bare.uint(call.id)
        return head + bare.text(call.name) + bare.blob(args)
    members = {
        "id": big_integer(encoding, call.id),
        "name": call.name,
        "args": raw_value(encoding, call.args, "args", to_client=False),
    }
    return wrap(encoding, "ActionRequest", members)


def decode_to_server(encoding: Encoding, data: bytes) -> tuple[ToServer, int]:
    """Return the message and, for BARE, the version it came in, else 0.

    Raises ``InvalidRequest``, whatever the bytes.
    """
    if encoding is Encoding.BARE:
        if (call := _read_usual_call(data)) is not None:
            return call, data[0]
        reader = bare.Reader(data)
        version = reader.version()
        read_fields = _FIELDS.get(tag := reader.uint())
        if read_fields is None:
            raise InvalidRequest(f"Unknown message tag {tag}.")
        message = read_fields(reader, version)
        reader.end()
        return message, version
    name, members = unwrap(encoding, data, at_client=False)
    read_members = _MEMBERS.get(name)
    if read_members is None:
        raise InvalidRequest(f'Unknown message tag "{excerpt(name)}".')
    return read_members(members), 0


def _read_usual_call(data: bytes) -> ActionRequest | None:
    """Return the call of a message in BARE, as most are; ``None`` for anything that is not usual.

    It takes a quarter of the time of a reader, which stays the judge of everything else.
    """
    try:
        version, zero, tag, number, at = data[0], data[1], data[2], data[3], 4
        if zero or tag or version not in bare.VERSIONS:
            return None
        if number >= 0x80:
            high, at = data[4], 5
            if not 0 < high < 0x80:
                return None
            number = number & 0x7F | high << 7
        name_end = at + 1 + data[at]
        size, args_at = data[name_end], name_end + 1
    except IndexError:
        return None
    if data[at] >= 0x80 or size >= 0x80 or args_at + size != len(data):
        return None
    name = data[at + 1 : name_end]
    if not name.isascii():
        return None
    args = as_arguments(decode_bare_value(version, data[args_at:]))
    return ActionRequest(number, name.decode(), args)


def _call_fields(reader: bare.Reader, version: int) -> ActionRequest:
    number, name, args = reader.uint(), reader.text(), reader.blob()
    return ActionRequest(number, name, as_arguments(decode_bare_value(version, args)))


def _subscription_fields(reader: bare.Reader, _version: int) -> SubscriptionRequest:
    return SubscriptionRequest(reader.text(), reader.boolean())


def _call_members(members: dict[str, Any]) -> ActionRequest:
    args = as_arguments(members.get("args"))
    return ActionRequest(call_id(members.get("id")), text_member(members, "name"), args)


def _subscription_members(members: dict[str, Any]) -> SubscriptionRequest:
    subscribe = members.get("subscribe")
    if not isinstance(subscribe, bool):
        raise InvalidRequest('"subscribe" must be a boolean.')
    return SubscriptionRequest(text_member(members, "eventName"), subscribe)


_FIELDS: dict[int, Callable[[bare.Reader, int], ToServer]] = {
    0: _call_fields,
    1: _subscription_fields,
}
_MEMBERS: dict[str, Callable[[dict[str, Any]], ToServer]] = {
    "ActionRequest": _call_members,
    "SubscriptionRequest": _subscription_members,
}
