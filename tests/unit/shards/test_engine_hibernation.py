"""Connections of an actor that leaves memory: kept by their gateway, and back when it wakes."""

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from stator.runtime.link.frames import (
    CloseConnection,
    Fanout,
    Refusal,
    Result,
    Revive,
    Suspended,
)
from stator.runtime.protocol.connection import ActionResponse, SubscriptionRequest
from stator.runtime.protocol.connection import Event as EventMessage
from stator.runtime.protocol.encoding import Encoding
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.hibernating_room import (
    SEEN,
    USE,
    asleep,
    call,
    connected,
    disconnects,
    suspended,
    woken,
)
from tests.fakes.linked_gateway import Gateway, linked_engine
from tests.fakes.memory_store import MemoryStore
from tests.fakes.store_media import Medium, MemoryMedium, SqliteMedium


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


@pytest.fixture(params=["memory", "sqlite"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Medium]:
    """Both kinds of store."""
    chosen: Medium = MemoryMedium() if request.param == "memory" else SqliteMedium(tmp_path)
    yield chosen
    chosen.release()


# -- falling asleep


async def test_a_connection_is_suspended_when_its_actor_sleeps() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway)
        await asleep(local)
        assert await client.next() == (Suspended(client.number, client.actor_id), b"")
        assert gateway.of(CloseConnection) == []
        assert disconnects() == 0


async def test_a_connection_is_suspended_after_everything_is_on_disk() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await connected(gateway)
        store.hold_commits()
        local.actor("room").sleep()
        await turns()
        assert client.inbox.take_all() == []
        store.release_commits()
        await suspended(client)


async def test_what_on_sleep_says_comes_before() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway, "sleeping")
        await asleep(local)
        assert await client.hear() == EventMessage("sleeping", [])
        assert isinstance((await client.next()).header, Suspended)


async def test_messages_to_a_sleeping_actor_are_neither_done_nor_acknowledged() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway)
        await asleep(local)
        await suspended(client)
        client.call(1, "add")
        await turns()
        assert client.inbox.take_all() == []
        assert client.acknowledged == []
        assert not local.is_awake("room")


async def test_a_drain_suspends_connections_once_everything_is_on_disk() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await connected(gateway)
        store.hold_commits()
        client.call(1, "add")
        drained = asyncio.ensure_future(local.engine.drain())
        await turns()
        assert client.inbox.take_all() == []
        store.release_commits()
        await drained
        await suspended(client)
        assert disconnects() == 0


async def test_destroy_closes_every_connection_with_on_disconnect() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        clients = [await connected(gateway) for _ in range(3)]
        await local.call("room", "vanish")
        assert [await client.closed() for client in clients] == [(1000, "")] * 3
        await wait_until(lambda: not local.is_awake("room"), "it is gone")
        assert disconnects() == 3 + 1  # and the call that asked for it
        assert gateway.of(Suspended) == []


async def test_a_destroyed_actor_leaves_no_connection_behind(medium: Medium) -> None:
    async with linked_engine(medium.open(), use=USE) as (local, gateway):
        client = await connected(gateway)
        await local.call("room", "vanish")
        await wait_until(lambda: not local.is_awake("room"), "it is gone")
        answer = (await gateway.wake(client.actor_id).next()).header
        assert isinstance(answer, Refusal)
        assert (answer.group, answer.code) == ("actor", "not_found")


async def test_an_actor_destroyed_asleep_closes_the_sockets_of_its_connections(
    medium: Medium,
) -> None:
    async with linked_engine(medium.open(), use=USE) as (local, gateway):
        clients = [await connected(gateway) for _ in range(3)]
        await asleep(local)
        await suspended(*clients)
        await local.destroy(clients[0].actor_id)
        assert [await client.closed() for client in clients] == [(1000, "")] * 3
        assert disconnects() == 0
        assert not local.is_awake("room")


async def test_an_actor_destroyed_asleep_closes_sockets_at_each_gateway_that_is_there() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        other_gateway, lost_gateway = Gateway(local, "1-other"), Gateway(local, "2-lost")
        clients = [await connected(each) for each in (gateway, other_gateway, lost_gateway)]
        await asleep(local)
        await suspended(*clients)
        lost_gateway.lose()
        await local.destroy(clients[0].actor_id)
        here, there, nowhere = clients
        assert [await here.closed(), await there.closed()] == [(1000, "")] * 2
        assert gateway.of(CloseConnection) == [CloseConnection(here.number, 1000, "")]
        assert other_gateway.of(CloseConnection) == [CloseConnection(there.number, 1000, "")]
        assert nowhere.inbox.take_all() == []


# -- waking


async def test_a_wake_claims_the_connection_before_it_is_answered() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway)
        await asleep(local)
        await gateway.wake(client.actor_id).next()
        relevant = gateway.of(Suspended, Revive, Result)
        assert [type(header) for header in relevant] == [Suspended, Revive, Result]
        assert relevant[1] == Revive(client.number, client.conn_id)


async def test_a_wake_of_an_actor_that_is_awake_changes_nothing() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await connected(gateway)
        assert isinstance((await gateway.wake(client.actor_id).next()).header, Result)
        assert await call(client, "get") == 0
        assert gateway.of(Revive) == []


async def test_a_connection_comes_back_as_it_was(medium: Medium) -> None:
    async with linked_engine(medium.open(), use=USE) as (local, gateway):
        client = await connected(gateway, params={"token": [1, "x"]})
        await call(client, "rename", "ann")
        await asleep(local)
        await woken(gateway, client)
        assert await call(client, "describe") == [client.conn_id, {"token": [1, "x"]}, "ann"]


async def test_subscriptions_come_back(medium: Medium) -> None:
    async with linked_engine(medium.open(), use=USE) as (local, gateway):
        client = await connected(gateway, "said", "other")
        client.unsubscribe("other")
        await call(client, "get")
        await asleep(local)
        await woken(gateway, client)
        await local.call("room", "say", "hi")
        assert await client.hear() == EventMessage("said", ["hi"])
        local.actor("room").broadcast("other")
        await turns()
        assert client.heard() == []


async def test_a_connection_comes_back_in_every_encoding() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        clients = [await connected(gateway, "said", encoding=each) for each in Encoding]
        await asleep(local)
        await woken(gateway, *clients)
        await local.call("room", "say", "hi")
        for client in clients:
            assert await client.hear() == EventMessage("said", ["hi"])
            client.call(1, "get")
            assert await client.hear() == ActionResponse(1, 1)


@pytest.mark.parametrize("version", [1, 2, 4])
async def test_the_version_of_a_bare_client_comes_back(version: int) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room", encoding=Encoding.BARE)
        client.version = version
        client.subscribe("said")
        await wait_until(lambda: client.acknowledged == [0], "it is subscribed")
        await asleep(local)
        await woken(gateway, client)
        await local.call("room", "say", "hi")
        assert (await client.next()).payload[0] == version


async def test_the_version_of_a_bare_client_that_only_called_comes_back() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room", encoding=Encoding.BARE)
        client.version = 4
        client.call(1, "get")
        await client.hear()
        await asleep(local)
        await woken(gateway, client)
        local.actor("room").conns[client.conn_id].send("said", "hi")
        assert (await client.next()).payload[0] == 4


async def test_no_connection_hook_runs_again() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway, "secret")
        SEEN.clear()
        await asleep(local)
        await woken(gateway, client)
        assert [("on_wake", [client.conn_id])] == SEEN


async def test_what_on_wake_broadcasts_reaches_restored_connections() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway, "waking")
        await asleep(local)
        await suspended(client)
        await gateway.wake(client.actor_id).next()
        await turns()
        frames = client.inbox.take_all()
        said = [client.read(frame) for frame in frames if isinstance(frame.header, Fanout)]
        assert said == [EventMessage("waking", [])]


async def test_an_actor_that_another_request_wakes_claims_its_connections_too() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway)
        await asleep(local)
        await suspended(client)
        await local.call("room", "get")
        assert await client.next() == (Revive(client.number, client.conn_id), b"")


async def test_a_message_that_was_not_acknowledged_is_taken_after_the_wake() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway)
        local.actor("room").sleep()
        index = client.subscribe("said")
        await suspended(client)
        await woken(gateway, client)
        client.say(SubscriptionRequest("said", subscribe=True), index)
        await wait_until(lambda: client.acknowledged == [index], "it is done")


async def test_a_connection_may_sleep_and_wake_many_times(medium: Medium) -> None:
    async with linked_engine(medium.open(), use=USE) as (local, gateway):
        client = await connected(gateway, "said")
        for number in range(1, 4):
            await call(client, "rename", str(number))
            await asleep(local)
            await woken(gateway, client)
            assert (await call(client, "describe"))[2] == str(number)
        assert disconnects() == 0
