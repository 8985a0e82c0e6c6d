"""The conformance list of the workflow page (section 16.5): commits that fail, `except`, loops."""

from __future__ import annotations

from typing import Any

import pytest

from stator import ActorError
from stator.runtime.workflow.entries import EntryStatus, Kind
from stator.workflow import Workflow
from tests.fakes.workflow_flows import Declined, Runner, commits_failing, failing, running_flow

Ran = list[Any]
TURNS = 3_000

# ------------------------- 13. state and entries are of one commit, whatever commit fails


@pytest.mark.parametrize("point", ["commit.before", "commit.before_sync", "commit.after"])
@pytest.mark.parametrize("number", range(1, 9))
async def test_13_state_and_entries_agree_on_disk_after_a_failed_commit(
    point: str, number: int
) -> None:
    async with running_flow(_adding_when_told) as flow:
        with commits_failing(point, number):
            await _enqueue(flow, "go")
            await flow.testing.settle()
            await flow.testing.crash()
            assert await flow.stored_total() == await _completed_steps(flow)


@pytest.mark.parametrize("point", ["commit.before", "commit.before_sync", "commit.after"])
@pytest.mark.parametrize("number", range(1, 9))
async def test_13_a_failed_commit_changes_no_outcome(point: str, number: int) -> None:
    async with running_flow(_adding_when_told) as flow:
        with commits_failing(point, number) as commits:
            await _enqueue(flow, "go")
            await _begin(flow)
        assert len(commits) >= number
        assert await flow.output() == [1, 2, 3, 4]
        assert await flow.actor.total() == 4


async def _adding_when_told(self: Any, wf: Workflow) -> list[int]:
    async def add() -> int:
        self.state.total += 1
        total: int = self.state.total
        return total

    await wf.receive("go")
    found = [await wf.step("first", add)]

    async def branch(wf: Workflow) -> int:
        return await wf.step("branch", add)

    found += (await wf.gather("some", it=branch)).values()
    loop = wf.loop("loop", state=found)
    async for turn in loop:
        turn.state.append(await wf.step("turn", add))
        if turn.index == 1:
            turn.stop(turn.state)
    totals: list[int] = loop.result
    return totals


async def _enqueue(flow: Runner, body: str) -> None:
    """Send a message, again if the commit that fails is its own."""
    for _ in range(3):
        if not await flow.stored_messages() and await flow.status() == "sleeping":
            try:
                await flow.actor.enqueue("orders", body)
            except ActorError:
                await flow.testing.settle()


async def _begin(flow: Runner) -> None:
    for _ in range(3):
        try:
            await flow.begin()
        except ActorError:
            await flow.testing.settle()


async def _completed_steps(flow: Runner) -> int:
    entries = await flow.stored_entries()
    return sum(
        entry.kind is Kind.STEP and entry.status is EntryStatus.COMPLETED for entry in entries
    )


# ----------------------------------------- 14. `except Exception` around a step that is retried


async def test_14_a_retry_is_no_exception_for_the_code() -> None:
    """Defect no. 16 of the peer."""
    caught: Ran = []
    async with running_flow(_catching(caught, times=3)) as flow:
        await flow.pass_time(10)
        assert caught == []
        assert await flow.output() == "charge done"


async def test_14_the_code_catches_the_failure_for_good() -> None:
    caught: Ran = []
    async with running_flow(_catching(caught, times=99)) as flow:
        await flow.pass_time(10)
        assert caught == ["StepFailed"]
        assert await flow.status() == "completed"


async def test_14_a_replay_catches_the_same() -> None:
    caught: Ran = []
    async with running_flow(_catching(caught, times=99)) as flow:
        await flow.pass_time(10)
        await flow.crash()
        await flow.again()
        assert caught == ["StepFailed"]  # a run that has ended is not played again


@pytest.mark.parametrize("how", ["crash", "again"])
async def test_14_waits_are_no_exceptions_either(how: str) -> None:
    caught: Ran = []

    async def body(self: Any, wf: Workflow) -> str:
        try:
            await wf.sleep("nap", 60)
            message = await wf.receive("order", timeout=60)
        except Exception as error:
            caught.append(error)
            return "caught"
        return str(message)

    async with running_flow(body) as flow:
        await getattr(flow, how)()
        await flow.pass_time(60)
        await getattr(flow, how)()
        await flow.pass_time(60)
        assert caught == []
        assert await flow.output() == "None"


def _catching(caught: Ran, times: int) -> Any:
    async def body(self: Any, wf: Workflow) -> Any:
        try:
            return await wf.step("charge", failing([], "charge", times))
        except Exception as error:
            caught.append(type(error).__name__)
            return "caught"

    return body


# ------------------------------------------------- 15. many turns in constant storage


async def test_15_many_turns_take_constant_storage() -> None:
    rows: Ran = []

    async def body(self: Any, wf: Workflow) -> int:
        async def step() -> int:
            self.state.total += 1
            total: int = self.state.total
            return total

        async for turn in wf.loop("many", keep=5):
            await wf.step(f"step {turn.index}", step, log_start=False)
            if turn.index % 1000 == 999:
                await wf.sleep(f"pause {turn.index}", 1)
            if turn.index == TURNS - 1:
                turn.stop(turn.index)
        await wf.receive("end")
        return TURNS

    async with running_flow(body) as flow:
        for _ in range(TURNS // 1000):
            rows.append(len(await flow.stored_entries()))
            await flow.pass_time(1)
        assert await flow.actor.total() == TURNS
        assert max(rows) == min(rows)
        assert len(await flow.stored_entries()) == 2 * 5 + 3  # turns, steps, one sleep; loop, wait


async def test_15_a_loop_goes_on_in_its_turn() -> None:
    seen: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("many", state=0, keep=2):
            seen.append((turn.index, turn.state))
            turn.state += turn.index
            await wf.receive("next")

    async with running_flow(body) as flow:
        for number in range(3):
            await flow.send(number)
        await flow.crash()
        assert seen == [(0, 0), (1, 0), (2, 1), (3, 3), (3, 3)]


async def test_15_an_exception_out_of_a_loop_is_the_runs() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for _ in wf.loop("many"):
            raise Declined("no more")

    async with running_flow(body) as flow:
        assert await flow.error() == "Declined: no more"
