"""What applications import, and what type checkers make of it.

``assert_type`` does nothing here: mypy and pyright check it when they check the tests.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any, assert_type, cast

import pytest

import stator.client
import stator.client.sync
from stator import Actor, Client, Queue, action, setup
from stator.client.handle import Handle, Handles
from stator.client.http_transport import HttpTransport
from stator.client.loop_thread import LoopThread
from stator.runtime.handles import ActorClient, Address
from stator.runtime.protocol.queue import QueueSendRequest, QueueSendResponse
from stator.runtime.publication import QueueOutcome
from stator.runtime.workflow_control import Verb, VerbArguments

PROTOCOLS = ("__wrapped__", "_ipython_display_", "__deepcopy__", "__getstate_manages_dict__")


class Room(Actor, rename="camel"):
    @action
    async def send(self, text: str) -> int:
        return len(text)

    @action
    def last_line(self, *, skip: int = 0) -> str | None:
        return None

    @action(name="admin.clear")
    def clear(self) -> None: ...

    paid_jobs = Queue[str, int]()
    letters = Queue[bytes](name="mail")


setup(use={"room": Room})


class Recorder:
    """A transport that answers 1 to ``send`` and nothing to everything else."""

    def __init__(self) -> None:
        self.called: list[tuple[str, Sequence[Any]]] = []
        self.published: list[tuple[str, QueueSendRequest]] = []

    async def call(self, address: Address, action: str, arguments: Sequence[Any]) -> Any:
        self.called.append((action, arguments))
        return 1 if action == "send" else None

    async def publish(
        self, address: Address, queue: str, message: QueueSendRequest
    ) -> QueueSendResponse:
        self.published.append((queue, message))
        return QueueSendResponse("completed", None if queue == "mail" else 1)

    async def create(self, address: Address) -> str:
        return "i1"

    async def resolve(self, address: Address) -> str:
        return "i1"

    async def control_workflow(
        self, address: Address, verb: Verb, arguments: VerbArguments
    ) -> bytes:
        raise NotImplementedError

    def gateway_url(self, address: Address) -> str:
        return ""


async def test_calls_by_method_have_the_types_of_the_method() -> None:
    transport = Recorder()
    room = ActorClient(transport).get(Room, "a")
    assert_type(await room.call(Room.send, "x"), int)
    assert_type(await room.call(Room.last_line), str | None)
    assert_type(await room.call("send", 1, 2), Any)
    assert_type(await room.resolve(), str)
    await room.last_line()
    await room.clear()
    await room.call(Room.send, 5)  # type: ignore[call-overload]
    await room.call(Room.send)  # type: ignore[call-overload]
    names = [name for name, _ in transport.called]
    assert names == ["send", "lastLine", "send", "lastLine", "admin.clear", "send", "send"]


async def test_messages_have_the_types_of_their_queue() -> None:
    transport = Recorder()
    room = ActorClient(transport).get(Room, "a")
    assert_type(await room.enqueue(Room.paid_jobs, "x", wait=True), QueueOutcome[int])
    assert_type((await room.enqueue(Room.paid_jobs, "x", wait=True)).reply, int | None)
    assert_type(await room.enqueue("paidJobs", 1, wait=True, timeout=1), QueueOutcome[Any])
    await room.enqueue(Room.letters, b"x")
    await room.enqueue("anything", object())
    await room.enqueue(Room.paid_jobs, 5)  # type: ignore[misc]
    await room.enqueue(Room.letters, "x", wait=True)  # type: ignore[call-overload]
    names = [name for name, _ in transport.published]
    assert names == ["paidJobs", "paidJobs", "paidJobs", "mail", "anything", "paidJobs", "mail"]


async def test_a_method_keeps_its_wire_name_on_a_handle_made_from_a_string() -> None:
    transport = Recorder()
    await ActorClient(transport).get("room").call(Room.last_line)
    await ActorClient(transport).get("room").call(Room.clear)
    assert [name for name, _ in transport.called] == ["lastLine", "admin.clear"]


def test_the_synchronous_client_has_the_same_types() -> None:
    transport = Recorder()

    async def finish() -> None: ...

    thread = LoopThread("loop", finish)
    handles = Handles(cast(HttpTransport, transport))
    room = stator.client.sync.Handle(thread, handles.get(Room, "a"))
    assert_type(room.call(Room.send, "x"), int)
    assert_type(room.call(Room.last_line), str | None)
    assert_type(room.call("send"), Any)
    room.call(Room.send, 5)  # type: ignore[call-overload]
    assert_type(room.enqueue(Room.paid_jobs, "x", wait=True), QueueOutcome[int])
    room.enqueue(Room.letters, b"x")
    room.enqueue(Room.letters, 5)  # type: ignore[misc]
    thread.close()
    assert [name for name, _ in transport.called] == ["send", "lastLine", "send", "send"]


async def test_a_client_is_a_context_that_gives_handles() -> None:
    async with Client("http://h", encoding="bare") as client:
        assert_type(client, Client)
        assert_type(client.get_or_create("room", ["a", "b"], input=1, params={}), Handle)
        assert repr(client.get("room", ["a", "b"])) == "<actor room ['a', 'b']>"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_handle_takes_no_protocol_for_an_action(name: str) -> None:
    handle = Client("http://h").get("room")
    with pytest.raises(AttributeError):
        getattr(handle, name)


def test_unknown_actions_of_a_class_are_found_before_they_are_called() -> None:
    with pytest.raises(AttributeError, match="room has no action 'shout'"):
        Client("http://h").get(Room).shout  # noqa: B018


@pytest.mark.parametrize("kind", [Client, stator.client.sync.Client])
def test_an_unknown_encoding_is_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="'cbor', 'bare' or 'json', not 'xml'"):
        kind(encoding="xml")


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIVET_ENDPOINT", "http://h:1")
    monkeypatch.setenv("RIVET_NAMESPACE", "n1")
    assert Client().get("a").gateway_url() == (
        "http://h:1/gateway/a?rvt-namespace=n1&rvt-method=get"
    )


def test_the_client_has_one_name_everywhere() -> None:
    assert stator.Client is stator.client.Client is Client


def test_importing_stator_does_not_import_the_client() -> None:
    script = (
        "import sys, stator; from stator import Actor, setup\n"
        "assert 'aiohttp' not in sys.modules and 'stator.client' not in sys.modules\n"
        "from stator import Client; print(Client.__module__)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stdout == "stator.client.client\n", ended.stderr
