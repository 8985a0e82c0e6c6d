"""Keys of entries: no two places share one, and what is in a key can be read from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.workflow import keys

NAMES = st.text(st.characters(codec="utf-8"), min_size=1) | st.text("~/%2F7E0", min_size=1)


def key_of(names: list[str]) -> str:
    key = ""
    for name in names:
        key = keys.join(key, name)
    return key


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("charge", "charge"),
        ("a/b", "a%2Fb"),
        ("100%", "100%25"),
        ("~3", "%7E3"),
        ("a~b", "a~b"),
        ("%2F", "%252F"),
        ("Grüße 1", "Grüße 1"),
    ],
)
def test_a_name_is_escaped_where_it_would_look_like_something_else(name: str, segment: str) -> None:
    assert keys.escape(name) == segment


@pytest.mark.parametrize("name", ["", "\ud800"])
def test_a_name_that_cannot_be_a_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name in a workflow"):
        keys.join("scope", name)


@given(st.lists(NAMES, min_size=1), st.lists(NAMES, min_size=1))
def test_different_places_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


@given(st.lists(NAMES), NAMES, st.integers(min_value=0))
def test_no_name_looks_like_a_turn(scope: list[str], name: str, number: int) -> None:
    loop = key_of([*scope, "loop"])
    assert keys.join(loop, name) != keys.turn_key(loop, number)
    assert keys.turn_of(keys.join(loop, name), loop) is None


@given(st.lists(NAMES), NAMES)
def test_the_last_name_is_shown_as_it_was_given(scope: list[str], name: str) -> None:
    key = keys.join(key_of(scope), name)
    assert keys.show(keys.last_name(key)) == name


def test_a_key_is_shown_with_its_names_as_they_were_given() -> None:
    key = keys.join(keys.turn_key(keys.join("", "orders"), 12), "100%")
    assert key == "orders/~12/100%25"
    assert keys.show(key) == "orders/~12/100%"


@given(st.lists(NAMES), st.lists(NAMES))
def test_a_key_is_within_the_scopes_around_it(scope: list[str], inner: list[str]) -> None:
    assert keys.is_within(key_of([*scope, *inner]), key_of(scope)) == bool(inner)


def test_a_scope_does_not_hold_what_only_begins_like_it() -> None:
    assert not keys.is_within("orders2/a", "orders")
    assert not keys.is_within("loop/~12/a", "loop/~1")


@pytest.mark.parametrize(
    ("key", "turn"),
    [
        ("loop/~3", 3),
        ("loop/~12/a", 12),
        ("loop/~0/inner/~7/a", 0),
        ("loop", None),
        ("loop/a", None),
        ("loop2/~3/a", None),
        ("loop/~x/a", None),
        ("loop/~/a", None),
        ("loop/~²/a", None),
    ],
)
def test_the_turn_of_a_loop_is_read_from_a_key(key: str, turn: int | None) -> None:
    assert keys.turn_of(key, "loop") == turn


@pytest.mark.parametrize(
    ("key", "turn"),
    [
        ("loop/~3/a", "loop/~3"),
        ("loop/~3/branch/x/a", "loop/~3"),
        ("loop/~3/inner/~1/a", "loop/~3/inner/~1"),
        ("loop/~3/inner/~1", "loop/~3"),
        ("loop/~3", None),
        ("loop", None),
        ("a/b", None),
        ("a", None),
    ],
)
def test_the_turn_around_an_entry_is_the_innermost(key: str, turn: str | None) -> None:
    assert keys.innermost_turn(key) == turn
