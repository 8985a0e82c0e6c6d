"""Frames of the realtime load generator: what it sends is right, what arrives is counted right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import messages
from benchmarks.frames import (
    CLOSE,
    PING,
    TEXT,
    FrameCounter,
    UnexpectedFrame,
    apply_mask,
    client_frame,
    server_frame,
)
from stator.runtime.protocol.connection import ActionRequest, ActionResponse, Event, Init
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.to_client import decode_to_client
from stator.runtime.protocol.to_server import decode_to_server

ENCODINGS = [Encoding.JSON, Encoding.CBOR, Encoding.BARE]
each_encoding = pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda one: one.name.lower())


def test_a_text_frame_is_as_in_the_specification() -> None:
    """RFC 6455, 5.7: a masked text message, but for the mask."""
    frame = client_frame(b"Hello", TEXT)
    assert frame[:2] == b"\x81\x85"
    assert apply_mask(frame[6:], frame[2:6]) == b"Hello"


@pytest.mark.parametrize(
    ("size", "head"),
    [(125, "827d"), (126, "827e007e"), (65_535, "827effff"), (65_536, "827f0000000000010000")],
)
def test_longer_payloads_have_longer_heads(size: int, head: str) -> None:
    assert server_frame(bytes(size))[: len(head) // 2].hex() == head


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masking_twice_changes_nothing(payload: bytes, mask: bytes) -> None:
    assert apply_mask(apply_mask(payload, mask), mask) == payload


@given(
    st.lists(st.sampled_from([0, 3, 3, 3, 120, 130, 70_000]), max_size=12),
    st.lists(st.integers(1, 400), max_size=20),
)
def test_however_the_bytes_are_cut_each_frame_is_counted_once(
    sizes: list[int], cuts: list[int]
) -> None:
    data = b"".join(server_frame(b"x" + bytes(size)) for size in sizes)
    counter = FrameCounter(b"x")
    counted = 0
    for cut in cuts:
        piece, data = data[:cut], data[cut:]
        counted += counter.feed(piece)
    assert counted + counter.feed(data) == len(sizes)


def test_many_equal_frames_are_counted_at_once() -> None:
    counter = FrameCounter(b"ab")
    frames = [counter.feed(server_frame(b"abc") * count) for count in (1, 64, 1, 3)]
    assert frames == [1, 64, 1, 3]


@pytest.mark.parametrize("at", range(4))
def test_another_frame_among_equal_ones_is_noticed(at: int) -> None:
    counter = FrameCounter(b"ab")
    counter.feed(server_frame(b"abc"))
    frames = [server_frame(b"abc")] * 4
    frames[at] = server_frame(b"azc")
    with pytest.raises(UnexpectedFrame):
        counter.feed(b"".join(frames))


def test_pings_are_kept_and_not_counted() -> None:
    counter = FrameCounter(b"a")
    counter.feed(server_frame(b"a"))
    assert counter.feed(server_frame(b"", PING) + server_frame(b"a")) == 1
    assert counter.take_pings() == [b""]
    assert not counter.has_pings


def test_a_close_frame_is_remembered() -> None:
    counter = FrameCounter(b"a")
    assert counter.feed(server_frame(b"\x03\xe8bye", CLOSE)) == 0
    assert counter.closed == b"\x03\xe8bye"


@each_encoding
def test_calls_have_one_size_and_different_ids(encoding: Encoding) -> None:
    frames = messages.calls(encoding, "get", [], 64)
    calls = [decode_to_server(encoding, apply_mask(frame[6:], frame[2:6]))[0] for frame in frames]
    assert len({len(frame) for frame in frames}) == 1
    assert calls == [ActionRequest(messages.FIRST_ID + n, "get", []) for n in range(64)]


@each_encoding
@pytest.mark.parametrize("kind", [Init, ActionResponse, Event])
def test_each_kind_of_message_begins_in_its_own_way(
    encoding: Encoding, kind: type[Init | ActionResponse | Event]
) -> None:
    samples = {
        Init: messages.init(encoding),
        ActionResponse: messages.answer(encoding),
        Event: messages.event(encoding, "hello"),
    }
    beginning = messages.beginning_of(encoding, kind)
    assert {one for one, data in samples.items() if data.startswith(beginning)} == {kind}
    assert isinstance(decode_to_client(encoding, samples[kind])[0], kind)
