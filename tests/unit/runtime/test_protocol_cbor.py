"""How values are written and read in CBOR, in BARE and between actors (4.2, 4.3, 12.4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cbor2 import dumps

from stator.runtime.errors import InvalidRequest
from stator.runtime.protocol.actions import (
    decode_action_request,
    decode_action_response,
    decode_input,
    encode_action_request,
    encode_action_response,
)
from stator.runtime.protocol.encoding import Encoding

CBOR, BARE, NATIVE = Encoding.CBOR, Encoding.BARE, Encoding.NATIVE
EAST = timezone(timedelta(hours=2))
HUGE = 10**5000


def cbor_answer(value: object) -> str:
    """Return the CBOR of an output, in hexadecimal."""
    return encode_action_response(CBOR, 0, value).removeprefix(b"\xa1\x66output").hex()


def bare_answer(value: object, version: int) -> bytes:
    return encode_action_response(BARE, version, value)[3:]


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (2**32 - 1, "1affffffff"),
        (-(2**32), "3affffffff"),
        (2**32, "fb41f0000000000000"),
        (-(2**32) - 1, "fbc1f0000000100000"),
        (2**53 - 1, "fb433fffffffffffff"),
        (2**53, "1b0020000000000000"),
        (2**64, "c249010000000000000000"),
        (-(2**64) - 1, "c349010000000000000000"),
        (b"\x01\x02\x03", "d84043010203"),
        (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), "c11a6553f100"),
        (datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC), "c1fb41d954fc4007df3b"),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), "c120"),
        (datetime(2200, 1, 1, tzinfo=UTC), "c1fb41fb09e190000000"),
        (datetime(2023, 11, 14), "73323032332d31312d31345430303a30303a3030"),
        ({1}, "d901028101"),
        ([None, True, 1.5], "83f6f5fb3ff8000000000000"),
        (["$x", 1], "8263242478" + "01"),
        ({7: (1,)}, "a161378101"),
    ],
)
def test_cbor_output(value: object, data: str) -> None:
    assert cbor_answer(value) == data


def test_a_client_sends_no_escapes_in_cbor_mode_and_the_server_expects_none() -> None:
    body = encode_action_request(CBOR, 0, [["$x", 1], b"\x01"])
    assert body.hex() == "a1646172677382" + "8262247801" + "d8404101"
    assert decode_action_request(CBOR, body) == ([["$x", 1], b"\x01"], 0)
    assert decode_action_response(CBOR, encode_action_response(CBOR, 0, ["$x", 1])) == ["$x", 1]


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("fb41f0000000000000", 2**32),
        ("fbc340000000000000", -(2**53)),
        ("fb41efffffffe00000", 2.0**32 - 1),
        ("fb4340000000000001", 2.0**53 + 2),
        ("fb41f0000000080000", 2**32 + 0.5),
        ("f7", None),
        ("d8404101", b"\x01"),
        ("4101", b"\x01"),
        ("d8454401000200", [1, 2]),
        ("d8444203ff", [3, 255]),
        ("d8554400004040", [3.0]),
        ("d84b48fffffffffffffffe", [-2]),
        ("d90103a101d9010281f7", {1: {None}}),
        ("d9010282d84542010002", {(1,), 2}),
        ("c001", InvalidRequest),
        ("c074323032302d30312d30315430303a30303a30305a", datetime(2020, 1, 1, tzinfo=UTC)),
        ("c1fbbff0000000000000", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("c24101", 1),
        ("c34101", -2),
        ("d9d9f701", 1),
        ("1b0000000000000005", 5),
        ("9f01ff", [1]),
        ("d8454101", InvalidRequest),
        ("d845820102", InvalidRequest),
        ("d8531001", InvalidRequest),
        ("d901038101", InvalidRequest),
        ("c1f97e00", InvalidRequest),
        ("c11b7fffffffffffffff", InvalidRequest),
        ("c1f5", InvalidRequest),
        ("c06a323032302d30312d3031", InvalidRequest),
        ("f0", InvalidRequest),
        ("f8ff", InvalidRequest),
        ("81f3", InvalidRequest),
        ("a1f001", InvalidRequest),
        ("d81c81d81d00", InvalidRequest),
        ("c5821a7fffffff01", InvalidRequest),
        ("d8236161", InvalidRequest),
        ("c2590800" + "ff" * 2048, InvalidRequest),
        ("5bffffffffffffffff", InvalidRequest),
        ("9bffffffffffffffff", InvalidRequest),
        ("ba7fffffff", InvalidRequest),
        ("61ff", InvalidRequest),
        ("0101", InvalidRequest),
        ("81" * 100_000, InvalidRequest),
        ("c1" * 100_000, InvalidRequest),
    ],
)
def test_cbor_arguments(item: str, value: Any) -> None:
    body = b"\xa1\x64args\x81" + bytes.fromhex(item)
    if value is InvalidRequest:
        with pytest.raises(InvalidRequest) as refusal:
            decode_action_request(CBOR, body)
        assert len(refusal.value.message) < 160
    else:
        [decoded], _ = decode_action_request(CBOR, body)
        assert decoded == value
        assert type(decoded) is type(value)


def test_only_the_tags_of_the_protocol_are_read() -> None:
    """A tag cbor2 learns in its next release must not reach actors by itself."""
    contents = [b"\x00", b"\x61a", b"\x41a", b"\x82\x01\x02", b"\xa1\x01\x02", b"\xf9\x3c\x00"]
    read: set[int] = set()
    for tag in range(70_000):
        head = b"\xd8" + bytes((tag,)) if tag < 256 else b"\xda" + tag.to_bytes(4, "big")
        for content in contents:
            try:
                decode_input(head + content)
            except InvalidRequest:
                continue
            read.add(tag)
    one_byte = {64, 68, 72}  # the typed arrays whose items fit the contents above
    assert read == {1, 2, 3, 258, 259, 55799} | one_byte


def test_bare_values_are_tagged_since_version_4() -> None:
    value = [b"\x01", 2**64, {1}, ["$x", 1]]
    tagged = [["$Uint8Array", "AQ=="], ["$BigInt", str(2**64)], ["$Set", [1]], ["$$x", 1]]
    assert bare_answer(value, 4) == dumps(tagged)
    native = "84" + "d8404101" + "c249010000000000000000" + "d901028101" + "8262247801"
    for version in (1, 2, 3):
        assert bare_answer(value, version).hex() == native
        body = encode_action_response(BARE, version, value)
        assert decode_action_response(BARE, body) == value


def test_bare_version_3_revives_nothing() -> None:
    data = dumps([["$BigInt", "5"]])
    assert decode_action_request(BARE, b"\x03\x00" + bytes((len(data),)) + data) == (
        [["$BigInt", "5"]],
        3,
    )
    assert decode_action_request(BARE, b"\x04\x00" + bytes((len(data),)) + data) == ([5], 4)


@pytest.mark.parametrize(
    "value",
    [
        2**40,
        2.0**40,
        b"x",
        {1, (2, "a")},
        {1: "a", b"k": None, (1, 2): 3, None: 1.0},
        ["$x", 1],
        ["$Foo", 1],
        datetime(2023, 11, 14, 1, 2, 3, 456789),
        datetime(2023, 11, 14, 1, 2, 3, 456789, tzinfo=EAST),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5, seconds=7))),
    ],
)
def test_native_loses_nothing(value: object) -> None:
    for body in (
        encode_action_response(NATIVE, 0, value),
        encode_action_request(NATIVE, 0, [value]).replace(b"\xa1\x64args\x81", b"\xa1\x66output"),
    ):
        decoded = decode_action_response(NATIVE, body)
        assert decoded == value
        assert type(decoded) is type(value)
        assert str(decoded) == str(value)  # the offset of a datetime, which == ignores


def test_native_keys_of_an_enum_are_its_values() -> None:
    body = encode_action_response(NATIVE, 0, {Encoding.CBOR: {(Encoding.BARE,): 1}})
    assert decode_action_response(NATIVE, body) == {1: {(2,): 1}}


def test_native_carries_integers_of_any_size() -> None:
    assert decode_action_response(NATIVE, encode_action_response(NATIVE, 0, HUGE)) == HUGE
