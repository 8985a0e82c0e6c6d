"""``on_workflow_error``: what it is told, and how often (workflow page, sections 9 and 12)."""

from __future__ import annotations

from typing import Any

import pytest

from stator import UserError
from stator.workflow import Fatal, Workflow, WorkflowErrorEvent
from tests.fakes.workflow_flows import Body, Declined, failing, noting, running_flow

Events = list[WorkflowErrorEvent]


def hook_into(events: Events) -> Any:
    """Return a hook that keeps what it is told."""

    async def on_workflow_error(self: Any, event: WorkflowErrorEvent) -> None:
        events.append(event)

    return on_workflow_error


def stepping(times: int, **options: Any) -> Body:
    """Return a workflow whose step fails so many times."""

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("charge", failing([], "charge", times), **options)

    return body


async def test_the_event_of_a_retry_has_all_fields() -> None:
    events: Events = []
    async with running_flow(stepping(1), on_workflow_error=hook_into(events)) as flow:
        [event] = events
        assert event.kind == "step"
        assert event.step is event
        assert (event.rollback, event.workflow) == (None, None)
        assert event.workflow_id == await flow.actor.resolve()
        assert event.step_name == "charge"
        assert (event.attempt, event.max_retries, event.remaining_retries) == (1, 3, 3)
        assert (event.will_retry, event.retry_delay) == (True, 0.2)
        assert event.retry_at == pytest.approx(flow.testing.now() + 0.2, abs=0.002)
        assert (event.error.name, event.error.message) == ("Declined", "no 1")
        assert "Declined" in (event.error.stack or "")


async def test_the_retries_count_down() -> None:
    events: Events = []
    async with running_flow(stepping(9), on_workflow_error=hook_into(events)) as flow:
        await flow.pass_time(10)
        assert [event.attempt for event in events] == [1, 2, 3, 4]
        assert [event.remaining_retries for event in events] == [3, 2, 1, 0]
        assert [event.will_retry for event in events] == [True, True, True, False]
        assert [event.retry_delay for event in events] == [0.2, 0.4, 0.8, None]
        assert events[-1].retry_at is None


async def test_the_failure_of_a_step_is_not_told_again_as_the_runs() -> None:
    events: Events = []
    async with running_flow(stepping(9, retries=0), on_workflow_error=hook_into(events)):
        assert [event.kind for event in events] == ["step"]


async def test_nor_after_a_restart() -> None:
    events: Events = []

    async def body(self: Any, wf: Workflow) -> None:
        await wf.attempt("charge", failing([], "charge", 9), retries=0)
        await wf.receive("go")

    async with running_flow(body, on_workflow_error=hook_into(events)) as flow:
        await flow.again()
        await flow.crash()
        assert len(events) == 1


async def test_an_error_of_the_body_is_told_as_the_runs() -> None:
    events: Events = []

    async def body(self: Any, wf: Workflow) -> None:
        raise Declined("no")

    async with running_flow(body, on_workflow_error=hook_into(events)) as flow:
        await flow.again()
        [event] = events
        assert (event.kind, event.workflow) == ("workflow", event)
        assert (event.step_name, event.attempt, event.will_retry) == (None, None, None)
        assert (event.error.name, event.error.message) == ("Declined", "no")


async def test_a_failed_undo_handler_is_told_as_a_rollback() -> None:
    events: Events = []

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("a", noting([], "a"), undo=failing([], "undo", 9), retries=0)
        await wf.step("b", failing([], "b", 9), retries=0)

    async with running_flow(body, on_workflow_error=hook_into(events)):
        assert [(event.kind, event.step_name) for event in events] == [
            ("step", "b"),
            ("rollback", "a"),
        ]
        assert events[1].rollback is events[1]
        assert events[1].error.message == "no 1"


async def test_the_metadata_of_an_error_is_told() -> None:
    events: Events = []

    async def charge() -> None:
        raise UserError("no money", code="declined", metadata={"cents": 5})

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("charge", charge, retries=0)

    async with running_flow(body, on_workflow_error=hook_into(events)):
        assert events[0].error.message == "no money"
        assert events[0].error.metadata == {"cents": 5}


async def test_the_hook_may_use_the_actor() -> None:
    async def on_workflow_error(self: Any, event: WorkflowErrorEvent) -> None:
        self.state.notes.append(event.error.message)
        self.broadcast(self.told, event.attempt)
        await self.queue.send("orders", "failed")

    async def body(self: Any, wf: Workflow) -> Any:
        await wf.attempt("charge", failing([], "charge", 9), retries=0)
        return (await wf.receive("order")).body

    async with running_flow(body, on_workflow_error=on_workflow_error) as flow:
        await flow.testing.settle()
        assert await flow.notes() == ["no 1"]
        assert await flow.output() == "failed"


async def test_the_hook_may_be_plain() -> None:
    events: Events = []

    def on_workflow_error(self: Any, event: WorkflowErrorEvent) -> None:
        events.append(event)

    async with running_flow(stepping(1), on_workflow_error=on_workflow_error):
        assert len(events) == 1


async def test_what_the_hook_raises_changes_nothing() -> None:
    async def on_workflow_error(self: Any, event: WorkflowErrorEvent) -> None:
        raise Fatal("the hook itself")

    async with running_flow(stepping(1), on_workflow_error=on_workflow_error) as flow:
        await flow.pass_time(1)
        assert await flow.status() == "completed"
