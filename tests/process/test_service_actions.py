"""Actions over HTTP against a running service (client-protocol, sections 3, 5 and 9)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fakes.real_service import RealService, make_path, request_over
from tests.process.apps.many_kinds.app import SECRET

pytestmark = pytest.mark.process


def _key() -> str:
    return uuid.uuid4().hex


@pytest.mark.parametrize(
    ("name", "action", "arguments", "output"),
    [
        ("counter", "increment", [3], 3),
        ("counter", "increment_later", [3], 3),
        ("counter", "math.double", [], 0),
        ("shop", "addItem", ["pen", 3], 3),
        ("echo", "echo", [["$BigInt", str(2**70)]], ["$BigInt", str(2**70)]),
        ("echo", "echo", [{"a": [1, None, "é"]}], {"a": [1, None, "é"]}),
        ("caller", "call", ["counter", ["from caller"], "math.double"], 0),
        ("loose", "increment", [], 1),
    ],
)
def test_an_action_is_called_and_answers(
    service: RealService, name: str, action: str, arguments: list[Any], output: Any
) -> None:
    assert service.output(name, action, *arguments, key=_key()) == output


def test_the_answer_names_its_actor(service: RealService) -> None:
    key = _key()
    answer = service.action("counter", "whoami", key=f"{key},b/c")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-rivet-actor"] == answer.json["output"]["id"]
    assert answer.headers["x-rivet-actor-key"] == f"{key}/b\\/c"
    assert int(answer.headers["x-rivet-actor-generation"]) >= 1
    assert answer.headers["x-rivet-ray-id"]
    assert "x-rivet-error" not in answer.headers


def test_every_request_has_a_ray_id_of_its_own(service: RealService) -> None:
    rays = [service.action("echo", "echo", 1).headers["x-rivet-ray-id"] for _ in range(3)]
    rays.append(service.request("GET", "/nope").headers["x-rivet-ray-id"])
    assert len(set(rays)) == 4


def test_actors_are_called_by_id(service: RealService) -> None:
    actor_id = service.output("counter", "whoami", key=_key())["id"]
    answer = service.request("POST", f"/gateway/{actor_id}/action/increment", b'{"args":[2]}')
    assert answer.json == {"output": 2}


def test_a_method_get_finds_but_does_not_create(service: RealService) -> None:
    key = _key()
    missing = service.action("counter", "get", key=key, method="get")
    assert missing.problem == "404 actor.not_found"
    assert missing.headers["x-rivet-error"] == "actor.not_found"
    service.output("counter", "increment", 4, key=key)
    assert service.action("counter", "get", key=key, method="get").json == {"output": 4}


def test_actions_answer_under_the_prefix_of_older_clients(service: RealService) -> None:
    path = "/api/rivet" + make_path("counter", "get", _key())
    assert service.request("POST", path, b"{}").json == {"output": 0}


def test_parallel_first_requests_meet_one_actor(service: RealService) -> None:
    key = _key()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(service.output, "counter", "increment", 1, key=key) for _ in range(16)]
        outputs = [call.result() for call in calls]
        assert sorted(outputs) == list(range(1, 17))


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (b"{}", []),
        (b'{"args":null}', []),
        (b'{"args":5}', 5),
        (b'{"args":{"a":1}}', {"a": 1}),
        (b'{"args":[1,2],"more":3}', [1, 2]),
    ],
)
def test_arguments_are_read_as_leniently_as_the_peer_does(
    service: RealService, body: bytes, output: Any
) -> None:
    assert service.request("POST", make_path("echo", "echo"), body).json == {"output": output}


@pytest.mark.parametrize(
    ("encoding", "request_body", "answer_body", "content_type"),
    [
        ("cbor", b"\xa1\x64args\x81\x05", b"\xa1\x66output\x05", "application/octet-stream"),
        ("bare", b"\x04\x00\x02\x81\x05", b"\x04\x00\x01\x05", "application/octet-stream"),
        ("bare", b"\x01\x00\x02\x81\x05", b"\x01\x00\x01\x05", "application/octet-stream"),
        ("xml", b'{"args":[5]}', b'{"output":5}', "application/json"),
        (None, b'{"args":[5]}', b'{"output":5}', "application/json"),
    ],
)
def test_the_header_selects_the_encoding_of_both_ways(
    service: RealService,
    encoding: str | None,
    request_body: bytes,
    answer_body: bytes,
    content_type: str,
) -> None:
    headers = {"x-rivet-encoding": encoding} if encoding else {}
    answer = service.request("POST", make_path("echo", "echo"), request_body, headers)
    assert (answer.status, answer.body) == (200, answer_body)
    assert answer.headers["content-type"] == content_type


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("json", b""),
        ("json", b"{"),
        ("json", b"[]"),
        ("json", b'{"args":["$Nope",1]}'),
        ("json", b"\xff"),
        ("json", b'{"args":[' + b"[" * 20_000),
        ("cbor", b""),
        ("cbor", b"\xff"),
        ("cbor", b"\xa1\x64args\x81\x05\x00"),
        ("cbor", b"\xa1\x64args\x9b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("bare", b""),
        ("bare", b"\x04"),
        ("bare", b"\x09\x00\x02\x81\x05"),
        ("bare", b"\x04\x00\xff\xff\xff\xff\x0f"),
        ("bare", b"\x04\x00\x02\x81\x05\x00"),
    ],
)
def test_a_malformed_body_is_an_invalid_request_in_its_encoding(
    service: RealService, encoding: str, body: bytes
) -> None:
    answer = service.request(
        "POST", make_path("echo", "echo"), body, {"x-rivet-encoding": encoding}
    )
    assert answer.status == 400
    assert b"invalid_request" in answer.body
    assert b"Traceback" not in answer.body
    assert answer.headers["x-rivet-actor"]
    if encoding == "json":
        assert answer.json["actor"]["actorId"] == answer.headers["x-rivet-actor"]


@pytest.mark.parametrize(
    ("action", "problem", "message"),
    [
        ("user_error", "400 user.denied", "You may not"),
        ("own_error", "409 shop.sold_out", "Sold out"),
        ("unexpected", "500 rivetkit.internal_error", "An internal error occurred"),
        ("hang", "408 actor.action_timed_out", "hang did not finish within 0.1 s"),
        ("spoil_state", "500 actor.state_not_serializable", "state['bad'] is a object"),
        ("unsendable", "500 actor.output_not_serializable", "output"),
        ("nothing", "404 actor.action_not_found", "faulty has no action 'nothing'"),
    ],
)
def test_errors_of_actors_reach_the_caller_as_they_may(
    service: RealService, action: str, problem: str, message: str
) -> None:
    answer = service.action("faulty", action, key=action)
    assert answer.problem == problem
    assert message in answer.json["message"]
    assert SECRET.encode() not in answer.body
    assert b"Traceback" not in answer.body
    assert answer.json["actor"]["key"] == action
    assert "x-rivet-error" not in answer.headers
    assert service.output("faulty", "get", key=action) == {}


def test_wrong_arguments_are_refused_with_their_name(service: RealService) -> None:
    answer = service.action("shop", "addItem", "pen", "three")
    assert answer.problem == "400 actor.validation_error"
    assert "'price'" in answer.json["message"]
    assert answer.json["metadata"]["issues"]


def test_an_unregistered_actor_is_not_registered(service: RealService) -> None:
    assert service.action("nobody", "get").problem == "404 actor.not_registered"


@pytest.mark.parametrize("actor_id", ["nonsense", "0" * 25 + "0000s", "0" * 25 + "zzzzs", "%20"])
def test_an_id_nobody_has_is_not_found(service: RealService, actor_id: str) -> None:
    answer = service.request("POST", f"/gateway/{actor_id}/action/get", b"{}")
    assert answer.problem == "404 actor.not_found"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_an_action_wants_post(service: RealService, method: str) -> None:
    answer = service.request(method, make_path("counter", "get"))
    assert answer.problem == "405 actor.method_not_allowed"


def test_a_chunked_body_is_read_whole(service: RealService) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"args":'
        yield b'["a'
        yield b'b"]}'

    answer = service.request("POST", make_path("echo", "echo"), pieces())
    assert answer.json == {"output": "ab"}


def test_one_connection_serves_many_requests_whatever_their_answers(
    service: RealService,
) -> None:
    connection = service.connect()
    paths = [make_path("echo", "echo"), "/nope", "/metadata", make_path("nobody", "x")]
    for path in paths * 3:
        answer = request_over(connection, "POST", path, b'{"args":[1]}')
        assert answer.status in (200, 404, 405)
    connection.close()


@pytest.mark.parametrize(
    ("inner", "status", "body"),
    [
        ("/metadata", 200, b'"rivetkit"'),
        ("/health", 200, b"ok"),
        ("/", 200, b"actor"),
        ("", 200, b"actor"),
        ("/nope", 404, b'"not_found"'),
        ("/action/get/x", 404, b'"not_found"'),
        ("/action/get/", 404, b'"not_found"'),
        ("/action", 404, b'"not_found"'),
    ],
)
def test_the_framework_paths_of_an_actor(
    service: RealService, inner: str, status: int, body: bytes
) -> None:
    actor_id = service.output("counter", "whoami", key="framework")["id"]
    answer = service.request("GET", f"/gateway/{actor_id}{inner}")
    assert answer.status == status
    assert body in answer.body


# ----------------------------------------------------------------------- header routing


def test_header_routing_reaches_an_actor_by_its_id(service: RealService) -> None:
    actor_id = service.output("counter", "whoami", key="headers")["id"]
    headers = {"x-rivet-target": "actor", "x-rivet-actor": actor_id}
    answer = service.request("GET", "/request/x?y=1", headers=headers)
    assert answer.headers["x-rivet-actor"] == actor_id


@pytest.mark.parametrize(
    ("path", "headers", "problem"),
    [
        ("/request/x", {"x-rivet-target": "actor"}, "400 guard.missing_header"),
        ("/request/x", {"x-rivet-target": "moon", "x-rivet-actor": "a"}, "404 guard.no_route"),
        ("/action/get", {"x-rivet-target": "actor", "x-rivet-actor": "a"}, "404 guard.no_route"),
        ("/requestx", {"x-rivet-target": "actor", "x-rivet-actor": "a"}, "404 guard.no_route"),
        ("/request/x", {"x-rivet-target": "actor", "x-rivet-actor": "a"}, "404 actor.not_found"),
    ],
)
def test_header_routing_refuses_what_it_cannot_route(
    service: RealService, path: str, headers: dict[str, str], problem: str
) -> None:
    answer = service.request("GET", path, headers=headers)
    assert answer.problem == problem
    assert answer.headers["x-rivet-error"] == problem.split()[1]


@pytest.mark.parametrize("value", ["true", "1", "false", "0"])
def test_the_wait_header_is_accepted(service: RealService, value: str) -> None:
    answer = service.action("echo", "echo", 1, headers={"x-rivet-skip-ready-wait": value})
    assert answer.status == 200


def test_another_value_of_the_wait_header_is_refused(service: RealService) -> None:
    answer = service.action("echo", "echo", 1, headers={"x-rivet-skip-ready-wait": "maybe"})
    assert answer.problem == "400 guard.invalid_header"
    assert answer.json["metadata"]["header"] == "x-rivet-skip-ready-wait"
