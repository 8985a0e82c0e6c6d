"""Connections taken away from aiohttp, for real: over TCP, Unix sockets and TLS, on both loops."""

from __future__ import annotations

import asyncio
import gc
import ssl
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from stator.http.detaching import DetachableConnection
from stator.http.web_socket import WebSocket
from tests.fakes.echo_server import LOOPS, EchoServer, Loop, echo, echo_server, run_on
from tests.fakes.wire_frames import (
    BINARY,
    CLOSE,
    TEXT,
    ServerFrame,
    chopped,
    client_close,
    client_frame,
    close_code,
    read_head,
    split_frames,
    upgrade_request,
)

HELLO = client_frame(TEXT, b"hello")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
each_loop = pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)


@asynccontextmanager
async def client(server: EchoServer, **how: Any) -> AsyncGenerator[Streams, None]:
    """Connect; leave nothing open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, **how)
    try:
        yield reader, writer
    finally:
        writer.close()


async def opened(streams: Streams, *lines: str) -> list[str]:
    """Open a WebSocket; return the answer's head."""
    streams[1].write(upgrade_request(*lines))
    return await read_head(streams[0])


async def rest(streams: Streams, data: bytes) -> list[ServerFrame]:
    """Send ``data``; return every frame until the server closes."""
    streams[1].write(data)
    return split_frames(await streams[0].read())


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so; the test's deadline is the limit."""
    while not is_so():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate for it."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
    done = subprocess.run(
        [*command.split(), "-subj", "/CN=localhost", "-keyout", "-"],
        check=True,
        capture_output=True,
    )
    path.write_bytes(done.stdout)
    return path


async def _talk(streams: Streams) -> None:
    head = await opened(streams, "sec-websocket-protocol: rivet, rivet_encoding.json")
    assert head[0] == "HTTP/1.1 101 Switching Protocols"
    assert "sec-websocket-protocol: rivet" in head
    big = bytes(300_000)
    frames = await rest(streams, HELLO + client_frame(BINARY, big) + client_close(1000, "bye"))
    assert frames == [(TEXT, b"hello"), (BINARY, big), (CLOSE, b"\x03\xe8bye")]


@each_loop
def test_a_socket_works_over_tcp(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server() as server, client(server) as streams:
            await _talk(streams)

    run_on(loop, test)


@each_loop
def test_a_socket_works_over_a_unix_socket(loop: Loop, short_tmp: Path) -> None:
    async def test() -> None:
        async with echo_server(path=short_tmp / "s"):
            streams = await asyncio.open_unix_connection(str(short_tmp / "s"))
            await _talk(streams)
            streams[1].close()

    run_on(loop, test)


@each_loop
@pytest.mark.parametrize("end", [client_close(1000), b"\xff\xff" + HELLO], ids=["close", "refused"])
def test_a_socket_works_over_tls(loop: Loop, certificate: Path, end: bytes) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=certificate)

    async def test() -> None:
        async with echo_server(tls=context) as server:
            async with client(server, ssl=trusting, server_hostname="localhost") as streams:
                await opened(streams)
                frames = await rest(streams, HELLO + end)
                assert frames[0] == (TEXT, b"hello")
                assert close_code(frames[1]) in (1000, 1002)
            await server.owners[0].closed.wait()

    run_on(loop, test)


@each_loop
@pytest.mark.parametrize("size", [2**20, 100, 1])
def test_bytes_that_come_with_the_request_are_the_first_messages(loop: Loop, size: int) -> None:
    async def test() -> None:
        async with echo_server() as server, client(server) as (reader, writer):
            for part in chopped(upgrade_request() + HELLO * 3 + client_close(), size):
                writer.write(part)
                await writer.drain()
            await read_head(reader)
            assert len(split_frames(await reader.read())) == 4

    run_on(loop, test)


@each_loop
def test_more_early_bytes_than_aiohttp_keeps_are_all_read(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server(read_bufsize=1024) as server, client(server) as (reader, writer):
            server.may_answer.clear()
            writer.write(upgrade_request())
            await server.asked.wait()
            (connection,) = server.http.connections
            writer.write(client_frame(BINARY, bytes(2**20)) + client_close())
            await until(lambda: connection._buffer_paused)  # pyright: ignore[reportPrivateUsage]
            server.may_answer.set()
            await read_head(reader)
            frames = split_frames(await reader.read())
            assert [len(frame.payload) for frame in frames] == [2**20, 2]

    run_on(loop, test)


@each_loop
def test_aiohttp_forgets_the_connection_at_once(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server() as server:
            before = asyncio.all_tasks()
            async with client(server) as streams:
                await opened(streams)
                assert (server.http.connections, len(server.sockets)) == ([], 1)
                streams[1].write(HELLO)
                await streams[0].readexactly(7)
                assert asyncio.all_tasks() == before

    run_on(loop, test)


@each_loop
def test_nothing_is_left_of_aiohttps_objects(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server() as server, client(server) as streams:
            await opened(streams)
            streams[1].write(HELLO)
            await streams[0].readexactly(7)
            objects = [each for each in gc.get_objects() if id(each) not in others]
            living = [kind for kind in map(type, objects)]
            assert not any(issubclass(kind, DetachableConnection) for kind in living)
            assert living.count(WebSocket) == 1

    gc.collect()
    kinds = (DetachableConnection, WebSocket)
    others = {id(each) for each in gc.get_objects() if isinstance(each, kinds)}
    gc.disable()
    try:
        run_on(loop, test)
    finally:
        gc.enable()


@pytest.mark.parametrize("end", [client_close(), client_frame(TEXT, b"\xff"), b"\xff\xff"])
def test_the_end_of_a_socket_leaves_no_cycle(end: bytes) -> None:
    async def test() -> None:
        async with echo_server() as server, client(server) as streams:
            await opened(streams)
            await rest(streams, end)
            streams[1].close()
            await server.sockets.wait_empty()
            server.owners.clear()
            await asyncio.sleep(0)
            assert not any(type(found) is WebSocket for found in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        run_on(uvloop.new_event_loop, test)
    finally:
        gc.enable()


@each_loop
def test_no_timer_of_aiohttp_closes_the_socket(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server(keepalive_timeout=0.001) as server, client(server) as streams:
            await opened(streams)
            streams[1].write(HELLO)
            await streams[0].readexactly(7)
            server.http.pre_shutdown()
            await server.http.shutdown(0)
            assert (await rest(streams, HELLO + client_close()))[0] == (TEXT, b"hello")

    run_on(loop, test)


@each_loop
def test_a_server_that_cancels_handlers_does_not_cancel_this_one(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server(handler_cancellation=True) as server, client(server) as streams:
            await opened(streams)
            assert (await rest(streams, HELLO + client_close()))[0] == (TEXT, b"hello")

    run_on(loop, test)


@each_loop
def test_an_upgrade_may_follow_other_requests(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server() as server, client(server) as streams:
            streams[1].write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 2 + upgrade_request())
            for _ in range(2):
                await read_head(streams[0])
                assert await streams[0].readexactly(5) == b"hello"
            assert (await read_head(streams[0]))[0].split()[1] == "101"
            assert (await rest(streams, HELLO + client_close()))[0] == (TEXT, b"hello")

    run_on(loop, test)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (upgrade_request(method="POST"), 405),
        (upgrade_request(version="HTTP/1.0"), 400),
        (upgrade_request().replace(b"-version: 13", b"-version: 7"), 426),
        (upgrade_request().replace(b"-key: ", b"-key: A"), 400),
    ],
)
def test_a_refused_upgrade_is_answered_over_http(request_bytes: bytes, status: int) -> None:
    async def test() -> None:
        async with echo_server() as server, client(server) as streams:
            streams[1].write(request_bytes)
            head = await read_head(streams[0])
            assert int(head[0].split()[1]) == status
            assert len(server.sockets) == 0

    run_on(uvloop.new_event_loop, test)


def test_an_upgrade_whose_body_is_still_to_come_is_refused() -> None:
    async def test() -> None:
        async with echo_server(lingering_time=0) as server, client(server) as streams:
            head = await opened(streams, "content-length: 10")
            assert head[0].split()[1] == "400"

    run_on(uvloop.new_event_loop, test)


@each_loop
def test_a_client_that_disappears_is_told_as_1006(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server() as server, client(server) as streams:
            await opened(streams)
            streams[1].write(HELLO[:4])
            streams[1].transport.abort()
            await server.owners[0].closed.wait()
            assert server.owners[0].endings == [(1006, "")]
            await server.sockets.wait_empty()

    run_on(loop, test)


@each_loop
def test_closing_all_sockets_ends_in_order(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server() as server, client(server) as one, client(server) as other:
            for streams in (one, other):
                await opened(streams)
            server.sockets.close_all(1012, "service.restart")
            for streams in (one, other):
                await streams[0].readexactly(2 + 2 + len("service.restart"))
                assert await rest(streams, client_close(1012)) == []
            await server.sockets.wait_empty()
            assert [owner.endings for owner in server.owners] == [[(1012, "")]] * 2

    run_on(loop, test)


@each_loop
def test_a_client_that_does_not_read_makes_a_backlog_and_then_drains(loop: Loop) -> None:
    async def test() -> None:
        async with echo_server() as server, client(server) as streams:
            await opened(streams)
            (owner,) = server.owners
            sent = 0
            while not owner.socket.is_behind:
                echo(owner.socket, bytes(100_000), False)
                sent += 100_010
            assert owner.socket.backlog > 0
            await streams[0].readexactly(sent)
            await until(lambda: owner.drained == 1)
            assert (owner.socket.backlog, owner.socket.is_behind) == (0, False)

    run_on(loop, test)


@each_loop
def test_a_paused_socket_leaves_its_messages_in_the_kernel(loop: Loop) -> None:
    def pause(socket: WebSocket, data: bytes, is_text: bool) -> None:
        socket.pause_reading()
        echo(socket, data, is_text)

    async def test() -> None:
        async with echo_server(script=pause) as server, client(server) as streams:
            await opened(streams)
            (owner,) = server.owners
            for expected in (1, 2, 3):
                streams[1].write(HELLO)
                if expected > 1:
                    assert len(owner.messages) == expected - 1
                    owner.socket.resume_reading()
                await streams[0].readexactly(7)
                assert len(owner.messages) == expected

    run_on(loop, test)
