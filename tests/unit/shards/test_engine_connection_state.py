"""``conn.state``: where it comes from, that every change of it is stored, what cannot be."""

import asyncio
from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, Conn, Options, action
from stator.runtime.protocol.connection import ActionResponse, ErrorMessage
from stator.runtime.storage import InsertConnection, UpdateConnection
from tests.fakes.engine_in_process import LocalEngine, turns, wait_until
from tests.fakes.gateway_clients import Client
from tests.fakes.linked_gateway import Gateway, linked_engine
from tests.fakes.memory_store import MemoryStore


class Seat(msgspec.Struct):
    name: str = ""
    moves: list[int] = []


class Table(Actor):
    conn_state: Seat
    vars: dict[str, Any] = {}  # noqa: RUF012 - vars, which every actor gets a copy of

    @action
    def sit(self, name: str) -> None:
        assert self.conn is not None
        self.conn.state.name = name

    @action
    async def move(self, number: int) -> list[int]:
        assert self.conn is not None
        moves: list[int] = self.conn.state.moves
        await asyncio.sleep(0)
        moves.append(number)
        return moves

    @action
    def name_other(self, conn_id: str, name: str) -> None:
        self.conns[conn_id].state.name = name

    @action
    def keep(self) -> None:
        assert self.conn is not None
        self.vars["kept"] = self.conn.state

    @action
    def change_kept(self, name: str) -> None:
        self.vars["kept"].name = name

    @action
    def get_name(self) -> Any:
        assert self.conn is not None
        return self.conn.state.name

    @action
    def replace(self, name: str) -> None:
        assert self.conn is not None
        self.conn.state = Seat(name)

    @action
    def spoil(self) -> None:
        assert self.conn is not None
        self.conn.state.moves.append(object())

    @action
    def look(self) -> None:
        assert self.conn is not None
        assert self.conn.state is not None


class Plain(Actor):
    @action
    def state_of(self) -> Any:
        assert self.conn is not None
        return self.conn.state

    @action
    def change(self, value: Any) -> None:
        assert self.conn is not None
        self.conn.state = value


class Made(Actor):
    options = Options(create_conn_state_timeout=0.01)

    async def create_conn_state(self, params: Any) -> Any:
        await asyncio.sleep(0)
        return {"from": params}

    @action
    def state_of(self) -> Any:
        assert self.conn is not None
        return self.conn.state


class Copied(Actor):
    conn_state = {"seen": []}  # noqa: RUF012 - every connection gets a copy of it

    @action
    def see(self, what: str) -> list[str]:
        assert self.conn is not None
        seen: list[str] = self.conn.state["seen"]
        seen.append(what)
        return seen


USE: dict[str, type[Actor]] = {"table": Table, "plain": Plain, "made": Made, "copied": Copied}


async def _call(client: Client, name: str, *arguments: object) -> Any:
    client.call(1, name, *arguments)
    said = await client.hear()
    assert isinstance(said, ActionResponse), said
    return said.output


async def _slept_and_woken(local: LocalEngine, gateway: Gateway, client: Client, name: str) -> None:
    local.actor(name).sleep()
    await wait_until(lambda: not local.is_awake(name), "it sleeps")
    await client.next()  # Suspended
    await gateway.wake(client.actor_id).next()
    await client.next()  # Revive


async def test_without_a_declaration_the_state_of_a_connection_is_none() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        assert await _call(await gateway.connect("plain"), "state_of") is None


async def test_every_connection_gets_a_default_of_its_own() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        one, two = await gateway.connect("copied"), await gateway.connect("copied")
        assert await _call(one, "see", "a") == ["a"]
        assert await _call(two, "see", "b") == ["b"]
        assert await _call(one, "see", "c") == ["a", "c"]


async def test_create_conn_state_makes_it_of_the_parameters() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("made", params=[1, 2])
        assert await _call(client, "state_of") == {"from": [1, 2]}
        assert await local.call("made", "state_of") == {"from": None}


async def test_a_single_call_has_a_state_for_as_long_as_it_lasts() -> None:
    async with linked_engine(use=USE) as (local, _):
        assert await local.call("copied", "see", "a") == ["a"]
        assert await local.call("copied", "see", "b") == ["b"]


@pytest.mark.parametrize("change", ["sit", "replace"])
async def test_a_change_survives_sleep(change: str) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("table")
        await _call(client, change, "ann")
        await _slept_and_woken(local, gateway, client, "table")
        assert await _call(client, "get_name") == "ann"
        conn: Conn = local.actor("table").conns[client.conn_id]
        assert isinstance(conn.state, Seat)


async def test_a_deep_change_of_an_asynchronous_action_survives_sleep() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("table")
        await _call(client, "move", 1)
        await _call(client, "move", 2)
        await _slept_and_woken(local, gateway, client, "table")
        assert await _call(client, "move", 3) == [1, 2, 3]


async def test_what_one_connection_changes_in_another_survives_sleep() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client, other = await gateway.connect("table"), await gateway.connect("table")
        await _call(other, "name_other", client.conn_id, "bob")
        await _slept_and_woken(local, gateway, client, "table")
        assert await _call(client, "get_name") == "bob"


async def test_a_change_through_a_reference_that_was_kept_survives_sleep() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("table")
        await _call(client, "keep")
        await local.call("table", "change_kept", "kept")
        await _slept_and_woken(local, gateway, client, "table")
        assert await _call(client, "get_name") == "kept"


async def test_a_state_that_was_never_touched_is_restored_as_it_began() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("made", params="x")
        await _slept_and_woken(local, gateway, client, "made")
        assert await _call(client, "state_of") == {"from": "x"}


async def test_a_change_is_stored_with_the_commit_the_reply_waits_for() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await gateway.connect("table")
        store.hold_commits()
        client.call(1, "sit", "ann")
        await turns()
        assert client.heard() == []
        store.release_commits()
        await client.hear()
        (update,) = store.commits[-1].operations
        assert isinstance(update, UpdateConnection)
        assert update.conn_id == client.conn_id


async def test_the_first_state_is_stored_before_the_connection_is_open() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        await local.call("made", "state_of")
        before = len(store.commits)
        await gateway.connect("made", params="x")
        operations = [each for commit in store.commits[before:] for each in commit.operations]
        assert [type(each) for each in operations] == [InsertConnection]


async def test_a_change_after_others_were_answered_is_stored_with_its_own_reply() -> None:
    go_on = asyncio.Event()

    class Slow(Table):
        @action
        async def move_later(self) -> None:
            assert self.conn is not None
            moves = self.conn.state.moves
            await go_on.wait()
            moves.append(1)

    store = MemoryStore()
    async with linked_engine(store, use={"slow": Slow}) as (_, gateway):
        client = await gateway.connect("slow")
        client.call(2, "move_later")
        await turns()
        await _call(client, "get_name")
        store.hold_commits()
        go_on.set()
        await turns()
        assert client.heard() == []
        store.release_commits()
        assert await client.hear() == ActionResponse(2, None)


async def test_looking_at_it_stores_nothing() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await gateway.connect("table")
        before = len(store.commits)
        await _call(client, "look")
        await _call(client, "sit", "")
        await turns()
        assert len(store.commits) == before


async def test_a_state_that_cannot_be_stored_fails_the_action_that_made_it_so() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("table")
        await _call(client, "move", 1)
        client.call(2, "spoil")
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert (said.action_id, said.error.code) == (2, "state_not_serializable")
        assert "moves" in said.error.message


async def test_after_such_a_failure_the_last_good_state_is_there() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("table")
        await _call(client, "move", 1)
        client.call(2, "spoil")
        await client.hear()
        assert await _call(client, "move", 2) == [1, 2]


async def test_a_spoilt_state_of_one_connection_does_not_cost_another_its_change() -> None:
    class Both(Table):
        @action
        async def spoil_both(self, good: str, bad: str) -> None:
            self.conns[bad].state.moves.append(object())
            self.conns[good].state.name = "kept"

    async with linked_engine(use={"both": Both}) as (local, gateway):
        good, bad = await gateway.connect("both"), await gateway.connect("both")
        with pytest.raises(ActorError):
            await local.call("both", "spoil_both", good.conn_id, bad.conn_id)
        await _slept_and_woken(local, gateway, good, "both")
        assert await _call(good, "get_name") == "kept"


async def test_a_first_state_that_cannot_be_stored_refuses_the_connection() -> None:
    class Wrong(Actor):
        def create_conn_state(self, params: Any) -> Any:
            return {"bad": object()}

    async with linked_engine(use={"wrong": Wrong}) as (local, gateway):
        client = gateway.open("wrong")
        said = await client.hear()
        assert isinstance(said, ErrorMessage)
        assert said.error.code == "state_not_serializable"
        assert await client.closed() == (1011, "actor.state_not_serializable")
        assert list(local.actor("wrong").conns) == []


async def test_without_a_declaration_what_is_assigned_lives_in_memory() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("plain")
        await _call(client, "change", {"a": 1})
        assert await _call(client, "state_of") == {"a": 1}
        await _slept_and_woken(local, gateway, client, "plain")
        assert await _call(client, "state_of") is None


async def test_a_commit_that_fails_takes_the_change_back() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        client = await gateway.connect("table")
        await _call(client, "sit", "before")
        store.fail_next_commit()
        client.call(1, "sit", "after")
        assert isinstance(await client.hear(), ErrorMessage)
        await wait_until(lambda: not local.is_awake("table"), "the actor leaves memory")
        await client.next()  # Suspended
        await gateway.wake(client.actor_id).next()
        await client.next()  # Revive
        assert await _call(client, "get_name") == "before"


async def test_with_durability_interval_a_change_does_not_hold_the_reply_back() -> None:
    class Loose(Table):
        options = Options(durability="interval")

    store = MemoryStore()
    async with linked_engine(store, use={"loose": Loose}) as (local, gateway):
        client = await gateway.connect("loose")
        store.hold_commits()
        await _call(client, "sit", "ann")
        store.release_commits()
        await _slept_and_woken(local, gateway, client, "loose")
        assert await _call(client, "get_name") == "ann"
