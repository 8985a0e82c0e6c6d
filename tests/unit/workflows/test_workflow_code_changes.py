"""Code that is changed while its workflow waits (workflow page, sections 6.2 and 16.5, item 11)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stator.workflow import Workflow
from tests.fakes.workflow_blocks import BLOCKS, PLACES, Code, key_in
from tests.fakes.workflow_flows import Body, noting, running_flow

Ran = list[Any]
Make = Callable[[Ran], Code]


def steps_of(*names: str) -> Make:
    """Return code that makes steps of these names, then waits for a message."""

    def make(ran: Ran) -> Code:
        async def code(wf: Workflow) -> None:
            for name in names:
                await wf.step(name, noting(ran, name))
            await wf.receive("go")

        return code

    return make


def placed(place: str, code: Code) -> Body:
    """Return a workflow whose code is in a block."""

    async def body(self: Any, wf: Workflow) -> Any:
        return await PLACES[place](wf, "block", code)

    return body


async def replaced(place: str, old: Make, new: Make) -> tuple[Ran, str, str]:
    """Return what ran of the new code, how far the run is, and its error."""
    ran: Ran = []
    async with running_flow(placed(place, old([]))) as flow:
        await flow.pass_time(1)
        await flow.replace(placed(place, new(ran)))
        return ran, await flow.status(), await flow.error()


# ------------------------------------------------------------ 11. a divergence is found


@pytest.mark.parametrize("place", PLACES)
async def test_11_the_same_code_goes_on(place: str) -> None:
    assert await replaced(place, steps_of("a", "b"), steps_of("a", "b")) == ([], "sleeping", "")


@pytest.mark.parametrize("place", PLACES)
async def test_11_a_renamed_step_is_reported(place: str) -> None:
    ran, status, error = await replaced(place, steps_of("a", "b"), steps_of("a", "c"))
    assert (ran, status) == ([], "failed")
    assert f"step '{key_in(place, 'block', 'b')}'" in error
    assert f"step '{key_in(place, 'block', 'c')}'" in error


@pytest.mark.parametrize("place", PLACES)
async def test_11_steps_in_another_order_are_reported(place: str) -> None:
    """Defect no. 14 of the peer."""
    ran, status, error = await replaced(place, steps_of("a", "b"), steps_of("b", "a"))
    assert (ran, status) == ([], "failed")
    assert "Diverged" in error


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("left", ["a", "b"])
async def test_11_a_removed_step_is_reported(place: str, left: str) -> None:
    ran, status, error = await replaced(place, steps_of("a", "b"), steps_of(left))
    assert (ran, status) == ([], "failed")
    assert "Diverged" in error


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("names", [("new", "a"), ("a", "new")])
async def test_11_a_step_added_before_the_wait_is_reported(
    place: str, names: tuple[str, ...]
) -> None:
    ran, status, error = await replaced(place, steps_of("a"), steps_of(*names))
    assert (ran, status) == ([], "failed")
    assert "Diverged" in error


@pytest.mark.parametrize("place", PLACES)
async def test_11_code_that_asks_for_less_is_reported(place: str) -> None:
    def nothing(ran: Ran) -> Code:
        async def code(wf: Workflow) -> None:
            return None

        return code

    ran, status, error = await replaced(place, steps_of("a"), nothing)
    assert (ran, status) == ([], "failed")
    assert "Diverged" in error


@pytest.mark.parametrize("place", PLACES)
async def test_11_another_kind_of_the_same_name_is_reported(place: str) -> None:
    def sleeping(ran: Ran) -> Code:
        async def code(wf: Workflow) -> None:
            await wf.sleep("a", 1)

        return code

    _, status, error = await replaced(place, steps_of("a"), sleeping)
    assert status == "failed"
    assert f"sleep '{key_in(place, 'block', 'a')}'" in error


@pytest.mark.parametrize("block", BLOCKS)
async def test_11_a_renamed_block_is_reported(block: str) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        return await BLOCKS[block](wf, "renamed", steps_of("a")(ran))

    ran: Ran = []
    async with running_flow(placed(block, steps_of("a")([]))) as flow:
        await flow.replace(body)
        assert (ran, await flow.status()) == ([], "failed")


async def test_11_code_added_after_the_wait_runs() -> None:
    def longer(ran: Ran) -> Code:
        async def code(wf: Workflow) -> None:
            await steps_of("a")(ran)(wf)
            await wf.step("new", noting(ran, "new"))

        return code

    ran: Ran = []
    async with running_flow(placed("root", steps_of("a")(ran))) as flow:
        await flow.replace(placed("root", longer(ran)))
        await flow.send("go")
        assert ran == ["a", "new"]


@pytest.mark.parametrize("names", [("one",), ("one", "two", "three"), ("one", "other")])
@pytest.mark.parametrize("kind", ["gather", "map", "first"])
async def test_11_other_branches_are_reported(kind: str, names: tuple[str, ...]) -> None:
    """Defect no. 14 of the peer."""
    async with running_flow(_branching(kind, ("one", "two"))) as flow:
        await flow.replace(_branching(kind, names))
        assert await flow.status() == "failed"
        assert "Diverged" in await flow.error()


@pytest.mark.parametrize("kind", ["gather", "first"])
async def test_11_branches_may_be_given_in_another_order(kind: str) -> None:
    async with running_flow(_branching(kind, ("one", "two"))) as flow:
        await flow.replace(_branching(kind, ("two", "one")))
        assert await flow.status() == "sleeping"


def _branching(kind: str, names: tuple[str, ...]) -> Body:
    async def wait(wf: Workflow, name: str = "") -> None:
        await wf.promise("never")

    async def body(self: Any, wf: Workflow) -> None:
        if kind == "map":
            await wf.map("block", names, wait, key=lambda name: name)
        else:
            method: Callable[..., Awaitable[Any]] = getattr(wf, kind)
            await method("block", **dict.fromkeys(names, wait))

    return body


async def test_11_a_divergence_undoes_nothing() -> None:
    undone: Ran = []

    def body_with(second: str) -> Body:
        async def body(self: Any, wf: Workflow) -> None:
            await wf.step("a", noting([], "a"), undo=noting(undone, "undo"))
            await wf.step(second, noting([], second))
            await wf.receive("go")

        return body

    async with running_flow(body_with("b")) as flow:
        await flow.replace(body_with("c"))
        assert await flow.status() == "failed"
        assert undone == []


async def test_11_a_divergence_is_no_exception_for_the_code() -> None:
    caught: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        try:
            await steps_of("c")([])(wf)
        except Exception as error:
            caught.append(error)

    async with running_flow(placed("root", steps_of("a")([]))) as flow:
        await flow.replace(body)
        assert (await flow.status(), caught) == ("failed", [])


async def test_11_a_retry_with_the_right_code_goes_on() -> None:
    ran: Ran = []
    async with running_flow(placed("root", steps_of("a")(ran))) as flow:
        await flow.replace(placed("root", steps_of("b")(ran)))
        await flow.replace(placed("root", steps_of("a")(ran)))
        await flow.workflow.retry()
        await flow.send("go")
        assert (ran, await flow.status()) == (["a"], "completed")
