"""The client without ``await``: it blocks its own thread alone."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from stator import ActorError
from stator.client.loop_thread import LoopThread
from stator.client.sync import Client
from tests.fakes.stub_service import Reply, StubService, error, output


@pytest.fixture
def stub() -> Iterator[StubService]:
    service = StubService()

    async def stop() -> None:
        await service.__aexit__(None, None, None)

    thread = LoopThread("stub", stop)
    thread.run(service.__aenter__())
    yield service
    thread.close()


def test_calls_block_and_return(stub: StubService) -> None:
    stub.will_answer(output(6))
    with Client(stub.endpoint, encoding="json") as client:
        handle = client.get_or_create("counter", ["k"], input=1)
        assert handle.increment(5) == 6
        assert handle.call("increment", 5) == 6
        assert handle.math.ops.add(1) == 6
        assert repr(handle) == "<actor counter ['k']>"
        assert handle.gateway_url().startswith(stub.endpoint)
    assert [request.body for request in stub.received[:2]] == [b'{"args":[5]}'] * 2
    assert "/action/math.ops.add?" in stub.received[2].target


def test_messages_for_queues_block_until_they_are_durable(stub: StubService) -> None:
    stub.will_answer(Reply(body=b'{"status":"completed","response":3}'))
    with Client(stub.endpoint, encoding="json") as client:
        handle = client.get("counter")
        handle.enqueue("jobs", 1)
        outcome = handle.enqueue("jobs", 2, wait=True, timeout=1.5)
        assert (outcome.status, outcome.reply) == ("completed", 3)
    assert [json.loads(request.body) for request in stub.received] == [
        {"body": 1, "name": "jobs", "wait": False},
        {"body": 2, "name": "jobs", "wait": True, "timeout": 1500},
    ]


def test_handles_are_made_as_by_the_asynchronous_client(stub: StubService) -> None:
    with Client(stub.endpoint, namespace="n", token="t", headers={"x-a": "1"}) as client:
        stub.will_answer(
            Reply(body=b'{"actor":{"actor_id":"i1"}}'),
            Reply(body=b'{"actors":[{"actor_id":"i2"}]}'),
        )
        assert client.create("chat", "a", input=0).resolve() == "i1"
        assert client.get("chat", "a").resolve() == "i2"
        assert client.get_for_id("chat", "i3").resolve() == "i3"
    assert all(request.target.endswith("namespace=n") for request in stub.received)
    assert all(request.headers["x-a"] == "1" for request in stub.received)
    assert all(request.headers["authorization"] == "Bearer t" for request in stub.received)


def test_errors_are_raised_in_the_calling_thread(stub: StubService) -> None:
    stub.will_answer(error("user.full", message="no seat"))
    with Client(stub.endpoint) as client, pytest.raises(ActorError, match="no seat"):
        client.get("a").sit()


def test_many_threads_share_one_client(stub: StubService) -> None:
    stub.will_answer(output(1))
    with Client(stub.endpoint, encoding="json") as client, ThreadPoolExecutor(8) as threads:
        handle = client.get("a")
        assert list(threads.map(handle.act, range(64))) == [1] * 64
    assert {request.body for request in stub.received} == {
        f'{{"args":[{number}]}}'.encode() for number in range(64)
    }
    assert len(stub.lookups) == 1


def test_private_names_are_no_actions(stub: StubService) -> None:
    with Client(stub.endpoint) as client:
        handle = client.get("a")
        for name in ("_transport", "__wrapped__"):
            with pytest.raises(AttributeError):
                getattr(handle, name)
            with pytest.raises(AttributeError):
                getattr(handle.act, name)


def test_a_closed_client_refuses_calls(stub: StubService) -> None:
    client = Client(stub.endpoint)
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.get("a").act()


def test_closing_ends_the_calls_of_other_threads() -> None:
    entered, finished = threading.Event(), threading.Event()

    async def finish() -> None:
        finished.set()

    async def wait_for_ever() -> None:
        entered.set()
        await asyncio.Event().wait()

    thread = LoopThread("loop", finish)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(lambda: thread.run(wait_for_ever()))
        assert entered.wait(20)
        thread.close()
        with pytest.raises(RuntimeError, match="closed during the call"):
            call.result(20)
    assert finished.is_set()


def test_an_invalid_argument_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="encoding"):
        Client("http://h", encoding="xml")  # type: ignore[arg-type]
    assert threading.active_count() == before


def test_a_client_that_nobody_closes_does_not_keep_the_process(stub: StubService) -> None:
    script = (
        "from stator.client.sync import Client\n"
        f"Client({stub.endpoint!r}, encoding='json').get('a').act()\n"
        "print('done')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20
    )
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
