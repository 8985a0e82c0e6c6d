"""Raw HTTP requests recorded between the official clients and the peer's servers, made again.

The recorded application answers with what it saw of the request, so that both directions are
compared: status, headers of the handler, what the handler saw. Addresses and ids of requests are
not: the peer shows its handlers ``http://127.0.0.1`` and the path that is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stator.runtime.protocol.kinds import is_object
from tests.fakes.client_recordings import RawExchange, raw_exchanges
from tests.fakes.real_service import HttpAnswer, RealService

pytestmark = pytest.mark.process

APPLICATION = Path(__file__).parent / "apps" / "recorded"
FILES = ("raw-http", "header-routing", "actor-http-framework", "gateway-errors")
IDS = re.compile(r"/gateway/([0-9a-z]{30})(?=/)|^([0-9a-z]{30})$")
SHOWN = ("content-type", "x-custom", "x-rivet-actor-key", "access-control-allow-origin")
UNSEEN = {
    *("host", "x-rivet-ray-id", "connection", "accept-encoding", "sec-fetch-mode"),
    *("accept", "accept-language", "user-agent", "transfer-encoding", "x-rivet-actor"),
}
"""Headers the recordings left out of requests, or that carry ids."""

DIFFERENT: dict[str, tuple[int, str, str]] = {
    "fetch-userboom": (400, "user.vis", "9.2: of user errors 400 is sensible, as in 2.1.7"),
    "fetch-denied": (400, "user.denied", "9.2: the same"),
    "fetch-two-questionmarks": (404, "actor.not_found", "the better answer for a new server (2.5)"),
    "fw-request-query": (200, "", "8.1: a query without a slash before it is a query of the root"),
    "fw-action-bad-params": (
        400,
        "guard.websocket_closed_before_open",
        "as on a WebSocket (9.6); its text says what is wrong, which the peer hides",
    ),
}
"""What we answer instead, and why."""


ELSEWHERE = {"hdr-missing-actor"}
"""Never reached an actor: ``test_service_recordings.py`` has them."""


def _is_raw(exchange: RawExchange) -> bool:
    if exchange.scenario in ELSEWHERE:
        return False
    return "/request" in exchange.path or exchange.scenario == "fw-action-bad-params"


CASES = [
    pytest.param(exchange, id=f"{file}-{exchange.scenario}")
    for file in FILES
    for exchange in raw_exchanges(file)
    if _is_raw(exchange)
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """The application of the recordings."""
    settings = {"application.path": APPLICATION, "workers.count": 1}
    with RealService(tmp_path_factory.mktemp("recorded"), settings) as running:
        running.wait_ready()
        yield running


def _again(service: RealService, exchange: RawExchange) -> HttpAnswer:
    key = exchange.answer_headers.get("x-rivet-actor-key", "recorded")
    answer = service.action("counter", "get", key=key)
    our_id = answer.headers["x-rivet-actor"]
    path = IDS.sub(lambda match: match[0].replace(match[1] or match[2], our_id), exchange.path)
    headers = {
        name: our_id if name == "x-rivet-actor" else value
        for name, value in exchange.headers.items()
        if name not in ("content-length", "transfer-encoding")
    }
    is_chunked = "transfer-encoding" in exchange.headers
    body = [exchange.body] if is_chunked else exchange.body or None
    return service.request(exchange.method, path, body, headers)


def _identity(answer: HttpAnswer) -> str:
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return ""
    body = answer.json if answer.body else None
    return f"{body['group']}.{body['code']}" if is_object(body) and "group" in body else ""


@pytest.mark.parametrize("exchange", CASES)
def test_a_recorded_raw_request_is_answered_as_it_was(
    service: RealService, exchange: RawExchange
) -> None:
    ours = _again(service, exchange)
    if exchange.scenario in DIFFERENT:
        assert (ours.status, _identity(ours)) == DIFFERENT[exchange.scenario][:2]
        return
    assert ours.status == exchange.status
    theirs = {name: exchange.answer_headers.get(name) for name in SHOWN}
    assert {name: ours.headers.get(name) for name in SHOWN} == theirs
    decoded = exchange.answer_decoded
    if is_object(decoded) and "group" in decoded:
        _assert_same_error(ours.json, decoded)
    elif is_object(decoded):
        _assert_same_request(ours.json, decoded)
    else:
        assert ours.body == exchange.answer


def _assert_same_error(ours: Any, theirs: Any) -> None:
    for name in ("group", "code", "message", "metadata"):
        assert ours.get(name) == theirs.get(name)
    assert ours["actor"]["key"] == theirs["actor"]["key"]


def _assert_same_request(ours: Any, theirs: Any) -> None:
    for name in ("method", "pathname", "search", "bodyHex"):
        assert ours[name] == theirs[name]
    seen = {name: value for name, value in theirs["headers"].items() if name not in UNSEEN}
    assert {name: ours["headers"].get(name) for name in seen} == seen
    if "#" in theirs["url"] or "example.com" in theirs["url"]:
        assert ours["url"] == theirs["url"]  # the client's own URL (8.1)


def test_every_difference_is_of_a_scenario_that_was_recorded() -> None:
    scenarios = {exchange.scenario for file in FILES for exchange in raw_exchanges(file)}
    assert scenarios >= DIFFERENT.keys()
