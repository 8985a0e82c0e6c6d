"""The calling side of a link to one worker: connects, reconnects, matches replies to requests.

States and what happens to a request in each (architecture, "Failure rules"):

===========  ====================================================================
connected    it is handed over at once
connecting   it waits; it is handed over after the worker's Hello, or fails with
             ``guard.actor_ready_timeout`` when ``ready_timeout`` is over
leaving      the worker said Goodbye: the link carries replies until it ends, and new
             requests wait for the successor as in ``connecting``
closed       it fails with ``guard.service_unavailable``
===========  ====================================================================

A worker that leaves hands back what it did not begin with, and publications that still wait; they
wait for its successor as requests do that were not handed over. One that was handed over when the
link broke fails with ``actor.restarting``: whether the worker ran it is unknown, so only the caller
may repeat it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ..errors import ActorReadyTimeout, ActorRestarting, ServiceUnavailable
from .channel import Channel
from .frame_codec import LinkProtocolError
from .frames import (
    Answer,
    AnyFrame,
    BodyCredit,
    BodyPart,
    ExchangeAborted,
    GivenBack,
    Goodbye,
    Hello,
    Opened,
    Publish,
    Refusal,
    Reply,
    Request,
    ResponseHead,
    Result,
)

RECONNECT_DELAY_S = 0.02
"""The listening socket belongs to the supervisor and outlives the worker: connecting again is
cheap, waits in its backlog, and needs no back-off."""

Outcome = tuple[Reply, bytes]

_REPLIES = frozenset({Answer, Refusal, Result, Opened, ResponseHead})
_OF_EXCHANGES = frozenset({BodyPart, BodyCredit, ExchangeAborted})
"""These follow a request that was handed over, so a worker that leaves gets them as well."""


class Inbox(Protocol):
    """Takes what a worker sends of itself: frames of connections and exchanges."""

    def take(self, dialer: Dialer, frame: AnyFrame, payload: bytes) -> None: ...
    def link_up(self, dialer: Dialer) -> None: ...
    def link_lost(self, dialer: Dialer) -> None: ...


@dataclass(slots=True)
class _Waiting:
    """A request that was not handed over yet."""

    request: Request
    payload: bytes
    reply: asyncio.Future[Outcome]
    deadline: float


class Dialer:
    """A link to the worker that listens on ``path``, kept up until :meth:`close`."""

    def __init__(
        self,
        path: str,
        hello: Hello,
        *,
        ready_timeout: float,
        ids: Iterator[int] | None = None,
        inbox: Inbox | None = None,
    ) -> None:
        """``ids`` are shared by links whose requests must not have the same number."""
        self._path = path
        self._hello = hello
        self._ready_timeout = ready_timeout
        self._loop = asyncio.get_running_loop()
        self._ids = itertools.count(1) if ids is None else ids
        self._inbox = inbox
        self._channel: Channel | None = None
        self._leaving: Channel | None = None
        self._opening: Channel | None = None
        self._handed_over: dict[int, asyncio.Future[Outcome]] = {}
        self._publications: set[int] = set()
        """Which of them the worker hands back if it has to leave before it answers."""
        self._waiting: deque[_Waiting] = deque()
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False
        self.peer_actors: dict[str, dict[str, str]] = {}
        """What the worker's Hello said of its registry."""
        self.peer_wants_requests = False
        self.on_connected: asyncio.Event = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """How many requests have no reply yet."""
        return len(self._handed_over) + len(self._waiting)

    def next_id(self) -> int:
        """Return a fresh request id of this link."""
        return next(self._ids)

    def start(self) -> None:
        """Connect in the background."""
        if self._connecting is None and not self._closed:
            self._connecting = self._loop.create_task(self._connect(), name=f"link {self._path}")

    def request(self, request: Request, payload: bytes = b"") -> asyncio.Future[Outcome]:
        """Send ``request``, whose id came from :meth:`next_id`, and return its reply's future.

        The future fails as the table says, or with :class:`LinkProtocolError` for a request that
        is larger than a frame.
        """
        reply: asyncio.Future[Outcome] = self._loop.create_future()
        channel = self._channel
        if channel is not None:
            self._hand_over(channel, request, payload, reply)
        elif self._closed:
            reply.set_exception(ServiceUnavailable())
        else:
            self._wait_for_link(request, payload, reply)
        return reply

    def post(self, frame: AnyFrame, payload: bytes = b"") -> bool:
        """Send a frame that nothing answers; ``False`` if the link is down and it was not sent.

        A worker that said Goodbye is sent what belongs to its exchanges and nothing else: what
        is about connections is for its successor.
        """
        channel = self._channel or (self._leaving if type(frame) in _OF_EXCHANGES else None)
        if channel is None:
            return False
        channel.send(frame, payload)
        return True

    def forget(self, request_id: int) -> None:
        """Expect no reply to a request any more."""
        self._publications.discard(request_id)
        if self._handed_over.pop(request_id, None) is not None and self._leaving is not None:
            self._settle(self._leaving)

    def close(self) -> None:
        """Close the link; whatever still waits fails."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        for channel in (self._opening, self._channel, self._leaving):
            if channel is not None:
                channel.close()
        self._opening = self._channel = self._leaving = None
        self.on_connected.clear()
        self._fail_handed_over()
        while self._waiting:
            _fail(self._waiting.popleft().reply, ServiceUnavailable())

    def _wait_for_link(
        self, request: Request, payload: bytes, reply: asyncio.Future[Outcome]
    ) -> None:
        deadline = self._loop.time() + self._ready_timeout
        if not self._waiting:
            self._loop.call_at(deadline, self._expire_waiting)
        self._waiting.append(_Waiting(request, payload, reply, deadline))
        self.start()

    def _expire_waiting(self) -> None:
        now = self._loop.time()
        while self._waiting and (self._waiting[0].deadline <= now or self._waiting[0].reply.done()):
            _fail(self._waiting.popleft().reply, ActorReadyTimeout())
        if self._waiting:
            self._loop.call_at(self._waiting[0].deadline, self._expire_waiting)

    async def _connect(self) -> None:
        while not self._closed:
            try:
                await self._loop.create_unix_connection(
                    lambda: Channel(self._on_frame, self._on_lost, on_open=self._on_open),
                    self._path,
                )
                return
            except OSError:
                # The supervisor is putting the listener in place, or the service is ending.
                await asyncio.sleep(RECONNECT_DELAY_S)

    def _on_open(self, channel: Channel, _: BaseException | None) -> None:
        channel.send(self._hello)
        self._opening = channel

    def _on_frame(self, frame: AnyFrame, payload: bytes) -> None:
        if type(frame) in _REPLIES:
            reply = self._handed_over.pop(frame.id, None)  # type: ignore[union-attr]
            self._publications.discard(frame.id)  # type: ignore[union-attr]
            if reply is not None and not reply.done():
                reply.set_result((frame, payload))  # type: ignore[arg-type]
            if self._leaving is not None and reply is not None:
                self._settle(self._leaving)
        elif isinstance(frame, Hello):
            if self._opening is not None:
                self.peer_actors = frame.actors
                self.peer_wants_requests = frame.wants_requests
                self._hand_over_waiting(self._opening)
        elif isinstance(frame, Goodbye):
            self._part()
        elif isinstance(frame, GivenBack):
            self._take_back(frame, payload)
        elif self._inbox is not None:
            self._inbox.take(self, frame, payload)
        else:
            raise LinkProtocolError(f"the calling side of a link got a {type(frame).__name__}")

    def _hand_over_waiting(self, channel: Channel) -> None:
        self._channel, self._opening = channel, None
        if self._inbox is not None:
            self._inbox.link_up(self)
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.reply.done():
                self._hand_over(channel, waiting.request, waiting.payload, waiting.reply)
        self.on_connected.set()

    def _part(self) -> None:
        """Hand nothing over any more and say so; the link ends when the worker has answered."""
        if self._channel is None:
            raise LinkProtocolError("a Goodbye before the Hello, or a second one")
        self._leaving, self._channel = self._channel, None
        self.on_connected.clear()
        self._leaving.send(Goodbye())
        self._settle(self._leaving)

    def _take_back(self, request: GivenBack, payload: bytes) -> None:
        """Keep a request that the worker did not begin with, or a publication whose message is
        stored, for the worker's successor."""
        reply = self._handed_over.pop(request.id, None)
        self._publications.discard(request.id)
        if reply is not None and not reply.done():
            self._wait_for_link(request, payload, reply)
        if self._leaving is not None:
            self._settle(self._leaving)

    def _settle(self, leaving: Channel) -> None:
        """Tell a leaving worker when it owes no reply that only it can give."""
        if len(self._handed_over) == len(self._publications):
            leaving.send(Goodbye())

    def _hand_over(
        self, channel: Channel, request: Request, payload: bytes, reply: asyncio.Future[Outcome]
    ) -> None:
        try:
            channel.send(request, payload)
        except LinkProtocolError as error:
            reply.set_exception(error)
        else:
            self._handed_over[request.id] = reply
            if type(request) is Publish:
                self._publications.add(request.id)

    def _on_lost(self, channel: Channel, _: BaseException | None) -> None:
        was_up = channel in (self._channel, self._leaving)
        if was_up:
            self._channel = self._leaving = None
            self.on_connected.clear()
        self._fail_handed_over()
        if was_up and self._inbox is not None:
            self._inbox.link_lost(self)
        self._connecting = None
        if not self._closed:
            self._loop.call_later(RECONNECT_DELAY_S, self.start)

    def _fail_handed_over(self) -> None:
        lost, self._handed_over = self._handed_over, {}
        self._publications.clear()
        for reply in lost.values():
            _fail(reply, ActorRestarting(metadata={"retryable": True}))


def _fail(reply: asyncio.Future[Outcome], error: Exception) -> None:
    if not reply.done():
        reply.set_exception(error)
