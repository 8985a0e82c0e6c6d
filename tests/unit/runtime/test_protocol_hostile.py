"""No bytes from outside make a decoder do anything but return or refuse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stator.runtime.errors import ActorError, InvalidRequest
from stator.runtime.protocol.actions import (
    decode_action_request,
    decode_action_response,
    decode_input,
    encode_action_response,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import decode_error
from stator.runtime.protocol.kinds import kind_of
from stator.runtime.protocol.queue import decode_queue_request, decode_queue_response
from stator.runtime.protocol.to_client import decode_to_client
from stator.runtime.protocol.to_server import decode_to_server
from tests.fakes.client_recordings import exchanges, frames

Decoder = Callable[[Encoding, bytes], Any]


def decode_input_only(_encoding: Encoding, data: bytes) -> Any:
    return decode_input(data)


DECODERS: list[Decoder] = [
    decode_action_request,
    decode_action_response,
    decode_queue_request,
    decode_queue_response,
    decode_to_server,
    decode_to_client,
    decode_input_only,
]
encodings = st.sampled_from(Encoding)


def recorded() -> list[bytes]:
    """Return one of each recorded body, short enough to mutate well."""
    bodies: set[bytes] = set()
    for name in ("json", "cbor", "bare"):
        for exchange in exchanges(f"http-actions-queue.{name}", "/gateway/"):
            bodies |= {exchange.request, exchange.answer}
        for exchange in exchanges(f"v217-actions-queue-ws.{name}", "/gateway/"):
            bodies |= {exchange.request, exchange.answer}
        bodies |= {frame.data for frame in frames(f"ws-connection.{name}")}
    return sorted(body for body in bodies if 0 < len(body) < 400)


RECORDED = recorded()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A recorded body with a few bytes replaced, inserted or cut out."""
    body = bytearray(draw(st.sampled_from(RECORDED)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        length = draw(st.integers(0, 3))
        body[start : start + length] = draw(st.binary(max_size=3))
    return bytes(body)


@st.composite
def cbor_items(draw: st.DrawFn) -> bytes:
    """Something that looks like CBOR: heads of all kinds in a row, after the map of a call."""
    heads = st.integers(0, 255).map(lambda head: bytes((head,)))
    tags = st.sampled_from(
        [b"\xc0", b"\xc1", b"\xc2", b"\xd8\x40", b"\xd9\x01\x02", b"\xd9\x01\x03"]
    )
    small = st.binary(max_size=4).map(cbor2.dumps) | st.text(max_size=3).map(cbor2.dumps)
    parts = draw(st.lists(heads | tags | small, max_size=12))
    prefix = draw(st.sampled_from([b"", b"\xa1\x64args", b"\xa1\x66output", b"\x04\x00\x08"]))
    return prefix + b"".join(parts)


tags = st.sampled_from(
    ["$BigInt", "$Set", "$Uint8Array", "$ArrayBuffer", "$Undefined", "$$", "$", "$x", "x"]
)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | tags,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(tags, inner)
        | st.dictionaries(st.text(max_size=3) | tags, inner, max_size=3)
    ),
    max_leaves=12,
)
envelopes: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["args", "output"]), json_like, min_size=1
)
hostile = (
    st.binary(max_size=60)
    | mutated()
    | cbor_items()
    | envelopes.map(msgspec.json.encode)
    | envelopes.map(cbor2.dumps)
    | json_like.map(lambda value: b"\x04\x00" + bytes((len(d := cbor2.dumps(value)) % 128,)) + d)
)

SCALARS = (type(None), bool, int, float, str, bytes, datetime)


def assert_harmless(value: Any, *, frozen: bool = False) -> None:
    """Fail on any type an actor should never be handed."""
    kind, members = kind_of(value), value
    if kind in (list, tuple, set, frozenset):
        assert not frozen or kind in (tuple, frozenset)
        for item in members:
            assert_harmless(item, frozen=frozen or kind in (set, frozenset))
    elif kind in (dict, cbor2.frozendict):
        assert not frozen or kind is cbor2.frozendict
        for key, item in members.items():
            assert_harmless(key, frozen=True)
            assert_harmless(item, frozen=frozen)
    elif isinstance(value, msgspec.Struct):
        for item in msgspec.structs.astuple(value):
            if item is not msgspec.UNSET:
                assert_harmless(item)
    else:
        assert kind in SCALARS, kind
        hash(value)


@pytest.mark.parametrize("decode", DECODERS)
@given(encoding=encodings, data=hostile)
@example(encoding=Encoding.JSON, data=b"[" * 200_000)
@example(encoding=Encoding.JSON, data=b'{"args":' + b'["$Set",[' * 300 + b"]]" * 300 + b"}")
@example(encoding=Encoding.CBOR, data=b"\xd9\x01\x02\x81" * 5000)
@example(encoding=Encoding.BARE, data=b"\x04\x00" + b"\xff" * 9 + b"\x01")
@settings(max_examples=300)
def test_a_decoder_returns_harmless_values_or_refuses(
    decode: Decoder, encoding: Encoding, data: bytes
) -> None:
    try:
        value = decode(encoding, data)
    except InvalidRequest as refusal:
        assert len(refusal.message) < 160
        assert refusal.message.isprintable()
    else:
        assert_harmless(value)


@given(encodings, st.sampled_from(["application/json", "text/html", None]), hostile)
def test_an_error_answer_is_always_an_error(
    encoding: Encoding, content_type: str | None, data: bytes
) -> None:
    error = decode_error(encoding, content_type, 500, data)
    assert type(error) is ActorError
    assert isinstance(str(error), str)


@given(encodings, hostile)
@settings(max_examples=300)
def test_what_was_decoded_can_be_sent_again(encoding: Encoding, data: bytes) -> None:
    """An echo of anything a client managed to send is answered, in every encoding."""
    try:
        args, _ = decode_action_request(encoding, data)
    except InvalidRequest:
        return
    if not any(has_odd_keys(argument) for argument in args):
        for answer_encoding in Encoding:
            body = encode_action_response(answer_encoding, 4, args)
            assert isinstance(decode_action_response(answer_encoding, body), list)


def has_odd_keys(value: Any) -> bool:
    """Whether ``value`` has keys that are no text, which other encodings may be unable to say."""
    kind, members = kind_of(value), value
    if kind in (list, tuple, set, frozenset):
        return any(has_odd_keys(item) for item in members)
    if kind in (dict, cbor2.frozendict):
        return any(not isinstance(key, str) or has_odd_keys(members[key]) for key in members)
    return False


def test_many_nested_sets_cost_no_more_than_their_size() -> None:
    """Freezing what goes into a set must not start again at every level."""
    levels = 150
    text = b'["$Set",[' * levels + b"1" + b"]]" * levels
    args, _ = decode_action_request(Encoding.JSON, b'{"args":[' + text + b"]}")
    inner: Any = args[0]
    for _ in range(levels):
        (inner,) = inner
    assert inner == 1
