"""Connection parameters: JSON within a limit, however it is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.http.params import check_params, params_of
from stator.runtime.errors import MalformedParams, ParamsTooLarge

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_every_json_is_welcome(value: object) -> None:
    check_params(json.dumps(value).encode(), 10**6)


@pytest.mark.parametrize(
    "params",
    [b"{", b"{}}", b"nothing", b"NaN", b"'a'", b'"\xff"', b'"\n"', b"[" * 10_000, b" "],
)
def test_what_is_no_json_is_refused(params: bytes) -> None:
    with pytest.raises(MalformedParams):
        check_params(params, 10**6)


@given(st.binary(max_size=50))
def test_any_bytes_are_json_or_refused(params: bytes) -> None:
    try:
        check_params(params, 100)
    except MalformedParams:
        return
    json.loads(params)


def test_the_limit_is_in_bytes() -> None:
    check_params('"üü"'.encode(), 6)
    with pytest.raises(ParamsTooLarge):
        check_params('"üü"'.encode(), 5)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_header_may_be_utf8_or_latin1(encoding: str) -> None:
    header = '{"name":"Zoë"}'.encode(encoding).decode("utf-8", "surrogateescape")
    assert json.loads(params_of(header)) == {"name": "Zoë"}


@given(st.text())
def test_a_header_in_utf8_is_what_was_meant(text: str) -> None:
    assert params_of(text.encode("utf-8", "replace").decode()) == text.encode("utf-8", "replace")


@given(st.binary())
def test_whatever_a_header_holds_it_becomes_utf8(header: bytes) -> None:
    params_of(header.decode("utf-8", "surrogateescape")).decode()
