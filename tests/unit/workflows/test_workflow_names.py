"""Names and options of what a workflow asks for, one thing at a time (page, sections 3.1 and 4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import ActorError
from stator.workflow import StepFailed, Workflow
from tests.fakes.workflow_flows import running_flow


async def _code_of(call: Any) -> str:
    """Return group and code of the error that a call raises in the body of a workflow."""

    async def body(self: Any, wf: Workflow) -> str:
        try:
            await call(wf)
        except StepFailed as error:
            return f"{type(error.error).__name__} in {error.attempts}"
        except ActorError as error:
            return f"{error.group}.{error.code}"
        except (TypeError, ValueError, AttributeError) as error:
            return repr(error)
        return "well"

    async with running_flow(body) as flow:
        await flow.pass_time(600)
        return str(await flow.output())


async def test_two_things_at_once_are_refused() -> None:
    async def call(wf: Workflow) -> None:
        await asyncio.gather(wf.step("a", _quick), wf.step("b", _quick))

    assert await _code_of(call) == "workflow.entry_in_progress"


async def test_the_outer_workflow_is_refused_in_a_branch() -> None:
    async def call(wf: Workflow) -> None:
        async def branch(_: Workflow) -> None:
            await wf.step("b", _quick)

        found = await wf.gather("g", return_errors=True, branch=branch)
        raise found["branch"]

    assert await _code_of(call) == "workflow.entry_in_progress"


async def test_a_step_cannot_use_the_workflow() -> None:
    async def call(wf: Workflow) -> None:
        await wf.step("a", lambda: wf.sleep("b", 1))

    assert await _code_of(call) == "EntryInProgress in 1"


async def test_a_name_is_used_once_in_a_scope() -> None:
    async def call(wf: Workflow) -> None:
        await wf.step("a", _quick)
        await wf.step("a", _quick)

    assert await _code_of(call) == "workflow.duplicate_entry"


@pytest.mark.parametrize("keys", [("1", "2"), (1, 2), ("1", None)])
async def test_a_key_tells_steps_of_one_name_apart(keys: tuple[Any, Any]) -> None:
    async def call(wf: Workflow) -> None:
        for key in keys:
            await wf.step("a", _quick, key=key)

    assert await _code_of(call) == "well"


@pytest.mark.parametrize("name", ["", 5])
async def test_a_name_is_text(name: Any) -> None:
    async def call(wf: Workflow) -> None:
        await wf.step(name, _quick)

    assert "Error" in await _code_of(call)


@pytest.mark.parametrize("names", [("a/b", "a%2Fb"), ("~1", "%7E1"), ("a/b", "a"), ("é", "e")])
async def test_no_two_names_are_one(names: tuple[str, str]) -> None:
    """Defect no. 18 of the peer."""

    async def call(wf: Workflow) -> None:
        async with wf.scope("a"):
            await wf.step("b", _quick)
        for name in names:
            if name != "a":
                await wf.step(name, _quick)

    assert await _code_of(call) == "well"


async def _quick() -> None:
    return None


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"retries": 1.5},
        {"retrys": 1},
        {"backoff": 5},
        {"timeout": "5"},
        {"fail_on": 5},
        {"retry_on": (KeyError, "x")},
        {"undo": "release"},
    ],
)
async def test_options_that_make_no_sense_are_refused(options: Any) -> None:
    async def call(wf: Workflow) -> None:
        await wf.step("a", _quick, **options)

    assert "Error" in await _code_of(call)


# ------------------------------------------------------------------------ names of scopes


async def test_a_scope_has_a_name_of_its_own() -> None:
    """Live it would do no harm; a replay could not tell the two apart."""

    async def call(wf: Workflow) -> None:
        for name in ("a", "b"):
            async with wf.scope("twice"):
                await wf.step(name, _quick)

    assert await _code_of(call) == "workflow.duplicate_entry"


async def test_a_scope_is_not_called_as_a_block_before_it() -> None:
    async def call(wf: Workflow) -> None:
        async with wf.saga("twice"):
            await wf.step("a", _quick)
        async with wf.scope("twice"):
            await wf.step("b", _quick)

    assert await _code_of(call) == "workflow.duplicate_entry"


async def test_each_turn_may_have_a_scope_of_the_same_name() -> None:
    async def call(wf: Workflow) -> None:
        async for turn in wf.loop("turns", keep=1):
            async with wf.scope("scope"), wf.scope("scope"):
                await wf.step("a", _quick)
            if turn.index == 3:
                turn.stop()

    assert await _code_of(call) == "well"
