"""Clients of a fake gateway: what they send over its link and what comes back for them."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from stator.runtime.link.frames import (
    Ack,
    BodyCredit,
    BodyPart,
    ClientGone,
    CloseConnection,
    ConnectionKind,
    Credit,
    Deliver,
    ExchangeAborted,
    Fanout,
    Message,
    OpenConnection,
    Opened,
    RequestHead,
    ResponseHead,
)
from stator.runtime.protocol.bare import COMMON_VERSION
from stator.runtime.protocol.connection import (
    ActionRequest,
    Init,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.to_client import decode_to_client
from stator.runtime.protocol.to_server import encode_to_server

if TYPE_CHECKING:
    from tests.fakes.linked_gateway import Gateway


class Sent(NamedTuple):
    """One frame of the worker."""

    header: Any
    payload: bytes


class FrameInbox:
    """What the worker sent to one connection, request or exchange, in order."""

    def __init__(self) -> None:
        self._frames: deque[Sent] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, frame: Sent) -> None:
        """Add a frame."""
        self._frames.append(frame)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> Sent:
        """Return the next frame, once it is there."""
        while not self._frames:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._frames.popleft()

    def take_all(self) -> list[Sent]:
        """Return what is there and was not taken."""
        frames = list(self._frames)
        self._frames.clear()
        return frames


class Client:
    """A client whose WebSocket the gateway holds."""

    def __init__(
        self, gateway: Gateway, number: int, encoding: Encoding, kind: ConnectionKind
    ) -> None:
        self.gateway = gateway
        self.number = number
        self.conn_id = str(uuid.uuid4())
        self.encoding = encoding
        self.kind = kind
        self.version = COMMON_VERSION if encoding is Encoding.BARE else 0
        self.opening: tuple[OpenConnection, bytes]
        """What the worker was asked."""
        self.actor_id = ""
        """Known once it is open."""
        self.acknowledged: list[int] = []
        """The indexes of messages that the worker is done with, in the order it said so."""
        self.inbox = gateway.inbox_of(number)
        self._indexes = itertools.count()

    def note_acknowledged(self, header: Ack | Deliver) -> None:
        """Note what a frame says about the client's messages."""
        index = header.ack if isinstance(header, Deliver) else header.index
        if index >= 0:
            assert index not in self.acknowledged, f"message {index} was acknowledged twice"
            self.acknowledged.append(index)

    # -- what the client does

    def send(self, data: bytes | str, index: int | None = None) -> int:
        """Send a message and return its index; ``index`` delivers an old one again."""
        index = next(self._indexes) if index is None else index
        payload = data.encode() if isinstance(data, str) else data
        self.gateway.say(Message(self.number, index, isinstance(data, str)), payload)
        return index

    def say(self, message: ToServer, index: int | None = None) -> int:
        """Send a message of the protocol."""
        data = encode_to_server(self.encoding, self.version, message)
        return self.send(data.decode() if self.encoding is Encoding.JSON else data, index)

    def call(self, request_id: int, action: str, *arguments: object) -> int:
        """Call an action; return the index of the message."""
        return self.say(ActionRequest(request_id, action, list(arguments)))

    def subscribe(self, event: str) -> int:
        """Begin to listen to an event."""
        return self.say(SubscriptionRequest(event, subscribe=True))

    def unsubscribe(self, event: str) -> int:
        """No longer listen to an event."""
        return self.say(SubscriptionRequest(event, subscribe=False))

    def credit(self, size: int) -> None:
        """Let the worker send so many bytes more."""
        self.gateway.say(Credit(self.number, size))

    def leave(self, code: int = 1001, reason: str = "") -> None:
        """Close the socket from the client's side."""
        self.gateway.say(ClientGone(self.number, code, reason))

    # -- what the client is told

    async def next(self) -> Sent:
        """Return the next frame; acknowledgements alone are not among them."""
        return await self.inbox.next()

    async def opened(self) -> Opened:
        """Return what says that it is open, behind the first message of the protocol."""
        if self.kind is ConnectionKind.ACTOR:
            assert isinstance(await self.hear(), Init)
        header = (await self.next()).header
        assert isinstance(header, Opened), header
        self.actor_id = header.actor_id
        return header

    async def hear(self) -> ToClient:
        """Return the next frame, which must be a message of the protocol."""
        return self.read(await self.next())

    async def listen(self) -> bytes | str:
        """Return the next frame, which must be a message of a raw WebSocket."""
        header, payload = await self.next()
        assert isinstance(header, Deliver), header
        return payload.decode() if header.is_text else payload

    async def closed(self) -> tuple[int, str]:
        """Return code and reason of the close, which must be the next frame."""
        header = (await self.next()).header
        assert isinstance(header, CloseConnection), header
        return header.code, header.reason

    def heard(self) -> list[ToClient]:
        """Return the messages that are there, none of which is anything else."""
        return [self.read(frame) for frame in self.inbox.take_all()]

    def read(self, frame: Sent) -> ToClient:
        """Decode a message of the protocol."""
        assert isinstance(frame.header, Deliver | Fanout), frame.header
        assert frame.header.is_text is (self.encoding is Encoding.JSON)
        return decode_to_client(self.encoding, frame.payload)[0]


class RawExchange:
    """A raw HTTP request of a client."""

    def __init__(self, gateway: Gateway, number: int) -> None:
        self.number = number
        self._gateway = gateway
        self._inbox = gateway.inbox_of(number)

    def send(self, part: bytes, *, is_last: bool = True) -> None:
        """Send a piece of the body."""
        self._gateway.say(BodyPart(self.number, is_last), part)

    def credit(self, size: int) -> None:
        """Let the worker send so many bytes more of the response."""
        self._gateway.say(BodyCredit(self.number, size))

    def leave(self) -> None:
        """Go away before the end."""
        self._gateway.say(ExchangeAborted(self.number))

    async def next(self) -> Sent:
        """Return the next frame that is not about credit."""
        while True:
            frame = await self._inbox.next()
            if not isinstance(frame.header, BodyCredit):
                return frame

    async def head(self) -> ResponseHead:
        """Return the head of the response, which must be next."""
        header = (await self.next()).header
        assert isinstance(header, ResponseHead), header
        return header

    async def response(self) -> tuple[int, bytes]:
        """Return status and body of a response that comes to its end without more credit."""
        header, payload = await self.next()
        assert isinstance(header, ResponseHead), header
        parts, is_last = [payload], header.is_last
        while not is_last:
            part, payload = await self.next()
            assert isinstance(part, BodyPart), part
            parts.append(payload)
            is_last = part.is_last
        return header.status, b"".join(parts)

    def there(self) -> list[Sent]:
        """Return the frames that are there, without those about credit."""
        return [
            frame for frame in self._inbox.take_all() if not isinstance(frame.header, BodyCredit)
        ]

    @property
    def credits(self) -> list[int]:
        """How many bytes of the body the worker asked for, each time."""
        granted = self._gateway.of(BodyCredit)
        return [header.size for header in granted if header.id == self.number]


def make_head(
    path: str,
    method: str = "GET",
    headers: Sequence[tuple[bytes, bytes]] = (),
    raw_query: str = "",
) -> RequestHead:
    """Return what came before the body of a request."""
    query = f"?{raw_query}" if raw_query else ""
    url = f"http://stator.test/gateway/room{path}{query}"
    return RequestHead(method, url, path, raw_query, tuple(headers))
