"""An ASGI application as a hook: the scope it gets and the request it receives."""

import asyncio
from typing import Any

import pytest

from stator import Actor, ActorError, Request
from stator.asgi import AsgiApp
from stator.runtime.asgi import make_scope
from stator.runtime.asgi_lifespan import Message, Receive, Send
from tests.fakes.asgi_applications import END, START, http_only, part, sending
from tests.fakes.raw_requests import GONE, ScriptedBody, Served, make_request, whole_body

# -- as a hook


async def test_an_application_is_a_method_of_the_actor() -> None:
    class Site(Served):
        on_request = sending(START, part(b"hello", more=False))

    site = Site()
    hook: Any = getattr(type(site), "on_request")  # noqa: B009 - as the runtime finds hooks

    assert (await hook(site, make_request())).body == b"hello"
    assert await whole_body(await site.on_request(make_request())) == b"hello"


def test_an_application_is_callable() -> None:
    with pytest.raises(TypeError, match="an ASGI application is a callable"):
        AsgiApp("app")  # type: ignore[arg-type]  # pyright: ignore


# -- the scope


def test_the_scope_of_a_request() -> None:
    actor: Actor = Served()
    request = make_request("/a%2Fb%C3%A9//c?x=%20&y", method="POST", headers={"X-A": "Bc"})

    assert make_scope(request, {"actor": actor}) == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a/bé//c",
        "raw_path": b"/a%2Fb%C3%A9//c",
        "query_string": b"x=%20&y",
        "root_path": "",
        "headers": [(b"host", b"example.test:6420"), (b"x-a", b"Bc")],
        "client": None,
        "server": ("example.test", 6420),
        "state": {"actor": actor},
        "extensions": {},
    }


@pytest.mark.parametrize(
    ("url", "scheme", "server"),
    [
        ("http://h/a:1", "http", ("h", 80)),
        ("https://h.test/", "https", ("h.test", 443)),
        ("https://[::1]:8443/", "https", ("::1", 8443)),
        ("http://[::1]/", "http", ("::1", 80)),
        ("http://h:/", "http", ("h", 80)),
    ],
)
def test_scheme_and_server_are_those_of_the_url(url: str, scheme: str, server: Any) -> None:
    request = Request(method="GET", path="/", raw_query="", url=url, raw_headers=[])

    scope = make_scope(request, {})

    assert (scope["scheme"], scope["server"]) == (scheme, server)


# -- the request


async def received(request: Request) -> list[Message]:
    messages: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while not messages or messages[-1].get("more_body"):
            messages.append(await receive())
        await send(START)
        await send(END)
        messages.append(await receive())

    await http_only(app)(Served(), request)
    return messages


async def test_the_body_arrives_chunk_by_chunk_and_then_the_end_of_the_exchange() -> None:
    assert await received(make_request(body=ScriptedBody(b"ab", b"c", b""))) == [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"c", "more_body": True},
        {"type": "http.request", "body": b"", "more_body": False},
        {"type": "http.disconnect"},
    ]


async def test_a_body_that_was_read_before_arrives_too() -> None:
    request = make_request(body=b"abc")
    await request.body()

    messages = await received(request)

    assert [message["body"] for message in messages[:-1]] == [b"abc", b""]


async def test_a_lost_client_is_a_disconnect() -> None:
    assert (await received(make_request(body=ScriptedBody(b"ab", GONE))))[1:] == [
        {"type": "http.disconnect"},
        {"type": "http.disconnect"},
    ]


@pytest.mark.parametrize("error", [None, ValueError("half a body")])
async def test_why_the_body_was_lost_is_what_the_actor_hears(error: Exception | None) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"
        if error is not None:
            raise error

    with pytest.raises(ActorError) as caught:
        await http_only(app)(Served(), make_request(body=ScriptedBody(GONE)))
    assert caught.value is GONE


async def test_a_cancelled_receive_loses_nothing() -> None:
    source = ScriptedBody()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await receive()
        source.feed(b"ab")
        await send(START)
        await send(part((await receive())["body"], more=False))

    assert await whole_body(await http_only(app)(Served(), make_request(body=source))) == b"ab"
