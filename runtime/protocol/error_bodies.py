"""Error answers over HTTP (client-protocol, 9.1 and 11.2).

Rule 1. Members without a value are left out, never null: the client refuses ``actor: null``.
Rule 2. ``actor`` exists since BARE 4; JSON and CBOR always may carry it.
Rule 3. An error can always be encoded. Metadata that cannot be sent is replaced by the sentence
        that says why, so that group and code still reach the caller.
Rule 4. An error answer can always be decoded: what cannot be read is ``rivetkit.internal_error``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..error_views import ErrorView
from ..errors import ActorError, InvalidRequest, OutputNotSerializable
from . import bare
from .encoding import Encoding
from .envelope import decode_bare_value, decode_members, encode_members, encode_value, text_member

_SHOWN_CHARACTERS = 2000


class ActorSpecifier(msgspec.Struct, frozen=True):
    """Which actor an error comes from."""

    actor_id: str
    generation: int
    """How often the actor was started."""
    key: str | None
    """Serialised (client-protocol, 2.4)."""


def encode_error(
    encoding: Encoding, version: int, view: ErrorView, actor: ActorSpecifier | None
) -> bytes:
    """Encode an error answer; never fails (rule 3).

    A BARE version of 0 means unknown, and 3 is used, which every client understands.
    """
    version = version or bare.COMMON_VERSION
    metadata = encode_metadata(encoding, version, view)
    if encoding is Encoding.BARE:
        return bare.version(version) + bare_error(view, metadata) + bare_actor(version, actor)
    members: dict[str, Any] = {} if actor is None else {"actor": actor_members(actor)}
    members["code"] = wire_text(view.code)
    members["group"] = wire_text(view.group)
    members["message"] = wire_text(view.message)
    if metadata is not None:
        members["metadata"] = msgspec.Raw(metadata)
    return encode_members(encoding, members)


def encode_metadata(encoding: Encoding, version: int, view: ErrorView) -> bytes | None:
    """Encode the metadata of an error, or the reason why it cannot be sent (rule 3)."""
    if view.metadata is None:
        return None
    try:
        return encode_value(encoding, version, view.metadata, "metadata", to_client=True)
    except OutputNotSerializable as problem:
        return encode_value(encoding, version, problem.message, "metadata", to_client=True)


def wire_text(text: str) -> str:
    """Return ``text`` with lone surrogates, which UTF-8 has no bytes for, as question marks."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def actor_members(actor: ActorSpecifier) -> dict[str, Any]:
    """Return the ``actor`` member of an error."""
    members: dict[str, Any] = {"actorId": actor.actor_id, "generation": actor.generation}
    if actor.key is not None:
        members["key"] = wire_text(actor.key)
    return members


def bare_error(view: ErrorView, metadata: bytes | None) -> bytes:
    """Write the fields that all versions of an error begin with."""
    written = None if metadata is None else bare.blob(metadata)
    fields = bare.text(view.group) + bare.text(view.code) + bare.text(view.message)
    return fields + bare.optional(written)


def bare_actor(version: int, actor: ActorSpecifier | None) -> bytes:
    """Write the optional actor, which is nothing at all before version 4."""
    if version < 4:
        return b""
    if actor is None:
        return bare.optional(None)
    key = None if actor.key is None else bare.text(actor.key)
    fields = bare.text(actor.actor_id) + bare.uint(actor.generation) + bare.optional(key)
    return bare.optional(fields)


def read_actor(reader: bare.Reader, version: int) -> ActorSpecifier | None:
    """Read the optional actor of a BARE error."""

    def specifier() -> ActorSpecifier:
        return ActorSpecifier(reader.text(), reader.uint(), reader.optional(reader.text))

    return reader.optional(specifier) if version >= 4 else None


def decode_error(
    encoding: Encoding, content_type: str | None, status: int, body: bytes
) -> ActorError:
    """Return the error of an answer whose status is not 2xx; never fails (rule 4).

    A content type of ``application/json`` wins over ``encoding``: gateways answer in JSON.
    """
    actual = Encoding.JSON if "application/json" in (content_type or "") else encoding
    try:
        view = _decode_bare(body) if actual is Encoding.BARE else _decode_members(actual, body)
    except InvalidRequest:
        shown = body[: 4 * _SHOWN_CHARACTERS].decode(errors="replace")[:_SHOWN_CHARACTERS]
        view = "rivetkit", "internal_error", f"HTTP request error ({status}):\n{shown}", None
    group, code, message, metadata = view
    return ActorError(message, group=group, code=code, metadata=metadata, status=status)


_Decoded = tuple[str, str, str, Any]


def _decode_members(encoding: Encoding, body: bytes) -> _Decoded:
    members = decode_members(encoding, body, at_client=True)
    group, code, message = (text_member(members, name) for name in ("group", "code", "message"))
    return group, code, message, members.get("metadata")


def _decode_bare(body: bytes) -> _Decoded:
    reader = bare.Reader(body)
    version = reader.version()
    group, code, message = reader.text(), reader.text(), reader.text()
    data = reader.optional(reader.blob)
    read_actor(reader, version)
    reader.end()
    return group, code, message, None if data is None else decode_bare_value(version, data)
