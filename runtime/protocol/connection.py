"""Messages of a connection over WebSocket (client-protocol, 7.3 to 7.5 and 11.3).

In JSON and CBOR a message is ``{"body": {"tag": T, "val": {...}}}``, in BARE the version and a
union. One message is one frame: text for JSON, binary for the others (7.2).

Rule 1. Ids of calls are BigInts for the client: ``["$BigInt","0"]`` in JSON, always nine bytes
        in CBOR. As a short number the client would drop the answer and its call would hang.
Rule 2. ``Error.actionId`` is always there, null for an error of the whole connection.
Rule 3. Members come in the order of the real server: by name in JSON, as declared in CBOR.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..error_views import ErrorView
from ..errors import InvalidRequest
from . import bare, tagged
from .encoding import Encoding
from .envelope import decode_members, encode_members, text_member
from .error_bodies import ActorSpecifier
from .kinds import is_object

_MAX_ID = 2**64 - 1


class ActionRequest(msgspec.Struct, frozen=True):
    """The client calls an action."""

    id: int
    """Chosen by the client, 0 to 2**64 - 1; the answer repeats it."""
    name: str
    args: list[Any]


class SubscriptionRequest(msgspec.Struct, frozen=True):
    """The client begins or ends listening to an event."""

    event_name: str
    subscribe: bool


class Init(msgspec.Struct, frozen=True):
    """The first message of the server; it opens the connection."""

    actor_id: str
    connection_id: str
    connection_token: str | None = None
    """Only BARE version 1 has it."""


class ErrorMessage(msgspec.Struct, frozen=True):
    """A call, or with no ``action_id`` the whole connection, failed (7.5)."""

    error: ErrorView
    """Its status does not travel: a decoded one says 500."""
    action_id: int | None
    actor: ActorSpecifier | None = None


class ActionResponse(msgspec.Struct, frozen=True):
    """What the action returned."""

    id: int
    output: Any


class Event(msgspec.Struct, frozen=True):
    """An event the client subscribed to."""

    name: str
    args: list[Any]


ToServer = ActionRequest | SubscriptionRequest
ToClient = Init | ErrorMessage | ActionResponse | Event


def big_integer(encoding: Encoding, number: int) -> Any:
    """Return a number as a member that the client reads as a BigInt (rule 1)."""
    if encoding is Encoding.JSON:
        return tagged.tag_integer(number)
    return msgspec.Raw(b"\x1b" + bare.u64(number)[::-1])


def call_id(value: Any) -> int:
    """Return the id of a call; a plain number is accepted, as the real server does (7.4)."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_ID:
        raise InvalidRequest('"id" must be an integer from 0 to 2**64 - 1.')
    return value


def wrap(encoding: Encoding, tag: str, members: dict[str, Any]) -> bytes:
    """Encode a JSON or CBOR message."""
    return encode_members(encoding, {"body": {"tag": tag, "val": members}})


def unwrap(encoding: Encoding, data: bytes, *, at_client: bool) -> tuple[str, dict[str, Any]]:
    """Return tag and members of a JSON or CBOR message; raises ``InvalidRequest``."""
    body = object_member(decode_members(encoding, data, at_client=at_client), "body")
    return text_member(body, "tag"), object_member(body, "val")


def object_member(members: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a member that must be an object."""
    value = members.get(name)
    if not is_object(value):
        raise InvalidRequest(f'"{name}" must be an object.')
    return value
