"""Percent-encoding is read like urllib reads it."""

from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.percent_encoding import decode_form, percent_decode

encoded = st.lists(st.sampled_from([*"a/&=+%é", "%2F", "%c3%A9", "%ff", "%zz", "%4"])).map("".join)


@pytest.mark.parametrize(
    ("text", "decoded"),
    [("/a%20b", "/a b"), ("%C3%A9", "é"), ("%e2%82%ac+", "€+"), ("%ff", "\ufffd"), ("%", "%"),
     ("%zz", "%zz"), ("%252F", "%2F"), ("", "")],
)  # fmt: skip
def test_what_is_escaped_is_utf_8(text: str, decoded: str) -> None:
    assert percent_decode(text) == decoded


def test_a_form_keeps_order_repetition_and_empty_values() -> None:
    assert decode_form("b=1&a=x+y&&b=%26&c&d=") == [
        ("b", "1"), ("a", "x y"), ("b", "&"), ("c", ""), ("d", ""),
    ]  # fmt: skip


@given(encoded)
def test_paths_decode_as_urllib_does(text: str) -> None:
    assert percent_decode(text) == unquote(text)


@given(encoded)
def test_forms_decode_as_urllib_does(text: str) -> None:
    assert decode_form(text) == parse_qsl(text, keep_blank_values=True)
