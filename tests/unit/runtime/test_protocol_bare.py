"""The BARE primitives: what is written, and everything a reader refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.errors import InvalidRequest
from stator.runtime.protocol import bare
from stator.runtime.protocol.actions import decode_action_request
from stator.runtime.protocol.bare import Reader
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.envelope import answer_version
from stator.runtime.protocol.queue import decode_queue_request
from stator.runtime.protocol.to_client import decode_to_client
from stator.runtime.protocol.to_server import decode_to_server


@given(st.integers(0, 2**64 - 1))
def test_a_uint_survives_and_is_minimal(number: int) -> None:
    written = bare.uint(number)
    reader = Reader(written)
    assert reader.uint() == number
    reader.end()
    assert len(written) == max(1, -(-number.bit_length() // 7))


@given(st.integers(0, 2**64 - 1), st.booleans(), st.text(), st.none() | st.binary())
def test_fields_survive(number: int, flag: bool, text: str, data: bytes | None) -> None:
    blob = None if data is None else bare.blob(data)
    parts = bare.u64(number), bare.boolean(flag), bare.text(text), bare.optional(blob)
    reader = Reader(b"".join(parts))
    assert (reader.u64(), reader.boolean(), reader.text()) == (number, flag, text)
    assert reader.optional(reader.blob) == data
    reader.end()


def test_a_lone_surrogate_is_written_as_a_question_mark() -> None:
    assert bare.text("a\ud800b") == b"\x03a?b"


@pytest.mark.parametrize(
    ("data", "read", "words"),
    [
        ("", Reader.version, "truncated"),
        ("04", Reader.version, "truncated"),
        ("0000", Reader.version, "version 0"),
        ("0500", Reader.version, "version 5"),
        ("0401", Reader.version, "version 260"),
        ("", Reader.uint, "truncated"),
        ("80", Reader.uint, "truncated"),
        ("8000", Reader.uint, "not minimal"),
        ("ff00", Reader.uint, "not minimal"),
        ("ffffffffffffffffff02", Reader.uint, "wider than 64 bits"),
        ("ffffffffffffffffffff01", Reader.uint, "wider than 64 bits"),
        ("00000000000000", Reader.u64, "truncated"),
        ("02", Reader.boolean, "0 or 1, not 2"),
        ("", Reader.boolean, "truncated"),
        ("0200", Reader.blob, "truncated"),
        ("ffffffffffffffffff01", Reader.blob, "truncated"),
        ("02c328", Reader.text, "not UTF-8"),
        ("03eda080", Reader.text, "not UTF-8"),
        ("00", Reader.end, "after the BARE message"),
    ],
)
def test_what_a_reader_refuses(data: str, read: Callable[[Reader], Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read(Reader(bytes.fromhex(data)))


def test_the_widest_uint_is_read() -> None:
    assert Reader(bytes.fromhex("ffffffffffffffffff01")).uint() == 2**64 - 1


def test_an_optional_needs_its_presence_byte() -> None:
    reader = Reader(b"\x02\x01a")
    with pytest.raises(InvalidRequest, match="0 or 1"):
        reader.optional(reader.text)


def action(body: bytes) -> object:
    return decode_action_request(Encoding.BARE, body)


def queue(body: bytes) -> object:
    return decode_queue_request(Encoding.BARE, body)


def to_server(body: bytes) -> object:
    return decode_to_server(Encoding.BARE, body)


def to_client(body: bytes) -> object:
    return decode_to_client(Encoding.BARE, body)


@pytest.mark.parametrize(
    ("decode", "body", "words"),
    [
        (action, "0400 02 81", "truncated"),
        (action, "0400 02 8105 00", "after the BARE message"),
        (action, "0400 03 810500", "after the CBOR item"),
        (action, "0400 00", "CBOR is not valid"),
        (action, "0900 02 8105", "version 9 is not supported, only 1 to 4"),
        (queue, "0200 01 01 00 00 00", "version 2 is not supported, only 3 to 4"),
        (queue, "0400 01 01 00 0102 00", "0 or 1, not 2"),
        (to_server, "0400 02 00", "Unknown message tag 2"),
        (to_server, "0400 8000", "not minimal"),
        (to_server, "0400 01 0161 01 00", "after the BARE message"),
        (to_client, "0400 04", "Unknown message tag 4"),
        (to_client, "0400 03 0161 01 05", '"args" of an event must be an array'),
    ],
)
def test_what_a_message_must_not_be(
    decode: Callable[[bytes], object], body: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        decode(bytes.fromhex(body))


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_calls_of_all_versions_are_answered_in_theirs(version: int) -> None:
    body = bare.version(version) + b"\x02\x81\x05"
    assert decode_action_request(Encoding.BARE, body) == ([5], version)
    assert answer_version(Encoding.BARE, body) == version


@pytest.mark.parametrize("body", [b"", b"\x04", b"\x09\x00", b"\x00\x00\x00"])
def test_a_call_of_no_known_version_is_answered_in_the_common_one(body: bytes) -> None:
    assert answer_version(Encoding.BARE, body) == (4 if body == b"\x04" else 3)
    assert answer_version(Encoding.JSON, body) == 0
