"""What is stored of a state comes back equal, types included, and no change goes unnoticed."""

import copy
import datetime as dt
import decimal
import enum
import math
import uuid
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.errors import StateNotSerializable
from stator.runtime.state_codec import EXACT, PLAIN, StateCodec, StateTracker

TWO_HOURS_EAST = dt.timezone(dt.timedelta(hours=2))
NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)

# -- values


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal, types and time zones included; written without the codec."""
    return type(one) is type(other) and bool(_is_equal(one, other))


def _is_equal(one: Any, other: Any) -> Any:
    match one:
        case float():
            return math.isnan(other) if math.isnan(one) else repr(one) == repr(other)
        case dict():
            pairs = zip(one.items(), other.items(), strict=False)  # pyright: ignore
            return len(one) == len(other) and all(is_same(a, b) for a, b in pairs)  # pyright: ignore
        case list() | tuple():
            return len(one) == len(other) and all(map(is_same, one, other))  # pyright: ignore
        case set() | frozenset():
            return one == other and all(any(is_same(a, b) for b in other) for a in one)  # pyright: ignore
        case dt.datetime() | dt.time():
            return one == other and one.utcoffset() == other.utcoffset()
        case decimal.Decimal():
            return str(one) == str(other)
        case _:
            return one == other


offsets = st.integers(-1439, 1439).map(lambda n: dt.timezone(dt.timedelta(minutes=n)))
datetimes = st.datetimes(timezones=st.none() | st.just(dt.UTC) | offsets)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.text(max_size=6)
    | st.binary(max_size=6)
    | datetimes
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
)
hashables = st.recursive(
    scalars.filter(lambda value: value == value),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | hashables, inner, max_size=4)
        | st.sets(hashables, max_size=3)
        | st.frozensets(hashables, max_size=3)
    ),
    max_leaves=12,
)


def captured(value: object, state_type: Any = Any) -> bytes:
    image = StateTracker(StateCodec(state_type)).capture(value)
    assert image is not None
    return image


def stored(value: object, state_type: Any = Any) -> Any:
    return StateCodec(state_type).decode(captured(value, state_type))


@given(values)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    assert is_same(stored(value), value)


@given(values)
def test_an_unchanged_value_is_stored_once(value: Any) -> None:
    tracker = StateTracker(StateCodec())
    image = tracker.capture(value)
    assert image is not None
    assert tracker.capture(value) is None
    assert tracker.capture(copy.deepcopy(value)) is None
    restored = StateTracker(StateCodec())
    again = restored.restore(image)
    assert is_same(again, value)
    assert restored.capture(again) is None
    assert is_same(restored.last_value(), value)


@given(values, values)
def test_a_change_is_noticed(before: Any, after: Any) -> None:
    tracker = StateTracker(StateCodec())
    tracker.capture(before)
    image = tracker.capture(after)
    assert (image is None) == is_same(before, after)
    assert is_same(tracker.last_value(), after)


@given(st.dictionaries(st.text(max_size=3), values, min_size=1), st.data())
def test_a_change_is_noticed_however_deep_it_was_made(
    state: dict[str, Any], data: st.DataObject
) -> None:
    tracker = StateTracker(StateCodec())
    tracker.capture(state)
    place = state
    while True:
        key = data.draw(st.sampled_from(list(place)))
        if not (isinstance(place[key], dict) and place[key]):
            break
        place = place[key]
    place[key] = ["changed", place[key]]
    assert tracker.capture(state) is not None
    assert is_same(tracker.last_value(), state)


# -- values that equality or msgpack alone would confuse

LOOKALIKES: list[tuple[object, object]] = [
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    ([1], (1,)),
    ([1], {1}),
    ({1}, frozenset({1})),
    ({0, True}, {1, False}),
    ("2026-05-01T12:00:00", dt.datetime(2026, 5, 1, 12)),
    (NOON, NOON.replace(tzinfo=None)),
    ("00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
    (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
    (decimal.Decimal(1), "1"),
    (2**64 - 1, 2**64),
    (-(2**63), -(2**63) - 1),
    (float("nan"), None),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1: "a"}, {True: "a"}),
    ((1, (2,)), (1, [2])),
    (dt.time(12), dt.time(12, tzinfo=dt.UTC)),
    (dt.time(12, tzinfo=dt.UTC), dt.time(14, tzinfo=TWO_HOURS_EAST)),
    (b"a", "a"),
    (dt.date(2026, 5, 1), dt.datetime(2026, 5, 1)),
]


@pytest.mark.parametrize(("one", "other"), LOOKALIKES)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_values_that_look_alike_are_told_apart(one: object, other: object, depth: int) -> None:
    def wrap(value: object) -> object:
        return (value, {"x": [value]}, (value,))[depth]

    for before, after in ((wrap(one), wrap(other)), (wrap(other), wrap(one))):
        tracker = StateTracker(StateCodec())
        assert tracker.capture(before) is not None
        assert tracker.capture(after) is not None
        assert is_same(tracker.last_value(), after)
        assert tracker.capture(after) is None


def test_ordinary_values_are_stored_in_the_plain_form() -> None:
    ordinary: dict[str, Any] = {
        "text": "a",
        "list": [1, 2.5, None, True],
        "bytes": b"x",
        "map": {"1": {}},
        "n": 2,
    }
    assert captured(ordinary)[:1] == PLAIN
    assert captured({"a": (1, 2)})[:1] == EXACT


# -- what cannot be stored


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Point(msgspec.Struct, frozen=True):
    x: int


class Pair(NamedTuple):
    a: int
    b: Any


class Text(str):
    pass


def itself() -> object:
    loop: list[object] = []
    loop.append(loop)
    return loop


UNSTORABLE: list[tuple[object, str]] = [
    (object(), "object"),
    (lambda: None, "function"),
    ([bytearray(b"x")], "bytearray"),
    (Colour.RED, "Colour"),
    ({"c": [Level.LOW]}, "Level"),
    ({"c": {Colour.RED}}, "Colour"),
    ({Colour.RED: 1}, "Colour"),
    ({"d": defaultdict(int)}, "defaultdict"),
    ({"d": OrderedDict(a=1)}, "OrderedDict"),
    ({"p": Point(1)}, "Point"),
    ({"p": Pair(1, 2)}, "Pair"),
    ({"p": {Pair(1, 2)}}, "set"),
    (Text("x"), "Text"),
    ({"t": ["\ud800"]}, "surrogate"),
    ({"\ud800": 1}, "surrogate"),
    (math, "module"),
    (ValueError("x"), "ValueError"),
    (1j, "complex"),
    (msgspec.UNSET, "UnsetType"),
    (itself(), "itself"),
]


@pytest.mark.parametrize(("value", "named"), UNSTORABLE, ids=lambda part: type(part).__name__)
def test_what_cannot_come_back_is_refused(value: object, named: str) -> None:
    tracker = StateTracker(StateCodec())
    assert tracker.capture({"good": True}) is not None
    with pytest.raises(StateNotSerializable, match=named):
        tracker.capture(value)
    assert tracker.last_value() == {"good": True}
    assert tracker.capture({"good": True}) is None


def test_a_refusal_names_the_path() -> None:
    with pytest.raises(StateNotSerializable, match=r"state\['a'\]\[1\]\['b'\] is a object"):
        captured({"a": [1, {"b": object()}]})
    with pytest.raises(StateNotSerializable, match=r"state\['a'\]\[0\] is a Colour"):
        captured({"a": [Colour.RED]})


def test_a_value_that_is_never_equal_can_be_stored() -> None:
    state: dict[str, Any] = {"f": float("nan"), "d": decimal.Decimal("sNaN"), "s": {1}}
    tracker = StateTracker(StateCodec())
    assert tracker.capture(state) is not None
    assert tracker.capture(state) is None
    assert str(tracker.last_value()) == str(state)


def test_an_offset_is_stored_but_moving_to_it_is_no_change_by_itself() -> None:
    state: dict[str, Any] = {"when": NOON, "n": 1}
    tracker = StateTracker(StateCodec())
    tracker.capture(state)
    state["when"] = NOON.astimezone(TWO_HOURS_EAST)
    assert tracker.capture(state) is None
    state["n"] = 2
    assert tracker.capture(state) is not None
    assert is_same(tracker.last_value(), state)
    state["when"] = NOON
    assert tracker.capture(state) is not None


def test_a_zone_by_name_comes_back_as_its_offset() -> None:
    class Berlin(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(hours=2)

        def tzname(self, _: dt.datetime | None) -> str:
            return "Berlin"

        def dst(self, _: dt.datetime | None) -> None:
            return None

    state = {"when": dt.datetime(2026, 5, 1, 12, tzinfo=Berlin())}
    back = stored(state)["when"]
    assert (back, back.hour, back.utcoffset()) == (state["when"], 12, dt.timedelta(hours=2))
    assert back.tzinfo == TWO_HOURS_EAST
