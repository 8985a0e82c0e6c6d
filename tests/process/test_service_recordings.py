"""Requests recorded against the peer's real server, made again: is our answer of the same kind?

Compared are the status, group, code, the names in the metadata and the ``x-rivet-error`` header;
of good answers the members of the body; of CORS the headers. Where ours differs on purpose the
scenario stands in ``DIFFERENT`` with what we answer and why.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stator.runtime.protocol.kinds import is_object
from tests.fakes.real_service import HttpAnswer, RealService

pytestmark = pytest.mark.process

FOLDER = Path(__file__).parents[1] / "recorded" / "client"
RECORDED_ACTOR = "lbuydg323rwt4wzik689rs6rx3cl00"
"""The id that stands in the recorded paths; ours takes its place."""


class Exchange(NamedTuple):
    """One recorded request and answer."""

    scenario: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    answer: dict[str, Any]


def _exchanges(name: str) -> list[Exchange]:
    document = json.loads((FOLDER / f"{name}.json").read_text())
    found: list[Exchange] = []
    for scenario in document["scenarios"]:
        for exchange in scenario["exchanges"]:
            request = exchange.get("request")
            if request is None or "…" in request["bodyHex"]:
                continue
            headers = {
                name: value
                for name, value in request["headers"].items()
                if name not in ("content-length", "transfer-encoding")
            }
            found.append(
                Exchange(
                    scenario["scenario"],
                    request["method"],
                    request["path"],
                    headers,
                    bytes.fromhex(request["bodyHex"]),
                    exchange["response"],
                )
            )
            break  # what follows depends on ids of the recording
    return found


DIFFERENT: dict[str, tuple[int, str, str]] = {
    "list-ids-invalid": (200, "", "an id of another form names no actor; it is no error (2.5)"),
    "delete-invalid": (200, "", "an id of another form names no actor; destroying is idempotent"),
    "put-missing-field": (200, "", "only the name is required: curl needs no boilerplate"),
    "get-root": (200, "", "a line of text; there is no page to send people to"),
    "getforid-invalid": (404, "actor.not_found", "the better answer for a new server (2.5)"),
    "fw-action-bad-json": (400, "actor.invalid_request", "says what is wrong; the peer hides it"),
    "fw-action-empty-body": (400, "actor.invalid_request", "says what is wrong"),
    "fw-action-bare-v9": (400, "", "actor.invalid_request in BARE: says what is wrong"),
    "fw-action-bare-trailing": (400, "", "trailing bytes are no BARE struct"),
    "list-name-cursor": (200, "", "our lists hold other actors"),
    "api-health": (200, "", "we are no engine"),
}
"""What we answer instead, and why."""

BY_THE_GATEWAY = {
    "fw-unknown",
    "fw-action-get",
    "fw-action-put",
    "fw-action-extra-segment",
    "fw-action-trailing-slash",
}
"""Our gateway gives these answers itself and says so in ``x-rivet-error``; the peer asks actors."""

KEYLESS = {
    "post-null-key": "loose",
    "post-no-key-then-action": "sleeper",
    "create-empty-key": "shop",
}
"""No key is the empty key, and one actor has it (the peer makes a new one each time): the name of
an actor that no other test creates without a key."""

ELSEWHERE = re.compile(r"^fw-(request|queue|action-bad-params)|^hdr-actor-request$|^cors-raw")
"""Raw requests: ``test_connection_raw_http_recordings.py`` has them; queues:
``test_queue_recordings.py``."""


def _cases(*names: str) -> list[Any]:
    return [
        pytest.param(exchange, id=f"{name}-{exchange.scenario}")
        for name in names
        for exchange in _exchanges(name)
        if not ELSEWHERE.search(exchange.scenario)
    ]


@pytest.fixture(scope="module")
def actor_id(service: RealService) -> str:
    """An actor in the place of the recorded one."""
    return str(service.output("counter", "whoami", key="recorded")["id"])


def _replay(service: RealService, exchange: Exchange, actor_id: str) -> HttpAnswer:
    path = exchange.path.replace(RECORDED_ACTOR, actor_id)
    path = path.replace("/gateway/chat/", "/gateway/counter/")
    path = re.sub(r"/action/(key|input)\b", "/action/whoami", path)
    if "/action/echo" in path:
        path = path.replace(f"/gateway/{actor_id}/action/echo", _echo_path(service))
    name = KEYLESS.get(exchange.scenario, "counter")
    body = exchange.body.replace(b'"name":"chat"', f'"name":"{name}"'.encode())
    return service.request(exchange.method, path, body or None, exchange.headers)


def _echo_path(service: RealService) -> str:
    answer = service.action("echo", "echo", 1, key="recorded")
    return f"/gateway/{answer.headers['x-rivet-actor']}/action/echo"


def _identity(body: Any) -> str:
    if is_object(body) and "group" in body:
        return f"{body['group']}.{body['code']}"
    return ""


@pytest.mark.parametrize(
    "exchange", _cases("gateway-errors", "rest-api", "actor-http-framework", "manage-actors")
)
def test_a_recorded_request_is_answered_as_the_peer_does(
    service: RealService, exchange: Exchange, actor_id: str
) -> None:
    answer = _replay(service, exchange, actor_id)
    recorded = exchange.answer
    ours = _body(answer)
    theirs = recorded["decoded"]
    found = (answer.status, _identity(ours))
    if exchange.scenario in DIFFERENT:
        assert found == DIFFERENT[exchange.scenario][:2]
        return
    assert found == (recorded["status"], _identity(theirs))
    if not is_object(theirs) or not is_object(ours):
        return
    if found[1]:
        # The peer's metadata repeats parts of its message; what programs read must be there.
        missing = _members(theirs.get("metadata")) - _members(ours.get("metadata"))
        assert missing <= NOT_COPIED
        theirs_says = recorded["headers"].get("x-rivet-error")
        says = found[1] if exchange.scenario in BY_THE_GATEWAY else theirs_says
        assert answer.headers.get("x-rivet-error") == says
    else:
        assert ours.keys() >= theirs.keys()


NOT_COPIED = {"message", "host", "path", "detail", "runner_name", "max_size", "key_preview"}
"""Metadata that says no more than the message."""


def _members(metadata: Any) -> set[str]:
    return set(metadata) if is_object(metadata) else set()


def _body(answer: HttpAnswer) -> Any:
    if answer.headers.get("content-type", "").startswith("application/json") and answer.body:
        return answer.json
    return answer.body


ENDPOINT_HEADERS = (
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "vary",
)


@pytest.mark.parametrize("exchange", _cases("cors"))
def test_the_cross_origin_headers_are_those_of_the_peer(
    service: RealService, exchange: Exchange, actor_id: str
) -> None:
    answer = _replay(service, exchange, actor_id)
    recorded = exchange.answer
    assert answer.status == recorded["status"]
    ours = {name: answer.headers.get(name) for name in ENDPOINT_HEADERS}
    assert ours == {name: recorded["headers"].get(name) for name in ENDPOINT_HEADERS}
    if exchange.path.startswith("/gateway") and exchange.method == "OPTIONS":
        assert answer.headers["access-control-max-age"] == "86400"


def test_every_difference_is_of_a_scenario_that_was_recorded() -> None:
    names = ("gateway-errors", "rest-api", "actor-http-framework", "manage-actors", "cors")
    scenarios = {exchange.scenario for name in names for exchange in _exchanges(name)}
    assert scenarios >= DIFFERENT.keys()
