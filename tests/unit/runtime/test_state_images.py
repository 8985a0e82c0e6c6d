"""Images of states that were damaged or forged."""

import datetime as dt
import decimal
import uuid
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.errors import StateUnreadable
from stator.runtime.state_codec import EXACT, PLAIN, StateCodec, StateTracker

NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


class Room(msgspec.Struct):
    when: dt.datetime
    tags: set[str]
    scores: dict[int, float] = {}


@dataclass
class Basket:
    items: list[str]
    limit: int | None = None


def captured(value: object) -> bytes:
    image = StateTracker(StateCodec()).capture(value)
    assert image is not None
    return image


IMAGES = [
    captured(value)
    for value in [
        {"a": [1, "x", b"y", None, 2.5]},
        {"s": {1, "a", (2, 3)}, "f": frozenset({b"x"}), "t": (1, (2,)), "n": 2**90},
        {"when": [NOON, NOON.replace(tzinfo=None), dt.date(2026, 1, 1), dt.time(1)]},
        {"x": [dt.timedelta(1), uuid.UUID(int=7), decimal.Decimal("1.5"), {(1, 2): 3}]},
    ]
]


def decode_or_refuse(codec: StateCodec, image: bytes) -> None:
    try:
        codec.decode(image)
    except StateUnreadable as error:
        assert str(error)


@given(st.sampled_from(IMAGES), st.data())
def test_a_damaged_image_is_unreadable_and_nothing_worse(image: bytes, data: st.DataObject) -> None:
    damaged = bytearray(image)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(image)))
    for codec in (StateCodec(), StateCodec(Room), StateCodec(Basket)):
        decode_or_refuse(codec, bytes(damaged))
        decode_or_refuse(codec, bytes(damaged[:cut]))


@given(st.binary(max_size=40), st.sampled_from([b"", PLAIN, EXACT]))
def test_garbage_is_unreadable_and_nothing_worse(garbage: bytes, form: bytes) -> None:
    decode_or_refuse(StateCodec(), form + garbage)


def extension(code: int, data: bytes) -> bytes:
    return EXACT + msgspec.msgpack.encode(msgspec.msgpack.Ext(code, data))


DAMAGED = (b"", b"\xff", b"\xc0", b"\x91\x01")


@pytest.mark.parametrize(
    "image",
    [
        b"",
        PLAIN,
        EXACT,
        b"\x02\xc0",
        PLAIN + b"\x91" * 100_000,
        EXACT + b"\x91" * 100_000,
        PLAIN + b"\xdd\xff\xff\xff\xff",
        EXACT + b"\x81\x91\xc0",
        *(extension(code, data) for code in range(14) for data in DAMAGED),
        extension(4, b"0x"),
        extension(8, b"\x93\xce\xff\xff\xff\xff\x01\x01"),
    ],
    ids=lambda image: image[:8].hex(),
)
def test_a_hostile_image_is_unreadable(image: bytes) -> None:
    with pytest.raises(StateUnreadable):
        StateCodec().decode(image)
