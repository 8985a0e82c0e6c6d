"""Calls over a connection whose other end is played by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from stator import ActorError
from stator.runtime.error_views import ErrorView
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    ErrorMessage,
    SubscriptionRequest,
)
from stator.runtime.protocol.encoding import Encoding
from tests.fakes.stub_connections import StubConnections
from tests.unit.client.conftest import TimelessClient

Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]
EACH_ENCODING = pytest.mark.parametrize(
    "encoding", [Encoding.JSON, Encoding.CBOR, Encoding.BARE], ids=lambda e: e.name
)


def identity_of(error: BaseException | None) -> str:
    assert isinstance(error, ActorError), error
    return f"{error.group}.{error.code}"


def failed(identity: str, action_id: int | None, metadata: Any = None) -> ErrorMessage:
    group, _, code = identity.partition(".")
    return ErrorMessage(ErrorView(group, code, "no", metadata, 500), action_id)


@EACH_ENCODING
async def test_a_connection_carries_calls(connect: Connect, encoding: Encoding) -> None:
    async with StubConnections() as stub, connect(stub, encoding) as client:
        conn = client.get_or_create("room", ["a", "b"]).connect()
        peer = await stub.accept()
        call = asyncio.create_task(conn.admin.send("x", b"\x01"))
        await peer.init("c7", "a7")
        assert await peer.hear() == ActionRequest(0, "admin.send", ["x", b"\x01"])
        await peer.say(ActionResponse(0, {"n": 2**60}))
        assert await call == {"n": 2**60}
        assert (conn.status, conn.id, conn.actor_id) == ("connected", "c7", "a7")
        assert peer.target.startswith("/gateway/room/connect?rvt-namespace=default&rvt-method=getO")
        assert peer.protocols == ["rivet", f"rivet_encoding.{encoding.name.lower()}"]


async def test_calls_that_wait_are_sent_in_order_after_the_subscriptions(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        calls = [asyncio.create_task(conn.act(number)) for number in range(3)]
        peer = await stub.accept()
        conn.on("e", print)
        conn.on("f", print)
        conn.on("e", print)
        await peer.init()
        heard = [await peer.hear() for _ in range(5)]
        assert heard == [
            SubscriptionRequest("e", True),
            SubscriptionRequest("f", True),
            *(ActionRequest(number, "act", [number]) for number in range(3)),
        ]
        await peer.say(*(ActionResponse(number, number * 10) for number in (2, 0, 1)))
        assert await asyncio.gather(*calls) == [0, 10, 20]


@pytest.mark.parametrize(
    ("reason", "identity"),
    [("actor.restarting", "actor.restarting"), (None, "client.connection_lost")],
)
async def test_a_loss_fails_what_was_sent(
    connect: Connect, reason: str | None, identity: str
) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await peer.init()
        sent = asyncio.create_task(conn.act("sent"))
        await peer.hear()
        if reason is None:
            peer.drop()
        else:
            await peer.close(reason)
        with pytest.raises(ActorError) as caught:
            await sent
        assert identity_of(caught.value) == identity


async def test_what_was_not_sent_survives_a_loss_and_ids_go_on(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await peer.init()
        conn.on("e", print)
        sent = asyncio.create_task(conn.act("sent"))
        assert await peer.hear() == SubscriptionRequest("e", True)
        await peer.hear()
        peer.drop()
        await asyncio.wait([sent])
        unsent = asyncio.create_task(conn.act("unsent"))
        peer = await stub.accept()
        await peer.init()
        assert await peer.hear() == SubscriptionRequest("e", True)
        assert await peer.hear() == ActionRequest(1, "act", ["unsent"])
        await peer.say(ActionResponse(1, "done"))
        assert await unsent == "done"
        assert identity_of(sent.exception()) == "client.connection_lost"


async def test_a_cancelled_call_that_was_not_sent_never_is(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        cancelled = asyncio.create_task(conn.act("cancelled"))
        kept = asyncio.create_task(conn.act("kept"))
        peer = await stub.accept()
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await peer.init()
        assert await peer.hear() == ActionRequest(1, "act", ["kept"])
        await peer.say(ActionResponse(0, "too late"), ActionResponse(1, "done"))
        assert await kept == "done"


@EACH_ENCODING
async def test_an_error_of_a_call_fails_it_alone(connect: Connect, encoding: Encoding) -> None:
    async with StubConnections() as stub, connect(stub, encoding) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await peer.init()
        one, other = (asyncio.create_task(conn.act(number)) for number in (1, 2))
        await peer.hear()
        await peer.say(failed("user.full", 0, {"seats": 3}), ActionResponse(1, "ok"))
        with pytest.raises(ActorError) as caught:
            await one
        assert (identity_of(caught.value), caught.value.metadata) == ("user.full", {"seats": 3})
        assert await other == "ok"


async def test_an_error_of_the_connection_fails_all_calls_and_leaves_it_open(
    connect: Connect,
) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        told: list[str] = []
        conn.on_error(lambda error: told.append(identity_of(error)))
        peer = await stub.accept()
        await peer.init()
        calls = [asyncio.create_task(conn.act(number)) for number in (1, 2)]
        await peer.hear()
        await peer.hear()
        await peer.say(failed("message.odd", None))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [identity_of(error) for error in outcomes if not isinstance(error, int)] == [
            "message.odd",
            "message.odd",
        ]
        assert (told, conn.status) == (["message.odd"], "connected")


async def test_a_second_init_only_renames_the_connection(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await peer.init("c1")
        await peer.init("c2")
        call = asyncio.create_task(conn.act())
        await peer.hear()
        await peer.say(ActionResponse(0, None))
        await call
        assert conn.id == "c2"


async def test_what_cannot_be_sent_fails_its_call_alone(connect: Connect) -> None:
    async with StubConnections() as stub, connect(stub) as client:
        conn = client.get("room").connect()
        with pytest.raises(ActorError, match=r"args\[0\]"):
            await conn.act(object())
        call = asyncio.create_task(conn.act("fine"))
        peer = await stub.accept()
        await peer.init()
        assert await peer.hear() == ActionRequest(0, "act", ["fine"])
        call.cancel()


async def test_a_message_that_cannot_be_read_is_reported_and_dropped(connect: Connect) -> None:
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reports.append(context["message"])
    )
    async with StubConnections() as stub, connect(stub, Encoding.CBOR) as client:
        conn = client.get("room").connect()
        peer = await stub.accept()
        await peer.init()
        call = asyncio.create_task(conn.act())
        await peer.hear()
        await peer.send(b"\xff\xff")
        await peer.socket.send_str("text is dropped without a word")
        await peer.say(ActionResponse(99, "unknown"), ActionResponse(0, "ok"))
        assert await call == "ok"
        assert reports == ["a connection received what it cannot read"]
