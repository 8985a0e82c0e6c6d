"""What a step leaves behind: nothing that would keep an actor in memory after it has left."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

import pytest

from stator.runtime.workflow.bodies import Attempt, wants_step
from stator.runtime.workflow.callables import runs_on_loop
from stator.runtime.workflow.step import StepScope
from stator.workflow import Step, Workflow
from tests.fakes.workflow_flows import running_flow


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Free only what nothing refers to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
async def test_an_attempt_leaves_nothing_to_the_garbage_collector() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async def add() -> int:
            self.state.total += 1
            return int(self.state.total)

        # Without a time limit: the clock of a test keeps cancelled timers until it is moved.
        await wf.step("first", add, timeout=None)
        await wf.step("second", add, timeout=None)
        await wf.receive("next")

    async with running_flow(body) as flow:
        assert await flow.status() == "sleeping"
        left = [each for each in gc.get_objects() if isinstance(each, Attempt | StepScope)]
        assert left == []


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("ask", [wants_step, runs_on_loop])
def test_what_is_known_of_a_closure_does_not_keep_it(ask: Callable[[Any], bool]) -> None:
    async def body(step: Step) -> None: ...

    assert ask(body)
    kept = weakref.ref(body)
    del body
    assert kept() is None


def test_closures_of_one_code_are_told_apart_by_what_their_parameter_is() -> None:
    def make(kind: Any) -> Any:
        async def body(first: Any) -> None: ...

        body.__annotations__["first"] = kind
        return body

    assert [wants_step(make(kind)) for kind in (Step, int, Step, ["unhashable"])] == [
        True,
        False,
        True,
        False,
    ]


def test_a_wrapper_is_judged_by_what_it_wraps() -> None:
    def wrap(function: Any) -> Any:
        @wraps(function)
        async def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    def with_step(step: Step) -> None: ...
    def without(number: int) -> None: ...

    assert [wants_step(wrap(each)) for each in (with_step, without)] == [True, False]


async def _coroutine() -> None: ...


class _Called:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize("function", [_coroutine, partial(_coroutine), _Called(), asyncio.sleep])
def test_what_makes_a_coroutine_runs_on_the_loop(function: Any) -> None:
    assert runs_on_loop(function)


@pytest.mark.parametrize("function", [len, lambda: None, partial(len, ())])
def test_what_is_plain_does_not_run_on_the_loop(function: Any) -> None:
    assert not runs_on_loop(function)
