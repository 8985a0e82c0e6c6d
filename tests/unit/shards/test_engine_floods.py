"""An actor that sends events faster than anybody takes them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from stator import Actor, action
from stator.runtime.link.channel import Backlog, Channel
from stator.runtime.link.frame_codec import FrameDecoder, encode_frame
from stator.runtime.link.frames import AnyFrame, Fanout
from stator.runtime.protocol.connection import ActionResponse
from stator.runtime.protocol.connection import Event as EventMessage
from stator.shards.shard import FLOOD
from tests.fakes.echo_server import MemoryTransport
from tests.fakes.engine_in_process import LocalEngine, turns, wait_until
from tests.fakes.gateway_clients import Client, Sent
from tests.fakes.linked_gateway import Gateway, linked_engine
from tests.fakes.memory_store import MemoryStore

LIMIT = 10_000
"""What stops requests, in bytes."""
SIZE = 1000
"""Of an event."""
MANY = 100
"""Several times as many as fit."""
LEFT_OUT = "events are left out: nobody takes them as fast as they are sent"


class Ticker(Actor):
    """Sends events from a loop of its own."""

    state: int = 0

    @action
    def begin(self) -> None:
        self.keep_awake(self._tick())

    @action
    def count(self) -> int:
        self.state += 1
        return self.state

    async def _tick(self) -> None:
        for _ in range(MANY):
            self.broadcast("tick", "x" * SIZE)
            await asyncio.sleep(0)


USE: dict[str, type[Actor]] = {"ticker": Ticker}


class _Counting(Channel):
    """A channel as real links have it, which shows what it sends to a fake gateway too."""

    def __init__(self, gateway: Gateway, backlog: Backlog) -> None:
        super().__init__(_ignore, _ignore, backlog=backlog)
        self._gateway = gateway
        self._frames = FrameDecoder()
        self.connection_made(MemoryTransport())

    def send(self, header: AnyFrame, payload: bytes = b"") -> None:
        super().send(header, payload)
        (frame,) = self._frames.feed(encode_frame(header, payload))
        self._gateway.receive(Sent(*frame))


class SlowGateway(Gateway):
    """A gateway whose link counts; it reads when a test says so."""

    def __init__(self, local: LocalEngine, token: str) -> None:
        super().__init__(local, token)
        self.channel = _Counting(self, local.engine.backlog)
        self._link.attach(self.channel)


@asynccontextmanager
async def _listening(
    store: MemoryStore | None = None,
) -> AsyncGenerator[tuple[LocalEngine, SlowGateway, Client]]:
    """Run an engine that bears little, with a client that listens."""
    async with linked_engine(store, use=USE) as (local, _):
        local.engine.backlog.limit = LIMIT
        gateway = SlowGateway(local, "1-slow")
        client = await gateway.connect("ticker")
        client.subscribe("tick")
        await wait_until(lambda: client.acknowledged == [0], "it is subscribed")
        yield local, gateway, client


async def _flood(local: LocalEngine) -> None:
    """Have more events made than fit, and wait for the last one."""
    await local.call("ticker", "begin")
    host: Any = local.actor("ticker")._host
    await wait_until(lambda: host.running == 0, "all events are made")


def _events(client: Client) -> list[Sent]:
    return [frame for frame in client.inbox.take_all() if isinstance(frame.header, Fanout)]


async def test_events_are_left_out_when_a_gateway_does_not_read() -> None:
    async with _listening() as (local, gateway, client):
        gateway.channel.pause_writing()
        await _flood(local)
        assert LIMIT < local.engine.backlog.size <= FLOOD * LIMIT + 2 * SIZE
        assert 0 < len(_events(client)) < MANY


async def test_events_are_left_out_while_a_commit_that_they_wait_for_takes_long() -> None:
    store = MemoryStore()
    async with _listening(store) as (local, _, client):
        store.hold_commits()
        client.call(1, "count")
        local.actor("ticker").keep_awake(local.actor("ticker")._tick())
        await turns(2 * MANY)
        assert LIMIT < local.engine.backlog.size <= FLOOD * LIMIT + 2 * SIZE
        store.release_commits()
        await wait_until(lambda: local.engine.backlog.size == 0, "all has left")
        assert 0 < len(_events(client)) < MANY


async def test_that_events_are_left_out_is_said_once() -> None:
    async with _listening() as (local, gateway, _):
        gateway.channel.pause_writing()
        await _flood(local)
        await _flood(local)
        warnings = [line for line in local.log.lines if line["event"] == LEFT_OUT]
        assert [line["level"] for line in warnings] == ["warning"]


async def test_replies_are_sent_where_events_are_left_out() -> None:
    async with _listening() as (local, gateway, client):
        gateway.channel.pause_writing()
        await _flood(local)
        client.inbox.take_all()
        client.call(1, "count")
        assert await client.hear() == ActionResponse(1, 1)


async def test_events_go_on_once_the_gateway_has_read() -> None:
    async with _listening() as (local, gateway, client):
        gateway.channel.pause_writing()
        await _flood(local)
        client.inbox.take_all()
        gateway.channel.resume_writing()
        local.actor("ticker").broadcast("tick", "after it")
        assert await client.hear() == EventMessage("tick", ["after it"])


async def test_another_flood_is_told_of_again() -> None:
    async with _listening() as (local, gateway, _):
        for _ in range(2):
            gateway.channel.pause_writing()
            await _flood(local)
            gateway.channel.resume_writing()
            local.actor("ticker").broadcast("tick", "after it")
        assert local.log.events().count(LEFT_OUT) == 2


async def test_events_are_all_sent_to_a_gateway_that_reads() -> None:
    async with _listening() as (local, _, client):
        await _flood(local)
        await turns()
        assert len(_events(client)) == MANY
        assert LEFT_OUT not in local.log.events()


def _ignore(*_: object) -> None:
    """Nothing arrives at this end."""
