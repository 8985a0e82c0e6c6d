"""How values are written and read in JSON (client-protocol, 4.1)."""

from __future__ import annotations

import dataclasses
import enum
import types
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cbor2 import dumps

from stator.runtime.errors import InvalidRequest
from stator.runtime.protocol.actions import (
    decode_action_request,
    encode_action_response,
)
from stator.runtime.protocol.encoding import CONTENT_TYPES, Encoding, encoding_of

JSON, CBOR, BARE, NATIVE = Encoding.JSON, Encoding.CBOR, Encoding.BARE, Encoding.NATIVE
EAST = timezone(timedelta(hours=2))


class Colour(enum.Enum):
    RED = "red"


class Metres(float):
    """A number with a unit."""


class Level(enum.IntEnum):
    HIGH = 7


class Point(msgspec.Struct, rename="camel", tag=True):
    left_edge: int
    seen: frozenset[int] = frozenset()


class Sparse(msgspec.Struct, omit_defaults=True):
    a: int = 1
    b: list[int] = []
    c: int | msgspec.UnsetType = msgspec.UNSET


class Pair(msgspec.Struct, array_like=True, tag="$p"):
    value: int


@dataclasses.dataclass
class Message:
    text: str
    data: bytes
    late: Any = msgspec.UNSET


def answer(value: object) -> str:
    """Return the JSON of an output."""
    body = encode_action_response(JSON, 0, value).decode()
    return body.removeprefix('{"output":').removesuffix("}")


@pytest.mark.parametrize(
    ("header", "encoding"),
    [("json", JSON), ("cbor", CBOR), ("bare", BARE), (None, JSON), ("native", JSON), ("x", JSON)],
)
def test_an_unknown_encoding_means_json(header: str | None, encoding: Encoding) -> None:
    assert encoding_of(header) is encoding


def test_every_encoding_has_a_content_type() -> None:
    assert set(CONTENT_TYPES) == set(Encoding)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**53 - 1, "9007199254740991"),
        (-(2**53) + 1, "-9007199254740991"),
        (2**53, '["$BigInt","9007199254740992"]'),
        (-(2**53), '["$BigInt","-9007199254740992"]'),
        ({"n": [2**70]}, '{"n":[["$BigInt","1180591620717411303424"]]}'),
        (float("nan"), "null"),
        ([float("inf"), -float("inf")], "[null,null]"),
        (b"\x01\x02\xff", '["$Uint8Array","AQL/"]'),
        (bytearray(b"\x07\x08"), '["$Uint8Array","Bwg="]'),
        (memoryview(b""), '["$Uint8Array",""]'),
        (datetime(2023, 11, 14, 22, 13, 20, 123999, tzinfo=UTC), '"2023-11-14T22:13:20.123Z"'),
        (datetime(2023, 11, 14, 0, 0, tzinfo=EAST), '"2023-11-13T22:00:00.000Z"'),
        (datetime(2023, 11, 14, 0, 0, 1), '"2023-11-14T00:00:01"'),
        (date(2020, 1, 2), '"2020-01-02"'),
        (UUID(int=5), '"00000000-0000-0000-0000-000000000005"'),
        (Decimal("1.50"), '"1.50"'),
        ({1}, "[1]"),
        (frozenset({"$x"}), '["$x"]'),
        ((1, ("a", None)), '[1,["a",null]]'),
        (["$x", 1], '["$$x",1]'),
        (("$x", 1), '["$$x",1]'),
        ([["$", ["$$y", 2]]], '[["$$",["$$$y",2]]]'),
        (["$x", 1, 2], '["$x",1,2]'),
        ([1, "$x"], '[1,"$x"]'),
        (["$x"], '["$x"]'),
        (Pair(1), '["$$p",1]'),
        ({2: 1, 1.5: 2, False: 3, None: 4}, '{"2":1,"1.5":2,"false":3,"null":4}'),
        ({Colour.RED: Colour.RED, Level.HIGH: Level.HIGH}, '{"red":"red","7":7}'),
        (Point(1, frozenset({2})), '{"type":"Point","leftEdge":1,"seen":[2]}'),
        ([Sparse(), Sparse(b=[1], c=2)], '[{},{"b":[1],"c":2}]'),
        (Message("hi", b"\x00"), '{"text":"hi","data":["$Uint8Array","AA=="]}'),
        (types.MappingProxyType({"a": (1,)}), '{"a":[1]}'),
        ([Metres(1.5), (1,)], "[1.5,[1]]"),
        (range(3), "[0,1,2]"),
    ],
)
def test_json_output(value: object, text: str) -> None:
    assert answer(value) == text


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ('[["$BigInt","-5"]]', [-5]),
        ('[["$Uint8Array","AQL/"],["$ArrayBuffer",""]]', [b"\x01\x02\xff", b""]),
        ('[["$Undefined",0]]', [None]),
        ('[["$$x",["$BigInt","1"]]]', [["$x", 1]]),
        ('[["$Set",[1,[2,[3]],["$Set",[4]]]]]', [{1, (2, (3,)), frozenset({4})}]),
        ('[["$Set",["$x",1]]]', [{"$x", 1}]),
        ('["$$x",1]', ["$x", 1]),
        ('[ [ "\\u0024BigInt", "7" ] ]', [7]),
        ("[12345678901234567890123]", [12345678901234567890123]),
        ("[1.0]", [1.0]),
    ],
)
def test_json_arguments(text: str, args: list[Any]) -> None:
    assert decode_action_request(JSON, f'{{"args":{text}}}'.encode()) == (args, 0)


def test_objects_in_a_set_are_frozen() -> None:
    [[member]], _ = decode_action_request(JSON, b'{"args":[["$Set",[{"b":[2]}]]]}')
    assert member == {"b": (2,)}
    assert hash(member) == hash(member)
    assert answer(member) == '{"b":[2]}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"x"',
        b"null",
        b"{}x",
        b"{",
        b'{"args":[NaN]}',
        b'{"args":["\xff"]}',
        b'{"args":["\\ud800"]}',
        b'{"args":[' + b"9" * 5000 + b"]}",
        b'{"args":[["$BigInt","' + b"9" * 5000 + b'"]]}',
        b'{"args":[["$BigInt","1_0"]]}',
        b'{"args":[["$BigInt","+1"]]}',
        b'{"args":[["$BigInt","1\\n"]]}',
        '{"args":[["$BigInt","\u0661"]]}'.encode(),
        b'{"args":[["$BigInt",5]]}',
        b'{"args":[["$Uint8Array","AQ"]]}',
        b'{"args":[["$Uint8Array","A Q="]]}',
        b'{"args":[["$Uint8Array",[1]]]}',
        b'{"args":[["$Set",1]]}',
        b'{"args":[["$Foo",1]]}',
        b'{"args":["$",1]}',
        b'{"args":' + b"[" * 100_000,
        b'{"args":' + b'["$$",' * 800 + b"1" + b"]" * 800 + b"}",
    ],
)
def test_malformed_json_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        decode_action_request(JSON, body)
    assert len(refusal.value.message) < 160


@pytest.mark.parametrize("encoding", [JSON, CBOR, NATIVE])
@pytest.mark.parametrize(
    ("call", "args"),
    [
        ({}, []),
        ({"args": None}, []),
        ({"args": "one"}, ["one"]),
        ({"args": {"a": 1}, "extra": 2}, [{"a": 1}]),
        ({"args": [1, 2]}, [1, 2]),
    ],
)
def test_missing_and_single_arguments_are_tolerated(
    encoding: Encoding, call: dict[str, Any], args: list[Any]
) -> None:
    body = msgspec.json.encode(call) if encoding is JSON else dumps(call)
    assert decode_action_request(encoding, body) == (args, 0)
