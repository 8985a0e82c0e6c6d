"""Beginning another run with the history before an entry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stator import ActorError
from stator.workflow import Step, Workflow
from tests.fakes.scripted_flow import Deeds, Script, entries_of, flowing, lose_and_wait

DONE = Deeds()
"""What steps and undo handlers did."""
Body = Callable[[Workflow], Awaitable[Any]]


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    """Let each test begin with nothing done."""
    DONE.clear()


def take_back(output: str) -> None:
    """Undo a step."""
    DONE.append(f"undo {output}")


# ------------------------------------------------------------------------- where it goes on


async def _two(wf: Workflow) -> None:
    await wf.step("a", DONE.doing("a", "a"))
    await wf.step("b", DONE.doing("b", "b"))


async def _root(wf: Workflow) -> None:
    await _two(wf)
    await wf.sleep("pause", 60)


async def _turn(wf: Workflow) -> None:
    async for turn in wf.loop("loop", 0):
        turn.state += 1
        await wf.step("n", DONE.doing(str(turn.state)))
        if turn.index == 1:
            await _two(wf)
            await wf.sleep("pause", 60)
            return


async def _gather(wf: Workflow) -> None:
    async def branch(wf: Workflow) -> None:
        await _two(wf)
        await wf.sleep("pause", 60)

    await wf.gather("all", one=branch, two=_other)


async def _other(wf: Workflow) -> None:
    await wf.step("other", DONE.doing("other"))


async def _first(wf: Workflow) -> None:
    await wf.first("race", one=_two, two=wf.after(60))
    await wf.sleep("pause", 60)


async def _saga(wf: Workflow) -> None:
    async with wf.saga("saga"):
        await _two(wf)
    await wf.sleep("pause", 60)


async def _timeout(wf: Workflow) -> None:
    async with wf.timeout("limit", 30):
        await _two(wf)
    await wf.sleep("pause", 60)


async def _scope(wf: Workflow) -> None:
    async with wf.scope("scope"):
        await _two(wf)
    await wf.sleep("pause", 60)


async def _waiting(wf: Workflow) -> None:
    await _two(wf)
    await wf.receive("order", "orders")


async def _ended(wf: Workflow) -> None:
    await _two(wf)


async def _failed(wf: Workflow) -> None:
    await _two(wf)
    await wf.step("c", DONE.refusing("c"))


@pytest.mark.parametrize("is_lost", [False, True], ids=["whole", "crash"])
@pytest.mark.parametrize("is_asleep", [False, True], ids=["awake", "asleep"])
@pytest.mark.parametrize(
    ("script", "key", "again"),
    [
        (_root, "b", "b"),
        (_root, "a", "ab"),
        (_turn, "loop/~1/b", "b"),
        (_turn, "loop/~1/n", "2ab"),
        (_turn, "loop/~1", "2ab"),
        (_turn, "loop/~0/n", "12ab"),
        (_gather, "all/one/b", "b"),
        (_first, "race/one/b", "b"),
        (_first, "race", "ab"),
        (_saga, "saga/b", "b"),
        (_saga, "saga", "ab"),
        (_timeout, "limit/b", "b"),
        (_scope, "scope/b", "b"),
        (_waiting, "b", "b"),
        (_waiting, "order", ""),
        (_ended, "b", "b"),
        (_failed, "b", "bc"),
        (_failed, "c", "c"),
        (_root, None, "ab"),
        (_ended, None, "ab"),
        (_failed, None, "abc"),
        (_turn, None, "12ab"),
    ],
)
async def test_a_fork_does_again_what_its_entry_did_and_what_came_after(
    script: Script, key: str | None, again: str, is_asleep: bool, is_lost: bool
) -> None:
    async with flowing(script) as (client, flow):
        before = await entries_of(flow)
        DONE.clear()
        if is_asleep:
            await client.testing.sleep(flow)
        await flow.workflow.fork(key)
        if is_lost:
            await client.testing.settle()
            await lose_and_wait(client)
        await client.testing.settle()
        assert "".join(DONE) == again
        status = await flow.workflow.status()
        assert status.run == 2
        assert await entries_of(flow) == before
        await client.testing.advance(60)
        ends = {"_waiting": "sleeping", "_failed": "failed"}
        name = getattr(script, "__name__", "")
        assert await flow.workflow.status() == ends.get(name, "completed")


async def test_what_another_branch_did_later_is_done_again_as_well() -> None:
    async with flowing(_gather) as (client, flow):
        await flow.workflow.fork("all/one/a")
        await client.testing.settle()
        assert sorted(DONE) == sorted(["a", "b", "other"] * 2)


async def test_a_run_can_be_forked_again() -> None:
    async with flowing(_root) as (client, flow):
        for number in (2, 3):
            status = await flow.workflow.fork("b")
            assert status.run == number
        await client.testing.settle()
        assert DONE == ["a", "b", "b", "b"]


async def test_a_fork_keeps_what_was_random_and_when_it_was() -> None:
    seen: list[tuple[float, float, str]] = []

    async def run(wf: Workflow) -> None:
        await wf.step("a", DONE.doing("a"))
        seen.append((wf.now(), wf.random.random(), str(wf.uuid())))
        await wf.sleep("pause", 60)

    async with flowing(run) as (client, flow):
        await client.testing.advance(10)
        await flow.workflow.fork("pause")
        assert len(seen) == 2
        assert seen[0] == seen[1]


async def test_steps_of_a_fork_have_idempotency_keys_of_their_own() -> None:
    seen: list[str] = []

    async def body(step: Step) -> None:
        seen.append(step.idempotency_key)

    async def run(wf: Workflow) -> None:
        await wf.step("a", body)

    async with flowing(run) as (client, flow):
        await flow.workflow.fork()
        await client.testing.settle()
        assert len(set(seen)) == 2


async def test_a_fork_undoes_nothing_and_undoes_its_own_later() -> None:
    async def run(wf: Workflow) -> None:
        for name in "abc":
            await wf.step(name, DONE.doing(name, name), undo=take_back)
        await wf.sleep("pause", 60)

    async with flowing(run) as (client, flow):
        await flow.workflow.fork("b")
        await client.testing.settle()
        assert list("abcbc") == DONE
        await flow.workflow.cancel()
        await client.testing.settle()
        assert DONE[5:] == ["undo c", "undo b", "undo a"]


async def test_a_fork_of_a_run_that_was_undone_does_again_all_that_was_undone() -> None:
    async def run(wf: Workflow) -> None:
        for name in "abc":
            await wf.step(name, DONE.doing(name, name), undo=take_back)
        await wf.step("bad", DONE.failing("bad", 1), retries=0)

    async with flowing(run) as (client, flow):
        DONE[:] = ["bad"]
        await flow.workflow.fork("c")
        await client.testing.settle()
        assert await flow.workflow.status() == "completed"
        assert DONE == ["bad", "a", "b", "c", "bad"]


async def test_a_fork_after_a_message_keeps_it() -> None:
    async def run(wf: Workflow) -> None:
        message = await wf.receive("order", "orders", ack=True)
        await wf.step("serve", DONE.doing(message.body))
        await message.complete("served")
        await wf.sleep("pause", 60)

    async with flowing(run) as (client, flow):
        await flow.enqueue("orders", "one")
        await client.testing.settle()
        await flow.workflow.fork("pause")
        await client.testing.settle()
        assert DONE == ["one"]
        assert await flow.workflow.status() == "sleeping"


async def test_a_fork_before_an_open_message_puts_it_back() -> None:
    async def run(wf: Workflow) -> None:
        message = await wf.receive("order", "orders", ack=True)
        await wf.step("serve", DONE.doing(message.body))
        await wf.sleep("pause", 60)
        await message.complete("served")

    async with flowing(run) as (client, flow):
        await flow.enqueue("orders", "one")
        await client.testing.settle()
        await flow.workflow.fork()
        await client.testing.settle()
        assert DONE == ["one", "one"]
        await client.testing.advance(60)
        assert await flow.take() is None


async def test_a_fork_from_an_entry_that_there_is_not_changes_nothing() -> None:
    async with flowing(_root) as (client, flow):
        with pytest.raises(ActorError) as caught:
            await flow.workflow.fork("nothing")
        assert caught.value.code == "entry_not_found"
        assert (await flow.workflow.status()).run == 1
        await client.testing.advance(60)
        assert await flow.workflow.status() == "completed"


async def test_a_run_whose_step_runs_is_not_forked() -> None:
    gate = asyncio.Event()

    async def run(wf: Workflow) -> None:
        await wf.step("a", DONE.doing("a"))
        await wf.step("b", gate.wait)

    async with flowing(run) as (client, flow):
        with pytest.raises(ActorError) as caught:
            await flow.workflow.fork("a")
        assert (caught.value.group, caught.value.code) == ("actor", "workflow_in_flight")
        gate.set()
        await client.testing.settle()
        assert await flow.workflow.status() == "completed"
        assert DONE == ["a"]


@pytest.mark.parametrize("verb", ["fork", "retry", "cancel", "status"])
async def test_the_code_of_a_workflow_cannot_go_back_in_itself(verb: str) -> None:
    async def run(wf: Workflow) -> str:
        async def body(step: Step) -> str:
            try:
                return str(await getattr(step.actor.workflow, verb)())
            except ActorError as error:
                return error.code

        return await wf.step("a", body)

    async with flowing(run) as (client, flow):
        await client.testing.settle()
        if verb == "cancel":
            assert await flow.workflow.status() == "cancelled"
        else:
            expected = {"fork": "workflow_in_flight", "retry": "not_retryable", "status": "running"}
            assert await flow.workflow.output() == expected[verb]


@pytest.mark.parametrize("verb", ["fork", "cancel"])
async def test_the_body_of_a_workflow_cannot_go_back_in_itself(verb: str) -> None:
    async def run(actor: Any, wf: Workflow) -> str:
        await wf.step("a", DONE.doing("a"))
        try:
            await getattr(actor.workflow, verb)()
        except ActorError as error:
            return error.code
        return "did it"

    async with flowing(run) as (client, flow):
        await client.testing.settle()
        if verb == "cancel":
            assert await flow.workflow.status() == "cancelled"
        else:
            assert await flow.workflow.output() == "workflow_in_flight"
