"""Actions over a connection: answers, errors, acknowledgements, limits, undecodable messages."""

import asyncio
from typing import Any

import pytest

from stator import Actor, Options, UserError, action
from stator.runtime.link.frames import Ack, Deliver, Refusal, Resolution
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    ErrorMessage,
    Event,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import ActorSpecifier
from stator.shards.shard import Limits
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.gateway_clients import Client
from tests.fakes.linked_gateway import linked_engine
from tests.fakes.memory_store import MemoryStore

GATES: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def no_gates() -> None:
    GATES.clear()


class Room(Actor):
    state: int = 0
    options = Options(sleep_grace_period=0.02)

    @action
    def get(self) -> int:
        return self.state

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state

    @action
    async def add_later(self, amount: int) -> int:
        self.state += amount
        await asyncio.sleep(0)
        return self.state

    @action
    async def wait_for(self, gate: str) -> str:
        await GATES.setdefault(gate, asyncio.Event()).wait()
        return gate

    @action(timeout=0.01)
    async def hang(self) -> None:
        await asyncio.Event().wait()

    @action
    async def hang_long(self) -> None:
        await asyncio.Event().wait()

    @action
    def refuse(self) -> None:
        raise UserError("no", code="refused", metadata={"why": 1})

    @action
    def break_down(self) -> None:
        raise RuntimeError("internal text")

    @action
    def give(self, size: int) -> str:
        return "x" * size

    @action
    def spoil(self) -> object:
        return object()

    @action
    def rest(self) -> str:
        self.sleep()
        return "good night"


USE: dict[str, type[Actor]] = {"room": Room}
each_encoding = pytest.mark.parametrize("encoding", list(Encoding), ids=lambda each: each.name)


async def _error(client: Client) -> ErrorMessage:
    said = await client.hear()
    assert isinstance(said, ErrorMessage), said
    return said


@each_encoding
async def test_a_reply_has_the_id_and_the_output_of_its_call(encoding: Encoding) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room", encoding=encoding)
        client.call(2**53 + 1, "add", 2)
        assert await client.hear() == ActionResponse(2**53 + 1, 2)


@each_encoding
async def test_an_error_has_the_id_of_its_call_and_the_actor(encoding: Encoding) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room", "k", encoding=encoding)
        client.call(7, "refuse")
        said = await _error(client)
        assert said.action_id == 7
        assert (said.error.group, said.error.code, said.error.message) == ("user", "refused", "no")
        assert said.error.metadata == {"why": 1}
        if encoding is not Encoding.BARE:  # the common version of BARE has no place for it
            assert said.actor == ActorSpecifier(local.actor("room", "k").actor_id, 1, "k")


@pytest.mark.parametrize(
    ("name", "code"),
    [("break_down", "rivetkit.internal_error"), ("nothing", "actor.action_not_found")],
)
async def test_an_error_of_a_call_leaves_the_connection_open(name: str, code: str) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room")
        client.call(1, name)
        error = (await _error(client)).error
        assert f"{error.group}.{error.code}" == code
        client.call(2, "get")
        assert await client.hear() == ActionResponse(2, 0)


async def test_the_text_of_an_unexpected_error_does_not_leave() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room")
        client.call(1, "break_down")
        assert "internal text" not in repr(await client.hear())
        assert "action failed" in local.log.events()


async def test_arguments_are_validated() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room")
        client.call(1, "add", "two")
        error = (await _error(client)).error
        assert (error.group, error.code) == ("actor", "validation_error")
        assert "amount" in error.message


async def test_an_action_that_takes_too_long_is_answered_for() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room")
        index = client.call(1, "hang")
        said = await _error(client)
        assert (said.action_id, said.error.code) == (1, "action_timed_out")
        assert client.acknowledged == [index]


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("give", (200,), "message.outgoing_too_long"),
        ("spoil", (), "actor.output_not_serializable"),
    ],
)
async def test_an_output_that_cannot_be_sent_is_an_error(
    name: str, arguments: tuple[object, ...], code: str
) -> None:
    async with linked_engine(use=USE, limits=Limits(max_response_bytes=100)) as (_, gateway):
        client = await gateway.connect("room")
        client.call(1, name, *arguments)
        said = await _error(client)
        assert f"{said.error.group}.{said.error.code}" == code
        assert said.action_id == 1


async def test_calls_are_answered_as_they_end_not_as_they_came() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room")
        for number, gate in enumerate("abc"):
            client.call(number, "wait_for", gate)
        await wait_until(lambda: len(GATES) == 3, "all run")
        for gate in "cab":
            GATES[gate].set()
            assert await client.hear() == ActionResponse("abc".index(gate), gate)


async def test_every_answer_acknowledges_the_message_it_answers() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room")
        waiting = client.call(1, "wait_for", "gate")
        await wait_until(lambda: bool(GATES), "it runs")
        plain, failing = client.call(2, "get"), client.call(3, "refuse")
        await client.hear()
        await client.hear()
        assert client.acknowledged == [plain, failing]
        GATES["gate"].set()
        await client.hear()
        assert client.acknowledged == [plain, failing, waiting]
        assert gateway.of(Ack) == []


async def test_an_answer_leaves_once_the_change_is_on_disk() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await gateway.connect("room")
        store.hold_commits()
        client.call(1, "add", 1)
        client.call(2, "add_later", 1)
        client.call(3, "get")
        await turns()
        assert client.inbox.take_all() == []
        assert client.acknowledged == []
        store.release_commits()
        answers = [await client.hear() for _ in range(3)]
        assert {answer.id for answer in answers if isinstance(answer, ActionResponse)} == {1, 2, 3}


async def test_a_read_only_call_of_a_clean_actor_is_answered_within_the_turn() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room")
        client.call(1, "get")
        assert client.heard() == [ActionResponse(1, 0)]


async def test_a_commit_that_fails_answers_the_calls_and_acknowledges_them() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await gateway.connect("room")
        store.fail_next_commit()
        changing, failing = client.call(1, "add", 1), client.call(2, "refuse")
        for number in (1, 2):
            said = await _error(client)
            assert (said.action_id, said.error.group, said.error.code) == (
                number,
                "storage",
                "unavailable",
            )
        assert client.acknowledged == [changing, failing]


@each_encoding
async def test_a_failed_commit_is_told_in_every_encoding(encoding: Encoding) -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (_, gateway):
        client = await gateway.connect("room", encoding=encoding)
        store.fail_next_commit()
        client.call(5, "add", 1)
        said = await _error(client)
        assert (said.action_id, said.error.code) == (5, "unavailable")


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.CBOR, Encoding.BARE])
@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"{}", b'{"body":{"tag":"No","val":{}}}'])
async def test_an_undecodable_message_closes_its_connection_only(
    encoding: Encoding, data: bytes
) -> None:
    async with linked_engine(use=USE) as (local, gateway):
        other = await gateway.connect("room")
        client = await gateway.connect("room", encoding=encoding)
        client.send(data)
        assert await client.closed() == (1011, "actor.invalid_request")
        other.call(1, "get")
        assert await other.hear() == ActionResponse(1, 0)
        assert list(local.actor("room").conns) == [other.conn_id]


async def test_what_comes_after_an_undecodable_message_is_ignored() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room")
        client.send(b"\xff\xff")
        client.call(1, "add", 1)
        await client.closed()
        await turns()
        assert client.inbox.take_all() == []
        assert await local.call("room", "get") == 0


@pytest.mark.parametrize("version", [1, 2, 3, 4])
async def test_a_client_of_bare_is_answered_in_its_version(version: int) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room", encoding=Encoding.BARE)
        client.version = version
        client.call(1, "get")
        frame = await client.next()
        assert int.from_bytes(frame.payload[:2], "little") == version


@pytest.mark.parametrize("encoding", list(Encoding), ids=lambda each: each.name)
async def test_only_json_travels_as_text(encoding: Encoding) -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room", encoding=encoding)
        client.call(1, "get")
        await client.hear()
        told = {header.is_text for header in gateway.of(Deliver)}
        assert told == {encoding is Encoding.JSON}


async def test_a_client_that_left_gets_no_answer_and_its_action_goes_on() -> None:
    class Going(Room):
        @action
        async def join(self) -> None:
            await GATES.setdefault("gate", asyncio.Event()).wait()
            self.state = len(self.conns)
            self.state += 100

    async with linked_engine(use={"going": Going}) as (local, gateway):
        client = await gateway.connect("going")
        client.call(1, "join")
        await wait_until(lambda: bool(GATES), "it runs")
        client.leave()
        GATES["gate"].set()
        await turns()
        assert await local.call("going", "get") == 100


async def test_an_action_that_asks_for_sleep_is_answered_before_the_actor_leaves() -> None:
    async with linked_engine(use=USE) as (_, gateway):
        client = await gateway.connect("room")
        index = client.call(1, "rest")
        assert await client.hear() == ActionResponse(1, "good night")
        assert client.acknowledged == [index]


async def test_an_action_that_outlasts_the_grace_period_is_answered_and_not_repeated() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room")
        index = client.call(1, "hang_long")
        local.actor("room").sleep()
        said = await _error(client)
        assert (said.action_id, said.error.group, said.error.code) == (1, "actor", "stopping")
        assert client.acknowledged == [index]


async def test_a_call_that_comes_after_sleep_was_asked_for_is_left_to_the_next_generation() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room")
        local.actor("room").sleep()
        index = client.call(1, "add", 1)
        await wait_until(lambda: not local.is_awake("room"), "it sleeps")
        assert client.acknowledged == []
        await client.next()  # Suspended
        await gateway.wake(client.actor_id).next()
        await client.next()  # Revive
        client.say(ActionRequest(1, "add", [1]), index)
        assert await client.hear() == ActionResponse(1, 1)


async def test_conn_disconnect_closes_with_1000_and_the_reason() -> None:
    class Strict(Room):
        @action
        async def go_away(self) -> str:
            assert self.conn is not None
            await self.conn.disconnect("enough")
            return "last words"

    async with linked_engine(use={"strict": Strict}) as (local, gateway):
        client = await gateway.connect("strict")
        client.call(1, "go_away")
        assert await client.closed() == (1000, "enough")
        assert list(local.actor("strict").conns) == []


async def test_what_was_said_before_a_disconnect_arrives_before_the_close() -> None:
    class Polite(Room):
        @action
        async def go_away(self) -> None:
            assert self.conn is not None
            self.state += 1
            self.conn.send("bye", 1)
            await self.conn.disconnect()

    store = MemoryStore()
    async with linked_engine(store, use={"polite": Polite}) as (_, gateway):
        client = await gateway.connect("polite")
        store.hold_commits()
        client.call(1, "go_away")
        await turns()
        assert client.inbox.take_all() == []
        store.release_commits()
        assert await client.hear() == Event("bye", [1])
        assert await client.closed() == (1000, "")


async def test_a_reason_must_be_text() -> None:
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("room")
        reason: Any = 5
        with pytest.raises(TypeError):
            await local.actor("room").conns[client.conn_id].disconnect(reason)
        await turns()
        assert client.inbox.take_all() == []


async def test_a_close_leaves_although_the_change_behind_it_was_lost() -> None:
    class Losing(Room):
        @action
        async def go_away(self) -> None:
            assert self.conn is not None
            self.state += 1
            await self.conn.disconnect("gone")

    store = MemoryStore()
    async with linked_engine(store, use={"losing": Losing}) as (_, gateway):
        client = await gateway.connect("losing")
        store.fail_next_commit()
        client.call(1, "go_away")
        assert await client.closed() == (1000, "gone")


async def test_an_opening_whose_row_was_lost_is_answered() -> None:
    store = MemoryStore()
    async with linked_engine(store, use=USE) as (local, gateway):
        await local.call("room", "get")
        store.fail_next_commit()
        client = gateway.open("room")
        assert await client.closed() == (1011, "storage.unavailable")
        await turns()
        assert client.inbox.take_all() == []


async def test_an_actor_that_nobody_created_opens_no_connection_with_get() -> None:

    async with linked_engine(use=USE) as (_, gateway):
        client = gateway.open("room", how=Resolution.GET)
        header = (await client.next()).header
        assert isinstance(header, Refusal)
        assert (header.group, header.code) == ("actor", "not_found")
