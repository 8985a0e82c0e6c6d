"""Loops (workflow page, sections 4.3 and 12; python-api, section 8)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stator.workflow import Workflow
from tests.fakes.workflow_flows import Declined, failing, noting, running_flow

Ran = list[Any]


class Cursor(msgspec.Struct):
    """The state of a loop."""

    page: int = 0
    seen: list[int] = []


async def test_a_turn_has_its_index_and_the_state() -> None:
    seen: Ran = []

    async def body(self: Any, wf: Workflow) -> Any:
        loop = wf.loop("pages", state=Cursor())
        async for turn in loop:
            turn.state.seen.append(turn.index)
            turn.state = Cursor(turn.state.page + 10, turn.state.seen)
            seen.append((turn.index, turn.state.page))
            if turn.index == 2:
                turn.stop(turn.state.seen)
        return loop.result

    async with running_flow(body) as flow:
        assert await flow.output() == [0, 1, 2]
        assert seen == [(0, 10), (1, 20), (2, 30)]


async def test_the_state_is_nothing_without_one() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async for turn in wf.loop("once"):
            turn.stop()
            return [turn.state, turn.index]

    async with running_flow(body) as flow:
        assert await flow.output() == [None, 0]


async def test_the_state_is_of_its_class_after_a_restart() -> None:
    seen: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("pages", state=Cursor()):
            seen.append(turn.state)
            turn.state.page += 1
            await wf.receive("next")

    async with running_flow(body) as flow:
        await flow.send(1)
        await flow.crash()
        assert seen == [Cursor(1), Cursor(2), Cursor(2)]  # changed since, each in its turn


async def test_stop_lets_the_turn_come_to_its_end() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> Any:
        loop = wf.loop("once")
        async for turn in loop:
            turn.stop("first")
            await wf.step("more", noting(ran, "more"))
            turn.stop("second")
        return loop.result

    async with running_flow(body) as flow:
        assert (await flow.output(), ran) == ("second", ["more"])


async def test_a_loop_that_is_over_is_not_run_again() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> Any:
        loop = wf.loop("three", state=0)
        async for turn in loop:
            ran.append(turn.index)
            turn.state += await wf.step("one", noting([], "one", 1))
            if turn.index == 2:
                turn.stop(turn.state)
        await wf.receive("go")
        return loop.result

    async with running_flow(body) as flow:
        await flow.crash()
        await flow.send("go")
        assert (await flow.output(), ran) == (3, [0, 1, 2])


async def test_continue_begins_the_next_turn() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        loop = wf.loop("three", state=0)
        async for turn in loop:
            if turn.index == 1:
                continue
            turn.state += 1
            if turn.index == 2:
                turn.stop(turn.state)
        return loop.result

    async with running_flow(body) as flow:
        assert await flow.output() == 2


@pytest.mark.parametrize("how", ["live", "crash"])
async def test_break_leaves_the_loop_without_a_result(how: str) -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> Any:
        loop = wf.loop("turns")
        async for turn in loop:
            await wf.step("in", noting(ran, ("in", turn.index)))
            if turn.index == 1:
                break
        await wf.step("in", noting(ran, "out"))
        await wf.receive("go")
        return loop.result

    async with running_flow(body) as flow:
        if how == "crash":
            await flow.crash()
        await flow.send("go")
        assert await flow.output() is None
        assert ran == [("in", 0), ("in", 1), "out"]


async def test_a_caught_error_leaves_the_loop() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        try:
            async for turn in wf.loop("turns"):
                await wf.step("in", noting(ran, ("in", turn.index)))
                if turn.index == 1:
                    raise Declined
        except Declined:
            await wf.step("in", noting(ran, "out"))
        await wf.receive("go")

    async with running_flow(body) as flow:
        await flow.crash()
        await flow.again()
        assert ran == [("in", 0), ("in", 1), "out"]
        assert await flow.status() == "sleeping"


async def test_return_within_a_loop_is_the_runs() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async for turn in wf.loop("turns"):
            if turn.index == 3:
                return turn.index

    async with running_flow(body) as flow:
        assert await flow.output() == 3


async def test_run_loop_returns_the_result() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def count(wf: Workflow, turn: Any) -> None:
            turn.state += 1
            if turn.state == 4:
                turn.stop(turn.state)

        return await wf.run_loop("count", count, state=0)

    async with running_flow(body) as flow:
        assert await flow.output() == 4


# ------------------------------------------------------------------ what is kept of it


@pytest.mark.parametrize("keep", [0, 1, 3, 20])
async def test_the_last_turns_stay_in_the_history(keep: int) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("orders", keep=keep):
            await wf.receive("order")
            await wf.step("handle", noting([], turn.index))

    async with running_flow(body) as flow:
        for number in range(7):
            await flow.send(number)
        turns = [each.key for each in await flow.workflow.history() if each.kind == "turn"]
        first = max(0, 7 - keep)
        assert turns == [f"orders/~{number}" for number in range(first, 8)]
        assert len(await flow.stored_entries()) == len(await flow.keys())


async def test_twenty_turns_stay_without_a_number() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("orders"):
            if turn.index == 50:
                await wf.receive("end")

    async with running_flow(body) as flow:
        kinds = [entry.kind for entry in await flow.workflow.history()]
        assert kinds.count("turn") == 20 + 1


@pytest.mark.parametrize("keep", [0, 2])
async def test_turns_before_a_restart_are_pruned_after_it(keep: int) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for _ in wf.loop("orders", keep=keep):
            await wf.receive("order")

    async with running_flow(body) as flow:
        for number in range(9):
            await flow.send(number)
            await (flow.again() if number % 2 else flow.crash())
        turns = [each.key for each in await flow.workflow.history() if each.kind == "turn"]
        assert turns == [f"orders/~{number}" for number in range(9 - keep, 10)]


@pytest.mark.parametrize("keep", [-1, -20])
async def test_keep_is_a_number_of_turns(keep: int) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        wf.loop("orders", keep=keep)

    async with running_flow(body) as flow:
        assert (await flow.error()).startswith("ValueError: keep is a number")


async def test_nested_loops_prune_their_own_turns() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("outer", keep=1):
            async for inner in wf.loop("inner", keep=2):
                await wf.step("s", noting([], "s"))
                if inner.index == 5:
                    inner.stop()
            if turn.index == 3:
                await wf.receive("end")

    async with running_flow(body) as flow:
        turns = [each.key for each in await flow.workflow.history() if each.kind == "turn"]
        assert turns == [
            f"outer/~{outer}{inner}" for outer in (2, 3) for inner in ("", "/inner/~4", "/inner/~5")
        ]


# ------------------------------------------------------------------------ its wrong uses


async def test_a_state_that_cannot_be_stored_fails_the_run() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("turns", state=0):
            turn.state = object()  # type: ignore[assignment]

    async with running_flow(body) as flow:
        assert (await flow.error()).startswith("OutputNotSerializable: state of loop 'turns'")


async def test_a_failed_step_in_a_turn_is_the_runs() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for _ in wf.loop("turns"):
            await wf.step("bad", failing([], "bad", 9), retries=0)

    async with running_flow(body) as flow:
        assert (await flow.error()).startswith("StepFailed: ")


async def test_a_loop_that_waits_for_nothing_lets_others_live() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("busy", keep=0):
            if turn.index == 500:
                turn.stop()

    async with running_flow(body) as flow:
        assert await flow.actor.total() == 0
        assert await flow.status() == "completed"
