"""What the peer's workflows get wrong in outcomes and branches (workflow page, section 13).

Defects no. 1 to 8; the others are in ``test_workflow_peer_defects_of_storage.py``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from stator.workflow import Failed, StepFailed, Workflow
from tests.fakes.scripted_flow import Deeds, entries_of, flowing, lose_and_wait

UNDONE: list[str] = []
"""What :func:`take_back` was called for."""


@pytest.fixture(autouse=True)
def nothing_undone() -> None:
    """Let each test begin with nothing undone."""
    UNDONE.clear()


def take_back(output: str) -> None:
    """Undo a step; a function of a module is found again after a restart."""
    UNDONE.append(output)


# ---------------------------------------------------------------- no. 1: where undo handlers run


async def _in_a_turn(wf: Workflow) -> None:
    async for turn in wf.loop("turns"):
        async with wf.saga("saga") as saga:
            await saga.step("a", Deeds().doing("a", f"a{turn.index}"), undo=take_back)
            await wf.sleep("pause", 10)
            await saga.step("bad", Deeds().refusing("bad"))


async def _in_the_turns_before(wf: Workflow) -> None:
    async with wf.saga("saga"):
        async for turn in wf.loop("turns", keep=0):
            await wf.step("a", Deeds().doing("a", f"a{turn.index}"), undo=take_back)
            if turn.index == 2:
                turn.stop()
        await wf.sleep("pause", 10)
        await wf.step("bad", Deeds().refusing("bad"))


async def _in_a_branch(wf: Workflow) -> None:
    async def branch(wf: Workflow) -> None:
        async with wf.saga("saga") as saga:
            await saga.step("a", Deeds().doing("a", "a0"), undo=take_back)
            await wf.sleep("pause", 10)
            await saga.step("bad", Deeds().refusing("bad"))

    await wf.gather("both", one=branch, two=_nothing)


async def _in_branches_that_ended(wf: Workflow) -> None:
    async def branch(wf: Workflow, name: str) -> None:
        await wf.step("a", Deeds().doing("a", name), undo=take_back)

    await wf.map("all", ["a", "b"], branch)
    await wf.sleep("pause", 10)
    await wf.step("bad", Deeds().refusing("bad"))


async def _in_a_race(wf: Workflow) -> None:
    async def branch(wf: Workflow) -> None:
        await wf.step("a", Deeds().doing("a", "a0"), undo=take_back)

    await wf.first("race", one=branch, other=wf.after(60))
    await wf.sleep("pause", 10)
    await wf.step("bad", Deeds().refusing("bad"))


async def _after_a_caught_failure(wf: Workflow) -> None:
    await wf.step("a", Deeds().doing("a", "a"), undo=take_back)
    await wf.attempt("caught", Deeds().refusing("caught"))
    await wf.step("b", Deeds().doing("b", "b"), undo=take_back)
    await wf.sleep("pause", 10)
    await wf.step("bad", Deeds().refusing("bad"))


async def _nothing(wf: Workflow) -> None:
    """Be a branch that does nothing."""


@pytest.mark.parametrize("is_lost", [False, True], ids=["whole", "crash"])
@pytest.mark.parametrize(
    ("script", "undone"),
    [
        (_in_a_turn, ["a0"]),
        (_in_the_turns_before, ["a2", "a1", "a0"]),
        (_in_a_branch, ["a0"]),
        (_in_branches_that_ended, ["b", "a"]),
        (_in_a_race, ["a0"]),
        (_after_a_caught_failure, ["b", "a"]),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
async def test_no_1_undo_handlers_run_wherever_their_steps_are(
    script: Any, undone: list[str], is_lost: bool
) -> None:
    async with flowing(script) as (client, flow):
        if is_lost:
            await lose_and_wait(client)
        await client.testing.advance(10)
        assert await flow.workflow.status() == "failed"
        assert undone == UNDONE


# -------------------------------------------------------------- no. 2: after the undo handlers


async def test_no_2_a_run_that_was_undone_does_not_go_on_when_its_actor_starts() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        await wf.step("reserve", deeds.doing("reserve", "r"), undo=take_back)
        await wf.step("charge", deeds.failing("charge", 1), retries=0)

    async with flowing(run) as (client, flow):
        for leave in (client.testing.sleep(flow), client.testing.crash()):
            await leave
            await flow.notes()
            await client.testing.settle()
        assert (await flow.workflow.status(), deeds) == ("failed", ["reserve", "charge"])
        assert UNDONE == ["r"]


async def test_no_2_retry_does_again_what_was_undone() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> str:
        await wf.step("reserve", deeds.doing("reserve", "r"), undo=take_back)
        return await wf.step("charge", deeds.failing("charge", 1), retries=0)

    async with flowing(run) as (client, flow):
        await client.testing.sleep(flow)
        await flow.workflow.retry()
        await client.testing.settle()
        assert await flow.workflow.output() == "charge"
        assert deeds == ["reserve", "charge", "reserve", "charge"]


# ------------------------------------------------------------ no. 3 and 4: a failure is for good


async def test_no_3_a_caught_refusal_is_not_tried_again_by_a_replay() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> str:
        found = await wf.attempt("ask", deeds.refusing("ask"))
        await wf.sleep("pause", 10)
        return found.kind if isinstance(found, Failed) else "went well"

    async with flowing(run) as (client, flow):
        await lose_and_wait(client)
        await client.testing.sleep(flow)
        await client.testing.advance(10)
        assert await flow.workflow.output() == "fatal"
        assert deeds == ["ask"]


async def test_no_3_a_caught_timeout_is_not_tried_again_by_a_replay() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> str:
        try:
            await wf.step("ask", deeds.hanging("ask"), timeout=5)
        except StepFailed as error:
            await wf.sleep("pause", 10)
            return error.kind
        return "went well"

    async with flowing(run) as (client, flow):
        await client.testing.advance(5)
        await lose_and_wait(client)
        await client.testing.advance(10)
        assert await flow.workflow.output() == "timeout"
        assert deeds == ["ask"]


async def test_no_4_a_fatal_step_is_not_tried_again_when_its_actor_starts() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        await wf.step("ask", deeds.refusing("ask"))

    async with flowing(run) as (client, flow):
        await lose_and_wait(client)
        await flow.notes()
        await client.testing.sleep(flow)
        await flow.notes()
        await client.testing.settle()
        assert deeds == ["ask"]
        assert await flow.workflow.status() == "failed"


# ----------------------------------------------------------------------- no. 5 to 8: branches


async def test_no_5_a_void_step_of_a_branch_is_done_once() -> None:
    deeds = Deeds()

    async def branch(wf: Workflow, name: str) -> None:
        await wf.step("do", deeds.doing(name))
        await wf.sleep("pause", 10)

    async def run(wf: Workflow) -> None:
        await wf.map("all", ["a", "b", "c"], branch, key=str)

    async with flowing(run) as (client, flow):
        await lose_and_wait(client)
        entries = await entries_of(flow)
        assert [entries[f"all/{name}/do"] for name in "abc"] == ["completed"] * 3
        await client.testing.advance(10)
        assert await flow.workflow.status() == "completed"
        assert deeds == ["a", "b", "c"]


async def test_no_6_a_timer_ends_a_race_while_a_step_runs() -> None:
    may_end = asyncio.Event()

    async def stubborn() -> None:
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()

    async def work(wf: Workflow) -> None:
        await wf.step("work", stubborn, timeout=None)

    async def run(wf: Workflow) -> str:
        return (await wf.first("race", work=work, late=wf.after(30))).name

    async with flowing(run) as (client, flow):
        await client.testing.advance(29)
        assert await flow.workflow.status() == "running"
        await client.testing.advance(1)
        assert await flow.workflow.output() == "late"
        assert (await entries_of(flow))["race/work/work"] == "cancelled"
        may_end.set()


async def test_no_6_a_timer_that_was_set_before_a_crash_ends_a_race() -> None:
    deeds = Deeds()

    async def work(wf: Workflow) -> None:
        await wf.step("work", deeds.hanging("work"), timeout=None)

    async def run(wf: Workflow) -> str:
        return (await wf.first("race", work=work, late=wf.after(30))).name

    async with flowing(run) as (client, flow):
        await client.testing.advance(20)
        await lose_and_wait(client)
        await client.testing.advance(10)
        assert await flow.workflow.output() == "late"
        assert deeds == ["work", "work"]


async def test_no_7_a_branch_receives_while_a_step_of_its_sibling_runs() -> None:
    deeds = Deeds()

    async def listen(wf: Workflow) -> None:
        message = await wf.receive("order", "orders")
        await wf.step("note", deeds.doing(message.body))

    async def work(wf: Workflow) -> None:
        await wf.step("work", deeds.hanging("work"), timeout=None)

    async def run(wf: Workflow) -> None:
        await wf.gather("both", listen=listen, work=work)

    async with flowing(run) as (client, flow):
        await flow.enqueue("orders", "first order")
        await client.testing.settle()
        assert deeds == ["work", "first order"]
        assert (await entries_of(flow))["both/work/work"] == "running"


async def test_no_8_a_thousand_branches_are_stored() -> None:
    deeds = Deeds()

    async def branch(wf: Workflow, number: int) -> int:
        await wf.step(f"step {number}", deeds.doing(str(number)))
        await wf.sleep("pause", 10)
        return number

    async def run(wf: Workflow) -> int:
        return sum(await wf.map("all", range(1000), branch))

    async with flowing(run) as (client, flow):
        await lose_and_wait(client)
        await client.testing.advance(10)
        assert await flow.workflow.output() == sum(range(1000))
        assert len(deeds) == 1000
