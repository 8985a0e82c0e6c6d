"""A workflow and its actor: state, database, other actors, sleep, stop (page, section 12)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import Database, Options
from stator.workflow import Backoff, Failed, GatherFailed, Ok, Workflow
from tests.fakes.workflow_flows import Body, Declined, Runner, failing, noting, running_flow

Ran = list[Any]


def adding(self: Any, by: int = 1) -> Any:
    """Return the body of a step that counts in the state."""

    async def add() -> int:
        self.state.total += by
        total: int = self.state.total
        return total

    return add


# -------------------------------------------------------------------------- what is seen


async def test_the_state_of_a_step_is_seen_by_actions() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("add", adding(self))
        await wf.receive("go")

    async with running_flow(body) as flow:
        assert await flow.actor.total() == 1
        assert await flow.stored_total() == 1


async def test_a_failed_step_keeps_what_it_changed() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        async def add_and_fail() -> None:
            self.state.total += 1
            raise Declined

        match await wf.attempt("add", add_and_fail, retries=0):
            case Ok():
                return "well"
            case Failed():
                await wf.step("note", noting([], "note"))
                return "failed"

    async with running_flow(body) as flow:
        assert (await flow.output(), await flow.actor.total()) == ("failed", 1)
        assert await flow.stored_total() == 1


async def test_a_failed_branch_is_seen_in_the_state() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async def good(wf: Workflow) -> None:
            await wf.step("add", adding(self))

        async def bad(wf: Workflow) -> None:
            await wf.step("bad", failing([], "bad", 9), retries=0)

        try:
            await wf.gather("both", good=good, bad=bad)
        except GatherFailed:
            await wf.step("caught", adding(self, 10))

    async with running_flow(body) as flow:
        assert await flow.actor.total() == 11


async def test_a_step_tells_who_listens() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async def tell() -> None:
            self.broadcast(self.told, 5)

        await wf.receive("go")
        await wf.step("tell", tell)

    async with running_flow(body) as flow, flow.actor.connect() as conn:
        events = conn.events("told")
        await conn.total()
        await flow.send("go")
        assert await anext(events) == 5


# --------------------------------------------------------------------- database and others


async def test_a_step_uses_the_database() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def insert(text: str) -> None:
            await self.db.execute("INSERT INTO notes VALUES (?)", text)

        async def count() -> int:
            rows = await self.db.execute("SELECT count(*) FROM notes")
            number: int = rows[0][0]
            return number

        await wf.step("insert", insert, "a")
        await wf.txn("insert too", insert, "b")
        await wf.receive("go")
        return await wf.step("count", count)

    notes = Database(migrations=["CREATE TABLE notes (text TEXT)"])
    async with running_flow(body, db=notes) as flow:
        await flow.crash()
        await flow.send("go")
        assert await flow.output() == 2


async def test_a_step_begins_the_workflow_of_another_actor() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def begin() -> None:
            await self.client.get_or_create("flow", ["child"]).enqueue("orders", "from above")

        async def ask() -> Any:
            return await self.client.get_or_create("flow", ["child"]).workflow.output()

        if self.key == ("child",):
            return (await wf.receive("order")).body
        await wf.step("begin", begin)
        await wf.sleep("a moment", 1)
        return await wf.step("ask", ask)

    async with running_flow(body) as flow:
        await flow.pass_time(1)
        assert await flow.output() == "from above"


# ---------------------------------------------------------------------------- its sleep


async def test_ticks_go_on_over_sleeps() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for _ in wf.loop("ticks"):
            await wf.sleep("tick", 600)
            await wf.step("add", adding(self))

    async with running_flow(body) as flow:
        for tick in range(1, 5):
            await flow.pass_time(599)
            assert not await flow.testing.is_awake(flow.actor)
            await flow.pass_time(1)
            assert await flow.stored_total() == tick


@pytest.mark.parametrize("fails", [True, False])
async def test_an_actor_whose_workflow_is_over_sleeps_and_wakes(fails: bool) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        if fails:
            raise Declined

    async with running_flow(body) as flow:
        await flow.pass_time(60)
        assert not await flow.testing.is_awake(flow.actor)
        assert await flow.actor.total() == 0
        assert await flow.status() == ("failed" if fails else "completed")


@pytest.mark.parametrize("wait", ["receive", "sleep", "promise", "retry", "first"])
async def test_an_actor_sleeps_while_its_workflow_waits(wait: str) -> None:
    async with running_flow(_waiting(wait)) as flow:
        await flow.pass_time(60)
        assert not await flow.testing.is_awake(flow.actor)
        assert await flow.status() == "sleeping"


def _waiting(wait: str) -> Body:
    async def body(self: Any, wf: Workflow) -> None:
        async def receive(wf: Workflow) -> None:
            await wf.receive("order", timeout=7200)

        if wait == "receive":
            await receive(wf)
        elif wait == "sleep":
            await wf.sleep("nap", 7200)
        elif wait == "promise":
            await wf.promise("approved")
        elif wait == "retry":
            slowly = Backoff(first=7200, max=7200)
            await wf.step("s", failing([], "s", 1), backoff=slowly)
        else:
            await wf.first("either", receive=receive, timer=wf.after(7200))

    return body


async def test_an_actor_stays_awake_while_a_step_runs() -> None:
    gate = asyncio.Event()

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("long", gate.wait, timeout=None)

    async with running_flow(body) as flow:
        await flow.pass_time(120)
        assert await flow.testing.is_awake(flow.actor)
        gate.set()


@pytest.mark.parametrize("wake", ["message", "promise"])
async def test_what_is_waited_for_wakes_the_actor(wake: str) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        if wake == "promise":
            return await wf.promise("approved")
        return (await wf.receive("order")).body

    async with running_flow(body) as flow:
        await flow.sleep()
        if wake == "promise":
            await flow.workflow.resolve("approved", "yes")
        else:
            await flow.send("yes")
        await flow.testing.settle()
        assert await flow.output() == "yes"


# ----------------------------------------------------------------------------- its stop


async def test_a_stop_lets_a_running_step_end() -> None:
    gate = asyncio.Event()
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("long", _through(gate, ran))
        await wf.receive("go")

    async with running_flow(body) as flow:
        sleeping = asyncio.create_task(flow.sleep())
        await asyncio.sleep(0)
        gate.set()
        await sleeping
        await flow.begin()
        assert ran == ["begun", "ended"]


async def test_a_stop_is_over_with_the_grace_period() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("long", _through(asyncio.Event(), ran), timeout=None)

    options = Options(sleep_grace_period=5)
    async with running_flow(body, options=options) as flow:
        await flow.sleep()
        await flow.begin()
        assert ran[:3] == ["begun", "cut off", "begun"]
        assert await _attempts(flow) == 1


def _through(gate: asyncio.Event, ran: Ran) -> Any:
    async def long() -> None:
        ran.append("begun")
        try:
            await gate.wait()
        except asyncio.CancelledError:
            ran.append("cut off")
            raise
        ran.append("ended")

    return long


async def _attempts(flow: Runner) -> int:
    return (await flow.workflow.history())[0].attempts
