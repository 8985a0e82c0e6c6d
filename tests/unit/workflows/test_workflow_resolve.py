"""Resolving the promises of workflows from outside."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from stator import ActorError
from stator.workflow import Workflow
from tests.fakes.scripted_flow import Deeds, entries_of, flowing, lose_and_wait


async def _one(wf: Workflow) -> Any:
    return await wf.promise("approved")


async def test_a_promise_that_is_waited_for_is_resolved() -> None:
    async with flowing(_one) as (client, flow):
        await flow.workflow.resolve("approved", {"by": "Ada"})
        await client.testing.settle()
        assert await flow.workflow.output() == {"by": "Ada"}


async def test_the_actor_sleeps_until_its_promise_is_resolved() -> None:
    async with flowing(_one) as (client, flow):
        await client.testing.advance(3600)
        assert not await client.testing.is_awake(flow)
        await flow.workflow.resolve("approved", 1)
        await client.testing.settle()
        assert await flow.workflow.output() == 1


async def test_a_resolution_is_durable() -> None:
    async def run(wf: Workflow) -> Any:
        value = await wf.promise("approved")
        await wf.sleep("pause", 10)
        return value

    async with flowing(run) as (client, flow):
        await flow.workflow.resolve("approved", 1)
        await lose_and_wait(client)
        await client.testing.advance(10)
        assert await flow.workflow.output() == 1


@pytest.mark.parametrize("is_lost", [False, True], ids=["whole", "crash"])
@pytest.mark.parametrize("key", ["approved", "scope/approved"])
async def test_a_promise_is_resolved_before_it_is_asked_for(key: str, is_lost: bool) -> None:
    async def run(wf: Workflow) -> Any:
        await wf.sleep("pause", 10)
        async with wf.scope("scope"):
            return await wf.promise("approved")

    async with flowing(run) as (client, flow):
        await flow.workflow.resolve(key, 1)
        if is_lost:
            await lose_and_wait(client)
        await client.testing.advance(10)
        assert await flow.workflow.output() == 1
        assert list(await entries_of(flow)) == ["pause", "scope/approved"]


async def test_a_promise_is_resolved_before_it_is_awaited() -> None:
    async def run(wf: Workflow) -> Any:
        promise = wf.promise("approved")
        await wf.sleep("pause", 10)
        assert promise.is_resolved
        return await promise

    async with flowing(run) as (client, flow):
        await flow.workflow.resolve("approved", 1)
        await client.testing.advance(10)
        assert await flow.workflow.output() == 1


@pytest.mark.parametrize("key", ["approved", "loop/~0/all/one/scope/approved"])
async def test_a_nested_promise_is_resolved_by_its_key_or_its_name(key: str) -> None:
    async def branch(wf: Workflow) -> Any:
        async with wf.scope("scope"):
            return await wf.promise("approved")

    async def run(wf: Workflow) -> Any:
        loop = wf.loop("loop")
        async for turn in loop:
            turn.stop(await wf.gather("all", one=branch))
        return loop.result

    async with flowing(run) as (client, flow):
        await flow.workflow.resolve(key, 1)
        await client.testing.settle()
        assert await flow.workflow.output() == {"one": 1}


async def test_promises_of_one_name_are_told_apart_by_their_keys() -> None:
    async def branch(wf: Workflow, name: str) -> Any:
        return await wf.promise("approved")

    async def run(wf: Workflow) -> Any:
        return await wf.map("all", ["a", "b"], branch, key=str)

    async with flowing(run) as (client, flow):
        await flow.workflow.resolve("all/b/approved", 2)
        await flow.workflow.resolve("approved", 1)  # the only one that is left
        await client.testing.settle()
        assert await flow.workflow.output() == [1, 2]


async def test_a_name_that_several_promises_wait_under_resolves_none() -> None:
    async def ask(wf: Workflow) -> Any:
        return await wf.promise("approved")

    async def run(wf: Workflow) -> Any:
        return await wf.gather("both", a=ask, b=ask)

    async with flowing(run) as (client, flow):
        with pytest.raises(ActorError) as caught:
            await flow.workflow.resolve("approved", 1)
        assert caught.value.code == "entry_not_found"
        assert caught.value.metadata == {"ids": ["both/a/approved", "both/b/approved"]}
        await client.testing.settle()
        assert await flow.workflow.status() == "sleeping"


async def test_what_resolved_the_promise_of_a_turn_does_not_resolve_that_of_the_next() -> None:
    async def run(wf: Workflow) -> Any:
        async for _ in wf.loop("requests"):
            await wf.promise("approved")
            await wf.sleep("pause", 10)

    async with flowing(run) as (client, flow):
        await flow.workflow.resolve("approved", 1)
        await client.testing.settle()
        with pytest.raises(ActorError) as caught:
            await flow.workflow.resolve("approved", 2)
        assert caught.value.code == "already_resolved"


@pytest.mark.parametrize("is_early", [False, True], ids=["waiting", "early"])
async def test_a_promise_is_resolved_once(is_early: bool) -> None:
    async def run(wf: Workflow) -> Any:
        if is_early:
            await wf.sleep("pause", 10)
        value = await wf.promise("approved")
        await wf.sleep("other pause", 60)
        return value

    async with flowing(run) as (client, flow):
        await flow.workflow.resolve("approved", 1)
        for _ in range(2):
            with pytest.raises(ActorError) as caught:
                await flow.workflow.resolve("approved", 2)
            assert caught.value.code == "already_resolved"
            await client.testing.advance(10)
        await client.testing.advance(60)
        assert await flow.workflow.output() == 1


async def test_nobody_resolves_a_promise_of_a_run_that_ended() -> None:
    async def run(wf: Workflow) -> None:
        return None

    async with flowing(run) as (_, flow):
        with pytest.raises(ActorError) as caught:
            await flow.workflow.resolve("approved", 1)
        assert caught.value.code == "entry_not_found"


async def test_an_action_resolves_a_promise() -> None:
    async with flowing(_one) as (client, flow):
        await flow.control("resolve", "approved", 1)
        await client.testing.settle()
        assert await flow.workflow.output() == 1


async def test_an_action_resolves_a_promise_while_a_step_runs() -> None:
    gate = asyncio.Event()

    async def work(wf: Workflow) -> None:
        await wf.step("work", gate.wait)

    async def run(wf: Workflow) -> Any:
        return (await wf.gather("both", work=work, ask=_one))["ask"]

    async with flowing(run) as (client, flow):
        await flow.control("resolve", "approved", 1)
        await client.testing.settle()
        assert (await entries_of(flow))["both/ask/approved"] == "completed"
        gate.set()
        await client.testing.settle()
        assert await flow.workflow.output() == 1


class Decision(msgspec.Struct):
    """A record."""

    by: str


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (None, None),
        (0, 0),
        ("", ""),
        (b"\x00", b"\x00"),
        ([1, {"a": None}], [1, {"a": None}]),
        (Decision("Ada"), {"by": "Ada"}),
    ],
)
async def test_any_plain_value_arrives(value: Any, arrives: Any) -> None:
    async with flowing(_one) as (client, flow):
        await flow.workflow.resolve("approved", value)
        await client.testing.settle()
        assert await flow.workflow.output() == arrives


async def test_a_value_that_cannot_be_stored_resolves_nothing() -> None:
    async with flowing(_one) as (_, flow):
        with pytest.raises(ActorError) as caught:
            await flow.workflow.resolve("approved", object())
        assert caught.value.code == "output_not_serializable"
        assert await flow.workflow.status() == "sleeping"


async def test_a_step_may_be_called_as_an_early_resolution_is_kept() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> Any:
        await wf.step("=approved", deeds.doing("step"))
        return await wf.promise("approved")

    async with flowing(run) as (client, flow):
        await flow.workflow.resolve("approved", 1)
        await client.testing.settle()
        assert await flow.workflow.output() == 1


async def test_a_resolution_that_wakes_the_actor_does_not_change_the_time_of_a_replay() -> None:
    seen: list[float] = []

    async def run(wf: Workflow) -> Any:
        await wf.step("a", Deeds().doing("a"))
        seen.append(wf.now())
        await wf.promise("approved")
        return wf.now()

    async with flowing(run) as (client, flow):
        await client.testing.sleep(flow)
        await client.testing.advance(3600)
        await flow.workflow.resolve("approved")
        await client.testing.settle()
        assert seen[0] == seen[1]
        assert await flow.workflow.output() == seen[0] + 3600


async def test_a_promise_is_forked_and_resolved_again() -> None:
    async with flowing(_one) as (client, flow):
        await flow.workflow.resolve("approved", 1)
        await client.testing.settle()
        await flow.workflow.fork("approved")
        assert await flow.workflow.status() == "sleeping"
        await flow.workflow.resolve("approved", 2)
        await client.testing.settle()
        assert await flow.workflow.output() == 2
