"""How far a run is, worked out from its records."""

from __future__ import annotations

import pytest

from stator.runtime.storage import EntryRow, RunRow, WorkflowRows
from stator.runtime.workflow.entries import (
    ENDED,
    Entry,
    EntryStatus,
    ErrorRecord,
    Kind,
    Run,
    RunStatus,
    encode_record,
)
from stator.runtime.workflow.status import OPEN, status_of, stored_status
from stator.runtime.workflow_control import StatusRecord, WaitRecord

RUNNING, WAITING, RETRYING = EntryStatus.RUNNING, EntryStatus.WAITING, EntryStatus.RETRYING


def _entry(kind: Kind, status: EntryStatus, key: str = "x") -> Entry:
    return Entry(1, key, kind, status, "", 6, attempts=2, due_ms=99)


def _run(status: RunStatus = RunStatus.RUNNING) -> Run:
    return Run(3, status, "seed", 5)


def test_without_a_run_it_is_pending() -> None:
    assert status_of(None, []) == StatusRecord("pending", 0, None, None, None, None, [])


def test_what_is_open_is_listed() -> None:
    entries = [_entry(Kind.LOOP, RUNNING, "l"), _entry(Kind.SLEEP, WAITING, "l/~0/nap")]
    assert status_of(_run(), entries).open == [
        WaitRecord("l", "loop", "running", 99, 2),
        WaitRecord("l/~0/nap", "sleep", "waiting", 99, 2),
    ]


def test_how_it_ended_is_told() -> None:
    error = ErrorRecord("ValueError", "boom", "", b"", {})
    run = Run(3, RunStatus.FAILED, "seed", 5, 9, b"out", error)
    assert status_of(run, []) == StatusRecord("failed", 3, 5, 9, b"out", error, [])


@pytest.mark.parametrize("status", sorted(ENDED))
def test_a_run_that_has_ended_waits_for_nothing(status: RunStatus) -> None:
    record = status_of(_run(status), [_entry(Kind.PROMISE, WAITING)])
    assert (record.status, record.open) == (status, [])


@pytest.mark.parametrize(
    ("entries", "status"),
    [
        ([], "running"),
        ([(Kind.SLEEP, WAITING)], "sleeping"),
        ([(Kind.RECEIVE, WAITING), (Kind.PROMISE, WAITING)], "sleeping"),
        ([(Kind.STEP, RETRYING)], "sleeping"),
        ([(Kind.STEP, RUNNING)], "running"),
        ([(Kind.STEP, RUNNING), (Kind.SLEEP, WAITING)], "running"),
        ([(Kind.LOOP, RUNNING), (Kind.TURN, RUNNING), (Kind.RECEIVE, WAITING)], "sleeping"),
        ([(Kind.GATHER, RUNNING), (Kind.STEP, RUNNING), (Kind.RECEIVE, WAITING)], "running"),
        ([(Kind.LOOP, RUNNING), (Kind.TURN, RUNNING)], "running"),
        ([(Kind.TIMEOUT, WAITING)], "running"),
        ([(Kind.TIMEOUT, WAITING), (Kind.PROMISE, WAITING)], "sleeping"),
        ([(Kind.SAGA, RUNNING), (Kind.SLEEP, WAITING)], "sleeping"),
        ([(Kind.SAGA, EntryStatus.UNDOING), (Kind.SLEEP, WAITING)], "running"),
    ],
)
def test_it_sleeps_while_all_of_it_waits(
    entries: list[tuple[Kind, EntryStatus]], status: str
) -> None:
    assert status_of(_run(), [_entry(*each) for each in entries]).status == status


@pytest.mark.parametrize("status", [RunStatus.PENDING, RunStatus.ROLLING_BACK])
def test_only_a_run_that_runs_sleeps(status: RunStatus) -> None:
    assert status_of(_run(status), [_entry(Kind.SLEEP, WAITING)]).status == status


def test_of_what_is_stored_only_the_open_entries_count() -> None:
    entries = [_entry(Kind.STEP, status, status.value) for status in EntryStatus]
    rows = WorkflowRows(
        RunRow("running", None, False, encode_record(_run())),
        [EntryRow(seq, encode_record(entry)) for seq, entry in enumerate(entries)],
    )
    assert {wait.status for wait in stored_status(rows).open} == OPEN


def test_rows_without_a_run_are_pending() -> None:
    assert stored_status(WorkflowRows(None, [])).status == "pending"
