"""One link of a worker: hands what arrives to the engine, to connections and to exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stator.runtime.control import Counter
from stator.runtime.link.channel import Channel
from stator.runtime.link.frame_codec import LinkProtocolError
from stator.runtime.link.frames import (
    AnyFrame,
    BodyCredit,
    BodyPart,
    Call,
    ClientGone,
    Credit,
    ExchangeAborted,
    Goodbye,
    Hello,
    Message,
    OfConnection,
    Publish,
    Reply,
)

if TYPE_CHECKING:
    from .connections import Connection
    from .engine import Engine
    from .exchanges import Exchange
    from .queues.publications import Publication


class GatewayLink:
    """A link from a gateway, or from another worker, which only ever sends requests.

    It is the port of everything that leaves by it.
    """

    __slots__ = (
        "_engine",
        "_hello",
        "channel",
        "connections",
        "exchanges",
        "goodbyes",
        "publications",
        "role",
        "send",
        "token",
    )

    def __init__(self, engine: Engine, hello: Hello) -> None:
        self._engine = engine
        self._hello = hello
        self.channel: Channel
        self.role = ""
        """Of the process at the other end, known from its Hello."""
        self.goodbyes = 0
        """How often the other end said Goodbye; see ``farewell.py``."""
        self.token = ""
        """Of the gateway at the other end, known from its Hello."""
        self.connections: dict[int, Connection] = {}
        self.exchanges: dict[int, Exchange] = {}
        self.publications: dict[int, Publication] = {}
        """Messages for queues whose senders wait until they are completed."""

    def attach(self, channel: Channel) -> None:
        """Use ``channel`` from here on."""
        self.channel = channel
        self.send = channel.send

    def take(self, frame: AnyFrame, payload: bytes) -> None:
        """Take one frame."""
        kind = type(frame)
        if kind is Message:
            connection = self.connections.get(frame.number)  # type: ignore[union-attr]
            if connection is not None:
                connection.take(frame, payload)  # type: ignore[arg-type]
        elif kind is Call or kind is Publish:
            self._engine.counters[Counter.REQUESTS] += 1
            self._engine.accept(frame, payload, self)  # type: ignore[arg-type]
        elif isinstance(frame, Hello):
            self.role = frame.role
            self.token = frame.token
            self.send(self._hello)
            self._engine.greet(self)
        elif isinstance(frame, (ClientGone, Credit)):
            self._tell_connection(frame)
        elif isinstance(frame, (BodyPart, BodyCredit, ExchangeAborted)):
            self._tell_exchange(frame, payload)
        elif isinstance(frame, Goodbye):
            self.goodbyes += 1
        elif isinstance(frame, Reply | OfConnection):
            raise LinkProtocolError(f"a worker got a {kind.__name__}")
        else:
            self._engine.counters[Counter.REQUESTS] += 1
            self._engine.accept(frame, payload, self)  # type: ignore[arg-type]

    def lost(self) -> None:
        """End what the other end held: its clients are gone with it."""
        self._engine.miss(self)
        for connection in list(self.connections.values()):
            connection.link = None
            connection.client_gone(1006, "")
        for exchange in list(self.exchanges.values()):
            exchange.client_gone()
        for publication in list(self.publications.values()):
            publication.client_gone()

    def _tell_connection(self, frame: ClientGone | Credit) -> None:
        connection = self.connections.get(frame.number)
        if connection is None:
            return
        if isinstance(frame, ClientGone):
            connection.client_gone(frame.code, frame.reason)
        elif connection.raw is not None:
            connection.raw.credit(frame.size)

    def _tell_exchange(self, frame: BodyPart | BodyCredit | ExchangeAborted, data: bytes) -> None:
        exchange = self.exchanges.get(frame.id)
        if exchange is None:
            publication = self.publications.get(frame.id)
            if publication is not None and isinstance(frame, ExchangeAborted):
                publication.client_gone()
            return
        if isinstance(frame, BodyPart):
            exchange.take(frame, data)
        elif isinstance(frame, BodyCredit):
            exchange.credit(frame.size)
        else:
            exchange.client_gone()
