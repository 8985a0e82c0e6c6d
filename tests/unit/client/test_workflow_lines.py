"""What ``stator workflow`` prints."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec
import pytest

from stator.client.workflow_lines import (
    history_json,
    history_lines,
    output_json,
    output_lines,
    plain,
    status_json,
    status_lines,
)
from stator.runtime.workflow_views import WorkflowHistory, status_of
from tests.fakes.workflow_records import (
    BEGAN_MS,
    WAITING,
    make_entries,
    make_error,
    make_history,
    make_status,
)


def test_a_status_has_a_line_for_each_thing_it_waits_for() -> None:
    assert list(status_lines(status_of(make_status(open=[WAITING])))) == [
        "sleeping  run 2",
        "started   2026-01-02 03:04:05.250Z",
        "open      pause  sleep  waiting  until 2026-01-02 03:05:05.250Z",
    ]


def test_a_failed_run_says_why() -> None:
    error = make_error("Diverged", "the history has step 'a'", group="workflow", code="diverged")
    status = status_of(make_status("failed", finished_ms=BEGAN_MS + 1500, error=error))
    assert list(status_lines(status)) == [
        "failed  run 2  diverged",
        "started   2026-01-02 03:04:05.250Z",
        "finished  2026-01-02 03:04:06.750Z",
        "error     Diverged: the history has step 'a' (workflow.diverged)",
    ]


def test_a_history_is_a_table() -> None:
    entries = make_entries()
    lines = history_lines(WorkflowHistory(make_history(entries[0], entries[2], entries[3])))
    assert list(lines)[-5:] == [
        "",
        "SEQ  KEY      KIND   STATUS     ATTEMPTS  BEGAN                     TOOK",
        "1    reserve  step   completed  1         2026-01-02 03:04:05.250Z  0.012 s  undo waiting",
        "3    charge   step   failed     4         2026-01-02 03:04:05.250Z           "
        "Declined: no funds",
        "4    pause    sleep  waiting              2026-01-02 03:04:05.250Z           "
        "until 2026-01-02 03:05:05.250Z",
    ]


def test_a_history_says_whose_it_is() -> None:
    assert next(history_lines(WorkflowHistory(make_history()))) == "actor     shop berlin 5  a1"


def test_nothing_an_application_wrote_moves_the_cursor() -> None:
    error = make_error(message="\x1b[2Jgone\nwith it")
    lines = list(status_lines(status_of(make_status("failed", error=error))))
    assert lines[-1] == r"error     Declined: \x1b[2Jgone\nwith it"


def test_a_long_message_is_cut() -> None:
    error = make_error(message="x" * 1000)
    lines = list(status_lines(status_of(make_status("failed", error=error))))
    assert lines[-1].endswith("xxx...")
    assert len(lines[-1]) < 250


def test_an_instant_that_no_calendar_has_is_a_number() -> None:
    waiting = msgspec.structs.replace(WAITING, due_ms=10**18)
    lines = list(status_lines(status_of(make_status(open=[waiting]))))
    assert lines[-1].endswith("until 1000000000000000")


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("two\nlines", ["two\nlines"]),
        ({"a": [1]}, ['{\n  "a": [\n    1\n  ]\n}']),
        (None, ["null"]),
    ],
)
def test_an_output_is_text_or_json(value: Any, lines: list[str]) -> None:
    assert list(output_lines(value)) == lines


# ---------------------------------------------------------------- as JSON


def test_a_status_is_an_object() -> None:
    status = status_of(make_status("failed", error=make_error(code="diverged"), open=[WAITING]))
    assert json.loads(status_json(status)) == {
        "state": "failed",
        "run": 2,
        "reason": "diverged",
        "started_at": BEGAN_MS / 1000,
        "finished_at": None,
        "error": {
            "name": "Declined",
            "message": "no funds",
            "group": "",
            "code": "diverged",
            "metadata": None,
            "stack": "",
        },
        "open": [
            {
                "key": "pause",
                "kind": "sleep",
                "status": "waiting",
                "due_at": BEGAN_MS / 1000 + 60,
                "attempts": 0,
            }
        ],
    }


def test_a_history_is_an_object_with_entries() -> None:
    found = json.loads(history_json(WorkflowHistory(make_history())))
    assert (found["actor_id"], found["name"], found["key"]) == ("a1", "shop", ["berlin", "5"])
    assert found["status"]["state"] == "sleeping"
    assert [entry["key"] for entry in found["entries"]] == ["reserve", "order", "charge", "pause"]
    assert found["entries"][1]["output"][0]["body"] == {"n": 1}


def test_an_output_is_its_value() -> None:
    assert output_json({"n": 1}) == '{"n": 1}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**70, 2**70),
        (True, True),
        (0.5, 0.5),
        (float("nan"), "nan"),
        (b"\x00\xff", "00ff"),
        ((1, "a"), [1, "a"]),
        ({1}, [1]),
        ({1: {2: None}}, {"1": {"2": None}}),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        (dt.date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_what_json_has_no_form_for_is_written_as_something_it_has(
    value: Any, expected: Any
) -> None:
    assert plain(value) == expected
