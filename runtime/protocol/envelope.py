"""What all messages have in common: the map around them and the values inside them.

JSON and CBOR messages are one object whose members are named; in BARE the fields follow one
another and only the values inside are CBOR. The functions here hide which dialect a value is
written and read in; the ``root`` they take is where error messages start to count (``output``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import InvalidRequest
from . import bare, cbor_dialect, json_dialect
from .encoding import Encoding
from .kinds import is_array, is_object

_TO_CLIENT = {Encoding.CBOR: cbor_dialect.ESCAPED, Encoding.NATIVE: cbor_dialect.NATIVE}
_TO_SERVER = {Encoding.CBOR: cbor_dialect.PLAIN, Encoding.NATIVE: cbor_dialect.NATIVE}
_AT_CLIENT = {
    Encoding.CBOR: cbor_dialect.READ_TAGGED,
    Encoding.NATIVE: cbor_dialect.READ_NATIVE,
}
_AT_SERVER = {Encoding.CBOR: cbor_dialect.READ_PLAIN, Encoding.NATIVE: cbor_dialect.READ_NATIVE}


def answer_version(encoding: Encoding, body: bytes) -> int:
    """Return the version to answer ``body`` in without decoding it; never fails.

    0 unless the encoding is BARE; 3, which every client understands, for an unreadable version.
    """
    if encoding is not Encoding.BARE:
        return 0
    claimed = int.from_bytes(body[:2], "little")
    return claimed if claimed in bare.VERSIONS else bare.COMMON_VERSION


def encode_value(
    encoding: Encoding, version: int, value: Any, root: str, *, to_client: bool
) -> bytes:
    """Encode a value inside a message; raises ``OutputNotSerializable`` with its path."""
    if encoding is Encoding.JSON:
        return json_dialect.encode_json(value, root)
    if encoding is Encoding.BARE:
        dialect = cbor_dialect.TAGGED if version >= 4 else cbor_dialect.PLAIN
    else:
        dialect = (_TO_CLIENT if to_client else _TO_SERVER)[encoding]
    return cbor_dialect.encode_cbor(value, dialect, root)


def decode_bare_value(version: int, data: bytes) -> Any:
    """Decode a value inside a BARE message; tagged arrays are read since version 4."""
    tagged = cbor_dialect.READ_TAGGED if version >= 4 else cbor_dialect.READ_PLAIN
    return cbor_dialect.decode_cbor(data, tagged)


def encode_members(encoding: Encoding, members: Mapping[str, Any]) -> bytes:
    """Encode a message that is an object; values come as ``msgspec.Raw`` of their encoding."""
    if encoding is Encoding.JSON:
        return json_dialect.encode_plain(members)
    return cbor_dialect.encode_plain(members)


def decode_members(encoding: Encoding, body: bytes, *, at_client: bool) -> dict[str, Any]:
    """Decode a message that must be an object; raises ``InvalidRequest``."""
    if encoding is Encoding.JSON:
        message = json_dialect.decode_json(body)
    else:
        reading = (_AT_CLIENT if at_client else _AT_SERVER)[encoding]
        message = cbor_dialect.decode_cbor(body, reading)
    if not is_object(message):
        raise InvalidRequest("The body must be an object.")
    return message


def raw_value(encoding: Encoding, value: Any, root: str, *, to_client: bool) -> msgspec.Raw:
    """Return an encoded value as a member for :func:`encode_members`."""
    return msgspec.Raw(encode_value(encoding, 0, value, root, to_client=to_client))


def text_member(members: Mapping[str, Any], name: str) -> str:
    """Return a member that must be a string."""
    value = members.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(f'"{name}" must be a string.')
    return value


def as_arguments(value: Any) -> list[Any]:
    """Return ``args`` as a list: null means none, and what is no array is the only one (5.2)."""
    if is_array(value):
        return value
    return [] if value is None else [value]
