"""The recorded exchanges of the official client, as tests replay them.

``tests/recorded/client/README.md`` describes the files. The decoded form of CBOR there is
diagnostic text; it is read here by a parser of its own, so that a mistake in ours cannot hide.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from stator.runtime.protocol.kinds import is_array, is_object

FOLDER = Path(__file__).parents[1] / "recorded" / "client"


class Exchange(NamedTuple):
    """One HTTP request and its answer."""

    scenario: str
    path: str
    request: bytes
    request_decoded: Any
    status: int
    content_type: str
    answer: bytes
    answer_decoded: Any


class Frame(NamedTuple):
    """One WebSocket message."""

    scenario: str
    from_client: bool
    data: bytes
    decoded: Any


class SocketFrame(NamedTuple):
    """One frame of a recorded WebSocket."""

    from_client: bool
    opcode: str
    """``text``, ``binary``, ``close``, ``ping``, ``pong``."""
    data: bytes | None
    """``None`` if it was cut."""


class WebSocketExchange(NamedTuple):
    """One recorded WebSocket, from the handshake to its end."""

    scenario: str
    attempt: int
    """Which WebSocket of the scenario it is; the client comes back by itself."""
    path: str
    protocols: str | None
    """The offered subprotocols, as they stood in the header."""
    answer_headers: dict[str, str]
    frames: list[SocketFrame]
    ended: bool
    """Whether the server ended the TCP connection."""

    @property
    def name(self) -> str:
        """The scenario, of a second WebSocket ``scenario+1``."""
        return f"{self.scenario}+{self.attempt}" if self.attempt else self.scenario


class RawExchange(NamedTuple):
    """One HTTP request as it was recorded, and its answer."""

    scenario: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer_headers: dict[str, str]
    answer: bytes
    answer_decoded: Any


def _scenarios(name: str) -> Iterator[dict[str, Any]]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    yield from document["scenarios"]


def _whole(text: str | None) -> bool:
    return text is not None and "…" not in text


def exchanges(name: str, part: str) -> list[Exchange]:
    """Return the exchanges of one file whose path has ``part``, without bodies that were cut."""
    found: list[Exchange] = []
    for scenario in _scenarios(name):
        for exchange in scenario["exchanges"]:
            request = exchange.get("request")
            if request is None or part not in request["path"]:
                continue
            answer = exchange["response"]
            body = request["bodyHex"]
            found.append(
                Exchange(
                    scenario=scenario["scenario"],
                    path=request["path"],
                    request=bytes.fromhex(body) if _whole(body) else b"",
                    request_decoded=request["decoded"],
                    status=answer["status"],
                    content_type=answer["headers"]["content-type"],
                    answer=bytes.fromhex(answer["bodyHex"]),
                    answer_decoded=answer["decoded"],
                )
            )
    return found


def frames(name: str) -> list[Frame]:
    """Return the protocol messages of one file, without those that were cut."""
    return [
        Frame(
            scenario["scenario"],
            frame["direction"] == "client->server",
            bytes.fromhex(frame["hex"]),
            frame["decoded"],
        )
        for scenario in _scenarios(name)
        for exchange in scenario["exchanges"]
        for frame in exchange.get("frames", [])
        if frame["opcode"] in ("text", "binary") and _whole(frame["hex"])
    ]


def web_sockets(name: str) -> list[WebSocketExchange]:
    """Return the WebSockets of one file, in order."""
    return [
        _web_socket(scenario["scenario"], attempt, exchange)
        for scenario in _scenarios(name)
        for attempt, exchange in enumerate(
            exchange for exchange in scenario["exchanges"] if "handshake" in exchange
        )
    ]


def _web_socket(scenario: str, attempt: int, exchange: dict[str, Any]) -> WebSocketExchange:
    handshake, frames = exchange["handshake"], exchange["frames"]
    return WebSocketExchange(
        scenario,
        attempt,
        handshake["path"],
        handshake["headers"].get("sec-websocket-protocol"),
        handshake["responseHeaders"],
        [_socket_frame(frame) for frame in frames if "hex" in frame],
        any(frame["opcode"] == "tcp-fin" for frame in frames),
    )


def _socket_frame(frame: dict[str, Any]) -> SocketFrame:
    data = bytes.fromhex(frame["hex"]) if _whole(frame["hex"]) else None
    return SocketFrame(frame["direction"] == "client->server", frame["opcode"], data)


def raw_exchanges(name: str) -> list[RawExchange]:
    """Return the HTTP exchanges of one file, in order, without those that were cut."""
    return [
        RawExchange(
            scenario["scenario"],
            exchange["request"]["method"],
            exchange["request"]["path"],
            exchange["request"]["headers"],
            bytes.fromhex(exchange["request"]["bodyHex"]),
            exchange["response"]["status"],
            exchange["response"]["headers"],
            bytes.fromhex(exchange["response"]["bodyHex"]),
            exchange["response"]["decoded"],
        )
        for scenario in _scenarios(name)
        for exchange in scenario["exchanges"]
        if "request" in exchange
        and _whole(exchange["request"]["bodyHex"])
        and _whole(exchange["response"]["bodyHex"])
    ]


# --------------------------------------------------------------- CBOR diagnostic notation

_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\")|h'(?P<hex>[0-9a-f]*)'|(?P<mark>[\[\]{}:,()])"
    r"|(?P<word>-?Infinity|NaN|undefined|null|true|false)(?:_f\d\d)?"
    r"|(?P<number>-?[0-9.]+(?:e[+-]?\d+)?)(?P<width>_[fu]\d\d)?)"
)
_WORDS = {"undefined": None, "null": None, "true": True, "false": False, "NaN": float("nan")}
_TYPED_ARRAYS = {69: 2, 72: 1}
"""Item widths of the typed arrays that were recorded; all items are small and positive."""


def read_diagnostic(text: str, *, tagged: bool) -> Any:
    """Return the Python value of diagnostic notation; ``tagged`` reads tagged arrays too."""
    value, rest = _read(text)
    assert not rest.strip(), rest
    return untagged(value) if tagged else value


def _token(text: str) -> tuple[re.Match[str], str]:
    match = _TOKEN.match(text)
    assert match is not None, text
    return match, text[match.end() :]


def _read(text: str) -> tuple[Any, str]:
    match, rest = _token(text)
    if match["text"] is not None:
        return json.loads(match["text"]), rest
    if match["hex"] is not None:
        return bytes.fromhex(match["hex"]), rest
    if match["word"] is not None:
        return _WORDS[match["word"]], rest
    if match["number"] is not None:
        return _read_number(match, rest)
    return _read_items(rest) if match["mark"] == "[" else _read_members(rest)


def _read_number(match: re.Match[str], rest: str) -> tuple[Any, str]:
    if rest.startswith("("):
        content, rest = _read(rest[1:])
        return _tag(int(match["number"]), content), rest[1:]
    # JavaScript has one kind of number: a whole float is what Python calls an integer.
    number = float(match["number"]) if "." in match["number"] else int(match["number"])
    return number, rest


def _tag(number: int, content: Any) -> Any:
    if number == 1:
        return datetime.fromtimestamp(content, UTC)
    if number == 258:
        return set(content)
    if number in _TYPED_ARRAYS:
        width = _TYPED_ARRAYS[number]
        return [
            int.from_bytes(content[i : i + width], "little") for i in range(0, len(content), width)
        ]
    assert number in (64, 259)
    return content


def _read_items(rest: str) -> tuple[list[Any], str]:
    items: list[Any] = []
    while not rest.lstrip().startswith("]"):
        item, rest = _read(rest.lstrip().removeprefix(","))
        items.append(item)
    return items, rest.lstrip()[1:]


def _read_members(rest: str) -> tuple[dict[Any, Any], str]:
    members: dict[Any, Any] = {}
    while not rest.lstrip().startswith("}"):
        key, rest = _read(rest.lstrip().removeprefix(","))
        _, rest = _token(rest)
        members[key], rest = _read(rest)
    return members, rest.lstrip()[1:]


def untagged(value: Any) -> Any:
    """Return ``value`` with the tagged arrays of the client protocol, 4.1, read."""
    if is_object(value):
        return {key: untagged(item) for key, item in value.items()}
    if not is_array(value):
        return value
    items = [untagged(item) for item in value]
    match items:
        case ["$BigInt", digits]:
            return int(digits)
        case ["$Uint8Array" | "$ArrayBuffer", text]:
            return b64decode(text)
        case ["$Undefined", _]:
            return None
        case ["$Set", members]:
            return set(members)
        case [str(first), payload] if first.startswith("$$"):
            return [first[1:], payload]
        case _:
            return items
