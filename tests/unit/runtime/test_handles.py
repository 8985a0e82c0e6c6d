"""Handles: what a call through one asks of the transport."""

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

import pytest

from stator import Actor, Queue, action, setup
from stator.runtime.handles import ActorClient, ActorHandle, Address
from stator.runtime.protocol.queue import QueueSendRequest, QueueSendResponse
from stator.runtime.workflow_control import Verb, VerbArguments


class Room(Actor, rename="camel"):
    paid_jobs = Queue[str, int]()
    letters = Queue[str](name="mail")

    @action
    async def send_all(self, text: str, times: int = 1) -> str:
        return text * times

    @action(name="admin.kick")
    def kick(self, who: str) -> str:
        return who

    def helper(self) -> None: ...


class Lobby(Room):
    """Registered under no name."""


class Plain(Actor):
    paid_jobs = Queue[str, int]()
    letters = Queue[str](name="mail")


class Camel(Plain, rename="camel"):
    """Inherits the queues under other names."""


setup(use={"chatRoom": Room, "plain": Plain, "camel": Camel})


class Recorder:
    """A transport that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answer = QueueSendResponse("completed")
        self.record = b""

    async def call(self, address: Address, action: str, arguments: Sequence[Any]) -> Any:
        self.asked.append(("call", address, action, tuple(arguments)))
        return "output"

    async def publish(
        self, address: Address, queue: str, message: QueueSendRequest
    ) -> QueueSendResponse:
        self.asked.append(("publish", address, queue, message))
        return self.answer

    async def create(self, address: Address) -> str:
        self.asked.append(("create", address))
        return "new-id"

    async def resolve(self, address: Address) -> str:
        self.asked.append(("resolve", address))
        return "old-id"

    async def control_workflow(
        self, address: Address, verb: Verb, arguments: VerbArguments
    ) -> bytes:
        self.asked.append(("control", address, verb, arguments))
        return self.record

    def gateway_url(self, address: Address) -> str:
        return f"/gateway/{address.name}"


@pytest.fixture
def transport() -> Recorder:
    return Recorder()


@pytest.fixture
def client(transport: Recorder) -> ActorClient:
    return ActorClient(transport)


def called(transport: Recorder) -> list[tuple[str, tuple[Any, ...]]]:
    return [(name, arguments) for _, _, name, arguments in transport.asked]


def test_making_a_handle_asks_nobody(client: ActorClient, transport: Recorder) -> None:
    client.get("room", ["a"])
    client.get_or_create(Room, "a", input=1, params=2)
    client.get_for_id("room", "id")
    assert transport.asked == []


@pytest.mark.parametrize(
    ("key", "parts"), [(None, ()), ("a", ("a",)), (["a", "b"], ("a", "b")), ("", ("",))]
)
def test_a_handle_says_whom_it_means(
    client: ActorClient, transport: Recorder, key: Any, parts: tuple[str, ...]
) -> None:
    async def scenario() -> None:
        await client.get("room", key, params=1).resolve()
        await client.get_or_create("room", key, input=2, params=1).resolve()
        await client.get_for_id("room", "id", params=1).resolve()

    asyncio.run(scenario())
    assert transport.asked == [
        ("resolve", Address("room", parts, params=1)),
        ("resolve", Address("room", parts, create=True, input=2, params=1)),
        ("resolve", Address("room", actor_id="id", params=1)),
    ]


def test_a_handle_by_name_takes_attributes_for_wire_names(
    client: ActorClient, transport: Recorder
) -> None:
    async def scenario() -> None:
        room = client.get("chatRoom")
        assert await room.sendAll("x", 2) == "output"
        await room.admin.kick("bob")
        await room.call("any thing", 1)

    asyncio.run(scenario())
    assert called(transport) == [
        ("sendAll", ("x", 2)),
        ("admin.kick", ("bob",)),
        ("any thing", (1,)),
    ]


def test_a_handle_by_class_takes_attributes_for_python_names(
    client: ActorClient, transport: Recorder
) -> None:
    async def scenario() -> None:
        room = client.get(Room)
        await room.send_all("x")
        await room.kick("bob")
        with pytest.raises(AttributeError, match="chatRoom has no action 'sendAll'"):
            _ = room.sendAll
        with pytest.raises(AttributeError, match="no action 'helper'"):
            _ = room.helper

    asyncio.run(scenario())
    assert called(transport) == [("sendAll", ("x",)), ("admin.kick", ("bob",))]


@pytest.mark.parametrize("actor", [Room, "chatRoom"])
def test_a_method_is_called_by_its_wire_name(
    client: ActorClient, transport: Recorder, actor: Any
) -> None:
    async def scenario() -> None:
        room = client.get(actor)
        await room.call(Room.send_all, "x", 2)
        await room.call(Room.kick, "bob")
        with pytest.raises(TypeError, match="by position"):
            await room.call(Room.send_all, text="x")
        with pytest.raises(TypeError, match="is not an action"):
            await room.call(Room.helper)

    asyncio.run(scenario())
    assert called(transport) == [("sendAll", ("x", 2)), ("admin.kick", ("bob",))]


def test_a_created_actor_is_pinned_by_its_id(client: ActorClient, transport: Recorder) -> None:
    async def scenario() -> ActorHandle:
        return await client.create(Room, ["a"], input={"n": 1}, params=2)

    handle = asyncio.run(scenario())
    assert transport.asked == [("create", Address("chatRoom", ("a",), create=True, input={"n": 1}))]
    assert repr(handle) == "<actor chatRoom new-id>"
    asyncio.run(handle.resolve())
    assert transport.asked[1] == (
        "resolve",
        Address("chatRoom", actor_id="new-id", params=2),
    )


def test_a_class_that_is_in_no_registry_has_no_address(client: ActorClient) -> None:
    with pytest.raises(LookupError, match="pass it to setup"):
        client.get(Lobby)


def test_private_attributes_are_no_actions(client: ActorClient) -> None:
    handle = client.get("room", ["a"])
    for name in ("_private", "__deepcopy__", "__wrapped__"):
        with pytest.raises(AttributeError):
            getattr(handle, name)
        with pytest.raises(AttributeError):
            getattr(handle.nested, name)
    assert copy.copy(handle).gateway_url() == "/gateway/room"
    assert repr(handle) == "<actor room ['a']>"


# ---------------------------------------------------------------- queues


def published(transport: Recorder) -> list[tuple[str, QueueSendRequest]]:
    return [(queue, message) for _, _, queue, message in transport.asked]


@pytest.mark.parametrize(
    ("actor", "queue", "wire_name"),
    [
        (Room, Room.paid_jobs, "paidJobs"),
        (Room, Room.letters, "mail"),
        (Room, "paid_jobs", "paid_jobs"),
        ("chatRoom", Room.paid_jobs, "paidJobs"),
        (Plain, Plain.paid_jobs, "paid_jobs"),
        (Camel, Camel.paid_jobs, "paidJobs"),
        (Camel, Plain.paid_jobs, "paidJobs"),
        (Camel, Plain.letters, "mail"),
    ],
)
def test_a_queue_is_named_by_its_declaration_or_its_wire_name(
    client: ActorClient, transport: Recorder, actor: Any, queue: Any, wire_name: str
) -> None:
    asyncio.run(client.get(actor).enqueue(queue, "x"))
    assert published(transport) == [(wire_name, QueueSendRequest("x"))]


def test_a_queue_that_is_in_no_class_has_no_name(client: ActorClient) -> None:
    with pytest.raises(LookupError, match="not declared in a class"):
        asyncio.run(client.get("room").enqueue(Queue[str](), "x"))


def test_a_message_that_is_not_waited_for_has_no_outcome_and_no_timeout(
    client: ActorClient, transport: Recorder
) -> None:
    transport.answer = QueueSendResponse("completed", 5)
    sending: Any = client.get("room").enqueue
    assert asyncio.run(sending("jobs", 1, timeout=3.0)) is None
    assert published(transport) == [("jobs", QueueSendRequest(1))]


def test_a_message_that_is_waited_for_has_an_outcome(
    client: ActorClient, transport: Recorder
) -> None:
    transport.answer = QueueSendResponse("completed", 5)
    outcome = asyncio.run(client.get(Room).enqueue(Room.paid_jobs, "x", wait=True, timeout=0.25))
    assert (outcome.status, outcome.reply) == ("completed", 5)
    assert published(transport) == [("paidJobs", QueueSendRequest("x", None, True, 250))]
