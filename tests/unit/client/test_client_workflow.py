"""``handle.workflow`` over HTTP: the requests, the tokens, and which are repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from stator import ActorError
from stator.client.loop_thread import LoopThread
from stator.client.sync import Client
from stator.client.sync import WorkflowHandle as SyncWorkflowHandle
from stator.runtime.exact_form import encode_exact
from stator.runtime.workflow_control import VerbArguments
from stator.runtime.workflow_handle import WorkflowHandle
from tests.fakes.stub_service import Reply, StubService, error
from tests.fakes.workflow_records import completed, make_history, make_status
from tests.unit.client.conftest import TimelessClient

STATOR = {"server": "stator"}
Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]
Use = Callable[[WorkflowHandle], Awaitable[Any]]


def record(answer: Any) -> Reply:
    return Reply(
        body=msgspec.msgpack.encode(answer), headers={"content-type": "application/msgpack"}
    )


SLEEPING = record(make_status())


def fork(workflow: WorkflowHandle) -> Awaitable[Any]:
    return workflow.fork("charge")


def resolve(workflow: WorkflowHandle) -> Awaitable[Any]:
    return workflow.resolve("approved", {1})


@pytest.mark.parametrize(
    ("use", "route", "arguments"),
    [
        (WorkflowHandle.status, "status", VerbArguments()),
        (WorkflowHandle.output, "status", VerbArguments()),
        (WorkflowHandle.cancel, "cancel", VerbArguments()),
        (WorkflowHandle.retry, "retry", VerbArguments()),
        (fork, "fork", VerbArguments("charge")),
        (resolve, "resolve", VerbArguments("approved", encode_exact({1}))),
    ],
)
async def test_a_verb_is_a_route_of_the_inspector(
    connect: Connect, use: Use, route: str, arguments: VerbArguments
) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(record(completed(1)))
        await use(client.get_for_id("shop", "i1").workflow)
    (request,) = stub.received
    assert (request.method, request.target) == (
        "POST",
        f"/gateway/i1/inspector/workflow/{route}",
    )
    assert request.headers["content-type"] == "application/msgpack"
    assert msgspec.msgpack.decode(request.body, type=VerbArguments) == arguments


async def test_a_history_comes_whole(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(record(make_history()))
        history = await client.get_for_id("shop", "i1").workflow.history()
    assert stub.received[0].target == "/gateway/i1/inspector/workflow/history"
    assert [entry.key for entry in history] == ["reserve", "order", "charge", "pause"]


async def test_an_actor_is_named_as_in_a_call(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(SLEEPING)
        await client.get("shop", "k").workflow.status()
        assert stub.received[0].target == (
            "/gateway/shop/inspector/workflow/status?rvt-namespace=default&rvt-method=get&rvt-key=k"
        )


async def test_the_token_is_sent_to_the_gateway_and_to_the_inspector(connect: Connect) -> None:
    async with StubService() as stub, connect(stub, token="s3cret") as client:
        stub.will_answer(SLEEPING)
        await client.get("shop").workflow.status()
    (request,) = stub.received
    assert request.headers["x-rivet-token"] == "s3cret"
    assert request.headers["authorization"] == "Bearer s3cret"


async def test_without_a_token_none_is_sent(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(SLEEPING)
        await client.get("shop").workflow.status()
    assert stub.received[0].headers.keys().isdisjoint({"authorization", "x-rivet-token"})


async def test_a_refusal_is_raised_as_it_was_answered(connect: Connect) -> None:
    refusal = error("workflow.not_enabled", message="no run", status=404, by_actor=True)
    async with StubService(STATOR) as stub, connect(stub) as client:
        stub.will_answer(refusal)
        with pytest.raises(ActorError) as caught:
            await client.get("shop").workflow.status()
    assert (caught.value.group, caught.value.code) == ("workflow", "not_enabled")
    assert (caught.value.message, caught.value.status) == ("no run", 404)


@pytest.mark.parametrize("use", [WorkflowHandle.status, WorkflowHandle.fork])
async def test_what_did_not_reach_the_actor_is_asked_again(connect: Connect, use: Use) -> None:
    async with StubService(STATOR) as stub, connect(stub) as client:
        stub.will_answer(error("actor.stopping"), SLEEPING)
        assert await use(client.get("shop").workflow) == "sleeping"
    assert len(stub.received) == 2


async def test_a_look_is_repeated_when_the_actor_may_have_answered(connect: Connect) -> None:
    async with StubService(STATOR) as stub, connect(stub) as client:
        stub.will_answer(error("actor.restarting"), SLEEPING)
        assert await client.get("shop").workflow.status() == "sleeping"


@pytest.mark.parametrize("use", [WorkflowHandle.cancel, WorkflowHandle.retry, WorkflowHandle.fork])
async def test_a_change_is_not_repeated_when_it_may_have_been_made(
    connect: Connect, use: Use
) -> None:
    async with StubService(STATOR) as stub, connect(stub) as client:
        stub.will_answer(error("actor.restarting"), SLEEPING)
        with pytest.raises(ActorError, match="restarting"):
            await use(client.get("shop").workflow)
    assert len(stub.received) == 1


async def test_the_workflow_of_a_connection_is_asked_over_http(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(SLEEPING)
        connection = client.get_for_id("shop", "i1").connect()
        assert await connection.workflow.status() == "sleeping"
        await connection.close()
    targets = [request.target for request in stub.received]
    assert "/gateway/i1/inspector/workflow/status" in targets


# ---------------------------------------------------------------- without await


@pytest.fixture
def stub() -> Iterator[StubService]:
    service = StubService()

    async def stop() -> None:
        await service.__aexit__(None, None, None)

    thread = LoopThread("stub", stop)
    thread.run(service.__aenter__())
    yield service
    thread.close()


def fork_without_await(workflow: SyncWorkflowHandle) -> Any:
    return workflow.fork("charge")


def resolve_without_await(workflow: SyncWorkflowHandle) -> Any:
    return workflow.resolve("approved", {1})


@pytest.mark.parametrize(
    ("use", "route", "result"),
    [
        (SyncWorkflowHandle.status, "status", "completed"),
        (SyncWorkflowHandle.output, "status", 5),
        (SyncWorkflowHandle.cancel, "cancel", "completed"),
        (SyncWorkflowHandle.retry, "retry", "completed"),
        (fork_without_await, "fork", "completed"),
        (resolve_without_await, "resolve", "completed"),
    ],
)
def test_every_verb_blocks_and_returns(
    stub: StubService, use: Callable[[SyncWorkflowHandle], Any], route: str, result: object
) -> None:
    stub.will_answer(record(completed(5)))
    with Client(stub.endpoint) as client:
        assert use(client.get_for_id("shop", "i1").workflow) == result
    assert stub.received[0].target == f"/gateway/i1/inspector/workflow/{route}"


def test_a_history_blocks_and_returns(stub: StubService) -> None:
    stub.will_answer(record(make_history()))
    with Client(stub.endpoint) as client:
        assert len(client.get("shop").workflow.history()) == 4
