"""The inspector's routes: what the worker is asked, what the client is told, and who may ask."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stator.http import inspector
from stator.runtime.config import Auth, Config
from stator.runtime.link.frames import ControlWorkflow, Refusal, Resolution, Result
from stator.runtime.storage import EntryRow, RunRow, WorkflowRows
from stator.runtime.workflow.entries import (
    Entry,
    EntryStatus,
    ErrorRecord,
    Kind,
    encode_record,
)
from stator.runtime.workflow.values import encode_value
from stator.runtime.workflow_control import (
    HistoryRecord,
    StatusRecord,
    Verb,
    VerbArguments,
    WaitRecord,
)
from tests.fakes.held_clients import ACTOR
from tests.fakes.public_port import BY_KEY, DIRECT, Answer, PublicPort, WireClient, public_port

BASE = f"{DIRECT}/inspector"
JSON = "content-type: application/json"
MSGPACK = "content-type: application/msgpack"
ERROR = ErrorRecord("ValueError", "boom", "", b"", {}, stack="secret place")
SLEEPING = StatusRecord(
    "sleeping", 2, 5, None, None, None, [WaitRecord("nap", "sleep", "waiting", 99, 0)]
)
HISTORY = HistoryRecord(
    ACTOR,
    "flow",
    "key",
    SLEEPING,
    WorkflowRows(
        RunRow("running", 99, False, b""),
        [
            EntryRow(1, encode_record(Entry(1, "pay", Kind.STEP, EntryStatus.COMPLETED, "", 6))),
            EntryRow(2, encode_record(Entry(2, "nap", Kind.SLEEP, EntryStatus.WAITING, "", 7))),
        ],
    ),
)
TOKENS = Config(auth=Auth(client_token="c", admin_token="a", inspector_token="i"))


async def _ask(port: PublicPort, method: str, path: str, *lines: str, body: bytes = b"") -> Answer:
    """Send a request that no worker gets and return the answer."""
    client = await port.client()
    client.request(method, path, f"content-length: {len(body)}", *lines, body=body)
    return await client.answer()


async def _asked(
    port: PublicPort, method: str, path: str, *lines: str, body: bytes = b""
) -> tuple[WireClient, ControlWorkflow, bytes]:
    """Send a request; return the client and what the worker was asked."""
    client = await port.client()
    client.request(method, path, f"content-length: {len(body)}", *lines, body=body)
    frame, payload = await port.link.next_with_payload(ControlWorkflow)
    return client, frame, payload


async def _frame_of(port: PublicPort, method: str, path: str, *lines: str) -> ControlWorkflow:
    """Send a request and answer it; return what the worker was asked."""
    client, frame, _ = await _asked(port, method, path, *lines)
    port.link.send(Result(frame.id), payload=msgspec.msgpack.encode(SLEEPING))
    assert (await client.answer()).status == 200
    return frame


async def _served(
    port: PublicPort, method: str, path: str, *records: object, **options: Any
) -> Answer:
    """Send a request, let the worker answer what it asks in turn, return the client's answer."""
    client, frame, _ = await _asked(port, method, path, **options)
    for index, record in enumerate(records):
        if index:
            frame = await port.link.next(ControlWorkflow)
        if isinstance(record, Refusal):
            port.link.send(msgspec.structs.replace(record, id=frame.id))
        else:
            port.link.send(Result(frame.id), payload=msgspec.msgpack.encode(record))
    return await client.answer()


def _refusal(group: str, code: str, status: int, metadata: Any = None) -> Refusal:
    return Refusal(0, group, code, "why", status, metadata)


NO_WORKFLOW = _refusal("workflow", "not_enabled", 404)
DISABLED = {"history": None, "workflowState": None, "isWorkflowEnabled": False}


# -- msgpack


@pytest.mark.parametrize("verb", Verb)
async def test_a_verb_in_msgpack_goes_to_the_worker_and_back_as_it_is(
    tmp_path: Path, verb: Verb
) -> None:
    body = msgspec.msgpack.encode(VerbArguments("a/b", b"\x07"))
    async with public_port(tmp_path) as port:
        path = f"{BASE}/workflow/{verb.name.lower()}"
        client, frame, payload = await _asked(port, "POST", path, MSGPACK, body=body)
        assert (frame.verb, payload) == (verb, body)
        port.link.send(Result(frame.id), payload=b"\xc3raw")
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"\xc3raw")
        assert answer["content-type"] == "application/msgpack"


async def test_an_actor_is_named_by_its_id(tmp_path: Path) -> None:
    async with public_port(tmp_path) as port:
        frame = await _frame_of(port, "GET", f"{BASE}/workflow/status")
        assert (frame.resolution, frame.key) == (Resolution.BY_ID, ACTOR)


@pytest.mark.parametrize(
    ("method", "how"),
    [
        ("rvt-method=get", Resolution.GET),
        ("rvt-method=getOrCreate&rvt-runner=default", Resolution.GET_OR_CREATE),
    ],
)
async def test_an_actor_is_named_by_its_key(tmp_path: Path, method: str, how: Resolution) -> None:
    path = BY_KEY.format(inner="/inspector/workflow/status", query="")
    async with public_port(tmp_path) as port:
        frame = await _frame_of(port, "GET", path.replace("rvt-method=get", method))
        assert (frame.resolution, frame.namespace, frame.name) == (how, "default", "chat")
        assert frame.key == "a/b"


async def test_what_is_no_msgpack_of_arguments_does_not_reach_the_worker(tmp_path: Path) -> None:
    async with public_port(tmp_path) as port:
        answer = await _ask(port, "POST", f"{BASE}/workflow/fork", MSGPACK, body=b"\xc1")
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")


# -- JSON for people


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_status(tmp_path: Path, method: str) -> None:
    async with public_port(tmp_path) as port:
        answer = await _served(port, method, f"{BASE}/workflow/status", SLEEPING)
        assert json.loads(answer.body) == {
            "state": "sleeping",
            "run": 2,
            "createdAt": 5,
            "finishedAt": None,
            "output": None,
            "error": None,
            "open": [
                {"key": "nap", "kind": "sleep", "status": "waiting", "dueAt": 99, "attempts": 0}
            ],
        }


async def test_the_status_of_a_run_that_failed_says_why_and_not_where(tmp_path: Path) -> None:
    record = StatusRecord("failed", 1, 5, 9, None, ERROR, [])
    async with public_port(tmp_path) as port:
        answer = await _served(port, "GET", f"{BASE}/workflow/status", record)
        assert json.loads(answer.body)["error"] == {"name": "ValueError", "message": "boom"}
        assert b"secret" not in answer.body


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_history(tmp_path: Path, method: str) -> None:
    async with public_port(tmp_path) as port:
        answer = await _served(port, method, f"{BASE}/workflow/history", HISTORY)
        view = json.loads(answer.body)
        assert (view["actorId"], view["status"]["state"]) == (ACTOR, "sleeping")
        shown = [(entry["seq"], entry["key"], entry["kind"]) for entry in view["entries"]]
        assert shown == [(1, "pay", "step"), (2, "nap", "sleep")]


async def test_a_large_history_is_shown_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspector, "LARGE_BYTES", 0)
    async with public_port(tmp_path) as port:
        answer = await _served(port, "GET", f"{BASE}/workflow/history", HISTORY)
        assert len(json.loads(answer.body)["entries"]) == 2


async def test_the_output(tmp_path: Path) -> None:
    record = StatusRecord("completed", 1, 5, 9, encode_value({"n": 1}), None, [])
    async with public_port(tmp_path) as port:
        answer = await _served(port, "GET", f"{BASE}/workflow/output", record)
        assert json.loads(answer.body) == {"output": {"n": 1}}


@pytest.mark.parametrize(
    ("record", "status", "code"),
    [
        (SLEEPING, 409, "not_finished"),
        (StatusRecord("cancelled", 1, 5, 9, None, None, []), 409, "cancelled"),
        (StatusRecord("failed", 1, 5, 9, None, ERROR, []), 500, "failed"),
    ],
)
async def test_a_run_without_output_says_why(
    tmp_path: Path, record: StatusRecord, status: int, code: str
) -> None:
    async with public_port(tmp_path) as port:
        answer = await _served(port, "GET", f"{BASE}/workflow/output", record)
        body = json.loads(answer.body)
        assert (answer.status, body["group"], body["code"]) == (status, "workflow", code)


async def test_a_verb_in_json(tmp_path: Path) -> None:
    body = b'{"promise":"approved","value":null}'
    async with public_port(tmp_path) as port:
        client, frame, payload = await _asked(
            port, "POST", f"{BASE}/workflow/resolve", JSON, body=body
        )
        assert frame.verb == Verb.RESOLVE
        arguments = msgspec.msgpack.decode(payload, type=VerbArguments)
        assert arguments == VerbArguments("approved")
        port.link.send(Result(frame.id), payload=msgspec.msgpack.encode(SLEEPING))
        assert json.loads((await client.answer()).body)["state"] == "sleeping"


async def test_a_verb_without_a_body(tmp_path: Path) -> None:
    async with public_port(tmp_path) as port:
        frame = await _frame_of(port, "POST", f"{BASE}/workflow/cancel")
        assert frame.verb == Verb.CANCEL


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_of_another_kind_is_refused(tmp_path: Path, content_type: str) -> None:
    async with public_port(tmp_path) as port:
        line = f"content-type: {content_type}"
        answer = await _ask(port, "POST", f"{BASE}/workflow/fork", line, body=b"{}")
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")


# -- the peer's routes


async def test_the_history_of_the_peer(tmp_path: Path) -> None:
    async with public_port(tmp_path) as port:
        answer = await _served(port, "GET", f"{BASE}/workflow-history", HISTORY)
        body = json.loads(answer.body)
        assert (body["workflowState"], body["isWorkflowEnabled"]) == ("sleeping", True)
        assert body["history"]["nameRegistry"] == ["pay", "nap"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "workflow-history"), ("POST", "workflow/replay")]
)
async def test_an_actor_without_workflow_is_no_error_for_the_peer(
    tmp_path: Path, method: str, path: str
) -> None:
    async with public_port(tmp_path) as port:
        answer = await _served(port, method, f"{BASE}/{path}", NO_WORKFLOW)
        assert (answer.status, json.loads(answer.body)) == (200, DISABLED)


@pytest.mark.parametrize(("body", "key"), [(b"", ""), (b'{"entryId":"pay"}', "pay")])
async def test_a_replay_is_a_fork_and_answered_with_the_history(
    tmp_path: Path, body: bytes, key: str
) -> None:
    async with public_port(tmp_path) as port:
        client, frame, payload = await _asked(
            port, "POST", f"{BASE}/workflow/replay", JSON, body=body
        )
        assert frame.verb == Verb.FORK
        assert msgspec.msgpack.decode(payload, type=VerbArguments).key == key
        port.link.send(Result(frame.id), payload=msgspec.msgpack.encode(SLEEPING))
        frame = await port.link.next(ControlWorkflow)
        assert frame.verb == Verb.HISTORY
        port.link.send(Result(frame.id), payload=msgspec.msgpack.encode(HISTORY))
        assert json.loads((await client.answer()).body)["isWorkflowEnabled"] is True


async def test_a_replay_of_a_workflow_in_flight_is_refused_as_the_peer_does(tmp_path: Path) -> None:
    refusal = _refusal("actor", "workflow_in_flight", 409)
    async with public_port(tmp_path) as port:
        answer = await _served(port, "POST", f"{BASE}/workflow/replay", refusal)
        assert answer.status == 409
        assert json.loads(answer.body) == {
            "group": "actor",
            "code": "workflow_in_flight",
            "message": "why",
            "metadata": None,
        }


# -- what is wrong


async def test_a_refusal_of_the_worker_is_told_whole(tmp_path: Path) -> None:
    refusal = _refusal("workflow", "entry_not_found", 404, {"key": "x"})
    async with public_port(tmp_path) as port:
        answer = await _served(port, "POST", f"{BASE}/workflow/fork", refusal)
        assert (answer.status, answer["x-rivet-error"]) == (404, "workflow.entry_not_found")
        assert json.loads(answer.body)["metadata"] == {"key": "x"}


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/workflow", "/workflow/", "/workflow/do"])
async def test_a_route_that_does_not_exist(tmp_path: Path, path: str) -> None:
    async with public_port(tmp_path) as port:
        answer = await _ask(port, "GET", BASE + path)
        assert answer.status == 404
        assert json.loads(answer.body) == {
            "group": "actor",
            "code": "not_found",
            "message": "Inspector route was not found",
            "metadata": None,
        }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "workflow/cancel"),
        ("POST", "workflow/output"),
        ("POST", "workflow-history"),
        ("GET", "workflow/replay"),
        ("DELETE", "workflow/status"),
    ],
)
async def test_a_method_that_a_route_does_not_have(tmp_path: Path, method: str, path: str) -> None:
    async with public_port(tmp_path) as port:
        answer = await _ask(port, method, f"{BASE}/{path}")
        assert (answer.status, json.loads(answer.body)["code"]) == (405, "method_not_allowed")


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    config = Config()
    config = msgspec.structs.replace(
        config, server=msgspec.structs.replace(config.server, header_timeout=0.02)
    )
    async with public_port(tmp_path, config) as port:
        client = await port.client()
        client.request("POST", f"{BASE}/workflow/fork", JSON, "content-length: 5")
        answer = await client.answer()
        assert (answer.status, answer["x-rivet-error"]) == (408, "guard.request_timeout")


async def test_answers_are_not_kept_and_say_where_they_may_be_read(tmp_path: Path) -> None:
    async with public_port(tmp_path) as port:
        line = "origin: https://page.test"
        client, frame, _ = await _asked(port, "GET", f"{BASE}/workflow/status", line)
        port.link.send(Result(frame.id), payload=msgspec.msgpack.encode(SLEEPING))
        answer = await client.answer()
        assert (answer["cache-control"], answer["referrer-policy"]) == ("no-store", "no-referrer")
        assert answer["access-control-allow-origin"] == "https://page.test"
        assert answer["x-rivet-ray-id"]


# -- who may


@pytest.mark.parametrize(
    "lines",
    [
        ["authorization: Bearer i"],
        ["authorization: bearer a"],
        ["x-rivet-token: i"],
        ["x-rivet-token: c", "authorization: Bearer i"],
        ["x-rivet-token: i", "authorization: Bearer c"],
    ],
)
async def test_the_token_of_the_inspector_or_of_the_admin_lets_in(
    tmp_path: Path, lines: list[str]
) -> None:
    async with public_port(tmp_path, TOKENS) as port:
        frame = await _frame_of(port, "GET", f"{BASE}/workflow/status", *lines)
        assert frame.verb == Verb.STATUS


@pytest.mark.parametrize(
    "lines", [[], ["authorization: Bearer c"], ["x-rivet-token: x"], ["authorization: Basic i"]]
)
@pytest.mark.parametrize("path", ["workflow/status", "nothing"])
async def test_without_it_nothing_is_said(tmp_path: Path, lines: list[str], path: str) -> None:
    async with public_port(tmp_path, TOKENS) as port:
        answer = await _ask(port, "GET", f"{BASE}/{path}", *lines)
        assert answer.status == 401
        assert json.loads(answer.body) == {
            "group": "inspector",
            "code": "unauthorized",
            "message": "Inspector request requires a valid bearer token",
            "metadata": None,
        }


async def test_the_token_may_be_in_the_path(tmp_path: Path) -> None:
    async with public_port(tmp_path, TOKENS) as port:
        path = f"{DIRECT}@i/inspector/workflow/status"
        frame = await _frame_of(port, "GET", path)
        assert frame.key == ACTOR


async def test_the_token_of_the_inspector_calls_no_action(tmp_path: Path) -> None:
    async with public_port(tmp_path, TOKENS) as port:
        answer = await _ask(port, "POST", f"{DIRECT}/action/get", "x-rivet-token: i")
        assert answer.status == 403


async def test_requests_to_the_inspector_count_among_those_of_a_client(tmp_path: Path) -> None:
    config = Config()
    config = msgspec.structs.replace(
        config, limits=msgspec.structs.replace(config.limits, max_in_flight_per_client=1)
    )
    async with public_port(tmp_path, config) as port:
        client, frame, _ = await _asked(port, "GET", f"{BASE}/workflow/status")
        answer = await _ask(port, "GET", f"{BASE}/workflow/status")
        assert answer.status == 429
        port.link.send(Result(frame.id), payload=msgspec.msgpack.encode(SLEEPING))
        assert (await asyncio.wait_for(client.answer(), 10)).status == 200
