"""The hooks around a connection: their order, who is visible when, what a failure does."""

import asyncio
from typing import Any

import msgspec
import pytest

from stator import Actor, Conn, Options, UserError, action
from stator.runtime.link.frames import CloseConnection, Opened
from stator.runtime.protocol.connection import ErrorMessage, Event, Init
from tests.fakes.engine_in_process import LocalEngine, output_of, turns, wait_until
from tests.fakes.gateway_clients import Client, make_head
from tests.fakes.gateway_in_process import linked_engine
from tests.fakes.memory_store import MemoryStore

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


class Watched(Actor):
    state: int = 0
    options = Options(
        on_before_connect_timeout=0.02, create_conn_state_timeout=0.02, on_connect_timeout=0.02
    )

    def _note(self, hook: str) -> None:
        conn = None if self.conn is None else self.conn.id
        request = None if self.request is None else self.request.path
        SEEN.append((hook, conn, list(self.conns), request))

    async def on_before_connect(self, params: Any) -> None:
        self._note("on_before_connect")
        await self._obey("on_before_connect", params)

    async def create_conn_state(self, params: Any) -> Any:
        self._note("create_conn_state")
        await self._obey("create_conn_state", params)
        return params

    async def on_connect(self, conn: Conn) -> None:
        self._note("on_connect")
        assert conn is self.conn
        await self._obey("on_connect", conn.params)

    def on_disconnect(self, conn: Conn) -> None:
        self._note("on_disconnect")
        assert conn is self.conn

    @action
    def note(self) -> None:
        self._note("action")

    async def _obey(self, hook: str, params: Any) -> None:
        match params:
            case {"fail": where} if where == hook:
                raise UserError("no", code="refused", metadata={"where": hook})
            case {"break": where} if where == hook:
                raise RuntimeError("internal text")
            case {"hang": where} if where == hook:
                await asyncio.Event().wait()
            case _:
                await asyncio.sleep(0)


USE: dict[str, type[Actor]] = {"watched": Watched}
OPENING_HOOKS = ["on_before_connect", "create_conn_state", "on_connect"]
each_opening_hook = pytest.mark.parametrize("hook", OPENING_HOOKS)


def _hooks() -> list[str]:
    return [hook for hook, *_ in SEEN]


async def test_the_hooks_of_a_connection_run_in_order() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("watched")
        client.call(1, "note")
        await client.hear()
        client.leave()
        assert _hooks() == [*OPENING_HOOKS, "action", "on_disconnect"]


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
            SEEN.append((self.request.method, self.request.url, self.request.headers["x-from"]))

    head = make_head("/connect", headers=[(b"x-from", b"here")], raw_query="a=1")
    async with linked_engine(use={"curious": Curious}) as (_, gateway):
        await gateway.connect("curious", head=head)
        assert [("GET", head.url, "here")] == SEEN


async def test_the_client_is_told_that_it_is_open_after_the_hooks() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = gateway.open("watched")
        opened, _ = await client.next()
        assert _hooks() == OPENING_HOOKS
        actor_id = local.actor("watched").actor_id
        assert opened == Opened(client.number, actor_id, is_hibernatable=True)
        assert await client.hear() == Init(actor_id, client.conn_id)


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
        assert _hooks() == OPENING_HOOKS[: OPENING_HOOKS.index(hook) + 1]
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
        assert row.connections == []


@pytest.mark.parametrize("hook", ["on_before_connect", "create_conn_state"])
async def test_a_client_that_leaves_before_it_is_visible_causes_no_further_hook(hook: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = gateway.open("watched", params={"hang": hook})
        await wait_until(lambda: hook in _hooks(), "the hook runs")
        client.leave()
        await wait_until(lambda: not _is_busy(local, "watched"), "the opening comes to an end")
        assert "on_disconnect" not in _hooks()
        assert list(local.actor("watched").conns) == []


async def test_a_client_that_leaves_during_on_connect_disconnects_once_it_is_over() -> None:
    go_on = asyncio.Event()

    class Slow(Actor):
        async def on_connect(self, conn: Conn) -> None:
            SEEN.append("begun")
            await go_on.wait()
            SEEN.append("connected")

        def on_disconnect(self, conn: Conn) -> None:
            SEEN.append("disconnected")

    async with linked_engine(use={"slow": Slow}) as (local, gateway):
        client = gateway.open("slow")
        await wait_until(lambda: SEEN == ["begun"], "on_connect runs")
        client.leave()
        go_on.set()
        await wait_until(lambda: not _is_busy(local, "slow"), "the opening comes to an end")
        assert SEEN == ["begun", "connected", "disconnected"]
        assert list(local.actor("slow").conns) == []
        assert client.inbox.take_all() == []


async def test_a_client_that_leaves_during_an_on_connect_that_fails_never_disconnects() -> None:
    go_on = asyncio.Event()

    class Failing(Actor):
        async def on_connect(self, conn: Conn) -> None:
            SEEN.append("begun")
            await go_on.wait()
            raise UserError("no")

        def on_disconnect(self, conn: Conn) -> None:
            SEEN.append("disconnected")

    async with linked_engine(use={"failing": Failing}) as (local, gateway):
        client = gateway.open("failing")
        await wait_until(lambda: SEEN == ["begun"], "on_connect runs")
        client.leave()
        go_on.set()
        await wait_until(lambda: not _is_busy(local, "failing"), "the opening comes to an end")
        assert SEEN == ["begun"]


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
        SEEN.append(params)

    @action
    def ping(self) -> str:
        return "pong"


async def test_parameters_are_validated_against_the_annotation_of_the_hook() -> None:
    async with linked_engine(use={"strict": Strict}) as (_, gateway):
        await gateway.connect("strict", params={"name": "ann"})
        assert [Member("ann")] == SEEN


@pytest.mark.parametrize("params", [None, {"name": 5}, "ann"])
async def test_parameters_that_do_not_validate_refuse_the_connection(params: object) -> None:
    async with linked_engine(use={"strict": Strict}) as (_, gateway):
        client = gateway.open("strict", params=params)
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert "params" in said.error.message
        assert await client.closed() == (1011, "actor.validation_error")
        assert SEEN == []


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
            SEEN.append("begun")
            await go_on.wait()

        @action
        def leave_memory(self) -> None:
            self.sleep()

    async with linked_engine(use={"late": Late}) as (local, gateway):
        client = gateway.open("late")
        await wait_until(lambda: SEEN == ["begun"], "the hook runs")
        local.actor("late").sleep()
        await wait_until(lambda: not local.is_awake("late"), "it sleeps")
        go_on.set()
        frames = [await client.next()]
        await turns()
        frames += client.inbox.take_all()
        assert not any(isinstance(frame.header, Opened) for frame in frames)
        assert isinstance(frames[-1].header, CloseConnection)


# -- single calls


async def test_a_single_call_runs_the_same_hooks() -> None:
    async with linked_engine(use=USE) as (local, _):
        await local.call("watched", "note")
        assert _hooks() == [*OPENING_HOOKS, "action", "on_disconnect"]


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
        assert _hooks() == OPENING_HOOKS[: OPENING_HOOKS.index(hook) + 1]


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
            SEEN.append(self.request is not None)

        @action
        def get(self) -> int:
            return self.state

    async with linked_engine(use={"leisurely": Leisurely}) as (_, gateway):
        await gateway.call("leisurely", "get", head=make_head("/action/get")).next()
        await wait_until(lambda: SEEN == [True], "on_disconnect has run")


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
        assert _hooks().count("on_disconnect") == 1
        assert await client.closed() == (1000, "first")
        assert client.inbox.take_all() == []


# -- self.conn elsewhere


class Inner(Actor):
    @action
    def who_calls(self) -> str | None:
        SEEN.append([conn.id for conn in self.conns.values()])
        return None if self.conn is None else self.conn.id

    def on_create(self, given: Any) -> None:
        SEEN.append(("on_create", self.conn, self.request))


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
        assert [("on_create", None, None), [other]] == SEEN


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


def _is_busy(local: LocalEngine, name: str) -> bool:
    host: Any = local.actor(name)._host
    return bool(host.running)
