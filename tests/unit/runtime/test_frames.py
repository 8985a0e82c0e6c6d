"""Frames: any cut of the stream gives the same frames, any damage one kind of error."""

import itertools
import struct
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.link import frames
from stator.runtime.link.frame_codec import (
    MAX_FRAME_BYTES,
    FrameDecoder,
    LinkProtocolError,
    encode_frame,
)
from stator.runtime.link.frames import (
    Ack,
    ActorRecord,
    Answer,
    AnyFrame,
    BodyCredit,
    BodyPart,
    Call,
    ClientGone,
    CloseConnection,
    ConnectionKind,
    ControlWorkflow,
    CreateActor,
    Credit,
    Deliver,
    DestroyActor,
    ExchangeAborted,
    Fanout,
    FindActors,
    Frame,
    Goodbye,
    Hello,
    ListNames,
    ListNamespaces,
    Message,
    OpenConnection,
    Opened,
    OpenExchange,
    Publish,
    Refusal,
    RequestHead,
    Resolution,
    ResolveNamespace,
    ResponseHead,
    Result,
    Revive,
    SleepActor,
    Suspended,
    WakeActor,
    encode_payload,
)
from stator.runtime.protocol.encoding import Encoding

HEAD = RequestHead(
    "GET", "http://h/websocket/p?x=1", "/p", "x=1", ((b"Host", b"h"), (b"X-Odd", b"\xff"))
)

EXAMPLES: list[AnyFrame] = [
    Hello("worker", 3, 2, {"room": {"name": "Room"}}),
    Hello("gateway", 0, 1),
    Call(7, 5, Resolution.GET_OR_CREATE, "default", "room", "a/b", "send", Encoding.CBOR, "ray"),
    Call(8, 5, Resolution.BY_ID, "default", "", "id", "x.y", Encoding.BARE, "r", b"\xa0"),
    Publish(32, 5, Resolution.GET, "default", "room", "a/b", "jobs", Encoding.JSON, "ray"),
    Publish(
        33,
        5,
        Resolution.GET_OR_CREATE,
        "default",
        "room",
        "a/b",
        "jobs",
        Encoding.BARE,
        "ray",
        b"\xa0",
        b"{}",
        HEAD,
        2**40,
        1500,
    ),
    ControlWorkflow(34, 5, Resolution.GET, "default", "room", "a/b", 4),
    CreateActor(9, 1, "default", "room", "/", None, True),
    FindActors(10, (1, 2), "default", "room", None, ("a", "b"), 5, 123),
    ListNames(11, (0,), "default"),
    DestroyActor(12, 3, "default", "id"),
    ResolveNamespace(13, 0, "default", True),
    ListNamespaces(14, 0),
    SleepActor(15, 0, "default", "id"),
    OpenConnection(
        16,
        0,
        Resolution.GET,
        "default",
        "room",
        "k",
        "uuid",
        ConnectionKind.RAW,
        Encoding.BARE,
        "ray",
        HEAD,
        b"\xa0",
    ),
    WakeActor(17, 0, Resolution.BY_ID, "", "", "id"),
    OpenExchange(18, 0, Resolution.GET, "default", "room", "k", "ray", HEAD, None, b"{}", True),
    Goodbye(),
    Message(16, 3, True),
    ClientGone(16, 1006, ""),
    Credit(16, 65536),
    BodyPart(18, False),
    BodyCredit(18, 65536),
    ExchangeAborted(18),
    Opened(16, "id", True),
    Deliver(16, -1, False),
    Fanout((16, 19, 2**40), True),
    Ack(16, 3),
    CloseConnection(16, 1000, "bye"),
    Suspended(16, "id"),
    Revive(16, "uuid"),
    ResponseHead(18, 200, ((b"content-type", b"text/plain"),), "id", 4, "a/b", False),
    Answer(7, 200, "id", 4, "a/b"),
    Refusal(8, "actor", "not_found", "gone", 404, {"a": [1, None]}),
    Result(9),
]


def decode(data: bytes) -> list[tuple[AnyFrame, bytes]]:
    return list(FrameDecoder().feed(data))


@pytest.mark.parametrize("frame", EXAMPLES, ids=lambda frame: type(frame).__name__)
@pytest.mark.parametrize("payload", [b"", b"x", b"\0" * 70_000])
def test_a_frame_arrives_as_it_was_sent(frame: AnyFrame, payload: bytes) -> None:
    ((header, body),) = decode(encode_frame(frame, payload))
    assert (header, body) == (frame, payload)
    assert type(header) is type(frame)


def test_enums_arrive_as_enums() -> None:
    ((header, _),) = decode(encode_frame(EXAMPLES[2]))
    assert isinstance(header, Call)
    assert (type(header.resolution), type(header.encoding)) == (Resolution, Encoding)


def test_every_kind_of_frame_has_its_own_tag() -> None:
    kinds = [kind for kind in vars(frames).values() if is_frame_kind(kind)]
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert len(set(tags)) == len(tags) == len({type(frame) for frame in EXAMPLES})


def is_frame_kind(kind: Any) -> bool:
    return (
        isinstance(kind, type) and issubclass(kind, Frame) and kind not in (Frame, frames.Addressed)
    )


STREAM = b"".join(encode_frame(frame, bytes([n]) * n) for n, frame in enumerate(EXAMPLES))
EXPECTED = [(frame, bytes([n]) * n) for n, frame in enumerate(EXAMPLES)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cut_of_the_stream_gives_the_same_frames(cuts: list[int]) -> None:
    decoder = FrameDecoder()
    received: list[tuple[AnyFrame, bytes]] = []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, stop in itertools.pairwise(edges):
        received.extend(decoder.feed(STREAM[start:stop]))
    assert received == EXPECTED


def test_a_stream_of_single_bytes_gives_the_same_frames() -> None:
    decoder = FrameDecoder()
    received = [frame for n in range(len(STREAM)) for frame in decoder.feed(STREAM[n : n + 1])]
    assert received == EXPECTED


def test_an_incomplete_frame_waits() -> None:
    data = encode_frame(EXAMPLES[0], b"payload")
    decoder = FrameDecoder()
    assert list(decoder.feed(data[:-1])) == []
    assert list(decoder.feed(b"")) == []
    assert list(decoder.feed(data[-1:])) == [(EXAMPLES[0], b"payload")]


def test_a_frame_is_whole_before_the_next_is_read() -> None:
    first = encode_frame(Result(1), b"one")
    received = FrameDecoder().feed(first + b"\xff" * 20)
    assert next(received) == (Result(1), b"one")
    with pytest.raises(LinkProtocolError):
        next(received)


def test_the_pieces_of_a_large_frame_are_kept_as_they_came() -> None:
    data = encode_frame(Result(1), bytes(200_000))
    pieces = [data[n : n + 4096] for n in range(0, len(data), 4096)]
    unused = [sys.getrefcount(piece) for piece in pieces]
    decoder = FrameDecoder()
    for piece in pieces[:-1]:
        assert list(decoder.feed(piece)) == []
    held = [sys.getrefcount(piece) for piece in pieces]
    # The last but one has another name too: the loop's variable.
    assert held[:-2] == [count + 1 for count in unused[:-2]], "joining each time is quadratic"
    assert list(decoder.feed(pieces[-1])) == [(Result(1), bytes(200_000))]


# -- limits


def test_a_header_may_be_larger_than_64_kib() -> None:
    call = Call(1, 0, Resolution.GET, "default", "room", "k", "a", Encoding.JSON, "r", bytes(2**20))
    hello = Hello("worker", 0, 1, {f"actor-{n}": {"name": "x" * 64} for n in range(2000)})
    for frame in (call, hello):
        assert decode(encode_frame(frame, b"p")) == [(frame, b"p")]


def test_a_frame_that_is_too_large_is_not_sent() -> None:
    with pytest.raises(LinkProtocolError, match="larger than"):
        encode_frame(Result(1), bytes(MAX_FRAME_BYTES))


# -- damage


def refuse_or_decode(data: bytes) -> None:
    try:
        decode(data)
    except LinkProtocolError as error:
        assert str(error)


@given(st.binary(max_size=64))
def test_garbage_is_one_kind_of_error(garbage: bytes) -> None:
    refuse_or_decode(garbage)


@given(st.integers(0, 40), st.binary(max_size=60))
def test_garbage_of_the_right_length_is_one_kind_of_error(head: int, garbage: bytes) -> None:
    refuse_or_decode(struct.pack("<II", len(garbage) + 4, min(head, len(garbage))) + garbage)


@given(st.sampled_from(EXAMPLES), st.data())
def test_a_damaged_frame_is_one_kind_of_error(frame: AnyFrame, data: st.DataObject) -> None:
    damaged = bytearray(encode_frame(frame, b"payload"))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    refuse_or_decode(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


def framed(header: bytes) -> bytes:
    return struct.pack("<II", len(header) + 4, len(header)) + header


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<II", 0, 0),
        struct.pack("<II", 3, 0),
        struct.pack("<II", MAX_FRAME_BYTES + 1, 1),
        struct.pack("<II", 10, 7) + bytes(10),
        framed(b""),
        framed(encode_payload([99, 1])),
        framed(encode_payload([18])),
        framed(encode_payload({"id": 1})),
        framed(encode_payload([18, "one"])),
        framed(encode_payload([18, 1]) + b"\xc0"),
        framed(encode_payload([1, 1, 0, 77, "", "", "", "", 0, ""])),
        framed(encode_payload([17, 1, "a", "b", "c", 400])[:-3] + b"\x91" * 5000),
        framed(b"\xc1"),
        framed(b"\x92\x11\xd9\x02\xff\xff"),
    ],
    ids=lambda data: data[:12].hex(),
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(LinkProtocolError):
        decode(data)


def test_payload_records_are_arrays() -> None:
    record = ActorRecord("id", "default", "room", "a", 1, error={"crashed": None})
    assert msgspec.msgpack.decode(encode_payload(record), type=ActorRecord) == record
    assert msgspec.msgpack.decode(encode_payload(record)) == [*record.__reduce__()[1]]
