"""The conformance list of the workflow page (section 16.5): queues and forks."""

from __future__ import annotations

from typing import Any

import pytest

from stator import ActorError
from stator.workflow import Message, ReceivedMessage, Workflow
from tests.fakes.workflow_flows import Runner, commits_failing, noting, running_flow

Ran = list[Any]

# ---------------------------------------- 4. a kill between the take and the history


async def test_4_a_message_is_not_lost_when_its_receipt_was_not_stored() -> None:
    """Defect no. 10 of the peer."""
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        message = await wf.receive("order")
        await wf.step("handle", noting(ran, message.body))
        await wf.receive("never")

    async with running_flow(body) as flow:
        await flow.actor.enqueue("orders", "o1")
        await flow.testing.crash()  # what followed the enqueue may be stored or not
        await flow.begin()
        assert ran[-1] == "o1"
        assert await _taken(flow) == ["o1"]


@pytest.mark.parametrize("point", ["commit.before", "commit.before_sync", "commit.after"])
@pytest.mark.parametrize("number", range(1, 4))
async def test_4_on_disk_a_message_is_in_its_queue_or_in_history(point: str, number: int) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.receive("order")
        await wf.receive("never")

    async with running_flow(body) as flow:
        with commits_failing(point, number):
            was_sent = await _is_sent(flow, "o1")
            await flow.testing.settle()
            await flow.testing.crash()
            in_queue = [row.id for row in await flow.stored_messages()]
            found = in_queue + [message.id for message in await _taken_messages(flow)]
        assert len(found) == 1 or not (found or was_sent)


async def _is_sent(flow: Runner, body: str) -> bool:
    try:
        await flow.actor.enqueue("orders", body)
    except ActorError:
        return False
    return True


async def _taken_messages(flow: Runner) -> list[ReceivedMessage]:
    history = await flow.workflow.history()
    return [
        message for entry in history if entry.kind == "receive" for message in entry.output or ()
    ]


async def _taken(flow: Runner) -> list[Any]:
    return [message.body for message in await _taken_messages(flow)]


# ------------------------------------------------- 5. a message open over a restart


@pytest.mark.parametrize("how", ["sleep", "crash"])
async def test_5_a_message_is_completed_after_a_restart(how: str) -> None:
    async with running_flow(_completing_when_told) as flow:
        await flow.send("o1")
        await _restart(flow, how)
        await flow.send("go", "others")
        assert await flow.stored_messages() == []
        assert await flow.output() == "o1"


@pytest.mark.parametrize("how", ["sleep", "crash"])
async def test_5_nobody_else_gets_an_open_message_after_a_restart(how: str) -> None:
    got: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        async def second(wf: Workflow) -> None:
            await wf.receive("go", "others")
            got.append(await wf.receive("steal", "orders", timeout=0))

        async def first(wf: Workflow) -> None:
            async with await wf.receive("order", "orders", ack=True):
                await wf.sleep("long", 100)

        await wf.gather("both", first=first, second=second)

    async with running_flow(body) as flow:
        await flow.send("o1")
        await _restart(flow, how)
        await flow.send("go", "others")
        assert got == [None]


async def test_5_who_waits_is_answered_by_the_workflow() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async for _ in wf.loop("orders"):
            async with await wf.receive("order", "orders", ack=True) as message:
                await message.complete(f"{message.body} done")

    async with running_flow(body) as flow:
        first = await flow.actor.enqueue("orders", "o1", wait=True)
        second = await flow.actor.enqueue("orders", "o2", wait=True)
        assert [first.reply, second.reply] == ["o1 done", "o2 done"]


async def test_5_completing_twice_is_refused() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        message = await wf.receive("order", "orders", ack=True)
        await message.complete()
        try:
            await message.complete()
        except ActorError as error:
            return error.code
        return ""

    async with running_flow(body) as flow:
        await flow.send("o1")
        assert await flow.output() == "already_completed"


async def _completing_when_told(self: Any, wf: Workflow) -> Any:
    message: Message[Any, Any] = await wf.receive("order", "orders", ack=True)
    async with wf.scope("elsewhere"):

        async def wait(wf: Workflow) -> None:
            await wf.receive("go", "others")

        await wf.gather("wait", it=wait)
    await message.complete("fine")
    return message.body


async def _restart(flow: Runner, how: str) -> None:
    await (flow.crash() if how == "crash" else flow.again())


# ------------------------------------------ 12. a fork from a step, waiting on the queue


async def test_12_a_fork_while_waiting_on_the_queue() -> None:
    """Defect no. 9 of the peer."""
    ran: Ran = []
    async with running_flow(_waiting_after_two(ran)) as flow:
        await flow.workflow.fork("b")
        await flow.testing.settle()
        assert ran == ["a", "b", "b"]
        assert await flow.status() == "sleeping"


async def test_12_a_fork_keeps_what_was_before() -> None:
    ran: Ran = []
    async with running_flow(_waiting_after_two(ran)) as flow:
        await flow.send("o1")
        await flow.workflow.fork("handle")
        await flow.testing.settle()
        assert ran == ["a", "b", "o1", "o1"]
        assert await flow.keys() == ["a", "b", "order", "handle", "end"]


async def test_12_a_fork_in_a_turn_of_a_loop_goes_back_to_that_turn() -> None:
    ran: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("orders"):
            message = await wf.receive("order")
            await wf.step("handle", noting(ran, (turn.index, message.body)))

    async with running_flow(body) as flow:
        for order in ("o0", "o1", "o2"):
            await flow.send(order)
        await flow.workflow.fork("orders/~1/handle")
        await flow.testing.settle()
        assert ran == [(0, "o0"), (1, "o1"), (2, "o2"), (1, "o1")]


async def test_12_a_fork_without_a_key_begins_from_scratch() -> None:
    ran: Ran = []
    async with running_flow(_waiting_after_two(ran)) as flow:
        await flow.send("o1")
        status = await flow.workflow.fork()
        await flow.testing.settle()
        assert ran == ["a", "b", "o1", "a", "b"]
        assert status.run == 2


async def test_12_a_fork_outlives_a_crash() -> None:
    ran: Ran = []
    async with running_flow(_waiting_after_two(ran)) as flow:
        await flow.workflow.fork("b")
        await flow.crash()
        assert (await flow.workflow.status()).run == 2
        assert ran == ["a", "b", "b"]


def _waiting_after_two(ran: Ran) -> Any:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.step("a", noting(ran, "a"))
        await wf.step("b", noting(ran, "b"))
        message = await wf.receive("order")
        await wf.step("handle", noting(ran, message.body))
        await wf.receive("end")

    return body
