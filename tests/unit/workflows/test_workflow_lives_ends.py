"""The ends of an actor, where its workflow has a say: destruction, drain, a start that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stator import Actor, Options, action
from stator.workflow import Backoff, Workflow
from tests.fakes.engine_in_process import output_of, turns, wait_until
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.workflow_life import GRACE_S, LONG_S, living

Phase = Callable[[Any, Workflow], Any]


class Gates:
    """Where the bodies of a test wait."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.ran: list[str] = []

    async def work(self, what: str = "work") -> str:
        """Wait until the gate is open; note it."""
        self.ran.append(what)
        await self.open.wait()
        self.ran.append(f"{what} done")
        return what


async def in_a_sleep(self: Any, wf: Workflow, gates: Gates) -> None:
    await wf.sleep("z", LONG_S)


async def in_a_receive(self: Any, wf: Workflow, gates: Gates) -> None:
    await wf.receive("r", self.orders)


async def in_a_promise(self: Any, wf: Workflow, gates: Gates) -> None:
    await wf.promise("p")


async def in_a_retry(self: Any, wf: Workflow, gates: Gates) -> None:
    async def bad() -> None:
        raise ValueError("no")

    await wf.step("s", bad, backoff=Backoff(first=LONG_S, max=LONG_S))


async def in_a_step(self: Any, wf: Workflow, gates: Gates) -> None:
    await wf.step("s", gates.work, timeout=None)


async def in_a_branch(self: Any, wf: Workflow, gates: Gates) -> None:
    await wf.gather(
        "g",
        a=lambda w: w.step("s", gates.work, timeout=None),
        b=lambda w: w.receive("r", self.orders),
    )


async def in_an_undo(self: Any, wf: Workflow, gates: Gates) -> None:
    async def undo() -> None:
        await gates.work()

    async with wf.saga("saga"):
        await wf.step("s", self.bump, undo=undo, timeout=None)
        raise ValueError("no")


async def in_a_txn(self: Any, wf: Workflow, gates: Gates) -> None:
    await wf.txn("t", gates.work, timeout=None)


async def in_the_error_hook(self: Any, wf: Workflow, gates: Gates) -> None:
    async def bad() -> None:
        raise ValueError("no")

    await wf.step("s", bad, retries=0)


async def over(self: Any, wf: Workflow, gates: Gates) -> None:
    await wf.step("s", self.bump)


PARKED = [in_a_sleep, in_a_receive, in_a_promise, in_a_retry, over]
WORKING = [in_a_step, in_a_branch, in_an_undo, in_a_txn, in_the_error_hook]


def bound(phase: Any, gates: Gates) -> tuple[Any, dict[str, Any]]:
    """Return a body and members of its class."""

    async def body(self: Any, wf: Workflow) -> Any:
        return await phase(self, wf, gates)

    async def on_workflow_error(self: Any, event: Any) -> None:
        if phase is in_the_error_hook:
            await gates.work()

    return body, {"on_workflow_error": on_workflow_error}


# -- destruction


@pytest.mark.parametrize("phase", PARKED)
async def test_an_actor_whose_workflow_waits_is_destroyed_at_once(phase: Any) -> None:
    body, members = bound(phase, Gates())
    async with living(body, **members) as it:
        await it.begin()
        await it.call("end")
        await turns(60)
        assert not it.store.disk.actors
        assert not it.is_awake


@pytest.mark.parametrize("phase", WORKING)
async def test_destruction_waits_for_what_runs(phase: Any) -> None:
    gates = Gates()
    body, members = bound(phase, gates)
    async with living(body, **members) as it:
        await it.begin()
        await it.call("end")
        await it.pass_time(GRACE_S - 2)
        assert it.is_awake
        gates.open.set()
        await turns(60)
        assert not it.store.disk.actors
        assert gates.ran == ["work", "work done"]


@pytest.mark.parametrize("phase", WORKING)
async def test_destruction_cuts_off_what_outlasts_the_grace_period(phase: Any) -> None:
    gates = Gates()
    body, members = bound(phase, gates)
    async with living(body, **members) as it:
        await it.begin()
        await it.call("end")
        await it.pass_time(GRACE_S + 1)
        await turns(60)
        assert not it.store.disk.actors
        assert gates.ran == ["work"]


@pytest.mark.parametrize("phase", [*PARKED, *WORKING])
async def test_destruction_of_one_that_falls_asleep(phase: Any) -> None:
    gates = Gates()
    body, members = bound(phase, gates)
    async with living(body, **members) as it:
        await it.begin()
        cell = it.cell
        cell.sleep()
        cell.destroy()
        await it.pass_time(2 * GRACE_S)
        await turns(60)
        assert not it.store.disk.actors


async def test_a_step_may_destroy_its_actor() -> None:
    async def finish(self: Any) -> None:
        self.destroy()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("finish", self.finish)
        await wf.step("never", self.bump)

    async with living(body, finish=finish) as it:
        await it.send("total")
        await turns(60)
        assert not it.store.disk.actors
        await it.pass_time(120)
        assert not it.is_awake


async def test_a_plain_step_may_destroy_its_actor() -> None:
    def finish(self: Any) -> None:
        self.destroy()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("finish", self.finish)
        await wf.step("never", self.bump)

    async with living(body, finish=finish) as it:
        await it.send("total")
        await wait_until(lambda: not it.store.disk.actors, "it is destroyed")


# -- drain


@pytest.mark.parametrize("has_successor", [False, True])
@pytest.mark.parametrize("phase", [*PARKED, *WORKING])
async def test_a_drain_leaves_the_rest_to_the_next_process(phase: Any, has_successor: bool) -> None:
    disk, clock = MemoryDisk(), ManualClock()
    gates = Gates()
    body, members = bound(phase, gates)
    async with living(body, disk, clock, **members) as it:
        await it.begin()
        draining = asyncio.ensure_future(it.local.engine.drain(has_successor=has_successor))
        await it.pass_time(1)
        gates.open.set()
        await turns(60)
        assert draining.done()
        assert not it.is_stored_live
    async with living(body, disk, clock, **members) as it:
        await it.pass_time(1)
        await turns(60)
        goes_on = phase in WORKING
        assert it.is_awake == goes_on
        if goes_on:
            assert gates.ran == ["work", "work done"]


@pytest.mark.parametrize("phase", WORKING)
async def test_a_drain_cuts_off_what_outlasts_the_grace_period(phase: Any) -> None:
    disk, clock = MemoryDisk(), ManualClock()
    gates = Gates()
    body, members = bound(phase, gates)
    async with living(body, disk, clock, **members) as it:
        await it.begin()
        draining = asyncio.ensure_future(it.local.engine.drain())
        await it.pass_time(GRACE_S + 1)
        await turns(60)
        assert draining.done()
    gates.open.set()
    async with living(body, disk, clock, **members) as it:
        await it.pass_time(1)
        await turns(60)
        assert it.is_awake
        if phase is not in_the_error_hook:  # what is reported once is not reported again
            assert gates.ran == ["work", "work", "work done"]


# -- starts that fail


async def test_a_workflow_that_is_due_goes_on_once_its_actor_starts() -> None:
    trouble = [True]

    async def on_wake(self: Any) -> None:
        if trouble[0]:
            raise ValueError("not today")

    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("z", 10)
        await wf.step("s", self.bump)

    trouble[0] = False
    async with living(body, on_wake=on_wake) as it:
        await it.begin()
        await it.leave()
        trouble[0] = True
        await it.pass_time(60)
        assert not it.is_awake
        trouble[0] = False
        await it.pass_time(120)
        assert it.stored_run.status == "completed"


async def test_a_workflow_under_way_goes_on_once_its_actor_starts() -> None:
    disk, clock = MemoryDisk(), ManualClock()
    trouble = [False]
    gates = Gates()

    async def on_wake(self: Any) -> None:
        if trouble[0]:
            raise ValueError("not today")

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("s", gates.work, timeout=None)

    async with living(body, disk, clock, on_wake=on_wake) as it:
        await it.begin()
    trouble[0] = True
    async with living(body, disk, clock, on_wake=on_wake) as it:
        await it.pass_time(60)
        assert not it.is_awake
        trouble[0] = False
        gates.open.set()
        await it.pass_time(120)
        assert it.stored_run.status == "completed"


async def test_a_history_that_takes_long_to_load_disturbs_nobody() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("s", self.bump)
        await wf.receive("r", self.orders)

    async with living(body) as it:
        await it.begin()
        await it.leave()
        it.store.hold_look_ups()
        reply = it.send("total")
        for find_actor in it.store.take_look_ups():
            it.store.hold_look_ups()
            find_actor()
        await it.pass_time(30)
        assert not reply.done()
        it.store.release_look_ups()
        assert output_of(await reply) == 1


@pytest.mark.parametrize("image", [b"", b"\xc1", b"\x93\x01\x02"])
async def test_an_actor_whose_history_cannot_be_read_says_why(image: bytes) -> None:
    disk, clock = MemoryDisk(), ManualClock()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("s", self.bump)
        await wf.receive("r", self.orders)

    async with living(body, disk, clock) as it:
        await it.begin()
        await it.leave()
    (pk,) = disk.actors
    entries = disk.belongings(pk).entries
    entries[min(entries)] = image
    async with living(body, disk, clock) as it:
        error = await it.fails("total")
        assert error.code == "history_unreadable"
        assert await it.call("total", key="another") == 0


async def test_a_class_that_has_no_workflow_any_more_is_looked_at_once_a_minute() -> None:
    disk, clock = MemoryDisk(), ManualClock()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("z", 10)

    async with living(body, disk, clock) as it:
        await it.begin()
        await it.leave()
    clock.advance(100)

    class Plain(Actor):
        options = Options(sleep_timeout=5)
        starts: list[int] = []  # noqa: RUF012

        def on_wake(self) -> None:
            self.starts.append(1)

        @action
        def total(self) -> int:
            return 1

    async with living(Plain, disk, clock) as it:
        await it.pass_time(600)
        assert len(Plain.starts) <= 11
