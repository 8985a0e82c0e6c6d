"""The short way through a usual call in BARE ends where the reader, judge of all calls, ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stator.runtime.errors import InvalidRequest
from stator.runtime.protocol import to_server
from stator.runtime.protocol.connection import ActionRequest
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.to_server import decode_to_server, encode_to_server

calls = st.builds(
    ActionRequest,
    st.integers(0, 2**15) | st.integers(0, 2**64 - 1),
    st.text(max_size=130),
    st.lists(st.none() | st.integers() | st.text(max_size=40), max_size=5),
)
versions = st.sampled_from([1, 2, 3, 4])


def unusual(_: bytes) -> None:
    """Take no call for a usual one."""


def outcome(data: bytes, *, shortcut: bool) -> Any:
    """Return what decoding gives or how it fails, with or without the short way."""
    with pytest.MonkeyPatch.context() as patch:
        if not shortcut:
            patch.setattr(to_server, "_read_usual_call", unusual)
        try:
            return decode_to_server(Encoding.BARE, data)
        except InvalidRequest as error:
            return error.message


@given(calls, versions)
def test_a_call_is_read_alike_both_ways(call: ActionRequest, version: int) -> None:
    data = encode_to_server(Encoding.BARE, version, call)
    assert outcome(data, shortcut=True) == outcome(data, shortcut=False)


@given(calls, versions, st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3))
@example(ActionRequest(0, "a", []), 4, 3, b"\x80\x00", 1)
@example(ActionRequest(0, "a", []), 4, 6, b"", 9)
def test_a_damaged_call_is_judged_alike_both_ways(
    call: ActionRequest, version: int, at: int, inserted: bytes, removed: int
) -> None:
    data = encode_to_server(Encoding.BARE, version, call)
    at = min(at, len(data))
    damaged = data[:at] + inserted + data[at + removed :]
    assert outcome(damaged, shortcut=True) == outcome(damaged, shortcut=False)
