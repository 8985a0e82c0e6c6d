"""How a raw WebSocket ends for its actor: first its handler, then ``on_disconnect``."""

import asyncio
from typing import Any

import pytest

from stator import Actor, Conn, Options, UserError, WebSocket
from stator.runtime.link.frames import Suspended
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.linked_gateway import linked_engine

SEEN: list[Any] = []
GATES: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()
    GATES["gate"] = asyncio.Event()


class Careful(Actor):
    """Has something to do after the end of its sockets."""

    async def on_websocket(self, ws: WebSocket) -> None:
        SEEN.append("begin")
        async for message in ws:
            match message:
                case "close":
                    await ws.close(4001, "enough")
                case "fail":
                    raise UserError("no", code="refused")
                case "return":
                    SEEN.append("returned")
                    return
                case _:
                    await asyncio.Event().wait()
        SEEN.append(("end", ws.close_code))
        await GATES["gate"].wait()
        SEEN.append("cleaned up")

    def on_disconnect(self, conn: Conn) -> None:
        SEEN.append("on_disconnect")


class Impatient(Careful):
    options = Options(on_connect_timeout=0.01)


class Farewell(Actor):
    options = Options(can_hibernate_websocket=True)

    async def on_websocket(self, ws: WebSocket) -> None:
        async for _ in ws:
            SEEN.append("at work")
            await self.abort_signal.wait()
            await ws.send("see you later")


USE: dict[str, type[Actor]] = {"careful": Careful, "impatient": Impatient, "farewell": Farewell}


async def test_on_disconnect_begins_after_the_handler_has_seen_the_client_leave() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("careful")
        await wait_until(lambda: SEEN == ["begin"], "the handler begins")
        client.leave(1001)
        await turns()
        assert SEEN == ["begin", ("end", 1001)]
        GATES["gate"].set()
        await turns()
        assert SEEN == ["begin", ("end", 1001), "cleaned up", "on_disconnect"]


async def test_on_disconnect_begins_after_a_handler_that_closed_the_socket_itself() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("careful")
        client.send("close")
        assert await client.closed() == (4001, "enough")
        await turns()
        assert SEEN == ["begin", ("end", 4001)]
        GATES["gate"].set()
        await turns()
        assert SEEN == ["begin", ("end", 4001), "cleaned up", "on_disconnect"]


async def test_on_disconnect_begins_after_a_handler_whose_socket_the_actor_disconnects() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("careful")
        await wait_until(lambda: SEEN == ["begin"], "the handler begins")
        await local.actor("careful").conns[client.conn_id].disconnect("out")
        GATES["gate"].set()
        await turns()
        assert SEEN == ["begin", ("end", 1000), "cleaned up", "on_disconnect"]


@pytest.mark.parametrize(
    ("message", "seen"),
    [("return", ["begin", "returned", "on_disconnect"]), ("fail", ["begin", "on_disconnect"])],
)
async def test_on_disconnect_runs_once_after_a_handler_that_ended_first(
    message: str, seen: list[str]
) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("careful")
        client.send(message)
        await client.closed()
        client.leave()
        await turns()
        assert seen == SEEN


@pytest.mark.parametrize("message", ["hang", "close"])
async def test_a_handler_that_does_not_end_delays_on_disconnect_for_a_while_only(
    message: str,
) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("impatient")
        client.send(message)
        client.leave()
        await wait_until(lambda: "on_disconnect" in SEEN, "on_disconnect")
        assert "cleaned up" not in SEEN


async def test_a_handler_that_ends_after_all_causes_no_second_on_disconnect() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("impatient")
        client.send("close")
        await wait_until(lambda: "on_disconnect" in SEEN, "on_disconnect")
        GATES["gate"].set()
        await turns()
        assert SEEN == ["begin", ("end", 4001), "on_disconnect", "cleaned up"]


@pytest.mark.parametrize("how", ["leave", "close"])
async def test_the_connection_is_out_of_conns_at_once(how: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("careful")
        if how == "leave":
            client.leave()
        else:
            client.send("close")
            await client.closed()
        assert "on_disconnect" not in SEEN
        assert list(local.actor("careful").conns) == []


@pytest.mark.parametrize("ending", ["sleep", "destroy"])
async def test_a_handler_that_never_ends_costs_no_on_disconnect_when_its_actor_stops(
    ending: str,
) -> None:
    class Stuck(Careful):
        options = Options(sleep_grace_period=0.01)

    async with linked_engine(use={"stuck": Stuck}) as (local, gateway):
        client = await gateway.connect_raw("stuck")
        client.send("hang")
        await wait_until(lambda: SEEN == ["begin"], "the handler is at work")
        getattr(local.actor("stuck"), ending)()
        await wait_until(lambda: not local.is_awake("stuck"), "it is gone")
        assert SEEN == ["begin", "on_disconnect"]


async def test_what_a_handler_sends_while_its_actor_falls_asleep_reaches_the_client() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("farewell")
        client.send("begin")
        await wait_until(lambda: SEEN == ["at work"], "the handler is at work")
        local.actor("farewell").sleep()
        assert await client.listen() == "see you later"
        assert isinstance((await client.next()).header, Suspended)
        assert client.acknowledged == [0]
