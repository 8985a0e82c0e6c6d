"""Action calls and actor input (client-protocol, 5.2 and 4.3).

An action over HTTP is ``{"args": [...]}`` and its answer ``{"output": ...}``, or the BARE structs
of the same meaning. ``version`` is the BARE version and 0 in all other encodings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InvalidRequest
from . import bare, cbor_dialect
from .encoding import Encoding
from .envelope import (
    as_arguments,
    decode_bare_value,
    decode_members,
    encode_value,
)
from .json_dialect import decode_json, encode_json
from .kinds import is_object

_CBOR_ARGS = b"\xa1\x64args"
_CBOR_OUTPUT = b"\xa1\x66output"


def decode_action_request(encoding: Encoding, body: bytes) -> tuple[list[Any], int]:
    """Return the arguments and the version to answer in.

    Lenient as the peer is: missing or null ``args`` are none, a single value is the only one.
    Raises ``InvalidRequest`` saying what is wrong, whatever the bytes.
    """
    if encoding is Encoding.JSON:  # the hot path: nothing between the caller and the decoder
        call = decode_json(body)
        if not is_object(call):
            raise InvalidRequest("The body must be an object.")
        return as_arguments(call.get("args")), 0
    if encoding is Encoding.BARE:
        value, version = _decode_struct(body)
        return as_arguments(value), version
    return as_arguments(decode_members(encoding, body, at_client=False).get("args")), 0


def encode_action_response(encoding: Encoding, version: int, output: object) -> bytes:
    """Encode what an action returned.

    Raises ``OutputNotSerializable`` naming the path of what cannot be sent.
    """
    if encoding is Encoding.JSON:
        return b'{"output":' + encode_json(output, "output") + b"}"
    value = encode_value(encoding, version, output, "output", to_client=True)
    if encoding is Encoding.BARE:
        return bare.version(version) + bare.blob(value)
    return _CBOR_OUTPUT + value


def encode_action_request(encoding: Encoding, version: int, args: Sequence[object]) -> bytes:
    """Encode a call; raises ``OutputNotSerializable`` with a path from ``args``."""
    value = encode_value(encoding, version, list(args), "args", to_client=False)
    if encoding is Encoding.JSON:
        return b'{"args":' + value + b"}"
    if encoding is Encoding.BARE:
        return bare.version(version) + bare.blob(value)
    return _CBOR_ARGS + value


def decode_action_response(encoding: Encoding, body: bytes) -> Any:
    """Return what the action returned; raises ``InvalidRequest`` if the answer is malformed."""
    if encoding is Encoding.BARE:
        return _decode_struct(body)[0]
    members = decode_members(encoding, body, at_client=True)
    if "output" not in members:
        raise InvalidRequest('The answer has no "output".')
    return members["output"]


def _decode_struct(body: bytes) -> tuple[Any, int]:
    """Both BARE structs are a version and one value."""
    reader = bare.Reader(body)
    version = reader.version()
    data = reader.blob()
    reader.end()
    return decode_bare_value(version, data), version


def encode_input(value: object) -> bytes:
    """Encode the input of an actor; raises ``OutputNotSerializable`` from ``input``."""
    return cbor_dialect.encode_cbor(value, cbor_dialect.TAGGED, "input")


def decode_input(data: bytes) -> Any:
    """Decode the input of an actor, one CBOR item; raises ``InvalidRequest``."""
    return cbor_dialect.decode_cbor(data, cbor_dialect.READ_TAGGED)
