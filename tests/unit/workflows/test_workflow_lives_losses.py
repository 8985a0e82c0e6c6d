"""Actors that lose memory: a commit that fails, or a process that ends, at every point of a run."""

from __future__ import annotations

from typing import Any

import pytest

from stator.workflow import Backoff, Step, StepFailed, Workflow
from tests.fakes.engine_in_process import turns
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.workflow_life import WorkflowLife, living

MANY_COMMITS = 28
"""A few more than the tour makes."""


async def tour(self: Any, wf: Workflow) -> Any:
    """Do everything that is stored, with effects that do not count how often they are tried."""

    async def note(what: str) -> str:
        if what not in self.state.notes:
            self.state.notes.append(what)
        return what

    async def flaky(step: Step) -> int:
        if step.attempt == 1:
            raise ValueError("once more")
        return 5

    async def bad() -> None:
        raise ValueError("no")

    async def back(output: str) -> None:
        await note(f"back {output}")

    async def branch(w: Workflow) -> str:
        await w.sleep("z", 1)
        return await w.step("s", note, "branch")

    await wf.step("one", note, "one")
    await wf.step("flaky", flaky, backoff=Backoff(first=1))
    await wf.sleep("z", 2)
    await wf.gather("g", a=branch, b=branch)
    await wf.first("f", a=branch, b=wf.after(100))
    async for turn in wf.loop("l", 0, keep=1):
        turn.state += 1
        await wf.step("s", note, f"turn {turn.index}")
        if turn.index == 3:
            turn.stop(turn.state)
    async with await wf.receive("r", self.orders, ack=True) as message:
        await wf.step("got", note, message.body)
    await wf.receive("r2", self.orders)
    await wf.txn("t", note, "txn")
    try:
        async with wf.saga("saga"):
            await wf.step("done", note, "done", undo=back)
            await wf.step("bad", bad, retries=0)
    except StepFailed:
        await wf.step("caught", note, "caught")
    try:
        async with wf.timeout("limit", 1):
            await wf.promise("never")
    except TimeoutError:
        await wf.step("late", note, "late")
    return "end"


NOTES = [
    "one",
    "branch",
    "turn 0",
    "turn 1",
    "turn 2",
    "turn 3",
    "m",
    "txn",
    "done",
    "back done",
    "caught",
    "late",
]


async def play_to_the_end(it: WorkflowLife) -> None:
    """Let time pass until the run is over; the actor is asked for nothing."""
    for _ in range(60):
        await it.pass_time(1)
        await turns(40)
        if it.stored_run.status == "completed" and not it.store.is_committing:
            return
    raise AssertionError(f"it hangs: {it.stored_run}, {list(it.entries)[-3:]}, {it.log}")


def stored_notes(it: WorkflowLife) -> list[str]:
    """Return what is in the state on disk."""
    (row,) = it.store.disk.actors.values()
    registry = it.local.engine.registry
    definition = registry.get("it")
    assert definition is not None and row.state is not None
    notes: list[str] = definition.state_codec.decode(row.state).notes
    return notes


@pytest.mark.parametrize(
    ("number", "durability"),
    [(number, "commit") for number in range(MANY_COMMITS)]
    + [(number, "interval") for number in range(0, MANY_COMMITS, 5)],
)
async def test_a_commit_that_fails_costs_nothing_but_time(number: int, durability: Any) -> None:
    async with living(tour, engine={"durability": durability}) as it:
        await it.call("put", "m")
        await it.call("put", "n")
        goal = len(it.store.commits) + number
        for _ in range(400):
            if len(it.store.commits) >= goal:
                break
            if not it.store.is_committing:
                await it.pass_time(0.25)
        it.store.fail_next_commit()
        await play_to_the_end(it)
        await turns(40)
        assert stored_notes(it) == NOTES
        assert it.messages == 0


@pytest.mark.parametrize("number", range(MANY_COMMITS))
async def test_the_end_of_the_process_costs_nothing_but_time(number: int) -> None:
    disk, clock = MemoryDisk(), ManualClock()
    async with living(tour, disk, clock) as it:
        await it.call("put", "m")
        await it.call("put", "n")
        goal = len(it.store.commits) + number
        it.store.hold_commits()
        for _ in range(2000):
            if len(it.store.commits) >= goal:
                break
            if it.store.is_committing:
                it.store.release_commit()
            else:
                await it.pass_time(0.25)
            await turns(5)
    async with living(tour, disk.copy(), clock) as it:
        await turns(60)
        await play_to_the_end(it)
        assert stored_notes(it) == NOTES
        assert it.messages == 0
