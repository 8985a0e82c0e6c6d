"""Bodies that do what no body should: the worker, the actor and its workflow live on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator.shards.lifecycle import Status
from stator.workflow import Failed, StepFailed, Workflow
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.workflow_life import GRACE_S, living

ODD = [
    SystemExit,
    KeyboardInterrupt,
    asyncio.CancelledError,
    GeneratorExit,
    StopIteration,
    BaseException,
]


# -- what they raise


@pytest.mark.parametrize("is_plain", [False, True])
@pytest.mark.parametrize("kind", ODD)
async def test_whatever_a_step_raises_is_its_failure(kind: Any, is_plain: bool) -> None:
    def plain() -> None:
        raise kind("odd")

    async def odd() -> None:
        raise kind("odd")

    async def body(self: Any, wf: Workflow) -> Any:
        result = await wf.attempt("s", plain if is_plain else odd, retries=0)
        assert isinstance(result, Failed)
        await wf.step("after", self.bump)
        return result.kind

    async with living(body) as it:
        await it.begin()
        await wait_until(lambda: "after" in it.entries, "it went on")
        await turns()
        assert await it.call("total") == 1
        assert it.stored_run.status == "completed"


@pytest.mark.parametrize("kind", ODD)
async def test_whatever_the_code_of_a_workflow_raises_is_its_failure(kind: Any) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        raise kind("odd")

    async with living(body) as it:
        await it.begin()
        assert it.stored_run.status == "failed"


@pytest.mark.parametrize("kind", ODD)
async def test_whatever_a_branch_raises_is_its_failure(kind: Any) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def odd(w: Workflow) -> None:
            raise kind("odd")

        async def good(w: Workflow) -> int:
            return await w.step("s", self.bump)

        await wf.gather("g", return_errors=True, odd=odd, good=good)

    async with living(body) as it:
        await it.begin()
        assert await it.call("total") == 1
        assert it.stored_run.status == "completed"


@pytest.mark.parametrize("kind", ODD)
async def test_whatever_an_undo_handler_raises_is_its_failure(kind: Any) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def odd() -> None:
            raise kind("odd")

        await wf.step("s", self.bump, undo=odd, retries=0)
        raise ValueError("no")

    async with living(body) as it:
        await it.begin()
        assert it.stored_run.status == "failed"


@pytest.mark.parametrize("kind", ODD)
async def test_whatever_the_error_hook_raises_is_logged(kind: Any) -> None:
    async def on_workflow_error(self: Any, event: Any) -> None:
        raise kind("odd")

    async def body(self: Any, wf: Workflow) -> Any:
        async def bad() -> None:
            raise ValueError("no")

        await wf.attempt("s", bad, retries=0)
        await wf.step("after", self.bump)

    async with living(body, on_workflow_error=on_workflow_error) as it:
        await it.begin()
        assert await it.call("total") == 1
        assert it.stored_run.status == "completed"


@pytest.mark.parametrize("kind", ODD)
async def test_whatever_a_txn_raises_is_its_failure(kind: Any) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def odd() -> None:
            self.state.total = 100
            raise kind("odd")

        try:
            await wf.txn("t", odd, retries=0)
        except StepFailed:
            await wf.step("after", self.bump)

    async with living(body) as it:
        await it.begin()
        assert await it.call("total") == 1
        assert it.stored_run.status == "completed"


# -- what they swallow


class Stubborn:
    """The body of a step that ends when it wants to, whoever cancels it."""

    def __init__(self) -> None:
        self._gate = asyncio.Event()
        self._left = 10

    async def __call__(self) -> None:
        """Do not end."""
        while not self._gate.is_set() and self._left:
            self._left -= 1
            try:
                await self._gate.wait()
            except BaseException:
                continue

    async def end(self) -> None:
        """Let it end."""
        self._gate.set()
        await turns()


async def test_a_step_that_swallows_its_cancellation_is_given_up_at_its_time_limit() -> None:
    stubborn = Stubborn()

    async def body(self: Any, wf: Workflow) -> Any:
        await wf.attempt("s", stubborn, timeout=5)
        await wf.step("after", self.bump)

    async with living(body) as it:
        await it.begin()
        await it.pass_time(5)
        await turns(60)
        assert await it.call("total") == 1
        await stubborn.end()


async def test_a_step_that_swallows_its_cancellation_does_not_keep_its_actor() -> None:
    stubborn = Stubborn()

    async def body(self: Any, wf: Workflow) -> Any:
        await wf.step("s", stubborn, timeout=None)

    async with living(body) as it:
        await it.begin()
        cell = it.cell
        cell.sleep()
        await it.pass_time(GRACE_S + 1)
        await wait_until(lambda: cell.status is Status.GONE, "it has left memory")
        await stubborn.end()


async def test_code_that_swallows_the_end_of_its_actor_neither_blocks_nor_keeps_it() -> None:
    code = Relentless()

    async def body(self: Any, wf: Workflow) -> Any:
        await code.wait_on_and_on(wf, 10_000)

    async with living(body) as it:
        await it.begin()
        cell = it.cell
        cell.sleep()
        await it.pass_time(GRACE_S + 1)
        await wait_until(lambda: cell.status is Status.GONE, "it has left memory")
        await code.end()


async def test_a_loser_that_swallows_its_cancellation_does_not_block_the_worker() -> None:
    code = Relentless()

    async def body(self: Any, wf: Workflow) -> Any:
        await wf.first("f", a=lambda w: code.wait_on_and_on(w, 10_000), b=wf.after(1))

    async with living(body) as it:
        await it.begin()
        await it.pass_time(2)
        assert await it.call("add") == 1
        await code.end()


class Relentless:
    """Code of a workflow that goes on whatever happens."""

    def __init__(self) -> None:
        self._has_ended = False
        self._task: asyncio.Task[Any] | None = None

    async def wait_on_and_on(self, wf: Workflow, times: int) -> None:
        """Wait again and again. The number keeps a test that fails from going on for ever."""
        self._task = asyncio.current_task()
        for number in range(times):
            try:
                await wf.sleep(str(number), 1000)
            except BaseException:
                if self._has_ended:
                    raise
        raise AssertionError("it was not held up")

    async def end(self) -> None:
        """Let it end."""
        assert self._task is not None
        self._has_ended = True
        self._task.cancel()
        await turns()


async def test_code_that_waits_for_nothing_lets_others_have_their_turn() -> None:
    seen: list[int] = []

    async def body(self: Any, wf: Workflow) -> Any:
        for number in range(5000):
            seen.append(number)
            await wf.sleep(str(number), 0)

    async with living(body) as it:
        await it.call("total")
        assert await it.call("add") == 1
        assert len(seen) < 5000
        await wait_until(lambda: len(seen) == 5000, "it is through")
