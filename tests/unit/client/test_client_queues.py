"""Messages for queues over HTTP: what is sent, what comes back, what is repeated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest

from stator import Actor, ActorError, Queue, setup
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    QueueSendResponse,
    decode_queue_request,
    encode_queue_response,
)
from stator.runtime.publication import QueueOutcome
from tests.fakes.stub_service import HANG_UP, Reply, StubService, error
from tests.unit.client.conftest import TimelessClient

STATOR = {"server": "stator"}
QUEUED = Reply(body=b'{"status":"completed"}')
Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]


class Room(Actor, rename="camel"):
    paid_jobs = Queue[str, int]()


setup(use={"room": Room})


def answer(encoding: Encoding, response: QueueSendResponse) -> Reply:
    return Reply(body=encode_queue_response(encoding, 4, response))


def posted(stub: StubService) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in stub.received if request.method == "POST"]


# ---------------------------------------------------------------- requests and answers


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (Encoding.JSON, b'{"body":{"id":2},"name":"work","wait":true,"timeout":5000}'),
        (
            Encoding.BARE,
            bytes.fromhex("040005a162696402 0104776f726b 0101 018813000000000000"),
        ),
    ],
)
async def test_a_message_is_sent_as_the_reference_client_does(
    connect: Connect, encoding: Encoding, body: bytes
) -> None:
    async with StubService() as stub, connect(stub, encoding) as client:
        stub.will_answer(answer(encoding, QueueSendResponse("completed")))
        await client.get("counter", "k").enqueue("work", {"id": 2}, wait=True, timeout=5.0)
        (request,) = stub.received
        assert request.method == "POST"
        assert request.target.startswith("/gateway/counter/queue/work?rvt-namespace=default")
        assert request.headers["x-rivet-encoding"] == encoding.name.lower()
        expected, _ = decode_queue_request(encoding, body)
        assert decode_queue_request(encoding, request.body)[0] == expected


async def test_a_queue_is_one_path_segment(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(QUEUED)
        await client.get_for_id("counter", "i1").enqueue("ns/odd name?", 1)
        assert stub.received[0].target == "/gateway/i1/queue/ns%2Fodd%20name%3F"


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.CBOR, Encoding.BARE])
async def test_a_message_that_is_not_waited_for_has_no_outcome(
    connect: Connect, encoding: Encoding
) -> None:
    async with StubService() as stub, connect(stub, encoding) as client:
        stub.will_answer(answer(encoding, QueueSendResponse("completed")))
        outcome: object = await client.get("a").enqueue("jobs", {"n": [1, b"\x00"]})  # type: ignore[func-returns-value]
        assert outcome is None
        sent, _ = decode_queue_request(encoding, stub.received[0].body)
        assert sent == QueueSendRequest({"n": [1, b"\x00"]}, "jobs")


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.CBOR, Encoding.BARE])
@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (QueueSendResponse("completed", {"got": 2}), ("completed", {"got": 2})),
        (QueueSendResponse("completed", None), ("completed", None)),
        (QueueSendResponse("completed"), ("completed", None)),
        (QueueSendResponse("timedOut"), ("timed_out", None)),
    ],
)
async def test_an_outcome_is_what_became_of_the_message(
    connect: Connect,
    encoding: Encoding,
    response: QueueSendResponse,
    outcome: tuple[str, Any],
) -> None:
    async with StubService() as stub, connect(stub, encoding) as client:
        stub.will_answer(answer(encoding, response))
        became = await client.get("a").enqueue("jobs", 1, wait=True)
        assert (became.status, became.reply) == outcome


@pytest.mark.parametrize(
    ("seconds", "sent"),
    [
        (None, None),
        (0, 0),
        (0.3, 300),
        (1.1, 1100),
        (0.0001, 1),
        (2, 2000),
        (timedelta(minutes=1), 60_000),
    ],
)
async def test_a_timeout_travels_in_milliseconds(
    connect: Connect, seconds: float | timedelta | None, sent: int | None
) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(QUEUED)
        await client.get("a").enqueue("jobs", 1, wait=True, timeout=seconds)
        assert posted(stub)[0].get("timeout") == sent


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
async def test_a_timeout_that_is_none_is_refused_and_nothing_sent(
    connect: Connect, seconds: float | timedelta
) -> None:
    async with StubService() as stub, connect(stub) as client:
        with pytest.raises(ValueError, match="not negative"):
            await client.get("a").enqueue("jobs", 1, wait=True, timeout=seconds)
        assert stub.received == []


async def test_params_of_the_handle_go_with_its_messages(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(QUEUED)
        await client.get("a", params={"role": "admin"}).enqueue("jobs", 1)
        assert json.loads(stub.received[0].headers["x-rivet-conn-params"]) == {"role": "admin"}


async def test_a_stator_service_gets_and_gives_messages_without_loss(connect: Connect) -> None:
    body = {1: 2**60, "whole": 2.0**40}
    async with StubService(STATOR) as stub, connect(stub, Encoding.CBOR) as client:
        native = answer(Encoding.NATIVE, QueueSendResponse("completed", body))
        stub.will_answer(native._replace(headers={"x-stator-dialect": "native"}))
        outcome = await client.get("a").enqueue("jobs", body, wait=True)
        reply: Any = outcome.reply
        assert reply == body
        assert type(reply["whole"]) is float
        assert decode_queue_request(Encoding.NATIVE, stub.received[0].body)[0].body == body


# ---------------------------------------------------------------- declarations


async def test_a_declaration_gives_the_wire_name_and_the_type_of_the_reply(
    connect: Connect,
) -> None:
    async with StubService() as stub, connect(stub, Encoding.CBOR) as client:
        stub.will_answer(answer(Encoding.CBOR, QueueSendResponse("completed", 7)))
        outcome = await client.get(Room).enqueue(Room.paid_jobs, "x", wait=True)
        assert outcome.reply == 7
        assert "/queue/paidJobs?" in stub.received[0].target


async def test_a_reply_of_another_type_is_an_error(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(Reply(body=b'{"status":"completed","response":"seven"}'))
        with pytest.raises(ActorError, match="paidJobs") as caught:
            await client.get(Room).enqueue(Room.paid_jobs, "x", wait=True)
        assert caught.value.code == "validation_error"


# ---------------------------------------------------------------- order


async def test_the_messages_of_a_handle_are_sent_one_after_the_other(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(QUEUED)
        handle = client.get("a")
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(handle.enqueue("jobs", number))
        assert [message["body"] for message in posted(stub)] == list(range(20))


async def test_a_message_given_up_lets_the_next_one_go(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(QUEUED)
        handle = client.get("a")
        first = asyncio.create_task(handle.enqueue("jobs", 1))
        second = asyncio.create_task(handle.enqueue("jobs", 2))
        third = asyncio.create_task(handle.enqueue("jobs", 3))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        await third
        assert posted(stub)[-1]["body"] == 3


# ---------------------------------------------------------------- errors and retries


async def test_an_error_of_a_queue_is_raised_at_once(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(error("queue.full", message="no room", status=400, by_actor=True))
        with pytest.raises(ActorError, match="no room"):
            await client.get_or_create("a").enqueue("jobs", 1)
        assert len(stub.received) == 1


@pytest.mark.parametrize(
    ("create", "identity", "requests"),
    [
        (True, "actor.stopping", 60),
        (False, "actor.stopping", 24),
        (True, "guard.actor_ready_timeout", 60),
        (True, "actor.restarting", 1),
        (True, "guard.service_unavailable", 1),
        (True, "actor.overloaded", 1),
        (True, "queue.full", 1),
    ],
)
async def test_a_message_is_sent_again_as_often_as_the_reference_says(
    connect: Connect, create: bool, identity: str, requests: int
) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(error(identity))
        handle = client.get_or_create("a") if create else client.get("a")
        with pytest.raises(ActorError) as caught:
            await handle.enqueue("jobs", 1)
        assert f"{caught.value.group}.{caught.value.code}" == identity
        assert len(stub.received) == requests


async def test_an_overloaded_queue_is_tried_again(connect: Connect) -> None:
    metadata = {"channel": "dispatch_inbox", "operation": "dispatch_queue_send", "capacity": 9}
    body = {"group": "actor", "code": "overloaded", "message": "m", "metadata": metadata}
    overloaded = Reply(503, json.dumps(body).encode(), {"content-type": "application/json"})
    async with StubService(STATOR) as stub, connect(stub) as client:
        stub.will_answer(overloaded, overloaded, QUEUED)
        await client.get("a").enqueue("jobs", 1)
        assert (len(stub.received), client.pauses) == (3, [0.1, 0.1])
        stub.will_answer(overloaded)
        with pytest.raises(ActorError, match="overloaded"):
            await client.get_for_id("a", "i1").enqueue("jobs", 1)
        assert len(stub.received) == 4


async def test_what_an_actor_of_a_stator_service_answered_is_final(connect: Connect) -> None:
    async with StubService(STATOR) as stub, connect(stub) as client:
        stub.will_answer(error("actor.stopping", by_actor=True))
        with pytest.raises(ActorError, match="stopping"):
            await client.get_or_create("a").enqueue("jobs", 1)
        assert len(stub.received) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(200, b'{"status":"queued"}'), "Failed to parse response"),
        (Reply(200, b""), "Failed to parse response"),
        (HANG_UP, "HTTP request error"),
    ],
)
async def test_an_answer_that_is_none_is_an_internal_error(
    connect: Connect, reply: Reply, message: str
) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(reply)
        with pytest.raises(ActorError, match=message) as caught:
            await client.get("a").enqueue("jobs", 1)
        assert (caught.value.group, caught.value.code) == ("rivetkit", "internal_error")
        assert len(stub.received) == 1


async def test_a_body_that_cannot_be_sent_names_its_place(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        with pytest.raises(ActorError, match=r'body\["x"\]'):
            await client.get("a").enqueue("jobs", {"x": object()})
        assert stub.received == []


# ---------------------------------------------------------------- connections


async def test_a_connection_sends_messages_over_http(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(QUEUED)
        conn = client.get("room", ["a"], params={"from": "handle"}).connect()
        await conn.enqueue("jobs", 1)
        (request,) = [request for request in stub.received if request.method == "POST"]
        assert request.target.startswith("/gateway/room/queue/jobs?")
        assert json.loads(request.headers["x-rivet-conn-params"]) == {"from": "handle"}


async def test_a_connection_gives_its_messages_its_own_parameters(connect: Connect) -> None:
    async def params() -> dict[str, str]:
        return {"from": "connection"}

    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(QUEUED)
        conn = client.get(Room, params={"from": "handle"}).connect(params)
        outcome = await conn.enqueue(Room.paid_jobs, "x", wait=True)
        assert outcome == QueueOutcome("completed")
        (request,) = [request for request in stub.received if request.method == "POST"]
        assert "/queue/paidJobs?" in request.target
        assert json.loads(request.headers["x-rivet-conn-params"]) == {"from": "connection"}
