"""The frames that processes of one service exchange, and their form on a link.

A frame is a small msgspec header and an opaque payload. On the wire::

    u32 length of what follows | u32 length of the header | header (msgpack) | payload

Rule 1. The first frame in both directions is :class:`Hello`; nothing is handed over before it.
Rule 2. A request carries an ``id`` its sender chose; exactly one reply carries it back.
Rule 3. A payload is what a client sent or will receive; nobody between the two ends opens it.
Rule 4. A frame that breaks these rules ends the link: both ends are ours, so it is a bug.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct as Layout
from typing import Any

import msgspec

from ..protocol.encoding import Encoding

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Larger than any body or message the limits allow (client-protocol, 10.1)."""

_PREFIX = Layout("<II")
"""The header may be long: it holds an actor's input, up to ``limits.max_input_size``."""
_LENGTH_BYTES = 4


class Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The common ancestor of all headers; each has its own tag."""


class Hello(Frame, tag=0, frozen=True):
    """Introduces a process to the other end of a link."""

    role: str
    index: int
    generation: int
    actors: dict[str, dict[str, str]] = {}
    """What a worker's registry holds: display name and icon by actor name."""


class Resolution(IntEnum):
    """How a :class:`Call` names its actor."""

    GET = 0
    """By key; the actor must exist."""
    GET_OR_CREATE = 1
    """By key; the actor is created if it does not exist."""
    BY_ID = 2
    """By actor id; ``name`` and ``key`` are empty."""


class Call(Frame, tag=1, frozen=True):
    """An action of one actor; the payload is the client's body."""

    id: int
    shard: int
    resolution: Resolution
    namespace: str
    name: str
    key: str
    """Serialised (client-protocol, 2.4); an actor id when ``resolution`` is ``BY_ID``."""
    action: str
    encoding: Encoding
    ray_id: str
    input: bytes | None = None
    """The CBOR of the actor's input, used only if this call creates it."""


class CreateActor(Frame, tag=2, frozen=True):
    """Create an actor or, with ``reuse``, find it; answered once its row is durable."""

    id: int
    shard: int
    namespace: str
    name: str
    key: str
    input: bytes | None
    reuse: bool


class FindActors(Frame, tag=3, frozen=True):
    """Look actors up: by key (``name`` and ``key``), by ``actor_ids``, or list by ``name``."""

    id: int
    shards: tuple[int, ...]
    namespace: str
    name: str | None = None
    key: str | None = None
    actor_ids: tuple[str, ...] = ()
    limit: int = 100
    before_ms: int | None = None
    """Only actors created before this instant: the cursor of the next page."""


class ListNames(Frame, tag=4, frozen=True):
    """List the names of actors that exist in a namespace."""

    id: int
    shards: tuple[int, ...]
    namespace: str


class DestroyActor(Frame, tag=5, frozen=True):
    """Destroy an actor; answered once it is gone for good."""

    id: int
    shard: int
    namespace: str
    actor_id: str


class ResolveNamespace(Frame, tag=6, frozen=True):
    """Ask the shard that keeps namespaces for one, creating it if ``create``."""

    id: int
    shard: int
    namespace: str
    create: bool


class ListNamespaces(Frame, tag=7, frozen=True):
    """Ask the shard that keeps namespaces for all of them."""

    id: int
    shard: int


class Answer(Frame, tag=16, frozen=True):
    """An actor's answer to a :class:`Call`; the payload is the response body."""

    id: int
    status: int
    actor_id: str
    generation: int
    key: str


class Refusal(Frame, tag=17, frozen=True):
    """An error raised before any actor took the request; what a caller may see of it."""

    id: int
    group: str
    code: str
    message: str
    status: int
    metadata: Any = None


class Result(Frame, tag=18, frozen=True):
    """The answer to a control request; the payload is msgpack of what the request documents."""

    id: int


Request = (
    Call | CreateActor | FindActors | ListNames | DestroyActor | ResolveNamespace | ListNamespaces
)
Reply = Answer | Refusal | Result
AnyFrame = Hello | Request | Reply

_encode_header = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(AnyFrame).decode
encode_payload = _encode_header
"""Encode the records a :class:`Result` carries."""


class ActorRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the control API says of one actor (client-protocol, 2.3); instants in Unix ms."""

    actor_id: str
    namespace: str
    name: str
    key: str
    created_ms: int
    started_ms: int | None = None
    slept_ms: int | None = None
    connectable_ms: int | None = None


class Created(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The payload that answers :class:`CreateActor`."""

    actor: ActorRecord
    created: bool


class NamespaceRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One namespace."""

    name: str
    created_ms: int


class LinkProtocolError(Exception):
    """The other end of a link sent something that is not a frame (rule 4)."""


def encode_frame(header: AnyFrame, payload: bytes = b"") -> bytes:
    """Return the bytes of one frame."""
    head = _encode_header(header)
    size = _LENGTH_BYTES + len(head) + len(payload)
    if size > MAX_FRAME_BYTES:
        raise LinkProtocolError(f"a frame of {size} bytes is larger than {MAX_FRAME_BYTES}")
    return _PREFIX.pack(size, len(head)) + head + payload


class FrameDecoder:
    """Cuts a byte stream into frames. Feed it whatever arrives; it keeps the incomplete rest.

    The pieces of a large frame are joined once, when the last of them is there.
    """

    __slots__ = ("_missing", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._missing = 0
        """How many more bytes there must be before looking at the pieces is of use."""

    def feed(self, data: bytes) -> Iterator[tuple[AnyFrame, bytes]]:
        """Yield the frames that ``data`` completes. Raises :class:`LinkProtocolError`."""
        if self._pieces:
            self._pieces.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        start, end = 0, len(data)
        stop = _PREFIX.size
        while stop <= end:
            size, head_size = _PREFIX.unpack_from(data, start)
            if size > MAX_FRAME_BYTES or head_size + _LENGTH_BYTES > size:
                raise LinkProtocolError(f"impossible frame: {size} bytes, header {head_size}")
            stop = start + _LENGTH_BYTES + size
            if stop > end:
                break
            head_start = start + _PREFIX.size
            body_start = head_start + head_size
            try:
                header = _decode_header(data[head_start:body_start])
            except (msgspec.MsgspecError, RecursionError) as error:
                raise LinkProtocolError(f"unreadable frame header: {error}") from error
            yield header, data[body_start:stop]
            start = stop
            stop = start + _PREFIX.size
        if start < end:
            self._pieces.append(data[start:] if start else data)
            self._missing = stop - end
