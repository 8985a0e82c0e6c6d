"""Cancelling workflows from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stator.workflow import Backoff, Step, Workflow
from tests.fakes.scripted_flow import Deeds, Script, entries_of, flowing, lose_and_wait

UNDONE: list[str] = []
"""What was undone."""
GATES: list[asyncio.Event] = []
"""What the next undo handlers wait for, one each."""
TROUBLE: list[Exception] = []
"""What the next undo handlers raise."""


@pytest.fixture(autouse=True)
def nothing_undone() -> None:
    """Let each test begin with nothing undone."""
    for each in (UNDONE, GATES, TROUBLE):
        each.clear()


async def take_back(output: str) -> None:
    """Undo a step."""
    UNDONE.append(output)
    if GATES:
        await GATES.pop().wait()
    if TROUBLE:
        raise TROUBLE.pop()


Body = Callable[[Workflow], Awaitable[Any]]
Place = Callable[[Workflow, Body], Awaitable[Any]]

# ------------------------------------------------------------- what is cancelled, and where


async def _sleep(wf: Workflow) -> None:
    await wf.sleep("wait", 3600)


async def _receive(wf: Workflow) -> None:
    await wf.receive("wait", "orders")


async def _receive_for_a_while(wf: Workflow) -> None:
    await wf.receive("wait", "orders", timeout=3600)


async def _promise(wf: Workflow) -> None:
    await wf.promise("wait")


async def _step(wf: Workflow) -> None:
    await wf.step("wait", Deeds().hanging("wait"), timeout=None)


async def _back_off(wf: Workflow) -> None:
    await wf.step("wait", Deeds().failing("wait"), backoff=Backoff(first=60, max=60))


async def _at_root(wf: Workflow, body: Body) -> None:
    await body(wf)


async def _in_turn(wf: Workflow, body: Body) -> None:
    async for _ in wf.loop("block"):
        await body(wf)


async def _in_gather(wf: Workflow, body: Body) -> None:
    await wf.gather("block", one=body, two=_other)


async def _in_first(wf: Workflow, body: Body) -> None:
    await wf.first("block", one=body, two=_other)


async def _in_saga(wf: Workflow, body: Body) -> None:
    async with wf.saga("block"):
        await body(wf)


async def _in_timeout(wf: Workflow, body: Body) -> None:
    async with wf.timeout("block", 7200):
        await body(wf)


async def _other(wf: Workflow) -> None:
    await wf.sleep("other", 7200)


def _run(place: Place, body: Body) -> Script:
    async def run(wf: Workflow) -> None:
        await wf.step("before", Deeds().doing("before", "before"), undo=take_back)
        await place(wf, body)

    return run


PLACES = [_at_root, _in_turn, _in_gather, _in_first, _in_saga, _in_timeout]
WAITS = [_sleep, _receive, _receive_for_a_while, _promise, _step, _back_off]
named = pytest.mark.parametrize("place", PLACES, ids=lambda each: each.__name__[1:])
waiting = pytest.mark.parametrize("body", WAITS, ids=lambda each: each.__name__[1:])


@named
@waiting
async def test_a_run_is_cancelled_wherever_it_is(place: Place, body: Body) -> None:
    async with flowing(_run(place, body)) as (_, flow):
        status = await flow.workflow.cancel()
        assert UNDONE == ["before"]
        assert status == "cancelled"
        assert (status.error, status.reason, status.open) == (None, "", ())
        (waited,) = [v for k, v in (await entries_of(flow)).items() if k.endswith("wait")]
        assert waited == ("waiting" if body is _promise else "cancelled")


@named
@waiting
async def test_a_run_that_was_cancelled_stays_so(place: Place, body: Body) -> None:
    async with flowing(_run(place, body)) as (client, flow):
        await flow.workflow.cancel()
        await client.testing.settle()
        await lose_and_wait(client)
        await flow.notes()
        await flow.enqueue("orders", "order")
        await client.testing.advance(8000)
        await flow.notes()
        assert await flow.workflow.status() == "cancelled"
        assert UNDONE == ["before"]


@waiting
async def test_a_run_whose_actor_sleeps_is_cancelled(body: Body) -> None:
    async with flowing(_run(_in_turn, body)) as (client, flow):
        await client.testing.sleep(flow)
        await flow.workflow.cancel()
        await client.testing.settle()
        assert await flow.workflow.status() == "cancelled"
        assert UNDONE == ["before"]


async def test_a_run_that_ended_is_not_cancelled() -> None:
    async def run(wf: Workflow) -> str:
        return "result"

    async with flowing(run) as (_, flow):
        assert await flow.workflow.cancel() == "completed"
        assert await flow.workflow.output() == "result"


async def test_a_run_is_cancelled_once() -> None:
    async with flowing(_run(_at_root, _sleep)) as (client, flow):
        await flow.workflow.cancel()
        await client.testing.settle()
        assert await flow.workflow.cancel() == "cancelled"
        assert UNDONE == ["before"]


async def test_code_that_catches_the_cancellation_does_nothing_more() -> None:
    deeds = Deeds()

    async def run(wf: Workflow) -> str:
        try:
            await wf.sleep("wait", 3600)
        except asyncio.CancelledError:
            await wf.step("more", deeds.doing("more"))
        return "result"

    async with flowing(run) as (_, flow):
        assert await flow.workflow.cancel() == "cancelled"
        assert deeds == []


async def test_a_message_that_was_open_goes_back() -> None:
    async def run(wf: Workflow) -> None:
        async with await wf.receive("order", "orders", ack=True):
            await wf.sleep("wait", 3600)

    async with flowing(run) as (client, flow):
        await flow.enqueue("orders", "order")
        await client.testing.settle()
        assert await flow.workflow.cancel() == "cancelled"
        entry = (await flow.workflow.history()).find("order")
        assert entry is not None
        assert [each.status for each in entry.output] == ["released"]


# ------------------------------------------------------------------------- the undo handlers


def _two(place: Place) -> Script:
    async def run(wf: Workflow) -> None:
        for name in "ab":
            await wf.step(name, Deeds().doing(name, name), undo=take_back)

        async def body(wf: Workflow) -> None:
            for name in "cd":
                await wf.step(name, Deeds().doing(name, name), undo=take_back)
            await wf.sleep("wait", 3600)

        await place(wf, body)

    return run


@pytest.mark.parametrize("place", [_at_root, _in_turn, _in_gather, _in_first, _in_saga])
@pytest.mark.parametrize("done", [0, 1, 2, 3])
async def test_undo_handlers_go_on_after_a_crash(place: Place, done: int) -> None:
    async with flowing(_two(place)) as (client, flow):
        GATES.extend([asyncio.Event(), *[_open() for _ in range(done)]])
        cancelling = asyncio.create_task(flow.workflow.cancel())
        await client.testing.settle()
        assert list("dcba")[: done + 1] == UNDONE
        cancelling.cancel()
        await lose_and_wait(client)
        assert list("dcba")[: done + 1] + list("dcba")[done:] == UNDONE
        assert await flow.workflow.status() == "cancelled"


def _open() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@pytest.mark.parametrize("place", [_at_root, _in_saga])
async def test_cancelling_again_does_not_disturb_undo_handlers(place: Place) -> None:
    async with flowing(_two(place)) as (client, flow):
        gate = asyncio.Event()
        GATES.append(gate)
        cancels = [asyncio.create_task(flow.workflow.cancel()) for _ in range(3)]
        await client.testing.settle()
        assert await flow.workflow.status() == "rolling_back"
        gate.set()
        assert [str(await cancel) for cancel in cancels] == ["cancelled"] * 3
        assert list("dcba") == UNDONE


async def test_the_run_rolls_back_while_an_undo_handler_waits_for_its_next_attempt() -> None:
    async with flowing(_two(_at_root)) as (client, flow):
        TROUBLE.append(ValueError("not yet"))
        assert await flow.workflow.cancel() == "rolling_back"
        await client.testing.sleep(flow)
        assert await flow.workflow.status() == "rolling_back"
        assert not await client.testing.is_awake(flow)
        await client.testing.advance(1)
        assert await flow.workflow.status() == "cancelled"
        assert list("ddcba") == UNDONE


async def test_a_run_whose_undo_handler_fails_has_failed() -> None:
    async with flowing(_two(_at_root)) as (client, flow):
        TROUBLE.extend(ValueError("never") for _ in range(4))
        await flow.workflow.cancel()
        await client.testing.advance(60)
        status = await flow.workflow.status()
        assert (status, status.reason) == ("failed", "undo_failed")
        assert list("dddd") == UNDONE
        entries = await flow.workflow.history()
        assert [each.undo.status for each in entries if each.undo] == [
            *("waiting", "waiting", "waiting", "failed")
        ]


async def test_an_undo_handler_may_cancel_its_run() -> None:
    said: list[str] = []

    async def undo(step: Step, output: str) -> None:
        said.append(str(await step.actor.workflow.cancel()))

    async def run(wf: Workflow) -> None:
        await wf.step("a", Deeds().doing("a", "a"), undo=undo)
        await wf.step("bad", Deeds().refusing("bad"))

    async with flowing(run) as (client, flow):
        await client.testing.settle()
        assert said == ["rolling_back"]
        assert await flow.workflow.status() == "failed"


@pytest.mark.parametrize("is_asleep", [False, True], ids=["awake", "asleep"])
async def test_a_run_sleeps_while_undo_handlers_of_a_saga_wait_for_their_next_attempt(
    is_asleep: bool,
) -> None:
    async def run(wf: Workflow) -> None:
        backoff = Backoff(first=60, max=60)
        async with wf.saga("saga") as saga:
            await saga.step("a", Deeds().doing("a", "a"), undo=take_back, backoff=backoff)
            await saga.step("bad", Deeds().refusing("bad"))

    TROUBLE.append(ValueError("not yet"))
    async with flowing(run) as (client, flow):
        if is_asleep:
            await client.testing.sleep(flow)
        status = await flow.workflow.status()
        assert status == "sleeping"
        assert [(each.key, each.status) for each in status.open] == [
            ("saga", "undoing"),
            ("saga/a", "retrying"),
        ]
        assert status.open[1].due_at == pytest.approx(client.testing.now() + 60, abs=0.01)
        await client.testing.advance(60)
        assert await flow.workflow.status() == "failed"
        assert UNDONE == ["a", "a"]
