"""Frames that the server makes, and close codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.http.web_socket_frames import (
    NO_CODE,
    Closing,
    Fragments,
    is_sendable,
    is_utf8,
    make_close,
    make_frame,
    make_pong,
    parse_close,
)
from tests.fakes.wire_frames import BINARY, CLOSE, PONG, TEXT, split_frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 65537])
@pytest.mark.parametrize(("is_text", "opcode"), [(True, TEXT), (False, BINARY)])
def test_a_message_is_one_frame_of_minimal_length(size: int, is_text: bool, opcode: int) -> None:
    assert split_frames(make_frame(b"x" * size, is_text)) == [(opcode, b"x" * size)]


def test_a_pong_repeats_what_the_ping_said() -> None:
    assert split_frames(make_pong(b"now")) == [(PONG, b"now")]


def test_a_close_frame_has_code_and_reason() -> None:
    assert split_frames(make_close(4321, "bye.now")) == [(CLOSE, b"\x10\xe1bye.now")]


def test_a_close_frame_without_a_code_is_empty() -> None:
    assert split_frames(make_close(NO_CODE, "lost")) == [(CLOSE, b"")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000, -1, 70000])
def test_a_code_that_must_not_be_sent_is_a_mistake(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        make_close(code, "")


@given(st.text())
def test_a_reason_is_cut_to_whole_characters(reason: str) -> None:
    ((_, payload),) = split_frames(make_close(1000, reason))
    sent = payload[2:].decode()
    assert len(payload) <= 125
    assert sent == reason or len(payload) > 121


def test_a_lone_surrogate_in_a_reason_is_replaced() -> None:
    assert parse_close(make_close(1000, "a\ud800")[2:]) == Closing(1000, "a?")


@given(st.integers(0, 65535).filter(is_sendable), st.text(max_size=30))
def test_what_was_made_is_read(code: int, reason: str) -> None:
    assert parse_close(make_close(code, reason)[2:]) == Closing(code, reason)


@given(st.binary(max_size=125))
def test_a_close_payload_is_read_or_refused(payload: bytes) -> None:
    try:
        closing = parse_close(payload)
    except ValueError:
        return
    assert make_close(*closing)[2:] == payload


@given(st.binary(max_size=12))
def test_text_is_what_decodes(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_utf8(data)
    else:
        assert is_utf8(data)


@given(st.lists(st.binary(max_size=4)))
def test_fragments_are_text_if_their_whole_is(pieces: list[bytes]) -> None:
    fragments = Fragments(is_text=True)
    accepted = all(
        fragments.add(piece, is_last=i == len(pieces) - 1) for i, piece in enumerate(pieces)
    )
    assert accepted == is_utf8(b"".join(pieces))
    assert not accepted or fragments.joined() == b"".join(pieces)
