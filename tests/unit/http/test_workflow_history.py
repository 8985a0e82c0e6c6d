"""The history of a workflow in the JSON of the peer's inspector (inspector page, section 4)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stator.http.workflow_history import peer_history
from stator.runtime.protocol.cbor_dialect import NATIVE, encode_cbor
from stator.runtime.storage import EntryRow, RunRow, WorkflowRows
from stator.runtime.workflow.entries import (
    Entry,
    EntryStatus,
    ErrorRecord,
    Kind,
    RunStatus,
    StoredMessage,
    UndoMark,
    encode_record,
)
from stator.runtime.workflow.values import encode_value
from stator.runtime.workflow_control import HistoryRecord, StatusRecord

OK, RUNNING, WAITING = EntryStatus.COMPLETED, EntryStatus.RUNNING, EntryStatus.WAITING
FAILED, RETRYING, CANCELLED = EntryStatus.FAILED, EntryStatus.RETRYING, EntryStatus.CANCELLED
ERROR = ErrorRecord("ValueError", "boom", "builtins:ValueError", b"", {}, stack="secret place")


def _entry(key: str, kind: Kind, status: EntryStatus = OK, **members: Any) -> Entry:
    strand = members.pop("strand", "")
    return Entry(1, key, kind, status, strand, 10, **members)


def _peer(*entries: Entry, state: str = RunStatus.RUNNING) -> dict[str, Any]:
    """Return what a client of the inspector reads."""
    numbered = [msgspec.structs.replace(e, seq=seq) for seq, e in enumerate(entries, 1)]
    rows = WorkflowRows(
        RunRow(state, None, False, b""), [EntryRow(e.seq, encode_record(e)) for e in numbered]
    )
    status = StatusRecord(state, 1, 5, None, None, None, [])
    record = HistoryRecord("id", "flow", "key", status, rows)
    answer: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(peer_history(record)))
    return answer


def _history(*entries: Entry) -> dict[str, Any]:
    history: dict[str, Any] = _peer(*entries)["history"]
    return history


def _value(*entries: Entry) -> dict[str, Any]:
    """Return ``kind.val`` of the first entry."""
    value: dict[str, Any] = _history(*entries)["entries"][0]["kind"]["val"]
    return value


def _metadata(entry: Entry) -> dict[str, Any]:
    metadata: dict[str, Any] = _history(entry)["entryMetadata"][entry.key]
    return metadata


def _branches(entry: Entry, *others: Entry) -> dict[str, str]:
    value = _value(entry, *others)
    return {name: branch["status"] for name, branch in value["branches"].items()}


def test_the_whole_says_how_far_the_run_is() -> None:
    answer = _peer(state="sleeping")
    assert answer == {
        "history": {"nameRegistry": [], "entries": [], "entryMetadata": {}},
        "workflowState": "sleeping",
        "isWorkflowEnabled": True,
    }


@pytest.mark.parametrize(
    ("kind", "tag"),
    [
        (Kind.STEP, "WorkflowStepEntry"),
        (Kind.TXN, "WorkflowStepEntry"),
        (Kind.LOOP, "WorkflowLoopEntry"),
        (Kind.SLEEP, "WorkflowSleepEntry"),
        (Kind.TIMEOUT, "WorkflowSleepEntry"),
        (Kind.RECEIVE, "WorkflowMessageEntry"),
        (Kind.PROMISE, "WorkflowMessageEntry"),
        (Kind.RESOLUTION, "WorkflowMessageEntry"),
        (Kind.SAGA, "WorkflowRollbackCheckpointEntry"),
        (Kind.GATHER, "WorkflowJoinEntry"),
        (Kind.MAP, "WorkflowJoinEntry"),
        (Kind.FIRST, "WorkflowRaceEntry"),
        (Kind.REMOVED, "WorkflowRemovedEntry"),
        (Kind.VERSION, "WorkflowVersionCheckEntry"),
    ],
)
def test_each_kind_is_what_comes_nearest(kind: Kind, tag: str) -> None:
    (entry,) = _history(_entry("x", kind))["entries"]
    assert (entry["kind"]["tag"], entry["type"]) == (tag, kind.value)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("status", EntryStatus)
def test_no_state_of_an_entry_stands_in_the_way(kind: Kind, status: EntryStatus) -> None:
    assert _history(_entry("x/~1" if kind is Kind.TURN else "x", kind, status))


# -- where it is


def test_names_are_given_once_and_referred_to() -> None:
    history = _history(_entry("a", Kind.STEP), _entry("b/a", Kind.STEP))
    assert history["nameRegistry"] == ["a", "b"]
    assert [entry["location"] for entry in history["entries"]] == [
        [{"tag": "WorkflowNameIndex", "val": 0}],
        [{"tag": "WorkflowNameIndex", "val": 1}, {"tag": "WorkflowNameIndex", "val": 0}],
    ]


def test_a_turn_is_a_marker_of_its_loop() -> None:
    history = _history(_entry("orders/~12/charge", Kind.STEP))
    assert history["nameRegistry"] == ["orders", "charge"]
    assert history["entries"][0]["location"] == [
        {"tag": "WorkflowNameIndex", "val": 0},
        {"tag": "WorkflowLoopIterationMarker", "val": {"loop": 0, "iteration": 12}},
        {"tag": "WorkflowNameIndex", "val": 1},
    ]


def test_a_name_is_as_it_was_given() -> None:
    history = _history(_entry("%7E1/a%2Fb", Kind.STEP))
    assert history["nameRegistry"] == ["~1", "a/b"]
    assert len(history["entries"][0]["location"]) == 2


def test_the_id_of_an_entry_is_its_key() -> None:
    (entry,) = _history(_entry("a%2Fb", Kind.STEP))["entries"]
    assert (entry["id"], entry["key"]) == ("a%2Fb", "a%2Fb")


def test_what_the_peer_does_not_have_is_beside_it() -> None:
    given = encode_value([1, "x"])
    step = _entry("a", Kind.STEP, RETRYING, input=given, started_ms=20, due_ms=30)
    (entry,) = _history(step)["entries"]
    shown = {name: entry[name] for name in ("seq", "status", "startedAt", "dueAt", "input")}
    assert shown == {
        "seq": 1,
        "status": "retrying",
        "startedAt": 20,
        "dueAt": 30,
        "input": [1, "x"],
    }


# -- what it is


def test_a_step_has_its_output_and_its_error() -> None:
    assert _value(_entry("a", Kind.STEP, output=encode_value({"n": 1}))) == {
        "output": {"n": 1},
        "error": None,
    }
    assert _value(_entry("a", Kind.STEP, FAILED, error=ERROR)) == {
        "output": None,
        "error": "ValueError: boom",
    }


def test_nobody_is_told_where_in_the_code_an_error_was_raised() -> None:
    assert "secret" not in str(_peer(_entry("a", Kind.STEP, FAILED, error=ERROR)))


def test_a_loop_is_where_its_last_turn_is() -> None:
    history = _history(
        _entry("l", Kind.LOOP, RUNNING),
        _entry("l/~9", Kind.TURN, output=encode_value("old")),
        _entry("l/~10", Kind.TURN, RUNNING, output=encode_value("new")),
    )
    (entry,) = history["entries"]
    assert entry["kind"]["val"] == {"state": "new", "iteration": 10, "output": None}
    assert list(history["entryMetadata"]) == ["l"]


def test_loops_in_loops_have_turns_of_their_own() -> None:
    history = _history(
        _entry("l", Kind.LOOP, RUNNING),
        _entry("l/~0", Kind.TURN, RUNNING),
        _entry("l/~0/m", Kind.LOOP, RUNNING),
        _entry("l/~0/m/~5", Kind.TURN, RUNNING),
    )
    assert [entry["kind"]["val"]["iteration"] for entry in history["entries"]] == [0, 5]


@pytest.mark.parametrize(
    ("kind", "status", "state"),
    [
        (Kind.SLEEP, WAITING, "PENDING"),
        (Kind.SLEEP, OK, "COMPLETED"),
        (Kind.SLEEP, CANCELLED, "INTERRUPTED"),
        (Kind.TIMEOUT, WAITING, "PENDING"),
        (Kind.TIMEOUT, EntryStatus.EXPIRED, "COMPLETED"),
        (Kind.TIMEOUT, OK, "INTERRUPTED"),
        (Kind.TIMEOUT, CANCELLED, "INTERRUPTED"),
    ],
)
def test_a_sleep_says_whether_its_time_came(kind: Kind, status: EntryStatus, state: str) -> None:
    assert _value(_entry("s", kind, status, due_ms=99)) == {"deadline": 99, "state": state}


def test_the_deadline_of_a_sleep_that_is_over_is_when_it_ended() -> None:
    assert _value(_entry("s", Kind.SLEEP, OK, finished_ms=98))["deadline"] == 98


def _message(number: int) -> StoredMessage:
    return StoredMessage(number, "jobs", encode_cbor({"n": number}, NATIVE, "body"), 7)


def test_a_receive_has_its_message() -> None:
    output = encode_record([_message(3)])
    assert _value(_entry("r", Kind.RECEIVE, output=output, detail=["jobs", "more"])) == {
        "name": "jobs",
        "messageData": {
            "id": "3",
            "name": "jobs",
            "body": {"n": 3},
            "createdAt": 7,
            "status": "completed",
        },
    }


def test_a_receive_of_many_has_a_list_of_them() -> None:
    output = encode_record([_message(3), _message(4)])
    value = _value(_entry("r", Kind.RECEIVE, output=output, detail=["jobs", "more"]))
    assert value["name"] == "jobs|more"
    assert [message["body"] for message in value["messageData"]] == [{"n": 3}, {"n": 4}]


@pytest.mark.parametrize(("detail", "name"), [(["a", "b"], "a|b"), (None, "*")])
def test_a_receive_that_waits_says_for_which_queues(detail: Any, name: str) -> None:
    value = _value(_entry("r", Kind.RECEIVE, WAITING, detail=detail))
    assert value == {"name": name, "messageData": None}


def test_a_promise_is_a_message_by_its_name() -> None:
    output = encode_value(True)
    expected = {"name": "approved", "messageData": True}
    assert _value(_entry("s/approved", Kind.PROMISE, output=output)) == expected
    assert _value(_entry("=approved", Kind.RESOLUTION, output=output)) == expected


def test_a_resolution_is_in_the_place_of_its_promise() -> None:
    assert _history(_entry("=s/approved", Kind.RESOLUTION))["nameRegistry"] == ["s", "approved"]


def test_gates_and_sagas() -> None:
    assert _value(_entry("s/checkout", Kind.SAGA)) == {"name": "checkout"}
    removed = _entry("s/old", Kind.REMOVED, detail="step")
    assert _value(removed) == {"originalType": "step", "originalName": "old"}
    version = _entry("v", Kind.VERSION, detail=[1, 3])
    assert _value(version) == {"resolved": 1, "latest": 3}


def test_branches_of_a_join_that_runs() -> None:
    join = _entry("j", Kind.GATHER, RUNNING, detail=["a", "b/c", "d"])
    begun = _entry("j/b%2Fc/x", Kind.STEP, RUNNING, strand="j/b%2Fc")
    assert _branches(join, begun) == {"a": "PENDING", "b/c": "RUNNING", "d": "PENDING"}


def test_branches_of_a_join_that_failed() -> None:
    join = _entry("j", Kind.MAP, FAILED, detail=["0", "1"])
    failed = _entry("j/1/x", Kind.STEP, FAILED, strand="j/1", error=ERROR)
    assert _branches(join, failed) == {"0": "COMPLETED", "1": "FAILED"}
    assert _value(join, failed)["branches"]["1"]["error"] == "ValueError: boom"


def test_a_branch_that_went_on_after_a_failure_did_not_fail() -> None:
    join = _entry("j", Kind.GATHER, OK, detail=["a"])
    caught = _entry("j/a/x", Kind.STEP, FAILED, strand="j/a", error=ERROR)
    later = _entry("j/a/y", Kind.STEP, OK, strand="j/a")
    assert _branches(join, caught, later) == {"a": "COMPLETED"}


@pytest.mark.parametrize(
    ("status", "winner", "branches"),
    [
        (RUNNING, None, {"a": "PENDING", "b": "PENDING"}),
        (OK, "b", {"a": "CANCELLED", "b": "COMPLETED"}),
        (FAILED, None, {"a": "FAILED", "b": "FAILED"}),
        (CANCELLED, None, {"a": "CANCELLED", "b": "CANCELLED"}),
    ],
)
def test_branches_of_a_race(
    status: EntryStatus, winner: str | None, branches: dict[str, str]
) -> None:
    race = _entry("f", Kind.FIRST, status, winner=winner, detail=["a", "b"])
    assert _branches(race) == branches
    assert _value(race)["winner"] == winner


# -- metadata


@pytest.mark.parametrize(
    ("kind", "status", "shown"),
    [
        (Kind.STEP, RUNNING, "RUNNING"),
        (Kind.STEP, RETRYING, "FAILED"),
        (Kind.STEP, FAILED, "EXHAUSTED"),
        (Kind.TXN, FAILED, "EXHAUSTED"),
        (Kind.GATHER, FAILED, "FAILED"),
        (Kind.STEP, OK, "COMPLETED"),
        (Kind.SLEEP, WAITING, "PENDING"),
        (Kind.SLEEP, CANCELLED, "FAILED"),
        (Kind.TIMEOUT, EntryStatus.EXPIRED, "COMPLETED"),
        (Kind.RECEIVE, EntryStatus.RELEASED, "COMPLETED"),
        (Kind.SAGA, EntryStatus.UNDOING, "RUNNING"),
        (Kind.SAGA, EntryStatus.UNDONE, "FAILED"),
    ],
)
def test_the_status_in_the_words_of_the_peer(kind: Kind, status: EntryStatus, shown: str) -> None:
    assert _metadata(_entry("x", kind, status))["status"] == shown


def test_when_it_was_tried_and_done() -> None:
    step = _entry("x", Kind.STEP, attempts=2, started_ms=20, finished_ms=30)
    metadata = _metadata(step)
    names = ("attempts", "createdAt", "lastAttemptAt", "completedAt")
    assert [metadata[name] for name in names] == [2, 10, 20, 30]


def test_what_failed_was_not_completed() -> None:
    metadata = _metadata(_entry("x", Kind.STEP, FAILED, finished_ms=30, error=ERROR))
    assert (metadata["completedAt"], metadata["finishedAt"]) == (None, 30)
    assert metadata["error"] == "ValueError: boom"


def test_a_step_that_was_undone_says_when() -> None:
    undo = UndoMark("s", 1, "method:f", EntryStatus.UNDONE, 1, finished_ms=40)
    history = _history(_entry("x", Kind.STEP, undo=undo))
    assert history["entryMetadata"]["x"]["rollbackCompletedAt"] == 40
    assert history["entries"][0]["undo"]["status"] == "undone"


def test_an_undo_handler_that_failed_says_why() -> None:
    undo = UndoMark("s", 1, "", FAILED, 1, finished_ms=40, error=ERROR)
    metadata = _metadata(_entry("x", Kind.STEP, undo=undo))
    assert metadata["rollbackCompletedAt"] is None
    assert metadata["rollbackError"] == "ValueError: boom"
