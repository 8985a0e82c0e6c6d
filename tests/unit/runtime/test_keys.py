"""Actor keys and their serialised form (client-protocol, 2.4 and 3.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.keys import (
    Key,
    deserialize_key,
    normalize_key,
    serialize_key,
    split_query_key,
)

DOCUMENTED: dict[Key, str] = {
    (): "/",
    ("k1",): "k1",
    ("a", "b"): "a/b",
    ("a/b", "c"): r"a\/b/c",
    ("a\\b",): r"a\\b",
    ("",): r"\0",
    ("a", ""): r"a/\0",
    ("0",): "0",
    ("x,y",): "x,y",
    ("a b+c&d=e%f",): "a b+c&d=e%f",
}

tricky = st.text(alphabet=st.sampled_from("/\\0,a\0\ud800é"), max_size=5)
keys = st.lists(tricky | st.text(max_size=4), max_size=4).map(tuple)


@pytest.mark.parametrize(("key", "text"), DOCUMENTED.items())
def test_documented_keys_have_their_documented_form(key: Key, text: str) -> None:
    assert serialize_key(key) == text
    assert deserialize_key(text) == key


@given(keys)
def test_a_key_survives_being_serialised(key: Key) -> None:
    assert deserialize_key(serialize_key(key)) == key


@given(keys, keys)
def test_different_keys_have_different_forms(one: Key, other: Key) -> None:
    assert (serialize_key(one) == serialize_key(other)) == (one == other)


def test_keys_that_look_alike_have_different_forms() -> None:
    alike: list[Key] = [
        (),
        ("",),
        ("", ""),
        ("/",),
        ("\\",),
        ("\\0",),
        ("0",),
        ("\\", "0"),
        ("\\/",),
        ("/", ""),
        ("a/b",),
        ("a", "b"),
        ("a\\", "b"),
        ("a\\/b",),
    ]
    assert len({serialize_key(key) for key in alike}) == len(alike)


@given(st.text(alphabet=st.sampled_from("/\\0ab"), max_size=8))
def test_any_text_is_a_key(text: str) -> None:
    parts = deserialize_key(text)
    assert all(type(part) is str for part in parts)
    assert deserialize_key(serialize_key(parts)) == parts


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (None, ()),
        ("", ()),
        ("a\\", ("a\\",)),
        ("\\a", ("a",)),
        ("a/", ("a", "")),
        ("//", ("",) * 3),
    ],
)
def test_forms_that_nobody_writes_are_read_leniently(text: str | None, key: Key) -> None:
    assert deserialize_key(text) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [(None, ()), ("", ()), ("a,b", ("a", "b")), ("a,", ("a", "")), ("x\\/y,z", ("x\\/y", "z"))],
)
def test_a_key_in_a_url_is_split_at_every_comma(text: str | None, key: Key) -> None:
    assert split_query_key(text) == key


@pytest.mark.parametrize(
    ("written", "key"),
    [(None, ()), ([], ()), ("k", ("k",)), ("", ("",)), (["a", "b"], ("a", "b"))],
)
def test_a_string_is_a_key_of_one_part(written: str | list[str] | None, key: Key) -> None:
    assert normalize_key(written) == key
