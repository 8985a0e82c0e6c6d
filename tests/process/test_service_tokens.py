"""Tokens and namespaces of a running service (client-protocol, sections 2 and 3.5)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.real_service import RealService, make_path

pytestmark = pytest.mark.process

ADMIN = "admin+/token"
CLIENT = "client%token"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """A service with both tokens, whose namespaces are created on use."""
    settings = {
        "auth.client_token": CLIENT,
        "auth.admin_token": ADMIN,
        "namespaces.create_on_use": "true",
        "workers.count": 1,
    }
    with RealService(tmp_path_factory.mktemp("guarded"), settings) as running:
        running.wait_ready()
        yield running


CARRIERS = [
    {"x-rivet-token": CLIENT},
    {"authorization": f"Bearer {CLIENT}"},
    {"authorization": f"bearer {CLIENT}"},
    {"x-rivet-token": ADMIN},
]


@pytest.mark.parametrize("headers", CARRIERS, ids=str)
def test_a_token_in_a_header_opens_actions_and_the_control_api(
    guarded: RealService, headers: dict[str, str]
) -> None:
    assert guarded.action("echo", "echo", 1, headers=headers).json == {"output": 1}
    listed = guarded.request("GET", "/actors?namespace=default&name=echo", headers=headers)
    assert listed.status == 200


def test_a_token_in_the_url_opens_actions(guarded: RealService) -> None:
    answer = guarded.action("counter", "whoami", token=CLIENT)
    assert answer.status == 200
    actor_id = answer.json["output"]["id"]
    quoted = CLIENT.replace("%", "%25")
    direct = guarded.request("POST", f"/gateway/{actor_id}@{quoted}/action/get", b"{}")
    assert direct.json == {"output": 0}


def test_the_token_of_the_url_wins_over_that_of_the_header(guarded: RealService) -> None:
    headers = {"x-rivet-token": CLIENT}
    wrong = guarded.action("echo", "echo", 1, headers=headers, token="wrong")
    assert wrong.problem == "403 auth.forbidden"
    right = guarded.action("echo", "echo", 1, headers={"x-rivet-token": "wrong"}, token=CLIENT)
    assert right.status == 200


def test_actions_without_the_token_are_refused(guarded: RealService) -> None:
    missing = guarded.action("echo", "echo", 1)
    assert missing.problem == "401 auth.unauthorized"
    assert missing.headers["x-rivet-error"] == "auth.unauthorized"
    wrong = guarded.action("echo", "echo", 1, headers={"x-rivet-token": "wrong"})
    assert wrong.problem == "403 auth.forbidden"


def test_a_request_by_header_routing_needs_the_token_too(guarded: RealService) -> None:
    headers = {"x-rivet-target": "actor", "x-rivet-actor": "a"}
    assert guarded.request("GET", "/request", headers=headers).problem == "401 auth.unauthorized"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/actors?namespace=default&name=echo"),
        ("PUT", "/actors?namespace=default"),
        ("POST", "/actors?namespace=default"),
        ("GET", "/actors/names?namespace=default"),
        ("GET", "/namespaces"),
        ("GET", "/datacenters"),
    ],
)
def test_the_control_api_without_the_token_is_refused(
    guarded: RealService, method: str, path: str
) -> None:
    assert guarded.request(method, path).problem == "401 auth.unauthorized"
    wrong = guarded.request(method, path, headers={"authorization": "Bearer wrong"})
    assert wrong.problem == "403 auth.forbidden"


@pytest.mark.parametrize("path", ["/", "/health", "/metadata"])
def test_what_says_that_the_service_lives_needs_no_token(guarded: RealService, path: str) -> None:
    assert guarded.request("GET", path).status == 200


def test_destroying_and_new_namespaces_need_the_admin_token(guarded: RealService) -> None:
    headers = {"x-rivet-token": CLIENT}
    who = guarded.action("counter", "whoami", key="victim", headers=headers)
    path = f"/actors/{who.json['output']['id']}?namespace=default"
    assert guarded.request("DELETE", path).problem == "401 auth.unauthorized"
    assert guarded.request("DELETE", path, headers=headers).problem == "403 auth.forbidden"
    admin = {"x-rivet-token": ADMIN}
    assert guarded.request("DELETE", path, headers=admin).status == 200
    body = {"name": "made-by-admin"}
    assert guarded.send_json("POST", "/namespaces", body, headers).problem == "403 auth.forbidden"
    assert guarded.send_json("POST", "/namespaces", body, admin).status == 200


def test_a_preflight_needs_no_token(guarded: RealService) -> None:
    assert guarded.request("OPTIONS", make_path("echo", "echo")).status == 204
    assert guarded.request("OPTIONS", "/actors").status == 200


def test_tokens_are_shown_nowhere(guarded: RealService) -> None:
    answers = [
        guarded.request("GET", "/metadata"),
        guarded.action("echo", "echo", 1, token="wrong"),
    ]
    for answer in answers:
        assert CLIENT.encode() not in answer.body
        assert ADMIN.encode() not in answer.body


# --------------------------------------------------------------------------- namespaces


def test_a_namespace_is_created_when_it_is_first_used(guarded: RealService) -> None:
    headers = {"x-rivet-token": CLIENT}
    answer = guarded.action("counter", "increment", namespace="fresh", headers=headers)
    assert answer.json == {"output": 1}
    listed = guarded.request("GET", "/namespaces?name=fresh", headers=headers).json
    assert [one["name"] for one in listed["namespaces"]] == ["fresh"]


@pytest.mark.parametrize("name", ["a/b", "n" * 65, "é", "a b", "\x00"])
def test_a_namespace_of_an_impossible_name_is_refused(guarded: RealService, name: str) -> None:
    headers = {"x-rivet-token": CLIENT}
    answer = guarded.action("counter", "get", namespace=name, headers=headers)
    assert answer.problem == "400 namespace.invalid_name"


def test_actors_of_different_namespaces_never_meet(service: RealService) -> None:
    first = service.action("counter", "increment", 5, key="ns", namespace="default")
    second = service.action("counter", "increment", 7, key="ns", namespace="second")
    assert (first.json, second.json) == ({"output": 5}, {"output": 7})
    ids = [answer.headers["x-rivet-actor"] for answer in (first, second)]
    assert ids[0] != ids[1]
    for namespace, own in zip(("default", "second"), ids, strict=True):
        listed = service.request("GET", f"/actors?namespace={namespace}&name=counter&key=ns").json
        assert [one["actor_id"] for one in listed["actors"]] == [own]
        by_ids = f"/actors?namespace={namespace}&actor_ids={','.join(ids)}"
        found = service.request("GET", by_ids).json["actors"]
        assert [one["actor_id"] for one in found] == [own]


def test_a_namespace_nobody_created_is_unknown_everywhere(service: RealService) -> None:
    for method in ("get", "getOrCreate"):
        answer = service.action("counter", "get", namespace="nowhere", method=method)
        assert answer.problem == "400 namespace.not_found"
    for path in ("/actors?name=counter&namespace=nowhere", "/actors/names?namespace=nowhere"):
        assert service.request("GET", path).problem == "400 namespace.not_found"
    body = {"name": "counter", "key": "k"}
    put = service.send_json("PUT", "/actors?namespace=nowhere", body)
    assert put.problem == "400 namespace.not_found"


def test_a_namespace_is_created_by_name_and_then_usable(service: RealService) -> None:
    made = service.send_json("POST", "/namespaces", {"name": "made", "display_name": "Made"})
    assert made.status == 200
    assert made.json["namespace"]["name"] == "made"
    again = service.send_json("POST", "/namespaces", {"name": "made"})
    assert again.json["namespace"]["create_ts"] == made.json["namespace"]["create_ts"]
    assert service.action("counter", "increment", 1, namespace="made").json == {"output": 1}
    names = [one["name"] for one in service.request("GET", "/namespaces").json["namespaces"]]
    assert {"default", "second", "made"} <= set(names)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"name": "a b"}, "400 namespace.invalid_name"),
        ({"name": ""}, "400 namespace.invalid_name"),
        ({"name": "x", "zz": 1}, "400 api.bad_request"),
        ({}, "400 api.bad_request"),
        ({"name": 5}, "400 api.bad_request"),
    ],
)
def test_a_malformed_namespace_is_refused(
    service: RealService, body: dict[str, object], problem: str
) -> None:
    assert service.send_json("POST", "/namespaces", body).problem == problem
