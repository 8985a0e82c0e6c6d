"""Recorded WebSockets, opened again at a running service with everything their client said.

Rule 1. A file is replayed whole and in order: its scenarios share their actors.
Rule 2. Our ids take the place of the recorded ones, in what is sent and in what is expected.
Rule 3. The first frame of a BARE connection is expected in version 3 (client-protocol, 12.4),
        whatever the recorded server sent.
Rule 4. The texts of errors are ours where they say more than the recorded ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from stator.runtime.errors import InvalidRequest
from stator.runtime.protocol.bare import COMMON_VERSION
from stator.runtime.protocol.connection import ActionRequest, ErrorMessage, Init, ToClient
from stator.runtime.protocol.encoding import Encoding, encoding_of
from stator.runtime.protocol.to_client import decode_to_client, encode_to_client
from stator.runtime.protocol.to_server import encode_to_server
from tests.fakes.client_recordings import SocketFrame, WebSocketExchange, web_sockets
from tests.fakes.real_service import RealService
from tests.fakes.socket_client import BINARY, CLOSE, OPCODES, TEXT, SocketClient, WireFrame

SECONDS = 10.0
"""How long an answer may take before it counts as missing."""
NOTHING_CAME = -1
"""The opcode that stands for an answer that is missing."""

_CHATS = {"90b90c9665407f3d"}
"""Recorded ids of actors without handlers for raw requests."""
_MISSING = {"tlrpf4fjpvazcfr5vrcmu272ewcl00"}
"""Recorded ids that no actor had."""
_OUR_WORDS = {"action_not_found", "action_timed_out", "outgoing_too_long"}
"""Codes of errors whose text names what the recorded one does not."""
_INTERLUDES = {"sleep-with-conn": (3, "sleepNow"), "destroy-with-conn": (3, "destroy")}
"""Actions that were called over HTTP before the frame of this number."""


class Replayed(NamedTuple):
    """What came of one recorded WebSocket."""

    recorded: WebSocketExchange
    status: int
    headers: dict[str, str]
    expected: list[WireFrame]
    """The server's frames of the recording, with our ids."""
    ours: list[WireFrame]
    is_whole: bool
    """Whether all was said that was recorded."""
    ended: bool
    """Whether our server ended the TCP connection after all that."""
    encoding: Encoding


class Stage:
    """The service, and our ids for the recorded ones."""

    def __init__(
        self, service: RealService, file: str, *, seed: int, lasts: Mapping[str, int]
    ) -> None:
        """Counters addressed by id stand at ``seed``.

        ``lasts`` has the names of those that end after that many frames of the server.
        """
        self._service = service
        self._file = file
        self._seed = seed
        self._lasts = lasts
        self._ids: dict[str, str] = {}

    def replay_all(self) -> list[Replayed]:
        """Open the file's WebSockets again, one after the other."""
        return [self._replay(recorded) for recorded in web_sockets(self._file)]

    def _replay(self, recorded: WebSocketExchange) -> Replayed:
        path, protocols = self._ours(recorded.path), self._ours(recorded.protocols)
        with SocketClient(self._service.endpoint, path or "", protocols) as client:
            return self._converse(client, recorded)

    def _ours(self, text: str | None) -> str | None:
        if text is None:
            return None
        ids = re.findall(r"/gateway/([0-9a-z]{16,30})(?=[/@])|rivet_actor\.([0-9a-z]+)", text)
        for recorded_id in filter(None, (first or second for first, second in ids)):
            if recorded_id not in _MISSING:
                text = text.replace(recorded_id, self._id_of(recorded_id))
        return text

    def _id_of(self, recorded_id: str) -> str:
        if recorded_id not in self._ids:
            counter = "counter" if len(recorded_id) == 30 else "counter217"
            name = "chat" if recorded_id in _CHATS else counter
            key = f"{self._file},{recorded_id}"
            answer = self._service.action(name, "get", key=key)
            self._ids[recorded_id] = answer.headers["x-rivet-actor"]
            if self._seed:
                self._service.output(name, "increment", self._seed, key=key)
        return self._ids[recorded_id]

    def _converse(self, client: SocketClient, recorded: WebSocketExchange) -> Replayed:
        encoding = _encoding(recorded)
        ours, is_whole = self._exchange_frames(client, recorded, encoding)
        ended = is_whole and _receive(client) is None
        theirs = [
            WireFrame(OPCODES[frame.opcode], frame.data or b"")
            for frame in recorded.frames
            if not frame.from_client
        ]
        expected = self._with_our_ids(encoding, theirs, ours)
        return Replayed(
            recorded, client.status, client.headers, expected, ours, is_whole, ended, encoding
        )

    def _exchange_frames(
        self, client: SocketClient, recorded: WebSocketExchange, encoding: Encoding
    ) -> tuple[list[WireFrame], bool]:
        """Return what came, and whether all was said; an answer that is missing ends it."""
        last = self._lasts.get(recorded.name, -1)
        number, interlude = _INTERLUDES.get(recorded.name, (-1, ""))
        ours: list[WireFrame] = []
        for position, frame in enumerate(recorded.frames):
            if position == number:
                self._call(recorded, interlude)
            if frame.from_client:
                client.send(OPCODES[frame.opcode], _said(encoding, frame))
                continue
            answer = _receive(client)
            ours.append(_masked(answer) if answer else WireFrame(NOTHING_CAME, b"the end"))
            if ours[-1].opcode == NOTHING_CAME or len(ours) == last:
                return ours, False
        return ours, True

    def _call(self, recorded: WebSocketExchange, action: str) -> None:
        path = recorded.path.replace("/connect?", f"/action/{action}?")
        assert self._service.send_json("POST", path, {"args": []}).status == 200

    def _with_our_ids(
        self, encoding: Encoding, theirs: list[WireFrame], ours: list[WireFrame]
    ) -> list[WireFrame]:
        pairs = [(theirs_id.encode(), ours_id.encode()) for theirs_id, ours_id in self._ids.items()]
        known, meant = _init(encoding, ours), _init(encoding, theirs)
        if known and meant:
            pairs.append((meant.actor_id.encode(), known.actor_id.encode()))
            pairs.append((meant.connection_id.encode(), known.connection_id.encode()))
        replaced = [_replace_all(frame, pairs) for frame in theirs]
        if encoding is Encoding.BARE and replaced:
            replaced[0] = _in_first_version(replaced[0])
        with_ours = zip(replaced, [*ours, *theirs][: len(replaced)], strict=True)
        return [_in_our_words(encoding, frame, answer) for frame, answer in with_ours]


def _encoding(recorded: WebSocketExchange) -> Encoding:
    match = re.search(r"rivet_encoding\.(json|cbor|bare)", recorded.protocols or "")
    return encoding_of(match[1] if match else "json")


def _said(encoding: Encoding, frame: SocketFrame) -> bytes:
    """Return what the client sent; of what was cut the length alone matters."""
    if frame.data is not None:
        return frame.data
    return encode_to_server(encoding, 4, ActionRequest(1, "echo", ["x" * 70_000]))


def _receive(client: SocketClient) -> WireFrame | None:
    try:
        return client.receive(SECONDS)
    except TimeoutError:
        return WireFrame(NOTHING_CAME, b"nothing came")


def meaning(encoding: Encoding, frame: WireFrame) -> ToClient | tuple[int | None, str] | bytes:
    """Return what a frame of a server says, ids included."""
    if frame.opcode == CLOSE:
        return frame.code, frame.reason
    if frame.opcode not in (TEXT, BINARY):
        return frame.data
    try:
        return decode_to_client(encoding, frame.data)[0]
    except InvalidRequest:  # of a raw WebSocket
        return frame.data


def _init(encoding: Encoding, frames: list[WireFrame]) -> Init | None:
    said = (meaning(encoding, frame) for frame in frames)
    return next((message for message in said if isinstance(message, Init)), None)


def _replace_all(frame: WireFrame, pairs: list[tuple[bytes, bytes]]) -> WireFrame:
    data = frame.data
    for theirs, ours in pairs:
        if len(theirs) != len(ours):  # the length stands before the text, in CBOR and in BARE
            data = data.replace(b"\x70" + theirs, b"\x78" + bytes([len(ours)]) + ours)
            data = data.replace(bytes([len(theirs)]) + theirs, bytes([len(ours)]) + ours)
        data = data.replace(theirs, ours)
    return _masked(WireFrame(frame.opcode, data))


def _in_first_version(frame: WireFrame) -> WireFrame:
    """Return the first frame of a BARE connection in the version that both clients read."""
    message = meaning(Encoding.BARE, frame)
    if not isinstance(message, Init | ErrorMessage):
        return frame
    return WireFrame(BINARY, encode_to_client(Encoding.BARE, COMMON_VERSION, message))


def _in_our_words(encoding: Encoding, frame: WireFrame, answer: WireFrame) -> WireFrame:
    """Return an expected error with the text of ours, if it is of the same kind."""
    theirs, ours = meaning(encoding, frame), meaning(encoding, answer)
    if not isinstance(theirs, ErrorMessage) or not isinstance(ours, ErrorMessage):
        return frame
    if theirs.error.code not in _OUR_WORDS or theirs.error.code != ours.error.code:
        return frame
    error = msgspec.structs.replace(theirs.error, message=ours.error.message)
    said = msgspec.structs.replace(theirs, error=error)
    version = frame.data[0] if encoding is Encoding.BARE else 0
    return WireFrame(frame.opcode, encode_to_client(encoding, version, said))


def _masked(frame: WireFrame) -> WireFrame:
    """Leave out the id of the request, which differs each time."""
    if frame.opcode != CLOSE:
        return frame
    return WireFrame(CLOSE, re.sub(rb"#\w+$", b"#ray", frame.data))
