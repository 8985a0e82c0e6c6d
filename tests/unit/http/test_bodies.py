"""Bodies within a limit, whether announced or chunked, and the base64 forms inside them."""

import asyncio
import base64
from typing import cast
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from stator.http.base64_forms import decode_base64, decode_base64url
from stator.http.bodies import PROGRESS_BYTES, read_control_body, read_message
from stator.runtime.errors import CallerError, RequestTimeout

LIMIT = 10


def _request(*chunks: bytes, length: int | None = None) -> tuple[web.Request, StreamReader]:
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    content = StreamReader(protocol, 2**16, loop=loop)
    for chunk in chunks:
        content.feed_data(chunk)
    headers = {} if length is None else {"content-length": str(length)}
    return make_mocked_request("POST", "/", headers=headers, payload=content), content


@pytest.mark.parametrize(
    "chunks", [(), (b"",), (b"ab",), (b"a", b"b"), (b"x" * LIMIT,), (b"12345", b"67890")]
)
async def test_a_body_within_the_limit_is_read_whole(chunks: tuple[bytes, ...]) -> None:
    request, content = _request(*chunks)
    content.feed_eof()
    assert await read_message(request, LIMIT) == b"".join(chunks)


async def test_a_body_that_comes_slowly_is_waited_for() -> None:
    request, content = _request(b"ab")
    reading = asyncio.ensure_future(read_message(request, LIMIT))
    await asyncio.sleep(0)
    content.feed_data(b"cd")
    await asyncio.sleep(0)
    assert not reading.done()
    content.feed_eof()
    assert await reading == b"abcd"


@pytest.mark.parametrize("chunks", [(b"x" * 11,), (b"x" * 6, b"x" * 5), (b"x" * 1000,)])
async def test_a_chunked_body_over_the_limit_is_refused(chunks: tuple[bytes, ...]) -> None:
    request, content = _request(*chunks)
    content.feed_eof()
    with pytest.raises(CallerError) as caught:
        await read_message(request, LIMIT)
    error = caught.value
    assert (error.group, error.code, error.status) == ("message", "incoming_too_long", 400)
    assert "limits.max_incoming_message_size (10 bytes)" in error.message


async def test_an_endless_body_is_refused_without_waiting_for_its_end() -> None:
    request, _ = _request(b"x" * 11)
    with pytest.raises(CallerError):
        await read_message(request, LIMIT)


async def test_a_body_announced_over_the_limit_is_refused_before_it_comes() -> None:
    request, _ = _request(length=11)
    with pytest.raises(CallerError):
        await read_message(request, LIMIT)


async def test_a_control_body_over_the_limit_is_another_error() -> None:
    request, _ = _request(length=11)
    with pytest.raises(CallerError) as caught:
        await read_control_body(request, LIMIT)
    error = caught.value
    assert (error.group, error.code, error.status) == ("guard", "invalid_request_body", 413)


# -------------------------------------------------------------------------------- time

PATIENCE_S = 4.0


class Clock:
    """The time of the running loop, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self.now)

    async def pass_time(self, seconds: float) -> None:
        """Let timers run that are due ``seconds`` from now."""
        self.now += seconds
        for _ in range(5):
            await asyncio.sleep(0)


async def _reading(request: web.Request, limit: int = LIMIT) -> asyncio.Task[bytes]:
    reading = asyncio.ensure_future(read_message(request, limit, PATIENCE_S))
    await asyncio.sleep(0)
    return reading


@pytest.mark.parametrize("chunks", [(), (b"half",)])
async def test_a_body_that_stops_coming_is_given_up_and_its_connection_closed(
    monkeypatch: pytest.MonkeyPatch, chunks: tuple[bytes, ...]
) -> None:
    clock = Clock(monkeypatch)
    request, _ = _request(*chunks)
    reading = await _reading(request)
    await clock.pass_time(PATIENCE_S)
    with pytest.raises(RequestTimeout) as caught:
        await reading
    error = caught.value
    assert (error.group, error.code, error.status) == ("guard", "request_timeout", 408)
    assert "4 seconds (server.header_timeout)" in error.message
    assert cast(Mock, request.protocol).close.called


async def test_a_control_body_that_stops_coming_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    request, _ = _request(b"{")
    reading = asyncio.ensure_future(read_control_body(request, LIMIT, PATIENCE_S))
    await clock.pass_time(0)
    await clock.pass_time(PATIENCE_S)
    with pytest.raises(RequestTimeout):
        await reading


async def test_a_byte_now_and_then_does_not_hold_a_request_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    request, content = _request()
    reading = await _reading(request)
    for _ in range(4):
        content.feed_data(b"x")
        await clock.pass_time(PATIENCE_S / 4)
    with pytest.raises(RequestTimeout):
        await reading


async def test_a_body_that_makes_progress_may_take_as_long_as_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    request, content = _request()
    reading = await _reading(request, limit=10 * PROGRESS_BYTES)
    for _ in range(4):
        content.feed_data(b"x" * PROGRESS_BYTES)
        await clock.pass_time(PATIENCE_S - 1)
    content.feed_eof()
    assert len(await reading) == 4 * PROGRESS_BYTES


# ------------------------------------------------------------------------------ base64


@given(st.binary(max_size=100))
def test_base64url_is_read_with_and_without_padding(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data).decode()
    assert decode_base64url(text) == decode_base64url(text.rstrip("=")) == data


@given(st.binary(max_size=100))
def test_standard_base64_is_read_with_padding(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data


@pytest.mark.parametrize("text", ["++", "//", "a", "abcde", "a=b", "ab===", "a b", "é", "\udcff"])
def test_what_is_no_base64url_is_none(text: str) -> None:
    assert decode_base64url(text) is None


@pytest.mark.parametrize("text", ["-_==", "YQ", "YQ=", "Y", "a b=", "é", "\udcff", "YQ==YQ=="])
def test_what_is_no_padded_base64_is_none(text: str) -> None:
    assert decode_base64(text) is None


@given(st.text(max_size=50))
def test_any_text_is_bytes_or_none(text: str) -> None:
    assert isinstance(decode_base64(text), bytes | None)
    assert isinstance(decode_base64url(text), bytes | None)
