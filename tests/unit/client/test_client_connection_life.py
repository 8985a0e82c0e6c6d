"""The life of a connection whose other end is played by hand: opening, losses, the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import unquote

import pytest

from stator import ActorError
from stator.client.connection import Connection
from stator.runtime.error_views import ErrorView
from stator.runtime.protocol.connection import (
    ErrorMessage,
)
from tests.fakes.stub_connections import HANG_UP, StubConnections
from tests.unit.client.conftest import TimelessClient

Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]
HANG_UP_TWICE = (HANG_UP, HANG_UP)
"""aiohttp repeats a GET once by itself."""


def identity_of(error: BaseException | None) -> str:
    assert isinstance(error, ActorError), error
    return f"{error.group}.{error.code}"


def failed(identity: str, action_id: int | None, metadata: Any = None) -> ErrorMessage:
    group, _, code = identity.partition(".")
    return ErrorMessage(ErrorView(group, code, "no", metadata, 500), action_id)


async def reached(conn: Connection, status: str) -> None:
    """Return once the connection has this status."""
    news = asyncio.Event()
    remove = conn.on_status(lambda _: news.set())
    while conn.status != status:
        news.clear()
        await news.wait()
    remove()


async def test_the_token_and_the_params_are_subprotocols(connect: Connect) -> None:
    async with (
        StubConnections() as stub,
        connect(stub, token="s/cr@t:1", headers={"X-Mine": "1"}) as client,
    ):
        client.get_for_id("room", "i/1", params={"name": "Ádá, (x)"}).connect()
        peer = await stub.accept()
        assert peer.target == "/gateway/i%2F1/connect"
        assert peer.protocols[2] == "rivet_token.s/cr@t:1"
        assert json.loads(unquote(peer.protocols[3].removeprefix("rivet_conn_params."))) == {
            "name": "Ádá, (x)"
        }
        assert peer.headers["x-mine"] == "1"


async def test_a_token_that_no_header_can_carry_is_refused(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub, token="a,b") as client:
        with pytest.raises(ActorError, match="cannot carry this token"):
            await client.get("room").connect().ready()


async def test_params_of_connect_win_over_those_of_the_handle(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        client.get("room", params="handle").connect(params=0)
        peer = await stub.accept()
        assert peer.protocols[-1] == "rivet_conn_params.0"


async def test_params_are_asked_for_at_each_attempt(connect: Connect) -> None:
    given = iter(["first", "second"])

    async def params() -> str:
        return next(given)

    async with StubConnections() as stub, connect(stub) as client:
        client.get("room").connect(params)
        first = await stub.accept()
        await first.close("actor.restarting")
        second = await stub.accept()
        assert [p.protocols[-1] for p in (first, second)] == [
            "rivet_conn_params.%22first%22",
            "rivet_conn_params.%22second%22",
        ]


async def test_params_that_cannot_be_had_are_asked_for_again(connect: Connect) -> None:
    errors: list[ActorError] = []
    outcomes: Iterator[ValueError | None] = iter(
        [ValueError("no session"), ValueError("no session"), None]
    )

    def params() -> None:
        if outcome := next(outcomes):
            raise outcome

    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect(params)
        conn.on_error(errors.append)
        await stub.accept()
        assert [identity_of(error) for error in errors] == ["client.get_params_failed"] * 2
        assert "no session" in errors[0].message
        assert isinstance(errors[0].__cause__, ValueError)
        assert client.pauses == [0.25, 0.5]


async def test_the_status_says_each_change_once(connect: Connect) -> None:
    seen: list[str] = []
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        conn.on_open(lambda: seen.append("open!"))
        conn.on_close(lambda: seen.append("close!"))
        seen.append(conn.status)
        conn.on_status(seen.append)
        peer = await stub.accept()
        await peer.init()
        await conn.ready()
        peer.drop()
        peer = await stub.accept()
        await peer.init()
        await conn.ready()
        await conn.close()
        assert seen == [
            "idle",
            *("connecting", "connected", "open!"),
            *("disconnected", "close!"),
            *("connecting", "connected", "open!"),
            *("disconnected", "close!", "idle"),
        ]


async def test_on_open_tells_of_a_connection_that_is_open_already(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        await (await stub.accept()).init()
        await conn.ready()
        told = asyncio.Event()
        conn.on_open(told.set)
        await told.wait()


@pytest.mark.parametrize("reason", ["", "bye", "user.kicked", None], ids=repr)
async def test_a_lost_connection_is_opened_again_at_once(
    connect: Connect, reason: str | None
) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await peer.init("c1")
        await conn.ready()
        if reason is None:
            peer.drop()
        else:
            await peer.close(reason, 1000)
        await (await stub.accept()).init("c2")
        await reached(conn, "connected")
        assert (conn.id, client.pauses) == ("c2", [])


async def test_a_connection_that_never_lasts_is_opened_after_growing_pauses(
    connect: Connect,
) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        client.get("room").connect()
        for _ in range(4):
            peer = await stub.accept()
            await peer.init()
            await peer.close("auth.forbidden")
        await stub.accept()
        assert client.pauses == [0.25, 0.5, 1.0]


async def test_after_a_loss_a_service_that_does_not_answer_is_asked_until_it_does(
    connect: Connect,
) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get_for_id("room", "i1").connect()
        errors: list[str] = []
        conn.on_error(lambda error: errors.append(identity_of(error)))
        peer = await stub.accept()
        await peer.init()
        await conn.ready()
        stub.will_refuse(*HANG_UP_TWICE, 503, *HANG_UP_TWICE)
        client.now += 60
        peer.drop()
        await (await stub.accept()).init("c2")
        await reached(conn, "connected")
        assert client.pauses == [0.25, 0.5, 1.0]
        assert errors == ["client.connection_open_failed"] * 3


@pytest.mark.parametrize("refusal", [HANG_UP_TWICE, (503,), (404,)])
async def test_a_service_that_never_answered_is_given_up(
    connect: Connect, refusal: tuple[int, ...]
) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        stub.will_refuse(*refusal)
        conn = client.get("room").connect()
        with pytest.raises(ActorError) as caught:
            await conn.ready()
        assert identity_of(caught.value) == "client.connection_open_failed"
        assert (conn.status, client.pauses) == ("idle", [])


async def test_after_a_loss_an_answer_that_is_no_websocket_is_final(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await peer.init()
        await conn.ready()
        stub.will_refuse(403)
        peer.drop()
        await reached(conn, "idle")
        with pytest.raises(ActorError, match="status 403"):
            await conn.ready()


@pytest.mark.parametrize("silent", [True, False])
async def test_a_retryable_refusal_is_retried_with_or_without_a_word(
    connect: Connect, silent: bool
) -> None:
    reason = "actor.starting" if silent else "actor.restarting#ray"
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        errors: list[str] = []
        conn.on_error(lambda error: errors.append(identity_of(error)))
        for _ in range(3):
            await (await stub.accept()).close(reason)
        await (await stub.accept()).init()
        await conn.ready()
        assert client.pauses == [0.25, 0.5, 1.0]
        assert errors == ([] if silent else ["actor.restarting"] * 3)


async def test_a_socket_lost_before_it_was_open_is_final_at_first(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        (await stub.accept()).drop()
        with pytest.raises(ActorError) as caught:
            await conn.ready()
        assert identity_of(caught.value) == "client.connection_open_failed"


@pytest.mark.parametrize(
    ("reason", "identity"),
    [("user.denied", "user.denied"), ("go away", "client.connection_open_failed")],
)
async def test_a_final_refusal_fails_what_waits_and_what_comes(
    connect: Connect, reason: str, identity: str
) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        told: list[ActorError] = []
        conn.on_error(told.append)
        waiting = asyncio.create_task(conn.send("x"))
        stream = conn.events("e")
        await (await stub.accept()).close(reason)
        await asyncio.wait([waiting])
        errors = [waiting.exception()]
        for later in (conn.send("x"), conn.ready(), anext(stream), anext(conn.events("e"))):
            with pytest.raises(ActorError) as caught:
                await later
            errors.append(caught.value)
        assert [identity_of(error) for error in errors] == [identity] * 5
        assert len({id(error) for error in errors}) == 5
        assert [identity_of(error) for error in told] == [identity]
        assert conn.status == "idle"


async def test_an_error_frame_says_more_than_the_reason_after_it(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await peer.say(failed("user.denied", None, {"why": 1}))
        await peer.close("user.denied")
        with pytest.raises(ActorError) as caught:
            await conn.ready()
        assert (caught.value.message, caught.value.metadata) == ("no", {"why": 1})


async def test_a_missing_actor_of_a_stator_service_is_final(connect: Connect) -> None:
    async with StubConnections({"server": "stator"}) as stub, connect(stub) as client:
        conn = client.get("room").connect()
        await (await stub.accept()).close("actor.not_found#ray")
        with pytest.raises(ActorError) as caught:
            await conn.ready()
        assert identity_of(caught.value) == "actor.not_found"
        assert caught.value.code == "not_found"


async def test_closing_says_goodbye_and_ends_everything(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await peer.init()
        stream = conn.events("e")
        sent = asyncio.create_task(conn.act())
        await peer.hear()
        await peer.hear()
        farewell = asyncio.create_task(peer.hear_close())
        await asyncio.gather(conn.close(), conn.close())
        assert await farewell == (1000, "Disposed")
        for call in (sent, conn.act(), conn.ready()):
            with pytest.raises(ActorError) as caught:
                await call
            assert identity_of(caught.value) == "client.connection_closed"
        assert [payload async for payload in stream] == []
        assert (conn.status, conn.id) == ("idle", None)


async def test_closing_ends_an_attempt(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await conn.close()
        await peer.hear_end()
        assert conn.status == "idle"


async def test_closing_before_anything_happened_connects_to_nothing(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        await conn.close()
        assert conn.status == "idle"
        with pytest.raises(ActorError, match="the connection is closed"):
            await conn.ready()


async def test_a_context_is_open_inside_and_closed_after_it(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:

        async def play() -> tuple[int, str]:
            peer = await stub.accept()
            await peer.init()
            return await peer.hear_close()

        playing = asyncio.create_task(play())
        async with client.get("room").connect() as conn:
            statuses = [conn.status]
        assert [*statuses, conn.status] == ["connected", "idle"]
        assert await playing == (1000, "Disposed")


async def test_a_context_that_cannot_open_is_not_entered(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        stub.will_refuse(404)
        with pytest.raises(ActorError, match="status 404"):
            async with client.get("room").connect():
                pytest.fail("entered")


async def test_closing_the_client_closes_its_connections(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conns = [client.get("room").connect() for _ in range(2)]
        farewells: list[asyncio.Task[tuple[int, str]]] = []
        for conn in conns:
            peer = await stub.accept()
            await peer.init()
            farewells.append(asyncio.create_task(peer.hear_close()))
            await reached(conn, "connected")
        await client.http.close()
        assert await asyncio.gather(*farewells) == [(1000, "Disposed")] * 2
        assert [conn.status for conn in conns] == ["idle", "idle"]


async def test_a_connection_looks_like_what_it_is(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room", ["a"]).connect()
        assert repr(conn) == "<idle connection to actor room ['a']>"
        assert conn.gateway_url() == client.get("room", ["a"]).gateway_url()
        with pytest.raises(AttributeError):
            conn._private  # noqa: B018
