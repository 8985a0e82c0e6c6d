"""The conformance list of the workflow page (section 16.5), item by item: steps, waits, endings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator.workflow import Workflow
from tests.fakes.workflow_flows import Declined, Receipt, failing, noting, running_flow

Ran = list[Any]

# ------------------------------------------------- 1. replay of value and void steps


async def test_1_a_value_step_is_replayed() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> Any:
        receipt = await wf.step("charge", noting(ran, "charge", Receipt("r1", 5)))
        await wf.receive("go")
        return receipt

    async with running_flow(body) as flow:
        await flow.crash()
        await flow.send("go")
        assert ran == ["charge"]
        assert await flow.output() == {"id": "r1", "cents": 5}


async def test_1_a_replayed_value_is_of_its_type() -> None:
    seen: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        seen.append(await wf.step("charge", noting([], "charge", Receipt("r1", 5))))
        await wf.receive("go")

    async with running_flow(body) as flow:
        await flow.again()
        assert seen == [Receipt("r1", 5)] * 2


async def test_1_a_void_step_is_replayed() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("tell", noting(ran, "tell"))
        await wf.receive("go")

    async with running_flow(body) as flow:
        await flow.crash()
        await flow.again()
        assert ran == ["tell"]


async def test_1_a_void_step_of_a_branch_is_replayed() -> None:
    """Defect no. 5 of the peer."""
    ran: Ran = []

    async def quick(wf: Workflow) -> None:
        await wf.step("tell", noting(ran, "quick"))

    async def slow(wf: Workflow) -> None:
        await wf.step("tell", noting(ran, "slow"))
        await wf.receive("go")

    async def body(self: Any, wf: Workflow) -> None:
        await wf.gather("both", quick=quick, slow=slow)

    async with running_flow(body) as flow:
        await flow.crash()
        await flow.send("go")
        assert sorted(ran) == ["quick", "slow"]
        assert await flow.status() == "completed"


# --------------------------------------- 2. four attempts with 0.2, 0.4 and 0.8 s


async def test_2_a_step_has_four_attempts() -> None:
    times: Ran = []

    async with running_flow(_failing_forever(times)) as flow:
        for delay in (0.2, 0.4, 0.8):
            await flow.pass_time(delay)
        assert len(times) == 4


@pytest.mark.parametrize(("attempts", "delay"), [(1, 0.2), (2, 0.4), (3, 0.8)])
async def test_2_attempts_are_so_far_apart(attempts: int, delay: float) -> None:
    times: Ran = []

    async with running_flow(_failing_forever(times)) as flow:
        for before in (0.2, 0.4, 0.8)[: attempts - 1]:
            await flow.pass_time(before)
        await flow.pass_time(delay - 0.002)
        assert len(times) == attempts
        await flow.pass_time(0.002)
        assert len(times) == attempts + 1


def _failing_forever(times: Ran) -> Any:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("charge", failing(times, "charge", 99))

    return body


async def test_2_the_fourth_failure_ends_the_run() -> None:
    async with running_flow(_failing_forever([])) as flow:
        await flow.pass_time(10)
        assert await flow.status() == "failed"
        assert (await flow.error()).startswith("StepFailed: step 'charge' failed after 4 attempts")


# ------------------------------------------------------------ 3. kill during a body


async def test_3_a_body_that_a_kill_cut_off_runs_again() -> None:
    ran: Ran = []

    async with running_flow(_hanging_at_first(ran)) as flow:
        await flow.crash()
        assert ran == [1, 2]
        assert await flow.output() == "done"


async def test_3_an_attempt_that_a_kill_cut_off_counts() -> None:
    """Defect no. 11 of the peer."""
    async with running_flow(_hanging_at_first([])) as flow:
        await flow.crash()
        assert (await flow.workflow.history())[0].attempts == 2


async def test_3_a_step_that_kills_its_process_again_and_again_fails() -> None:
    ran: Ran = []

    async def hang() -> None:
        ran.append(1)
        await asyncio.Event().wait()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("kill", hang, timeout=None)

    async with running_flow(body) as flow:
        for _ in range(6):
            await flow.crash()
        assert await flow.status() == "failed"
        assert len(ran) == 4


def _hanging_at_first(ran: Ran) -> Any:
    async def charge() -> str:
        ran.append(len(ran) + 1)
        if len(ran) == 1:
            await asyncio.Event().wait()
        return "done"

    async def body(self: Any, wf: Workflow) -> str:
        return await wf.step("charge", charge)

    return body


# ------------------------------------ 6. a gather of 1,000 branches; 7. race and timer


async def test_6_a_gather_may_have_a_thousand_branches() -> None:
    """Defect no. 8 of the peer."""
    ran: Ran = []

    def branch(number: int) -> Any:
        async def run(wf: Workflow) -> int:
            return await wf.step("square", noting(ran, number, number * number))

        return run

    async def body(self: Any, wf: Workflow) -> int:
        found = await wf.gather("all", **{f"b{number}": branch(number) for number in range(1000)})
        await wf.receive("go")
        return sum(found.values())

    async with running_flow(body) as flow:
        await flow.crash()
        await flow.send("go")
        assert await flow.output() == sum(number * number for number in range(1000))
        assert sorted(ran) == list(range(1000))


async def test_7_a_race_against_a_long_step_ends_at_the_timer() -> None:
    """Defect no. 6 of the peer."""
    ended: Ran = []

    async def long() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def work(wf: Workflow) -> None:
        await wf.step("long", long, timeout=None)

    async def body(self: Any, wf: Workflow) -> str:
        return (await wf.first("either", work=work, timer=wf.after(3))).name

    async with running_flow(body) as flow:
        await flow.pass_time(2.99)
        assert await flow.status() == "running"
        await flow.pass_time(0.01)
        assert await flow.output() == "timer"
        assert ended == ["cancelled"]


# --------------------------------------------------- 8. undo inside a loop and a gather


async def test_8_steps_in_a_loop_and_a_gather_are_undone() -> None:
    """Defect no. 1 of the peer."""
    async with running_flow(_fails_after_two_orders, note=note, undo_note=undo_note) as flow:
        await flow.pass_time(1)
        assert await flow.notes() == [
            "reserve 0",
            "left 0",
            "right 0",
            "reserve 1",
            "left 1",
            "right 1",
            "undo right 1",
            "undo left 1",
            "undo reserve 1",
            "undo right 0",
            "undo left 0",
            "undo reserve 0",
        ]


async def note(self: Any, text: str) -> str:
    self.state.notes.append(text)
    return text


async def undo_note(self: Any, text: str) -> None:
    self.state.notes.append(f"undo {text}")


async def _fails_after_two_orders(self: Any, wf: Workflow) -> None:
    async def side(wf: Workflow, name: str) -> None:
        await wf.step("take", self.note, name, undo=self.undo_note)

    async for turn in wf.loop("orders"):
        index = turn.index
        await wf.step("reserve", self.note, f"reserve {index}", undo=self.undo_note)
        await wf.map("sides", [f"left {index}", f"right {index}"], side, concurrency=1)
        if index:
            turn.stop()
    raise Declined("after all")


async def test_8_a_saga_in_a_branch_of_a_loop_is_undone_alone() -> None:
    async def side(wf: Workflow, name: str) -> None:
        actor = actors[-1]
        async with wf.saga("one"):
            await wf.step("take", actor.note, name, undo=actor.undo_note)
            if name == "bad":
                raise Declined(name)

    actors: list[Any] = []

    async def body(self: Any, wf: Workflow) -> list[str]:
        actors.append(self)
        async for turn in wf.loop("orders"):
            found = await wf.map("sides", ["good", "bad"], side, concurrency=1, return_errors=True)
            turn.stop([type(each).__name__ for each in found])
        return []

    async with running_flow(body, note=note, undo_note=undo_note) as flow:
        assert await flow.notes() == ["good", "bad", "undo bad"]
        assert await flow.status() == "completed"


# --------------------------------------------------------- 9. a failed run stays failed


async def test_9_a_failed_run_stays_failed() -> None:
    """Defects no. 2 and 4 of the peer."""
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("a", noting(ran, "a"))
        await wf.step("b", failing(ran, "b", 1), retries=0)

    async with running_flow(body) as flow:
        await flow.again()
        await flow.crash()
        await flow.pass_time(3600)
        assert ran == ["a", "b"]
        assert await flow.status() == "failed"


async def test_9_a_completed_run_stays_completed() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        return None

    async def longer(self: Any, wf: Workflow) -> None:
        await wf.step("new", noting(ran, "new"))

    ran: Ran = []
    async with running_flow(body) as flow:
        await flow.reload(longer)
        await flow.crash()
        assert ran == []
        assert await flow.status() == "completed"


async def test_9_a_failed_actor_goes_on_answering() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        raise Declined("no")

    async with running_flow(body) as flow:
        assert await flow.actor.total() == 0


# ------------------- 10. a sleep of an hour, the actor asleep, and a schedule in between


async def test_10_an_actor_sleeps_while_its_workflow_does() -> None:
    """Defect no. 12 of the peer."""
    async with running_flow(_resting_for_an_hour([])) as flow:
        await flow.pass_time(60)
        assert not await flow.testing.is_awake(flow.actor)


async def test_10_it_wakes_when_the_hour_is_over() -> None:
    ran: Ran = []
    async with running_flow(_resting_for_an_hour(ran)) as flow:
        await flow.pass_time(3599)
        assert ran == ["before"]
        await flow.pass_time(1)
        assert ran == ["before", "after"]
        assert await flow.testing.is_awake(flow.actor)


async def test_10_a_schedule_in_between_happens_and_moves_nothing() -> None:
    """Defect no. 13 of the peer."""
    ran: Ran = []
    async with running_flow(_resting_for_an_hour(ran)) as flow:
        await flow.actor.add_later(1800)
        await flow.sleep()
        await flow.pass_time(1801)
        assert await flow.actor.total() == 1
        assert ran == ["before"]
        await flow.pass_time(1799)
        assert ran == ["before", "after"]


async def test_10_a_schedule_after_it_happens_too() -> None:
    ran: Ran = []
    async with running_flow(_resting_for_an_hour(ran)) as flow:
        await flow.actor.add_later(7200)
        await flow.sleep()
        await flow.pass_time(7199)
        assert ran == ["before", "after"]
        await flow.pass_time(2)
        assert await flow.actor.total() == 1


def _resting_for_an_hour(ran: Ran) -> Any:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("before", noting(ran, "before"))
        await wf.sleep("hour", 3600)
        await wf.step("after", noting(ran, "after"))

    return body
