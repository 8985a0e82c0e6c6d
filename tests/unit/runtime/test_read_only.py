"""Read-only views: everything can be read through them, nothing changed."""

import copy
import datetime as dt
import pickle
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.errors import ActorError
from stator.runtime.exact_form import encode_exact
from stator.runtime.protocol.cbor_dialect import NATIVE, encode_cbor
from stator.runtime.protocol.json_dialect import encode_json
from stator.runtime.read_only import read_only, unwrap_all
from stator.runtime.signature import convert_value
from tests.fakes.sample_states import CHANGES, Account, Colour, Message, Pair, Room, refused

keys = st.one_of(st.text(max_size=3), st.integers(0, 5), st.tuples(st.integers(0, 3)))
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5),
    st.binary(max_size=3), st.datetimes(), st.just(Colour.RED),
)  # fmt: skip
make_deque: Callable[[Any], Any] = deque
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.tuples(inner, inner),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.lists(inner, max_size=3).map(make_deque),
        st.builds(bytearray, st.binary(max_size=4)),
        st.builds(Account, st.integers(), st.lists(st.integers(), max_size=3)),
        st.builds(Message, st.text(max_size=4), st.lists(st.text(max_size=3), max_size=3)),
        st.builds(Pair, st.lists(st.integers(), max_size=3), inner),
    ),
    max_leaves=12,
)


@given(values)
def test_a_view_equals_its_value_both_ways(value: Any) -> None:
    view = read_only(value)
    assert view == value
    assert value == view
    assert (view != value) is False
    assert view == read_only(value)


@given(values, values)
def test_a_view_equals_nothing_else(one: Any, other: Any) -> None:
    assert (read_only(one) == other) == (one == other)
    assert (read_only(one) == read_only(other)) == (one == other)


@given(values)
def test_a_view_looks_like_its_value(value: Any) -> None:
    view = read_only(value)
    assert (repr(view), str(view), bool(view)) == (repr(value), str(value), bool(value))
    assert isinstance(view, type(value))
    assert dir(view) == dir(value)


@given(values)
def test_a_copy_of_a_view_is_plain_and_detached(value: Any) -> None:
    made = copy.deepcopy(read_only(value))
    assert made == value
    assert type(made) is type(value)
    assert unwrap_all(made) is made or unwrap_all(made) == made


@given(values)
def test_a_view_is_pickled_as_a_plain_value(value: Any) -> None:
    made = pickle.loads(pickle.dumps(read_only(value)))
    assert made == value
    assert type(made) is type(value)


@given(values)
def test_a_view_is_hashable_if_its_value_is(value: Any) -> None:
    view = read_only(value)
    assert isinstance(view, Hashable) == isinstance(value, Hashable)
    try:
        expected = hash(value)
    except TypeError:
        with pytest.raises(TypeError):
            hash(view)
    else:
        assert hash(view) == expected


@given(values)
def test_whatever_is_read_out_of_a_view_cannot_be_changed(value: Any) -> None:
    before = copy.deepcopy(value)
    for part in reached(read_only(value)):
        try_all_changes(part)
    assert value == before


ENCODERS: list[Callable[[Any], bytes]] = [
    lambda value: encode_cbor(value, NATIVE, "x"),
    lambda value: encode_json(value, "x"),
    encode_exact,
]


@pytest.mark.parametrize("encode", ENCODERS)
@given(value=values)
def test_a_view_is_sent_as_its_value(encode: Callable[[Any], bytes], value: Any) -> None:
    view = read_only(value)
    try:
        expected = encode(value)
    except ActorError as error:
        with pytest.raises(type(error)):
            encode(view)
    else:
        assert encode(view) == expected
        assert encode({"a": [view]}) == encode({"a": [value]})


def reached(value: Any) -> list[Any]:
    """Return a value and what can be read out of it."""
    found = [value]
    for item in parts_of(value):
        found += reached(item)
    return found


def parts_of(value: Any) -> list[Any]:
    """Return what is in a value, by every way there is."""
    whole = value  # isinstance() would say less of what is in it
    if isinstance(value, Mapping):
        by_key = [*(whole[key] for key in whole), *(whole.get(key) for key in whole)]
        return [*by_key, *whole.values(), *whole.copy().values(), *(i for _, i in whole.items())]
    if isinstance(value, (Account, Message)):
        names = ("balance", "history") if isinstance(value, Account) else ("text", "tags")
        return [getattr(value, name) for name in names]
    if isinstance(value, (list, tuple, deque)):
        return [*whole, *reversed(whole), *(whole[i] for i in range(len(whole)))]
    return []


def try_all_changes(value: Any) -> None:
    """Try what changes containers and records on a part of a view."""
    if isinstance(value, (Account, Message)):
        name = "balance" if isinstance(value, Account) else "text"
        assert refused(lambda: setattr(value, name, 1))
        assert refused(lambda: delattr(value, name))
    for kind, names in CHANGES.items():
        for name in names if isinstance(value, kind) else ():
            assert refused(partial(call, value, name))


def call(value: Any, name: str) -> None:
    """Call a method."""
    getattr(value, name)()


def test_a_view_is_converted_as_its_value() -> None:
    room = read_only(Room([Message("a", ["x"])], {"a": {"n": 1}}))
    assert convert_value(room, Room, "e") == Room([Message("a", ["x"])], {"a": {"n": 1}})
    assert convert_value(room.messages, list[Message], "e") == [Message("a", ["x"])]
    assert convert_value([room.messages], tuple[list[Message]], "e") == ([Message("a", ["x"])],)
    assert convert_value({"a": room.by_name}, dict[str, Any], "e") == {"a": {"a": {"n": 1}}}
    assert convert_value(read_only({1}), set[int], "e") == {1}
    assert convert_value(read_only(bytearray(b"a")), bytearray, "e") == bytearray(b"a")


def test_a_conversion_does_not_touch_the_numbers_of_a_view() -> None:
    converted = convert_value([read_only([2.0]), 2.0], tuple[list[Any], Any], "e")
    assert [type(converted[0][0]), type(converted[1])] == [float, float]


LEAVES: list[Any] = [
    *(None, True, 1, 1.5, "a", b"a", 1 + 2j, dt.datetime(2026, 1, 1), dt.timedelta(1), Colour.RED),
    *((), (1, "a"), frozenset({1}), Pair, int),
]


@pytest.mark.parametrize("value", LEAVES)
def test_what_nobody_can_change_is_returned_as_it_is(value: Any) -> None:
    assert read_only(value) is value
