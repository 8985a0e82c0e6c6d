"""The request an actor sees: parsed when asked, its body kept or streamed."""

import asyncio

import pytest

from stator import ActorError, Request
from stator.runtime.errors import InvalidRequest
from tests.fakes.raw_requests import GONE, ScriptedBody, make_request

OK_AGAIN = "the body of this request is being read"


def test_a_request_says_what_was_asked() -> None:
    request = make_request("/a%2Fb/c?x=1&y=a%20b+c&x=2", method="PUT")

    assert (request.method, request.path) == ("PUT", "/a%2Fb/c")
    assert request.raw_query == "x=1&y=a%20b+c&x=2"
    assert request.query.getall("x") == ["1", "2"]
    assert request.query["y"] == "a b c"
    assert request.url == "http://example.test:6420/gateway/a/request/a%2Fb/c?x=1&y=a%20b+c&x=2"


def test_a_request_shows_what_it_is_and_not_its_secrets() -> None:
    request = make_request("/a?token=x", headers={"Authorization": "Bearer x"})

    assert repr(request) == "<Request GET /a>"


def test_headers_are_found_in_any_case() -> None:
    request = make_request(headers={"X-Thing": "1"})

    assert request.headers["x-thing"] == request.headers["X-THING"] == "1"
    assert "absent" not in request.headers


def test_headers_that_are_not_utf_8_keep_their_bytes() -> None:
    raw = [(b"X-Name", "é".encode()), (b"x-name", b"\xe9")]
    request = Request(method="GET", path="/", raw_query="", url="", raw_headers=raw)

    values = request.headers.getall("x-name")

    assert values[0] == "é"
    assert values[1].encode("utf-8", "surrogateescape") == b"\xe9"


def test_headers_and_query_are_parsed_once() -> None:
    request = make_request("/?a=1")

    assert request.headers is request.headers
    assert request.query is request.query


async def test_the_body_is_kept() -> None:
    request = make_request(body=ScriptedBody(b"ab", b"c", b""))

    assert await request.body() == b"abc"
    assert await request.body() == b"abc"
    assert await request.text() == "abc"


async def test_a_request_without_a_body_has_an_empty_one() -> None:
    request = make_request()

    assert await request.body() == b""
    assert [chunk async for chunk in request.stream()] == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("text/plain", "né".encode()), ("text/plain; charset=latin-1", "né".encode("latin-1")),
     ('text/plain;a=b; Charset="UTF-16"', "né".encode("utf-16"))],
)  # fmt: skip
async def test_text_is_in_the_charset_of_the_content_type(content_type: str, body: bytes) -> None:
    assert await make_request(headers={"Content-Type": content_type}, body=body).text() == "né"


@pytest.mark.parametrize("charset", ["utf-8", "nonsense", "hex", "ascii"])
async def test_text_that_cannot_be_decoded_is_the_callers_fault(charset: str) -> None:
    headers = {"content-type": f"text/plain; charset={charset}"}
    request = make_request(headers=headers, body=b"\xff")

    with pytest.raises(InvalidRequest, match=charset):
        await request.text()


async def test_json_is_decoded() -> None:
    assert await make_request(body=b'{"a": [1, 2.5, null]}').json() == {"a": [1, 2.5, None]}


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'"\xff"', b"[" * 100_000])
async def test_a_body_that_is_not_json_is_the_callers_fault(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not JSON"):
        await make_request(body=body or ScriptedBody(b"")).json()


async def test_a_stream_gives_chunks_as_they_arrive() -> None:
    source = ScriptedBody(b"ab", b"c")
    stream = make_request(body=source).stream()

    assert [await anext(stream), await anext(stream)] == [b"ab", b"c"]
    source.feed(b"")
    assert [chunk async for chunk in stream] == []
    assert [chunk async for chunk in stream] == []


async def test_a_stream_after_the_body_gives_the_body() -> None:
    request = make_request(body=ScriptedBody(b"ab", b"c", b""))
    await request.body()

    assert [chunk async for chunk in request.stream()] == [b"abc"]


async def test_a_stream_is_had_once() -> None:
    request = make_request(body=b"abc")
    request.stream()

    with pytest.raises(RuntimeError, match=OK_AGAIN):
        request.stream()
    with pytest.raises(RuntimeError, match=OK_AGAIN):
        await request.body()


async def test_a_client_that_goes_away_is_an_actor_error() -> None:
    request = make_request(body=ScriptedBody(b"ab", GONE))

    with pytest.raises(ActorError, match="went away"):
        await request.body()


async def test_reading_on_after_a_cancelled_read_loses_nothing() -> None:
    source = ScriptedBody(b"ab")
    request = make_request(body=source)
    reading = asyncio.create_task(request.body())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    source.feed(b"c")
    source.feed(b"")

    assert await request.body() == b"abc"


async def test_a_step_of_a_stream_may_be_cancelled() -> None:
    source = ScriptedBody()
    stream = make_request(body=source).stream()

    async def step() -> bytes:
        return await anext(stream)

    waiting = asyncio.create_task(step())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})

    source.feed(b"ab")

    assert await anext(stream) == b"ab"
