"""A `wf` in the wrong hands: of actions, of tasks, of those who kept it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stator import action
from stator.workflow import Workflow
from tests.fakes.engine_in_process import turns
from tests.fakes.workflow_life import living


class Kept:
    """What somebody kept of a workflow."""

    wf: Workflow | None = None


def with_stray_action(kept: Kept) -> dict[str, Any]:
    """Return an action that uses a workflow it has nothing to do with."""

    @action
    async def stray(self: Any) -> Any:
        assert kept.wf is not None
        try:
            return await kept.wf.step("stray", self.bump)
        except BaseException as error:
            return f"{type(error).__name__}: {error}"

    return {"stray": stray}


async def test_an_action_cannot_use_the_workflow_while_it_waits_for_nothing_durable() -> None:
    kept, gate = Kept(), asyncio.Event()

    async def body(self: Any, wf: Workflow) -> None:
        kept.wf = wf
        await gate.wait()
        await wf.receive("r", self.orders)

    async with living(body, **with_stray_action(kept)) as it:
        await it.begin()
        assert "entry_in_progress" in await it.call("stray")
        gate.set()
        await turns()
        assert list(it.entries) == ["r"]


async def test_an_action_cannot_use_a_workflow_that_has_ended() -> None:
    kept = Kept()

    async def body(self: Any, wf: Workflow) -> None:
        kept.wf = wf

    async with living(body, **with_stray_action(kept)) as it:
        await it.begin()
        assert "entry_in_progress" in await it.call("stray")
        assert it.entries == {}
        assert await it.call("total") == 0


async def test_a_task_of_the_workflow_cannot_go_on_after_it_has_ended() -> None:
    gate = asyncio.Event()
    seen: list[Any] = []

    async def body(self: Any, wf: Workflow) -> None:
        async def later() -> None:
            await gate.wait()
            try:
                await wf.step("late", self.bump)
            except BaseException as error:
                seen.append(type(error).__name__)

        self.task = asyncio.ensure_future(later())

    async with living(body) as it:
        await it.begin()
        gate.set()
        await turns()
        assert len(seen) == 1
        assert it.entries == {}


async def test_two_tasks_cannot_use_one_workflow_at_once() -> None:
    seen: list[Any] = []

    async def body(self: Any, wf: Workflow) -> None:
        seen.extend(
            await asyncio.gather(
                wf.step("a", self.bump), wf.step("b", self.bump), return_exceptions=True
            )
        )

    async with living(body) as it:
        await it.begin()
        assert seen[0] == 1
        assert seen[1].code == "entry_in_progress"


async def test_a_step_cannot_use_its_workflow() -> None:
    seen: list[Any] = []

    async def body(self: Any, wf: Workflow) -> None:
        async def nested() -> None:
            await wf.step("inner", self.bump)

        result = await wf.attempt("outer", nested)
        seen.append(result)

    async with living(body) as it:
        await it.begin()
        assert seen[0].kind == "fatal"
        assert seen[0].error.code == "entry_in_progress"


async def test_a_branch_cannot_use_the_workflow_around_it() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def wrong(w: Workflow) -> None:
            await wf.step("s", self.bump)

        (error,) = (await wf.gather("g", return_errors=True, a=wrong)).values()
        return error.code

    async with living(body) as it:
        await it.begin()
        assert it.stored_run.status == "completed"


async def test_a_branch_that_ended_cannot_be_used_by_the_workflow_around_it() -> None:
    seen: list[Any] = []

    async def body(self: Any, wf: Workflow) -> Any:
        kept: list[Workflow] = []

        async def branch(w: Workflow) -> None:
            kept.append(w)

        await wf.gather("g", a=branch)
        try:
            await kept[0].step("s", self.bump)
        except Exception as error:
            seen.append(error)

    async with living(body) as it:
        await it.begin()
        assert [error.code for error in seen] == ["entry_in_progress"]


# -- async generators


@pytest.mark.parametrize("ending", ["sleep", "destroy", "crash"])
async def test_an_async_generator_of_the_workflow_ends_with_it(ending: str) -> None:
    ends: list[str] = []

    async def body(self: Any, wf: Workflow) -> None:
        async def orders() -> AsyncIterator[Any]:
            try:
                for number in range(100):
                    message = await wf.receive(f"r{number}", self.orders)
                    yield message.body
            finally:
                ends.append("finally")

        async for order in orders():
            await wf.step(f"step {order}", self.bump)

    async with living(body) as it:
        await it.begin()
        await it.call("put", "m")
        await turns(60)
        assert await it.call("total") == 1
        if ending == "sleep":
            await it.leave()
        elif ending == "destroy":
            await it.call("end")
            await turns(60)
        else:
            it.store.fail_next_commit()
            await it.send("add")
            await turns(60)
        assert ends == ["finally"]
