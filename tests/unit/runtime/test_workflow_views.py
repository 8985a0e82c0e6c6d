"""A history as its users read it, and as it is kept in a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.workflow.entries import EntryStatus
from stator.runtime.workflow_views import (
    MAGIC,
    ReceivedMessage,
    WorkflowErrorInfo,
    WorkflowHistory,
    WorkflowUndo,
)
from tests.fakes.workflow_records import BEGAN_MS, make_entries, make_history, make_status

BEGAN = BEGAN_MS / 1000


@pytest.fixture
def history() -> WorkflowHistory:
    return WorkflowHistory(make_history())


def test_a_history_says_whose_it_is(history: WorkflowHistory) -> None:
    assert (history.actor_id, history.name, history.key) == ("a1", "shop", ("berlin", "5"))
    assert (history.run, history.status) == (2, "sleeping")


def test_a_history_is_a_sequence(history: WorkflowHistory) -> None:
    assert len(history) == 4
    assert [entry.seq for entry in history] == [1, 2, 3, 4]
    assert history[-1].key == "pause"
    assert history[1:3] == [history[1], history[2]]


def test_an_entry_is_found_by_its_key(history: WorkflowHistory) -> None:
    assert history.find("charge") == history[2]
    assert history.find("nothing") is None


def test_a_step_shows_what_it_was_given_and_what_it_returned(history: WorkflowHistory) -> None:
    step = history[0]
    assert (step.kind, step.status, step.attempts) == ("step", "completed", 1)
    assert (step.input, step.output) == ([5], "seat 5")
    assert (step.created_at, step.started_at, step.finished_at) == (BEGAN, BEGAN, BEGAN + 0.012)


def test_a_step_shows_its_undo_handler(history: WorkflowHistory) -> None:
    assert history[0].undo == WorkflowUndo("checkout", "waiting", 0, None, None, None)


def test_a_receive_shows_its_messages(history: WorkflowHistory) -> None:
    receive = history[1]
    assert receive.output == (ReceivedMessage(7, "orders", {"n": 1}, BEGAN, "completed"),)
    assert receive.detail == ["orders"]


def test_a_failed_step_shows_its_error(history: WorkflowHistory) -> None:
    failed = history[2]
    assert failed.error == WorkflowErrorInfo("Declined", "no funds", "", "", None, "")
    assert (failed.detail, failed.output, failed.progress) == ("exhausted", None, 0.5)


def test_a_wait_shows_its_end(history: WorkflowHistory) -> None:
    assert (history[3].due_at, history[3].finished_at) == (BEGAN + 60, None)


def test_kinds_and_statuses_are_plain_text(history: WorkflowHistory) -> None:
    assert {type(entry.kind) for entry in history} == {str}
    assert {type(entry.status) for entry in history} == {str}


def test_an_undo_handler_that_ran_says_so() -> None:
    step = make_entries()[0]
    assert step.undo
    step.undo.status, step.undo.attempts = EntryStatus.UNDONE, 2
    step.undo.finished_ms = BEGAN_MS
    (entry,) = WorkflowHistory(make_history(step))
    assert entry.undo == WorkflowUndo("checkout", "undone", 2, None, BEGAN, None)


# ---------------------------------------------------------------- kept in a file


def test_a_kept_history_is_read_again(history: WorkflowHistory) -> None:
    again = WorkflowHistory.from_bytes(history.to_bytes())
    assert list(again) == list(history)
    assert again.record == history.record


def test_a_history_before_the_first_commit_can_be_kept() -> None:
    record = make_history(status=make_status("pending"))
    record.rows.entries.clear()
    assert len(WorkflowHistory.from_bytes(WorkflowHistory(record).to_bytes())) == 0


@given(st.binary())
def test_other_bytes_are_no_history(data: bytes) -> None:
    for attempt in (data, MAGIC + data):
        with pytest.raises(ValueError, match="history"):
            WorkflowHistory.from_bytes(attempt)


@given(st.data())
def test_a_damaged_history_is_read_or_refused(data: st.DataObject) -> None:
    kept = bytearray(WorkflowHistory(make_history()).to_bytes())
    place = data.draw(st.integers(0, len(kept) - 1))
    kept[place] = data.draw(st.integers(0, 255))
    try:
        WorkflowHistory.from_bytes(bytes(kept))
    except ValueError:
        return
