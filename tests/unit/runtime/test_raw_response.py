"""The response an actor returns: nothing in it can break the framing of HTTP."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from stator import Response


async def chunks() -> AsyncIterator[bytes]:
    yield b"a"


class Point(msgspec.Struct):
    x: int


def test_a_response_is_empty_and_ok_by_default() -> None:
    response = Response()

    assert (response.status, response.body, response.raw_headers()) == (200, b"", [])


def test_text_is_sent_as_utf_8() -> None:
    response = Response("né")

    assert response.body == "né".encode()
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_content_type_of_ones_own_wins() -> None:
    response = Response("<p>", headers={"Content-Type": "text/html"})

    assert response.raw_headers() == [(b"Content-Type", b"text/html")]


@pytest.mark.parametrize("body", [bytearray(b"ab"), memoryview(b"ab")])
def test_a_buffer_is_copied(body: Any) -> None:
    assert Response(body).body == b"ab"


def test_a_stream_is_left_alone() -> None:
    stream = chunks()

    assert Response(stream, 206).body is stream


@pytest.mark.parametrize("body", [None, 1, ["a"], {"a": 1}, iter([b"a"])])
def test_a_body_is_bytes_text_or_a_stream(body: Any) -> None:
    with pytest.raises(TypeError, match="a body is bytes, str or an async iterable"):
        Response(body)


def test_json() -> None:
    response = Response.json({"a": [Point(1)]}, 201)

    assert (response.status, response.body) == (201, b'{"a":[{"x":1}]}')
    assert response.raw_headers() == [(b"content-type", b"application/json")]


def test_json_with_a_content_type_of_ones_own() -> None:
    headers = {"content-type": "application/problem+json"}

    assert Response.json({}, headers=headers).headers["content-type"] == headers["content-type"]


@pytest.mark.parametrize("status", [200, 418, 599, HTTPStatus.NOT_FOUND])
def test_a_status(status: int) -> None:
    assert Response(status=status).status == status


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, -1, True])
def test_a_status_is_a_final_one(status: int) -> None:
    with pytest.raises(ValueError, match="200 to 599"):
        Response(status=status)


@pytest.mark.parametrize("status", ["200", 200.0, None])
def test_a_status_is_a_number(status: Any) -> None:
    with pytest.raises(TypeError, match="a status is an int"):
        Response(status=status)


@pytest.mark.parametrize("status", [204, 304])
def test_some_responses_have_no_body(status: int) -> None:
    for body in (b"a", "a", chunks()):
        with pytest.raises(ValueError, match="has no body"):
            Response(body, status)
    assert Response(status=status, headers={"content-length": "0"}).raw_headers() == []


# -- headers


def test_repeated_headers_survive() -> None:
    pairs = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X", "")]

    for headers in (pairs, CIMultiDict(pairs), iter(pairs)):
        response = Response(headers=headers)
        assert response.headers.getall("set-cookie") == ["a=1", "b=2"]
        assert response.raw_headers() == [(n.encode(), v.encode()) for n, v in pairs]


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "ä", "a\0", "(a)", "a/b"])
def test_a_name_is_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a header"):
        Response(headers={name: "x"})


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\n", "\ra", "a\0b"])
def test_a_value_has_no_line_ends(value: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        Response(headers=[("a", value)])


def test_a_value_is_text() -> None:
    with pytest.raises(ValueError, match="not text"):
        Response(headers={"a": "\ud800"})


@pytest.mark.parametrize("headers", [{"a": 1}, {1: "a"}, {"a": b"b"}, {"a": None}, "ab", [("a",)]])
def test_headers_are_pairs_of_text(headers: Any) -> None:
    with pytest.raises(TypeError, match="a header is a name and a value"):
        Response(headers=headers)


@pytest.mark.parametrize(
    "name",
    ["Connection", "transfer-encoding", "Keep-Alive", "upgrade", "Trailer", "TE",
     "proxy-authenticate", "Proxy-Connection"],
)  # fmt: skip
def test_what_is_the_connections_is_left_out(name: str) -> None:
    assert Response(headers={name: "x", "a": "b"}).raw_headers() == [(b"a", b"b")]


def test_headers_changed_later_are_checked_again() -> None:
    response = Response(b"abc")
    response.headers["connection"] = "close"
    response.headers["content-length"] = "4"
    assert response.raw_headers() == []

    response.headers["a"] = "b\r\n"
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        response.raw_headers()


@pytest.mark.parametrize(
    ("given", "kept"), [("3", [(b"content-length", b"3")]), ("4", []), ("None", []), ("03", [])]
)
def test_a_length_is_kept_if_it_is_right(given: str, kept: list[tuple[bytes, bytes]]) -> None:
    assert Response(b"abc", headers={"Content-Length": given}).raw_headers() == kept


def test_of_many_lengths_at_most_one_is_kept() -> None:
    pairs = [("content-length", "4"), ("content-length", "3"), ("content-length", "3")]

    assert Response(b"abc", headers=pairs).raw_headers() == [(b"content-length", b"3")]


@pytest.mark.parametrize("given", ["1", "None"])
def test_a_stream_has_no_length(given: str) -> None:
    assert Response(chunks(), headers={"content-length": given}).raw_headers() == []


def test_bytes_that_are_no_text_survive() -> None:
    value = b"\xe9".decode("utf-8", "surrogateescape")

    assert Response(headers={"a": value}).raw_headers() == [(b"a", b"\xe9")]
