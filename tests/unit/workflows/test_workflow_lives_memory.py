"""What workflows leave in memory: nothing of an actor that left it, no timer, no turn of the loop
that others wait for long."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from stator.runtime.workflow.strand import TURN
from stator.workflow import Backoff, StepFailed, Workflow
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.workflow_life import LONG_S, WorkflowLife, living


async def everything(self: Any, wf: Workflow) -> Any:
    async def bad() -> None:
        raise ValueError("no")

    async def good() -> int:
        return 1

    await wf.step("one", self.bump)
    await wf.attempt("bad", bad, retries=0)
    await wf.gather("g", a=lambda w: w.step("s", good), b=lambda w: w.step("s", good))
    await wf.first("f", a=lambda w: w.promise("p"), b=lambda w: w.step("s", good))
    try:
        async with wf.saga("saga"):
            await wf.step("done", good, undo=good)
            await wf.step("bad", bad, retries=0)
    except StepFailed:
        pass
    async with wf.timeout("t", 100), wf.scope("c"):
        async for turn in wf.loop("l"):
            await wf.step("s", good)
            await wf.txn("t", good)
            if turn.index == 2:
                await wf.first("f", a=lambda w: w.receive("r", self.orders), b=wf.after(LONG_S))


async def completed(self: Any, wf: Workflow) -> None:
    await wf.step("one", self.bump)


async def failed(self: Any, wf: Workflow) -> None:
    await wf.step("one", self.bump)
    raise ValueError("no")


async def retrying(self: Any, wf: Workflow) -> None:
    async def bad() -> None:
        raise ValueError("no")

    await wf.step("s", bad, backoff=Backoff(first=LONG_S, max=LONG_S))


async def working(self: Any, wf: Workflow) -> None:
    await wf.step("s", asyncio.Event().wait, timeout=100)


def parts_of(it: WorkflowLife) -> list[weakref.ref[Any]]:
    """Return references to what is in memory of the actor and its workflow."""
    cell = it.cell
    loop: Any = cell.run_loop
    return [
        weakref.ref(each) for each in (it.actor, loop, loop._run) if hasattr(each, "__weakref__")
    ]


BODIES = [everything, completed, failed, retrying, working]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Let nothing be freed but by reference counting."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("body", BODIES)
async def test_an_actor_that_sleeps_is_freed_at_once(body: Any) -> None:
    async with living(body) as it:
        await it.begin()
        parts = parts_of(it)
        it.cell.sleep()
        await it.pass_time(20)
        await turns(60)
        it.local.log.lines.clear()  # errors refer to the frames they passed
        assert [part() for part in parts] == [None] * len(parts)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("body", BODIES)
async def test_an_actor_that_was_lost_is_freed_at_once(body: Any) -> None:
    async with living(body) as it:
        await it.begin()
        parts = parts_of(it)
        it.store.fail_next_commit()
        await it.send("add")
        await turns(60)
        it.local.log.lines.clear()  # errors refer to the frames they passed
        assert [part() for part in parts] == [None] * len(parts)


@pytest.mark.parametrize("body", BODIES)
async def test_no_timer_of_an_actor_that_sleeps_waits(body: Any) -> None:
    async with living(body) as it:
        await it.begin()
        await it.call("end")
        await it.pass_time(20)
        await turns(60)
        # that of the idle watch, of the alarm, and of the start failures
        assert it.clock.timers <= 2


async def test_a_thousand_actors_that_sleep_leave_no_cell() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("z", 3600)
        await wf.step("s", self.bump, 10)

    before = len(asyncio.all_tasks())
    async with living(body) as it:
        for number in range(1000):
            it.send("add", key=str(number))
        await turns(200)
        await it.pass_time(40)
        await turns(200)
        assert not it.local.engine.shards[0].by_identity
        assert len(asyncio.all_tasks()) == before
        await it.pass_time(3570)
        await turns(400)
        await it.pass_time(10)
        assert await it.call("total", key="7") == 11
        assert await it.call("total", key="999") == 11


TIMES = 20


async def _steps(self: Any, wf: Workflow) -> None:
    for number in range(TIMES):
        await wf.step(str(number), self.bump)


async def _failing(self: Any, wf: Workflow) -> None:
    async def bad() -> None:
        raise ValueError("no")

    for number in range(TIMES):
        await wf.attempt(str(number), bad, retries=0)


async def _waits(self: Any, wf: Workflow) -> None:
    for number in range(TIMES):
        await wf.sleep(str(number), 0)


async def _branches(self: Any, wf: Workflow) -> None:
    for number in range(TIMES):
        await wf.gather(str(number), a=lambda w: w.sleep("z", 0), b=lambda w: w.sleep("z", 0))


async def _blocks(self: Any, wf: Workflow) -> None:
    for number in range(TIMES):
        async with wf.saga(f"s{number}"), wf.timeout(f"t{number}", 10), wf.scope(f"c{number}"):
            pass


async def _turns(self: Any, wf: Workflow) -> None:
    async for turn in wf.loop("l"):
        if turn.index == TIMES:
            turn.stop()


@pytest.mark.parametrize("part", [_steps, _failing, _waits, _branches, _blocks, _turns])
async def test_what_was_done_is_freed_without_the_garbage_collector(part: Any) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.receive("begin", self.orders)
        await part(self, wf)
        await wf.receive("end", self.orders)

    async with living(body) as it:
        await it.begin()
        gc.collect()
        gc.disable()
        try:
            await it.call("put", 1)
            await turns(300)
            assert "end" in it.entries
            it.local.log.lines.clear()  # errors refer to the frames they passed
            assert gc.collect() < TIMES
        finally:
            gc.enable()


async def test_a_crowd_that_replays_long_histories_lets_others_have_their_turn() -> None:
    disk, clock, crowd, entries = MemoryDisk(), ManualClock(), 20, 500
    replayed: list[int] = []

    async def body(self: Any, wf: Workflow) -> None:
        for number in range(entries):
            await wf.sleep(str(number), 0)
            replayed.append(number)
        await wf.receive("r", self.orders)

    async with living(body, disk, clock) as it:
        for number in range(crowd):
            it.send("add", key=str(number))
        await wait_until(lambda: len(replayed) == crowd * entries, "all wait")
        await turns(60)
    replayed.clear()
    async with living(body, disk, clock) as it:
        clock.advance(1)
        longest = 0
        while (before := len(replayed)) < crowd * entries:
            await asyncio.sleep(0)
            longest = max(longest, len(replayed) - before)
        assert longest <= 2 * TURN
