"""The hooks around a connection: their order, who is visible when, what a failure does."""

import asyncio
from typing import Any

import msgspec
import pytest

from stator import Actor, Conn, Options, UserError, action
from stator.runtime.link.frames import CloseConnection, Opened
from stator.runtime.protocol.connection import ErrorMessage, Event, Init
from tests.fakes.engine_in_process import LocalEngine, turns, wait_until
from tests.fakes.gateway_clients import make_head
from tests.fakes.linked_gateway import linked_engine
from tests.fakes.memory_store import MemoryStore
from tests.fakes.watched_actor import OPENING_HOOKS, SEEN, Watched, hooks

MARKS: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()
    MARKS.clear()


USE: dict[str, type[Actor]] = {"watched": Watched}
each_opening_hook = pytest.mark.parametrize("hook", OPENING_HOOKS)


async def test_the_hooks_of_a_connection_run_in_order() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("watched")
        client.call(1, "note")
        await client.hear()
        client.leave()
        assert hooks() == [*OPENING_HOOKS, "action", "on_disconnect"]


async def test_a_connection_is_visible_from_on_connect_to_its_end() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("watched")
        client.call(1, "note")
        await client.hear()
        client.leave()
        visible = {hook: (conn, conns) for hook, conn, conns, _ in SEEN}
        own = client.conn_id
        assert visible == {
            "on_before_connect": (None, []),
            "create_conn_state": (None, []),
            "on_connect": (own, [own]),
            "action": (own, [own]),
            "on_disconnect": (own, []),
        }
        assert list(local.actor("watched").conns) == []


async def test_only_connection_hooks_see_the_request_that_opened_the_connection() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("watched", head=make_head("/connect"))
        client.call(1, "note")
        await client.hear()
        client.leave()
        assert {hook: request for hook, _, _, request in SEEN} == {
            "on_before_connect": "/connect",
            "create_conn_state": "/connect",
            "on_connect": "/connect",
            "action": None,
            "on_disconnect": "/connect",
        }


async def test_the_request_has_url_method_and_headers() -> None:
    class Curious(Actor):
        def on_before_connect(self, params: Any) -> None:
            assert self.request is not None
            MARKS.append((self.request.method, self.request.url, self.request.headers["x-from"]))

    head = make_head("/connect", headers=[(b"x-from", b"here")], raw_query="a=1")
    async with linked_engine(use={"curious": Curious}) as (_, gateway):
        await gateway.connect("curious", head=head)
        assert [("GET", head.url, "here")] == MARKS


async def test_the_client_is_told_that_it_is_open_after_thehooks() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = gateway.open("watched")
        first = await client.hear()
        assert hooks() == OPENING_HOOKS
        actor_id = local.actor("watched").actor_id
        assert first == Init(actor_id, client.conn_id)
        opened, _ = await client.next()
        assert opened == Opened(client.number, actor_id, is_hibernatable=True)


@each_opening_hook
async def test_an_error_of_a_hook_reaches_the_client_and_closes_the_connection(hook: str) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = gateway.open("watched", params={"fail": hook})
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert (said.error.group, said.error.code, said.action_id) == ("user", "refused", None)
        assert said.error.metadata == {"where": hook}
        assert await client.closed() == (1011, "user.refused")


@each_opening_hook
async def test_a_refused_connection_is_not_visible_and_never_disconnects(hook: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = gateway.open("watched", params={"fail": hook})
        await client.hear()
        await client.closed()
        client.leave()
        await turns()
        assert hooks() == OPENING_HOOKS[: OPENING_HOOKS.index(hook) + 1]
        assert list(local.actor("watched").conns) == []


@each_opening_hook
async def test_an_unexpected_error_of_a_hook_is_redacted_and_logged(hook: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = gateway.open("watched", params={"break": hook})
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert "internal text" not in repr(said)
        assert await client.closed() == (1011, "rivetkit.internal_error")
        assert "connection refused" in local.log.events()


@each_opening_hook
async def test_a_hook_that_takes_too_long_refuses_the_connection(hook: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = gateway.open("watched", params={"hang": hook})
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert (said.error.group, said.error.code) == ("actor", "callback_timed_out")
        assert await client.closed() == (1011, "actor.callback_timed_out")
        assert list(local.actor("watched").conns) == []


async def test_a_refused_connection_leaves_the_others_alone() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        other = await gateway.connect("watched")
        refused = gateway.open("watched", params={"fail": "on_connect"})
        await refused.hear()
        await refused.closed()
        assert list(local.actor("watched").conns) == [other.conn_id]


async def test_a_refused_connection_leaves_no_row() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        refused = gateway.open("watched", params={"fail": "on_connect"})
        await refused.hear()
        await turns()
        (row,) = store.disk.live()
        assert not row.connections


@pytest.mark.parametrize("hook", ["on_before_connect", "create_conn_state"])
async def test_a_client_that_leaves_before_it_is_visible_causes_no_further_hook(hook: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = gateway.open("watched", params={"hang": hook})
        await wait_until(lambda: hook in hooks(), "the hook runs")
        client.leave()
        await wait_until(lambda: not _is_busy(local, "watched"), "the opening comes to an end")
        assert "on_disconnect" not in hooks()
        assert list(local.actor("watched").conns) == []


async def test_a_client_that_leaves_during_on_connect_disconnects_once_it_is_over() -> None:
    go_on = asyncio.Event()

    class Slow(Actor):
        async def on_connect(self, conn: Conn) -> None:
            MARKS.append("begun")
            await go_on.wait()
            MARKS.append("connected")

        def on_disconnect(self, conn: Conn) -> None:
            MARKS.append("disconnected")

    async with linked_engine(use={"slow": Slow}) as (local, gateway):
        client = gateway.open("slow")
        await wait_until(lambda: MARKS == ["begun"], "on_connect runs")
        client.leave()
        go_on.set()
        await wait_until(lambda: not _is_busy(local, "slow"), "the opening comes to an end")
        assert MARKS == ["begun", "connected", "disconnected"]
        assert list(local.actor("slow").conns) == []
        assert client.inbox.take_all() == []


async def test_a_client_that_leaves_during_an_on_connect_that_fails_never_disconnects() -> None:
    go_on = asyncio.Event()

    class Failing(Actor):
        async def on_connect(self, conn: Conn) -> None:
            MARKS.append("begun")
            await go_on.wait()
            raise UserError("no")

        def on_disconnect(self, conn: Conn) -> None:
            MARKS.append("disconnected")

    async with linked_engine(use={"failing": Failing}) as (local, gateway):
        client = gateway.open("failing")
        await wait_until(lambda: MARKS == ["begun"], "on_connect runs")
        client.leave()
        go_on.set()
        await wait_until(lambda: not _is_busy(local, "failing"), "the opening comes to an end")
        assert MARKS == ["begun"]


async def test_an_event_sent_in_on_connect_comes_before_the_connection_is_open() -> None:
    class Greeting(Actor):
        def on_connect(self, conn: Conn) -> None:
            conn.send("hello", 1)

    async with linked_engine(use={"greeting": Greeting}) as (_, gateway):
        client = gateway.open("greeting")
        assert await client.hear() == Event("hello", [1])
        await client.opened()


async def test_a_broadcast_in_on_connect_does_not_reach_the_new_connection() -> None:
    class Announcing(Actor):
        def on_connect(self, conn: Conn) -> None:
            self.broadcast("joined", conn.id)

    async with linked_engine(use={"announcing": Announcing}) as (_, gateway):
        old = await gateway.connect("announcing")
        old.subscribe("joined")
        await turns()
        new = await gateway.connect("announcing")
        await turns()
        assert old.heard() == [Event("joined", [new.conn_id])]
        assert new.heard() == []


async def test_a_connection_that_its_own_on_connect_disconnects_is_never_open() -> None:
    class Hostile(Actor):
        async def on_connect(self, conn: Conn) -> None:
            await conn.disconnect("not today")

    async with linked_engine(use={"hostile": Hostile}) as (local, gateway):
        client = gateway.open("hostile")
        assert await client.closed() == (1000, "not today")
        await turns()
        assert client.inbox.take_all() == []
        assert list(local.actor("hostile").conns) == []


class Member(msgspec.Struct):
    name: str


class Strict(Actor):
    def on_before_connect(self, params: Member) -> None:
        MARKS.append(params)

    @action
    def ping(self) -> str:
        return "pong"


async def test_parameters_are_validated_against_the_annotation_of_the_hook() -> None:
    async with linked_engine(use={"strict": Strict}) as (_, gateway):
        await gateway.connect("strict", params={"name": "ann"})
        assert [Member("ann")] == MARKS


@pytest.mark.parametrize("params", [None, {"name": 5}, "ann"])
async def test_parameters_that_do_not_validate_refuse_the_connection(params: object) -> None:
    async with linked_engine(use={"strict": Strict}) as (_, gateway):
        client = gateway.open("strict", params=params)
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert "params" in said.error.message
        assert await client.closed() == (1011, "actor.validation_error")
        assert MARKS == []


async def test_an_actor_without_hooks_opens_a_connection_once_its_row_is_on_disk() -> None:
    class Plain(Actor):
        @action
        def ping(self) -> str:
            return "pong"

    store = MemoryStore()
    async with linked_engine(store, use={"plain": Plain}) as (local, gateway):
        await local.call("plain", "ping")
        store.hold_commits()
        client = gateway.open("plain", params={"any": "thing"})
        await turns()
        assert client.inbox.take_all() == []
        store.release_commits()
        await client.opened()
        conn = local.actor("plain").conns[client.conn_id]
        assert conn.params == {"any": "thing"}


async def test_changes_of_on_connect_are_durable_before_the_connection_is_open() -> None:
    class Counting(Actor):
        state: int = 0

        def on_connect(self, conn: Conn) -> None:
            self.state += 1

        @action
        def get(self) -> int:
            return self.state

    store = MemoryStore()
    async with linked_engine(store, use={"counting": Counting}) as (local, gateway):
        await local.call("counting", "get")
        store.hold_commits()
        client = gateway.open("counting")
        await turns()
        assert client.inbox.take_all() == []
        store.release_commits()
        await client.opened()


async def test_an_opening_that_outlasts_the_actor_is_refused() -> None:
    go_on = asyncio.Event()

    class Late(Actor):
        options = Options(sleep_grace_period=0.01)

        async def on_before_connect(self, params: Any) -> None:
            MARKS.append("begun")
            await go_on.wait()

        @action
        def leave_memory(self) -> None:
            self.sleep()

    async with linked_engine(use={"late": Late}) as (local, gateway):
        client = gateway.open("late")
        await wait_until(lambda: MARKS == ["begun"], "the hook runs")
        local.actor("late").sleep()
        await wait_until(lambda: not local.is_awake("late"), "it sleeps")
        go_on.set()
        frames = [await client.next()]
        await turns()
        frames += client.inbox.take_all()
        assert not any(isinstance(frame.header, Opened) for frame in frames)
        assert isinstance(frames[-1].header, CloseConnection)


def _is_busy(local: LocalEngine, name: str) -> bool:
    host: Any = local.actor(name)._host
    return bool(host.running)
