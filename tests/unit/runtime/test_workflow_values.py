"""Value images: what comes back is what went in, with and without annotations."""

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.sameness import is_same
from stator.runtime.workflow.typed_form import MARK
from stator.runtime.workflow.values import (
    MAX_SHOWN_BYTES,
    decode_value,
    encode_arguments,
    encode_value,
    round_trip,
)
from stator.runtime.workflow_errors import HistoryUnreadable, OutputNotSerializable


class Color(enum.Enum):
    RED = "red"


class Rank(enum.IntEnum):
    HIGH = 3


class Shape(enum.Enum):
    UNIT = (1, 1)  # msgspec has no form for it


class Line(msgspec.Struct, frozen=True):
    sku: str
    count: int = 1


class Order(msgspec.Struct):
    lines: list[Line] = []
    extra: Any = None
    note: str | msgspec.UnsetType = msgspec.UNSET


class Short(msgspec.Struct, array_like=True, tag="short"):
    a: int


@dataclasses.dataclass
class Receipt:
    total: decimal.Decimal
    color: Color = Color.RED
    seen: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    x: Any
    y: int = 0


class Pair(NamedTuple):
    one: Any
    other: Any = None


NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
COUNTED = Receipt(decimal.Decimal("1.50"))
COUNTED.seen = 4

UNTYPED: list[Any] = [
    None,
    True,
    7,
    2**90,
    "text",
    b"bytes",
    1.5,
    [1, [2]],
    (1, (2,)),
    {"a": {1, 2}},
    {(1, 2): frozenset({"x"})},
    NOON,
    NOON.replace(tzinfo=None),
    dt.timedelta(seconds=3),
    uuid.UUID(int=7),
    decimal.Decimal("1.50"),
    Color.RED,
    Rank.HIGH,
    Shape.UNIT,
    Line("a"),
    Order([Line("a", 2)]),
    Order([], extra=Line("b")),
    Order([], extra={"inner": [Pair(1, Color.RED)]}, note="n"),
    Short(3),
    COUNTED,
    Cell((1, 2)),
    Pair(1, 2),
    [Line("a"), Line("b")],
    (Line("a"), [Receipt(decimal.Decimal(1))]),
    {"order": Order(), "color": Color.RED},
    {Line("a"): 1, Color.RED: 2},
    {Line("a"), 3},
    frozenset({Pair(1, 2), Cell(1)}),
    (MARK, "t", 0),
    [Line("a"), (MARK, 0, "looks like a record")],
]


@pytest.mark.parametrize("value", UNTYPED, ids=lambda value: type(value).__name__)
def test_a_value_without_an_annotation_comes_back_as_it_was(value: Any) -> None:
    assert is_same(value, decode_value(encode_value(value)))


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Order([Line("a")]), Order),
        ([Line("a")], list[Line]),
        ({"a": COUNTED}, dict[str, Receipt]),
        ((1, Color.RED), tuple[int, Color]),
        (None, Order | None),
        ([Order(extra=Line("b"))], list[Order]),
        ([Line("a")], list),
        (NOON, dt.datetime),
        ([1, 2], Annotated[list[int], ["no hash"]]),
        (Cell(1), Callable[[], None]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_with_an_annotation_comes_back_as_it_was(value: Any, annotation: Any) -> None:
    image, copy = round_trip(value, annotation)
    assert is_same(value, copy)
    assert is_same(value, decode_value(image, annotation))


@pytest.mark.parametrize(
    ("value", "annotation"),
    [("text", int), (Line("a"), str), ([Line("a")], list[int]), (None, Order), ({1, 2}, Order)],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_is_not_what_is_annotated_is_kept_all_the_same(
    value: Any, annotation: Any
) -> None:
    assert is_same(value, decode_value(encode_value(value, annotation), annotation))


def test_an_annotation_that_says_more_than_the_value_wins_live_as_well() -> None:
    image, copy = round_trip(1, float)
    assert type(copy) is type(decode_value(image, float)) is float


def test_what_is_read_back_is_nobody_elses() -> None:
    order = Order([Line("a")])
    _, copy = round_trip(order, Order)
    order.lines.clear()
    assert copy == Order([Line("a")])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
    | st.binary()
    | st.just(MARK)
    | st.sampled_from(list(Color))
    | st.builds(Line, st.text("ab"), st.integers(0, 9)),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text("ab") | st.integers(0, 9), inner)
        | st.builds(Order, st.just([Line("a")]), inner)
        | st.builds(Cell, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_plain_data_and_records_are_nested_comes_back(value: Any) -> None:
    image, copy = round_trip(value)
    assert is_same(value, copy)
    assert is_same(value, decode_value(image))


@given(VALUES)
def test_whatever_is_stored_can_be_shown_without_the_application(value: Any) -> None:
    shown = decode_value(encode_value(value), loose=True)
    decode_value(encode_value(shown))


def damage(image: bytes, data: st.DataObject) -> bytes:
    damaged = bytearray(image)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    return bytes(damaged[: data.draw(st.integers(0, len(image)))])


@given(st.sampled_from([encode_value(value) for value in UNTYPED]), st.booleans(), st.data())
def test_a_damaged_image_is_unreadable_and_nothing_worse(
    image: bytes, loose: bool, data: st.DataObject
) -> None:
    try:
        decode_value(damage(image, data), loose=loose)
    except HistoryUnreadable as error:
        assert error.message


@given(st.binary(), st.booleans())
def test_bytes_that_are_no_image_are_unreadable(data: bytes, loose: bool) -> None:
    try:
        decode_value(data, Order, loose=loose)
    except HistoryUnreadable as error:
        assert error.message


# ---------------------------------------------------------------------- what is refused


def local_record() -> Any:
    @dataclasses.dataclass
    class Local:
        a: int = 1

    return Local()


def circle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object(), "output is a object, which cannot be stored"),
        ({"a": [Path("x")]}, r"output\['a'\]\[0\] is a PosixPath, which cannot be stored"),
        (Order(extra=print), "output.extra is a builtin_function_or_method"),
        ([local_record()], r"output\[0\] is a local_record.<locals>.Local, whose class cannot be"),
        (circle(), "nested too deeply or contains itself"),
        ("\ud800", "output holds half a surrogate pair"),
        (ValueError("x"), "output is a ValueError, which cannot be stored"),
    ],
    ids=["object", "path", "in a record", "local", "circle", "surrogate", "error"],
)
def test_what_cannot_come_back_is_refused_and_its_place_named(value: Any, problem: str) -> None:
    with pytest.raises(OutputNotSerializable, match=problem):
        encode_value(value)


def test_a_refusal_says_what_to_do_and_what_it_is_about() -> None:
    with pytest.raises(OutputNotSerializable, match=r"the state of loop 'a' is a .*annotate what"):
        encode_value(object(), what="the state of loop 'a'")


class Forgetful:
    """Is no record, but equal to everything."""

    __match_args__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_equality_alone_does_not_make_a_value_storable() -> None:
    with pytest.raises(OutputNotSerializable):
        encode_value(Forgetful())


# ------------------------------------------------------------- when the application changes


def renamed(image: bytes, old: str, new: str) -> bytes:
    assert len(old) == len(new)
    return image.replace(old.encode(), new.encode())


def test_a_class_that_is_not_there_any_more_is_said_so() -> None:
    image = renamed(encode_value(Line("a")), ":Line", ":Gone")
    with pytest.raises(HistoryUnreadable, match="Gone cannot be found"):
        decode_value(image)


def test_a_class_that_is_no_record_any_more_is_said_so() -> None:
    image = renamed(encode_value([Line("a")]), ":Line", ":NOON")
    with pytest.raises(HistoryUnreadable, match="NOON is no class of records any more"):
        decode_value(image)


def test_a_class_that_moved_is_found_by_the_annotation() -> None:
    image = renamed(encode_value(Line("a")), ":Line", ":Gone")
    assert decode_value(image, Line) == Line("a")


def test_a_function_may_be_annotated_later() -> None:
    image = encode_value({"sku": "a", "count": 2})
    assert decode_value(image, Line) == Line("a", 2)


class Short1(NamedTuple):
    one: Any
    gone: int = 0


@dataclasses.dataclass
class Longer:
    one: Any
    more: int = 5
    many: list[int] = dataclasses.field(default_factory=list[int])


def test_fields_that_a_class_has_got_since_have_their_defaults() -> None:
    image = renamed(encode_value([Short1(Line("a"))]), ":Short1", ":Longer")
    assert decode_value(image) == [Longer(Line("a"))]


def test_a_field_without_a_default_is_missed() -> None:
    image = renamed(encode_value([Color.RED, Cell(Line("a"))]), ":Cell", ":Pair")
    with pytest.raises(HistoryUnreadable, match="a stored value cannot be read"):
        decode_value(image)


# -------------------------------------------------------------------------- for viewers


def test_a_viewer_sees_records_as_dicts() -> None:
    value = [Order([Line("a")], extra=Color.RED), Pair(1, 2)]
    shown = decode_value(encode_value(value), loose=True)
    assert shown == [
        {"lines": [{"sku": "a", "count": 1}], "extra": "red"},
        {"one": 1, "other": 2},
    ]


def test_a_viewer_needs_no_class() -> None:
    for value in (Line("a"), [Line("a")]):
        image = renamed(encode_value(value), ":Line", ":Gone")
        assert decode_value(image, loose=True) in (
            {"sku": "a", "count": 1},
            [{"sku": "a", "count": 1}],
        )


def test_a_viewer_sees_sets_of_records_as_lists() -> None:
    assert decode_value(encode_value({Line("a")}), loose=True) == [{"sku": "a", "count": 1}]


@pytest.mark.parametrize("value", ["text", {"a": (1, 2)}])
def test_a_viewer_needs_no_annotation(value: Any) -> None:
    assert decode_value(encode_value(value, int), loose=True) == value


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ((), []),
        ((1, "a"), [1, "a"]),
        (((1, 2),), [(1, 2)]),
        ((Order([Line("a")]),), [{"lines": [{"sku": "a", "count": 1}], "extra": None}]),
        (None, None),
        ({"done": 3}, {"done": 3}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_arguments_are_shown(given: Any, shown: Any) -> None:
    image = encode_arguments(given)
    assert image is not None
    assert decode_value(image, loose=True) == shown


def test_arguments_come_back_with_their_classes() -> None:
    image = encode_arguments((Order([Line("a")]), 3))
    assert image is not None
    assert decode_value(image) == [Order([Line("a")]), 3]


def test_an_argument_that_cannot_be_stored_is_shown_by_its_repr() -> None:
    image = encode_arguments((Path("x"), {"f": [Path("y"), 1]}, Line("a")))
    assert image is not None
    assert decode_value(image, loose=True) == [
        "PosixPath('x')",
        {"f": ["PosixPath('y')", 1]},
        {"sku": "a", "count": 1},
    ]


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("mind your own business")


@pytest.mark.parametrize("argument", [Rude(), "x" * MAX_SHOWN_BYTES], ids=["rude", "large"])
def test_arguments_that_cannot_be_shown_are_left_out(argument: Any) -> None:
    assert encode_arguments((argument,)) is None


def test_large_arguments_are_kept_if_somebody_needs_them() -> None:
    image = encode_arguments(("x" * MAX_SHOWN_BYTES,), limit=None)
    assert image is not None
