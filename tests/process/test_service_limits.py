"""What is too large, or no HTTP at all, and that the service goes on after it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.fakes.real_service import RealService, make_path, request_over

pytestmark = pytest.mark.process

LIMIT = 65_536
"""``limits.max_incoming_message_size``."""


def _chunks(size: int) -> Iterator[bytes]:
    yield b'{"args":["'
    while size > 0:
        yield b"x" * min(size, 10_000)
        size -= 10_000
    yield b'"]}'


def _cbor_text(size: int) -> bytes:
    return b"\x7a" + size.to_bytes(4, "big") + b"x" * size


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_and_the_service_goes_on(
    service: RealService, chunked: bool
) -> None:
    path = make_path("echo", "echo")
    body = _chunks(LIMIT) if chunked else b"".join(_chunks(LIMIT))
    answer = service.request("POST", path, body)
    assert answer.problem == "400 message.incoming_too_long"
    assert "limits.max_incoming_message_size (65536 bytes)" in answer.json["message"]
    assert service.output("echo", "echo", 1) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_exactly_the_limit_is_served(service: RealService, chunked: bool) -> None:
    size = LIMIT - len('{"args":[""]}')
    body = _chunks(size) if chunked else b"".join(_chunks(size))
    answer = service.request("POST", make_path("echo", "echo"), body)
    assert (answer.status, len(answer.json["output"])) == (200, size)


def test_a_connection_is_usable_after_a_body_that_was_too_large(service: RealService) -> None:
    connection = service.connect()
    path = make_path("echo", "echo")
    for _ in range(2):
        assert request_over(connection, "POST", path, b"".join(_chunks(LIMIT))).status == 400
        assert request_over(connection, "POST", path, b'{"args":[1]}').json == {"output": 1}
    connection.close()


def test_an_answer_over_the_limit_is_refused(service: RealService) -> None:
    answer = service.action("echo", "big", 1 << 20)
    assert answer.problem == "400 message.outgoing_too_long"
    assert len(service.output("echo", "big", (1 << 20) - 100)) == (1 << 20) - 100


@pytest.mark.parametrize(
    "key", ["k" * 129, "é" * 65, ",".join(["k" * 100] * 11)], ids=["part", "part in bytes", "whole"]
)
def test_a_key_that_is_too_large_is_refused_on_every_way(service: RealService, key: str) -> None:
    assert service.action("counter", "get", key=key).problem == "400 actor.key_too_large"
    assert service.action("counter", "get", key=key, method="get").status == 400
    body = {"name": "counter", "key": key.replace(",", "/")}
    put = service.send_json("PUT", "/actors?namespace=default", body)
    assert put.problem == "400 actor.key_too_large"


@pytest.mark.parametrize("key", ["k" * 128, "é" * 64, ",".join(["k" * 100] * 10)])
def test_a_key_within_the_limits_is_served(service: RealService, key: str) -> None:
    assert service.output("counter", "get", key=key) == 0


def test_an_actor_name_that_is_too_long_is_refused(service: RealService) -> None:
    answer = service.action("n" * 65, "get")
    assert answer.problem == "400 actor.key_too_large"
    assert "limits.max_actor_name_length allows 64" in answer.json["message"]


def test_an_input_over_the_limit_is_refused_and_one_within_it_is_kept(
    service: RealService,
) -> None:
    limit = 4_194_304
    for size, status in ((limit - 5, 200), (limit - 4, 400)):
        given = base64.b64encode(_cbor_text(size)).decode()
        body = {"name": "input", "key": f"input of {size}", "input": given}
        answer = service.send_json("PUT", "/actors?namespace=default", body)
        assert answer.status == status
    assert answer.problem == "400 actor.input_too_large"


def test_a_control_body_without_end_is_refused(service: RealService) -> None:
    headers = {"content-type": "application/json"}
    body = b'{"name":"' + b"x" * 6_000_000 + b'"}'
    answer = service.request("PUT", "/actors?namespace=default", body, headers)
    assert answer.problem == "413 guard.invalid_request_body"


HOST = b"host: x\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting \r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"no colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"a: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /gateway/a\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /gateway/a/action/b HTTP/1.1\r\n" + HOST + b"content-length: abc\r\n\r\n",
        b"POST /gateway/a/action/b HTTP/1.1\r\n" + HOST + b"content-length: -1\r\n\r\n",
        b"POST /gateway/a/action/b HTTP/1.1\r\n"
        + HOST
        + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=lambda data: data[:30],
)
def test_what_is_no_http_is_refused_without_a_trace(service: RealService, data: bytes) -> None:
    answer = service.speak(data)
    assert answer.split(b"\r\n")[0].split()[1] in (b"400", b"413", b"414", b"431", b"505")
    body = answer.partition(b"\r\n\r\n")[2]
    assert json.loads(body).keys() >= {"group", "code", "message"}
    assert b"Traceback" not in body
    assert b".py" not in body
    assert service.output("echo", "echo", 1) == 1


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"5\r\nabc\r\nno", b"ffffffffffffffffff\r\n"])
def test_a_body_whose_chunks_are_malformed_is_refused(service: RealService, chunk: bytes) -> None:
    head = f"POST {make_path('echo', 'echo')} HTTP/1.1\r\n".encode() + HOST
    answer = service.speak(head + b"transfer-encoding: chunked\r\n\r\n" + chunk)
    assert answer.split()[1] == b"400"
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (body["group"], body["code"]) == ("guard", "malformed_request")


def test_a_client_that_leaves_in_the_middle_harms_nobody(service: RealService) -> None:
    parts = urlsplit(service.endpoint)
    assert parts.port
    connection = service.connect()
    connection.putrequest("POST", make_path("echo", "echo"))
    connection.putheader("content-length", "1000")
    connection.endheaders(b'{"args":')
    connection.close()
    assert service.output("echo", "echo", 1) == 1


@pytest.mark.parametrize(
    "name", [b"origin", b"x-rivet-token", b"x-rivet-encoding", b"x-rivet-actor"]
)
def test_headers_that_are_not_utf_8_break_nothing(service: RealService, name: bytes) -> None:
    head = f"POST {make_path('echo', 'echo')} HTTP/1.1\r\n".encode() + HOST
    rest = name + b": \xff\xfe\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
    assert service.speak(head + rest).split()[1] == b"200"
    control = (
        b"GET /metadata HTTP/1.1\r\n" + HOST + name + b": \xff\xfe\r\nconnection: close\r\n\r\n"
    )
    assert service.speak(control).split()[1] == b"200"
