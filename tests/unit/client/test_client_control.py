"""Creating and resolving actors through the control API (client-protocol, section 2)."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from stator.runtime.errors import ActorError
from stator.runtime.protocol.actions import decode_input
from tests.fakes.stub_service import Reply, StubService, error
from tests.unit.client.conftest import TimelessClient

Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]

MADE = Reply(body=b'{"actor":{"actor_id":"i1","name":"chat","key":"a"},"created":true}')


async def test_create_posts_the_actor_and_pins_the_handle(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(MADE, Reply())
        handle = await client.create("chat", ["a/b", "c"], input={"x": b"\x01"})
        await handle.act()
        created, called = stub.received
        assert (created.method, created.target) == ("POST", "/actors?namespace=default")
        assert created.headers["content-type"] == "application/json"
        body = json.loads(created.body)
        assert decode_input(b64decode(body.pop("input"), validate=True)) == {"x": b"\x01"}
        assert body == {
            "name": "chat",
            "key": "a\\/b/c",
            "runner_name_selector": "default",
            "crash_policy": "sleep",
        }
        assert called.target == "/gateway/i1/action/act"
        assert await handle.resolve() == "i1"
        assert len(stub.received) == 2


@pytest.mark.parametrize("value", [0, "", False])
async def test_a_falsy_input_is_sent_and_an_absent_one_is_not(connect: Connect, value: Any) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(MADE)
        await client.create("chat", input=value)
        await client.create("chat")
        given, absent = (json.loads(request.body) for request in stub.received)
        assert decode_input(b64decode(given["input"])) == value
        assert "input" not in absent
        assert absent["key"] == "/"


async def test_a_key_in_use_is_an_error_with_its_metadata(connect: Connect) -> None:
    body = {
        "group": "actor",
        "code": "duplicate_key",
        "message": "taken",
        "metadata": {"existing_actor_id": "i0"},
    }
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(Reply(400, json.dumps(body).encode()))
        with pytest.raises(ActorError) as caught:
            await client.create("chat", "a")
        assert caught.value.code == "duplicate_key"
        assert caught.value.metadata == {"existing_actor_id": "i0"}


async def test_resolving_creates_only_when_the_handle_does(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(MADE, Reply(body=b'{"actors":[{"actor_id":"i2"},{"actor_id":"i3"}]}'))
        assert await client.get_or_create("chat", "a", input=1).resolve() == "i1"
        assert await client.get("chat", ["a", "b"]).resolve() == "i2"
        put, get = stub.received
        assert (put.method, put.target) == ("PUT", "/actors?namespace=default")
        assert json.loads(put.body)["input"] == "AQ=="
        assert (get.method, get.target) == ("GET", "/actors?name=chat&key=a%2Fb&namespace=default")


async def test_resolving_a_missing_actor_is_not_found(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(Reply(body=b'{"actors":[]}'))
        with pytest.raises(ActorError, match="does not exist"):
            await client.get("chat").resolve()


async def test_the_id_of_a_pinned_handle_is_known(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        assert await client.get_for_id("chat", "i9").resolve() == "i9"
        assert stub.lookups == []


async def test_a_key_held_by_another_datacenter_is_looked_up(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(
            error("actor.key_reserved_in_different_datacenter", status=400),
            Reply(body=b'{"actors":[{"actor_id":"far"}]}'),
        )
        assert await client.get_or_create("chat", "a").resolve() == "far"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"actors":[{}]}', b'{"actors":null}', b"\xff"])
async def test_an_answer_without_an_actor_is_an_internal_error(
    connect: Connect, body: bytes
) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(Reply(body=body))
        with pytest.raises(ActorError, match="Failed to parse response") as caught:
            await client.get("chat").resolve()
        assert (caught.value.group, caught.value.code) == ("rivetkit", "internal_error")


async def test_the_gateway_url_is_where_raw_requests_go(connect: Connect) -> None:
    async with StubService() as stub, connect(stub, token="t") as client:
        assert client.get("chat", ["a", "b"]).gateway_url() == (
            f"{stub.endpoint}/gateway/chat?rvt-namespace=default&rvt-method=get&rvt-key=a%2Cb"
        )
        assert client.get_for_id("chat", "i1").gateway_url() == f"{stub.endpoint}/gateway/i1"
        with pytest.raises(ValueError, match="get_for_id"):
            client.get("chat", "x,y").gateway_url()
