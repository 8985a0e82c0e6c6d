"""Every recorded action, queue and connection message of client and server 2.3.19, replayed.

What a client sent is decoded and compared with the recorded meaning; what the server sent is
decoded, compared, and encoded again to the very same bytes. Where that cannot be, the scenario
stands in ``DIFFERENT`` with the reason, and must really differ.
"""

from __future__ import annotations

from typing import Any

import pytest

from stator.runtime.error_views import ErrorView
from stator.runtime.errors import InvalidRequest
from stator.runtime.protocol.actions import (
    decode_action_request,
    decode_action_response,
    encode_action_response,
)
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    ErrorMessage,
    Event,
    Init,
    SubscriptionRequest,
)
from stator.runtime.protocol.encoding import Encoding, encoding_of
from stator.runtime.protocol.envelope import answer_version
from stator.runtime.protocol.error_bodies import ActorSpecifier, decode_error, encode_error
from stator.runtime.protocol.queue import (
    decode_queue_request,
    decode_queue_response,
    encode_queue_response,
)
from stator.runtime.protocol.to_client import decode_to_client, encode_to_client
from stator.runtime.protocol.to_server import decode_to_server
from tests.fakes.client_recordings import (
    Exchange,
    Frame,
    exchanges,
    frames,
    read_diagnostic,
    untagged,
)

UNDEFINED = "12.4: $Undefined is never sent, client 2.1 refuses it; None is null"
BIG_INT = "Python has one integer type: a BigInt that fits a number comes back as a number"
ARRAY_BUFFER = "Python has one bytes type: an ArrayBuffer comes back as a Uint8Array"
NAN_WIDTH = "cbor2 writes NaN in two bytes, cbor-x in eight; both mean NaN"
SHORT_FLOAT = "the real server shortens floats, we write float64 as the client itself does"
COUNTS = "cbor-x counts the members of a map in two bytes, cbor2 in as few as it takes"
DEFECT = "4.4: the real server turns a number beyond 32 bits into a BigInt"
MAP = "Python has one dict type: a Map comes back as an object"
TYPED_ARRAY = "a typed array other than bytes is a list of numbers"

DIFFERENT = {
    "json:echo-over32": DEFECT,
    "json:echo-bigint": BIG_INT,
    "json:echo-arraybuffer": ARRAY_BUFFER,
    "json:returns-undefined": UNDEFINED,
    "json:ws:connect-action-event": UNDEFINED,
    "json:ws:event-no-args": UNDEFINED,
    "json:ws:echo-bigint-bytes": BIG_INT,
    "cbor:echo-float": SHORT_FLOAT,
    "cbor:echo-over32": SHORT_FLOAT,
    "cbor:echo-bigint64": "a BigInt is sent in its native form (12.4), not as a tagged array",
    "cbor:returns-undefined": UNDEFINED,
    "cbor:ws:connect-action-event": UNDEFINED,
    "cbor:ws:multi-arg-event": UNDEFINED,
    "cbor:ws:event-no-args": UNDEFINED,
    "cbor:ws:types": UNDEFINED,
    "cbor:ws:params": COUNTS,
    "cbor:ws:get-params": COUNTS,
    "bare:echo-object": COUNTS,
    "bare:echo-undef": UNDEFINED,
    "bare:echo-objundef": UNDEFINED,
    "bare:echo-arraybuffer": ARRAY_BUFFER,
    "bare:echo-bigint": BIG_INT,
    "bare:echo-map": MAP,
    "bare:echo-u16arr": TYPED_ARRAY,
    "bare:echo-nan": NAN_WIDTH,
    "bare:returns-undefined": UNDEFINED,
    "bare:types-mixed": UNDEFINED,
    "bare:params-ascii": COUNTS,
    "bare:params-latin1": COUNTS,
    "bare:queue-wait-complete": COUNTS,
    "bare:queue-wait-notimeout": COUNTS,
    "bare:ws:connect-action-event": UNDEFINED,
    "bare:ws:multi-arg-event": UNDEFINED,
    "bare:ws:event-no-args": UNDEFINED,
    "bare:ws:types": UNDEFINED,
    "bare:ws:echo-bigint-bytes": BIG_INT,
    "bare:ws:params": COUNTS,
    "bare:ws:get-params": COUNTS,
    "bare:ws:queue-via-conn": COUNTS,
}

NAMES = ("json", "cbor", "bare")
CUT = {f"{name}:err-incoming-too-long" for name in NAMES}
"""Calls whose body is too long to be recorded whole."""
ACTIONS = [
    pytest.param(name, exchange, id=exchange.scenario)
    for name in NAMES
    for exchange in exchanges(f"http-actions-queue.{name}", "/action/")
]
CALLS = [param for param in ACTIONS if param.id not in CUT]
QUEUES = [
    pytest.param(name, exchange, id=exchange.scenario)
    for name in NAMES
    for file in (f"http-actions-queue.{name}", f"ws-connection.{name}")
    for exchange in exchanges(file, "/queue/")
]
FRAMES = [
    pytest.param(name, frame, id=f"{frame.scenario}-{number}")
    for name in NAMES
    for number, frame in enumerate(frames(f"ws-connection.{name}"))
]


def members(encoding: Encoding, decoded: Any, *, tagged: bool) -> dict[str, Any]:
    """Return the recorded meaning of a message as the members of one object."""
    meaning: dict[str, Any]
    if encoding is Encoding.JSON:
        meaning = untagged(decoded)
    elif encoding is Encoding.CBOR:
        meaning = read_diagnostic(decoded, tagged=tagged)
    else:
        meaning = {name: bare_field(value) for name, value in decoded.items()}
    return meaning


def bare_field(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("cbor "):
        return read_diagnostic(value.removeprefix("cbor "), tagged=True)
    return value


def same(left: Any, right: Any) -> bool:
    """Equality in which NaN equals itself and an integer is not the float of its value."""
    return repr(left) == repr(right)


def assert_same_bytes(scenario: str, ours: bytes, theirs: bytes) -> None:
    if scenario not in DIFFERENT:
        assert ours == theirs


@pytest.mark.parametrize(("name", "exchange"), CALLS)
def test_a_recorded_call_means_what_the_client_said(name: str, exchange: Exchange) -> None:
    encoding = encoding_of(name)
    expected = members(encoding, exchange.request_decoded, tagged=False)["args"]
    args, version = decode_action_request(encoding, exchange.request)
    assert same(args, expected)
    assert version == answer_version(encoding, exchange.request)
    assert version == (4 if encoding is Encoding.BARE else 0)


@pytest.mark.parametrize(("name", "exchange"), ACTIONS)
def test_an_answer_is_encoded_as_it_was_recorded(name: str, exchange: Exchange) -> None:
    encoding = encoding_of(name)
    if exchange.status == 200:
        output = decode_action_response(encoding, exchange.answer)
        expected = members(encoding, exchange.answer_decoded, tagged=True)["output"]
        assert same(output, expected)
        ours = encode_action_response(encoding, 4, output)
        assert_same_bytes(exchange.scenario, ours, exchange.answer)
        assert same(decode_action_response(encoding, ours), output)
    else:
        assert_error_is_recorded(encoding, exchange)


def assert_error_is_recorded(encoding: Encoding, exchange: Exchange) -> None:
    expected = members(encoding, exchange.answer_decoded, tagged=True)
    error = decode_error(encoding, exchange.content_type, exchange.status, exchange.answer)
    assert (error.group, error.code) == (expected["group"], expected["code"])
    assert (error.message, error.metadata) == (expected["message"], expected.get("metadata"))
    assert error.status == exchange.status
    view = ErrorView(error.group, error.code, error.message, error.metadata, error.status)
    ours = encode_error(encoding, 4, view, specifier(expected["actor"]))
    assert ours == exchange.answer


def specifier(actor: dict[str, Any]) -> ActorSpecifier:
    return ActorSpecifier(actor["actorId"], actor["generation"], actor.get("key"))


@pytest.mark.parametrize(("name", "exchange"), QUEUES)
def test_a_recorded_queue_send_and_its_answer(name: str, exchange: Exchange) -> None:
    encoding = encoding_of(name)
    if exchange.request:
        expected = members(encoding, exchange.request_decoded, tagged=False)
        request, _ = decode_queue_request(encoding, exchange.request)
        assert same(request.body, expected["body"])
        assert (request.name, request.wait) == (expected["name"], expected["wait"])
        assert request.timeout == expected.get("timeout")
    if exchange.status != 200:
        assert_error_is_recorded(encoding, exchange)
        return
    expected = members(encoding, exchange.answer_decoded, tagged=True)
    answer = decode_queue_response(encoding, exchange.answer)
    assert answer.status == expected["status"]
    assert bool(answer.response) == bool(expected.get("response"))
    ours = encode_queue_response(encoding, 4, answer)
    assert_same_bytes(exchange.scenario, ours, exchange.answer)
    assert decode_queue_response(encoding, ours) == answer


@pytest.mark.parametrize(("name", "frame"), FRAMES)
def test_a_recorded_frame_means_what_was_said(name: str, frame: Frame) -> None:
    encoding = encoding_of(name)
    if frame.from_client:
        expected = fields(encoding, frame.decoded, tagged=False)
        call, version = decode_to_server(encoding, frame.data)
        if isinstance(call, ActionRequest):
            assert (call.id, call.name) == (expected["id"], expected["name"])
            assert same(call.args, expected["args"])
        else:
            assert call == SubscriptionRequest(expected["eventName"], expected["subscribe"])
    else:
        expected = fields(encoding, frame.decoded, tagged=True)
        message, version = decode_to_client(encoding, frame.data)
        assert_meaning(message, expected)
        ours = encode_to_client(encoding, version, message)
        assert_same_bytes(frame.scenario, ours, frame.data)
        assert same(decode_to_client(encoding, ours), (message, version))
    assert version == (4 if encoding is Encoding.BARE else 0)


def fields(encoding: Encoding, decoded: Any, *, tagged: bool) -> dict[str, Any]:
    whole = members(encoding, decoded, tagged=tagged)
    return whole if encoding is Encoding.BARE else whole["body"]["val"]


def assert_meaning(message: Any, expected: dict[str, Any]) -> None:
    if isinstance(message, Init):
        assert message == Init(expected["actorId"], expected["connectionId"])
    elif isinstance(message, ActionResponse):
        assert message.id == expected["id"]
        assert same(message.output, expected["output"])
    elif isinstance(message, Event):
        assert message.name == expected["name"]
        assert same(message.args, expected["args"])
    else:
        assert isinstance(message, ErrorMessage)
        actor = expected.get("actor")
        assert message.action_id == expected["actionId"]
        assert message.actor == (None if actor is None else specifier(actor))
        assert message.error.metadata == expected.get("metadata")
        assert message.error.code == expected["code"]


def differing_scenarios() -> set[str]:
    """Return the scenarios in which a successful answer of ours has other bytes."""
    found: set[str] = set()
    for name in NAMES:
        encoding = encoding_of(name)
        for answer in exchanges(f"http-actions-queue.{name}", "/action/"):
            if answer.status == 200:
                output = decode_action_response(encoding, answer.answer)
                if encode_action_response(encoding, 4, output) != answer.answer:
                    found.add(answer.scenario)
        for file in (f"http-actions-queue.{name}", f"ws-connection.{name}"):
            for answer in exchanges(file, "/queue/"):
                if answer.status == 200:
                    decoded = decode_queue_response(encoding, answer.answer)
                    if encode_queue_response(encoding, 4, decoded) != answer.answer:
                        found.add(answer.scenario)
        for frame in frames(f"ws-connection.{name}"):
            if not frame.from_client:
                message, version = decode_to_client(encoding, frame.data)
                if encode_to_client(encoding, version, message) != frame.data:
                    found.add(frame.scenario)
    return found


def test_the_list_of_differences_is_exact() -> None:
    assert differing_scenarios() == set(DIFFERENT)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_client_217_said_is_understood(name: str) -> None:
    """Its CBOR is plain: nothing is tagged, and BARE is version 3 (12.2)."""
    encoding = encoding_of(name)
    calls = [call for call in recorded_217(name) if call.request]
    assert len(calls) > 15
    for call in calls:
        args, version = decode_action_request(encoding, call.request)
        assert version == (3 if encoding is Encoding.BARE else 0)
        assert same(args, expected_217(encoding, call.request_decoded, "args"))


@pytest.mark.parametrize("name", NAMES)
def test_what_a_server_217_answered_is_understood(name: str) -> None:
    encoding = encoding_of(name)
    for call in recorded_217(name):
        if call.status != 200:
            error = decode_error(encoding, call.content_type, call.status, call.answer)
            assert error.message in call.answer.decode(errors="replace")
        elif call.scenario in UNREADABLE_217:
            with pytest.raises(InvalidRequest):
                decode_action_response(encoding, call.answer)
        else:
            output = decode_action_response(encoding, call.answer)
            assert same(output, expected_217(encoding, call.answer_decoded, "output"))


UNREADABLE_217 = {
    "2.1.7:cbor:echo-dollar": "unescaped, and a client that knows 2.3 must revive",
    "2.1.7:cbor:types": "the same",
    "2.1.7:json:returns-undefined": "the answer has no output",
}


def recorded_217(name: str) -> list[Exchange]:
    return exchanges(f"v217-actions-queue-ws.{name}", "/action/")


def expected_217(encoding: Encoding, decoded: Any, field: str) -> Any:
    if encoding is Encoding.JSON:
        return untagged(decoded)[field]
    if encoding is Encoding.CBOR:
        return read_diagnostic(decoded, tagged=False)[field]
    return read_diagnostic(decoded[field].removeprefix("cbor "), tagged=False)
