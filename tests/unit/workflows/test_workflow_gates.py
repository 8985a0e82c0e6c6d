"""Changing code on purpose: ``wf.removed``, ``wf.version``, ``wf.patched`` (page, section 4.9)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stator.workflow import Workflow
from tests.fakes.workflow_blocks import PLACES, Code
from tests.fakes.workflow_flows import Body, noting, running_flow

Ran = list[Any]


def placed(place: str, code: Code) -> Body:
    """Return a workflow whose code is in a block."""

    async def body(self: Any, wf: Workflow) -> Any:
        return await PLACES[place](wf, "block", code)

    return body


# ----------------------------------------------------------------------------- removed


async def _quick(wf: Workflow) -> int:
    return await wf.step("inner", noting([], "inner", 1))


async def _loop(wf: Workflow) -> None:
    async for turn in wf.loop("old"):
        await _quick(wf)
        if turn.index == 2:
            turn.stop()


async def _saga(wf: Workflow) -> None:
    async with wf.saga("old"):
        await _quick(wf)


async def _timeout(wf: Workflow) -> None:
    async with wf.timeout("old", 60):
        await _quick(wf)


async def _map(wf: Workflow) -> None:
    async def run(wf: Workflow, item: int) -> None:
        await _quick(wf)

    await wf.map("old", [1, 2], run)


async def _promise(wf: Workflow) -> None:
    wf.promise("old")


async def _receive(wf: Workflow) -> None:
    await wf.receive("old", timeout=0)


async def _step(wf: Workflow) -> None:
    await wf.step("old", noting([], "old"))


REMOVED: dict[str, Callable[[Workflow], Awaitable[Any]]] = {
    "step": _step,
    "txn": lambda wf: wf.txn("old", noting([], "old")),
    "sleep": lambda wf: wf.sleep("old", 0),
    "receive": _receive,
    "promise": _promise,
    "loop": _loop,
    "gather": lambda wf: wf.gather("old", a=_quick, b=_quick),
    "map": _map,
    "first": lambda wf: wf.first("old", a=_quick, b=_quick),
    "timeout": _timeout,
    "saga": _saga,
    "version": lambda wf: wf.version("old", 3),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", REMOVED)
async def test_a_removed_call_is_passed_over(place: str, kind: str) -> None:
    """Defect no. 15 of the peer."""
    async with running_flow(placed(place, _before_and_after(REMOVED[kind]))) as flow:
        await flow.pass_time(1)
        await flow.replace(placed(place, _before_and_after(lambda wf: wf.removed("old", kind))))
        assert await flow.status() == "sleeping"
        await flow.send("go")
        assert await flow.status() == "completed"


@pytest.mark.parametrize("place", PLACES)
async def test_a_placeholder_stays_valid(place: str) -> None:
    code = _before_and_after(lambda wf: wf.removed("old", "step"))
    async with running_flow(placed(place, code)) as flow:
        await flow.pass_time(1)
        await flow.crash()
        await flow.again()
        assert await flow.status() == "sleeping"


@pytest.mark.parametrize("kind", ["sleep", "loop"])
async def test_a_removed_call_of_another_kind_is_reported(kind: str) -> None:
    async with running_flow(placed("root", _before_and_after(_step))) as flow:
        await flow.replace(placed("root", _before_and_after(lambda wf: wf.removed("old", kind))))
        assert await flow.status() == "failed"
        assert f"removed {kind} 'old'" in await flow.error()


async def test_a_kind_there_is_not_is_refused() -> None:
    async with running_flow(placed("root", lambda wf: wf.removed("old", "stap"))) as flow:
        assert (await flow.error()).startswith("ValueError: 'stap' is no kind of entry")


def _before_and_after(call: Callable[[Workflow], Awaitable[Any]]) -> Code:
    async def code(wf: Workflow) -> None:
        await wf.step("before", noting([], "before"))
        await call(wf)
        await wf.step("after", noting([], "after"))
        await wf.receive("go")

    return code


# ----------------------------------------------------------------------------- versions


def _versioned(seen: Ran, latest: int) -> Code:
    async def code(wf: Workflow) -> None:
        await wf.step("before", noting([], "before"))
        seen.append(await wf.version("gate", latest))
        await wf.step("after", noting([], "after"))
        await wf.receive("go")

    return code


@pytest.mark.parametrize("place", PLACES)
async def test_fresh_code_runs_the_latest_version(place: str) -> None:
    seen: Ran = []
    async with running_flow(placed(place, _versioned(seen, 3))) as flow:
        await flow.pass_time(1)
        assert seen == [3]


@pytest.mark.parametrize("place", PLACES)
async def test_the_version_is_pinned(place: str) -> None:
    seen: Ran = []
    async with running_flow(placed(place, _versioned(seen, 2))) as flow:
        await flow.pass_time(1)
        await flow.replace(placed(place, _versioned(seen, 5)))
        assert seen == [2, 2]


@pytest.mark.parametrize("place", PLACES)
async def test_what_began_before_the_gate_runs_version_1(place: str) -> None:
    seen: Ran = []
    async with running_flow(placed(place, _before_and_after(_nothing))) as flow:
        await flow.pass_time(1)
        await flow.replace(placed(place, _versioned(seen, 2)))
        assert (seen, await flow.status()) == ([1], "sleeping")


@pytest.mark.parametrize("place", PLACES)
async def test_a_wait_that_goes_on_counts_as_begun(place: str) -> None:
    """A gate just before the wait in which an old instance is (page, section 16.2)."""
    seen: Ran = []

    async def old(wf: Workflow) -> None:
        await wf.receive("go")

    async def new(wf: Workflow) -> None:
        seen.append(await wf.version("gate", 2))
        await wf.receive("go")

    async with running_flow(placed(place, old)) as flow:
        await flow.pass_time(1)
        await flow.replace(placed(place, new))
        assert (seen, await flow.status()) == ([1], "sleeping")


async def test_a_gate_after_the_wait_runs_the_latest_version() -> None:
    seen: Ran = []

    async def new(wf: Workflow) -> None:
        await _before_and_after(_nothing)(wf)
        seen.append(await wf.version("gate", 2))

    async with running_flow(placed("root", _before_and_after(_nothing))) as flow:
        await flow.replace(placed("root", new))
        await flow.send("go")
        assert seen == [2]


async def test_each_turn_of_a_loop_decides_for_itself() -> None:
    seen: Ran = []

    async def old(self: Any, wf: Workflow) -> None:
        async for _ in wf.loop("orders"):
            await wf.receive("order")

    async def new(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("orders"):
            seen.append((turn.index, await wf.version("gate", 2)))
            await wf.receive("order")

    async with running_flow(old) as flow:
        await flow.send("o0")
        await flow.replace(new)
        await flow.send("o1")
        assert seen == [(1, 1), (2, 2)]


async def test_patched_is_whether_new_code_runs() -> None:
    seen: Ran = []

    def body(new: bool) -> Body:
        async def run(self: Any, wf: Workflow) -> None:
            async for _ in wf.loop("orders"):
                if new:
                    seen.append(await wf.patched("gate"))
                await wf.receive("order")

        return run

    async with running_flow(body(False)) as flow:
        await flow.replace(body(True))
        await flow.send("o0")
        assert seen == [False, True]


async def test_a_version_that_the_code_does_not_know_is_reported() -> None:
    async with running_flow(placed("root", _versioned([], 3))) as flow:
        await flow.replace(placed("root", _versioned([], 2)))
        assert await flow.status() == "failed"
        assert "runs version 3" in await flow.error()


@pytest.mark.parametrize("latest", [0, -1])
async def test_a_version_is_a_number_from_1_on(latest: int) -> None:
    async with running_flow(placed("root", _versioned([], latest))) as flow:
        assert (await flow.error()).startswith("ValueError: the latest version is a number")


async def _nothing(wf: Workflow) -> None:
    return None
