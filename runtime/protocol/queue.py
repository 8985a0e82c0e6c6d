"""Queue sends over HTTP (client-protocol, 6 and 11.2). In BARE they exist since version 3."""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import Any, Literal, get_args

import msgspec

from ..errors import InvalidRequest
from . import bare
from .encoding import Encoding
from .envelope import (
    decode_bare_value,
    decode_members,
    encode_members,
    encode_value,
    raw_value,
    text_member,
)

QueueStatus = Literal["completed", "timedOut"]
_STATUSES: dict[str, QueueStatus] = {status: status for status in get_args(QueueStatus)}
_MAX_TIMEOUT = 2**64 - 1


class QueueSendRequest(msgspec.Struct, frozen=True):
    """One message for a queue."""

    body: Any
    name: str | None = None
    """The queue; the name in the URL wins over it (client-protocol, 6)."""
    wait: bool = False
    """Whether to answer only when the consumer has completed the message."""
    timeout: float | None = None
    """How many milliseconds to wait."""


class QueueSendResponse(msgspec.Struct, frozen=True):
    """What became of a queue send."""

    status: QueueStatus
    response: Any = msgspec.UNSET
    """What the consumer completed the message with; ``UNSET`` if it gave nothing."""


def encode_queue_request(encoding: Encoding, version: int, request: QueueSendRequest) -> bytes:
    """Encode a queue send; raises ``OutputNotSerializable`` with a path from ``body``."""
    if encoding is Encoding.BARE:
        body = encode_value(encoding, version, request.body, "body", to_client=False)
        name = None if request.name is None else bare.text(request.name)
        timeout = None if request.timeout is None else bare.u64(ceil(request.timeout))
        return b"".join(
            (
                bare.version(version),
                bare.blob(body),
                bare.optional(name),
                bare.optional(bare.boolean(request.wait)),
                bare.optional(timeout),
            )
        )
    members: dict[str, Any] = {"body": raw_value(encoding, request.body, "body", to_client=False)}
    if request.name is not None:
        members["name"] = request.name
    members["wait"] = request.wait
    if request.timeout is not None:
        members["timeout"] = request.timeout
    return encode_members(encoding, members)


def decode_queue_request(encoding: Encoding, body: bytes) -> tuple[QueueSendRequest, int]:
    """Return the message and the version to answer in; raises ``InvalidRequest``.

    A missing body is ``None``, a missing ``wait`` is false (client-protocol, 6).
    """
    if encoding is Encoding.BARE:
        return _decode_bare_request(body)
    members = decode_members(encoding, body, at_client=False)
    name, wait = members.get("name"), members.get("wait")
    if name is not None and not isinstance(name, str):
        raise InvalidRequest('"name" must be a string.')
    if wait is not None and not isinstance(wait, bool):
        raise InvalidRequest('"wait" must be a boolean.')
    timeout = _milliseconds(members.get("timeout"))
    return QueueSendRequest(members.get("body"), name, wait or False, timeout), 0


def _milliseconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidRequest('"timeout" must be a number of milliseconds.')
    if not 0 <= value <= _MAX_TIMEOUT:  # refuses NaN too
        raise InvalidRequest('"timeout" is out of range.')
    return value


def _decode_bare_request(body: bytes) -> tuple[QueueSendRequest, int]:
    reader = bare.Reader(body)
    version = reader.version(bare.QUEUE_VERSIONS)
    data = reader.blob()
    name = reader.optional(reader.text)
    wait = reader.optional(reader.boolean)
    timeout = reader.optional(reader.u64)
    reader.end()
    request = QueueSendRequest(decode_bare_value(version, data), name, wait or False, timeout)
    return request, version


def encode_queue_response(encoding: Encoding, version: int, answer: QueueSendResponse) -> bytes:
    """Encode the answer; raises ``OutputNotSerializable`` with a path from ``response``."""
    given = answer.response is not msgspec.UNSET
    if encoding is Encoding.BARE:
        data = None
        if given:
            value = encode_value(encoding, version, answer.response, "response", to_client=True)
            data = bare.blob(value)
        return bare.version(version) + bare.text(answer.status) + bare.optional(data)
    if not given:
        return _status_alone(encoding, answer.status)
    response = raw_value(encoding, answer.response, "response", to_client=True)
    return encode_members(encoding, {"response": response, "status": answer.status})


@cache
def _status_alone(encoding: Encoding, status: QueueStatus) -> bytes:
    """Return the answer that says nothing else; nearly all of them are this one."""
    return encode_members(encoding, {"status": status})


def decode_queue_response(encoding: Encoding, body: bytes) -> QueueSendResponse:
    """Return the answer to a queue send; raises ``InvalidRequest`` if it is malformed."""
    if encoding is Encoding.BARE:
        reader = bare.Reader(body)
        version = reader.version(bare.QUEUE_VERSIONS)
        status = _status(reader.text())
        data = reader.optional(reader.blob)
        reader.end()
        response = msgspec.UNSET if data is None else decode_bare_value(version, data)
        return QueueSendResponse(status, response)
    members = decode_members(encoding, body, at_client=True)
    return QueueSendResponse(
        _status(text_member(members, "status")), members.get("response", msgspec.UNSET)
    )


def _status(text: str) -> QueueStatus:
    status = _STATUSES.get(text)
    if status is None:
        raise InvalidRequest('"status" must be "completed" or "timedOut".')
    return status
