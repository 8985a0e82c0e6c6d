"""The opening handshake of WebSocket (RFC 6455, section 4.2), and what subprotocols carry.

A browser cannot set headers on a WebSocket, so the client puts what it has to say into the list
of subprotocols that it offers (client-protocol, 3.4 and 3.7). Extensions are never accepted.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from hashlib import sha1
from urllib.parse import unquote_to_bytes

import msgspec
from multidict import MultiMapping

from stator.runtime.errors import ActorError, InvalidHeader, MethodNotAllowed, MissingHeader

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KEY_BYTES = 16

RIVET = "rivet"
"""The subprotocol that is selected whenever it is offered."""


class Offer(msgspec.Struct, frozen=True):
    """What a client says in the list of subprotocols; of repeated entries the first counts."""

    has_any: bool = False
    """Whether there was a list at all."""
    selected: str | None = None
    """The one for the answer: ``rivet`` if offered, else the first that is an HTTP token."""
    encoding: str | None = None
    """The encoding's name as sent, known or not."""
    params: bytes | None = None
    """The connection's params as JSON text; that it is JSON is not checked."""
    params_malformed: bool = False
    """Whether params were sent that are no percent-encoded UTF-8; ``params`` is then None."""
    target: str | None = None
    actor_id: str | None = None
    """Percent-decoded; left as sent if that cannot be done, so that no actor has it."""
    token: str | None = None
    """As sent: the client does not escape it."""
    skip_ready_wait: bool = False


def is_upgrade(headers: MultiMapping[str]) -> bool:
    """Whether a request asks for a WebSocket; :func:`check_upgrade` says if it does so well."""
    return "websocket" in _members(headers, "upgrade") and "upgrade" in _members(
        headers, "connection"
    )


def check_upgrade(method: str, headers: MultiMapping[str]) -> str:
    """Return the client's key if the request may become a WebSocket (RFC 6455, 4.2.1).

    Raises :class:`MethodNotAllowed`, :class:`MissingHeader`, or :class:`InvalidHeader`, which
    has status 426 for another version of the protocol. :func:`refusal_headers` has the headers
    that such an answer must carry.
    """
    if method != "GET":
        raise MethodNotAllowed("A WebSocket is opened with GET.")
    if headers.get("sec-websocket-version", "").strip() != "13":
        error = InvalidHeader(metadata={"header": "sec-websocket-version", "supported": "13"})
        error.status = 426
        raise error
    key = headers.get("sec-websocket-key", "").strip()
    if not key:
        raise MissingHeader(metadata={"header": "sec-websocket-key"})
    if not _is_key(key):
        raise InvalidHeader(metadata={"header": "sec-websocket-key"})
    return key


def refusal_headers(error: ActorError) -> Mapping[str, str]:
    """Return what the answer to a refused upgrade must say besides ``error`` (RFC 6455, 4.2.2)."""
    if error.status == 426:
        return {"sec-websocket-version": "13", "upgrade": "websocket"}
    return {"allow": "GET"} if error.status == 405 else {}


def parse_offer(headers: MultiMapping[str]) -> Offer:
    """Return what the offered subprotocols say; a list without entries is none."""
    entries = [
        entry
        for line in headers.getall("sec-websocket-protocol", ())
        for part in line.split(",")
        if (entry := part.strip())
    ]
    if not entries:
        return Offer()
    encoded = _value(entries, "rivet_conn_params.")
    params = None if encoded is None else _percent_decode(encoded)
    actor_id = _value(entries, "rivet_actor.")
    return Offer(
        has_any=True,
        selected=_select(entries),
        encoding=_value(entries, "rivet_encoding."),
        params=params,
        params_malformed=encoded is not None and params is None,
        target=_value(entries, "rivet_target."),
        actor_id=None
        if actor_id is None
        else (_percent_decode(actor_id) or b"").decode() or actor_id,
        token=_value(entries, "rivet_token."),
        skip_ready_wait="rivet_skip_ready_wait" in entries,
    )


def accept_key(key: str) -> str:
    """Return the proof that ``key`` was read, for ``Sec-WebSocket-Accept``."""
    return b64encode(sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def handshake_answer(offer: Offer, key: str, extra_lines: str = "") -> bytes:
    """Return the head of the answer 101; ``extra_lines`` each end in CR LF."""
    selected = f"sec-websocket-protocol: {offer.selected}\r\n" if offer.selected else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        f"sec-websocket-accept: {accept_key(key)}\r\n{selected}{extra_lines}\r\n"
    ).encode()


def _members(headers: MultiMapping[str], name: str) -> list[str]:
    lines = headers.getall(name, ())
    return [part.strip().lower() for line in lines for part in line.split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(b64decode(key, validate=True)) == _KEY_BYTES
    except (Base64Error, ValueError):
        return False


def _select(entries: list[str]) -> str | None:
    if RIVET in entries:
        return RIVET
    return next((entry for entry in entries if _TOKEN.fullmatch(entry)), None)


def _value(entries: list[str], prefix: str) -> str | None:
    return next((entry[len(prefix) :] for entry in entries if entry.startswith(prefix)), None)


def _percent_decode(text: str) -> bytes | None:
    """Return the UTF-8 bytes that ``text`` stands for, None if it is not percent-encoded UTF-8."""
    if not text.isascii():
        return None
    data = unquote_to_bytes(text)
    # unquote_to_bytes leaves what is not two hexadecimal digits after "%" as it is.
    if data.count(b"%") != text.count("%25"):
        return None
    try:
        data.decode()
    except UnicodeDecodeError:
        return None
    return data
