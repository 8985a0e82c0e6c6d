"""A call by method: the output arrives as the type the method returns."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, action, setup
from stator.runtime.handles import ActorClient, Address
from stator.runtime.protocol.queue import QueueSendRequest, QueueSendResponse
from stator.runtime.workflow_control import Verb, VerbArguments


class Note(msgspec.Struct):
    text: str


class Desk(Actor):
    @action
    def write(self, text: str) -> Note:
        return Note(text)

    @action
    async def notes(self) -> list[Note]:
        return []

    @action
    def anything(self):  # type: ignore[no-untyped-def]  # an action without annotations
        return None


setup(use={"desk": Desk})


class _Answering:
    """A transport whose every call has the same output."""

    def __init__(self, output: Any) -> None:
        self._output = output

    async def call(self, address: Address, action: str, arguments: Sequence[Any]) -> Any:
        return self._output

    async def publish(
        self, address: Address, queue: str, message: QueueSendRequest
    ) -> QueueSendResponse:
        return QueueSendResponse("completed", self._output)

    async def create(self, address: Address) -> str:
        return "id"

    async def resolve(self, address: Address) -> str:
        return "id"

    async def control_workflow(
        self, address: Address, verb: Verb, arguments: VerbArguments
    ) -> bytes:
        raise NotImplementedError

    def gateway_url(self, address: Address) -> str:
        return ""


def _call(method: Any, output: Any) -> Any:
    desk = ActorClient(_Answering(output)).get(Desk)
    return asyncio.run(desk.call(method))


def test_a_struct_arrives_as_the_struct() -> None:
    assert _call(Desk.write, {"text": "x"}) == Note("x")


def test_structs_in_containers_arrive_as_structs() -> None:
    assert _call(Desk.notes, [{"text": "x"}]) == [Note("x")]


def test_without_a_return_annotation_the_output_arrives_as_it_is() -> None:
    assert _call(Desk.anything, {"text": "x"}) == {"text": "x"}


def test_an_output_of_another_type_is_an_error_that_names_the_action() -> None:
    with pytest.raises(ActorError, match="the result of write") as failed:
        _call(Desk.write, {"text": 1})
    assert failed.value.code == "validation_error"
