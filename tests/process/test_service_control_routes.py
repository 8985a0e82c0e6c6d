"""The control API of a running service (client-protocol, sections 2 and 10)."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest

from tests.fakes.real_service import HttpAnswer, RealService
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.process

UNIQUE_ID = "0" * 25 + "0000s"


def _key() -> str:
    return uuid.uuid4().hex


def _create(
    service: RealService, method: str = "PUT", namespace: str = "default", **body: Any
) -> HttpAnswer:
    whole = {
        "name": "counter",
        "runner_name_selector": "default",
        "crash_policy": "sleep",
        **body,
    }
    return service.send_json(method, f"/actors?namespace={namespace}", whole)


def _find(service: RealService, query: str) -> list[dict[str, Any]]:
    answer = service.request("GET", f"/actors?namespace=default&{query}")
    assert answer.status == 200, answer
    return list(answer.json["actors"])


# -------------------------------------------------------------------------- the service


def test_metadata_tells_clients_who_answers_and_with_which_actors(service: RealService) -> None:
    path = "/metadata?namespace=default"
    wait_until(lambda: bool(service.request("GET", path).json["actorNames"]), "the workers' names")
    body = service.request("GET", path).json
    assert body["runtime"] == "rivetkit"
    assert body["actorNames"]["counter"] == {"metadata": {"name": "Counter", "icon": "hashtag"}}
    assert set(body["actorNames"]) >= {"counter", "echo", "shop", "faulty"}
    assert "clientEndpoint" not in body


def test_health_root_and_datacenters_answer(service: RealService) -> None:
    assert service.request("GET", "/health").json["status"] == "ok"
    assert service.request("GET", "/").status == 200
    listed = service.request("GET", "/datacenters?namespace=default").json["datacenters"]
    assert [one["name"] for one in listed] == ["default"]


@pytest.mark.parametrize("path", ["/metadata", "/health", "/actors/names?namespace=default"])
def test_every_route_answers_under_the_prefix_of_older_clients(
    service: RealService, path: str
) -> None:
    assert service.request("GET", "/api/rivet" + path).status == 200


@pytest.mark.parametrize("path", ["/health/", "/actors/?namespace=default&name=counter"])
def test_a_slash_at_the_end_means_nothing(service: RealService, path: str) -> None:
    assert service.request("GET", path).status == 200


@pytest.mark.parametrize(
    "path", ["/nope", "/actors/x/y", "/ui/", "/gateway", "/gateway/", "/metadata/x", "/%00", "/.."]
)
def test_an_unknown_path_is_not_found(service: RealService, path: str) -> None:
    answer = service.request("GET", path)
    assert answer.problem == "404 api.not_found"
    assert "x-rivet-error" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/actors?namespace=default", "GET, PUT, POST"),
        ("DELETE", "/actors", "GET, PUT, POST"),
        ("POST", "/metadata", "GET"),
        ("PUT", "/health", "GET"),
        ("POST", "/actors/names", "GET"),
        ("DELETE", "/namespaces", "GET, POST"),
        ("GET", f"/actors/{UNIQUE_ID}", "DELETE"),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(
    service: RealService, method: str, path: str, allowed: str
) -> None:
    answer = service.request(method, path)
    assert (answer.status, answer.body, answer.headers["allow"]) == (405, b"", allowed)


# ------------------------------------------------------------------------------- create


def test_put_creates_an_actor_and_then_finds_it(service: RealService) -> None:
    key = _key()
    first, second = (_create(service, key=key) for _ in range(2))
    assert (first.status, first.json["created"]) == (200, True)
    assert (second.status, second.json["created"]) == (200, False)
    actor = first.json["actor"]
    assert second.json["actor"]["actor_id"] == actor["actor_id"]
    assert {name: actor[name] for name in ("name", "key", "crash_policy", "destroy_ts")} == {
        "name": "counter",
        "key": key,
        "crash_policy": "sleep",
        "destroy_ts": None,
    }
    assert isinstance(actor["create_ts"], int)


def test_post_creates_an_actor_once(service: RealService) -> None:
    key = _key()
    made = _create(service, "POST", key=key)
    assert made.status == 200
    assert "created" not in made.json
    again = _create(service, "POST", key=key)
    assert again.problem == "400 actor.duplicate_key"
    assert again.json["metadata"] == {
        "existing_actor_id": made.json["actor"]["actor_id"],
        "key": key,
    }


def test_the_input_reaches_the_actor(service: RealService) -> None:
    key = _key()
    encoded = base64.b64encode(b"\xa1\x64size\x03").decode()
    assert _create(service, name="input", key=key, input=encoded).status == 200
    assert service.output("input", "input", key=key) == {"size": 3}


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("{}/b", ["{}", "b"]),
        ("{}\\/b/c", ["{}/b", "c"]),
        ("{}\\\\b", ["{}\\b"]),
        ("{}/\\0", ["{}", ""]),
        ("{}//b", ["{}", "", "b"]),
        ("{}\\b", ["{}b"]),
        ("{} é+&=%", ["{} é+&=%"]),
    ],
)
def test_one_key_is_one_actor_however_it_is_written(
    service: RealService, written: str, parts: list[str]
) -> None:
    unique = _key()
    actor = _create(service, key=written.format(unique)).json["actor"]
    comma_joined = ",".join(part.format(unique) for part in parts)
    who = service.output("counter", "whoami", key=comma_joined)
    assert who["id"] == actor["actor_id"]
    assert who["key"] == [part.format(unique) for part in parts]


@pytest.mark.parametrize(
    ("body", "problem", "reason"),
    [
        (b"{", "400 api.bad_request", ""),
        (b"", "400 api.bad_request", ""),
        (b"[]", "400 api.bad_request", ""),
        (b"\xff", "400 api.bad_request", ""),
        (b'{"key":"\\ud800"}', "400 api.bad_request", ""),
        (b"[" * 50_000, "400 api.bad_request", ""),
        (b'{"key":"k"}', "400 api.bad_request", "name"),
        (b'{"name":5}', "400 api.bad_request", "name"),
        (b'{"name":"counter","zz":1}', "400 api.bad_request", "zz"),
        (b'{"name":"counter","crash_policy":"zz"}', "400 api.bad_request", "crash_policy"),
        (b'{"name":"counter","key":"k","input":"YQ"}', "400 api.bad_request", "base64"),
        ('{"name":"counter","key":"k","input":"é"}'.encode(), "400 api.bad_request", "base64"),
        (b'{"name":"counter","key":"k","input":"/w=="}', "400 api.bad_request", "CBOR"),
        (b'{"name":"counter","key":""}', "400 actor.empty_key", ""),
        (b'{"name":"counter","key":"k","datacenter":"mars"}', "400 datacenter.not_found", ""),
        (b'{"name":"nobody","key":"k"}', "404 actor.not_registered", ""),
        (b'{"name":"","key":"k"}', "404 actor.not_registered", ""),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_malformed_creation_is_refused(
    service: RealService, method: str, body: bytes, problem: str, reason: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = service.request(method, "/actors?namespace=default", body, headers)
    assert answer.problem == problem
    assert reason in str(answer.json.get("metadata", ""))
    assert "x-rivet-error" not in answer.headers


def test_an_unknown_pool_is_refused_with_its_name(service: RealService) -> None:
    answer = _create(service, key="k", runner_name_selector="nope")
    assert answer.problem == "400 actor.no_runner_config_configured"
    assert answer.json["metadata"] == {"namespace": "default", "pool_name": "nope"}


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(service: RealService, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = service.request("PUT", "/actors?namespace=default", b'{"name":"counter"}', headers)
    assert answer.problem == "400 api.bad_request"
    assert "application/json" in answer.json["metadata"]["reason"]


def test_a_content_type_may_say_its_character_set(service: RealService) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    body = b'{"name":"counter","key":"charset"}'
    assert service.request("PUT", "/actors?namespace=default", body, headers).status == 200


def test_an_actor_whose_creation_hook_fails_exists_and_is_started_again(
    service: RealService,
) -> None:
    key = _key()
    assert _create(service, name="neverStarts", key=key).status == 200
    answer = service.action("neverStarts", "get", key=key)
    assert answer.problem == "500 rivetkit.internal_error"


# ------------------------------------------------------------------------------ look up


def test_actors_are_found_by_key_and_by_ids(service: RealService) -> None:
    keys = [_key(), _key()]
    ids = [_create(service, key=key).json["actor"]["actor_id"] for key in keys]
    assert [one["actor_id"] for one in _find(service, f"name=counter&key={keys[0]}")] == ids[:1]
    assert [one["actor_id"] for one in _find(service, f"actor_ids={ids[1]},{ids[0]}")] == ids[::-1]
    found = _find(service, f"actor_id={ids[0]}&actor_id={ids[1]}&actor_ids={ids[0]}")
    assert {one["actor_id"] for one in found} == set(ids)


def test_a_look_up_without_a_match_is_an_empty_list(service: RealService) -> None:
    for query in (
        f"name=counter&key={_key()}",
        "name=nobody&key=k",
        f"actor_ids={UNIQUE_ID}",
        "actor_ids=zzz",
    ):
        assert _find(service, query) == []


def test_a_list_is_newest_first_and_goes_on_at_its_cursor(service: RealService) -> None:
    made = [_create(service, name="echo", key=_key()).json["actor"]["actor_id"] for _ in range(5)]
    newest = _find(service, "name=echo&limit=2")
    assert [one["actor_id"] for one in newest] == made[:-3:-1]
    page = service.request("GET", "/actors?namespace=default&name=echo&limit=2").json
    assert page["pagination"]["cursor"] == str(newest[-1]["create_ts"])
    older = _find(service, f"name=echo&limit=2&cursor={newest[-1]['create_ts']}")
    assert all(one["create_ts"] < newest[-1]["create_ts"] for one in older)
    assert _find(service, "name=echo&limit=1&cursor=0") == []


def test_names_are_those_of_actors_that_exist(service: RealService) -> None:
    _create(service, name="shop", key=_key())
    names = service.request("GET", "/actors/names?namespace=default").json["names"]
    assert names["shop"] == {"metadata": {}}
    assert "sleeper" not in names or _find(service, "name=sleeper")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("name=counter", "400 api.bad_request"),
        ("namespace=&name=counter", "400 api.bad_request"),
        ("namespace=default", "400 validation.invalid_input"),
        ("namespace=default&key=k", "400 validation.invalid_input"),
        ("namespace=default&actor_ids=a&name=counter", "400 validation.invalid_input"),
        ("namespace=default&actor_ids=a&key=k", "400 validation.invalid_input"),
        (
            "namespace=default&actor_ids=" + ",".join(["a"] * 33),
            "400 validation.invalid_input",
        ),
        ("namespace=default&name=counter&foo=1", "400 api.bad_request"),
        ("namespace=default&name=a&name=b", "400 api.bad_request"),
        ("namespace=default&name=counter&limit=x", "400 api.bad_request"),
        ("namespace=default&name=counter&limit=-1", "400 api.bad_request"),
        ("namespace=default&name=counter&limit=" + "9" * 40, "400 api.bad_request"),
        ("namespace=default&name=counter&cursor=now", "400 api.bad_request"),
        ("namespace=nope&name=counter", "400 namespace.not_found"),
        ("namespace=no/pe&name=counter", "400 namespace.invalid_name"),
        ("namespace=default&name=counter&key=" + "k" * 2000, "400 actor.key_too_large"),
    ],
)
def test_a_malformed_look_up_is_refused(service: RealService, query: str, problem: str) -> None:
    assert service.request("GET", f"/actors?{query}").problem == problem


# ------------------------------------------------------------------------------ destroy


def test_a_destroyed_actor_is_gone_for_good(service: RealService) -> None:
    key = _key()
    service.output("counter", "increment", 5, key=key)
    actor_id = service.output("counter", "whoami", key=key)["id"]
    for _ in range(2):
        gone = service.request("DELETE", f"/actors/{actor_id}?namespace=default")
        assert (gone.status, gone.json) == (200, {})
    assert _find(service, f"actor_ids={actor_id}") == []
    by_id = service.request("POST", f"/gateway/{actor_id}/action/get", b"{}")
    assert by_id.problem == "404 actor.not_found"
    assert service.output("counter", "get", key=key) == 0


def test_an_actor_is_not_destroyed_from_another_namespace(service: RealService) -> None:
    key = _key()
    actor_id = service.output("counter", "whoami", key=key)["id"]
    service.request("DELETE", f"/actors/{actor_id}?namespace=second")
    assert service.output("counter", "whoami", key=key)["id"] == actor_id


@pytest.mark.parametrize("actor_id", ["zzz", UNIQUE_ID, "%20", "0" * 25 + "zzzzs"])
def test_destroying_what_does_not_exist_changes_nothing(
    service: RealService, actor_id: str
) -> None:
    answer = service.request("DELETE", f"/actors/{actor_id}?namespace=default")
    assert (answer.status, answer.json) == (200, {})


def test_destroying_needs_a_namespace_that_exists(service: RealService) -> None:
    assert service.request("DELETE", f"/actors/{UNIQUE_ID}").problem == "400 api.bad_request"
    unknown = service.request("DELETE", f"/actors/{UNIQUE_ID}?namespace=nope")
    assert unknown.problem == "400 namespace.not_found"
