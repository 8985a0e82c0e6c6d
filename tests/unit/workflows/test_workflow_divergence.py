"""What becomes of a run whose code asks for something else than its history has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator.testing import TestingClient
from stator.workflow import Workflow
from tests.fakes.scripted_flow import Deeds, Handle, Script, application, flowing, lose_and_wait

DONE = Deeds()
"""What steps and undo handlers did."""


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    """Let each test begin with nothing done."""
    DONE.clear()


def take_back(output: str) -> None:
    """Undo a step."""
    DONE.append(f"undo {output}")


async def _old(wf: Workflow) -> None:
    async with wf.saga("saga") as saga:
        await saga.step("a", DONE.doing("a", "a"), undo=take_back)
        await wf.gather("all", one=_branch("b"), two=_branch("c"))


def _branch(name: str) -> Script:
    async def branch(wf: Workflow) -> None:
        await wf.step(name, DONE.doing(name, name), undo=take_back)
        await wf.sleep("pause", 10)
        await wf.step("end", DONE.doing("end"))

    return branch


def _changed(**names: str) -> Script:
    chosen = {"saga": "saga", "a": "a", "all": "all", "b": "b", "c": "c", **names}

    async def run(wf: Workflow) -> None:
        async with wf.saga(chosen["saga"]) as saga:
            await saga.step(chosen["a"], DONE.doing("a", "a"), undo=take_back)
            await wf.gather(chosen["all"], one=_branch(chosen["b"]), two=_branch(chosen["c"]))

    return run


async def _less(wf: Workflow) -> None:
    async with wf.saga("saga") as saga:
        await saga.step("a", DONE.doing("a", "a"), undo=take_back)


async def _more(wf: Workflow) -> None:
    await wf.step("new", DONE.doing("new"))
    await _old(wf)


async def _other_kind(wf: Workflow) -> None:
    async with wf.saga("saga"):
        await wf.sleep("a", 10)


async def _reload(client: TestingClient, flow: Handle, script: Script) -> None:
    await client.testing.reload(application(script))
    await flow.notes()
    await client.testing.settle()


def _place(key: str, kind: str) -> dict[str, str]:
    return {"key": key, "kind": kind}


STEP_A, GATHER = _place("saga/a", "step"), _place("saga/all", "gather")


@pytest.mark.parametrize(
    ("script", "history", "code"),
    [
        (_changed(saga="other"), _place("saga", "saga"), _place("other", "saga")),
        (_changed(a="other"), STEP_A, _place("saga/other", "step")),
        (_changed(all="other"), GATHER, _place("saga/other", "gather")),
        (_changed(b="x"), _place("saga/all/one/b", "step"), _place("saga/all/one/x", "step")),
        (_changed(c="x"), _place("saga/all/two/c", "step"), _place("saga/all/two/x", "step")),
        (_less, GATHER, None),
        (_more, _place("saga", "saga"), _place("new", "step")),
        (_other_kind, STEP_A, _place("saga/a", "sleep")),
    ],
)
async def test_the_report_has_both_sides_and_nothing_else_happens(
    script: Script, history: Any, code: Any
) -> None:
    async with flowing(_old) as (client, flow):
        before = (await flow.workflow.history()).record.rows.entries
        await client.testing.advance(5)
        await _reload(client, flow, script)
        await client.testing.advance(60)
        status = await flow.workflow.status()
        assert (status, status.reason) == ("failed", "diverged")
        assert status.error is not None
        assert status.error.metadata == {"history": history, "code": code}
        assert DONE == ["a", "b", "c"]
        assert (await flow.workflow.history()).record.rows.entries == before


@pytest.mark.parametrize("is_lost", [False, True], ids=["whole", "crash"])
async def test_repaired_code_goes_on_after_retry_and_not_before(is_lost: bool) -> None:
    async with flowing(_old) as (client, flow):
        await _reload(client, flow, _changed(c="x"))
        if is_lost:
            await lose_and_wait(client)
        await _reload(client, flow, _old)
        await client.testing.advance(60)
        assert await flow.workflow.status() == "failed"
        await flow.workflow.retry()
        await client.testing.settle()
        if is_lost:
            await lose_and_wait(client)
        await client.testing.settle()
        assert await flow.workflow.status() == "completed"
        assert DONE == ["a", "b", "c", "end", "end"]


async def test_code_that_still_diverges_does_so_again_after_retry() -> None:
    async with flowing(_old) as (client, flow):
        await _reload(client, flow, _changed(c="x"))
        await flow.workflow.retry()
        await client.testing.settle()
        assert (await flow.workflow.status()).reason == "diverged"
        assert DONE == ["a", "b", "c"]


async def test_a_diverged_run_is_forked_for_new_code() -> None:
    async with flowing(_old) as (client, flow):
        await _reload(client, flow, _changed(a="x"))
        await flow.workflow.fork("saga/a")
        await client.testing.advance(10)
        assert await flow.workflow.status() == "completed"
        assert DONE == ["a", "b", "c", "a", "b", "c", "end", "end"]


async def test_a_diverged_run_is_not_cancelled() -> None:
    async with flowing(_old) as (client, flow):
        await _reload(client, flow, _changed(a="x"))
        assert await flow.workflow.cancel() == "failed"
        assert DONE == ["a", "b", "c"]


async def test_code_that_diverges_while_it_is_cancelled_undoes_nothing() -> None:
    gate = asyncio.Event()

    async def stuck(output: str) -> None:
        DONE.append(f"undo {output}")
        await gate.wait()

    async def run(wf: Workflow) -> None:
        await wf.step("a", DONE.doing("a", "a"), undo=stuck)
        await wf.sleep("pause", 60)

    async def changed(wf: Workflow) -> None:
        await wf.step("b", DONE.doing("b", "b"), undo=stuck)
        await wf.sleep("pause", 60)

    async with flowing(run) as (client, flow):
        cancelling = asyncio.create_task(flow.workflow.cancel())
        await client.testing.settle()
        await _reload(client, flow, changed)
        cancelling.cancel()
        status = await flow.workflow.status()
        assert (status, status.reason) == ("failed", "diverged")
        assert DONE == ["a", "undo a"]
        await _reload(client, flow, run)
        gate.set()
        await flow.workflow.retry()
        await client.testing.settle()
        assert DONE == ["a", "undo a", "undo a"]
        assert await flow.workflow.status() == "cancelled"


async def test_a_branch_does_nothing_new_before_the_others_are_found_to_fit() -> None:
    async def old(wf: Workflow) -> None:
        async def waiting(wf: Workflow) -> None:
            await wf.promise("go")

        async def nested(wf: Workflow) -> None:
            await wf.gather("nested", branch=_branch("b"))

        await wf.gather("all", one=waiting, two=nested)

    async def changed(wf: Workflow) -> None:
        async def waiting(wf: Workflow) -> None:
            await wf.promise("go")
            await wf.step("new", DONE.doing("new"))

        async def nested(wf: Workflow) -> None:
            await wf.gather("nested", branch=_branch("x"))

        await wf.gather("all", one=waiting, two=nested)

    async with flowing(old) as (client, flow):
        await flow.workflow.resolve("go")
        await client.testing.settle()
        await _reload(client, flow, changed)
        assert (await flow.workflow.status()).reason == "diverged"
        await _reload(client, flow, old)
        await flow.workflow.retry()
        await client.testing.advance(10)
        assert await flow.workflow.status() == "completed"
        assert DONE == ["b", "end"]
