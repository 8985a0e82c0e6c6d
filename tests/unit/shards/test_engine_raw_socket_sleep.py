"""Raw WebSockets of an actor that sleeps: closed, or kept with a handler that begins again."""

import asyncio
from typing import Any

import pytest

from stator import Actor, Conn, Options, WebSocket
from stator.runtime.link.frames import CloseConnection, Suspended
from tests.fakes.engine_in_process import LocalEngine, turns, wait_until
from tests.fakes.gateway_clients import Client
from tests.fakes.linked_gateway import Gateway, linked_engine
from tests.fakes.memory_store import MemoryStore

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


class Closing(Actor):
    conn_state = {"count": 0}  # noqa: RUF012 - every connection gets a copy of it

    def on_disconnect(self, conn: Conn) -> None:
        SEEN.append(("on_disconnect", conn.id))

    async def on_websocket(self, ws: WebSocket) -> None:
        kept = ws.conn.state
        SEEN.append(("begin", ws.restored, ws.message_index, kept["count"]))
        async for message in ws:
            SEEN.append((ws.message_index, message))
            match message:
                case "count":
                    kept["count"] += 1
                case "wait":
                    await self.abort_signal.wait()
                case "hang":
                    await asyncio.Event().wait()
                case _:
                    await ws.send(message)
        SEEN.append(("end", ws.close_code, ws.close_reason))


class Lasting(Closing):
    options = Options(can_hibernate_websocket=True, sleep_grace_period=0.05)


USE: dict[str, type[Actor]] = {"closing": Closing, "lasting": Lasting}


async def _asleep(local: LocalEngine, name: str) -> None:
    local.actor(name).sleep()
    await wait_until(lambda: not local.is_awake(name), "it sleeps")


async def _woken(gateway: Gateway, client: Client) -> None:
    """Wake the client's actor as the gateway does."""
    assert isinstance((await client.next()).header, Suspended)
    await gateway.wake(client.actor_id).next()
    await client.next()  # Revive


async def test_a_socket_that_cannot_hibernate_is_closed() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("closing")
        await turns()
        await _asleep(local, "closing")
        assert await client.closed() == (1000, "actor.stopped")
        assert client.inbox.take_all() == []
        assert SEEN.count(("on_disconnect", client.conn_id)) == 1
        assert ("end", 1000, "actor.stopped") in SEEN


async def test_a_hibernatable_socket_stays_open_and_its_handler_is_cancelled() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("lasting")
        await turns()
        await _asleep(local, "lasting")
        assert isinstance((await client.next()).header, Suspended)
        assert SEEN == [("begin", False, -1, 0)]
        assert gateway.of(CloseConnection) == []


async def test_on_wake_the_handler_runs_again_with_a_restored_socket() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("lasting")
        client.send("a")
        client.send("b")
        await client.listen()
        await client.listen()
        await _asleep(local, "lasting")
        await _woken(gateway, client)
        client.send("c")
        assert await client.listen() == "c"
        assert SEEN[-2:] == [("begin", True, 1, 0), (2, "c")]
        assert ("on_disconnect", client.conn_id) not in SEEN


async def test_a_message_that_waited_for_the_handler_counts_as_not_received() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("lasting")
        client.send("wait")
        client.send("behind it")
        await wait_until(lambda: (0, "wait") in SEEN, "the handler is at work")
        await _asleep(local, "lasting")
        assert client.acknowledged == [0]
        await _woken(gateway, client)
        client.send("behind it", index=1)
        assert await client.listen() == "behind it"
        assert SEEN[-2:] == [("begin", True, 0, 0), (1, "behind it")]


async def test_a_handler_at_work_is_waited_for_and_its_message_acknowledged() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("lasting")
        client.send("wait")
        await wait_until(lambda: (0, "wait") in SEEN, "the handler is at work")
        await _asleep(local, "lasting")
        assert client.acknowledged == [0]


async def test_a_handler_at_work_for_too_long_is_cancelled_and_its_message_left() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("lasting")
        client.send("hang")
        await wait_until(lambda: (0, "hang") in SEEN, "the handler is at work")
        await _asleep(local, "lasting")
        assert client.acknowledged == []
        assert "grace period over" in local.log.events()
        await _woken(gateway, client)
        await turns()
        assert SEEN[-1][:2] == ("begin", True)


async def test_messages_while_the_actor_falls_asleep_are_left_to_the_next_generation() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await gateway.connect_raw("lasting")
        await turns()
        store.hold_commits()
        local.actor("lasting").sleep()
        client.send("too late")
        await turns()
        assert client.acknowledged == []
        store.release_commits()
        await _woken(gateway, client)
        client.send("too late", index=0)
        assert await client.listen() == "too late"


async def test_changes_of_a_conn_state_that_the_handler_kept_survive() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("lasting")
        for _ in range(3):
            client.send("count")
        await wait_until(lambda: len(client.acknowledged) == 3, "all are handled")
        await _asleep(local, "lasting")
        await _woken(gateway, client)
        await turns()
        assert SEEN[-1] == ("begin", True, 2, 3)


async def test_a_message_is_acknowledged_only_with_the_conn_state_it_changed() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await gateway.connect_raw("lasting")
        client.send("count")
        await wait_until(lambda: client.acknowledged == [0], "the first is handled")
        store.hold_commits()
        client.send("count")
        await turns()
        assert client.acknowledged == [0]
        store.release_commits()
        await wait_until(lambda: client.acknowledged == [0, 1], "the second is handled")


async def test_a_parked_handler_does_not_keep_its_actor_busy() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        await gateway.connect_raw("lasting")
        await turns()
        host: Any = local.actor("lasting")._host
        assert host.running == 0


async def test_a_restored_socket_whose_client_left_meanwhile_ends_its_handler() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("lasting")
        await turns()
        await _asleep(local, "lasting")
        await _woken(gateway, client)
        client.leave(1001, "left while it slept")
        await wait_until(lambda: ("end", 1001, "left while it slept") in SEEN, "the handler ends")
        assert SEEN.count(("on_disconnect", client.conn_id)) == 1
