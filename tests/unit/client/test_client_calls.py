"""Action calls over HTTP: what is sent, what comes of the answers (client-protocol, 5, 9)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest

from stator.runtime.errors import ActorError
from stator.runtime.protocol.actions import decode_action_request, encode_action_response
from stator.runtime.protocol.encoding import Encoding
from tests.fakes.stub_service import HANG_UP, Reply, StubService, error, output
from tests.unit.client.conftest import TimelessClient

STATOR = {"server": "stator"}
Connect = Callable[..., AbstractAsyncContextManager[TimelessClient]]


def answer(encoding: Encoding, value: object) -> Reply:
    return Reply(body=encode_action_response(encoding, 4, value))


@pytest.mark.parametrize(
    ("encoding", "content_type", "body"),
    [
        (Encoding.JSON, "application/json", b'{"args":[5]}'),
        (Encoding.CBOR, "application/octet-stream", bytes.fromhex("a164617267738105")),
        (Encoding.BARE, "application/octet-stream", bytes.fromhex("0400028105")),
    ],
)
async def test_a_call_is_sent_and_its_output_returned(
    connect: Connect, encoding: Encoding, content_type: str, body: bytes
) -> None:
    async with StubService() as stub, connect(stub, encoding) as client:
        stub.will_answer(answer(encoding, 6))
        assert await client.get("counter", "k").increment(5) == 6
        (request,) = stub.received
        assert request.method == "POST"
        assert request.target.startswith("/gateway/counter/action/increment?rvt-namespace=default")
        assert request.headers["x-rivet-encoding"] == encoding.name.lower()
        assert request.headers["content-type"] == content_type
        assert request.headers["user-agent"].startswith("stator/")
        assert "x-stator-dialect" not in request.headers
        assert request.body == body


async def test_a_path_in_the_endpoint_comes_before_every_path(connect: Connect) -> None:
    async with StubService() as stub, connect(stub, prefix="/api/rivet") as client:
        await client.get_for_id("counter", "i1").get()
        assert stub.lookups[0].target == "/api/rivet/metadata?namespace=default"
        assert stub.received[0].target == "/api/rivet/gateway/i1/action/get"


@pytest.mark.parametrize(
    ("name", "segment"),
    [("math.add", "math.add"), ("ns/odd name", "ns%2Fodd%20name"), ("a?b#c%", "a%3Fb%23c%25")],
)
async def test_an_action_is_one_path_segment(connect: Connect, name: str, segment: str) -> None:
    async with StubService() as stub, connect(stub) as client:
        await client.get_for_id("counter", "i1").call(name)
        assert stub.received[0].target == f"/gateway/i1/action/{segment}"


async def test_nested_attributes_are_dotted_actions(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        await client.get_for_id("counter", "i1").math.ops.add(1, 2)
        assert stub.received[0].target == "/gateway/i1/action/math.ops.add"


async def test_the_token_is_in_headers_and_in_no_url(connect: Connect) -> None:
    async with StubService() as stub, connect(stub, token="s3cret") as client:
        stub.will_answer(output(1), Reply(body=b'{"actors":[{"actor_id":"i1"}]}'))
        handle = client.get("counter", "k")
        await handle.get()
        await handle.resolve()
        called, resolved = stub.received
        assert called.headers["x-rivet-token"] == "s3cret"
        assert resolved.headers["authorization"] == "Bearer s3cret"
        assert stub.lookups[0].headers["authorization"] == "Bearer s3cret"
        targets = [request.target for request in (called, resolved, *stub.lookups)]
        assert not any("s3cret" in target for target in (*targets, handle.gateway_url()))


async def test_configured_headers_go_everywhere_and_win(connect: Connect) -> None:
    headers = {"x-tenant": "7", "User-Agent": "mine", "X-Rivet-Token": "mine"}
    async with StubService() as stub, connect(stub, token="t", headers=headers) as client:
        await client.get("counter").get()
        for request in (*stub.lookups, *stub.received):
            assert request.headers["x-tenant"] == "7"
            assert request.headers["user-agent"] == "mine"
            assert request.headers["x-rivet-token"] == "mine"


async def test_params_travel_as_json_in_a_header(connect: Connect) -> None:
    params: Any
    async with StubService() as stub, connect(stub) as client:
        for params in ({"name": "Zoë €"}, 0, "", False):
            await client.get("chat", params=params).get()
            assert json.loads(stub.received[-1].headers["x-rivet-conn-params"]) == params
        await client.get("chat").get()
        assert "x-rivet-conn-params" not in stub.received[-1].headers


async def test_a_key_that_no_query_can_carry_is_resolved_before_each_call(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        found = Reply(body=b'{"actors":[{"actor_id":"i/1"}]}')
        made = Reply(body=b'{"actor":{"actor_id":"i2"},"created":true}')
        stub.will_answer(found, output(1), made, output(2))
        assert await client.get("chat", ["x,y", ""]).get() == 1
        assert await client.get_or_create("chat", [""]).get() == 2
        assert [(request.method, request.target) for request in stub.received] == [
            ("GET", "/actors?name=chat&key=x%2Cy%2F%5C0&namespace=default"),
            ("POST", "/gateway/i%2F1/action/get"),
            ("PUT", "/actors?namespace=default"),
            ("POST", "/gateway/i2/action/get"),
        ]
        assert json.loads(stub.received[2].body)["key"] == "\\0"


async def test_a_stale_answer_to_a_resolved_actor_resolves_again(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(
            Reply(body=b'{"actor":{"actor_id":"old"}}'),
            error("actor.not_found"),
            Reply(body=b'{"actor":{"actor_id":"new"}}'),
            output(3),
        )
        assert await client.get_or_create("chat", "x,y").get() == 3
        assert stub.received[-1].target == "/gateway/new/action/get"


# ---------------------------------------------------------------- the dialect of stator


LOSSY: dict[Any, Any] = {
    "big": 2**40,
    "whole": 2.0**40,
    "bytes": b"\x00",
    "tagged": ["$BigInt", "1"],
    "moment": datetime(2026, 1, 2, tzinfo=UTC),
    3: {1, 2},
}


def assert_same(actual: Any, expected: dict[Any, Any]) -> None:
    assert actual == expected
    assert {key: type(item) for key, item in actual.items()} == {
        key: type(item) for key, item in expected.items()
    }


async def test_a_stator_service_is_asked_and_answers_without_loss(connect: Connect) -> None:
    async with StubService(STATOR) as stub, connect(stub, Encoding.CBOR) as client:
        native = answer(Encoding.NATIVE, LOSSY)
        stub.will_answer(native._replace(headers={"x-stator-dialect": "native"}))
        assert_same(await client.get("a").echo(LOSSY), LOSSY)
        (request,) = stub.received
        assert request.headers["x-rivet-encoding"] == "cbor"
        assert request.headers["x-stator-dialect"] == "native"
        (sent,), _ = decode_action_request(Encoding.NATIVE, request.body)
        assert_same(sent, LOSSY)


async def test_an_answer_that_does_not_name_the_dialect_is_plain_cbor(connect: Connect) -> None:
    async with StubService(STATOR) as stub, connect(stub, Encoding.CBOR) as client:
        stub.will_answer(Reply(body=cbor2.dumps({"output": [["$BigInt", "7"], 2.0**40]})))
        assert await client.get("a").echo() == [7, 2**40]


async def test_rivets_servers_get_numbers_that_javascript_reads_as_numbers(
    connect: Connect,
) -> None:
    async with StubService() as stub, connect(stub, Encoding.CBOR) as client:
        stub.will_answer(answer(Encoding.CBOR, None))
        await client.get("a").echo(2**40)
        assert cbor2.loads(stub.received[0].body)["args"] == [float(2**40)]
        assert stub.received[0].body[-9] == 0xFB


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.BARE])
async def test_other_encodings_know_no_dialect(connect: Connect, encoding: Encoding) -> None:
    async with StubService(STATOR) as stub, connect(stub, encoding) as client:
        named = answer(encoding, 2**60)._replace(headers={"x-stator-dialect": "native"})
        stub.will_answer(named)
        assert await client.get("a").echo() == 2**60
        assert "x-stator-dialect" not in stub.received[0].headers


# ---------------------------------------------------------------- errors


async def test_an_error_keeps_its_identity_message_and_metadata(connect: Connect) -> None:
    body = {"group": "user", "code": "full", "message": "no seat", "metadata": {"seats": 3}}
    headers = {"content-type": "application/json", "x-rivet-ray-id": "r7"}
    async with StubService() as stub, connect(stub, Encoding.CBOR) as client:
        stub.will_answer(Reply(400, json.dumps(body).encode(), headers))
        with pytest.raises(ActorError) as caught:
            await client.get("a").sit()
        raised = caught.value
        assert (raised.group, raised.code, raised.message) == ("user", "full", "no seat")
        assert raised.metadata == {"seats": 3}
        assert raised.__notes__ == ["ray id: r7"]


async def test_an_actors_error_is_read_in_the_dialect_of_its_answer(connect: Connect) -> None:
    view = {"group": "user", "code": "c", "message": "m", "metadata": [["$BigInt", "7"]]}
    async with StubService(STATOR) as stub, connect(stub, Encoding.CBOR) as client:
        plain = Reply(400, cbor2.dumps(view), {"content-type": "application/octet-stream"})
        stub.will_answer(plain)
        with pytest.raises(ActorError) as caught:
            await client.get("a").act()
        assert caught.value.metadata == [7]
        stub.will_answer(plain._replace(headers={**plain.headers, "x-stator-dialect": "native"}))
        with pytest.raises(ActorError) as caught:
            await client.get("a").act()
        assert caught.value.metadata == [["$BigInt", "7"]]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(200, b""), "Failed to parse response"),
        (Reply(204, b""), "Failed to parse response"),
        (Reply(200, b"{}"), 'Failed to parse response: The answer has no "output"'),
        (Reply(200, b'{"output":["$Odd",1]}'), "Failed to parse response"),
        (Reply(302, b"", {"location": "/elsewhere"}), "HTTP request error"),
        (Reply(502, b"<html>bad gateway", {"content-type": "text/html"}), "bad gateway"),
        (HANG_UP, "HTTP request error: Server disconnected"),
    ],
)
async def test_an_answer_that_is_none_is_an_internal_error(
    connect: Connect, reply: Reply, message: str
) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(reply)
        with pytest.raises(ActorError, match=message) as caught:
            await client.get_or_create("a").act()
        assert (caught.value.group, caught.value.code) == ("rivetkit", "internal_error")
        assert len(stub.received) == 1


async def test_a_service_that_went_away_is_an_internal_error(connect: Connect) -> None:
    async with AsyncExitStack() as stack:
        async with StubService() as stub:
            client = await stack.enter_async_context(connect(stub))
            await client.get("a").act()
        with pytest.raises(ActorError) as caught:
            await client.get_or_create("a").act()
        assert (caught.value.group, caught.value.code) == ("rivetkit", "internal_error")
        assert client.pauses == []


async def test_arguments_that_cannot_be_sent_name_their_place_and_send_nothing(
    connect: Connect,
) -> None:
    async with StubService() as stub, connect(stub) as client:
        with pytest.raises(ActorError, match=r'args\[1\]\["x"\]'):
            await client.get("a").act(1, {"x": object()})
        assert stub.received == []


async def test_keywords_are_refused_before_anything_is_sent(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        with pytest.raises(TypeError, match="by position"):
            await client.get("a").call("act", x=1)  # type: ignore[call-overload]
        assert stub.lookups == []


# ---------------------------------------------------------------- retries


async def test_a_call_is_repeated_with_the_same_body_until_it_is_answered(
    connect: Connect,
) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(
            error("actor.starting"), error("guard.tunnel_request_aborted"), output("done")
        )
        assert await client.get("a").act("x") == "done"
        assert {(request.target, request.body) for request in stub.received} == {
            (stub.received[0].target, b'{"args":["x"]}')
        }
        assert client.pauses == [0.1, 0.05]


@pytest.mark.parametrize(
    ("create", "identity", "requests", "waited"),
    [
        (True, "actor.stopping", 60, 5.9),
        (False, "actor.stopping", 24, 2.3),
        (True, "actor.restarting", 5, 0.375),
        (False, "actor.restarting", 5, 0.375),
        (True, "user.stopping", 1, 0.0),
    ],
)
async def test_an_error_that_stays_is_raised_after_the_documented_number_of_requests(
    connect: Connect, create: bool, identity: str, requests: int, waited: float
) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(error(identity))
        handle = client.get_or_create("a") if create else client.get("a")
        with pytest.raises(ActorError) as caught:
            await handle.act()
        assert f"{caught.value.group}.{caught.value.code}" == identity
        assert len(stub.received) == requests
        assert sum(client.pauses) == pytest.approx(waited)


async def test_a_missing_actor_of_a_stator_service_is_missing_at_once(connect: Connect) -> None:
    async with StubService(STATOR) as stub, connect(stub) as client:
        stub.will_answer(error("actor.not_found", status=404))
        for handle in (client.get("a"), client.get("a", "x,y"), client.get_for_id("a", "i")):
            with pytest.raises(ActorError, match="not_found"):
                await handle.act()
        assert len(stub.received) == 3


async def test_a_missing_actor_of_another_service_is_asked_for_again(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(error("actor.not_found", status=404), output(1))
        assert await client.get("a").act() == 1


async def test_what_an_actor_raised_is_repeated_by_rivets_rule_alone(connect: Connect) -> None:
    passed_on = error("actor.restarting", by_actor=True)
    async with StubService(STATOR) as stub, connect(stub) as client:
        stub.will_answer(passed_on, output(1))
        with pytest.raises(ActorError, match="restarting"):
            await client.get_or_create("a").act()
    async with StubService() as stub, connect(stub) as client:
        stub.will_answer(passed_on, output(1))
        assert await client.get_or_create("a").act() == 1


# ---------------------------------------------------------------- ends


async def test_a_cancelled_call_stops_waiting(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await client.get("a").act()


async def test_a_closed_client_refuses_calls(connect: Connect) -> None:
    async with StubService() as stub, connect(stub) as client:
        await client.get("a").act()
        await client.http.close()
        await client.http.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            await client.get("a").act()
