"""Raw WebSockets: what ``on_websocket`` gets and gives, acknowledgements, credit, the end."""

import asyncio
from typing import Any

import pytest

from stator import Actor, ActorError, Conn, Options, UserError, WebSocket, action
from stator.runtime.link.frames import Ack, ConnectionKind, Deliver
from stator.shards.raw_sockets import WINDOW_BYTES
from stator.shards.shard import Limits
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.gateway_clients import make_head
from tests.fakes.linked_gateway import linked_engine
from tests.fakes.memory_store import MemoryStore

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


class Echo(Actor):
    state: int = 0
    conn_state = {"count": 0}  # noqa: RUF012 - every connection gets a copy of it

    def on_disconnect(self, conn: Conn) -> None:
        SEEN.append(("on_disconnect", conn.id))

    async def on_websocket(self, ws: WebSocket) -> None:
        kept = ws.conn.state
        SEEN.append(("begin", ws.restored, ws.message_index, kept["count"]))
        async for message in ws:
            SEEN.append((ws.message_index, message))
            await self._obey(ws, kept, message)
        SEEN.append(("end", ws.close_code, ws.close_reason))

    async def _obey(self, ws: WebSocket, kept: Any, message: str | bytes) -> None:
        match message:
            case "count":
                kept["count"] += 1
            case "change":
                self.state += 1
            case "fail":
                raise UserError("no", code="refused")
            case "break":
                raise RuntimeError("internal text")
            case "close":
                await ws.close(4001, "enough")
            case "wait":
                await self.abort_signal.wait()
            case "hang":
                await asyncio.Event().wait()
            case "fill":
                await ws.send(b"x" * WINDOW_BYTES)
                await ws.send("more")
            case "number":
                await ws.send(5)  # type: ignore[arg-type]
            case _:
                await ws.send(message)

    @action
    def rest(self) -> None:
        self.sleep()


class Lasting(Echo):
    options = Options(can_hibernate_websocket=True, sleep_grace_period=0.05)


class Returning(Actor):
    async def on_websocket(self, ws: WebSocket) -> None:
        await ws.send("only this")


class Silent(Actor):
    @action
    def conn_ids(self) -> list[str]:
        return list(self.conns)


USE: dict[str, type[Actor]] = {
    "echo": Echo,
    "lasting": Lasting,
    "returning": Returning,
    "silent": Silent,
}


# -- messages


@pytest.mark.parametrize("message", ["text", "", b"bytes", b"", "\u00e9", b"\xff"])
async def test_text_and_bytes_pass_through_unchanged(message: str | bytes) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        client.send(message)
        assert await client.listen() == message


async def test_messages_are_handled_in_order() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        for number in range(20):
            client.send(str(number))
        assert [await client.listen() for _ in range(20)] == [str(number) for number in range(20)]


async def test_the_handler_knows_the_index_of_the_message_it_got() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        client.send("a")
        client.send("b")
        await client.listen()
        await client.listen()
        assert SEEN == [("begin", False, -1, 0), (0, "a"), (1, "b")]


async def test_a_message_is_acknowledged_when_the_handler_asks_for_the_next() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        client.send("done with")
        client.send("hang")
        client.send("never seen")
        await wait_until(lambda: (1, "hang") in SEEN, "the second message")
        await turns()
        assert client.acknowledged == [0]


async def test_a_message_is_acknowledged_once_what_it_changed_is_durable() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        store.hold_commits()
        client.send("change")
        client.send("said after it")
        await turns()
        assert client.acknowledged == []
        assert client.inbox.take_all() == []
        store.release_commits()
        assert await client.listen() == "said after it"
        await turns()
        assert client.acknowledged == [0, 1]


async def test_output_and_acknowledgements_leave_in_the_order_they_were_made() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        client.send("a")
        client.send("b")
        await client.listen()
        await client.listen()
        await turns()
        are_acks = [isinstance(header, Ack) for header in gateway.of(Deliver, Ack)]
        assert are_acks == [False, True, False, True]


async def test_the_handler_sees_its_connection_and_the_request_that_opened_it() -> None:
    class Curious(Actor):
        async def on_websocket(self, ws: WebSocket) -> None:
            assert self.conn is ws.conn
            assert self.request is not None
            SEEN.append((ws.path, ws.request.query["a"], self.request.url, list(self.conns)))
            await ws.send("seen")

    head = make_head("/websocket/room%201", raw_query="a=1")
    async with linked_engine(use={"curious": Curious}) as (_, gateway):
        client = await gateway.connect_raw("curious", head=head)
        await client.listen()
        assert [("/websocket/room%201", "1", head.url, [client.conn_id])] == SEEN


async def test_events_do_not_reach_a_raw_socket() -> None:
    class Noisy(Actor):
        async def on_websocket(self, ws: WebSocket) -> None:
            ws.conn.send("event", 1)
            self.broadcast("event", 1)
            await ws.send("only this")

    async with linked_engine(use={"noisy": Noisy}) as (_, gateway):
        client = await gateway.connect_raw("noisy")
        assert await client.listen() == "only this"
        assert await client.closed() == (1000, "")


@pytest.mark.parametrize("name", ["echo", "silent"])
async def test_a_raw_socket_cannot_hibernate_unless_its_class_says_so(name: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = gateway.open(name, kind=ConnectionKind.RAW)
        assert not (await client.opened()).is_hibernatable
        assert not local.actor(name).conns[client.conn_id].is_hibernatable


@pytest.mark.parametrize(("path", "can"), [("/websocket/yes", True), ("/websocket/no", False)])
async def test_a_function_of_the_request_may_decide_about_hibernation(path: str, can: bool) -> None:
    class Choosy(Echo):
        options = Options(can_hibernate_websocket=lambda request: request.path.endswith("yes"))

    async with linked_engine(use={"choosy": Choosy}) as (local, gateway):
        client = await gateway.connect_raw("choosy", head=make_head(path))
        assert local.actor("choosy").conns[client.conn_id].is_hibernatable is can


async def test_without_a_handler_the_socket_is_open_and_silent() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("silent")
        client.send("anybody there?")
        await turns()
        assert client.inbox.take_all() == []
        assert client.acknowledged == [0]
        assert client.conn_id in await local.call("silent", "conn_ids")


# -- back-pressure


async def test_send_waits_while_a_window_is_on_its_way() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        client.send("fill")
        assert len(await client.listen()) == WINDOW_BYTES
        await turns()
        assert client.inbox.take_all() == []
        client.credit(1)
        assert await client.listen() == "more"


async def test_a_sender_that_waits_goes_on_when_the_client_leaves() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        client.send("fill")
        await client.listen()
        client.leave(1001, "away")
        await wait_until(lambda: ("end", 1001, "away") in SEEN, "the handler ends")
        assert client.inbox.take_all() == []


async def test_a_window_holds_for_each_socket_alone() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        slow, other = await gateway.connect_raw("echo"), await gateway.connect_raw("echo")
        slow.send("fill")
        await slow.listen()
        other.send("still served")
        assert await other.listen() == "still served"


async def test_a_message_that_is_too_large_to_send_is_an_error_of_the_handler() -> None:
    async with linked_engine(use=USE, limits=Limits(max_websocket_message_bytes=10)) as (_, gate):
        client = await gate.connect_raw("echo")
        client.send("0123456789")
        assert await client.listen() == "0123456789"
        client.send("0123456789a")
        assert await client.closed() == (1011, "message.outgoing_too_long")


async def test_sending_something_else_than_text_or_bytes_is_an_error_of_the_handler() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("echo")
        client.send("number")
        assert await client.closed() == (1011, "rivetkit.internal_error")
        assert "on_websocket failed" in local.log.events()


# -- the end


async def test_the_handler_learns_how_the_client_left() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        client.leave(4321, "bye")
        await wait_until(lambda: ("end", 4321, "bye") in SEEN, "the handler ends")
        await turns()
        assert client.inbox.take_all() == []


async def test_what_a_client_said_before_it_left_is_still_handled() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        client.send("first")
        client.send("last")
        client.leave(1000, "")
        await wait_until(lambda: ("end", 1000, "") in SEEN, "the handler ends")
        assert [each for each in SEEN if isinstance(each[0], int)] == [(0, "first"), (1, "last")]


async def test_on_disconnect_runs_once_when_the_client_leaves() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("echo")
        client.leave()
        await wait_until(lambda: ("end", 1001, "") in SEEN, "the handler ends")
        await turns()
        assert SEEN.count(("on_disconnect", client.conn_id)) == 1
        assert list(local.actor("echo").conns) == []


async def test_the_handler_may_close_with_a_code_of_its_own() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("echo")
        client.send("close")
        assert await client.closed() == (4001, "enough")
        await wait_until(lambda: ("end", 4001, "enough") in SEEN, "the handler ends")
        await turns()
        assert client.inbox.take_all() == []
        assert SEEN.count(("on_disconnect", client.conn_id)) == 1


@pytest.mark.parametrize(
    ("code", "reason"), [(999, ""), (1005, ""), (2000, ""), (5000, ""), (4000.5, ""), (4000, None)]
)
async def test_a_close_that_cannot_be_sent_is_an_error_of_the_handler(
    code: Any, reason: Any
) -> None:
    class Wrong(Actor):
        async def on_websocket(self, ws: WebSocket) -> None:
            with pytest.raises((ValueError, TypeError)):
                await ws.close(code, reason)
            await ws.send("still open")

    async with linked_engine(use={"wrong": Wrong}) as (_, gateway):
        client = await gateway.connect_raw("wrong")
        assert await client.listen() == "still open"


async def test_a_reason_that_no_frame_can_carry_is_made_one_that_can() -> None:
    class Odd(Actor):
        async def on_websocket(self, ws: WebSocket) -> None:
            await ws.close(4000, "\ud800 odd")

    async with linked_engine(use={"odd": Odd}) as (_, gateway):
        client = await gateway.connect_raw("odd")
        assert await client.closed() == (4000, "? odd")


@pytest.mark.parametrize(
    ("message", "reason"), [("fail", "user.refused"), ("break", "rivetkit.internal_error")]
)
async def test_a_handler_that_raises_closes_its_socket(message: str, reason: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("echo")
        other = await gateway.connect_raw("echo")
        client.send(message)
        assert await client.closed() == (1011, reason)
        assert SEEN.count(("on_disconnect", client.conn_id)) == 1
        assert ("on_websocket failed" in local.log.events()) is (message == "break")
        other.send("fine")
        assert await other.listen() == "fine"


async def test_a_handler_that_returns_closes_its_socket() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect_raw("returning")
        assert await client.listen() == "only this"
        assert await client.closed() == (1000, "")


async def test_what_is_sent_on_a_closed_socket_is_dropped() -> None:
    class Late(Actor):
        async def on_websocket(self, ws: WebSocket) -> None:
            async for _ in ws:
                pass
            await ws.send("too late")
            await ws.close(4000, "too late")
            SEEN.append("done")

    async with linked_engine(use={"late": Late}) as (_, gateway):
        client = await gateway.connect_raw("late")
        client.leave()
        await wait_until(lambda: SEEN == ["done"], "the handler ends")
        await turns()
        assert client.inbox.take_all() == []


async def test_conn_disconnect_closes_a_raw_socket() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("echo")
        await local.actor("echo").conns[client.conn_id].disconnect("out")
        assert await client.closed() == (1000, "out")
        await wait_until(lambda: ("end", 1000, "out") in SEEN, "the handler ends")


async def test_a_gateway_that_is_lost_ends_its_sockets() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect_raw("echo")
        gateway.lose()
        await wait_until(lambda: ("end", 1006, "") in SEEN, "the handler ends")
        assert SEEN.count(("on_disconnect", client.conn_id)) == 1
        assert list(local.actor("echo").conns) == []


async def test_a_refused_raw_socket_is_closed_without_a_message() -> None:
    class Guarded(Actor):
        def on_before_connect(self, params: Any) -> None:
            raise ActorError("no", group="auth", code="forbidden")

    async with linked_engine(use={"guarded": Guarded}) as (_, gateway):
        client = gateway.open("guarded", kind=ConnectionKind.RAW)
        assert await client.closed() == (1011, "auth.forbidden")
