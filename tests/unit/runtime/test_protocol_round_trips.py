"""What one side encodes, the other side decodes to an equal value, in every encoding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stator.runtime.error_views import ErrorView
from stator.runtime.protocol.actions import (
    decode_action_request,
    decode_action_response,
    decode_input,
    encode_action_request,
    encode_action_response,
    encode_input,
)
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    ErrorMessage,
    Event,
    Init,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import ActorSpecifier, decode_error, encode_error
from stator.runtime.protocol.kinds import is_array
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    QueueSendResponse,
    decode_queue_request,
    decode_queue_response,
    encode_queue_request,
    encode_queue_response,
)
from stator.runtime.protocol.to_client import decode_to_client, encode_to_client
from stator.runtime.protocol.to_server import decode_to_server, encode_to_server

ways = st.sampled_from(
    [
        (Encoding.JSON, 0),
        (Encoding.CBOR, 0),
        (Encoding.NATIVE, 0),
        *((Encoding.BARE, version) for version in (1, 2, 3, 4)),
    ]
)
queue_ways = ways.filter(lambda way: way[1] not in (1, 2))

texts = st.text(max_size=8)
numbers = st.integers(-(2**70), 2**70) | st.sampled_from([2**32, -(2**32), 2**53, 2**53 - 1])
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | floats | texts | st.binary(max_size=8)
dollars = st.lists(st.sampled_from(["$x", "$$", "$BigInt", "$Set", "a", 1]), min_size=2, max_size=2)
values = st.recursive(
    scalars | dollars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(1700, 1, 1))
hashables = st.none() | st.booleans() | st.integers() | texts | st.binary(max_size=3)
sets = st.sets(hashables | st.tuples(texts, texts), max_size=4)
ids = st.integers(0, 2**64 - 1)
actors = st.builds(ActorSpecifier, texts, ids, st.none() | texts)
views = st.builds(ErrorView, texts, texts, texts, values, st.just(500))


@given(ways, st.lists(values, max_size=4))
@settings(max_examples=300)
def test_arguments(way: tuple[Encoding, int], args: list[Any]) -> None:
    encoding, version = way
    body = encode_action_request(encoding, version, args)
    assert decode_action_request(encoding, body) == (args, version)


@given(ways, values)
@settings(max_examples=300)
def test_output(way: tuple[Encoding, int], output: Any) -> None:
    encoding, version = way
    body = encode_action_response(encoding, version, output)
    assert decode_action_response(encoding, body) == output


@given(values | sets)
def test_input(value: Any) -> None:
    assert decode_input(encode_input(value)) == value


@given(ways, numbers)
def test_integers_stay_integers(way: tuple[Encoding, int], number: int) -> None:
    encoding, version = way
    body = encode_action_response(encoding, version, [number])
    assert [type(item) for item in decode_action_response(encoding, body)] == [int]


@given(ways, sets)
def test_sets_are_arrays_in_json_and_sets_elsewhere(
    way: tuple[Encoding, int], members: set[Any]
) -> None:
    encoding, version = way
    decoded = decode_action_response(encoding, encode_action_response(encoding, version, members))
    if encoding is Encoding.JSON:
        assert is_array(decoded)
        assert len(decoded) == len(members)
    else:
        assert decoded == members


@given(ways, moments)
def test_moments_are_text_in_json_and_microseconds_elsewhere(
    way: tuple[Encoding, int], moment: datetime
) -> None:
    encoding, version = way
    decoded = decode_action_response(encoding, encode_action_response(encoding, version, moment))
    if encoding is Encoding.JSON:
        assert timedelta(0) <= moment - datetime.fromisoformat(decoded) < timedelta(milliseconds=1)
    elif encoding is Encoding.NATIVE:
        assert decoded == moment
    else:  # a float64 of seconds: exact to a microsecond for three centuries around 1970
        assert abs(moment - decoded) <= timedelta(microseconds=20)


@given(ways, views, st.none() | actors)
def test_errors(way: tuple[Encoding, int], view: ErrorView, actor: ActorSpecifier | None) -> None:
    encoding, version = way
    body = encode_error(encoding, version, view, actor)
    error = decode_error(encoding, None, 409, body)
    assert (error.group, error.code, error.message) == (view.group, view.code, view.message)
    assert error.metadata == view.metadata
    assert error.status == 409


queue_requests = st.builds(
    QueueSendRequest,
    values,
    st.none() | texts,
    st.booleans(),
    st.none() | st.integers(0, 2**53),
)
queue_answers = st.builds(
    QueueSendResponse,
    st.sampled_from(["completed", "timedOut"]),
    values | st.just(msgspec.UNSET),
)


@given(queue_ways, queue_requests, queue_answers)
def test_queue_sends(
    way: tuple[Encoding, int], request: QueueSendRequest, answer: QueueSendResponse
) -> None:
    encoding, version = way
    body = encode_queue_request(encoding, version, request)
    assert decode_queue_request(encoding, body) == (request, version)
    body = encode_queue_response(encoding, version, answer)
    assert decode_queue_response(encoding, body) == answer


calls = st.builds(ActionRequest, ids, texts, st.lists(values, max_size=3))
to_server = calls | st.builds(SubscriptionRequest, texts, st.booleans())


@given(ways, to_server)
def test_messages_to_the_server(way: tuple[Encoding, int], message: ToServer) -> None:
    encoding, version = way
    data = encode_to_server(encoding, version, message)
    assert decode_to_server(encoding, data) == (message, version)


errors = st.builds(ErrorMessage, views, st.none() | ids, st.none() | actors)
to_client = (
    st.builds(Init, texts, texts)
    | errors
    | st.builds(ActionResponse, ids, values)
    | st.builds(Event, texts, st.lists(values, max_size=3))
)


@given(ways, to_client)
def test_messages_to_the_client(way: tuple[Encoding, int], message: ToClient) -> None:
    encoding, version = way
    data = encode_to_client(encoding, version, message)
    decoded, decoded_version = decode_to_client(encoding, data)
    assert decoded_version == version
    assert decoded == as_received(message, version)


def as_received(message: ToClient, version: int) -> ToClient:
    """Return what a version can say: no actor before 4, a token in 1 only."""
    if isinstance(message, ErrorMessage) and version in (1, 2, 3):
        return ErrorMessage(message.error, message.action_id)
    if isinstance(message, Init) and version == 1:
        return Init(message.actor_id, message.connection_id, "")
    return message
