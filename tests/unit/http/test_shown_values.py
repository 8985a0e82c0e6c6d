"""Values of actors for people: always JSON, whatever they are."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.http.shown_values import shown, shown_body, shown_image
from stator.runtime.protocol.cbor_dialect import NATIVE, encode_cbor
from stator.runtime.workflow.values import encode_value


class Order(msgspec.Struct):
    id: int
    paid: bool = False


def _nested(depth: int) -> Any:
    value: Any = object()
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({"a": [1, "x", True]}, {"a": [1, "x", True]}),
        ((1, 2), [1, 2]),
        (Order(3), {"id": 3, "paid": False}),
        (b"\x00\x01", ["$Uint8Array", "AAE="]),
        (2**60, ["$BigInt", str(2**60)]),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00.000Z"),
        (Decimal("1.5"), "1.5"),
    ],
)
def test_what_json_can_say_is_as_clients_see_it(value: Any, expected: Any) -> None:
    assert shown(value) == expected


def test_what_json_cannot_say_is_its_text_and_the_rest_is_there() -> None:
    view = shown({"a": 1, ("k",): [2, Ellipsis], "half \ud800": 3})
    assert view == {"a": 1, "('k',)": [2, "Ellipsis"], "half ?": 3}


def test_the_text_of_a_value_is_not_long() -> None:
    assert len(shown([bytearray(5000), range(10), Ellipsis, "\ud800" * 5000])[3]) == 1000


@pytest.mark.parametrize("depth", [10, 100, 100_000])
def test_depth_is_no_matter(depth: int) -> None:
    assert msgspec.json.encode(shown(_nested(depth)))


@pytest.mark.parametrize("value", [None, 1, "x", [1, {"a": (2, 3)}], {1, 2}, 2.5])
def test_an_image_shows_what_it_is_of(value: Any) -> None:
    assert shown_image(encode_value(value)) == shown(value)


def test_a_record_is_an_object_without_its_class() -> None:
    assert shown_image(encode_value(Order(3))) == {"id": 3, "paid": False}


def test_no_image_is_null() -> None:
    assert shown_image(None) is None


def test_the_body_of_a_message() -> None:
    assert shown_body(encode_cbor({"a": {1}}, NATIVE, "body")) == {"a": [1]}


@given(st.binary())
def test_whatever_is_stored_is_shown(data: bytes) -> None:
    assert msgspec.json.encode([shown_image(data), shown_body(data)])
