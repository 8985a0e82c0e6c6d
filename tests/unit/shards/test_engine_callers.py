"""Who calls: single calls pass the connection hooks, and ``self.conn`` is the caller's."""

import asyncio
from typing import Any

import msgspec
import pytest

from stator import Actor, Conn, action
from tests.fakes.engine_in_process import output_of, turns, wait_until
from tests.fakes.gateway_clients import Client, make_head
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


class Member(msgspec.Struct):
    name: str


class Strict(Actor):
    def on_before_connect(self, params: Member) -> None:
        MARKS.append(params)

    @action
    def ping(self) -> str:
        return "pong"


# -- single calls


async def test_a_single_call_runs_the_samehooks() -> None:
    async with linked_engine(use=USE) as (local, _):
        await local.call("watched", "note")
        assert hooks() == [*OPENING_HOOKS, "action", "on_disconnect"]


async def test_a_single_call_is_a_connection_while_it_lasts() -> None:
    async with linked_engine(use=USE) as (local, _):
        await local.call("watched", "note")
        own = SEEN[2][1]
        visible = [(conn, conns) for _, conn, conns, _ in SEEN]
        assert visible == [(None, []), (None, []), (own, [own]), (own, [own]), (own, [])]


async def test_the_hooks_of_a_single_call_see_its_request_and_its_action_does_not() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        await gateway.call("watched", "note", head=make_head("/action/note", "POST")).next()
        paths = [request for *_, request in SEEN]
        assert paths == ["/action/note"] * 3 + [None] + ["/action/note"]


@each_opening_hook
async def test_a_single_call_that_a_hook_refuses_fails_with_its_error(hook: str) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        answer, payload = await gateway.call("watched", "note", params={"fail": hook}).next()
        assert answer.status == 400
        assert b"refused" in payload
        assert hooks() == OPENING_HOOKS[: OPENING_HOOKS.index(hook) + 1]


async def test_parameters_of_a_single_call_are_validated() -> None:
    async with linked_engine(use={"strict": Strict}) as (_, gateway):
        answer, payload = await gateway.call("strict", "ping", params={"name": 1}).next()
        assert answer.status == 400
        assert b"validation_error" in payload


async def test_a_plain_on_disconnect_has_run_before_the_reply_of_a_single_call() -> None:
    class Counted(Actor):
        state: int = 0

        def on_disconnect(self, conn: Conn) -> None:
            self.state += 1

        @action
        def get(self) -> int:
            return self.state

    store = MemoryStore()
    async with linked_engine(store, use={"counted": Counted}) as (local, _):
        store.hold_commits()
        reply = local.send("counted", "get")
        await wait_until(lambda: store.is_committing, "the first commit")
        await turns()
        assert not reply.done()
        store.release_commits()
        assert output_of(await reply) == 0
        assert await local.call("counted", "get") == 1


async def test_an_asynchronous_on_disconnect_does_not_hold_the_reply_back() -> None:
    class Leisurely(Actor):
        state: int = 0

        async def on_disconnect(self, conn: Conn) -> None:
            await asyncio.sleep(0)
            self.state += 1
            MARKS.append(self.request is not None)

        @action
        def get(self) -> int:
            return self.state

    async with linked_engine(use={"leisurely": Leisurely}) as (_, gateway):
        await gateway.call("leisurely", "get", head=make_head("/action/get")).next()
        await wait_until(lambda: MARKS == [True], "on_disconnect has run")


async def test_what_on_disconnect_changes_is_stored() -> None:
    class Leaving(Actor):
        state: int = 0

        async def on_disconnect(self, conn: Conn) -> None:
            await asyncio.sleep(0)
            self.state += 1

        @action
        def get(self) -> int:
            return self.state

    store = MemoryStore()
    async with linked_engine(store, use={"leaving": Leaving}) as (local, gateway):
        client = await gateway.connect("leaving")
        client.leave()
        await wait_until(lambda: bool(store.commits[-1].states), "the change is stored")
        local.actor("leaving").sleep()
        await wait_until(lambda: not local.is_awake("leaving"), "it sleeps")
        assert await local.call("leaving", "get") >= 1


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_on_disconnect_that_fails_is_logged(is_async: bool) -> None:
    class Plain(Actor):
        def on_disconnect(self, conn: Conn) -> None:
            raise RuntimeError("on the way out")

    class Later(Actor):
        async def on_disconnect(self, conn: Conn) -> None:
            raise RuntimeError("on the way out")

    async with linked_engine(use={"failing": Later if is_async else Plain}) as (local, gateway):
        client = await gateway.connect("failing")
        client.leave()
        await wait_until(lambda: "hook failed" in local.log.events(), "the line")


async def test_each_client_disconnects_once_however_it_ends() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("watched")
        conn = local.actor("watched").conns[client.conn_id]
        await conn.disconnect("first")
        await conn.disconnect("second")
        client.leave()
        client.leave()
        await turns()
        assert hooks().count("on_disconnect") == 1
        assert await client.closed() == (1000, "first")
        assert client.inbox.take_all() == []


# -- self.conn elsewhere


class Inner(Actor):
    @action
    def who_calls(self) -> str | None:
        MARKS.append([conn.id for conn in self.conns.values()])
        return None if self.conn is None else self.conn.id

    def on_create(self, given: Any) -> None:
        MARKS.append(("on_create", self.conn, self.request))


class Outer(Actor):
    @action
    def plain(self) -> str | None:
        return None if self.conn is None else self.conn.id

    @action
    async def in_a_task(self) -> str | None:
        return await asyncio.create_task(self._who())

    @action
    async def through_another(self) -> tuple[str | None, str | None]:
        other = await self.client.get_or_create("inner").call("who_calls")
        return await self._who(), other

    @action
    async def in_the_background(self) -> str | None:
        return await self.keep_awake(self._who())

    @action
    def seen(self) -> list[str]:
        return list(self.conns)

    async def _who(self) -> str | None:
        await asyncio.sleep(0)
        return None if self.conn is None else self.conn.id


CALLS: dict[str, type[Actor]] = {"outer": Outer, "inner": Inner}


async def _call(client: Client, name: str) -> Any:
    client.call(1, name)
    return getattr(await client.hear(), "output", None)


@pytest.mark.parametrize("name", ["plain", "in_a_task", "in_the_background"])
async def test_an_action_over_a_connection_has_that_connection(name: str) -> None:
    async with linked_engine(use=CALLS) as (_, gateway):
        client = await gateway.connect("outer")
        assert await _call(client, name) == client.conn_id


@pytest.mark.parametrize("name", ["plain", "in_a_task"])
async def test_a_single_call_has_a_connection_of_its_own(name: str) -> None:
    async with linked_engine(use=CALLS) as (local, _):
        first, second = await local.call("outer", name), await local.call("outer", name)
        assert first and second
        assert first != second


async def test_a_single_call_is_in_conns_while_it_lasts() -> None:
    async with linked_engine(use=CALLS) as (local, gateway):
        client = await gateway.connect("outer")
        seen = await local.call("outer", "seen")
        assert len(seen) == 2
        assert client.conn_id in seen
        assert list(local.actor("outer").conns) == [client.conn_id]


async def test_an_actor_that_is_called_by_another_does_not_see_that_ones_caller() -> None:
    async with linked_engine(use=CALLS) as (_, gateway):
        client = await gateway.connect("outer")
        own, other = await _call(client, "through_another")
        assert own == client.conn_id
        assert other not in (None, own)
        assert [("on_create", None, None), [other]] == MARKS


async def test_an_actor_that_nobody_calls_has_no_connection() -> None:
    async with linked_engine(use=CALLS) as (local, _):
        await local.call("outer", "plain")
        actor = local.actor("outer")
        assert (actor.conn, actor.request) == (None, None)


async def test_concurrent_actions_each_have_their_own_connection() -> None:
    async with linked_engine(use=CALLS) as (_, gateway):
        clients = [await gateway.connect("outer") for _ in range(3)]
        for client in clients:
            client.call(1, "in_a_task")
        answers = [await client.hear() for client in clients]
        assert [getattr(answer, "output", None) for answer in answers] == [
            client.conn_id for client in clients
        ]
