"""Taking leave of links: in which order, how long, and what is still served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import AF_UNIX, socket

import pytest

from stator import Actor, action
from stator.runtime.link.channel import Channel
from stator.runtime.link.frames import (
    Answer,
    AnyFrame,
    Call,
    Goodbye,
    Hello,
    ListNamespaces,
    Resolution,
    Result,
)
from stator.runtime.protocol.actions import encode_action_request
from stator.runtime.protocol.encoding import Encoding
from stator.shards import farewell
from stator.shards.link_server import LinkServer
from tests.fakes.engine_in_process import LocalEngine, turns
from tests.fakes.memory_store import MemoryStore

WORKER = Hello("worker", 0, 1)
LONG_S = 20.0
"""Longer than any of this takes."""


class Door(Actor):
    """Answers ``wait`` when somebody opens it."""

    opened: asyncio.Event

    def on_wake(self) -> None:
        self.opened = asyncio.Event()

    @action
    async def wait(self) -> str:
        await self.opened.wait()
        return "through"


class Peer:
    """The calling end of a link: it does only what a test tells it to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.frames: asyncio.Queue[AnyFrame] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.channel = Channel(self._on_frame, lambda _, __: self.lost.set())

    def _on_frame(self, frame: AnyFrame, _: bytes) -> None:
        self.frames.put_nowait(frame)

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_unix_connection(
            lambda: self.channel, str(self._path)
        )

    async def greet(self, role: str) -> None:
        await self.connect()
        self.channel.send(Hello(role, 0, 1))
        assert await self.frames.get() == WORKER

    async def hear_goodbye(self) -> None:
        assert await self.frames.get() == Goodbye()

    def say_goodbye(self, times: int) -> None:
        for _ in range(times):
            self.channel.send(Goodbye())

    def knock(self, number: int) -> None:
        """Call ``wait`` of the door."""
        call = Call(
            number, 0, Resolution.GET_OR_CREATE, "default", "door", "d", "wait",
            Encoding.NATIVE, "ray",
        )  # fmt: skip
        self.channel.send(call, encode_action_request(Encoding.NATIVE, 0, ()))


class Worker:
    """A link server and the engine behind it."""

    def __init__(self, path: Path) -> None:
        self.local = LocalEngine({"door": Door}, {0: MemoryStore()})
        self.server = LinkServer(self.local.engine, WORKER)
        self._path = path
        self._listener = socket(AF_UNIX)

    async def listen(self) -> None:
        self._listener.bind(str(self._path))
        await self.server.start(self._listener.dup())

    async def peer(self, role: str) -> Peer:
        """Return a process of this role that has greeted."""
        peer = Peer(self._path)
        await peer.greet(role)
        return peer

    def stranger(self) -> Peer:
        """Return a process that has not connected yet."""
        return Peer(self._path)

    def leave(self, seconds: float = LONG_S) -> asyncio.Task[None]:
        """Begin to take leave."""
        return asyncio.create_task(self.server.say_goodbye(seconds))

    def open_door(self) -> None:
        self.local.actor("door", "d").opened.set()

    async def close(self) -> None:
        self.server.close()
        await self.server.wait_closed(LONG_S)
        self._listener.close()
        self.local.engine.close()


@asynccontextmanager
async def running_worker(directory: Path) -> AsyncGenerator[Worker]:
    worker = Worker(directory / "worker.sock")
    await worker.listen()
    try:
        yield worker
    finally:
        await worker.close()


async def test_a_worker_without_links_may_leave_at_once(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        await worker.leave()


async def test_it_is_over_when_the_other_end_waits_for_nothing(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        gateway = await worker.peer("gateway")
        leaving = worker.leave()
        await gateway.hear_goodbye()
        gateway.say_goodbye(1)
        await turns()
        assert not leaving.done()
        gateway.say_goodbye(1)
        await leaving


async def test_what_arrives_before_the_other_ends_goodbye_is_served(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        gateway = await worker.peer("gateway")
        leaving = worker.leave()
        await gateway.hear_goodbye()
        gateway.channel.send(ListNamespaces(1, 0))
        gateway.say_goodbye(1)
        assert await gateway.frames.get() == Result(1)
        gateway.say_goodbye(1)
        await leaving


async def test_other_workers_are_told_after_gateways_were_answered(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        gateway, other = await worker.peer("gateway"), await worker.peer("worker")
        leaving = worker.leave()
        await gateway.hear_goodbye()
        gateway.say_goodbye(1)
        other.channel.send(ListNamespaces(1, 0))
        assert await other.frames.get() == Result(1)
        gateway.say_goodbye(1)
        await other.hear_goodbye()
        other.say_goodbye(2)
        await leaving


async def test_a_link_that_ends_is_not_waited_for(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        gateway = await worker.peer("gateway")
        leaving = worker.leave()
        await gateway.hear_goodbye()
        gateway.channel.close()
        await leaving


async def test_an_end_that_hangs_is_not_waited_for_after_the_patience(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "PATIENCE_S", 0.01)
    async with running_worker(short_tmp) as worker:
        await worker.peer("gateway")
        await worker.leave()


async def test_replies_that_take_too_long_are_not_waited_for(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        gateway = await worker.peer("gateway")
        leaving = worker.leave(0.05)
        await gateway.hear_goodbye()
        gateway.say_goodbye(1)
        await leaving


async def test_an_action_that_nobody_at_a_link_waits_for_is_waited_for(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        gateway = await worker.peer("gateway")
        gateway.knock(1)
        await turns()
        leaving = worker.leave()
        await gateway.hear_goodbye()
        gateway.say_goodbye(2)
        await turns()
        assert not leaving.done()
        worker.open_door()
        assert isinstance(await gateway.frames.get(), Answer)
        await leaving


async def test_a_link_that_has_not_greeted_is_left_to_the_successor(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        stranger = worker.stranger()
        await stranger.connect()
        await turns()
        await worker.leave()
        await stranger.lost.wait()
        assert stranger.frames.empty()


async def test_who_connects_later_waits_in_the_socket_for_the_successor(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        await worker.leave()
        late = worker.stranger()
        await late.connect()
        late.channel.send(Hello("gateway", 0, 1))
        await turns()
        assert late.frames.empty()
        assert not late.lost.is_set()
        late.channel.close()
        await late.lost.wait()


async def test_what_was_sent_last_arrives_although_the_link_is_closed(short_tmp: Path) -> None:
    async with running_worker(short_tmp) as worker:
        gateway = await worker.peer("gateway")
        gateway.channel.send(ListNamespaces(1, 0))
        assert await gateway.frames.get() == Result(1)
        worker.server.close()
        await worker.server.wait_closed(LONG_S)
        await gateway.lost.wait()
