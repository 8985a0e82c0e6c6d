"""Raw requests: what is sent, what comes back, what is sent twice (client-protocol, 8.1)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from stator import ActorError
from stator.client.fetches import Body, inner_path
from stator.runtime.error_views import ErrorView
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import encode_error
from tests.fakes.stub_service import HANG_UP, Reply, StubService, error
from tests.unit.client.conftest import TimelessClient

Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]


@pytest.mark.parametrize(
    ("path", "inner", "query"),
    [
        ("/foo/bar?x=1&y=a%20b+c", "foo/bar", "x=1&y=a%20b+c"),
        ("foo", "foo", ""),
        ("", "", ""),
        ("/", "", ""),
        ("//", "", ""),
        ("/a//b/../c/./d%2Fe", "a/c/d%2Fe", ""),
        ("/../../a/", "a/", ""),
        ("/a/..", "", ""),
        ("/a/b/.", "a/b/", ""),
        ("/é €?ä=ö x#part", "%C3%A9%20%E2%82%AC", "%C3%A4=%C3%B6%20x"),
        ("?a=/../?", "", "a=/../?"),
        ("/a;b=1:@!$&'()*+,~-._", "a;b=1:@!$&'()*+,~-._", ""),
    ],
)
def test_a_path_is_normalised_and_a_query_kept(path: str, inner: str, query: str) -> None:
    assert inner_path("/request/", path) == (f"/request/{inner}", query)


async def test_a_request_reaches_the_actor_as_it_is(connect: Connect) -> None:
    async with StubService() as stub, connect(stub, token="t1") as client:
        stub.will_answer(Reply(201, b'{"a":1}', {"X-Mine": "yes", "content-type": "text/x"}))
        room = client.get_or_create("room", "k", params={"é": 1})
        response = await room.fetch(
            "/notes?limit=2",
            method="PATCH",
            headers=[("x-a", "1"), ("x-a", "2"), ("x-rivet-internal-original-request-url", "u")],
            body=b"\x00\xff",
        )
        assert (response.status, response.headers["x-mine"]) == (201, "yes")
        assert (await response.json(), await response.text()) == ({"a": 1}, '{"a":1}')
        (request,) = stub.received
        assert request.method == "PATCH"
        assert request.target.startswith("/gateway/room/request/notes?limit=2&rvt-namespace=")
        assert request.body == b"\x00\xff"
        assert "x-rivet-internal-original-request-url" not in request.headers
        assert request.headers["x-rivet-token"] == "t1"
        assert request.headers["x-rivet-conn-params"] == '{"\\u00e9": 1}'
        assert "x-rivet-encoding" not in request.headers


async def test_params_of_a_fetch_win_over_those_of_the_handle(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        await client.get_for_id("room", "i1", params=1).fetch("/", params=2)
        assert stub.received[0].headers["x-rivet-conn-params"] == "2"
        assert stub.received[0].target == "/gateway/i1/request/"


async def parts() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


@pytest.mark.parametrize(
    ("body", "received", "content_type"),
    [
        ("é", "é".encode(), "text/plain; charset=utf-8"),
        (b"x", b"x", None),
        (None, b"", None),
        (parts(), b"ab", None),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_body_is_text_bytes_or_a_stream(
    connect: Connect, body: Body, received: bytes, content_type: str | None
) -> None:
    async with StubService() as stub, connect(stub) as client:
        await client.get("room").fetch("/", method="POST", body=body)
        assert stub.received[0].body == received
        assert stub.received[0].headers.get("content-type") == content_type


async def test_a_body_may_be_read_as_it_arrives(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(Reply(body=b"x" * 300_000))
        async with await client.get("room").fetch("/") as response:
            sizes = [len(chunk) async for chunk in response.stream()]
        assert sum(sizes) == 300_000


async def test_text_is_read_in_its_charset(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(
            Reply(body=b"\xe9", headers={"content-type": "text/plain; charset=latin-1"}),
            Reply(body=b"\xe9", headers={"content-type": "text/plain; charset=odd"}),
        )
        room = client.get("room")
        texts = [await (await room.fetch("/")).text() for _ in range(2)]
        assert texts == ["é", "\ufffd"]


async def test_an_unread_answer_may_be_dropped(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        response = await client.get("room").fetch("/")
        await response.close()
        await response.close()
        assert repr(response) == "<response 200>"


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_every_status_is_an_answer(connect: Connect, status: int) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(Reply(status, b"what the actor says", {"location": "/elsewhere"}))
        response = await client.get("room").fetch("/")
        assert (response.status, await response.read()) == (status, b"what the actor says")
        assert len(stub.received) == 1


STALE = ["actor.not_found", "actor.stopping", "actor.destroying", "actor.destroyed_x"]
BOUNDARY = ["actor.restarting", "guard.service_unavailable", "user.full"]


@pytest.mark.parametrize("identity", STALE)
async def test_an_actor_that_comes_or_goes_is_asked_again(connect: Connect, identity: str) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(error(identity), error(identity), Reply(body=b"here"))
        response = await client.get("room").fetch("/", method="POST", body="x")
        assert await response.read() == b"here"
        assert client.pauses == [0.1, 0.1]
        assert {request.body for request in stub.received} == {b"x"}


async def test_the_last_of_many_refusals_is_the_answer(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(error("actor.not_found", status=404))
        response = await client.get("room").fetch("/")
        assert (response.status, (await response.json())["code"]) == (404, "not_found")
        assert len(stub.received) == 24
        await client.get_or_create("room").fetch("/")
        assert len(stub.received) == 24 + 60


@pytest.mark.parametrize("identity", BOUNDARY)
async def test_other_errors_are_answers_at_once(connect: Connect, identity: str) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(error(identity))
        assert (await client.get_or_create("room").fetch("/")).status == 503
        assert len(stub.received) == 1


async def test_a_pinned_handle_asks_once(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(error("actor.not_found"))
        await client.get_for_id("room", "i1").fetch("/")
        assert len(stub.received) == 1


async def test_a_body_that_is_gone_is_sent_once(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(error("actor.stopping"))
        response = await client.get("room").fetch("/", method="POST", body=parts())
        assert (response.status, len(stub.received)) == (503, 1)


async def test_what_the_actor_of_a_stator_service_says_is_final(connect: Connect) -> None:
    async with StubService({"server": "stator"}) as stub, connect(stub) as client:
        stub.will_answer(error("actor.stopping", by_actor=True))
        await client.get("room").fetch("/")
        stub.will_answer(error("actor.not_found"))
        await client.get("room").fetch("/")
        assert len(stub.received) == 2


async def test_an_error_may_be_in_the_clients_encoding(connect: Connect) -> None:
    view = ErrorView("actor", "stopping", "no", None, 503)
    body = encode_error(Encoding.BARE, 4, view, None)
    async with StubService() as stub, connect(stub, Encoding.BARE) as client:
        stub.will_answer(Reply(503, body), Reply(body=b"here"))
        assert await (await client.get("room").fetch("/")).read() == b"here"


async def test_no_answer_is_an_error(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(HANG_UP)
        with pytest.raises(ActorError) as caught:
            await client.get("room").fetch("/", method="POST", body="x")
        assert (caught.value.group, caught.value.code) == ("rivetkit", "internal_error")
        assert len(stub.received) == 1
