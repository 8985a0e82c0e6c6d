"""What queue sends and connection messages must look like, and what their readers forgive."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest

from stator.runtime.error_views import ErrorView
from stator.runtime.errors import InvalidRequest, OutputNotSerializable
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    ErrorMessage,
    Event,
    Init,
    SubscriptionRequest,
    ToClient,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import ActorSpecifier
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    QueueSendResponse,
    decode_queue_request,
    decode_queue_response,
    encode_queue_request,
    encode_queue_response,
)
from stator.runtime.protocol.to_client import (
    decode_to_client,
    encode_response,
    encode_to_client,
)
from stator.runtime.protocol.to_server import decode_to_server

JSON, CBOR, BARE = Encoding.JSON, Encoding.CBOR, Encoding.BARE
FAILED = ErrorView("user", "failed", "It failed.", None, 500)


def message(tag: Any, val: Any) -> bytes:
    return json.dumps({"body": {"tag": tag, "val": val}}).encode()


# ---------------------------------------------------------------------------------- queue


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        ({}, QueueSendRequest(None)),
        ({"body": 1, "wait": None, "timeout": None, "name": None}, QueueSendRequest(1)),
        ({"body": 1, "timeout": 0}, QueueSendRequest(1, timeout=0)),
        ({"body": 1, "wait": True, "timeout": 1.5}, QueueSendRequest(1, None, True, 1.5)),
        ({"body": ["$BigInt", "5"], "name": "jobs"}, QueueSendRequest(5, "jobs")),
    ],
)
def test_a_queue_send_needs_no_member(body: dict[str, Any], request_: QueueSendRequest) -> None:
    assert decode_queue_request(JSON, json.dumps(body).encode()) == (request_, 0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": 5}, '"name" must be a string'),
        ({"wait": 1}, '"wait" must be a boolean'),
        ({"wait": "true"}, '"wait" must be a boolean'),
        ({"timeout": "5"}, '"timeout" must be a number'),
        ({"timeout": True}, '"timeout" must be a number'),
        ({"timeout": -1}, '"timeout" is out of range'),
        ({"timeout": 2**64}, '"timeout" is out of range'),
        ({"timeout": 10**400}, '"timeout" is out of range'),
        ([], "must be an object"),
    ],
)
def test_a_malformed_queue_send_is_refused(body: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        decode_queue_request(JSON, json.dumps(body).encode())


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), -0.5])
def test_a_timeout_that_is_no_duration_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidRequest, match="out of range"):
        decode_queue_request(CBOR, cbor2.dumps({"timeout": timeout}))


def test_a_fraction_of_a_millisecond_is_waited_for_in_bare() -> None:
    body = encode_queue_request(BARE, 4, QueueSendRequest(None, timeout=0.1))
    assert decode_queue_request(BARE, body)[0].timeout == 1


@pytest.mark.parametrize("encoding", list(Encoding))
def test_a_response_of_none_is_not_the_same_as_none_at_all(encoding: Encoding) -> None:
    for answer in (QueueSendResponse("completed", None), QueueSendResponse("completed")):
        body = encode_queue_response(encoding, 4, answer)
        assert decode_queue_response(encoding, body) == answer


@pytest.mark.parametrize("body", [b"{}", b'{"status":"done"}', b'{"status":["completed"]}'])
def test_an_unknown_queue_status_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match='"status" must be'):
        decode_queue_response(JSON, body)


def test_queue_values_name_their_own_root() -> None:
    with pytest.raises(OutputNotSerializable, match=r"body\[0\]: "):
        encode_queue_request(JSON, 0, QueueSendRequest([object()]))
    with pytest.raises(OutputNotSerializable, match=r"response\[0\]: "):
        encode_queue_response(BARE, 4, QueueSendResponse("completed", [object()]))


# ------------------------------------------------------------------------------ to server


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (message("ActionRequest", {"id": 3, "name": "x"}), ActionRequest(3, "x", [])),
        (
            message("ActionRequest", {"id": ["$BigInt", "18446744073709551615"], "name": "x"}),
            ActionRequest(2**64 - 1, "x", []),
        ),
        (
            message("ActionRequest", {"id": 0, "name": "x", "args": "one", "more": 1}),
            ActionRequest(0, "x", ["one"]),
        ),
        (
            message("SubscriptionRequest", {"eventName": "", "subscribe": False}),
            SubscriptionRequest("", False),
        ),
    ],
)
def test_what_the_server_forgives(data: bytes, expected: object) -> None:
    assert decode_to_server(JSON, data) == (expected, 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{}", '"body" must be an object'),
        (b'{"body":{}}', '"tag" must be a string'),
        (message("ActionRequest", None), '"val" must be an object'),
        (message("Ping", {}), 'Unknown message tag "Ping"'),
        (message("x" * 1000, {}), r"Unknown message tag \"x{40,80}\.\.\.\""),
        (message("ActionRequest", {"id": -1, "name": "x"}), '"id" must be an integer'),
        (message("ActionRequest", {"id": 2**64, "name": "x"}), '"id" must be an integer'),
        (message("ActionRequest", {"id": 1.0, "name": "x"}), '"id" must be an integer'),
        (message("ActionRequest", {"id": True, "name": "x"}), '"id" must be an integer'),
        (message("ActionRequest", {"name": "x"}), '"id" must be an integer'),
        (message("ActionRequest", {"id": 1}), '"name" must be a string'),
        (message("SubscriptionRequest", {"eventName": "e"}), '"subscribe" must be a boolean'),
        (message("SubscriptionRequest", {"subscribe": True}), '"eventName" must be a string'),
    ],
)
def test_what_the_server_refuses(data: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        decode_to_server(JSON, data)


# ------------------------------------------------------------------------------ to client


def test_ids_are_bigints_whatever_their_size() -> None:
    for number in (0, 5, 2**64 - 1):
        data = encode_to_client(CBOR, 0, ActionResponse(number, None))
        assert b"bid\x1b" + number.to_bytes(8, "big") in data
        data = encode_to_client(JSON, 0, ActionResponse(number, None))
        assert json.loads(data)["body"]["val"]["id"] == ["$BigInt", str(number)]


def test_an_error_of_the_connection_says_so_and_has_no_actor() -> None:
    data = encode_to_client(JSON, 0, ErrorMessage(FAILED, None))
    assert json.loads(data)["body"]["val"] == {
        "actionId": None,
        "code": "failed",
        "group": "user",
        "message": "It failed.",
    }


def test_only_version_1_has_a_connection_token() -> None:
    with_token = Init("a", "c", "t")
    assert encode_to_client(BARE, 1, with_token).hex() == "0100" + "00" + "0161" + "0163" + "0174"
    assert encode_to_client(BARE, 2, with_token).hex() == "0200" + "00" + "0161" + "0163"
    assert decode_to_client(BARE, encode_to_client(BARE, 1, with_token)) == (with_token, 1)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_an_error_is_sent_although_its_metadata_cannot_be(encoding: Encoding) -> None:
    view = ErrorView("user", "failed", "It \ud800 failed.", [object()], 500)
    data = encode_to_client(encoding, 4, ErrorMessage(view, 7, ActorSpecifier("a", 1, None)))
    decoded, _ = decode_to_client(encoding, data)
    why = "metadata[0]: a value of type object cannot be sent"
    expected = ErrorView("user", "failed", "It ? failed.", why, 500)
    assert decoded == ErrorMessage(expected, 7, ActorSpecifier("a", 1, None))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (ActionResponse(1, [object()]), r"output\[0\]: "),
        (Event("e", [1, object()]), r"args\[1\]: "),
    ],
)
def test_values_on_a_connection_name_their_own_root(sent: ToClient, words: str) -> None:
    for encoding in Encoding:
        with pytest.raises(OutputNotSerializable, match=words):
            encode_to_client(encoding, 4, sent)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (message("Pong", {}), 'Unknown message tag "Pong"'),
        (message("Init", {"actorId": "a"}), '"connectionId" must be a string'),
        (message("ActionResponse", {"id": 1}), 'has no "output"'),
        (message("Event", {"name": "e"}), "must be an array"),
        (message("Event", {"name": "e", "args": "text"}), "must be an array"),
        (message("Error", {"group": "g", "code": "c"}), '"message" must be a string'),
    ],
)
def test_what_a_client_refuses(data: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        decode_to_client(JSON, data)


def test_a_client_forgives_an_error_without_optional_members() -> None:
    error = {"group": "user", "code": "failed", "message": "It failed.", "actor": None}
    assert decode_to_client(JSON, message("Error", error)) == (ErrorMessage(FAILED, None), 0)


@pytest.mark.parametrize("encoding", [JSON, CBOR, BARE])
@pytest.mark.parametrize("call", [0, 1, 127, 128, 16_383, 16_384, 2**32, 2**64 - 1])
@pytest.mark.parametrize("output", [None, 5, "x" * 300, {"a": [b"\x00", 2**70, 1.5]}])
def test_an_answer_made_without_a_message_is_the_same(
    encoding: Encoding, call: int, output: object
) -> None:
    for version in (1, 3, 4) if encoding is Encoding.BARE else (0,):
        expected = encode_to_client(encoding, version, ActionResponse(call, output))
        assert encode_response(encoding, version, call, output) == expected
