"""Clients' WebSockets as the gateway holds them: it keeps the socket, whatever the worker does.

::

    OPENING ──Opened──> OPEN ──Suspended, worker gone──> SUSPENDED ──a message──> WAKING
       │                 ^                                                          │
       └──refused──> OVER└──────────────────────Revive──────────────────────────────┘
                                          (client leaves in the last two: LEAVING ──Revive──> OVER)

Rule 1. Every message gets an index and is kept until the worker acknowledges it. Whatever happens
        to the worker meanwhile, a hibernatable connection sends it again (semantics page, 6.5).
Rule 2. A client whose unacknowledged messages exceed a bound is not read from: what it sends
        waits in its own socket, and nothing is dropped.
        The same holds while a client does not read the answers it asked for.
Rule 3. A client that does not read what it is sent is closed when its backlog exceeds a bound, or
        events are left out for it, as configured.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from stator.runtime.errors import ActorError, ActorReadyTimeout, ActorRestarting
from stator.runtime.link.dialer import Dialer, Outcome
from stator.runtime.link.frames import (
    ClientGone,
    CloseConnection,
    ConnectionKind,
    Credit,
    Deliver,
    Message,
    OpenConnection,
    Opened,
    Refusal,
    Revive,
)

from .backends import refused
from .web_socket import WebSocket
from .web_socket_frames import make_frame

if TYPE_CHECKING:
    from .switchboard import Switchboard, Waking

ABNORMAL = 1006
CLOSE_ERROR = 1011
POLICY_VIOLATION = 1008
CREDIT_AT_BYTES = 32 * 1024
"""How much of a raw socket's output is passed on before the worker hears of it: a part of its
window, so that it never has to wait for a client that reads."""


class Phase(Enum):
    """Where a connection is in its life."""

    OPENING = "opening"
    OPEN = "open"
    SUSPENDED = "suspended"
    """Its actor is not in memory and nobody needs it to be."""
    WAKING = "waking"
    LEAVING = "leaving"
    """The client is gone, and its actor will hear so once it is awake."""
    OVER = "over"


class Bounds(msgspec.Struct, frozen=True):
    """How much a connection may hold up; one object serves all."""

    unanswered_messages: int
    unanswered_bytes: int
    backlog_bytes: int
    drops_events: bool
    open_timeout_s: float
    wake_timeout_s: float


class ClientConnection:
    """One client's connection to an actor; the owner of its :class:`.web_socket.WebSocket`."""

    __slots__ = (
        "_bounds",
        "_credit",
        "_next_index",
        "_opening",
        "_request",
        "_switchboard",
        "_timer",
        "_unanswered",
        "_unanswered_bytes",
        "actor_id",
        "admitted",
        "conn_id",
        "dialer",
        "is_hibernatable",
        "kind",
        "number",
        "phase",
        "ray_id",
        "shard",
        "socket",
        "waking",
    )

    socket: WebSocket
    """Set as soon as there is one; nothing happens before."""

    def __init__(
        self, switchboard: Switchboard, kind: ConnectionKind, conn_id: str, ray_id: str
    ) -> None:
        self._switchboard = switchboard
        self._bounds = switchboard.bounds
        self.kind = kind
        self.conn_id = conn_id
        self.ray_id = ray_id
        self.number = switchboard.next_number()
        self.phase = Phase.OPENING
        self.actor_id = ""
        self.shard = 0
        self.is_hibernatable = False
        self.dialer: Dialer | None = None
        """The link to the worker that has the connection or is to open it."""
        self.waking: Waking | None = None
        """The attempt to wake its actor that it waits for."""
        self.admitted: tuple[str, object] | None = None
        """Whom to tell that this client no longer counts (admission.py)."""
        self._next_index = 0
        self._unanswered: dict[int, tuple[bytes, bool]] = {}
        self._unanswered_bytes = 0
        self._credit = 0
        self._opening: asyncio.Future[Outcome] | None = None
        self._request: tuple[OpenConnection, bytes] | None = None
        """What to ask for, until it is answered."""
        self._timer: asyncio.TimerHandle | None = None

    # -- opening

    def open(self, dialer: Dialer, opening: OpenConnection, params: bytes) -> None:
        """Ask a worker to open it. The client may be gone already."""
        if self.phase is not Phase.OPENING:
            return
        self.dialer, self.shard = dialer, opening.shard
        self._switchboard.connections[self.number] = self
        self._request = (opening, params)
        self._ask_to_open()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._bounds.open_timeout_s, self._on_open_timeout)

    def _ask_to_open(self) -> None:
        assert self._request is not None and self.dialer is not None
        self._opening = self.dialer.request(*self._request)
        self._opening.add_done_callback(self._on_opened)

    def refuse(self, error: ActorError) -> None:
        """Close a socket that the gateway itself turns away (client-protocol, 9.6)."""
        self.end(CLOSE_ERROR, f"{error.group}.{error.code}#{self.ray_id}")

    def _on_opened(self, opening: asyncio.Future[Outcome]) -> None:
        error = None if opening.cancelled() else opening.exception()
        if self.phase is not Phase.OPENING or opening is not self._opening:
            return
        if isinstance(error, ActorRestarting):
            self._ask_to_open()  # the client was told nothing yet: the worker's successor may
            return
        self._stop_timer()
        self._request = None
        self._opening = None
        if isinstance(error, ActorError):
            self.refuse(error)
            return
        if error is not None:
            raise error
        reply, _ = opening.result()
        if isinstance(reply, Refusal):
            self.refuse(refused(reply))
            return
        assert isinstance(reply, Opened)
        self.actor_id, self.is_hibernatable = reply.actor_id, reply.is_hibernatable
        self._become_open()

    def _settle_opening(self) -> None:
        """Take note of an answer that came in the same piece as what is told now."""
        if self._opening is not None and self._opening.done():
            self._on_opened(self._opening)

    def _on_open_timeout(self) -> None:
        self._tell_worker(ClientGone(self.number, ABNORMAL, ""))
        self.refuse(ActorReadyTimeout())

    # -- what the client does (web_socket.Owner)

    def on_message(self, data: bytes, is_text: bool) -> None:
        """Keep a message and pass it on, or wake the actor for it."""
        index = self._next_index
        self._next_index = index + 1
        self._unanswered[index] = (data, is_text)
        self._unanswered_bytes += len(data)
        if self.phase is Phase.OPEN:
            self._tell_worker(Message(self.number, index, is_text), data)
        elif self.phase is Phase.SUSPENDED:
            self.wake()
        bounds = self._bounds
        if (
            self._unanswered_bytes > bounds.unanswered_bytes
            or len(self._unanswered) >= bounds.unanswered_messages
        ):
            self.socket.pause_reading()

    def on_closed(self, code: int, reason: str) -> None:
        """Tell the actor that the client is gone, waking it for that if need be."""
        if self.phase in (Phase.LEAVING, Phase.OVER):
            return
        is_told = self.phase in (Phase.OPENING, Phase.OPEN) and self._tell_worker(
            ClientGone(self.number, code, reason)
        )
        if is_told or self.phase is Phase.OPENING or not self.is_hibernatable:
            self._finish()
            return
        self._unanswered.clear()
        self._unanswered_bytes = 0
        was_waking = self.phase is Phase.WAKING
        self.phase = Phase.LEAVING
        if not was_waking:
            self._switchboard.wake(self)

    def on_drained(self) -> None:
        """Let a raw socket's handler send more, and the client ask for more."""
        if self._credit:
            self._give_credit()
        self._read_on()

    # -- what the worker says

    def deliver(self, frame: Deliver, payload: bytes) -> None:
        """Send a message to the client; it may answer one of the client's."""
        if frame.ack >= 0:
            self.acknowledge(frame.ack)
            if self.socket.is_behind:
                self.socket.pause_reading()  # who does not read answers may not ask for more
        is_event = frame.ack < 0 and self.kind is ConnectionKind.ACTOR
        self.send(make_frame(payload, frame.is_text), is_event=is_event)
        if self.kind is ConnectionKind.RAW:
            self._credit += len(payload)
            if self._credit >= CREDIT_AT_BYTES and not self.socket.is_behind:
                self._give_credit()

    def send(self, frame: bytes, *, is_event: bool) -> None:
        """Send a WebSocket frame, within the bound on what a slow client may hold up (rule 3)."""
        socket = self.socket
        if not socket.is_behind or self._has_room(len(frame), is_event=is_event):
            socket.send_frame(frame)

    def _has_room(self, size: int, *, is_event: bool) -> bool:
        """Whether a client that is behind may be sent so much; close it or count if not.

        What a raw socket is sent is bounded by its credit.
        """
        bounds, backlog = self._bounds, self.socket.backlog
        excess = backlog + size - bounds.backlog_bytes
        if excess <= 0 or not backlog or self.kind is ConnectionKind.RAW:
            return True
        if bounds.drops_events:
            if is_event:
                self._switchboard.dropped_events += 1
                return False
            if excess <= bounds.backlog_bytes:
                return True  # for replies there is as much again, where events filled the first
        self._switchboard.slow_clients += 1
        self._leave(POLICY_VIOLATION, "ws.client_too_slow")
        return False

    def acknowledge(self, index: int) -> None:
        """Forget a message that the worker is done with."""
        kept = self._unanswered.pop(index, None)
        if kept is None:
            return
        self._unanswered_bytes -= len(kept[0])
        if self.socket.is_paused:
            self._read_on()

    def close(self, frame: CloseConnection) -> None:
        """Close the client's socket as the actor wishes."""
        self.end(frame.code, frame.reason)

    def suspend(self) -> None:
        """Note that the actor is leaving memory; wake it again if the client waits for it."""
        self._settle_opening()
        if self.phase is Phase.OPEN:
            self.phase = Phase.SUSPENDED
            if self._unanswered:
                self.wake()

    def lose_worker(self) -> None:
        """Note that the worker is gone; the actor was awake, so it is to be awake again."""
        self._settle_opening()
        if self.phase is not Phase.OPEN:
            return
        if self.is_hibernatable:
            self.phase = Phase.SUSPENDED
            self.wake()
        else:
            self.end(CLOSE_ERROR, "actor.restarting")

    def wake(self) -> None:
        """Have the actor brought into memory."""
        self.phase = Phase.WAKING
        self._switchboard.wake(self)

    def revive(self, dialer: Dialer, frame: Revive) -> bool:
        """Go on with the actor's next generation; ``False`` if the client is gone."""
        if frame.conn_id != self.conn_id:
            return False
        self.dialer = dialer
        if self.phase is Phase.LEAVING:
            self._finish()
            return False
        if self.phase is not Phase.OPENING:  # else a worker died in between: Opened comes again
            self._become_open()
        return True

    # -- the end

    def end(self, code: int, reason: str) -> None:
        """Close the client's socket and forget the connection; the worker knows."""
        if self.phase is not Phase.OVER:
            self._finish()
            self.socket.close(code, reason)

    def _leave(self, code: int, reason: str) -> None:
        self.on_closed(code, reason)
        self.socket.close(code, reason)

    def _finish(self) -> None:
        self.phase = Phase.OVER
        self.waking = None
        self._stop_timer()
        self._stop_opening()
        self._unanswered.clear()
        self._unanswered_bytes = 0
        self._switchboard.forget(self)

    def _become_open(self) -> None:
        self.phase = Phase.OPEN
        self.waking = None
        self._credit = 0
        for index, (data, is_text) in self._unanswered.items():
            self._tell_worker(Message(self.number, index, is_text), data)

    def _read_on(self) -> None:
        bounds = self._bounds
        if (
            not self.socket.is_behind
            and self._unanswered_bytes <= bounds.unanswered_bytes // 2
            and len(self._unanswered) <= bounds.unanswered_messages // 2
        ):
            self.socket.resume_reading()

    def _give_credit(self) -> None:
        self._tell_worker(Credit(self.number, self._credit))
        self._credit = 0

    def _tell_worker(self, frame: Message | ClientGone | Credit, payload: bytes = b"") -> bool:
        """Send a frame; ``False`` if there is no worker that wants it."""
        return self.dialer is not None and self.dialer.post(frame, payload)

    def _stop_opening(self) -> None:
        """Expect no answer any more; a request that still waits for its link is not made."""
        opening, self._opening = self._opening, None
        if opening is not None and self.dialer is not None:
            self.dialer.forget(self.number)
            opening.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
