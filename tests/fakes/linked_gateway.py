"""A gateway at the other end of a link to an engine in this process.

It opens connections and raw requests, sends what a test says, and keeps every frame it gets. By
itself it answers nothing and acknowledges nothing. Every frame crosses the codec of real links, so
one that could not travel fails here as it would there.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from stator.runtime.actor import Actor
from stator.runtime.keys import normalize_key, serialize_key
from stator.runtime.link.channel import Channel
from stator.runtime.link.frame_codec import FrameDecoder, encode_frame
from stator.runtime.link.frames import (
    Ack,
    AnyFrame,
    Call,
    ConnectionKind,
    Deliver,
    Fanout,
    Hello,
    OpenConnection,
    OpenExchange,
    RequestHead,
    Resolution,
    WakeActor,
)
from stator.runtime.protocol.actions import encode_action_request
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.storage import ShardStorage
from stator.shards.gateway_link import GatewayLink
from tests.fakes.engine_in_process import KeyLike, LocalEngine, running_engine
from tests.fakes.gateway_clients import Client, FrameInbox, RawExchange, Sent, make_head

TOKEN = "0-first"
"""Slot 0; a gateway started in its place has another one behind the dash."""


class _RecordingChannel(Channel):
    """Hands the frames of a worker to a fake gateway."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(_ignore, _ignore)
        self._gateway = gateway
        self._frame_decoder = FrameDecoder()

    def send(self, header: AnyFrame, payload: bytes = b"") -> None:
        (frame,) = self._frame_decoder.feed(encode_frame(header, payload))
        self._gateway.receive(Sent(*frame))


class Gateway:
    """The gateway's end of a link."""

    _numbers = itertools.count(1)
    """Shared, so that two gateways never confuse a worker by chance."""

    def __init__(self, local: LocalEngine, token: str = TOKEN) -> None:
        self.frames: list[Sent] = []
        """Everything the worker sent, in order."""
        self.token = token
        self._inboxes: dict[int, FrameInbox] = {}
        self._clients: dict[int, Client] = {}
        self._link = GatewayLink(local.engine, Hello("worker", 0, 1))
        self._link.attach(_RecordingChannel(self))
        self.say(Hello("gateway", 0, 1, token=token))

    def say(self, header: AnyFrame, payload: bytes = b"") -> None:
        """Send a frame to the worker."""
        self._link.take(header, payload)

    def lose(self) -> None:
        """End the link, as a gateway that died does."""
        self._link.lost()

    def receive(self, sent: Sent) -> None:
        """Keep a frame of the worker."""
        self.frames.append(sent)
        header = sent.header
        if isinstance(header, Hello):
            return
        numbers = header.numbers if isinstance(header, Fanout) else [_number_of(header)]
        for number in numbers:
            client = self._clients.get(number)
            if client is not None and isinstance(header, Ack | Deliver):
                client.note_acknowledged(header)
            if not isinstance(header, Ack):
                self._inbox(number).put(sent)

    def adopt(self, client: Client) -> None:
        """Take over a client, as if this gateway had held it from the start."""
        self._clients[client.number] = client
        client.gateway = self
        client.inbox = self._inbox(client.number)

    def open(
        self,
        name: str,
        key: KeyLike = (),
        *,
        params: object = None,
        encoding: Encoding = Encoding.NATIVE,
        kind: ConnectionKind = ConnectionKind.ACTOR,
        how: Resolution = Resolution.GET_OR_CREATE,
        head: RequestHead | None = None,
    ) -> Client:
        """Ask for a connection; what comes of it is the first frame of the client."""
        client = Client(self, next(self._numbers), encoding, kind)
        self._clients[client.number] = client
        opening = OpenConnection(
            client.number,
            0,
            how,
            "default",
            name,
            serialize_key(normalize_key(key)),
            client.conn_id,
            kind,
            encoding,
            "ray",
            head or make_head("/connect"),
        )
        client.opening = opening, b"" if params is None else msgspec.json.encode(params)
        self.open_again(client)
        return client

    def open_again(self, client: Client) -> None:
        """Ask for the same connection, as a gateway does that was not told that it is open."""
        self.say(*client.opening)

    async def connect(self, name: str, key: KeyLike = (), **options: Any) -> Client:
        """Open a connection and return it once its client may use it."""
        client = self.open(name, key, **options)
        await client.opened()
        return client

    async def connect_raw(self, name: str, key: KeyLike = (), **options: Any) -> Client:
        """Open a raw WebSocket and return it once its client may use it."""
        return await self.connect(name, key, kind=ConnectionKind.RAW, **options)

    def request(
        self,
        name: str,
        key: KeyLike = (),
        *,
        head: RequestHead | None = None,
        body: bytes | None = None,
        params: object = None,
    ) -> RawExchange:
        """Send a raw HTTP request; a ``body`` follows at once, as far as it goes."""
        exchange = RawExchange(self, next(self._numbers))
        opening = OpenExchange(
            exchange.number,
            0,
            Resolution.GET_OR_CREATE,
            "default",
            name,
            serialize_key(normalize_key(key)),
            "ray",
            head or make_head("/"),
            params=None if params is None else msgspec.json.encode(params),
            has_body=body is not None,
        )
        self.say(opening)
        if body:
            exchange.send(body)
        return exchange

    def call(
        self,
        name: str,
        action: str,
        *arguments: object,
        params: object = None,
        head: RequestHead | None = None,
    ) -> FrameInbox:
        """Send a single call of an actor without a key."""
        number = next(self._numbers)
        call = Call(
            number,
            0,
            Resolution.GET_OR_CREATE,
            "default",
            name,
            serialize_key(()),
            action,
            Encoding.NATIVE,
            "ray",
            params=None if params is None else msgspec.json.encode(params),
            head=head,
        )
        self.say(call, encode_action_request(Encoding.NATIVE, 0, arguments))
        return self._inbox(number)

    def wake(self, actor_id: str) -> FrameInbox:
        """Ask for an actor to be brought into memory."""
        number = next(self._numbers)
        self.say(WakeActor(number, 0, Resolution.BY_ID, "", "", actor_id))
        return self._inbox(number)

    def of(self, *kinds: type) -> list[Any]:
        """Return the headers of some kinds, in order."""
        return [header for header, _ in self.frames if isinstance(header, kinds)]

    def _inbox(self, number: int) -> FrameInbox:
        return self._inboxes.setdefault(number, FrameInbox())

    inbox_of = _inbox


@asynccontextmanager
async def linked_engine(
    store: ShardStorage | None = None, /, *, use: Mapping[str, type[Actor]], **options: Any
) -> AsyncGenerator[tuple[LocalEngine, Gateway]]:
    """Run an engine of one shard with a gateway linked to it until the end of the block."""
    async with running_engine(store, use=use, **options) as local:
        yield local, Gateway(local)


def _ignore(*_: object) -> None:
    """Nothing arrives at this end."""


def _number_of(header: Any) -> int:
    return int(header.number if hasattr(header, "number") else header.id)
