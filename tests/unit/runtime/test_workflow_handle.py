"""``handle.workflow``: what it asks, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from stator import ActorError
from stator.runtime.exact_form import decode_exact
from stator.runtime.handles import ActorClient, Address
from stator.runtime.workflow_control import StatusRecord, Verb, VerbArguments
from stator.runtime.workflow_handle import (
    OpenEntry,
    WorkflowErrorInfo,
    WorkflowHandle,
    WorkflowStatus,
)
from tests.fakes.workflow_records import (
    BEGAN_MS,
    WAITING,
    Records,
    completed,
    make_error,
    make_history,
    make_status,
)
from tests.unit.runtime.test_handles import Recorder

BEGAN = BEGAN_MS / 1000


def answered(record: Any, use: Callable[[WorkflowHandle], Awaitable[Any]]) -> Any:
    """Return what ``use`` gets from a workflow that answers with ``record``."""

    async def scenario() -> Any:
        return await use(WorkflowHandle(Records(record)))

    return asyncio.run(scenario())


def status(record: StatusRecord) -> WorkflowStatus:
    found: WorkflowStatus = answered(record, WorkflowHandle.status)
    return found


def failure(record: Any, use: Callable[[WorkflowHandle], Awaitable[Any]]) -> ActorError:
    with pytest.raises(ActorError) as caught:
        answered(record, use)
    return caught.value


# ---------------------------------------------------------------- status


def test_a_status_is_the_name_of_the_state() -> None:
    found = status(make_status("failed", error=make_error()))
    assert found == "failed"
    assert type(found.state) is str


def test_a_status_says_which_run_it_is_and_when_it_was() -> None:
    found = status(make_status("failed", finished_ms=BEGAN_MS + 1500))
    assert (found.run, found.started_at, found.finished_at) == (2, BEGAN, BEGAN + 1.5)


def test_a_status_says_what_the_run_waits_for() -> None:
    found = status(make_status(open=[WAITING]))
    assert found.open == (OpenEntry("pause", "sleep", "waiting", BEGAN + 60, 0),)


def test_a_status_says_what_went_wrong() -> None:
    error = make_error(group="user", code="declined", metadata={"n": 1}, stack="line 3")
    found = status(make_status("failed", error=error))
    assert found.error == WorkflowErrorInfo(
        "Declined", "no funds", "user", "declined", {"n": 1}, "line 3"
    )


@pytest.mark.parametrize(
    ("state", "code", "reason"),
    [("failed", "diverged", "diverged"), ("failed", "", ""), ("rolling_back", "step_failed", "")],
)
def test_the_reason_of_a_failed_run_is_the_code_of_its_error(
    state: str, code: str, reason: str
) -> None:
    assert status(make_status(state, error=make_error(code=code))).reason == reason


def pickled(found: WorkflowStatus) -> WorkflowStatus:
    again: WorkflowStatus = pickle.loads(pickle.dumps(found))
    return again


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_a_copy_of_a_status_has_what_belongs_to_it(duplicate: Callable[[Any], Any]) -> None:
    found = status(make_status(open=[WAITING]))
    assert duplicate(found).open == found.open


# ---------------------------------------------------------------- output


def test_the_output_is_what_the_run_returned() -> None:
    when = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    assert answered(completed({"at": when}), WorkflowHandle.output) == {"at": when}


def test_nothing_can_be_the_output() -> None:
    assert answered(completed(None), WorkflowHandle.output) is None


def test_a_run_that_goes_on_has_no_output_yet() -> None:
    error = failure(make_status("sleeping"), WorkflowHandle.output)
    assert (error.group, error.code, error.metadata) == (
        "workflow",
        "not_finished",
        {"status": "sleeping"},
    )


def test_the_output_of_a_failed_run_is_its_error() -> None:
    error = failure(make_status("failed", error=make_error()), WorkflowHandle.output)
    assert (error.group, error.code) == ("workflow", "failed")
    assert error.metadata == {"name": "Declined", "message": "no funds"}
    assert "Declined: no funds" in error.message


def test_a_cancelled_run_has_no_output() -> None:
    error = failure(make_status("cancelled"), WorkflowHandle.output)
    assert (error.group, error.code) == ("workflow", "cancelled")


# ---------------------------------------------------------------- verbs


def fork_from_charge(workflow: WorkflowHandle) -> Awaitable[WorkflowStatus]:
    return workflow.fork("orders/~3/charge")


@pytest.mark.parametrize(
    ("use", "verb", "key"),
    [
        (WorkflowHandle.status, Verb.STATUS, ""),
        (WorkflowHandle.cancel, Verb.CANCEL, ""),
        (WorkflowHandle.retry, Verb.RETRY, ""),
        (WorkflowHandle.fork, Verb.FORK, ""),
        (fork_from_charge, Verb.FORK, "orders/~3/charge"),
    ],
)
async def test_what_is_asked(
    use: Callable[[WorkflowHandle], Awaitable[WorkflowStatus]], verb: Verb, key: str
) -> None:
    records = Records(make_status("running"))
    assert await use(WorkflowHandle(records)) == "running"
    assert records.asked == [(verb, VerbArguments(key))]


async def test_a_promise_is_resolved_with_the_very_value() -> None:
    records = Records(make_status("running"))
    when = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    await WorkflowHandle(records).resolve("approved", {"by": ("Ada", when)})
    ((verb, arguments),) = records.asked
    assert (verb, arguments.key) == (Verb.RESOLVE, "approved")
    assert decode_exact(arguments.value) == {"by": ("Ada", when)}


async def test_a_promise_can_be_resolved_with_nothing() -> None:
    records = Records(make_status("running"))
    await WorkflowHandle(records).resolve("approved")
    assert records.asked == [(Verb.RESOLVE, VerbArguments("approved"))]


def cycle() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    ("value", "said"), [({"by": object()}, "value['by'] is a object"), (cycle(), "contains itself")]
)
async def test_a_value_that_cannot_be_stored_is_not_sent(value: Any, said: str) -> None:
    records = Records(make_status())
    with pytest.raises(ActorError) as caught:
        await WorkflowHandle(records).resolve("approved", value)
    assert (caught.value.code, records.asked) == ("output_not_serializable", [])
    assert said in caught.value.message


@pytest.mark.parametrize(
    "use", [WorkflowHandle.status, WorkflowHandle.history, WorkflowHandle.output]
)
def test_an_answer_that_cannot_be_read_is_an_internal_error(
    use: Callable[[WorkflowHandle], Awaitable[Any]],
) -> None:
    error = failure(b"\xc1", use)
    assert (error.group, error.code) == ("rivetkit", "internal_error")


def test_a_history_has_its_entries_and_its_status() -> None:
    history = answered(make_history(), WorkflowHandle.history)
    assert [entry.key for entry in history] == ["reserve", "order", "charge", "pause"]
    assert history.status == "sleeping"


# ---------------------------------------------------------------- from a handle of the actor


async def test_the_workflow_of_a_handle_is_that_of_its_actor() -> None:
    transport = Recorder()
    transport.record = msgspec.msgpack.encode(make_status())
    assert await ActorClient(transport).get("shop", ["berlin"]).workflow.status() == "sleeping"
    assert transport.asked == [
        ("control", Address("shop", ("berlin",)), Verb.STATUS, VerbArguments())
    ]
