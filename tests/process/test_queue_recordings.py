"""Queue sends recorded between the official clients and the peer's servers, made again.

Compared are status, headers of the actor and what a client makes of the answer; the bytes of
answers are compared in ``tests/unit/runtime/test_protocol_recordings.py``. The server of 2.1.7
sent ``undefined`` for nothing, and no header about the actor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stator.runtime.protocol.encoding import Encoding, encoding_of
from stator.runtime.protocol.error_bodies import decode_error
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    decode_queue_response,
    encode_queue_request,
)
from tests.fakes.client_recordings import RawExchange, raw_exchanges
from tests.fakes.real_service import HttpAnswer, RealService, make_path

pytestmark = pytest.mark.process

APPLICATION = Path(__file__).parent / "apps" / "recorded_queues"
NAMES = ("json", "cbor", "bare")
FILES = (
    *(f"http-actions-queue.{name}" for name in NAMES),
    *(f"ws-connection.{name}" for name in NAMES),
    *(f"v217-actions-queue-ws.{name}" for name in NAMES),
    "actor-http-framework",
)
CASES = [
    pytest.param(exchange, id=f"{file}-{exchange.scenario}")
    for file in FILES
    for exchange in raw_exchanges(file)
    if "/queue/" in exchange.path
]
ACTOR_ID = re.compile(r"(?<=^/gateway/)([0-9a-z]{30}|[0-9a-f]{16})(?=/)")
SHOWN = ("content-type", "x-rivet-actor-key", "x-rivet-actor-generation")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """The application of the recordings."""
    settings = {"application.path": APPLICATION, "workers.count": 1}
    with RealService(tmp_path_factory.mktemp("recorded"), settings) as running:
        running.wait_ready()
        yield running


def _again(service: RealService, exchange: RawExchange) -> HttpAnswer:
    key = exchange.answer_headers.get("x-rivet-actor-key", "recorded")
    our_id = service.action("counter", "get", key=key).headers["x-rivet-actor"]
    headers = {
        name: value
        for name, value in exchange.headers.items()
        if name not in ("content-length", "transfer-encoding")
    }
    is_chunked = "transfer-encoding" in exchange.headers
    body = [exchange.body] if is_chunked else exchange.body or None
    return service.request(exchange.method, ACTOR_ID.sub(our_id, exchange.path), body, headers)


def _meaning(encoding: Encoding, status: int, content_type: str, body: bytes) -> Any:
    if status == 200:
        answer = decode_queue_response(encoding, body)
        return answer.status, None if answer.response is msgspec.UNSET else answer.response
    error = decode_error(encoding, content_type, status, body)
    return error.group, error.code, error.metadata


@pytest.mark.parametrize("exchange", CASES)
def test_a_recorded_message_is_answered_as_it_was(
    service: RealService, exchange: RawExchange
) -> None:
    ours = _again(service, exchange)
    encoding = encoding_of(exchange.headers.get("x-rivet-encoding"))
    theirs = exchange.answer_headers
    assert ours.status == exchange.status
    assert _meaning(encoding, ours.status, ours.headers["content-type"], ours.body) == _meaning(
        encoding, exchange.status, theirs["content-type"], exchange.answer
    )
    if exchange.method == "POST":  # other methods are refused by our gateway itself
        shown = [name for name in SHOWN if name in theirs]
        assert [ours.headers[name] for name in shown] == [theirs[name] for name in shown]


@pytest.mark.parametrize("name", NAMES)
def test_a_message_that_was_too_large_still_is(service: RealService, name: str) -> None:
    encoding = encoding_of(name)
    body = encode_queue_request(encoding, 4, QueueSendRequest("y" * 66_000, "jobs"))
    path = make_path("counter", "jobs", "large").replace("/action/", "/queue/")
    answer = service.request("POST", path, [body], {"x-rivet-encoding": name})
    error = decode_error(encoding, answer.headers["content-type"], answer.status, answer.body)
    assert (answer.status, error.group, error.code) == (400, "message", "incoming_too_long")


def test_all_recorded_queue_sends_are_made_again() -> None:
    assert len(CASES) == 3 * (6 + 1 + 4) + 5
