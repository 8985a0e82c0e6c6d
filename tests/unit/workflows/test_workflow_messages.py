"""Receiving, sleeping and promises (workflow page, sections 4.4, 4.5 and 12)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stator import ActorError
from stator.workflow import Message, Workflow
from tests.fakes.workflow_flows import Body, Declined, noting, running_flow

Ran = list[Any]

# ---------------------------------------------------------------------------- receiving


def collecting(got: Ran, *queues: str, **options: Any) -> Body:
    """Return a workflow that keeps the bodies of what it receives."""

    async def body(self: Any, wf: Workflow) -> None:
        async for _ in wf.loop("turns"):
            message = await wf.receive("order", *queues, **options)
            got.append(None if message is None else message.body)

    return body


async def test_messages_are_received_in_order() -> None:
    got: Ran = []
    async with running_flow(collecting(got, "orders")) as flow:
        for number in range(4):
            await flow.send(number)
        assert got == [0, 1, 2, 3]


async def test_messages_that_are_there_are_received_at_once() -> None:
    got: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("nap", 1)
        await collecting(got, "orders")(self, wf)

    async with running_flow(body) as flow:
        for number in range(3):
            await flow.send(number)
        assert got == []
        await flow.pass_time(1)
        assert got == [0, 1, 2]


@pytest.mark.parametrize(
    ("queues", "expected"),
    [(("orders",), ["o"]), (("others",), ["x"]), (("others", "orders"), ["o", "x"]), ((), None)],
)
async def test_only_the_queues_that_are_named_are_received_from(
    queues: tuple[str, ...], expected: list[str] | None
) -> None:
    got: Ran = []
    async with running_flow(collecting(got, *queues)) as flow:
        await flow.send("o", "orders")
        await flow.send("x", "others")
        assert got == (expected or ["o", "x"])


async def test_a_queue_may_be_given_as_it_is_declared() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        return (await wf.receive("order", self.others)).body

    async with running_flow(body) as flow:
        await flow.send("o", "orders")
        await flow.send("x", "others")
        assert await flow.output() == "x"


async def test_a_name_need_not_be_declared() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        async def send() -> None:
            await self.queue.send("undeclared", 5)

        await wf.step("send", send)
        return (await wf.receive("order", "undeclared")).body

    async with running_flow(body) as flow:
        assert await flow.output() == 5


@pytest.mark.parametrize("how", ["live", "crash", "again"])
async def test_without_a_message_in_time_it_is_none(how: str) -> None:
    got: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        got.append(await wf.receive("order", "orders", timeout=10))
        await wf.receive("end", "others")

    async with running_flow(body) as flow:
        await flow.pass_time(9)
        if how != "live":
            await getattr(flow, how)()
        assert got == []
        await flow.pass_time(1)
        assert got == [None]


async def test_a_message_in_time_is_no_message_late() -> None:
    got: Ran = []
    async with running_flow(collecting(got, "orders", timeout=10)) as flow:
        await flow.pass_time(9)
        await flow.send("o")
        await flow.pass_time(9)
        assert got == ["o"]
        await flow.pass_time(1)
        assert got == ["o", None]


async def test_a_message_after_the_deadline_is_for_the_next_receive() -> None:
    """A deadline that passed while nobody was awake has passed."""
    got: Ran = []
    async with running_flow(collecting(got, "orders", timeout=timedelta(seconds=10))) as flow:
        await flow.pass_time(11)
        await flow.send("o")
        assert got == [None, "o"]


async def test_a_message_says_what_it_is() -> None:
    seen: list[Message[Any, Any]] = []

    async def body(self: Any, wf: Workflow) -> None:
        seen.append(await wf.receive("order", "orders"))
        await wf.receive("end", "others")

    async with running_flow(body) as flow:
        await flow.send({"a": [1, 2]})
        await flow.again()
        for message in seen:
            assert (message.name, message.body) == ("orders", {"a": [1, 2]})
            assert message.created_at == pytest.approx(flow.testing.now(), abs=1)
            assert not message.is_open
        assert seen[0].id == seen[1].id


# ------------------------------------------------------------------------- receive_many


@pytest.mark.parametrize(("most", "expected"), [(1, [0]), (2, [0, 1]), (10, [0, 1, 2])])
async def test_up_to_so_many_are_received(most: int, expected: list[int]) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        await wf.sleep("nap", 1)
        return [each.body for each in await wf.receive_many("batch", "orders", max=most)]

    async with running_flow(body) as flow:
        for number in range(3):
            await flow.send(number)
        await flow.pass_time(1)
        assert await flow.output() == expected


async def test_receive_many_does_not_wait_to_be_full() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        return [each.body for each in await wf.receive_many("batch", "orders", max=5)]

    async with running_flow(body) as flow:
        await flow.send("o")
        assert await flow.output() == ["o"]


async def test_receive_many_in_vain_is_empty() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        return await wf.receive_many("batch", "orders", max=5, timeout=3)

    async with running_flow(body) as flow:
        await flow.pass_time(3)
        assert await flow.output() == []


async def test_each_of_many_is_completed() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("nap", 1)
        for message in await wf.receive_many("batch", "orders", max=2, ack=True):
            await message.complete(message.body * 2)

    async with running_flow(body) as flow:
        for number in range(2):
            await flow.send(number)
        await flow.pass_time(1)
        assert await flow.status() == "completed"
        assert await flow.stored_messages() == []


# ----------------------------------------------------------------------- with ack=True


async def test_a_block_acknowledges_at_its_end() -> None:
    async def body(self: Any, wf: Workflow) -> bool:
        async with await wf.receive("order", "orders", ack=True) as message:
            assert message.is_open
        return message.is_open

    async with running_flow(body) as flow:
        await flow.send("o")
        assert await flow.output() is False
        assert await flow.stored_messages() == []


async def test_a_block_left_by_an_exception_gives_the_message_back() -> None:
    got: Ran = []

    async def body(self: Any, wf: Workflow) -> None:
        async for turn in wf.loop("orders"):
            try:
                async with await wf.receive("order", "orders", ack=True) as message:
                    got.append(message.body)
                    if turn.index == 0:
                        raise Declined
            except Declined:
                pass

    async with running_flow(body) as flow:
        await flow.actor.enqueue("orders", "o1")
        await flow.send("o2")
        assert got == ["o1", "o1", "o2"]


@pytest.mark.parametrize("how", ["live", "crash", "again"])
async def test_an_open_message_blocks_the_next_receive(how: str) -> None:
    async def body(self: Any, wf: Workflow) -> str:
        message = await wf.receive("order", "orders", ack=True)
        await wf.sleep("nap", 5)
        try:
            await wf.receive("more", "orders", timeout=0)
        except ActorError as error:
            await message.complete()
            return error.code
        return ""

    async with running_flow(body) as flow:
        await flow.send("o")
        if how != "live":
            await getattr(flow, how)()
        await flow.pass_time(5)
        assert await flow.output() == "previous_message_not_completed"


async def test_without_ack_nothing_is_completed() -> None:
    async def body(self: Any, wf: Workflow) -> str:
        message = await wf.receive("order", "orders")
        try:
            await message.complete()
        except ActorError as error:
            return error.code
        return ""

    async with running_flow(body) as flow:
        await flow.send("o")
        assert await flow.output() == "complete_not_configured"


async def test_a_run_that_ends_gives_back_what_is_open() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.receive("order", "orders", ack=True)

    async with running_flow(body) as flow:
        await flow.send("o")
        assert await flow.status() == "completed"
        assert len(await flow.stored_messages()) == 1


async def test_a_completion_and_the_state_are_one_commit() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        async def add() -> None:
            self.state.total += 1

        async for _ in wf.loop("orders"):
            async with await wf.receive("order", "orders", ack=True):
                await wf.step("add", add)

    async with running_flow(body) as flow:
        for _ in range(5):
            await flow.actor.enqueue("orders", "o", wait=True)
            await flow.crash()
        assert await flow.stored_total() == 5


# ------------------------------------------------------------------------- sleep, promise


@pytest.mark.parametrize("seconds", [0.05, 5, timedelta(seconds=5)])
async def test_a_sleep_takes_its_time(seconds: Any) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("nap", seconds)

    async with running_flow(body) as flow:
        long = seconds if isinstance(seconds, float | int) else seconds.total_seconds()
        await flow.pass_time(long - 0.01)
        assert await flow.status() == "sleeping"
        await flow.pass_time(0.01)
        assert await flow.status() == "completed"


@pytest.mark.parametrize("seconds", [0, -5])
async def test_a_sleep_of_no_time_is_over_at_once(seconds: float) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep("nap", seconds)

    async with running_flow(body) as flow:
        assert await flow.status() == "completed"


async def test_the_stored_deadline_wins_over_a_changed_duration() -> None:
    def body(seconds: float) -> Body:
        async def run(self: Any, wf: Workflow) -> None:
            await wf.sleep("nap", seconds)

        return run

    async with running_flow(body(10)) as flow:
        await flow.replace(body(1000))
        await flow.pass_time(10)
        assert await flow.status() == "completed"


@pytest.mark.parametrize("as_datetime", [False, True])
async def test_sleep_until_waits_for_an_instant(as_datetime: bool) -> None:
    async def body(self: Any, wf: Workflow) -> None:
        when = wf.now() + 100
        await wf.sleep_until("nap", datetime.fromtimestamp(when, UTC) if as_datetime else when)

    async with running_flow(body) as flow:
        await flow.pass_time(99)
        assert await flow.status() == "sleeping"
        await flow.pass_time(1)
        assert await flow.status() == "completed"


async def test_an_instant_has_a_time_zone() -> None:
    async def body(self: Any, wf: Workflow) -> None:
        await wf.sleep_until("nap", datetime(2030, 1, 1))

    async with running_flow(body) as flow:
        assert "has no time zone" in await flow.error()


@pytest.mark.parametrize("how", ["live", "crash", "again"])
@pytest.mark.parametrize("value", [None, 5, {"by": "Ada"}, [1, [2]]])
async def test_a_promise_is_resolved_from_outside(how: str, value: Any) -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        promise = wf.promise("approved")
        await wf.step("tell", noting([], "tell"), promise.id)
        return [await promise, promise.is_resolved, await promise]

    async with running_flow(body) as flow:
        if how != "live":
            await getattr(flow, how)()
        await flow.workflow.resolve("approved", value)
        await flow.testing.settle()
        assert await flow.output() == [value, True, value]


async def test_a_promise_may_be_resolved_before_it_is_asked_for() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        await wf.sleep("nap", 5)
        return await wf.promise("approved")

    async with running_flow(body) as flow:
        await flow.workflow.resolve("approved", "early")
        await flow.crash()
        await flow.pass_time(5)
        assert await flow.output() == "early"


async def test_a_promise_has_one_value() -> None:
    async def body(self: Any, wf: Workflow) -> Any:
        await wf.promise("approved")
        await wf.receive("end")

    async with running_flow(body) as flow:
        await flow.workflow.resolve("approved", 1)
        with pytest.raises(ActorError, match="already_resolved"):
            await flow.workflow.resolve("approved", 2)
