"""A connection to an actor (python-api, section 11): events, and calls in order on one socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar, TypeVarTuple, get_origin, overload

import msgspec

from stator.runtime.actor import Actor
from stator.runtime.declarations import Event
from stator.runtime.errors import ActorError
from stator.runtime.events import check_payload
from stator.runtime.handles import ActorHandle, Address, Transport, wire_name_of
from stator.runtime.protocol.queue import QueueSendRequest, QueueSendResponse
from stator.runtime.workflow_control import Verb, VerbArguments

from .callbacks import Unsubscribe
from .listeners import EventStream
from .session import Session, Status

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EVENTS_KEPT = 1000
"""How many events an iteration keeps for a loop that is busy, unless told otherwise."""


class _OverConnection:
    """Carries calls over a connection, and everything else over HTTP."""

    def __init__(self, session: Session, http: Transport) -> None:
        self._session = session
        self._http = http

    async def call(self, address: Address, action: str, arguments: Sequence[Any]) -> Any:
        return await self._session.call(action, arguments)

    async def publish(
        self, address: Address, queue: str, message: QueueSendRequest
    ) -> QueueSendResponse:
        # Such a message has a short connection of its own, which gives the same parameters.
        params = await self._session.current_params()
        return await self._http.publish(
            msgspec.structs.replace(address, params=params), queue, message
        )

    async def create(self, address: Address) -> str:
        return await self._http.create(address)

    async def resolve(self, address: Address) -> str:
        return await self._http.resolve(address)

    async def control_workflow(
        self, address: Address, verb: Verb, arguments: VerbArguments
    ) -> bytes:
        return await self._http.control_workflow(address, verb, arguments)

    def gateway_url(self, address: Address) -> str:
        return self._http.gateway_url(address)


class Connection(ActorHandle):
    """A connection that opens itself again when it is lost. Any attribute is an action::

        async with room.connect(params={"name": "Ada"}) as conn:
            conn.on("newMessage", print)
            await conn.send("hello")

    Without ``async with`` it connects as well, and must be closed.
    """

    def __init__(
        self,
        session: Session,
        http: Transport,
        address: Address,
        actor: type[Actor] | None,
    ) -> None:
        """``actor`` is the class of the handle, if it was made from one."""
        super().__init__(_OverConnection(session, http), address, actor)
        self._session = session

    @property
    def status(self) -> Status:
        """``idle`` (not begun, given up or closed), ``connecting``, ``connected`` or
        ``disconnected`` (lost a moment ago)."""
        return self._session.status

    @property
    def id(self) -> str | None:
        """The connection's id, another one after each reconnection; ``None`` unless connected."""
        return None if self._session.init is None else self._session.init.connection_id

    @property
    def actor_id(self) -> str | None:
        """The id of the actor it is connected to; ``None`` unless connected."""
        return None if self._session.init is None else self._session.init.actor_id

    async def ready(self) -> None:
        """Return once connected. Raises the ``ActorError`` that made it give up."""
        await self._session.wait_open()

    async def close(self) -> None:
        """Close it: iterations over events end, calls without an answer and later ones raise
        ``client.connection_closed``. May be called twice."""
        await self._session.close()

    # -- events

    @overload
    def on(self, event: Event[tuple[*Ts]], callback: Callable[[*Ts], object]) -> Unsubscribe: ...
    @overload
    def on(self, event: Event[None], callback: Callable[[], object]) -> Unsubscribe: ...
    @overload
    def on(self, event: Event[T], callback: Callable[[T], object]) -> Unsubscribe: ...
    @overload
    def on(self, event: str, callback: Callable[..., object]) -> Unsubscribe: ...
    def on(self, event: Any, callback: Callable[..., object]) -> Unsubscribe:
        """Call ``callback`` with the arguments of each event; returns what ends it.

        ``event`` is a declaration, whose type the arguments have, or a wire name.
        """
        return self._listen(event, callback, once=False)

    @overload
    def once(self, event: Event[tuple[*Ts]], callback: Callable[[*Ts], object]) -> Unsubscribe: ...
    @overload
    def once(self, event: Event[None], callback: Callable[[], object]) -> Unsubscribe: ...
    @overload
    def once(self, event: Event[T], callback: Callable[[T], object]) -> Unsubscribe: ...
    @overload
    def once(self, event: str, callback: Callable[..., object]) -> Unsubscribe: ...
    def once(self, event: Any, callback: Callable[..., object]) -> Unsubscribe:
        """Call ``callback`` with the arguments of the next event only."""
        return self._listen(event, callback, once=True)

    @overload
    def events(self, event: Event[T], *, limit: int = ...) -> EventStream[T]: ...
    @overload
    def events(self, event: str, *, limit: int = ...) -> EventStream[Any]: ...
    def events(self, event: Any, *, limit: int = EVENTS_KEPT) -> EventStream[Any]:
        """Return an iteration over the payloads of an event, from now on.

        A payload is the event's argument, a tuple if it has several, ``None`` if it has none.
        At most ``limit`` events wait for the loop; one more ends the iteration with
        ``client.consumer_too_slow``.
        """
        if limit < 1:
            raise ValueError("limit is at least 1")
        name = wire_name_of(event, self._actor)
        declared = _declaration(event)
        stream = EventStream[Any](name, limit, lambda args: _payload(declared, args))
        self._session.follow(stream)
        return stream

    # -- what happens to the connection

    def on_open(self, callback: Callable[[], object]) -> Unsubscribe:
        """Call ``callback`` each time it is connected, also if it is now."""
        session = self._session
        if session.status == "connected":
            session.runner.run_soon(callback)
        return session.on_open.add(callback)

    def on_close(self, callback: Callable[[], object]) -> Unsubscribe:
        """Call ``callback`` each time an open connection ends."""
        return self._session.on_close.add(callback)

    def on_error(self, callback: Callable[[ActorError], object]) -> Unsubscribe:
        """Call ``callback`` with errors that no call raises: of attempts and lost connections."""
        return self._session.on_error.add(callback)

    def on_status(self, callback: Callable[[Status], object]) -> Unsubscribe:
        """Call ``callback`` with each new status."""
        return self._session.on_status.add(callback)

    # -- contexts

    async def __aenter__(self) -> Connection:
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{self.status} connection to {super().__repr__().strip('<>')}>"

    def _listen(
        self, event: Event[Any] | str, callback: Callable[..., object], *, once: bool
    ) -> Unsubscribe:
        session = self._session
        declared = _declaration(event)

        def listener(args: list[Any]) -> bool:
            try:
                arguments = check_payload(declared, tuple(args))
            except ActorError as error:
                session.report(error)
            else:
                session.runner.run(callback, *arguments)
            return not once

        return session.listeners.add(wire_name_of(event, self._actor), listener)


def _declaration(event: Event[Any] | str) -> Event[Any] | None:
    return None if isinstance(event, str) else event


def _payload(declared: Event[Any] | None, args: list[Any]) -> Any:
    """Return what an iteration gives for an event. Raises ``actor.validation_error``."""
    arguments = check_payload(declared, tuple(args))
    expected = Any if declared is None else declared.payload_type
    if len(arguments) == 1 and expected is not tuple and get_origin(expected) is not tuple:
        return arguments[0]
    is_none = not arguments and get_origin(expected) is not tuple
    return None if is_none else tuple(arguments)
