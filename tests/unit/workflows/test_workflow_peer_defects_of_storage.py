"""What the peer's workflows get wrong in storage and time (workflow page, section 13).

Defects no. 9 to 19; the others are in ``test_workflow_peer_defects.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

from stator import Actor, ActorError, action
from stator.runtime import faults
from stator.workflow import Backoff, Step, Workflow
from tests.fakes.scripted_flow import (
    Deeds,
    Script,
    application,
    entries_of,
    flowing,
    lose_and_wait,
)


@contextmanager
def no_commits() -> Generator[None]:
    """Let every commit fail."""
    faults.arm("commit.before", faults.fail_disk_full)
    try:
        yield
    finally:
        faults.disarm("commit.before")


# ------------------------------------------------------------------------- no. 9: going back


async def test_no_9_a_loop_that_waits_for_its_queue_is_forked_and_keeps_what_was_before() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        await wf.sleep("pause", 10)
        first = await wf.receive("first", "orders")
        await wf.step("greet", deeds.doing(f"greet {first.body}"))
        async for _ in wf.loop("orders"):
            message = await wf.receive("order", "orders")
            await wf.step("serve", deeds.doing(f"serve {message.body}"))

    async with flowing(run) as (client, flow):
        await client.testing.advance(10)
        for order in ("one", "two"):
            await flow.enqueue("orders", order)
        await client.testing.settle()
        await lose_and_wait(client)
        await flow.workflow.fork("greet")
        await client.testing.settle()
        assert deeds == ["greet one", "serve two", "greet one"]
        entries = await entries_of(flow)
        assert list(entries) == [
            "pause",
            "first",
            "greet",
            "orders",
            "orders/~0",
            "orders/~0/order",
        ]
        assert entries["orders/~0/order"] == "waiting"


async def test_no_9_a_fork_within_a_loop_goes_on_in_the_same_turn() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        async for turn in wf.loop("orders"):
            message = await wf.receive("order", "orders")
            await wf.step("serve", deeds.doing(f"{turn.index} {message.body}"))

    async with flowing(run) as (client, flow):
        for order in ("one", "two"):
            await flow.enqueue("orders", order)
        await client.testing.settle()
        await flow.workflow.fork("orders/~1/serve")
        await client.testing.settle()
        assert deeds == ["0 one", "1 two", "1 two"]


# --------------------------------------------------- no. 10: messages and history are one commit


async def _receive_and_note(wf: Workflow, *, ack: bool, deeds: Deeds) -> None:
    message = await wf.receive("order", "orders", ack=ack)
    await wf.step("note", deeds.doing(message.body))
    if ack:
        await wf.sleep("pause", 10)
        await message.complete("served")
    other = await wf.receive("other", "orders", timeout=60)
    await wf.step("end", deeds.doing("nothing more" if other is None else other.body))


@pytest.mark.parametrize("ack", [False, True])
async def test_no_10_a_message_whose_receipt_was_not_stored_is_there_again(
    ack: bool,
) -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        await wf.sleep("before", 10)
        await _receive_and_note(wf, ack=ack, deeds=deeds)

    async with flowing(run) as (client, flow):
        await flow.enqueue("orders", "order")
        with no_commits():
            await client.testing.advance(10)
        assert deeds == []
        await lose_and_wait(client)
        await client.testing.advance(120)
        assert deeds == ["order", "nothing more"]


@pytest.mark.parametrize("ack", [False, True])
async def test_no_10_a_message_that_was_received_does_not_come_again_after_a_crash(
    ack: bool,
) -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        await _receive_and_note(wf, ack=ack, deeds=deeds)

    async with flowing(run) as (client, flow):
        await flow.enqueue("orders", "order")
        await client.testing.settle()
        await lose_and_wait(client)
        await client.testing.advance(10)
        await lose_and_wait(client)
        await client.testing.advance(120)
        assert await flow.workflow.status() == "completed"
        assert deeds == ["order", "nothing more"]


# ------------------------------------------------------------------- no. 11: attempts that began


async def test_no_11_a_step_that_runs_is_seen() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        await wf.step("work", deeds.hanging("work"))

    async with flowing(run) as (_, flow):
        entry = (await flow.workflow.history()).find("work")
        assert entry is not None
        assert (entry.status, entry.attempts) == ("running", 1)


async def test_no_11_a_step_that_ends_its_process_is_given_up() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        await wf.step("work", deeds.hanging("work"), retries=0)

    async with flowing(run) as (client, flow):
        for _ in range(10):
            await lose_and_wait(client)
        entry = (await flow.workflow.history()).find("work")
        assert entry is not None
        assert (entry.status, entry.detail, entry.attempts) == ("failed", "exhausted", len(deeds))
        assert len(deeds) == 4
        assert await flow.workflow.status() == "failed"


# ------------------------------------------------------------------------ no. 12 and 13: time


@pytest.mark.parametrize("is_lost", [False, True], ids=["whole", "crash"])
async def test_no_12_an_actor_sleeps_while_its_workflow_waits_for_time(is_lost: bool) -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        await wf.sleep("pause", 3600)
        await wf.step("work", deeds.doing("work"))

    async with flowing(run) as (client, flow):
        await client.testing.advance(1800)
        if is_lost:
            await lose_and_wait(client)
        assert not await client.testing.is_awake(flow)
        await client.testing.advance(1799)
        assert deeds == []
        await client.testing.advance(1)
        assert deeds == ["work"]


async def test_no_12_an_actor_sleeps_between_the_attempts_of_a_step() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        backoff = Backoff(first=3600, max=3600)
        await wf.step("work", deeds.failing("work", 1), backoff=backoff)

    async with flowing(run) as (client, flow):
        await client.testing.advance(1800)
        assert not await client.testing.is_awake(flow)
        await client.testing.advance(1800)
        assert deeds == ["work", "work"]
        assert await flow.workflow.status() == "completed"


@pytest.mark.parametrize("schedule_at", [1800, 5400])
async def test_no_13_a_schedule_and_a_workflow_both_wake_their_actor(schedule_at: float) -> None:
    async def run(wf: Workflow) -> None:
        async def note(step: Step) -> None:
            step.state.append("workflow")

        await wf.sleep("pause", 3600)
        await wf.step("work", note)

    async with flowing(run) as (client, flow):
        await flow.note_after(schedule_at, "schedule")
        await client.testing.sleep(flow)
        first, second = sorted([schedule_at, 3600])
        await client.testing.advance(first)
        await client.testing.sleep(flow)
        before = await flow.notes()
        await client.testing.sleep(flow)
        await client.testing.advance(second - first)
        after = await flow.notes()
        names = ["schedule", "workflow"] if schedule_at < 3600 else ["workflow", "schedule"]
        assert (before, after) == (names[:1], names)


# ------------------------------------------------------------------------ no. 14: divergences


async def _end(wf: Workflow) -> None:
    await wf.sleep("pause", 10)


def _steps(*names: str) -> Script:
    async def run(wf: Workflow) -> None:
        for name in names:
            await wf.step(name, Deeds().doing(name))
        await _end(wf)

    return run


def _branches(primitive: str, *names: str) -> Script:
    async def run(wf: Workflow) -> None:
        async def branch(wf: Workflow) -> None:
            await wf.step("step", Deeds().doing("step"))

        await getattr(wf, primitive)("branches", **dict.fromkeys(names, branch))
        await _end(wf)

    return run


def _race(name: str) -> Script:
    async def run(wf: Workflow) -> None:
        async def branch(wf: Workflow) -> None:
            await wf.step(name, Deeds().doing(name))

        await wf.first("race", one=branch, late=wf.after(60))
        await _end(wf)

    return run


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (_steps("a", "b"), _steps("a", "c")),
        (_steps("a", "b"), _steps("a")),
        (_steps("a", "b"), _steps("b", "a")),
        (_branches("gather", "x", "y"), _branches("gather", "x", "y", "z")),
        (_branches("first", "x", "y"), _branches("first", "x", "y", "z")),
        (_race("a"), _race("b")),
    ],
    ids=["renamed", "removed", "reordered", "added branch", "added racer", "changed racer"],
)
async def test_no_14_changed_code_is_found_out(before: Script, after: Script) -> None:
    async with flowing(before) as (client, flow):
        await client.testing.reload(application(after))
        await client.testing.advance(10)
        status = await flow.workflow.status()
        assert (status, status.reason) == ("failed", "diverged")


# ------------------------------------------------------------------------- no. 15: removed waits

Place = Callable[[Workflow, Callable[[Workflow], Awaitable[None]]], Awaitable[Any]]


async def _at_root(wf: Workflow, body: Callable[[Workflow], Awaitable[None]]) -> None:
    await body(wf)


async def _in_turn(wf: Workflow, body: Callable[[Workflow], Awaitable[None]]) -> None:
    async for turn in wf.loop("loop"):
        await body(wf)
        turn.stop()


async def _in_branch(wf: Workflow, body: Callable[[Workflow], Awaitable[None]]) -> None:
    await wf.gather("gather", branch=body)


async def _in_scope(wf: Workflow, body: Callable[[Workflow], Awaitable[None]]) -> None:
    async with wf.scope("scope"):
        await body(wf)


@pytest.mark.parametrize("place", [_at_root, _in_turn, _in_branch, _in_scope])
@pytest.mark.parametrize("seconds", [None, 60], ids=["forever", "timed"])
async def test_no_15_a_receive_can_be_removed_anywhere(place: Place, seconds: float | None) -> None:
    deeds = Deeds()

    async def before(wf: Workflow) -> None:
        async def body(wf: Workflow) -> None:
            await wf.receive("order", "orders", timeout=seconds)
            await wf.step("a", deeds.doing("a"))
            await wf.sleep("pause", 10)

        await place(wf, body)

    async def after(wf: Workflow) -> None:
        async def body(wf: Workflow) -> None:
            wf.removed("order", "receive")
            await wf.step("a", deeds.doing("a"))
            await wf.sleep("pause", 10)

        await place(wf, body)

    async with flowing(before) as (client, flow):
        await flow.enqueue("orders", "order")
        await client.testing.settle()
        await client.testing.reload(application(after))
        await client.testing.advance(10)
        assert await flow.workflow.status() == "completed"
        assert deeds == ["a"]


# ----------------------------------------------------------- no. 16 and 17: errors that are none


async def test_no_16_a_handler_around_steps_and_waits_sees_neither_retries_nor_a_stop() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> Any:
        try:
            await wf.step("work", deeds.failing("work", 2))
            await wf.sleep("pause", 3600)
            message = await wf.receive("order", "orders")
        except Exception as error:
            deeds.append(f"caught {error!r}")
            raise
        return message.body

    async with flowing(run) as (client, flow):
        await client.testing.advance(10)
        await client.testing.sleep(flow)
        await client.testing.advance(3600)
        await client.testing.sleep(flow)
        await flow.enqueue("orders", "order")
        await client.testing.settle()
        assert await flow.workflow.output() == "order"
        assert deeds == ["work"] * 3


async def test_no_17_storage_that_fails_is_no_failure_of_the_step() -> None:
    deeds = Deeds()
    gate = asyncio.Event()

    async def work() -> str:
        deeds.append("work")
        await gate.wait()
        return "done"

    async def run(wf: Workflow) -> str:
        try:
            return await wf.step("work", work, retries=0)
        except Exception as error:
            deeds.append(f"caught {error!r}")
            raise

    async with flowing(run) as (client, flow):
        with no_commits():
            gate.set()
            await client.testing.settle()
        await client.testing.advance(60)
        await flow.notes()
        await client.testing.settle()
        assert await flow.workflow.output() == "done"
        assert deeds == ["work", "work"]


# -------------------------------------------------------------------------------- no. 18: names


async def test_no_18_names_that_were_used_once_are_forgotten() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        async for turn in wf.loop("loop", keep=2):
            await wf.step(f"step {turn.index}", deeds.doing("step"))
            if turn.index == 300:
                await wf.sleep("pause", 10)

    async with flowing(run) as (client, flow):
        await lose_and_wait(client)
        assert list(await entries_of(flow)) == [
            "loop",
            *("loop/~298", "loop/~298/step 298", "loop/~299", "loop/~299/step 299"),
            *("loop/~300", "loop/~300/step 300", "loop/~300/pause"),
        ]


async def test_no_18_a_slash_in_a_name_does_not_make_it_another_one() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> None:
        await wf.step("a/b", deeds.doing("with a slash"))
        async with wf.scope("a"):
            await wf.step("b", deeds.doing("in a scope"))
        await wf.sleep("pause", 10)

    async with flowing(run) as (client, flow):
        await lose_and_wait(client)
        await client.testing.advance(10)
        assert await flow.workflow.status() == "completed"
        assert deeds == ["with a slash", "in a scope"]


# ------------------------------------------------------------------- no. 19: control for actors


class Overseer(Actor):
    """Controls the workflow of another actor."""

    @action
    async def control(self, verb: str) -> str:
        """Control it; return what comes of it."""
        try:
            return str(await getattr(self.client.get("flow").workflow, verb)())
        except ActorError as error:
            return error.code


async def test_no_19_actors_control_workflows() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> str:
        await wf.step("work", deeds.failing("work", 1), retries=0)
        await wf.sleep("pause", 10)
        return "result"

    async with flowing(run, overseer=Overseer) as (client, flow):
        overseer = client.get_or_create(Overseer)
        assert await overseer.control("retry") == "running"
        await client.testing.settle()
        assert await flow.control("status") == "sleeping"
        assert await overseer.control("cancel") == "cancelled"
        assert await overseer.control("output") == "cancelled"
        assert await flow.control("retry") == "sleeping"
        await client.testing.advance(10)
        assert await overseer.control("output") == "result"
