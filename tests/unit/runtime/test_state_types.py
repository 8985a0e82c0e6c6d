"""States with a type: what its annotations allow comes back, and nothing else is stored."""

import copy
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest

from stator.runtime.errors import StateNotSerializable, StateUnreadable
from stator.runtime.state_codec import PLAIN, StateCodec, StateTracker

TWO_HOURS_EAST = dt.timezone(dt.timedelta(hours=2))
NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


def captured(value: object, state_type: Any = Any) -> bytes:
    image = StateTracker(StateCodec(state_type)).capture(value)
    assert image is not None
    return image


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Point(msgspec.Struct, frozen=True):
    x: int


class Pair(NamedTuple):
    a: int
    b: Any


class Message(msgspec.Struct):
    author: str
    at: dt.datetime
    tags: set[str] = set()
    body: str | None = None


class Cat(msgspec.Struct, tag="cat"):
    lives: int = 9


class Dog(msgspec.Struct, tag="dog", rename="camel"):
    best_friend: str = ""


class Room(msgspec.Struct, rename="camel"):
    open_since: dt.datetime | None = None
    messages: list[Message] = []
    scores: dict[int, float] = {}
    colour: Colour = Colour.RED
    pets: list[Cat | Dog] = []
    where: Point = Point(0)
    pair: Pair = Pair(0, None)
    points: set[Point] = set()
    span: tuple[int, str] = (0, "")
    by_id: dict[uuid.UUID, int] = {}
    by_colour: dict[Colour, int] = {}
    maybe: int | msgspec.UnsetType = msgspec.UNSET
    anything: Any = None


@dataclass
class Basket:
    items: list[str] = field(default_factory=list[str])
    limit: int | None = None
    _secret: int = 0


class Doc(TypedDict, total=False):
    title: str
    pages: int


class Row(msgspec.Struct, array_like=True, omit_defaults=True):
    a: int = 0
    b: str = ""


class Compact(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    a: int = 0
    when: dt.datetime | None = None
    tags: set[str] = set()


def full_room(anything: Any = None) -> Room:
    return Room(
        open_since=NOON,
        messages=[Message("ann", NOON, {"a", "b"}), Message("bob", NOON, body="x")],
        scores={1: 0.5, 2**40: -1.0},
        pets=[Cat(3), Dog("ann")],
        where=Point(5),
        pair=Pair(1, "b"),
        points={Point(1), Point(2)},
        span=(7, "x"),
        by_id={uuid.UUID(int=5): 1},
        by_colour={Colour.RED: 3},
        anything=anything,
    )


TYPED: list[tuple[Any, Any]] = [
    (Room, Room()),
    (Room, full_room()),
    (Room, full_room({"deep": [(1, {2}), 2**70]})),
    (Room, Room(maybe=4, anything={1})),
    (Room, Room(open_since=NOON.astimezone(TWO_HOURS_EAST))),
    (Room, Room(open_since=dt.datetime(2026, 5, 1))),
    (Room, Room(scores={2**80: 1.0})),
    (Room, Room(scores={1: float("nan")})),
    (Basket, Basket(["a"], 2**90)),
    (Basket, Basket(["a"], _secret=4)),
    (Doc, Doc(title="x")),
    (Doc, Doc(title="x", pages=2**66)),
    (dict[str, int], {"a": 2**66}),
    (list[tuple[int, ...]], [(1, 2), ()]),
    (Row, Row(2**70, "x")),
    (Row, Row()),
    (Compact, Compact()),
    (Compact, Compact(a=2**70)),
    (Compact, Compact(when=NOON.astimezone(TWO_HOURS_EAST), tags={"x"})),
    (set[int], {1, 2**70}),
    (frozenset[Point], frozenset({Point(2**70)})),
    (dict[Colour, list[Level]], {Colour.RED: [Level.LOW]}),
    (dict[uuid.UUID, int], {uuid.UUID(int=3): 2**70}),
    (dict[dt.date, Any], {dt.date(2026, 5, 1): {1}}),
    (Cat | Dog, Dog("x")),
    (int, 2**100),
    (decimal.Decimal, decimal.Decimal("1.00")),
]


@pytest.mark.parametrize(("state_type", "value"), TYPED)
def test_a_typed_state_comes_back_as_it_was(state_type: Any, value: Any) -> None:
    tracker = StateTracker(StateCodec(state_type))
    image = tracker.capture(value)
    assert image is not None
    restored = StateTracker(StateCodec(state_type))
    back = restored.restore(image)
    assert type(back) is type(value)
    assert repr(back) == repr(value) or back == value
    assert restored.capture(back) is None
    assert tracker.capture(value) is None


def test_sets_beside_datetimes_are_stored_in_the_plain_form() -> None:
    for size in range(2, 40):
        compact = Compact(when=NOON, tags={f"tag {number}" for number in range(size)})
        assert captured(compact, Compact)[:1] == PLAIN
    keyed = {(1, 2): NOON}
    assert captured(keyed, dict[tuple[int, int], dt.datetime])[:1] == PLAIN


@pytest.mark.parametrize("offset", [dt.UTC, TWO_HOURS_EAST, dt.timezone(-dt.timedelta(hours=5))])
def test_a_typed_datetime_keeps_its_offset(offset: dt.timezone) -> None:
    back = StateCodec(Compact).decode(captured(Compact(when=NOON.astimezone(offset)), Compact))
    assert (back.when, back.when.utcoffset()) == (NOON, offset.utcoffset(None))


def test_a_typed_value_that_cannot_be_compared_can_be_stored() -> None:
    tracker = StateTracker(StateCodec(list[decimal.Decimal]))
    assert tracker.capture([decimal.Decimal("sNaN")]) is not None
    assert str(tracker.last_value()) == "[Decimal('sNaN')]"


def test_a_typed_state_is_stored_in_the_plain_form() -> None:
    assert StateCodec(Row).is_closed
    assert captured(Row(1, "a"), Row)[:1] == PLAIN
    room = full_room(anything={"a": [1]})
    assert captured(room, Room)[:1] == PLAIN


CHANGES: list[Callable[[Room], Any]] = [
    lambda room: room.messages.append(Message("eve", NOON)),
    lambda room: room.messages[0].tags.add("c"),
    lambda room: setattr(room.messages[1], "body", None),
    lambda room: setattr(room.messages[1], "at", NOON + dt.timedelta(microseconds=1)),
    lambda room: setattr(room, "open_since", NOON.replace(tzinfo=TWO_HOURS_EAST)),
    lambda room: setattr(room, "open_since", NOON.replace(tzinfo=None)),
    lambda room: room.scores.pop(1),
    lambda room: setattr(room.pets[0], "lives", 2),
    lambda room: room.pets.reverse(),
    lambda room: room.points.discard(Point(1)),
    lambda room: setattr(room, "maybe", 0),
    lambda room: room.anything["list"].append(1),
    lambda room: room.anything.update(tuple=[1]),
    lambda room: setattr(room, "pair", Pair(1, ["b"])),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
@pytest.mark.parametrize("anything", [{"list": []}, {"list": [], "tuple": (1,)}])
def test_a_change_of_a_typed_state_is_noticed(number: int, anything: Any) -> None:
    tracker = StateTracker(StateCodec(Room))
    room = full_room(copy.deepcopy(anything))
    tracker.capture(room)
    assert tracker.capture(room) is None
    CHANGES[number](room)
    assert tracker.capture(room) is not None
    assert tracker.last_value() == room
    assert tracker.capture(room) is None


class Puppy(Dog, tag="dog", rename="camel"):
    toys: int = 0


def test_what_the_type_of_a_state_has_no_place_for_is_refused() -> None:
    with pytest.raises(StateNotSerializable, match="come back"):
        captured({"title": "x", "surplus": 1}, Doc)
    with pytest.raises(StateNotSerializable, match=r"state.pets\[0\] is a Puppy"):
        captured(Room(pets=[Puppy("x", toys=2)]), Room)
    with pytest.raises(StateNotSerializable, match=r"state.span is a list"):
        captured(Room(span=[7, "x"]), Room)  # type: ignore[arg-type]  # pyright: ignore


def test_a_state_that_breaks_its_type_is_refused_with_the_place() -> None:
    room = Room()
    room.scores["one"] = 2  # type: ignore[index]  # pyright: ignore
    with pytest.raises(StateNotSerializable, match="scores"):
        captured(room, Room)
    with pytest.raises(StateNotSerializable, match="Expected `object`"):
        captured(5, Room)


def test_a_field_without_a_value_is_refused() -> None:
    row = Row()
    del row.a
    with pytest.raises(StateNotSerializable, match=r"state\.a has no value"):
        captured(row, Row)


def test_a_new_field_with_a_default_reads_old_images() -> None:
    class Old(msgspec.Struct):
        a: int

    class New(msgspec.Struct):
        a: int
        b: list[int] = []

    for value in (Old(1), Old(2**70)):
        tracker = StateTracker(StateCodec(New))
        state = tracker.restore(captured(value, Old))
        assert state == New(value.a)
        assert tracker.last_value() == state


def test_an_image_of_another_type_is_unreadable() -> None:
    class New(msgspec.Struct):
        b: int

    with pytest.raises(StateUnreadable, match="b"):
        StateCodec(New).decode(captured(Row(), Row))
    with pytest.raises(StateUnreadable, match="b"):
        StateTracker(StateCodec(New)).restore(captured({"c": {1}}))


def test_a_state_type_that_msgspec_refuses_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="cannot be a state type"):
        StateCodec(str | bytes)
