"""The one request before all others: the metadata of the service (client-protocol, 1.3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from stator.client.endpoint import Endpoint
from stator.client.http_transport import HttpTransport
from stator.runtime.errors import ActorError
from stator.runtime.handles import ActorClient
from stator.runtime.protocol.encoding import Encoding
from tests.fakes.stub_service import HANG_UP, Reply, StubService
from tests.unit.client.conftest import TimelessClient

Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]

NO_SERVICE = Reply(503, b"later")


def metadata(**members: Any) -> Reply:
    return Reply(body=json.dumps(members).encode())


async def test_nothing_is_asked_before_the_first_call_and_metadata_only_once(
    connect: Connect,
) -> None:
    async with StubService() as stub, connect(stub) as client:
        handle = client.get("a")
        assert stub.lookups == []
        await asyncio.gather(*(handle.act() for _ in range(5)))
        await handle.act()
        assert [lookup.target for lookup in stub.lookups] == ["/metadata?namespace=default"]
        assert len(stub.received) == 6


async def test_the_service_may_send_its_clients_elsewhere(connect: Connect) -> None:
    async with StubService() as front, StubService() as back, connect(front, token="t1") as client:
        front.metadata[0] = metadata(
            clientEndpoint=back.endpoint.replace("http://", "http://no:body@") + "/base/",
            clientNamespace="other",
            clientToken="t2",
        )
        handle = client.get("a")
        await handle.act()
        assert front.received == []
        (request,) = back.received
        assert request.target == "/base/gateway/a/action/act?rvt-namespace=other&rvt-method=get"
        assert request.headers["x-rivet-token"] == "t2"
        assert handle.gateway_url().startswith(f"{back.endpoint}/base/gateway/a?")


@pytest.mark.parametrize("endpoint", [None, ""])
async def test_namespace_and_token_count_only_with_an_endpoint(
    connect: Connect, endpoint: str | None
) -> None:
    async with StubService() as stub, connect(stub, token="t1") as client:
        stub.metadata[0] = metadata(
            clientEndpoint=endpoint, clientNamespace="other", clientToken="t2"
        )
        await client.get("a").act()
        assert "rvt-namespace=default" in stub.received[0].target
        assert stub.received[0].headers["x-rivet-token"] == "t1"


@pytest.mark.parametrize(
    "failure",
    [
        NO_SERVICE,
        Reply(body=b"<html>"),
        Reply(body=b"[]"),
        Reply(body=b'{"clientEndpoint":5}'),
        Reply(body=b'{"clientEndpoint":"elsewhere"}'),
        Reply(302, b"", {"location": "/"}),
    ],
)
async def test_a_failed_look_up_is_repeated(connect: Connect, failure: Reply) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.metadata.extendleft([failure, failure])
        assert await client.get("a").act() is None
        assert client.pauses == [0.5, 1.0]


async def test_a_broken_connection_is_a_failed_look_up(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.metadata.extendleft([HANG_UP] * 2)  # aiohttp itself repeats the first GET once
        assert await client.get("a").act() is None
        assert client.pauses == [0.5]


async def test_a_look_up_that_keeps_failing_fails_the_calls_that_wait_for_it(
    connect: Connect,
) -> None:
    async with StubService() as stub, connect(stub) as client:
        working = stub.metadata.popleft()
        stub.metadata.append(NO_SERVICE)
        calls = [client.get("a").act(), client.get("a").resolve(), client.create("a")]
        problems = await asyncio.gather(*calls, return_exceptions=True)
        for problem in problems:
            assert isinstance(problem, ActorError)
            assert (problem.group, problem.code) == ("rivetkit", "internal_error")
            assert problem.message == f"no metadata from {stub.endpoint}: status 503"
        assert client.pauses == [0.5, 1.0, 2.0, 4.0]
        assert len(stub.lookups) == 5

        stub.metadata.append(working)
        stub.metadata.popleft()
        assert await client.get("a").act() is None


async def test_a_caller_that_gives_up_does_not_end_the_look_up_of_the_others() -> None:
    paused, go_on = asyncio.Event(), asyncio.Event()

    async def pause(_: float) -> None:
        paused.set()
        await go_on.wait()

    async with StubService() as stub:
        stub.metadata.appendleft(NO_SERVICE)
        http = HttpTransport(Endpoint(stub.endpoint, "default"), Encoding.JSON, {}, pause=pause)
        handle = ActorClient(http).get("a")
        impatient = asyncio.create_task(handle.call("act"))
        patient = asyncio.create_task(handle.call("act"))
        await paused.wait()
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        go_on.set()
        assert await patient is None
        assert len(stub.lookups) == 2
        await http.close()


async def test_closing_ends_a_look_up_and_tells_its_callers() -> None:
    paused = asyncio.Event()

    async def pause(_: float) -> None:
        paused.set()
        await asyncio.Event().wait()

    async with StubService() as stub:
        stub.metadata.appendleft(NO_SERVICE)
        http = HttpTransport(Endpoint(stub.endpoint, "default"), Encoding.JSON, {}, pause=pause)
        call = asyncio.create_task(ActorClient(http).get("a").call("act"))
        await paused.wait()
        await http.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            await call
