"""Undoing: sagas and the run's own stack (workflow page, sections 4.8, 12 and 16.2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import ActorError
from stator.workflow import StepFailed, Undo, UndoFailed, Workflow
from tests.fakes.workflow_flows import (
    Body,
    Declined,
    Receipt,
    Runner,
    failing,
    noting,
    running_flow,
)

Ran = list[Any]


async def note(self: Any, text: str) -> str:
    """Note what a step does in the state."""
    self.state.notes.append(text)
    return text


async def undo_note(self: Any, text: str) -> None:
    """Undo it."""
    self.state.notes.append(f"undo {text}")


MEMBERS: dict[str, Any] = {"note": note, "undo_note": undo_note}


async def steps(self: Any, wf: Workflow, *names: str) -> None:
    """Make steps that can be undone."""
    for name in names:
        await wf.step(name, self.note, name, undo=self.undo_note)


async def fail(wf: Workflow, name: str = "bad") -> None:
    """Make a step that fails."""
    await wf.step(name, failing([], name, 99), retries=0)


# ---------------------------------------------------------------------- the run itself


async def test_a_run_that_fails_undoes_in_reverse_order() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await steps(self, wf, "a", "b", "c")
        await fail(wf)

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.notes() == ["a", "b", "c", "undo c", "undo b", "undo a"]
        assert await flow.status() == "failed"


async def test_a_run_that_goes_well_undoes_nothing() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await steps(self, wf, "a", "b")

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.notes() == ["a", "b"]


async def test_a_step_that_failed_is_not_undone() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await steps(self, wf, "a")
        await wf.step("bad", failing([], "bad", 9), retries=0, undo=self.undo_note)

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.notes() == ["a", "undo a"]


async def test_a_failure_that_is_caught_undoes_nothing() -> None:
    """Defect no. 1 of the peer: what comes after a caught failure is undone all the same."""

    async def body(self: Any, wf: Workflow) -> None:
        await steps(self, wf, "a")
        try:
            await fail(wf)
        except StepFailed:
            await steps(self, wf, "b")
        raise Declined

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.notes() == ["a", "b", "undo b", "undo a"]


# ------------------------------------------------------------------------------- sagas


async def test_a_saga_undoes_its_own_steps_only() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        await steps(self, wf, "before")
        try:
            async with wf.saga("saga") as saga:
                await saga.step("a", self.note, "a", undo=self.undo_note)
                await steps(self, wf, "b")
                await fail(wf)
        except StepFailed as error:
            await steps(self, wf, "after")
            return error.step
        return ""

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.notes() == ["before", "a", "b", "undo b", "undo a", "after"]
        assert await flow.output() == "bad"


async def test_a_saga_that_went_well_is_final() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async with wf.saga("saga"):
            await steps(self, wf, "a")
        await steps(self, wf, "b")
        await fail(wf)

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.notes() == ["a", "b", "undo b"]


async def test_a_saga_in_a_saga_belongs_to_it_once_it_went_well() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async with wf.saga("outer"):
            await steps(self, wf, "a")
            async with wf.saga("inner"):
                await steps(self, wf, "b")
            await fail(wf)

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.notes() == ["a", "b", "undo b", "undo a"]


async def test_any_exception_out_of_the_block_undoes() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        try:
            async with wf.saga("saga"):
                await steps(self, wf, "a")
                raise KeyError("x")
        except KeyError:
            return "caught"

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.notes() == ["a", "undo a"]
        assert await flow.output() == "caught"


async def test_a_limit_that_is_over_undoes() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        try:
            async with wf.timeout("limit", 2), wf.saga("saga"):
                await steps(self, wf, "a")
                await wf.sleep("nap", 10)
        except TimeoutError:
            return "late"
        return ""

    async with running_flow(body, **MEMBERS) as flow:
        await flow.pass_time(2)
        assert await flow.notes() == ["a", "undo a"]
        assert await flow.output() == "late"


async def test_a_loser_is_undone() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        async def loser(wf: Workflow) -> None:
            async with wf.saga("saga"):
                await steps(self, wf, "a")
                await wf.sleep("nap", 10)

        return (await wf.first("f", loser=loser, timer=wf.after(2))).name

    async with running_flow(body, **MEMBERS) as flow:
        await flow.pass_time(2)
        assert await flow.notes() == ["a", "undo a"]
        assert await flow.output() == "timer"


async def test_undo_of_a_step_ends_its_saga() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        async def back() -> None:
            raise Undo("changed my mind")

        try:
            async with wf.saga("saga"):
                await steps(self, wf, "a")
                await wf.step("back", back)
        except StepFailed as error:
            return error.kind
        return ""

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.notes() == ["a", "undo a"]
        assert await flow.output() == "undone"


# ------------------------------------------------------------------------------ handlers


async def test_a_handler_gets_the_output_and_the_arguments() -> None:
    seen: Ran = []

    async def charge(order: str, cents: int) -> Receipt:
        return Receipt(order, cents)

    async def refund(receipt: Receipt, order: str, cents: int) -> None:
        seen.append((receipt, order, cents))

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("charge", charge, "o1", 5, undo=refund)
        raise Declined

    async with running_flow(body):
        assert seen == [(Receipt("o1", 5), "o1", 5)]


async def test_a_handler_is_retried() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("a", noting(ran, "a"), undo=failing(ran, "undo", 2))
        raise Declined

    async with running_flow(body) as flow:
        await flow.pass_time(0.2)
        await flow.pass_time(0.4)
        assert ran == ["a", "undo", "undo", "undo"]
        assert await flow.error() == "Declined: "


async def test_a_handler_that_fails_for_good_stops_the_others() -> None:
    async with running_flow(_with_a_bad_handler([True]), **MEMBERS) as flow:
        assert await flow.status() == "failed"
        assert (await flow.error()).startswith("UndoFailed: ")
        assert await flow.notes() == ["a"]


async def test_a_retry_goes_on_with_that_handler() -> None:
    is_bad = [True]
    async with running_flow(_with_a_bad_handler(is_bad), **MEMBERS) as flow:
        is_bad.clear()
        await flow.workflow.retry()
        await flow.testing.settle()
        assert await flow.notes() == ["a", "undo b", "undo a"]
        assert await flow.error() == "Declined: "


def _with_a_bad_handler(is_bad: Ran) -> Body:
    async def body(self: Any, wf: Workflow) -> None:
        async def undo_b() -> None:
            if is_bad:
                raise Declined("cannot be undone")
            self.state.notes.append("undo b")

        await steps(self, wf, "a")
        await wf.step("b", noting([], "b"), undo=undo_b, retries=0)
        raise Declined

    return body


async def test_a_handler_of_a_saga_that_fails_is_an_exception() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        try:
            async with wf.saga("saga"):
                await wf.step("a", noting([], "a"), undo=failing([], "undo", 9), retries=0)
                raise Declined
        except UndoFailed as error:
            return f"{error.step}: {error.error}"
        return ""

    async with running_flow(body) as flow:
        assert await flow.output() == "a: no 1"


@pytest.mark.parametrize("how", ["crash", "again"])
async def test_an_interrupted_undo_goes_on_and_repeats_nothing(how: str) -> None:
    gate: Ran = []

    async def undo_slow(self: Any, text: str) -> None:
        if not gate:
            await asyncio.Event().wait()
        self.state.notes.append(f"undo {text}")

    async def body(self: Any, wf: Workflow) -> None:
        await steps(self, wf, "a")
        await wf.step("b", self.note, "b", undo=self.undo_slow, timeout=None)
        await steps(self, wf, "c")
        raise Declined("in the end")

    async with running_flow(body, undo_slow=undo_slow, **MEMBERS) as flow:
        assert await flow.status() == "rolling_back"
        gate.append("open")
        await getattr(flow, how)()
        assert await flow.notes() == ["a", "b", "c", "undo c", "undo b", "undo a"]
        assert await flow.error() == "Declined: in the end"


@pytest.mark.parametrize("is_method", [True, False])
async def test_in_a_loop_a_handler_has_a_name(is_method: bool) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async def closure(text: str) -> None:
            return None

        async for turn in wf.loop("turns"):
            undo = self.undo_note if is_method else closure
            await wf.step("s", self.note, "s", undo=undo)
            turn.stop()

    async with running_flow(body, **MEMBERS) as flow:
        assert await flow.status() == ("completed" if is_method else "failed")
        assert ("UndoNotAddressable" in await flow.error()) is not is_method


async def test_a_saga_in_a_loop_hands_no_closure_to_the_one_around_it() -> None:
    def forget(_: object) -> None: ...

    async def body(self: Any, wf: Workflow) -> None:
        async with wf.saga("outer"):
            async for turn in wf.loop("turns"):
                async with wf.saga("inner"):
                    await wf.step("s", self.note, "s", undo=forget)
                turn.stop()

    async with running_flow(body, **MEMBERS) as flow:
        assert "UndoNotAddressable" in await flow.error()


async def test_a_method_under_another_name_is_not_taken_for_its_namesake() -> None:
    async def undo_note(self: Any, text: str) -> None:
        self.state.notes.append("the wrong one")

    async def body(self: Any, wf: Workflow) -> None:
        async for _ in wf.loop("turns"):
            await wf.step("s", self.note, "s", undo=self.take_back)

    members = {"note": note, "take_back": MEMBERS["undo_note"], "undo_note": undo_note}
    async with running_flow(body, **members) as flow:
        assert "UndoNotAddressable" in await flow.error()


# ------------------------------------------------------------------- ended from outside


async def _cancelled(flow: Runner) -> None:
    await flow.workflow.cancel()
    await flow.testing.settle()


@pytest.mark.parametrize("how", ["live", "crash", "again"])
async def test_cancel_undoes_and_ends(how: str) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await steps(self, wf, "a", "b")
        await wf.sleep("nap", 3600)
        await steps(self, wf, "c")

    async with running_flow(body, **MEMBERS) as flow:
        if how != "live":
            await getattr(flow, how)()
        await _cancelled(flow)
        assert await flow.notes() == ["a", "b", "undo b", "undo a"]
        assert await flow.status() == "cancelled"
        with pytest.raises(ActorError, match="cancelled"):
            await flow.output()


async def test_a_cancelled_run_stays_cancelled() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("nap", 3600)
        await wf.step("a", noting(ran, "a"))

    async with running_flow(body) as flow:
        await _cancelled(flow)
        await flow.crash()
        await flow.again()
        await flow.pass_time(7200)
        assert (await flow.status(), ran) == ("cancelled", [])


async def test_a_retry_goes_on_after_a_cancel() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        await wf.sleep("nap", 60)
        return "done"

    async with running_flow(body) as flow:
        await _cancelled(flow)
        await flow.workflow.retry()
        await flow.pass_time(60)
        assert await flow.output() == "done"


async def test_a_retry_runs_the_failed_step_again() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> Any:
        await wf.step("a", noting(ran, "a"))
        return await wf.step("b", failing(ran, "b", 2), retries=0)

    async with running_flow(body) as flow:
        for _ in range(2):
            await flow.workflow.retry()
            await flow.testing.settle()
        assert ran == ["a", "b", "b", "b"]
        assert await flow.output() == "b done"


async def test_a_retry_runs_again_what_was_undone() -> None:
    """Defect no. 2 of the peer."""
    fails: Ran = [True]

    async def body(self: Any, wf: Workflow) -> None:
        await steps(self, wf, "a")
        if await wf.step("check", lambda: bool(fails)):
            raise Declined

    async with running_flow(body, **MEMBERS) as flow:
        fails.clear()
        await flow.workflow.retry()
        await flow.testing.settle()
        assert await flow.notes() == ["a", "undo a", "a"]
        assert await flow.status() == "completed"


@pytest.mark.parametrize("status", ["completed", "sleeping"])
async def test_only_a_run_that_did_not_go_well_is_retried(status: str) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        if status == "sleeping":
            await wf.receive("go")

    async with running_flow(body) as flow:
        assert await flow.status() == status
        with pytest.raises(ActorError, match="not_retryable"):
            await flow.workflow.retry()
