"""Connections, raw requests and raw WebSockets of the client without ``await``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar, assert_type

import pytest

from stator import Actor, ActorError, action, setup
from stator import Event as Declaration
from stator.client.loop_thread import LoopThread
from stator.client.sync import Client, Connection, Events
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    Event,
    SubscriptionRequest,
)
from tests.fakes.stub_connections import Peer, StubConnections
from tests.fakes.stub_service import Reply, StubService

T = TypeVar("T")


class Room(Actor):
    said = Declaration[str]()

    @action
    async def send(self, text: str) -> int:
        return len(text)


setup(use={"room": Room})


@contextmanager
def in_thread(context: AbstractAsyncContextManager[T]) -> Generator[tuple[LoopThread, T]]:
    """Run an asynchronous context in a loop of its own."""

    async def leave() -> None:
        await context.__aexit__(None, None, None)

    thread = LoopThread("stub", leave)
    yield thread, thread.run(context.__aenter__())
    thread.close()


class Stage:
    """A client, and the other end of its connection, played by a second thread."""

    def __init__(self, thread: LoopThread, stub: StubConnections) -> None:
        self.thread = thread
        self.client = Client(stub.endpoint)
        self._stub = stub
        self._threads = ThreadPoolExecutor(1)

    def play(self, scene: Callable[[Peer], Coroutine[Any, Any, T]]) -> Future[T]:
        """Play the other end of the next connection from its beginning."""

        async def play() -> T:
            peer = await self._stub.accept()
            await peer.init()
            return await scene(peer)

        return self._threads.submit(lambda: self.thread.run(play()))

    def close(self) -> None:
        """End the client, then the other end."""
        self.client.close()
        self._threads.shutdown()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with in_thread(StubConnections()) as (thread, stub):
        stage = Stage(thread, stub)
        yield stage
        stage.close()


async def hold(peer: Peer) -> None:
    await peer.hear_end()


def test_a_connection_calls_and_hears(stage: Stage) -> None:
    async def scene(peer: Peer) -> None:
        assert await peer.hear() == SubscriptionRequest("said", True)
        assert await peer.hear() == ActionRequest(0, "send", ["hi"])
        await peer.say(Event("said", ["hi"]), ActionResponse(0, 2))
        assert await peer.hear() == ActionRequest(1, "admin.clear", [])
        await peer.say(ActionResponse(1, None))
        await peer.hear_end()

    playing = stage.play(scene)
    heard: list[str] = []
    with stage.client.get(Room).connect() as conn:
        conn.ready(20)
        assert (conn.status, conn.id, conn.actor_id) == ("connected", "c1", "a1")
        assert repr(conn) == "<connected connection to actor room []>"
        events = conn.events(Room.said, timeout=20)
        conn.on(Room.said, heard.append)
        assert_type(conn.call(Room.send, "hi"), int)
        assert_type(events, Events[str])
        assert next(events) == "hi"
        conn.call("admin.clear")
    assert (heard, list(events), conn.id) == (["hi"], [], None)
    playing.result(20)


def test_attributes_are_actions_and_private_ones_are_not(stage: Stage) -> None:
    async def scene(peer: Peer) -> None:
        assert await peer.hear() == ActionRequest(0, "math.add", [1, 2])
        await peer.say(ActionResponse(0, 3))
        await peer.hear_end()

    playing = stage.play(scene)
    with stage.client.get("room").connect() as conn:
        assert conn.math.add(1, 2) == 3
        with pytest.raises(AttributeError):
            conn._session  # noqa: B018
    playing.result(20)


def test_a_step_that_takes_too_long_may_be_repeated(stage: Stage) -> None:
    async def scene(peer: Peer) -> None:
        await peer.hear()
        assert isinstance(await peer.hear(), ActionRequest)
        await peer.say(Event("said", ["late"]))
        await peer.hear_end()

    playing = stage.play(scene)
    with stage.client.get("room").connect() as conn, ThreadPoolExecutor(1) as threads:
        events = conn.events("said", timeout=0.001)
        with pytest.raises(TimeoutError):
            next(events)
        calling = threads.submit(conn.trigger)
        patient = conn.events("said", timeout=20)
        assert next(patient) == "late"
        assert next(events) == "late"
        events.close()
        assert list(events) == []
        conn.close()
        assert isinstance(calling.exception(20), ActorError)
    playing.result(20)


def test_waiting_for_a_connection_has_a_timeout(stage: Stage) -> None:
    conn = stage.client.get("room").connect()
    with pytest.raises(TimeoutError):
        conn.ready(0.001)


def test_callbacks_run_on_the_clients_thread_and_must_not_wait(stage: Stage) -> None:
    async def scene(peer: Peer) -> None:
        await peer.hear()
        await peer.say(Event("said", []))
        await peer.hear_end()

    outcomes: list[object] = []
    done = threading.Event()

    def callback(conn: Connection) -> None:
        outcomes.append(threading.current_thread().name)
        conn.once("other", print)()
        for forbidden in (conn.act, stage.client.close):
            try:
                forbidden()
            except RuntimeError as error:
                outcomes.append(str(error))
        done.set()

    playing = stage.play(scene)
    with stage.client.get("room").connect() as conn:
        conn.on("said", lambda: callback(conn))
        assert done.wait(20)
    playing.result(20)
    assert outcomes == [
        "stator client",
        "a callback cannot wait for the client on whose thread it runs",
        "a callback cannot close the client on whose thread it runs",
    ]


def test_news_of_the_connection_reach_callbacks(stage: Stage) -> None:
    seen: list[str] = []
    done = threading.Event()

    async def scene(peer: Peer) -> None:
        await peer.hear()
        await peer.close("user.kicked", 1000)

    first, second = stage.play(scene), stage.play(hold)
    with stage.client.get("room").connect() as conn:
        conn.on_open(lambda: done.set() if seen else None)
        conn.on_close(lambda: seen.append("close"))
        conn.on_error(lambda error: seen.append(error.code))
        conn.on_status(seen.append)
        conn.on("any", print)
        assert done.wait(20)
    first.result(20)
    second.result(20)
    assert seen[:4] == ["disconnected", "close", "kicked", "connecting"]


def test_an_unused_connection_ends_with_the_client(stage: Stage) -> None:
    playing = stage.play(hold)
    conn = stage.client.get("room").connect()
    conn.ready(20)
    stage.client.close()
    playing.result(20)
    assert conn.status == "idle"


def test_a_raw_socket_blocks(stage: Stage) -> None:
    async def scene(peer: Peer) -> None:
        frame = await peer.socket.receive()
        await peer.socket.send_str(f"{frame.data} back")
        await peer.close("bye", 4000)

    async def play() -> None:
        await scene(await stage._stub.accept())  # pyright: ignore[reportPrivateUsage]

    with ThreadPoolExecutor(1) as threads, stage.client.get("room").websocket("/x") as ws:
        playing = threads.submit(lambda: stage.thread.run(play()))
        ws.send("there and")
        assert list(ws) == ["there and back"]
        assert (ws.close_code, ws.close_reason) == (4000, "bye")
        playing.result(20)


def test_a_fetch_reads_the_whole_answer() -> None:
    with in_thread(StubService()) as (_, stub), Client(stub.endpoint) as client:
        stub.will_answer(Reply(201, b'{"a":1}', {"X-Mine": "yes"}))
        answer = client.get("room").fetch("/x", method="POST", body="b", headers={"x-a": "1"})
        assert (answer.status, answer.headers["x-mine"]) == (201, "yes")
        assert (answer.read(), answer.text(), answer.json()) == (b'{"a":1}', '{"a":1}', {"a": 1})
        assert repr(answer) == "<response 201>"
        assert (stub.received[0].body, stub.received[0].headers["x-a"]) == (b"b", "1")


def test_a_plain_function_runs_in_the_loops_thread() -> None:
    async def finish() -> None: ...

    thread = LoopThread("loop", finish)
    assert thread.do(lambda: thread.do(asyncio.get_running_loop)).is_running()
    thread.close()
