"""The messages of the realtime benchmark, in each encoding, as the official client sends them."""

from __future__ import annotations

from stator.runtime.protocol.bare import COMMON_VERSION
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    Event,
    Init,
    SubscriptionRequest,
    ToClient,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.to_client import encode_to_client
from stator.runtime.protocol.to_server import encode_to_server

from .frames import BINARY, TEXT, client_frame

VERSION = 4
"""Of BARE messages."""
FIRST_ID = 1000
"""Ids of calls begin here, so that all of them take as many bytes."""
EVENT = "news"
_TAGS = {ActionResponse: b"ActionResponse", Event: b"Event", Init: b"Init"}
_BARE_HEAD = 3
"""Bytes of a BARE message up to and with the tag of its union."""


def opcode_of(encoding: Encoding) -> int:
    """Return the opcode messages of an encoding travel with (client-protocol, 7.2)."""
    return TEXT if encoding is Encoding.JSON else BINARY


def calls(encoding: Encoding, action: str, args: list[object], count: int) -> list[bytes]:
    """Return frames that call an action, equal but for their ids and all of one size."""
    payloads = call_payloads(encoding, action, args, count)
    return [client_frame(payload, opcode_of(encoding)) for payload in payloads]


def call_payloads(encoding: Encoding, action: str, args: list[object], count: int) -> list[bytes]:
    """Return the messages of these frames; their ids follow one another from :data:`FIRST_ID`."""
    return [
        encode_to_server(encoding, VERSION, ActionRequest(FIRST_ID + number, action, args))
        for number in range(count)
    ]


def id_of(message: bytes) -> int:
    """Return the id of a call in BARE, or of the answer to one: a number of two bytes.

    It comes at the same place in both, so that reading either is the same work.
    """
    return message[_BARE_HEAD] & 0x7F | message[_BARE_HEAD + 1] << 7


def subscription(encoding: Encoding) -> bytes:
    """Return the frame that subscribes to :data:`EVENT`."""
    message = encode_to_server(encoding, VERSION, SubscriptionRequest(EVENT, True))
    return client_frame(message, opcode_of(encoding))


def init(encoding: Encoding) -> bytes:
    """Return a first message of a server, as long as a real one."""
    return encode_to_client(encoding, COMMON_VERSION, Init("a" * 30, "c" * 36))


def event(encoding: Encoding, text: str) -> bytes:
    """Return a message that brings an event."""
    return encode_to_client(encoding, VERSION, Event(EVENT, [text]))


def answer(encoding: Encoding) -> bytes:
    """Return a message that answers a call."""
    return encode_to_client(encoding, VERSION, ActionResponse(FIRST_ID, 1))


def beginning_of(encoding: Encoding, kind: type[Init | ActionResponse | Event]) -> bytes:
    """Return what every message of a kind begins with and no other does."""
    samples: dict[type, ToClient] = {
        Init: Init("", ""),
        ActionResponse: ActionResponse(FIRST_ID, 1),
        Event: Event(EVENT, []),
    }
    version = COMMON_VERSION if kind is Init else VERSION  # the client's own is not known yet
    message = encode_to_client(encoding, version, samples[kind])
    if encoding is Encoding.BARE:
        return message[:_BARE_HEAD]
    return message[: message.index(_TAGS[kind]) + len(_TAGS[kind])]


def beginning_of_echo(encoding: Encoding, action: str) -> bytes:
    """Return what the echo of a call begins with."""
    message = encode_to_server(encoding, VERSION, ActionRequest(FIRST_ID, action, []))
    if encoding is Encoding.BARE:
        return message[:_BARE_HEAD]
    return message[: message.index(b"ActionRequest") + len(b"ActionRequest")]
