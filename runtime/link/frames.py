"""The frames that processes of one service exchange (their form on a link: ``frame_codec.py``).

A frame is a small msgspec header and an opaque payload.

Rule 1. The first frame in both directions is :class:`Hello`; nothing is handed over before it.
Rule 2. A request carries an ``id`` its sender chose; exactly one reply carries it back. One that
        is :data:`GivenBack` may come back itself, from a worker that leaves.
Rule 3. A payload is what a client sent or will receive; nobody between the two ends opens it.
Rule 4. A frame that breaks these rules ends the link: both ends are ours, so it is a bug.

Connections have a ``number`` that their gateway chose and that stays theirs while it holds the
client's socket, whatever becomes of the worker. Their frames answer nothing and may cross one
another: one for a connection that the other end no longer knows is ignored.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec

from ..protocol.encoding import Encoding


class Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The common ancestor of all headers; each has its own tag."""


class Hello(Frame, tag=0, frozen=True):
    """Introduces a process to the other end of a link."""

    role: str
    index: int
    generation: int
    actors: dict[str, dict[str, str]] = {}
    """What a worker's registry holds: display name and icon by actor name."""
    token: str = ""
    """Tells a gateway from those before it and after it; other processes have none."""
    wants_requests: bool = False
    """Whether a class of the worker's registry may look at the request behind a call."""


class Goodbye(Frame, tag=29, frozen=True):
    """The worker is about to leave: hand nothing over any more, a successor will serve it.

    The calling side sends it back at once, after the last of its requests, and a second time
    when it waits for no reply any more, except to a :class:`Publish`, which may come back.
    """


class Resolution(IntEnum):
    """How a :class:`Call` names its actor."""

    GET = 0
    """By key; the actor must exist."""
    GET_OR_CREATE = 1
    """By key; the actor is created if it does not exist."""
    BY_ID = 2
    """By actor id; ``name`` and ``key`` are empty."""


class Addressed(Frame, frozen=True):
    """The common ancestor of what goes to one actor."""

    id: int
    shard: int
    resolution: Resolution
    namespace: str
    name: str
    key: str
    """Serialised (client-protocol, 2.4); an actor id when ``resolution`` is ``BY_ID``."""


class RequestHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What came before the body of a client's HTTP request."""

    method: str
    url: str
    """Absolute, as the client wrote it, without routing parameters."""
    path: str
    """What follows ``/request`` or ``/websocket``, percent-encoding kept."""
    raw_query: str
    headers: tuple[tuple[bytes, bytes], ...]


class Call(Addressed, tag=1, frozen=True):
    """An action of one actor; the payload is the client's body."""

    action: str
    encoding: Encoding
    ray_id: str
    input: bytes | None = None
    """The CBOR of the actor's input, used only if this call creates it."""
    params: bytes | None = None
    """JSON of the connection parameters."""
    head: RequestHead | None = None
    """Only for workers whose Hello says ``wants_requests``."""


class Publish(Addressed, tag=30, frozen=True):
    """A message for a queue of one actor; the payload is the client's body.

    Answered by an :class:`Answer`, as a :class:`Call` is.
    """

    queue: str
    """Wire name; it wins over one in the body (client-protocol, 6)."""
    encoding: Encoding
    ray_id: str
    input: bytes | None = None
    """As in a :class:`Call`."""
    params: bytes | None = None
    """As in a :class:`Call`."""
    head: RequestHead | None = None
    """As in a :class:`Call`."""
    stored_id: int = 0
    """The message it became. The worker sets it when a publication that waits for its
    completion outlives its actor's sleep; nobody else does."""
    waited_ms: int = 0
    """How long it had waited by then; set with ``stored_id``."""


class ControlWorkflow(Addressed, tag=31, frozen=True):
    """Ask about an actor's workflow, or do something with it.

    The payload is msgpack of ``workflow_control.VerbArguments``. Answered by a :class:`Result`,
    whose payload is msgpack of the record that the verb documents.
    """

    verb: int
    """Of ``workflow_control.Verb``."""
    input: bytes | None = None
    """As in a :class:`Call`."""

    @property
    def ray_id(self) -> str:
        """What the log calls it by."""
        return f"workflow {self.verb}"


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


class SleepActor(Frame, tag=27, frozen=True):
    """Put an actor to sleep; answered once it sleeps. One that sleeps already stays asleep."""

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


class ConnectionKind(IntEnum):
    """What the client of a connection speaks."""

    ACTOR = 0
    """Messages of client-protocol 7."""
    RAW = 1
    """Whatever the actor's ``on_websocket`` understands."""


class OpenConnection(Addressed, tag=8, frozen=True):
    """Open a connection to an actor; answered by :class:`Opened` or :class:`CloseConnection`.

    Its ``id`` is the number of the connection. The payload is JSON of the connection parameters,
    empty without any.
    """

    conn_id: str
    kind: ConnectionKind
    encoding: Encoding
    ray_id: str
    head: RequestHead
    input: bytes | None = None


class WakeActor(Addressed, tag=9, frozen=True):
    """Bring an actor into memory, by id, so that it restores its connections.

    Answered by a :class:`Result` when it is ready; a :class:`Revive` for each connection that it
    has on this link came before.
    """

    @property
    def ray_id(self) -> str:
        """The actor's own id: no client asked for this."""
        return self.key


class OpenExchange(Addressed, tag=10, frozen=True):
    """A request to an actor's ``on_request``; its body follows in :class:`BodyPart` frames."""

    ray_id: str
    head: RequestHead
    input: bytes | None = None
    params: bytes | None = None
    has_body: bool = False


class Message(Frame, tag=11, frozen=True):
    """A message of a connection's client, which is the payload."""

    number: int
    index: int
    """Counts the messages of the connection, from 0."""
    is_text: bool


class ClientGone(Frame, tag=12, frozen=True):
    """The client's socket is closed, or the gateway knows no such connection."""

    number: int
    code: int
    reason: str


class Credit(Frame, tag=13, frozen=True):
    """So many bytes of a raw connection or of a body were passed on; as many more may come."""

    number: int
    size: int


class BodyPart(Frame, tag=14, frozen=True):
    """A piece of a request's or response's body, which is the payload."""

    id: int
    is_last: bool


class BodyCredit(Frame, tag=15, frozen=True):
    """So many bytes of a body were passed on; as many more may come."""

    id: int
    size: int


class ExchangeAborted(Frame, tag=24, frozen=True):
    """One end gives the exchange up: its client left, or its handler failed on the way."""

    id: int


class Answer(Frame, tag=16, frozen=True):
    """An actor's answer to a :class:`Call` or :class:`Publish`: the payload is its body."""

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


class Opened(Frame, tag=19, frozen=True):
    """The answer to :class:`OpenConnection`: it is open, its messages are welcome."""

    id: int
    actor_id: str
    is_hibernatable: bool


class Deliver(Frame, tag=20, frozen=True):
    """A message to a connection's client, which is the payload."""

    number: int
    ack: int
    """The index of the client's message that is done with it, or -1."""
    is_text: bool


class Fanout(Frame, tag=21, frozen=True):
    """A message to the clients of many connections, which is the payload."""

    numbers: tuple[int, ...]
    is_text: bool


class Ack(Frame, tag=22, frozen=True):
    """The actor is done with a message, durably: it need not be kept any longer."""

    number: int
    index: int


class CloseConnection(Frame, tag=23, frozen=True):
    """Close the client's socket; also answers an :class:`OpenConnection` that a hook refused."""

    number: int
    code: int
    reason: str


class Suspended(Frame, tag=28, frozen=True):
    """The actor leaves memory; what the client sends from here on is kept until it is back."""

    number: int
    actor_id: str


class Revive(Frame, tag=25, frozen=True):
    """The actor is awake and has this connection again; messages that wait may come.

    Answered by the messages that were not acknowledged or by :class:`ClientGone`.
    """

    number: int
    conn_id: str


class ResponseHead(Frame, tag=26, frozen=True):
    """The answer to :class:`OpenExchange`: the head of the response; its body follows."""

    id: int
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    actor_id: str
    generation: int
    key: str
    is_last: bool
    """Whether the payload is the whole body."""


ToActor = Call | Publish | OpenConnection | WakeActor | OpenExchange | ControlWorkflow
"""What waits for its actor to be ready."""

GivenBack = Call | Publish | OpenExchange | ControlWorkflow
"""What comes back from a worker that leaves and did not begin with it: ask its successor."""

ToExchange = BodyPart | BodyCredit | ExchangeAborted
"""What belongs to an exchange, in both directions."""

ToConnection = Message | ClientGone | Credit
"""What a gateway says about a connection."""

OfConnection = Deliver | Fanout | Ack | Credit | CloseConnection | Suspended | Revive
"""What a worker says about a connection."""

Request = (
    ToActor
    | CreateActor
    | FindActors
    | ListNames
    | DestroyActor
    | SleepActor
    | ResolveNamespace
    | ListNamespaces
)
Reply = Answer | Refusal | Result | Opened | ResponseHead
AnyFrame = Hello | Goodbye | Request | Reply | ToConnection | OfConnection | ToExchange

encode_payload = msgspec.msgpack.Encoder().encode
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
    reschedule_ms: int | None = None
    """When its start, which failed, is tried again."""
    error: dict[str, Any] | None = None
    """Why its last start failed; none once a start has gone well (semantics page, 2.12)."""


class Created(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The payload that answers :class:`CreateActor`."""

    actor: ActorRecord
    created: bool


class NamespaceRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One namespace."""

    name: str
    created_ms: int
