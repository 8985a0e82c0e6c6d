"""Going on with workflows that failed or were cancelled."""

from __future__ import annotations

import asyncio

import pytest

from stator import ActorError
from stator.workflow import Step, StepFailed, Undo, Workflow
from tests.fakes.scripted_flow import Deeds, application, entries_of, flowing, lose_and_wait

DONE = Deeds()
"""What steps and undo handlers did."""
TROUBLE: list[Exception] = []
"""What the next undo handlers raise."""


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    """Let each test begin with nothing done."""
    DONE.clear()
    TROUBLE.clear()


def take_back(output: str) -> None:
    """Undo a step."""
    DONE.append(f"undo {output}")
    if TROUBLE:
        raise TROUBLE.pop()


async def test_a_failed_step_is_tried_again_and_what_came_before_is_not() -> None:
    async def run(wf: Workflow) -> str:
        await wf.step("a", DONE.doing("a"))
        return await wf.step("b", DONE.failing("b", 1), retries=0)

    async with flowing(run) as (client, flow):
        await flow.workflow.retry()
        await client.testing.settle()
        assert await flow.workflow.output() == "b"
        status = await flow.workflow.status()
        assert (status.run, status.error, DONE) == (1, None, ["a", "b", "b"])
        assert await flow.workflow.status() == "completed"
        await lose_and_wait(client)
        assert await flow.workflow.output() == "b"


async def test_a_failed_step_has_all_its_attempts_again() -> None:
    async def run(wf: Workflow) -> None:
        await wf.step("a", DONE.failing("a"), retries=1)

    async with flowing(run) as (client, flow):
        await client.testing.advance(1)
        await flow.workflow.retry()
        await client.testing.advance(1)
        entry = (await flow.workflow.history()).find("a")
        assert entry is not None
        assert (len(DONE), entry.attempts, entry.status) == (4, 2, "failed")


async def test_a_failure_that_was_caught_stays_one() -> None:
    async def run(wf: Workflow) -> str:
        found = await wf.attempt("a", DONE.failing("a", 1), retries=0)
        await wf.step("b", DONE.failing("b", 1), retries=0)
        return type(found).__name__

    async with flowing(run) as (client, flow):
        await flow.workflow.retry()
        await client.testing.settle()
        assert await flow.workflow.output() == "Failed"
        assert DONE == ["a", "b", "b"]


async def test_the_failure_that_an_error_of_the_code_came_from_is_tried_again() -> None:
    async def run(wf: Workflow) -> str:
        try:
            return await wf.step("a", DONE.failing("a", 1), retries=0)
        except StepFailed as error:
            raise RuntimeError("there was no a") from error

    async with flowing(run) as (client, flow):
        await flow.workflow.retry()
        await client.testing.settle()
        assert await flow.workflow.output() == "a"


async def test_the_branches_that_failed_are_tried_again() -> None:
    async def branch(wf: Workflow, name: str) -> str:
        await wf.step("first", DONE.doing(f"first {name}"))
        return await wf.step("do", DONE.failing(name, 0 if name == "b" else 1), retries=0)

    async def run(wf: Workflow) -> list[str]:
        return await wf.map("all", ["a", "b", "c"], branch, key=str)

    async with flowing(run) as (client, flow):
        DONE.clear()
        DONE.extend("ac")  # they failed once
        await flow.workflow.retry()
        await client.testing.settle()
        assert await flow.workflow.output() == ["a", "b", "c"]


async def test_an_error_of_the_code_is_found_again_until_the_code_is_repaired() -> None:
    async def broken(wf: Workflow) -> None:
        await wf.step("a", DONE.doing("a"))
        raise RuntimeError("this is wrong")

    async def repaired(wf: Workflow) -> str:
        await wf.step("a", DONE.doing("a"))
        return "right"

    async with flowing(broken) as (client, flow):
        assert await flow.workflow.retry() == "failed"
        await client.testing.reload(application(repaired))
        await flow.workflow.retry()
        await client.testing.settle()
        assert await flow.workflow.output() == "right"
        assert DONE == ["a"]


async def test_a_diverged_run_goes_on_with_repaired_code() -> None:
    async def old(wf: Workflow) -> str:
        await wf.step("a", DONE.doing("a"), undo=take_back)
        await wf.sleep("pause", 10)
        return await wf.step("b", DONE.doing("b", "b"))

    async def changed(wf: Workflow) -> str:
        await wf.sleep("pause", 10)
        return await wf.step("b", DONE.doing("b", "b"))

    async with flowing(old) as (client, flow):
        await client.testing.reload(application(changed))
        await flow.notes()
        assert (await flow.workflow.status()).reason == "diverged"
        await client.testing.reload(application(old))
        assert await flow.workflow.retry() == "sleeping"
        await client.testing.advance(10)
        assert await flow.workflow.output() == "b"
        assert DONE == ["a", "b"]


@pytest.mark.parametrize("is_lost", [False, True], ids=["awake", "crash"])
async def test_what_was_undone_is_done_again(is_lost: bool) -> None:
    async def run(wf: Workflow) -> str:
        await wf.step("before", DONE.doing("before"))
        async with wf.saga("saga") as saga:
            await saga.step("a", DONE.doing("a", "a"), undo=take_back)
            await saga.step("b", DONE.doing("b", "b"), undo=take_back)
            await saga.step("c", DONE.failing("c", 1), retries=0)
        return "c"

    async with flowing(run) as (client, flow):
        if is_lost:
            await lose_and_wait(client)
        await flow.workflow.retry()
        await client.testing.settle()
        assert await flow.workflow.output() == "c"
        assert [*["before", "a", "b", "c"], "undo b", "undo a", *"abc"] == DONE


async def test_a_step_that_asked_to_be_undone_is_tried_again() -> None:
    async def refuse() -> None:
        DONE.append("b")
        if DONE.count("b") == 1:
            raise Undo("not now")

    async def run(wf: Workflow) -> None:
        await wf.step("a", DONE.doing("a", "a"), undo=take_back)
        await wf.step("b", refuse)

    async with flowing(run) as (client, flow):
        await flow.workflow.retry()
        await client.testing.settle()
        assert DONE == ["a", "b", "undo a", "a", "b"]


@pytest.mark.parametrize("place", ["root", "saga"])
async def test_an_undo_handler_that_failed_is_tried_again_before_anything_else(place: str) -> None:
    async def both(wf: Workflow) -> None:
        await wf.step("a", DONE.doing("a", "a"), undo=take_back)
        await wf.step("b", DONE.doing("b", "b"), undo=take_back)
        await wf.step("c", DONE.refusing("c"))

    async def run(wf: Workflow) -> None:
        if place == "root":
            await both(wf)
        else:
            async with wf.saga("saga"):
                await both(wf)

    TROUBLE.extend(ValueError("no") for _ in range(4))
    async with flowing(run) as (client, flow):
        await client.testing.advance(10)
        assert (await flow.workflow.status()).reason == "undo_failed"
        DONE.clear()
        await flow.workflow.retry()
        await client.testing.advance(10)
        status = await flow.workflow.status()
        assert (status, status.reason) == ("failed", "step_failed")
        assert DONE == ["undo b", "undo a"]
        DONE.clear()
        await flow.workflow.retry()
        await client.testing.advance(10)
        assert DONE == ["a", "b", "c", "undo b", "undo a"]


async def test_a_cancelled_run_goes_on_where_it_waited() -> None:
    async def run(wf: Workflow) -> str:
        await wf.step("a", DONE.doing("a"))
        await wf.sleep("pause", 10)
        return await wf.step("b", DONE.doing("b", "b"))

    async with flowing(run) as (client, flow):
        await flow.workflow.cancel()
        await client.testing.advance(100)
        assert await flow.workflow.retry() == "sleeping"
        await client.testing.advance(9)
        assert await flow.workflow.status() == "sleeping"
        await client.testing.advance(1)
        assert await flow.workflow.output() == "b"
        assert DONE == ["a", "b"]


async def test_a_cancelled_step_is_run_again() -> None:
    async def run(wf: Workflow) -> None:
        async with wf.timeout("limit", 60):
            await wf.gather("all", one=branch, two=branch)

    async def branch(wf: Workflow) -> None:
        await wf.step("do", DONE.hanging("do"))

    async with flowing(run) as (_, flow):
        await flow.workflow.cancel()
        assert await flow.workflow.retry() == "running"
        assert DONE == ["do"] * 4
        entries = await entries_of(flow)
        assert {entries[f"limit/all/{name}/do"] for name in ("one", "two")} == {"running"}


async def test_a_message_that_was_released_is_received_again() -> None:
    async def run(wf: Workflow) -> None:
        async with await wf.receive("order", "orders", ack=True) as message:
            await wf.step("serve", DONE.failing(message.body, 1), retries=0)
            await message.complete("served")

    async with flowing(run) as (client, flow):
        asking = asyncio.create_task(flow.enqueue("orders", "order", wait=True, timeout=60))
        await client.testing.settle()
        assert await flow.workflow.status() == "failed"
        await flow.workflow.retry()
        assert (await asking).reply == "served"
        assert DONE == ["order", "order"]


async def test_a_message_that_somebody_else_took_is_waited_for_again() -> None:
    async def run(wf: Workflow) -> None:
        await wf.step("a", DONE.doing("a"))
        async with await wf.receive("order", "orders", ack=True) as message:
            await wf.step("serve", DONE.failing(message.body), retries=0)
            await message.complete()

    async with flowing(run) as (client, flow):
        await flow.enqueue("orders", "one")
        await client.testing.settle()
        assert await flow.take() == "one"
        assert await flow.workflow.retry() == "sleeping"
        await flow.enqueue("orders", "two")
        await client.testing.settle()
        assert DONE == ["a", "one", "two"]


async def test_a_message_that_was_released_is_received_again_after_a_crash() -> None:
    async def run(wf: Workflow) -> None:
        async with await wf.receive("order", "orders", ack=True) as message:
            await wf.step("serve", DONE.failing("serve", 1), retries=0)
            await message.complete()

    async with flowing(run) as (client, flow):
        await flow.enqueue("orders", "order")
        await client.testing.settle()
        await client.testing.crash()
        await flow.workflow.retry()
        await client.testing.settle()
        assert await flow.workflow.status() == "completed"
        assert DONE == ["serve", "serve"]
        assert await flow.take() is None


async def test_a_run_that_goes_on_is_not_retried() -> None:
    async def run(wf: Workflow) -> None:
        await wf.sleep("pause", 10)

    async with flowing(run) as (client, flow):
        with pytest.raises(ActorError, match="running") as caught:
            await flow.workflow.retry()
        assert caught.value.code == "not_retryable"
        await client.testing.advance(10)
        with pytest.raises(ActorError, match="completed"):
            await flow.workflow.retry()


async def test_retry_is_durable() -> None:
    async def run(wf: Workflow) -> None:
        await wf.step("a", DONE.failing("a", 1), retries=0)
        await wf.sleep("pause", 10)

    async with flowing(run) as (client, flow):
        await flow.workflow.retry()
        await client.testing.crash()
        await client.testing.advance(10)
        assert await flow.workflow.status() == "completed"
        assert DONE == ["a", "a"]


# --------------------------------------------------------------------- `on_failure="retry"`


async def test_a_run_that_is_to_be_retried_goes_on_whenever_its_actor_starts() -> None:
    async def run(wf: Workflow) -> None:
        await wf.step("a", DONE.failing("a", 2), retries=0)

    async with flowing(run, on_failure="retry") as (client, flow):
        assert await flow.workflow.status() == "failed"
        await lose_and_wait(client)
        await flow.notes()
        await client.testing.settle()
        assert await flow.workflow.status() == "failed"
        await client.testing.sleep(flow)
        await flow.notes()
        await client.testing.settle()
        assert await flow.workflow.status() == "completed"
        assert DONE == ["a"] * 3


async def test_a_diverged_run_is_not_retried_when_its_actor_starts() -> None:
    async def old(wf: Workflow) -> None:
        await wf.step("a", DONE.doing("a"))
        await wf.sleep("pause", 10)

    async def changed(wf: Workflow) -> None:
        await wf.step("b", DONE.doing("b"))

    async with flowing(old, on_failure="retry") as (client, flow):
        await client.testing.reload(application(changed, on_failure="retry"))
        for _ in range(2):
            await flow.notes()
            await client.testing.sleep(flow)
        assert (await flow.workflow.status()).reason == "diverged"
        assert DONE == ["a"]


@pytest.mark.parametrize("verb", ["cancel", "complete"])
async def test_what_did_not_fail_is_not_retried_when_its_actor_starts(verb: str) -> None:
    async def run(wf: Workflow) -> None:
        async def note(step: Step) -> None:
            step.state.append("a")

        await wf.step("a", note)
        await wf.sleep("pause", 10)

    async with flowing(run, on_failure="retry") as (client, flow):
        if verb == "cancel":
            await flow.workflow.cancel()
        else:
            await client.testing.advance(10)
        await client.testing.sleep(flow)
        assert await flow.notes() == ["a"]
        await client.testing.advance(60)
        assert await flow.workflow.status() == ("cancelled" if verb == "cancel" else "completed")
