"""Which frame of a worker is for which client: the gateway's end of connections and exchanges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from stator.runtime.errors import ActorError, ActorReadyTimeout, ConnectionNotRestored
from stator.runtime.ids import shard_of_actor_id
from stator.runtime.link.dialer import Dialer, Outcome
from stator.runtime.link.frames import (
    Ack,
    AnyFrame,
    BodyCredit,
    BodyPart,
    ClientGone,
    CloseConnection,
    Deliver,
    ExchangeAborted,
    Fanout,
    Refusal,
    Resolution,
    Revive,
    Suspended,
    WakeActor,
)

from .backends import Backends, refused
from .connections import ABNORMAL, Bounds, ClientConnection
from .web_socket_frames import make_frame

if TYPE_CHECKING:
    from .exchanges import ClientExchange

RETRY_PAUSE_S = 0.05
"""Between two attempts to wake an actor whose worker is about to leave."""

_TRANSIENT = frozenset(
    {
        "guard.service_unavailable",
        "guard.actor_ready_timeout",
        "actor.restarting",
        "actor.stopping",
    }
)
"""What only says that the next attempt may meet another worker or generation."""


class Switchboard:
    """Implements ``runtime.link.dialer.Inbox`` for all links of a gateway."""

    def __init__(self, bounds: Bounds, next_number: Callable[[], int]) -> None:
        self.bounds = bounds
        self.next_number = next_number
        self.connections: dict[int, ClientConnection] = {}
        self.exchanges: dict[int, ClientExchange] = {}
        self.dropped_events = 0
        """Events left out for clients that read too slowly."""
        self.slow_clients = 0
        """Connections closed because their clients read too slowly."""
        self.on_forget: Callable[[ClientConnection], None] | None = None
        self._backends: Backends | None = None
        self._waking: dict[str, Waking] = {}

    def attach(self, backends: Backends) -> None:
        """Use ``backends`` to wake actors."""
        self._backends = backends

    # -- runtime.link.dialer.Inbox

    def take(self, dialer: Dialer, frame: AnyFrame, payload: bytes) -> None:
        """Take a frame that a worker sent of itself; one for a client that is gone is ignored."""
        if isinstance(frame, Deliver):
            connection = self.connections.get(frame.number)
            if connection is not None:
                connection.deliver(frame, payload)
        elif isinstance(frame, Fanout):
            self._fan_out(frame, payload)
        elif isinstance(frame, (BodyPart, BodyCredit, ExchangeAborted)):
            exchange = self.exchanges.get(frame.id)
            if exchange is not None:
                exchange.take(frame, payload)
        elif isinstance(frame, Revive):
            connection = self.connections.get(frame.number)
            if connection is None or not connection.revive(dialer, frame):
                dialer.post(ClientGone(frame.number, ABNORMAL, ""))
        else:
            self._tell(frame)

    def link_up(self, dialer: Dialer) -> None:
        """Do nothing: those who wait for the link have requests waiting in it."""

    def link_lost(self, dialer: Dialer) -> None:
        """Tell the clients whose actors lived at the other end."""
        for connection in list(self.connections.values()):
            if connection.dialer is dialer:
                connection.lose_worker()
        for exchange in list(self.exchanges.values()):
            if exchange.link is dialer:
                exchange.lose_worker()

    # -- connections

    def wake(self, connection: ClientConnection) -> None:
        """Have a connection's actor brought into memory; one request does for all of them."""
        waking = self._begin_to_wake(connection.actor_id, connection.shard)
        waking.connections.append(connection)
        connection.waking = waking

    def forget(self, connection: ClientConnection) -> None:
        """Expect nothing of a connection any more."""
        self.connections.pop(connection.number, None)
        if self.on_forget is not None:
            self.on_forget(connection)

    def _begin_to_wake(self, actor_id: str, shard: int) -> Waking:
        waking = self._waking.get(actor_id)
        if waking is None or waking.is_answered:
            waking = self._waking[actor_id] = Waking(actor_id, shard)
            waking.task = asyncio.get_running_loop().create_task(self._wake(waking))
        return waking

    def _fan_out(self, frame: Fanout, payload: bytes) -> None:
        data = make_frame(payload, frame.is_text)
        find = self.connections.get
        for number in frame.numbers:
            connection = find(number)
            if connection is not None:
                connection.send(data, is_event=True)

    def _tell(self, frame: AnyFrame) -> None:
        if not isinstance(frame, (Ack, CloseConnection, Suspended)):
            return
        connection = self.connections.get(frame.number)
        if connection is None:
            if (
                isinstance(frame, Suspended)
                and (shard := shard_of_actor_id(frame.actor_id)) is not None
            ):
                # The client left while the actor fell asleep: it has to hear of it awake.
                self._begin_to_wake(frame.actor_id, shard)
        elif isinstance(frame, Ack):
            connection.acknowledge(frame.index)
        elif isinstance(frame, CloseConnection):
            connection.close(frame)
        else:
            connection.suspend()

    async def _wake(self, waking: Waking) -> None:
        error: ActorError = ConnectionNotRestored()
        try:
            async with asyncio.timeout(self.bounds.wake_timeout_s):
                await self._ask_to_wake(waking)
        except TimeoutError:
            error = ActorReadyTimeout()
        except ActorError as problem:
            error = problem.with_traceback(None)  # whose frame would hold the connections
        finally:
            if self._waking.get(waking.actor_id) is waking:
                del self._waking[waking.actor_id]
        for connection in waking.connections:
            if connection.waking is waking:
                connection.refuse(error)  # its actor is awake without it, or cannot be woken

    async def _ask_to_wake(self, waking: Waking) -> None:
        """Return when the actor is awake; its connections were revived before the reply."""
        assert self._backends is not None
        while True:
            link = self._backends.link_to(waking.shard)
            request = WakeActor(
                link.next_id(), waking.shard, Resolution.BY_ID, "", "", waking.actor_id
            )
            waking.request = link.request(request)
            try:
                reply, _ = await waking.request
                if not isinstance(reply, Refusal):
                    return
                raise refused(reply)
            except ActorError as error:
                if f"{error.group}.{error.code}" not in _TRANSIENT:
                    raise
            finally:
                link.forget(request.id)
            await asyncio.sleep(RETRY_PAUSE_S)


class Waking:
    """An actor that is being brought into memory, and whose connections want that."""

    def __init__(self, actor_id: str, shard: int) -> None:
        self.actor_id = actor_id
        self.shard = shard
        self.connections: list[ClientConnection] = []
        self.request: asyncio.Future[Outcome] | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the actor was awake already. Who wants to wake it now was suspended since."""
        request = self.request
        return request is not None and request.done() and not request.cancelled()
