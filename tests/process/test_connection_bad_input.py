"""What connections that say nonsense are told, and that their neighbours do not notice.

Each test has a second connection of the same actor. When the first one is done with, that one
must get exactly what it asks for, and hear what it listens to: see ``neighbour``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    ErrorMessage,
    Event,
    Init,
    SubscriptionRequest,
)
from tests.fakes.malformed_messages import JSON_CALL, MALFORMED
from tests.fakes.open_connection import OpenConnection, connect_path
from tests.fakes.real_service import RealService
from tests.fakes.socket_client import BINARY, TEXT, SocketClient

pytestmark = pytest.mark.process

APPLICATION = Path(__file__).parent / "apps" / "connections"
ENCODINGS = ("json", "cbor", "bare")
INVALID = (1011, "actor.invalid_request")
TICKET = '{"name":"Zoë","age":7}'
KEYS = (f"key-{number}" for number in count())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """An open service."""
    settings = {"application.path": APPLICATION, "workers.count": 1}
    with RealService(tmp_path_factory.mktemp("connections"), settings) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """A service with a token."""
    settings = {
        "application.path": APPLICATION,
        "workers.count": 1,
        "auth.client_token": "sesame",
    }
    with RealService(tmp_path_factory.mktemp("locked"), settings) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def key() -> str:
    """The key of an actor that no other test has."""
    return next(KEYS)


@pytest.fixture(autouse=True)
def neighbour(service: RealService, key: str) -> Iterator[OpenConnection]:
    """Another connection of the actor; after the test it goes on as if nothing had been."""
    with OpenConnection(service.endpoint, "room", key) as conn:
        known = conn.begin()
        conn.subscribe("news")
        assert conn.call(0, "echo", "before") == "before"
        yield conn
        assert conn.call(1, "echo", "after") == "after"
        conn.say(ActionRequest(2, "tell", ["news", "still here"]))
        assert conn.hear_event().args == ["still here"]
        assert conn.hear() == ActionResponse(2, None)
        with OpenConnection(service.endpoint, "room", key) as newcomer:
            assert newcomer.begin().actor_id == known.actor_id


def room(service: RealService, key: str, encoding: str = "json") -> OpenConnection:
    """Return a connection that is open."""
    conn = OpenConnection(service.endpoint, "room", key, encoding)
    conn.begin()
    return conn


# ------------------------------------------------------------------- messages that are none


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        pytest.param(encoding, data, id=f"{encoding}-{what.replace(' ', '_')}")
        for encoding, data, what in MALFORMED
    ],
)
def test_a_malformed_message_closes_the_connection(
    service: RealService, key: str, encoding: str, data: bytes
) -> None:
    with room(service, key, encoding) as conn:
        conn.send(conn.opcode, data)
        assert conn.hear_end() == ([], *INVALID)


def test_what_was_said_before_a_malformed_message_is_answered(
    service: RealService, key: str
) -> None:
    with room(service, key) as conn:
        conn.say(ActionRequest(5, "echo", ["first"]))
        conn.send(TEXT, b"{")
        said, *end = conn.hear_end()
    assert said == [ActionResponse(5, "first")]
    assert tuple(end) == INVALID


def test_a_malformed_message_before_the_connection_is_open_closes_it(
    service: RealService, key: str
) -> None:
    with OpenConnection(service.endpoint, "room", key) as conn:
        conn.send(TEXT, b"{")
        said, *end = conn.hear_end()
    assert [type(message) for message in said] == [Init]
    assert tuple(end) == INVALID


def test_json_may_come_as_binary(service: RealService, key: str) -> None:
    with room(service, key) as conn:
        conn.send(BINARY, (JSON_CALL % '{"id":7,"name":"echo","args":["x"]}').encode())
        assert conn.hear() == ActionResponse(7, "x")


@pytest.mark.parametrize("encoding", ["cbor", "bare"])
def test_text_is_no_message_of_a_binary_encoding(
    service: RealService, key: str, encoding: str
) -> None:
    with room(service, key, encoding) as conn:
        conn.send(TEXT, (JSON_CALL % '{"id":7,"name":"echo","args":["x"]}').encode())
        assert conn.hear_end() == ([], *INVALID)


def test_text_that_is_no_utf_8_closes_the_connection(service: RealService, key: str) -> None:
    with room(service, key) as conn:
        conn.send(TEXT, b'{"body":"\xc3\x28"}')
        assert conn.hear_end()[1] == 1007


def test_a_frame_that_breaks_the_rules_closes_the_connection(
    service: RealService, key: str
) -> None:
    with room(service, key) as conn:
        conn.send(3, b"an opcode that is none")
        assert conn.hear_end()[1] == 1002


# --------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_message_above_the_limit_closes_the_connection(
    service: RealService, key: str, encoding: str
) -> None:
    with room(service, key, encoding) as conn:
        conn.say(ActionRequest(0, "echo", ["x" * 70_000]))
        assert conn.hear_end() == ([], 1011, "message.incoming_too_long")


def test_a_message_above_the_limit_in_many_frames_closes_the_connection(
    service: RealService, key: str
) -> None:
    with room(service, key) as conn:
        conn.send(TEXT, b'{"body":"', final=False)
        for _ in range(70):
            conn.send(0, b"x" * 1000, final=False)
        assert conn.hear_end()[1:] == (1011, "message.incoming_too_long")


def test_a_frame_that_announces_too_much_is_not_waited_for(service: RealService, key: str) -> None:
    with room(service, key) as conn:
        conn.send_raw(b"\x81\xff" + (2**40).to_bytes(8) + bytes(4))
        said, code, _ = conn.hear_end()
    assert said == []
    assert code in (1009, 1011)


# ------------------------------------------------------------------------------- arguments


def test_arguments_that_do_not_fit_fail_their_call_alone(service: RealService, key: str) -> None:
    with room(service, key) as conn:
        conn.say(ActionRequest(3, "add", ["one", 2]))
        message = conn.hear()
        assert isinstance(message, ErrorMessage)
        assert (message.action_id, message.error.code) == (3, "validation_error")
        assert conn.call(4, "add", 1, 2) == 3


def test_an_id_may_be_used_again(service: RealService, key: str) -> None:
    with room(service, key) as conn:
        assert [conn.call(9, "echo", n) for n in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_largest_id_comes_back(service: RealService, key: str, encoding: str) -> None:
    with room(service, key, encoding) as conn:
        assert conn.call(2**64 - 1, "echo", "x") == "x"


# ---------------------------------------------------------------------------- subscriptions


def test_an_event_that_nobody_declared_may_be_heard(service: RealService, key: str) -> None:
    with room(service, key) as conn:
        conn.subscribe("gossip")
        conn.say(ActionRequest(0, "tell", ["gossip", "psst"]))
        assert conn.hear_event().args == ["psst"]


def test_ending_a_subscription_that_never_was_does_nothing(service: RealService, key: str) -> None:
    with room(service, key) as conn:
        for name in ("news", "gossip", "secret"):
            conn.say(SubscriptionRequest(name, subscribe=False))
        assert conn.call(0, "echo", "x") == "x"


def test_subscribing_twice_is_subscribing_once(service: RealService, key: str) -> None:
    with room(service, key) as conn:
        conn.subscribe("gossip")
        conn.subscribe("gossip")
        conn.say(ActionRequest(0, "tell", ["gossip", "psst"]))
        heard = [conn.hear() for _ in range(2)]
    assert heard == [Event("gossip", ["psst"]), ActionResponse(0, None)]


def test_a_subscription_that_is_refused_closes_the_connection(
    service: RealService, key: str
) -> None:
    with room(service, key) as conn:
        conn.subscribe("secret")
        assert conn.hear_end()[1:] == (1011, "auth.forbidden")


def test_a_gate_that_fails_closes_the_connection(service: RealService, key: str) -> None:
    with room(service, key) as conn:
        conn.subscribe("moody")
        said, *end = conn.hear_end()
    assert tuple(end) == (1011, "rivetkit.internal_error")
    assert "division" not in repr(said)


# --------------------------------------------------------------------- how it may not open


def ended(
    service: RealService, path: str, protocols: str | None, headers: Any = None
) -> tuple[int | None, str]:
    """Return how a WebSocket is closed that must not open."""
    with SocketClient(service.endpoint, path, protocols, headers) as client:
        assert client.status == 101
        code, reason = client.receive_close()
        if "#" in reason:
            assert reason.partition("#")[2] == client.headers["x-rivet-ray-id"]
    return code, reason.partition("#")[0]


def test_an_unknown_encoding_is_told(service: RealService, key: str) -> None:
    path = connect_path("room", key)
    end = ended(service, path, "rivet, rivet_encoding.xml")
    assert end == (1003, "actor.unsupported_websocket_encoding")


def test_no_subprotocol_is_told(service: RealService, key: str) -> None:
    assert ended(service, connect_path("room", key), None) == (1011, "guard.missing_header")


def test_an_actor_that_does_not_exist_is_told(service: RealService, key: str) -> None:
    path = connect_path("room", f"no {key}", method="get")
    assert ended(service, path, "rivet, rivet_encoding.json") == (1011, "actor.not_found")


@pytest.mark.parametrize("actor_id", ["0000000000000000", "nonsense", "x" * 300, "%00"])
def test_an_id_that_was_never_given_is_told(service: RealService, actor_id: str) -> None:
    end = ended(service, f"/gateway/{actor_id}/connect", "rivet, rivet_encoding.json")
    assert end == (1011, "actor.not_found")


def test_an_id_that_is_no_text_is_told(service: RealService) -> None:
    end = ended(service, "/gateway/%ff/connect", "rivet, rivet_encoding.json")
    assert end == (1011, "guard.query_invalid_percent_encoding")


def test_an_actor_of_no_kind_is_told(service: RealService, key: str) -> None:
    end = ended(service, connect_path("nobody", key), "rivet, rivet_encoding.json")
    assert end == (1011, "actor.not_registered")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ("rvt-key=a", "guard.query_invalid_params"),
        ("rvt-namespace=default&rvt-method=dance", "guard.query_invalid_params"),
        ("rvt-namespace=default&rvt-method=getOrCreate", "guard.query_missing_pool"),
        ("rvt-namespace=nowhere&rvt-method=get&rvt-key=a", "namespace.not_found"),
        ("rvt-namespace=default&rvt-method=get&rvt-key=a&rvt-key=b", "guard.query_duplicate_param"),
    ],
)
def test_a_query_that_says_nothing_is_told(
    service: RealService, parameters: str, reason: str
) -> None:
    path = f"/gateway/room/connect?{parameters}"
    assert ended(service, path, "rivet, rivet_encoding.json") == (1011, reason)


@pytest.mark.parametrize("path", ["/whatever", "/", "/actors?namespace=default", "/metadata"])
def test_a_path_outside_the_gateway_is_told(service: RealService, path: str) -> None:
    assert ended(service, path, "rivet") == (1011, "guard.websocket_not_supported")


def test_header_routing_without_an_actor_is_told(service: RealService) -> None:
    end = ended(service, "/connect", "rivet, rivet_target.actor")
    assert end == (1011, "guard.missing_header")


@pytest.mark.parametrize(
    "params",
    ["%7B", "nonsense", "%ff%fe", "%", "%7B%22a%22%3A%7D"],
)
def test_parameters_that_are_no_json_are_told(service: RealService, key: str, params: str) -> None:
    protocols = f"rivet, rivet_encoding.json, rivet_conn_params.{params}"
    end = ended(service, connect_path("room", key), protocols)
    assert end == (1011, "guard.websocket_closed_before_open")


@pytest.mark.parametrize(
    "params", ['{"name":"Zoë"}', '{"name":1,"age":1}', "7", '{"name":"a","age":"old"}']
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_parameters_that_do_not_fit_the_hook_are_told(
    service: RealService, key: str, params: str, encoding: str
) -> None:
    protocol = f"rivet_conn_params.{quote(params)}"
    with OpenConnection(service.endpoint, "guarded", key, encoding, protocol) as conn:
        said, *end = conn.hear_end()
    (error,) = said
    assert isinstance(error, ErrorMessage)
    assert (error.action_id, error.error.code) == (None, "validation_error")
    assert tuple(end) == (1011, "actor.validation_error")


def test_parameters_that_fit_the_hook_open_the_connection(service: RealService, key: str) -> None:
    protocol = f"rivet_conn_params.{quote(TICKET)}"
    with OpenConnection(service.endpoint, "guarded", key, "json", protocol) as conn:
        conn.begin()
        assert conn.call(0, "echo", "in") == "in"


def test_parameters_that_are_too_large_are_told(service: RealService, key: str) -> None:
    protocols = f"rivet, rivet_encoding.json, rivet_conn_params.%22{'x' * 20_000}%22"
    assert ended(service, connect_path("room", key), protocols) == (1011, "guard.params_too_large")


def test_parameters_that_fill_a_header_are_refused(service: RealService, key: str) -> None:
    protocols = f"rivet, rivet_encoding.json, rivet_conn_params.%22{'x' * 100_000}%22"
    with SocketClient(service.endpoint, connect_path("room", key), protocols) as client:
        assert client.status in (400, 431)


@pytest.mark.parametrize(
    ("token", "reason"), [(None, "auth.unauthorized"), ("guessed", "auth.forbidden")]
)
def test_a_wrong_token_is_told(
    locked: RealService, key: str, token: str | None, reason: str
) -> None:
    path = connect_path("room", key, **({"token": token} if token else {}))
    assert ended(locked, path, "rivet, rivet_encoding.json") == (1011, reason)


def test_the_right_token_opens(locked: RealService, key: str) -> None:
    path = connect_path("room", key, token="sesame")
    with SocketClient(locked.endpoint, path, "rivet, rivet_encoding.json") as client:
        frame = client.receive()
    assert frame is not None
    assert b'"Init"' in frame.data


# -------------------------------------------------------------------------- raw WebSockets


def test_a_raw_socket_may_send_anything(service: RealService, key: str) -> None:
    path = connect_path("wire", key, "/websocket/")
    with SocketClient(service.endpoint, path, "rivet, rivet_encoding.bare") as client:
        for opcode, data in ((TEXT, b"{"), (BINARY, b"\xff\xff"), (BINARY, b"x" * 100_000)):
            client.send(opcode, data)
            assert client.receive() == (opcode, data)


def test_a_raw_socket_that_sends_no_utf_8_is_closed(service: RealService, key: str) -> None:
    path = connect_path("wire", key, "/websocket/")
    with SocketClient(service.endpoint, path, "rivet") as client:
        client.send(TEXT, b"\xc3\x28")
        assert client.receive_close()[0] == 1007


def test_a_client_that_drops_the_connection_leaves_no_trace(service: RealService, key: str) -> None:
    for _ in range(5):
        with room(service, key) as conn:
            conn.say(ActionRequest(0, "echo", ["unread"]))
