"""The answer of an action as it leaves: head and body in one write, the lengths right."""

import asyncio
from email.utils import parsedate_to_datetime
from http.client import HTTPMessage, parse_headers
from io import BytesIO
from typing import Any, cast

import pytest
from aiohttp import HttpVersion10, HttpVersion11

from stator.http.answers import DRAIN_ABOVE_BYTES, WireResponse, may_keep_alive


class _Client:
    """A request whose transport remembers what is written."""

    def __init__(self, *, waiting: int = 0, is_closing: bool = False) -> None:
        self.written: list[bytes] = []
        self.drained = 0
        self.transport = self
        self.writer = self
        self._waiting = waiting
        self._is_closing = is_closing

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return self._waiting

    async def drain(self) -> None:
        self.drained += 1


def _send(response: WireResponse, client: _Client) -> tuple[bytes, HTTPMessage, bytes]:
    async def send() -> None:
        await response.prepare(cast(Any, client))
        await response.write_eof()

    asyncio.run(send())
    (wire,) = client.written
    stream = BytesIO(wire)
    return stream.readline(), parse_headers(stream), stream.read()


def test_status_headers_and_body_are_one_write() -> None:
    response = WireResponse(404, "x-rivet-actor: a\r\n", b'{"a":1}', keep_alive=True)
    status, headers, body = _send(response, _Client())
    assert status == b"HTTP/1.1 404 Not Found\r\n"
    assert headers["x-rivet-actor"] == "a"
    assert body == b'{"a":1}'


@pytest.mark.parametrize("body", [b"", b"x", "é".encode() * 1000])
def test_the_length_is_the_one_of_the_body_in_bytes(body: bytes) -> None:
    _, headers, sent = _send(WireResponse(200, "", body, keep_alive=True), _Client())
    assert int(headers["content-length"]) == len(sent) == len(body)


def test_the_date_is_a_date() -> None:
    _, headers, _ = _send(WireResponse(200, "", b"", keep_alive=True), _Client())
    assert parsedate_to_datetime(headers["date"]).tzinfo is not None


def test_a_connection_that_ends_says_so() -> None:
    ends = WireResponse(200, "", b"", keep_alive=False)
    stays = WireResponse(200, "", b"", keep_alive=True)
    assert (ends.keep_alive, stays.keep_alive) == (False, True)
    assert _send(ends, _Client())[1]["connection"] == "close"
    assert "connection" not in _send(stays, _Client())[1]


@pytest.mark.parametrize(
    ("version", "asked", "kept"),
    [
        (HttpVersion11, True, True),
        (HttpVersion11, False, False),
        (HttpVersion10, True, False),
    ],
)
def test_only_connections_of_http_1_1_are_kept(version: Any, asked: bool, kept: bool) -> None:
    class Request:
        keep_alive = asked

    Request.version = version  # type: ignore[attr-defined]
    assert may_keep_alive(cast(Any, Request())) is kept


def test_a_client_that_does_not_read_is_waited_for() -> None:
    client = _Client(waiting=DRAIN_ABOVE_BYTES + 1)
    _send(WireResponse(200, "", b"x", keep_alive=True), client)
    assert client.drained == 1


def test_a_client_that_reads_is_not_waited_for() -> None:
    client = _Client(waiting=DRAIN_ABOVE_BYTES)
    _send(WireResponse(200, "", b"x", keep_alive=True), client)
    assert client.drained == 0


def test_a_client_that_left_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionResetError):
        _send(WireResponse(200, "", b"x", keep_alive=True), _Client(is_closing=True))
