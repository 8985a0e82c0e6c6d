"""Heads that do not come in time, on a clock that is moved by hand (server.header_timeout)."""

from __future__ import annotations

import asyncio
import json
from email import message_from_bytes
from typing import Any

import pytest
from aiohttp import web

from stator.http.deadlines import HeadWatch, TimedConnection
from stator.http.server import HttpServer

LIMIT = 30.0
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nhost"


class Transport(asyncio.Transport):
    """Records what is written and how it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unread = 0
        """What the client did not read."""
        self.is_aborted = False
        self.is_closed = False
        self.closed = asyncio.Event()
        self.protocol: TimedConnection | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        if not self.is_closed and self.protocol:
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)
        self.is_closed = True
        self.closed.set()

    def abort(self) -> None:
        self.is_aborted = True
        self.close()


class Clients:
    """A server without sockets; ``limit`` is never reached by itself, unless it is small."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._loop = asyncio.get_running_loop()
        self.watch = HeadWatch(self._loop, limit)
        self.answer_is_due = asyncio.Event()
        self.answer_is_due.set()
        self.server = HttpServer(
            self._handle, heads=self.watch, keepalive_timeout=1000.0, access_log=None
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.answer_is_due.wait()
        return web.Response(text="served")

    async def come(self, *pieces: bytes) -> Transport:
        """Accept a client that sends ``pieces``, one after the other."""
        transport = Transport()
        connection = self.server()
        assert isinstance(connection, TimedConnection)
        transport.protocol = connection
        connection.connection_made(transport)
        await settle()
        await send(transport, *pieces)
        return transport

    async def pass_time(self, seconds: float) -> None:
        """Let the watch look around ``seconds`` from now."""
        self.watch.round(self._loop.time() + seconds)
        await settle()


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def send(transport: Transport, *pieces: bytes) -> None:
    """Let a client send ``pieces``."""
    for piece in pieces:
        assert transport.protocol
        transport.protocol.data_received(piece)
        await settle()


def _problem(answer: bytes) -> dict[str, Any]:
    """Return the parts of an HTTP answer."""
    start, _, rest = answer.partition(b"\r\n")
    head, _, body = rest.partition(b"\r\n\r\n")
    headers = [(name.lower(), value) for name, value in message_from_bytes(head).items()]
    assert len(dict(headers)) == len(headers)
    return {"start": start.decode(), "headers": dict(headers), "body": json.loads(body)}


async def test_a_client_that_sends_nothing_is_closed_without_a_word() -> None:
    clients = Clients()
    client = await clients.come()
    await clients.pass_time(LIMIT)
    assert client.is_closed
    assert client.written == b""


@pytest.mark.parametrize("pieces", [(), (HALF,), (b"G", b"E", b"T")])
async def test_nobody_is_closed_before_the_time_is_over(pieces: tuple[bytes, ...]) -> None:
    clients = Clients()
    client = await clients.come(*pieces)
    await clients.pass_time(LIMIT - 1)
    assert not client.is_closed
    await send(client, REQUEST[sum(map(len, pieces)) :])
    assert client.written.endswith(b"served")


async def test_half_a_head_is_answered_in_the_error_model_and_closed() -> None:
    clients = Clients()
    client = await clients.come(HALF)
    await clients.pass_time(LIMIT)
    answer = _problem(client.written)
    assert client.is_closed
    assert answer["start"] == "HTTP/1.1 408 Request Timeout"
    assert answer["headers"]["x-rivet-error"] == "guard.request_timeout"
    assert answer["headers"]["connection"] == "close"
    assert answer["headers"]["content-type"].startswith("application/json")
    assert int(answer["headers"]["content-length"]) == len(client.written.partition(b"\r\n\r\n")[2])
    assert answer["body"].keys() == {"group", "code", "message"}
    assert (answer["body"]["group"], answer["body"]["code"]) == ("guard", "request_timeout")


async def test_half_a_head_that_comes_with_the_connection_is_answered_too() -> None:
    clients = Clients()
    client = Transport()
    connection = clients.server()
    assert isinstance(connection, TimedConnection)
    client.protocol = connection
    connection.connection_made(client)
    connection.data_received(HALF)  # uvloop does so before aiohttp's task has begun
    await settle()
    await clients.pass_time(LIMIT)
    assert client.written.startswith(b"HTTP/1.1 408 ")


async def test_a_byte_now_and_then_does_not_buy_time() -> None:
    clients = Clients()
    client = await clients.come()
    for seconds in range(0, int(LIMIT), 10):
        await send(client, HALF[seconds // 10 :][:1])
        await clients.pass_time(seconds)
    await clients.pass_time(LIMIT)
    assert client.written.startswith(b"HTTP/1.1 408 ")
    assert client.is_closed


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    clients = Clients()
    client = await clients.come(REQUEST, HALF)
    client.unread = 1
    await clients.pass_time(LIMIT)
    assert client.is_aborted
    assert b"408" not in client.written


async def test_a_request_that_takes_long_is_not_the_clients_fault() -> None:
    clients = Clients()
    clients.answer_is_due.clear()
    client = await clients.come(HALF, REQUEST[len(HALF) :])
    await clients.pass_time(100 * LIMIT)
    clients.answer_is_due.set()
    await settle()
    assert client.written.endswith(b"served")
    assert not client.is_closed


async def test_half_a_head_behind_a_request_waits_for_its_answer() -> None:
    clients = Clients()
    clients.answer_is_due.clear()
    client = await clients.come(REQUEST, HALF)
    await clients.pass_time(LIMIT)
    assert not client.is_closed
    clients.answer_is_due.set()
    await settle()
    await clients.pass_time(LIMIT)
    assert client.written.partition(b"served")[2].startswith(b"HTTP/1.1 408 ")
    assert client.is_closed


async def test_an_idle_connection_is_not_watched() -> None:
    clients = Clients()
    client = await clients.come(REQUEST)
    await clients.pass_time(LIMIT)
    assert not client.is_closed
    assert clients.watch.size == 0


async def test_the_next_head_counts_from_its_first_byte() -> None:
    clients = Clients()
    client = await clients.come(REQUEST)
    await clients.pass_time(LIMIT)
    await send(client, HALF)
    await clients.pass_time(LIMIT - 1)
    assert not client.is_closed
    await clients.pass_time(LIMIT)
    assert client.written.partition(b"served")[2].startswith(b"HTTP/1.1 408 ")
    assert client.is_closed


async def test_a_head_that_begins_behind_a_request_counts_from_its_next_byte() -> None:
    clients = Clients()
    client = await clients.come(REQUEST + HALF)
    await clients.pass_time(LIMIT)
    assert not client.is_closed
    await send(client, b":")
    await clients.pass_time(LIMIT)
    assert client.is_closed


async def test_a_next_head_that_comes_in_pieces_in_time_is_served() -> None:
    clients = Clients()
    client = await clients.come(REQUEST, HALF)
    await clients.pass_time(LIMIT - 1)
    await send(client, REQUEST[len(HALF) :])
    await clients.pass_time(LIMIT)
    assert client.written.count(b"served") == 2
    assert not client.is_closed


@pytest.mark.parametrize("body", [b"", b"body", b"a body that comes\r\n\r\nin pieces"])
async def test_a_body_is_no_head(body: bytes) -> None:
    clients = Clients()
    head = f"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    client = await clients.come(head, *(bytes([byte]) for byte in body))
    await clients.pass_time(LIMIT)
    assert client.written.endswith(b"served")
    assert not client.is_closed


async def test_what_is_no_http_is_answered_at_once_and_not_watched() -> None:
    clients = Clients()
    client = await clients.come(b"nonsense\r\n\r\n")
    await clients.pass_time(LIMIT)
    assert client.written.split()[1] == b"400"
    assert client.written.count(b"HTTP/1.") == 1
    assert clients.watch.size == 0


async def test_clients_that_leave_are_forgotten_at_once() -> None:
    clients = Clients()
    came = [await clients.come(HALF) for _ in range(20)]
    for client in came:
        client.close()
    await settle()
    assert clients.watch.size == 0


async def test_one_slow_client_is_closed_and_the_others_notice_nothing() -> None:
    clients = Clients()
    slow = await clients.come(HALF)
    others = [await clients.come(REQUEST) for _ in range(3)]
    await clients.pass_time(LIMIT)
    for client in others:
        await send(client, REQUEST)
        assert client.written.count(b"served") == 2
    assert slow.is_closed
    assert not any(client.is_closed for client in others)


class Impatient(TimedConnection):
    """A connection whose keep-alive time can be ended."""

    def end_keep_alive(self) -> None:
        """Call what aiohttp's timer calls once an idle connection is to go."""
        self._next_keepalive_close_time = 0.0
        self._process_keepalive()


@pytest.mark.parametrize(("pieces", "is_closed"), [((REQUEST,), True), ((REQUEST, HALF), False)])
async def test_keep_alive_ends_who_is_idle_and_nobody_who_sends(
    monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...], is_closed: bool
) -> None:
    monkeypatch.setattr("stator.http.server._Connection", Impatient)
    clients = Clients()
    client = await clients.come(*pieces)
    assert isinstance(client.protocol, Impatient)
    client.protocol.end_keep_alive()
    assert client.is_closed is is_closed


async def test_the_watch_looks_by_itself_as_long_as_somebody_is_slow() -> None:
    clients = Clients(limit=0.01)
    first = await clients.come(HALF)
    await first.closed.wait()
    second = await clients.come()
    await second.closed.wait()
    assert clients.watch.size == 0
