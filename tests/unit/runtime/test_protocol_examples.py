"""The worked examples of client-protocol, 11.4, in both directions where both are ours.

Where the client's own encoder (cbor-x) counts map members in two bytes, only decoding is exact.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stator.runtime.error_views import ErrorView
from stator.runtime.protocol.actions import (
    decode_action_request,
    decode_action_response,
    encode_action_request,
    encode_action_response,
)
from stator.runtime.protocol.connection import (
    ActionRequest,
    ActionResponse,
    ErrorMessage,
    Event,
    Init,
    SubscriptionRequest,
    ToClient,
    ToServer,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import ActorSpecifier, decode_error, encode_error
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    QueueSendResponse,
    decode_queue_request,
    decode_queue_response,
    encode_queue_response,
)
from stator.runtime.protocol.to_client import decode_to_client, encode_to_client
from stator.runtime.protocol.to_server import decode_to_server, encode_to_server

ACTOR_ID = "dxhduhhadhx6ztqilh3096dap9cl00"
CONNECTION_ID = "7b309dc6-f877-4369-bc0e-802a22c7378a"
ACTOR = ActorSpecifier(ACTOR_ID, 1, "mwpvlsoa/bare")
MOMENT = datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=UTC)


def plain(*parts: str) -> bytes:
    return bytes.fromhex("".join(parts))


def error(code: str, message: str, metadata: Any) -> ErrorView:
    return ErrorView("user", code, message, metadata, 500)


@pytest.mark.parametrize(
    ("args", "data"),
    [
        ([5], plain("0400", "02", "8105")),
        (["héllo"], plain("0400", "08", "81 66 68c3a96c6c6f")),
        (
            [b"\x01\x02\xff"],
            plain("0400", "13", "81 82 6b 2455696e74384172726179 64 41514c2f"),
        ),
        ([MOMENT], plain("0400", "0b", "81 c1 fb 41d954fc4007df3b")),
        ([{1, 2}], plain("0400", "0a", "81 82 64 24536574 82 01 02")),
    ],
)
def test_examples_1_3_4_7_8_action_requests(args: list[Any], data: bytes) -> None:
    assert decode_action_request(Encoding.BARE, data) == (args, 4)
    assert encode_action_request(Encoding.BARE, 4, args) == data


@pytest.mark.parametrize(
    ("args", "data"),
    [
        (
            [{"a": 1, "b": None}],
            plain("0400", "16", "81 b90002 6161 01 6162 82 6a 24556e646566696e6564 00"),
        ),
        ([{"a": 1}], plain("0400", "08", "81 d90103 a1 6161 01")),
    ],
)
def test_examples_6_8_undefined_and_map_are_narrowed(args: list[Any], data: bytes) -> None:
    assert decode_action_request(Encoding.BARE, data) == (args, 4)


def test_example_2_action_response() -> None:
    data = plain("0400", "01", "05")
    assert encode_action_response(Encoding.BARE, 4, 5) == data
    assert decode_action_response(Encoding.BARE, data) == 5


def test_example_5_undefined_is_read_as_none() -> None:
    data = plain("0400", "0d", "82 6a 24556e646566696e6564 00")
    assert decode_action_response(Encoding.BARE, data) is None


@pytest.mark.parametrize(
    ("request_", "data"),
    [
        (
            QueueSendRequest({"id": 1}, "jobs", False, None),
            plain("0400", "07 b9000162696401", "01 04 6a6f6273", "01 00", "00"),
        ),
        (
            QueueSendRequest({"id": 2}, "work", True, 5000),
            plain("0400", "07b9000162696402", "01 04 776f726b", "01 01", "01 8813000000000000"),
        ),
    ],
)
def test_examples_9_10_queue_sends(request_: QueueSendRequest, data: bytes) -> None:
    assert decode_queue_request(Encoding.BARE, data) == (request_, 4)


@pytest.mark.parametrize(
    ("answer", "data"),
    [
        (QueueSendResponse("completed"), plain("0400", "09 636f6d706c65746564", "00")),
        (QueueSendResponse("timedOut"), plain("0400", "08 74696d65644f7574", "00")),
    ],
)
def test_example_11_queue_answers(answer: QueueSendResponse, data: bytes) -> None:
    assert encode_queue_response(Encoding.BARE, 4, answer) == data
    assert decode_queue_response(Encoding.BARE, data) == answer


def test_example_11_queue_answer_with_a_response() -> None:
    value = "b9000263676f74b9000162696402616e01"
    data = plain("0400", "09 636f6d706c65746564", "01 11", value)
    expected = QueueSendResponse("completed", {"got": {"id": 2}, "n": 1})
    assert decode_queue_response(Encoding.BARE, data) == expected


def test_example_12_http_error() -> None:
    data = plain(
        "0400",
        "04 75736572",
        "07 6d795f636f6465",
        "0c 757365722076697369626c65",
        "01 04 a1616101",
        "01",
        "1e" + ACTOR_ID.encode().hex(),
        "01",
        "01 0d 6d7770766c736f612f62617265",
    )
    assert encode_error(Encoding.BARE, 4, error("my_code", "user visible", {"a": 1}), ACTOR) == data
    decoded = decode_error(Encoding.BARE, "application/octet-stream", 500, data)
    assert str(decoded) == "user.my_code: user visible"
    assert decoded.metadata == {"a": 1}


TO_CLIENT: list[tuple[Encoding, int, ToClient, bytes]] = [
    (
        Encoding.BARE,
        4,
        Init(ACTOR_ID, CONNECTION_ID),
        plain("0400 00 1e", ACTOR_ID.encode().hex(), "24", CONNECTION_ID.encode().hex()),
    ),
    (Encoding.BARE, 4, ActionResponse(0, 5), plain("0400", "02", "00", "01 05")),
    (
        Encoding.BARE,
        4,
        Event("newCount", [5]),
        plain("0400", "03", "08 6e6577436f756e74", "02 8105"),
    ),
    (
        Encoding.BARE,
        4,
        ErrorMessage(error("denied", "no entry", {"why": "params"}), None),
        plain(
            "0400 01 04 75736572 06 64656e696564 08 6e6f20656e747279",
            "01 0c a16377687966706172616d73 00 00",
        ),
    ),
    (
        Encoding.CBOR,
        0,
        Init(ACTOR_ID, CONNECTION_ID),
        plain(
            "a1 64626f6479 a2 63746167 64496e6974 6376616c a2 676163746f724964 781e",
            ACTOR_ID.encode().hex(),
            "6c636f6e6e656374696f6e4964 7824",
            CONNECTION_ID.encode().hex(),
        ),
    ),
    (
        Encoding.CBOR,
        0,
        ActionResponse(0, 5),
        plain(
            "a1 64626f6479 a2 63746167 6e416374696f6e526573706f6e7365 6376616c a2",
            "626964 1b0000000000000000 666f7574707574 05",
        ),
    ),
    (
        Encoding.CBOR,
        0,
        Event("newCount", [5]),
        plain(
            "a1 64626f6479 a2 63746167 654576656e74 6376616c a2",
            "646e616d65 686e6577436f756e74 6461726773 8105",
        ),
    ),
    (
        Encoding.JSON,
        0,
        Event("newCount", [5]),
        b'{"body":{"tag":"Event","val":{"args":[5],"name":"newCount"}}}',
    ),
    (
        Encoding.JSON,
        0,
        ActionResponse(0, 5),
        b'{"body":{"tag":"ActionResponse","val":{"id":["$BigInt","0"],"output":5}}}',
    ),
    (
        Encoding.JSON,
        0,
        ErrorMessage(error("my_code", "user visible", {"a": 1}), 1, ActorSpecifier("l", 1, "k/j")),
        b'{"body":{"tag":"Error","val":{"actionId":["$BigInt","1"],"actor":{"actorId":"l",'
        b'"generation":1,"key":"k/j"},"code":"my_code","group":"user","message":"user visible",'
        b'"metadata":{"a":1}}}}',
    ),
]


@pytest.mark.parametrize(("encoding", "version", "message", "data"), TO_CLIENT)
def test_examples_13_16_17_18_and_the_captured_envelopes(
    encoding: Encoding, version: int, message: ToClient, data: bytes
) -> None:
    assert encode_to_client(encoding, version, message) == data
    assert decode_to_client(encoding, data) == (message, version)


def test_example_19_action_error_in_version_3() -> None:
    data = plain(
        "0300 01 04 75736572 07 6d795f636f6465 0c 757365722076697369626c65",
        "01 06 b90001616101 01 00",
    )
    expected = ErrorMessage(error("my_code", "user visible", {"a": 1}), 0)
    assert decode_to_client(Encoding.BARE, data) == (expected, 3)
    shorter = data.replace(plain("06 b90001616101"), plain("04 a1616101"))
    with_actor = ErrorMessage(expected.error, 0, ACTOR)
    assert encode_to_client(Encoding.BARE, 3, with_actor) == shorter


TO_SERVER: list[tuple[Encoding, int, ToServer, bytes]] = [
    (
        Encoding.BARE,
        4,
        SubscriptionRequest("newCount", True),
        plain("0400", "01", "08 6e6577436f756e74", "01"),
    ),
    (
        Encoding.BARE,
        4,
        SubscriptionRequest("newCount", False),
        plain("0400", "01", "08 6e6577436f756e74", "00"),
    ),
    (
        Encoding.BARE,
        4,
        ActionRequest(0, "increment", [5]),
        plain("0400", "00", "00", "09 696e6372656d656e74", "02 8105"),
    ),
    (
        Encoding.JSON,
        0,
        SubscriptionRequest("newCount", True),
        b'{"body":{"tag":"SubscriptionRequest","val":{"eventName":"newCount","subscribe":true}}}',
    ),
    (
        Encoding.JSON,
        0,
        ActionRequest(0, "increment", [5]),
        b'{"body":{"tag":"ActionRequest","val":{"id":["$BigInt","0"],"name":"increment",'
        b'"args":[5]}}}',
    ),
]


@pytest.mark.parametrize(("encoding", "version", "message", "data"), TO_SERVER)
def test_examples_14_15_and_the_captured_client_messages(
    encoding: Encoding, version: int, message: ToServer, data: bytes
) -> None:
    assert encode_to_server(encoding, version, message) == data
    assert decode_to_server(encoding, data) == (message, version)


def test_a_captured_call_in_cbor_mode() -> None:
    data = plain(
        "b90001 64626f6479 b90002 63746167 6d416374696f6e52657175657374 6376616c b90003",
        "626964 1b0000000000000000 646e616d65 69696e6372656d656e74 6461726773 8105",
    )
    assert decode_to_server(Encoding.CBOR, data) == (ActionRequest(0, "increment", [5]), 0)
