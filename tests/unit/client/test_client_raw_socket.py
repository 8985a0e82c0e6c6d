"""Raw WebSockets (client-protocol, 8.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest

from stator import ActorError
from tests.fakes.stub_connections import StubConnections
from tests.unit.client.conftest import TimelessClient

Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]


async def test_a_raw_socket_passes_text_and_bytes(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub, token="t") as client:
        ws = await client.get_for_id("room", "i1").websocket("/a/../b?x=1", params=[1])
        peer = await stub.accept()
        assert peer.target == "/gateway/i1/websocket/b?x=1"
        assert peer.protocols == [
            *("rivet", "rivet_encoding.bare", "rivet_token.t"),
            "rivet_conn_params.%5B1%5D",
        ]
        await ws.send("é")
        await ws.send(b"\x00")
        frames = [await peer.socket.receive() for _ in range(2)]
        assert [frame.data for frame in frames] == ["é", b"\x00"]
        await peer.socket.send_str("text")
        await peer.socket.send_bytes(b"")
        assert [await anext(ws), await anext(ws)] == ["text", b""]
        assert (ws.close_code, ws.close_reason) == (None, "")


async def test_the_iteration_ends_with_the_socket_and_says_how(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        ws = await client.get("room").websocket()
        peer = await stub.accept()
        await peer.socket.send_str("last")
        closing = asyncio.create_task(peer.close("bye.now", 4321))
        assert [message async for message in ws] == ["last"]
        await closing
        assert (ws.close_code, ws.close_reason) == (4321, "bye.now")
        assert [message async for message in ws] == []
        with pytest.raises(ActorError, match="the connection is closed"):
            await ws.send("x")


async def test_a_lost_socket_ends_the_iteration_too(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        ws = await client.get("room").websocket()
        (await stub.accept()).drop()
        assert [message async for message in ws] == []
        assert (ws.close_code, ws.close_reason) == (1006, "")


async def test_closing_says_why(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        ws = await client.get("room").websocket()
        peer = await stub.accept()
        hearing = asyncio.create_task(peer.hear_close())
        await ws.close(4000, "done")
        assert await hearing == (4000, "done")
        assert (ws.close_code, ws.close_reason) == (4000, "done")
        await ws.close()
        assert ws.close_code == 4000


async def test_a_context_closes_the_socket(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        async with await client.get("room").websocket():
            peer = await stub.accept()
            hearing = asyncio.create_task(peer.hear_close())
        assert await hearing == (1000, "")


@pytest.mark.parametrize(("code", "reason"), [(1001, ""), (5000, ""), (1000, "é" * 62)])
async def test_a_close_that_no_client_may_send_is_refused(
    connect: Connect, code: int, reason: str
) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        ws = await client.get("room").websocket()
        with pytest.raises(ValueError, match=r"closes with|at most"):
            await ws.close(code, reason)
        assert ws.close_code is None


async def test_a_socket_that_cannot_be_opened_is_an_error(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        stub.will_refuse(404)
        with pytest.raises(ActorError, match="status 404") as caught:
            await client.get("room").websocket("/")
        assert (caught.value.group, caught.value.code) == ("client", "connection_open_failed")
        assert isinstance(caught.value.__cause__, aiohttp.WSServerHandshakeError)
