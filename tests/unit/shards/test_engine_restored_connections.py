"""Restored connections: workers and gateways that come and go, clients that left meanwhile."""

from collections.abc import Generator
from pathlib import Path

import pytest

from stator import Actor, Conn, Options, WebSocket, action
from stator.runtime.link.frames import (
    Refusal,
    Revive,
)
from stator.runtime.protocol.connection import Event as EventMessage
from tests.fakes.engine_in_process import running_engine, turns, wait_until
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


async def test_a_new_worker_restores_what_an_old_one_left(medium: Medium) -> None:
    async with linked_engine(medium.open(), use=USE) as (local, gateway):
        client = await connected(gateway, "said", params="p")
        await call(client, "rename", "ann")
        await local.engine.drain()
    async with linked_engine(medium.open(), use=USE) as (local, gateway):
        gateway.adopt(client)
        await woken(gateway, client)
        assert await call(client, "describe") == [client.conn_id, "p", "ann"]
        await local.call("room", "say", "hi")
        assert await client.hear() == EventMessage("said", ["hi"])


async def test_a_worker_that_was_killed_leaves_its_connections_restorable(medium: Medium) -> None:
    async with linked_engine(medium.open(), use=USE) as (_, gateway):
        client = await connected(gateway, "said")
        await call(client, "rename", "ann")
    async with linked_engine(medium.open(), use=USE) as (_, gateway):
        gateway.adopt(client)
        await woken(gateway, client)
        assert (await call(client, "describe"))[2] == "ann"


async def test_a_connection_whose_gateway_was_replaced_disconnects_once() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway)
        await asleep(local)
        gateway.lose()
        Gateway(local, "0-second")
        await local.call("room", "get")
        await turns()
        assert SEEN.count(("on_disconnect", client.conn_id, True)) == 1
        await asleep(local)
        await local.call("room", "get")
        assert SEEN.count(("on_disconnect", client.conn_id, True)) == 1


async def test_a_connection_waits_for_its_gateway_to_come_back() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await connected(gateway, "said")
    async with running_engine(MemoryStore(store.disk), use=USE) as local:
        await local.call("room", "get")
        assert client.conn_id in local.actor("room").conns
        again = Gateway(local)
        again.adopt(client)
        assert await client.next() == (Revive(client.number, client.conn_id), b"")
        await local.call("room", "say", "hi")
        assert await client.hear() == EventMessage("said", ["hi"])
        assert SEEN.count(("on_disconnect", client.conn_id, True)) == 0


async def test_a_connection_ends_when_another_gateway_comes_in_place_of_its_own() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await connected(gateway)
    async with running_engine(MemoryStore(store.disk), use=USE) as local:
        await local.call("room", "get")
        Gateway(local, "0-second")
        assert SEEN.count(("on_disconnect", client.conn_id, True)) == 1
        assert client.conn_id not in local.actor("room").conns


async def test_a_connection_of_a_gateway_that_never_comes_back_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stator.shards.gateways.LINK_TIMEOUT_S", 0.01)
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await connected(gateway)
    async with running_engine(MemoryStore(store.disk), use=USE) as local:
        await local.call("room", "get")
        ended = ("on_disconnect", client.conn_id, True)
        await wait_until(lambda: SEEN.count(ended) == 1, "it ends")
        assert client.conn_id not in local.actor("room").conns


async def test_a_client_that_left_while_its_actor_slept_disconnects_once() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway)
        await asleep(local)
        await woken(gateway, client)
        client.leave(1006)
        assert SEEN.count(("on_disconnect", client.conn_id, True)) == 1
        await asleep(local)
        await local.call("room", "get")
        assert SEEN.count(("on_disconnect", client.conn_id, True)) == 1
        assert client.conn_id not in local.actor("room").conns


async def test_a_client_that_leaves_during_the_last_commit_disconnects_once() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await connected(gateway)
        store.hold_commits()
        local.actor("room").sleep()
        await wait_until(lambda: store.is_committing, "the last commit")
        await turns()
        client.leave()
        wake = local.send("room", "get")
        while not wake.done():
            await turns()
            if store.is_committing:
                store.release_commit()
        ended = ("on_disconnect", client.conn_id, True)
        assert SEEN.count(ended) == 1
        assert client.conn_id not in local.actor("room").conns
        store.release_commits()


async def test_what_such_a_disconnect_changed_is_there_after_the_wake() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await connected(gateway)
        store.hold_commits()
        local.actor("room").sleep()
        await wait_until(lambda: store.is_committing, "the last commit")
        await turns()
        client.leave()
        wake = gateway.wake(client.actor_id)
        for _ in range(10):
            await turns()
            if store.is_committing:
                store.release_commit()
        await wake.next()
        assert local.actor("room").state == 1
        store.release_commits()


async def test_a_lost_link_ends_its_connections_and_no_others() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await connected(gateway)
        other_gateway = Gateway(local, "1-other")
        other = await connected(other_gateway)
        gateway.lose()
        assert [each[1] for each in SEEN if each[0] == "on_disconnect"] == [client.conn_id]
        assert list(local.actor("room").conns) == [other.conn_id]


async def test_a_commit_that_fails_suspends_the_connections_of_its_actor() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await connected(gateway, "said")
        store.fail_next_commit()
        client.call(1, "add")
        await suspended(client)
        assert not local.is_awake("room")
        await woken(gateway, client)
        assert await call(client, "get") == 0
        assert disconnects() == 0


async def test_an_opening_that_comes_while_the_actor_sleeps_wakes_it() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        old = await connected(gateway)
        local.actor("room").sleep()
        new = gateway.open("room")
        await new.opened()
        assert sorted(local.actor("room").conns) == sorted([old.conn_id, new.conn_id])


async def test_a_row_that_cannot_be_read_costs_that_connection_alone() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        good, bad = await connected(gateway), await connected(gateway)
        await asleep(local)
        (row,) = store.disk.live()
        for connection in row.connections:
            if connection.conn_id == bad.conn_id:
                connection.changing = b"\xc1"
        await local.call("room", "get")
        assert list(local.actor("room").conns) == [good.conn_id]
        assert "connection cannot be restored" in local.log.events()


async def test_a_client_that_leaves_during_the_last_commit_leaves_no_row() -> None:
    class Plain(Actor):
        @action
        def get(self) -> int:
            return len(self.conns)

    store = MemoryStore()
    async with linked_engine(store, use={"plain": Plain}) as (local, gateway):
        client = await gateway.connect("plain")
        store.hold_commits()
        local.actor("plain").sleep()
        await wait_until(lambda: store.is_committing, "the last commit")
        await turns()
        client.leave()
        wake = gateway.wake(client.actor_id)
        for _ in range(10):
            await turns()
            if store.is_committing:
                store.release_commit()
        await wake.next()
        assert gateway.of(Revive) == []
        store.release_commits()


async def test_a_client_that_leaves_after_a_failed_start_disconnects_at_the_next() -> None:
    troubles = [False, True, False]

    class Troubled(Actor):
        def on_wake(self) -> None:
            if troubles.pop(0):
                raise RuntimeError("not now")

        def on_disconnect(self, conn: Conn) -> None:
            SEEN.append((self.aborted, len(troubles)))

    async with linked_engine(use={"troubled": Troubled}) as (local, gateway):
        client = await gateway.connect("troubled")
        local.actor("troubled").sleep()
        await wait_until(lambda: not local.is_awake("troubled"), "it sleeps")
        refusal = (await gateway.wake(client.actor_id).next()).header
        assert isinstance(refusal, Refusal)
        client.leave()
        assert SEEN == []
        await gateway.wake(client.actor_id).next()
        client.leave()
        assert SEEN == [(False, 0)]


# -- workers that die before the client was told that it is open


async def test_a_stored_connection_that_is_opened_again_runs_no_hook_twice(medium: Medium) -> None:
    async with linked_engine(medium.open(), use=USE) as (_, gateway):
        client = await gateway.connect("room", params="p")
    SEEN.clear()
    async with linked_engine(medium.open(), use=USE) as (local, gateway):
        gateway.adopt(client)
        gateway.open_again(client)
        assert await client.next() == (Revive(client.number, client.conn_id), b"")
        assert (await client.opened()).is_hibernatable
        assert [("on_wake", [client.conn_id])] == SEEN
        assert await call(client, "describe") == [client.conn_id, "p", ""]
        assert list(local.actor("room").conns) == [client.conn_id]


async def test_a_connection_that_was_not_stored_is_opened_as_a_new_one() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        await local.call("room", "get")
        before = store.disk.copy()
        client = await gateway.connect("room")
    SEEN.clear()
    async with linked_engine(MemoryStore(before), use=USE) as (local, gateway):
        gateway.adopt(client)
        gateway.open_again(client)
        await client.opened()
        assert SEEN.count("on_connect") == 1
        assert gateway.of(Revive) == []


async def test_a_raw_socket_that_is_opened_again_has_one_handler(medium: Medium) -> None:
    class Raw(Actor):
        options = Options(can_hibernate_websocket=True)

        async def on_websocket(self, ws: WebSocket) -> None:
            SEEN.append(("begin", ws.restored))
            async for message in ws:
                await ws.send(message)

    async with linked_engine(medium.open(), use={"raw": Raw}) as (local, gateway):
        client = await gateway.connect_raw("raw")
        await local.engine.drain()
        await suspended(client)
    SEEN.clear()
    async with linked_engine(medium.open(), use={"raw": Raw}) as (_, gateway):
        gateway.adopt(client)
        gateway.open_again(client)
        assert isinstance((await client.next()).header, Revive)
        await client.opened()
        client.send("still there?")
        assert await client.listen() == "still there?"
        assert SEEN == [("begin", True)]
