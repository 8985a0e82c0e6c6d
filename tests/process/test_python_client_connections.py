"""Connections, raw requests and raw WebSockets of the Python client against a real service."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from stator import ActorError, Client
from stator.client.client import EncodingName
from stator.client.connection import Connection
from stator.client.sync import Client as BlockingClient
from tests.fakes.real_service import RealService
from tests.process.apps.client_connections.app import Line, Room

pytestmark = pytest.mark.process

APPLICATION = Path(__file__).parent / "apps" / "client_connections"
EACH_ENCODING = pytest.mark.parametrize("encoding", ["cbor", "bare", "json"])


def run_service(data: Path, **settings: object) -> RealService:
    chosen = {"application.path": APPLICATION, "workers.count": 1, "storage.shards": 2}
    return RealService(data, {**chosen, **settings})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    with run_service(tmp_path_factory.mktemp("client") / "service") as running:
        running.wait_ready()
        yield running


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[RealService]:
    """Return a service that is the test's own."""
    with run_service(tmp_path / "service") as running:
        running.wait_ready()
        yield running


def identity_of(error: ActorError) -> str:
    return f"{error.group}.{error.code}"


async def reached(conn: Connection, status: str) -> None:
    """Return once the connection has this status."""
    news = asyncio.Event()
    remove = conn.on_status(lambda _: news.set())
    while conn.status != status:
        news.clear()
        await news.wait()
    remove()


@EACH_ENCODING
async def test_events_arrive_with_their_types_before_the_answer(
    service: RealService, encoding: EncodingName
) -> None:
    async with Client(service.endpoint, encoding=encoding) as client:
        room = client.get_or_create(Room, ["typed", encoding])
        async with room.connect() as conn, room.connect() as other:
            lines, moves, pings = (
                conn.events(Room.said),
                other.events(Room.moved),
                conn.events("pinged"),
            )
            heard: list[Line] = []
            conn.on(Room.said, heard.append)
            await other.who()  # so that the subscriptions before it are known
            assert await conn.say("hi") == 1
            assert await conn.call(Room.say, "ho") == 2
            at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
            assert heard == [Line("hi", at), Line("ho", at)]
            assert [await anext(lines), await anext(lines)] == heard
            assert [await anext(moves), await anext(moves)] == [(1, "hi"), (2, "ho")]
            assert await anext(pings) is None


@EACH_ENCODING
async def test_params_and_ids_are_those_of_the_connection(
    service: RealService, encoding: EncodingName
) -> None:
    params = {"name": "Ádá (x), €", "n": [1, None]}
    async with Client(service.endpoint, encoding=encoding) as client:
        room = client.get_or_create("room", ["a,b"], params="of the handle")
        async with room.connect(params) as conn, room.connect() as other:
            assert await conn.who() == [conn.id, params]
            assert await other.who() == [other.id, "of the handle"]
            assert conn.actor_id == await room.resolve()


@EACH_ENCODING
async def test_errors_of_calls_are_raised_and_the_connection_stays(
    service: RealService, encoding: EncodingName
) -> None:
    async with (
        Client(service.endpoint, encoding=encoding) as client,
        client.get_or_create(Room, "errors").connect() as conn,
    ):
        with pytest.raises(ActorError) as caught:
            await conn.refuse()
        assert identity_of(caught.value) == "user.full"
        assert caught.value.metadata == {"seats": 3}
        with pytest.raises(ActorError) as caught:
            await conn.call("nothing")
        assert identity_of(caught.value) == "actor.action_not_found"
        with pytest.raises(ActorError) as caught:
            await conn.say(5)
        assert identity_of(caught.value) == "actor.validation_error"
        assert await conn.say("still here") == 1
        await conn.vanish()


@EACH_ENCODING
async def test_a_hook_that_refuses_is_final(service: RealService, encoding: EncodingName) -> None:
    async with Client(service.endpoint, encoding=encoding) as client:
        conn = client.get_or_create("room", "refuses").connect("stranger")
        with pytest.raises(ActorError) as caught:
            await conn.ready()
        assert identity_of(caught.value) == "user.denied"
        assert (caught.value.message, caught.value.metadata) == ("not you", {"who": "stranger"})
        assert conn.status == "idle"


async def test_an_actor_that_does_not_exist_is_not_found(service: RealService) -> None:
    async with Client(service.endpoint) as client:
        for missing in (
            client.get("room", "nobody"),
            client.get("room", "no,body"),
            client.get_for_id("room", "nobody"),
        ):
            with pytest.raises(ActorError) as caught:
                async with missing.connect():
                    pytest.fail("entered")
            assert identity_of(caught.value) == "actor.not_found"


async def test_a_connection_that_the_actor_ends_is_opened_again(service: RealService) -> None:
    async with (
        Client(service.endpoint) as client,
        client.get_or_create("room", "kicks").connect() as conn,
    ):
        before = conn.id
        with pytest.raises(ActorError):
            await conn.kick("enough.now")
        await conn.ready()
        assert conn.id not in (None, before)
        assert await conn.say("back") == 1


async def test_a_destroyed_actor_is_made_again_or_missed(service: RealService) -> None:
    async with Client(service.endpoint) as client:
        maker = client.get_or_create("room", "destroyed")
        async with maker.connect() as conn:
            first = conn.actor_id
            pinned = client.get_for_id("room", str(first)).connect()
            await pinned.ready()
            await maker.vanish()
            await reached(pinned, "idle")
            with pytest.raises(ActorError) as caught:
                await pinned.ready()
            assert identity_of(caught.value) == "actor.not_found"
            while conn.actor_id in (None, first):
                await reached(conn, "connecting" if conn.actor_id else "connected")
            assert await conn.say("new") == 1


async def test_a_subscription_that_is_refused_does_not_make_the_client_hurry(
    service: RealService,
) -> None:
    errors: list[str] = []
    refused_twice = asyncio.Event()

    def count(error: ActorError) -> None:
        errors.append(identity_of(error))
        if len(errors) == 2:
            refused_twice.set()

    async with (
        Client(service.endpoint) as client,
        client.get_or_create("room", "secret").connect() as conn,
    ):
        conn.on_error(count)
        conn.on(Room.secret, print)
        await refused_twice.wait()
    assert errors == ["auth.forbidden"] * 2


async def test_a_connection_outlives_its_worker(fragile: RealService) -> None:
    async with (
        Client(fragile.endpoint) as client,
        client.get_or_create("room", "worker").connect() as conn,
    ):
        before = conn.id
        events = conn.events("moved")
        assert await conn.say("before") == 1
        os.kill(fragile.pids()[-1], signal.SIGKILL)
        assert await conn.say("after") == 2
        assert [await anext(events), await anext(events)] == [(1, "before"), (2, "after")]
        assert conn.id == before


@EACH_ENCODING
async def test_a_call_whose_worker_dies_is_delivered_to_the_next_one(
    fragile: RealService, encoding: EncodingName, tmp_path: Path
) -> None:
    async with (
        Client(fragile.endpoint, encoding=encoding) as client,
        client.get_or_create(Room, "in flight").connect() as conn,
    ):
        before = conn.id
        assert await conn.kill_worker_once(str(tmp_path / "marker")) == "alive"
        assert conn.id == before


async def test_a_connection_outlives_its_gateway(fragile: RealService) -> None:
    async with (
        Client(fragile.endpoint) as client,
        client.get_or_create("room", "gateway").connect() as conn,
    ):
        before = conn.id
        events = conn.events("moved")
        waiting = asyncio.create_task(conn.wait())
        assert await conn.say("before") == 1
        os.kill(fragile.pids()[0], signal.SIGKILL)
        with pytest.raises(ActorError) as caught:
            await waiting
        assert identity_of(caught.value) == "client.connection_lost"
        assert await conn.say("after") == 2
        assert [await anext(events), await anext(events)] == [(1, "before"), (2, "after")]
        assert conn.id != before


async def test_a_hibernating_actor_is_woken_over_the_same_connection(service: RealService) -> None:
    async with (
        Client(service.endpoint) as client,
        client.get_or_create(Room, "sleeps").connect() as conn,
    ):
        events = conn.events(Room.moved)
        before = conn.id
        assert await conn.say("awake") == 1
        await conn.go_to_sleep()
        assert await conn.say("again") == 2
        assert [await anext(events), await anext(events)] == [(1, "awake"), (2, "again")]
        assert conn.id == before


async def test_a_fetch_reaches_on_request_and_streams_both_ways(service: RealService) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 100_000

    async with Client(service.endpoint) as client:
        room = client.get_or_create("room", "fetch")
        response = await room.fetch("/a/b?x=1&y=é", method="PUT", body=parts())
        assert (response.status, response.headers["X-Seen"]) == (201, "yes")
        assert await response.json() == ["PUT", "/a/b", "x=1&y=%C3%A9", 1_000_000]
        async with await room.fetch("stream") as streamed:
            assert b"".join([chunk async for chunk in streamed.stream()]) == b"0\n1\n2\n"
        refused = await room.fetch("/", params="stranger")
        assert (await refused.json())["code"] == "denied"
        missing = await client.get("room", "nobody").fetch("/")
        assert (missing.status, (await missing.json())["code"]) == (404, "not_found")


async def test_a_raw_socket_reaches_on_websocket(service: RealService) -> None:
    async with Client(service.endpoint) as client:
        room = client.get_or_create("room", "raw")
        async with await room.websocket("/x?y=1") as ws:
            await ws.send("text")
            await ws.send(b"bytes")
            assert [await anext(ws), await anext(ws)] == ["text", b"bytes"]
            await ws.send("bye")
            assert [message async for message in ws] == []
            assert (ws.close_code, ws.close_reason) == (4321, "bye.now")
        refused = await room.websocket("/", params="stranger")
        assert [message async for message in refused] == []
        assert (refused.close_code, refused.close_reason.partition("#")[0]) == (1011, "user.denied")


def test_the_blocking_client_does_the_same(service: RealService) -> None:
    with BlockingClient(service.endpoint) as client:
        room = client.get_or_create(Room, "blocking")
        with room.connect() as conn:
            moves = conn.events(Room.moved, timeout=20)
            assert conn.call(Room.say, "hi") == 1
            assert next(moves) == (1, "hi")
        assert room.fetch("/x", method="POST", body="abc").json() == ["POST", "/x", "", 3]
        with room.websocket() as ws:
            ws.send("there")
            assert next(ws) == "there"


async def test_a_token_opens_connections_to_a_closed_service(tmp_path: Path) -> None:
    with run_service(tmp_path / "closed", **{"auth.client_token": "s/cr@t:1"}) as closed:
        closed.wait_ready()
        async with Client(closed.endpoint, token="s/cr@t:1") as client:
            room = client.get_or_create("room")
            async with room.connect() as conn:
                assert await conn.say("hi") == 1
            assert (await room.fetch("/")).status == 201
            async with await room.websocket() as ws:
                await ws.send("x")
                assert await anext(ws) == "x"
        for token, identity in ((None, "auth.unauthorized"), ("wrong", "auth.forbidden")):
            async with Client(closed.endpoint, token=token) as client:
                with pytest.raises(ActorError) as caught:
                    await client.get_or_create("room").connect().ready()
                assert identity_of(caught.value) == identity
