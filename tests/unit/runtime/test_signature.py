"""How what a client sent becomes the arguments of an action."""

import datetime as dt
import decimal
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.declarations import DefinitionError
from stator.runtime.errors import ValidationFailed
from stator.runtime.signature import Parameters, convert_value

if TYPE_CHECKING:
    from pathlib import Path as OnlyForCheckers

NOON = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
TEXT_OF_UUID = "00000000-0000-0000-0000-000000000007"


class Point(msgspec.Struct):
    x: int
    y: float = 0.0


class Item(msgspec.Struct):
    id: uuid.UUID
    at: dt.datetime
    data: bytes


def plain(self: object, text: str, count: int = 1, *, flag: bool = False) -> None: ...
def untyped(self, a, b=None): ...  # type: ignore[no-untyped-def]  # pyright: ignore
def rest(self: object, first: int, *more: int, **ignored: str) -> None: ...
def all_rest(*everything: Any) -> None: ...
def nothing(self: object) -> None: ...
def nested(self: object, points: list[Point]) -> None: ...
def bounded(self: object, age: Annotated[int, msgspec.Meta(ge=18)]) -> None: ...
def returning(self: object, a: int) -> "OnlyForCheckers": ...  # type: ignore[empty-body]
def quoted(self: object, point: "Point") -> None: ...


def bind(method: Any, *arguments: Any) -> list[Any]:
    return list(Parameters(method, "act").bind(arguments))


def refusal(method: Any, *arguments: Any) -> ValidationFailed:
    with pytest.raises(ValidationFailed) as caught:
        bind(method, *arguments)
    assert (caught.value.group, caught.value.code) == ("actor", "validation_error")
    return caught.value


def test_arguments_are_bound_by_position() -> None:
    assert bind(plain, "a") == ["a"]
    assert bind(plain, "a", 2) == ["a", 2]
    assert bind(nothing) == []
    assert bind(rest, 1, 2, 3) == [1, 2, 3]
    assert bind(all_rest, 1, "x") == [1, "x"]
    assert bind(quoted, {"x": 1}) == [Point(1)]


@given(st.lists(st.none() | st.integers() | st.text() | st.lists(st.text()), max_size=2))
def test_without_annotations_anything_passes_as_it_is(arguments: list[Any]) -> None:
    if arguments:
        assert bind(untyped, *arguments) == arguments


@given(st.lists(st.integers() | st.text() | st.booleans() | st.none() | st.floats(), max_size=4))
def test_binding_succeeds_or_refuses(arguments: list[Any]) -> None:
    try:
        bound = bind(plain, *arguments)
    except ValidationFailed:
        return
    assert 1 <= len(bound) <= 2
    assert [type(value) for value in bound] == [str, int][: len(bound)]


def test_too_few_and_too_many_arguments_are_refused() -> None:
    missing = refusal(plain)
    assert missing.message == "act needs the argument 'text'"
    assert missing.metadata == {"issues": [{"path": ["text"], "message": "missing"}]}
    assert refusal(plain, "a", 1, True).message == "act takes 1 to 2 arguments, 3 were given"
    assert refusal(nothing, 1).message == "act takes 0 arguments, 1 were given"
    assert refusal(rest).message == "act needs the argument 'first'"


def test_a_mismatch_names_the_argument_and_the_place() -> None:
    error = refusal(plain, 5)
    assert error.message == "argument 'text': Expected `str`, got `int`"
    assert error.metadata == {
        "issues": [{"path": ["text"], "message": "Expected `str`, got `int`"}]
    }
    deep = refusal(nested, [{"x": 1}, {"x": "two"}])
    assert deep.message == "argument 'points': Expected `int`, got `str` - at `points[1].x`"
    assert "more[1]" in refusal(rest, 1, 2, "x").message


@pytest.mark.parametrize(("wrong", "right"), [(True, 1), ("1", 1), (1.5, 1), (None, 1)])
def test_an_int_is_an_int(wrong: object, right: int) -> None:
    refusal(plain, "a", wrong)
    assert bind(plain, "a", right) == ["a", right]


def test_the_bounds_of_an_annotation_hold() -> None:
    assert bind(bounded, 18) == [18]
    assert "argument 'age': Expected `int` >= 18" in refusal(bounded, 17).message


@pytest.mark.parametrize(
    ("sent", "annotation", "received"),
    [
        (1_790_000_000_000.0, int, 1_790_000_000_000),
        ([4294967296.0], list[int], [4294967296]),
        ({"x": 4294967296.0, "y": 4294967296.0}, Point, Point(4294967296, 4294967296.0)),
        ({4294967296.0: "a"}, dict[int, str], {4294967296: "a"}),
        ({4294967296.0}, set[int], {4294967296}),
        (3, float, 3.0),
        ("2026-05-01T12:00:00Z", dt.datetime, NOON),
        (NOON, dt.datetime, NOON),
        ("2026-05-01", dt.date, dt.date(2026, 5, 1)),
        (TEXT_OF_UUID, uuid.UUID, uuid.UUID(int=7)),
        (uuid.UUID(int=7), uuid.UUID, uuid.UUID(int=7)),
        ("1.50", decimal.Decimal, decimal.Decimal("1.50")),
        ([1, 2], tuple[int, int], (1, 2)),
        ([1, 1], set[int], {1}),
        ({1, 2}, set[int], {1, 2}),
        (b"raw", bytes, b"raw"),
        (
            {"id": TEXT_OF_UUID, "at": NOON, "data": b"x"},
            Item,
            Item(uuid.UUID(int=7), NOON, b"x"),
        ),
        (
            {"id": TEXT_OF_UUID, "at": "2026-05-01T12:00:00Z", "data": b"x"},
            Item,
            Item(uuid.UUID(int=7), NOON, b"x"),
        ),
    ],
)
def test_what_clients_have_no_form_for_is_read_from_what_they_send(
    sent: Any, annotation: Any, received: Any
) -> None:
    converted = convert_value(sent, annotation, "x")
    assert converted == received
    assert type(converted) is type(received)
    if isinstance(converted, (list, set)):
        assert {type(item) for item in converted} == {int}  # pyright: ignore


@pytest.mark.parametrize(
    ("sent", "annotation"),
    [("YWJj", bytes), (1.5, int), (2.0**54, int), (float("inf"), int), (float("nan"), int),
     (b"x", str), ("no", uuid.UUID), ("2026", dt.date), (1.0, bool), ([1.5], list[int])],
)  # fmt: skip
def test_nothing_is_guessed(sent: Any, annotation: Any) -> None:
    with pytest.raises(ValidationFailed, match="argument 'x'"):
        convert_value(sent, annotation, "x")


# -- signatures that are refused where the class is defined


def keyword_only(self: object, *, needed: int) -> None: ...
def unknown_name(self: object, a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821 # pyright: ignore
def bad_attribute(self: object, a: "msgspec.Nothing") -> None: ...  # type: ignore[name-defined]  # pyright: ignore
def no_syntax(self: object, a: "int |") -> None: ...  # type: ignore # noqa: F722 # pyright: ignore
def ambiguous(self: object, a: str | bytes) -> None: ...
def opaque(self: object, a: Parameters) -> None: ...


REFUSED: list[tuple[Any, str]] = [
    (keyword_only, "keyword-only"),
    (unknown_name, "Nowhere"),
    (bad_attribute, "Nothing"),
    (no_syntax, "cannot be resolved"),
    (ambiguous, "cannot be validated"),
    (opaque, "not a type that clients can send"),
]


@pytest.mark.parametrize(("method", "reason"), REFUSED)
def test_a_signature_no_client_can_call_is_refused(method: Any, reason: str) -> None:
    with pytest.raises(DefinitionError, match=reason):
        Parameters(method, "act")


def test_what_an_action_returns_need_not_be_resolvable() -> None:
    assert bind(returning, 1) == [1]
