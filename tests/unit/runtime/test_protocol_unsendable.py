"""What cannot be sent is named by its path, and nothing else happens."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec
import pytest

from stator.runtime.errors import InvalidRequest, OutputNotSerializable
from stator.runtime.protocol.actions import (
    decode_action_response,
    decode_input,
    encode_action_request,
    encode_action_response,
    encode_input,
)
from stator.runtime.protocol.encoding import Encoding

JSON, CBOR, BARE, NATIVE = Encoding.JSON, Encoding.CBOR, Encoding.BARE, Encoding.NATIVE
HUGE = 10**5000


@dataclasses.dataclass
class Message:
    text: str
    data: bytes
    late: Any = msgspec.UNSET


def cyclic_list() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def deep_list() -> list[Any]:
    items: list[Any] = []
    for _ in range(100_000):
        items = [items]
    return items


@pytest.mark.parametrize(
    ("encoding", "version"), [(JSON, 0), (CBOR, 0), (BARE, 3), (BARE, 4), (NATIVE, 0)]
)
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": [object()]}, 'output["a"][0]: a value of type object'),
        ([1, {"b": (2, {"c"}.__iter__)}], 'output[1]["b"][1]: a value of type'),
        ({"quo\"te'": 1j}, 'output["quo\\"te\'"]: a value of type complex'),
        ("\ud800", "output: text with a lone surrogate"),
        ([{"\ud800": 1}], 'output[0]["\\ud800"]: text with a lone surrogate'),
        ({UUID(int=1): 1}, "output[UUID]: a key of type UUID"),
        ({1: 1, "x": {1j: 1}}, 'output["x"][complex]: a key of type complex'),
        (Message("hi", b"", late=[object]), 'output["late"][0]: a value of type type'),
        (cyclic_list(), "output contains itself or is nested too deeply"),
        (deep_list(), "output contains itself or is nested too deeply"),
    ],
)
def test_the_path_of_what_cannot_be_sent_is_named(
    encoding: Encoding, version: int, value: object, words: str
) -> None:
    with pytest.raises(OutputNotSerializable) as problem:
        encode_action_response(encoding, version, value)
    assert problem.value.message.startswith(words)


@pytest.mark.parametrize(("encoding", "version"), [(JSON, 0), (CBOR, 0), (BARE, 3), (BARE, 4)])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1: 1, "1": 2}, "output: two of its keys"),
        ([HUGE], "output[0]: the integer has too many digits"),
        ({HUGE: 1}, "output[int]: the key has too many digits"),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), "output: the datetime"),
    ],
)
def test_what_javascript_cannot_hold_is_named(
    encoding: Encoding, version: int, value: object, words: str
) -> None:
    with pytest.raises(OutputNotSerializable) as problem:
        encode_action_response(encoding, version, value)
    assert problem.value.message.startswith(words)


def test_arguments_and_input_name_their_own_root() -> None:
    with pytest.raises(OutputNotSerializable, match=r"^actor.*args\[1\]: "):
        encode_action_request(JSON, 0, [1, object()])
    with pytest.raises(OutputNotSerializable, match=r'^actor.*input\["a"\]: '):
        encode_input({"a": object()})


def test_an_answer_without_output_is_refused() -> None:
    for encoding, body in ((JSON, b"{}"), (CBOR, b"\xa0"), (BARE, b""), (JSON, b"")):
        with pytest.raises(InvalidRequest):
            decode_action_response(encoding, body)


@pytest.mark.parametrize("value", [None, 0, "", {"a": [b"\x00", 2**60, {1}]}, ["$x", 1]])
def test_input_survives(value: object) -> None:
    assert decode_input(encode_input(value)) == value
