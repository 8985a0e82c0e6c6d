"""Sleep and wake-up of an actor, where its workflow has a say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator.workflow import Backoff, Step, Workflow
from tests.fakes.engine_in_process import turns
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.workflow_life import GRACE_S, LONG_S, SLEEP_TIMEOUT_S, living

# -- in which waits it sleeps


async def sleeping(self: Any, wf: Workflow) -> None:
    await wf.sleep("z", LONG_S)


async def receiving(self: Any, wf: Workflow) -> None:
    await wf.receive("r", self.orders)


async def receiving_with_timeout(self: Any, wf: Workflow) -> None:
    await wf.receive("r", self.orders, timeout=LONG_S)


async def promised(self: Any, wf: Workflow) -> None:
    await wf.promise("p")


async def retrying(self: Any, wf: Workflow) -> None:
    async def bad() -> None:
        raise ValueError("no")

    await wf.step("s", bad, backoff=Backoff(first=LONG_S, max=LONG_S))


async def gathering(self: Any, wf: Workflow) -> None:
    await wf.gather("g", a=lambda w: w.sleep("z", LONG_S), b=lambda w: w.receive("r", "orders"))


async def racing(self: Any, wf: Workflow) -> None:
    await wf.first("f", a=lambda w: w.promise("p"), b=wf.after(LONG_S))


async def limited(self: Any, wf: Workflow) -> None:
    async with wf.timeout("t", LONG_S):
        await wf.promise("p")


async def mapping(self: Any, wf: Workflow) -> None:
    await wf.map("m", [1, 2, 3], lambda w, i: w.sleep("z", LONG_S), concurrency=1)


async def looping(self: Any, wf: Workflow) -> None:
    async for _ in wf.loop("l"):
        async with wf.saga("s"), wf.scope("c"), await wf.receive("r", self.orders, ack=True):
            pass


async def ended(self: Any, wf: Workflow) -> None:
    await wf.step("s", self.bump)


async def failed(self: Any, wf: Workflow) -> None:
    raise ValueError("no")


async def undoing(self: Any, wf: Workflow) -> None:
    async def back() -> None:
        raise ValueError("not back")

    await wf.step("s", self.bump, undo=back, backoff=Backoff(first=LONG_S, max=LONG_S))
    raise ValueError("no")


WAITS = [
    sleeping,
    receiving,
    receiving_with_timeout,
    promised,
    retrying,
    gathering,
    racing,
    limited,
    mapping,
    looping,
    ended,
    failed,
    undoing,
]


@pytest.mark.parametrize("body", WAITS)
async def test_an_actor_whose_workflow_waits_sleeps(body: Any) -> None:
    async with living(body) as it:
        await it.begin()
        await it.fall_asleep()
        assert not it.is_awake
        assert not it.is_stored_live


@pytest.mark.parametrize("body", WAITS)
async def test_an_actor_that_sleeps_is_left_alone_until_something_is_due(body: Any) -> None:
    async with living(body) as it:
        await it.begin()
        await it.leave()
        await it.pass_time(300)
        assert not it.is_awake


@pytest.mark.parametrize("body", WAITS)
async def test_after_a_crash_an_actor_that_slept_is_left_alone(body: Any) -> None:
    disk = MemoryDisk()
    async with living(body, disk) as it:
        await it.begin()
        await it.leave()
    async with living(body, disk) as it:
        await it.pass_time(120)
        assert not it.is_awake


@pytest.mark.parametrize("body", WAITS)
async def test_an_actor_that_played_its_workflow_once_more_sleeps_again(body: Any) -> None:
    async with living(body) as it:
        await it.begin()
        await it.leave()
        await it.begin()
        await it.fall_asleep()
        assert not it.is_awake
        await it.pass_time(300)
        assert not it.is_awake


async def test_an_actor_is_awake_while_a_step_runs() -> None:
    gate = asyncio.Event()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("s", gate.wait, timeout=None)

    async with living(body) as it:
        await it.begin()
        await it.pass_time(3 * SLEEP_TIMEOUT_S)
        assert it.is_awake
        gate.set()
        await it.fall_asleep()
        assert not it.is_awake


async def test_an_actor_is_awake_while_a_step_of_one_branch_runs() -> None:
    gate = asyncio.Event()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.gather(
            "g",
            a=lambda w: w.receive("r", self.orders),
            b=lambda w: w.step("s", gate.wait, timeout=None),
        )

    async with living(body) as it:
        await it.begin()
        await it.pass_time(3 * SLEEP_TIMEOUT_S)
        assert it.is_awake
        gate.set()
        await it.fall_asleep()
        assert not it.is_awake


async def test_an_inner_time_limit_that_ended_with_the_outer_one_does_not_wake() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        try:
            async with wf.timeout("outer", 5), wf.timeout("inner", 10):
                await wf.sleep("z", LONG_S)
        except TimeoutError:
            await wf.receive("r", self.orders)

    async with living(body) as it:
        await it.begin()
        await it.pass_time(6)
        assert "r" in it.entries
        await it.leave()
        assert it.due_in is None
        await it.begin()
        assert it.stored_run.status == "running"
        assert it.entries["r"].status == "waiting"


# -- waking


async def test_it_is_woken_at_the_deadline() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("z", 3600)
        await wf.step("s", self.bump)

    async with living(body) as it:
        await it.begin()
        await it.fall_asleep()
        await it.pass_time(3600 - SLEEP_TIMEOUT_S - 3)
        assert not it.is_awake
        await it.pass_time(3)
        await turns(60)
        assert it.stored_run.status == "completed"


async def test_it_sleeps_an_hour_with_schedules_in_between() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("z", 3600)
        await wf.step("s", self.bump, 100)

    async with living(body) as it:
        await it.begin()
        await it.call("add_later", 1000)
        await it.call("add_later", 2000)
        await it.pass_time(1500)
        assert not it.is_awake
        await it.pass_time(2100)
        await turns(60)
        assert await it.call("total") == 102
        assert it.stored_run.status == "completed"


async def test_a_message_wakes_it_and_its_workflow_gets_it() -> None:
    async with living(looping) as it:
        await it.begin()
        await it.leave()
        await it.call("put", "m")
        await turns(60)
        assert it.messages == 0


@pytest.mark.parametrize("seconds", [0, GRACE_S / 2])
async def test_sleep_during_a_step_waits_for_it_within_the_grace_period(seconds: float) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    ran: list[Any] = []

    async def slow(step: Step, number: int) -> None:
        ran.append((number, step.attempt))
        await gates[number].wait()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("one", slow, 0, timeout=None)
        await wf.step("two", slow, 1, timeout=None)
        await wf.receive("r", self.orders)

    async with living(body) as it:
        await it.begin()
        it.cell.sleep()
        await it.pass_time(seconds)
        gates[0].set()
        await turns(60)
        assert not it.is_awake or ran[-1] == (1, 1)
        await it.pass_time(2)
        assert ran == [(0, 1), (1, 1)]


async def test_a_step_that_outlasts_the_grace_period_is_run_again_and_did_not_count() -> None:
    ran: list[int] = []

    async def slow(step: Step) -> None:
        ran.append(step.attempt)
        await asyncio.Event().wait()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("s", slow, timeout=None, retries=0)

    async with living(body) as it:
        await it.begin()
        for _ in range(6):
            it.cell.sleep()
            await it.pass_time(GRACE_S + 3)
        assert ran == [1] * 7
        assert it.is_awake


async def test_a_step_may_put_its_actor_to_sleep_and_the_workflow_goes_on() -> None:
    async def rest(self: Any) -> None:
        self.state.notes.append("slept")
        self.sleep()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("rest", self.rest)
        await wf.step("after", self.bump)
        await wf.receive("r", self.orders)

    async with living(body, rest=rest) as it:
        await it.begin()
        await it.pass_time(2)
        assert await it.call("total") == 1
        assert it.notes == ["slept"]
