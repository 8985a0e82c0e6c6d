"""Connections: the worker's ends of WebSockets that clients opened to actors.

Rule 1. A connection belongs to one actor in memory. Its gateway keeps the client's socket, so the
        connection can leave memory with its actor and come back (``hibernation.py``).
Rule 2. Every message of the client is acknowledged once what it did is durable: with the reply,
        or alone. Until then the gateway keeps it, and delivers it again if this worker dies.
Rule 3. Everything it sends goes through the output gate of its shard, so it is in order with the
        replies, and nothing leaves before the change it speaks of is on disk.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from stator.runtime.calling import CALLER
from stator.runtime.conn import Conn
from stator.runtime.declarations import Event
from stator.runtime.error_views import ErrorView, public_view
from stator.runtime.errors import InvalidRequest, StorageUnavailable
from stator.runtime.events import check_payload, resolve_event
from stator.runtime.link.frames import (
    Ack,
    AnyFrame,
    CloseConnection,
    ConnectionKind,
    Deliver,
    Message,
    OpenConnection,
    Opened,
    Suspended,
)
from stator.runtime.protocol.bare import COMMON_VERSION
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    ErrorMessage,
    Init,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from stator.runtime.protocol.connection import Event as EventMessage
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.to_client import (
    decode_to_client,
    encode_to_client,
)
from stator.runtime.protocol.to_server import decode_to_server
from stator.runtime.raw_http import BodySource, Request
from stator.runtime.state_codec import StateTracker

from .connection_calls import ConnectionCall
from .hibernation import forget, read_head, remember
from .hook_budget import within
from .lifecycle import Status
from .visits import Visit, dismiss

if TYPE_CHECKING:
    from .cell import Cell
    from .gateway_link import GatewayLink

CLOSE_ERROR = 1011
CLOSE_NORMAL = 1000
NO_ACK = -1


class Handler(Protocol):
    """Takes the messages of a raw connection."""

    def take(self, index: int, message: str | bytes) -> None: ...
    def credit(self, size: int) -> None: ...
    def client_gone(self, code: int, reason: str) -> None: ...
    def leave(self) -> None: ...
    def cancel(self) -> None: ...
    def dismiss_after(self, seconds: float) -> None: ...


class Connection(Visit):
    """One client's WebSocket."""

    is_socket = True

    __slots__ = (
        "conn_id",
        "encoding",
        "is_hibernatable",
        "is_opening",
        "is_over",
        "kind",
        "last_index",
        "link",
        "number",
        "opened",
        "raw",
        "state_image",
        "subscriptions",
        "token",
        "tracker",
        "version",
        "waiting",
    )

    def __init__(
        self, cell: Cell, opening: OpenConnection, params: bytes, link: GatewayLink | None
    ) -> None:
        super().__init__(cell, params or None, opening.head)
        self.number = opening.id
        self.conn_id = opening.conn_id
        self.kind = opening.kind
        self.encoding = opening.encoding
        self.link = link
        """Where its gateway is; ``None`` once nobody is there any more."""
        self.token = "" if link is None else link.token
        self.is_hibernatable = self.kind is ConnectionKind.ACTOR
        self.is_opening = False
        """Whether the hooks that let it in are running."""
        self.is_over = False
        self.version = COMMON_VERSION if self.encoding is Encoding.BARE else 0
        """The BARE version of the client, known from its first message (client-protocol, 12.4)."""
        self.last_index = NO_ACK
        """The index of the last message that the actor got."""
        self.subscriptions: dict[str, None] = {}
        """What it listens to, in order of asking."""
        self.tracker: StateTracker | None = None
        """Remembers the stored state of a connection that can hibernate."""
        self.opened = b""
        """The stored image of what never changes, where it is needed again."""
        self.state_image: bytes | None = None
        """What is stored of its state."""
        self.raw: Handler | None = None
        self.waiting: deque[tuple[int, Any]] | None = None
        """Messages behind a subscription that an ``async`` gate is deciding about."""

    def make_request(self, body: BodySource | None = None) -> Request | None:
        """Return the request that opened it, read again from what is stored once it is open."""
        if self.head is None and self.opened:
            self.head = read_head(self.opened)
        return super().make_request(body)

    def settle(self, opened: bytes) -> None:
        """Keep ``opened``, its stored image, in place of the request that opened it.

        An idle connection has no use for some forty objects of headers.
        """
        definition = self.cell.definition
        is_needed = self.kind is ConnectionKind.RAW or "on_disconnect" in definition.hooks
        self.opened = opened if is_needed else b""
        self.head = None

    @property
    def params(self) -> bytes:
        """The parameters as the client sent them."""
        return self._params or b""

    # -- what its gateway says

    def take(self, frame: Message, payload: bytes) -> None:
        """Take one message of the client."""
        if self.cell.status is not Status.READY:
            return  # not acknowledged: the next generation gets it
        if self.raw is not None:
            self.raw.take(frame.index, payload.decode() if frame.is_text else payload)
            return
        self.last_index = frame.index
        if self.kind is ConnectionKind.RAW:
            self.acknowledge(frame.index)  # the actor has no on_websocket: nobody listens
            return
        try:
            message, version = decode_to_server(self.encoding, payload)
        except InvalidRequest as error:
            self.cell.log.info("undecodable message", conn=self.conn_id, problem=error.message)
            self.close(CLOSE_ERROR, "actor.invalid_request")
            return
        if version != self.version:
            self.version = version
            self.cell.topics.regroup(self)
            remember(self)
        if self.waiting is None:
            self._handle(frame.index, message)
        else:
            self.waiting.append((frame.index, message))

    def client_gone(self, code: int, reason: str) -> None:
        """Take note that the client's socket is closed."""
        if self.raw is not None:
            self.raw.client_gone(code, reason)
        self.leave()

    def _handle(self, index: int, message: ToServer) -> None:
        if isinstance(message, ActionRequest):
            caller = ConnectionCall(self, message.id, index)
            self.cell.runner.run(caller, message.name, message.args)
        else:
            self._subscribe(message, index)

    # -- subscriptions

    def _subscribe(self, message: SubscriptionRequest, index: int) -> None:
        name = message.event_name
        declared = self.cell.definition.events.get(name)
        gate = None if declared is None else declared.subscribe_gate
        if not message.subscribe or gate is None or name in self.subscriptions:
            self._listen(name, message.subscribe, index)
            return
        token = CALLER.set(self)
        try:
            verdict: Any = gate(self.cell.actor, self.conn)
            if hasattr(verdict, "__await__"):
                self.waiting = deque()
                self.cell.enter()
                self.cell.spawn(self._await_verdict(name, verdict, index))
                return
        except BaseException as error:  # user code must not end the worker
            verdict = error
        finally:
            CALLER.reset(token)
        self._obey(name, verdict, index)

    async def _await_verdict(self, name: str, verdict: Any, index: int) -> None:
        seconds = self.cell.definition.settings.on_before_connect_timeout
        try:
            verdict = await within(self.cell.shard.clock, "can_subscribe", seconds, verdict)
        except BaseException as error:  # as above
            verdict = error
        finally:
            self.cell.leave()
        waiting, self.waiting = self.waiting, None
        self._obey(name, verdict, index)
        for number, message in waiting or ():
            if self.is_over:
                return
            if self.waiting is None:
                self._handle(number, message)
            else:
                self.waiting.append((number, message))

    def _obey(self, name: str, verdict: Any, index: int) -> None:
        """Do what a gate said: ``True`` or ``False``, or what it raised (semantics page, 6.4)."""
        if verdict is True:
            self._listen(name, True, index)
        elif verdict is False:
            self.close(CLOSE_ERROR, "auth.forbidden")
        else:
            is_error = isinstance(verdict, BaseException)
            error = verdict if is_error else TypeError(f"can_subscribe gave {verdict!r}, no bool")
            self.cell.log.error("can_subscribe failed", name=name, exc_info=error)
            view = public_view(error)
            self.report(view)
            self.close(CLOSE_ERROR, f"{view.group}.{view.code}")

    def _listen(self, name: str, wanted: bool, index: int) -> None:
        if not self.is_admitted:
            return
        if wanted:
            self.subscriptions[name] = None
            self.cell.topics.add(name, self)
        elif name in self.subscriptions:
            del self.subscriptions[name]
            self.cell.topics.remove(name, self)
        remember(self)
        self.acknowledge(index)

    # -- what it sends

    def send(self, header: AnyFrame, payload: bytes = b"") -> None:
        """Hand a frame to its gateway now; where no gateway is, nobody could read it."""
        if self.link is not None:
            self.link.send(header, payload)

    def deliver(self, message: ToClient, ack: int = NO_ACK) -> None:
        """Send a message of the protocol, behind the changes and output before it."""
        data = encode_to_client(self.encoding, self.version, message)
        self.cell.shard.emit(self.cell, self, self.as_delivery(ack), data)

    def as_delivery(self, ack: int = NO_ACK) -> Deliver:
        """Return the header of a message to the client."""
        return Deliver(self.number, ack, self.encoding is Encoding.JSON)

    def acknowledge(self, index: int) -> None:
        """Tell the gateway that a message is done with."""
        self.cell.shard.emit(self.cell, self, Ack(self.number, index), b"")

    def welcome(self) -> None:
        """Send the message that opens an actor connection (client-protocol, 7.3)."""
        self.deliver(Init(self.cell.actor_id, self.conn_id))

    def report(self, view: ErrorView) -> None:
        """Send an error of the whole connection (client-protocol, 7.5)."""
        self.deliver(ErrorMessage(view, None))

    def lose(self, header: AnyFrame, payload: bytes) -> None:
        """Answer for an output whose changes could not be stored."""
        if isinstance(header, CloseConnection):
            self.send(header)
        elif isinstance(header, Opened):
            self.turn_away("storage.unavailable")
        if not isinstance(header, Deliver) or header.ack == NO_ACK or self.raw is not None:
            return
        message, _ = decode_to_client(self.encoding, payload)
        action_id = message.id if isinstance(message, ActionResponse) else None
        if isinstance(message, ErrorMessage):
            action_id = message.action_id
        error = ErrorMessage(public_view(StorageUnavailable()), action_id)
        self.send(header, encode_to_client(self.encoding, self.version, error))

    # -- the end

    def close(self, code: int, reason: str) -> None:
        """Close the client's socket, behind what was sent before, and end the connection."""
        if self.is_over:
            return
        reason = reason.encode("utf-8", "replace").decode()  # it may be the text of an actor
        self.cell.shard.emit(self.cell, self, CloseConnection(self.number, code, reason), b"")
        if self.raw is not None:
            self.raw.client_gone(code, reason)
        self.leave()

    def leave(self) -> None:
        """End the connection for the actor: its client is gone or was sent away."""
        if self.is_over:
            return
        self.is_over = True
        self.detach()
        forget(self)
        if self.is_opening:
            return  # on_connect comes to its end before on_disconnect begins
        if self.raw is None:
            dismiss(self)
        else:
            self.cell.visits.pop(self.conn_id, None)
            self.raw.dismiss_after(self.cell.definition.settings.on_connect_timeout)

    def detach(self) -> None:
        """Take it out of this worker's tables; what the client sends is ignored from here on."""
        self.cell.topics.forget(self)
        self.cell.touched.pop(self, None)
        if self.link is not None:
            self.link.connections.pop(self.number, None)

    def suspend(self) -> None:
        """Leave memory with the actor. What the client sends from here on is kept for the next
        generation, if the connection can hibernate; otherwise its socket is closed."""
        if self.is_hibernatable and not self.is_opening:
            self._part(Suspended(self.number, self.cell.row.actor_id))
        else:
            self.turn_away("actor.restarting")

    def turn_away(self, reason: str) -> None:
        """Close the client's socket at once, where nothing of the actor leaves any more."""
        self._part(CloseConnection(self.number, CLOSE_ERROR, reason))

    def _part(self, last: Suspended | CloseConnection) -> None:
        if self.is_over:
            return
        self.is_over = True
        self.detach()
        if self.raw is not None:
            self.raw.cancel()
        self.send(last)

    # -- runtime.conn.ConnHost

    def send_event(self, conn: Conn, event: Event[Any] | str, args: tuple[Any, ...]) -> None:
        """Send an event to this connection; a raw one has no events."""
        name, declared = resolve_event(self.cell.definition.events, event)
        payload = check_payload(declared, args)
        if self.kind is ConnectionKind.RAW or self.is_over:
            self.cell.log.debug("event for a connection that gets none", name=name, conn=conn.id)
            return
        if self.cell.shard.leaves_out_events(self.cell):
            return
        data = encode_to_client(self.encoding, self.version, EventMessage(name, payload))
        if len(data) > self.cell.runner.max_message_bytes:
            self.close(CLOSE_ERROR, "message.outgoing_too_long")
        else:
            self.cell.shard.emit(self.cell, self, self.as_delivery(), data)

    def touch(self) -> None:
        """Note that the state of the connection may change from here on."""
        if self.tracker is not None:
            self.cell.touched[self] = None

    async def disconnect(self, conn: Conn, reason: str | None) -> None:
        """Close the connection for the actor's code."""
        self.close(CLOSE_NORMAL, reason or "")
