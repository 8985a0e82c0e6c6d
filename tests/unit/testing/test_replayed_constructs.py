"""What a replay makes of each construct of a workflow: ``stator.testing.replay``."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from stator import Actor, ActorError, Database, Queue, action, setup
from stator.testing import replay, running
from stator.workflow import Workflow, WorkflowHistory, workflow
from tests.fakes.recorded_runs import RAN, do, history_after, history_of


class Branching(Actor):
    """Branches of all kinds, some of which are done."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        async def quick(wf: Workflow) -> str:
            return await wf.step("do", do, "quick")

        async def each(wf: Workflow, number: int) -> int:
            await wf.step("do", do, str(number))
            if number == 3:
                await wf.sleep("long", 60)
            return number

        await wf.gather("both", a=quick, b=quick)
        winner = await wf.first("race", quick=quick, slow=wf.after(60))
        await wf.step(winner.name, do, winner.name)
        await wf.map("items", range(5), each, concurrency=2)


async def test_branches_are_replayed_each_as_far_as_it_came() -> None:
    report = await replay(await history_of(Branching), Branching)

    assert report.ok
    assert report.frontier == (("items/3/long", "sleep"),)


async def test_branches_that_had_not_begun_are_not_begun() -> None:
    class Parked(Actor):
        @workflow
        async def run(self, wf: Workflow) -> None:
            async def each(wf: Workflow, number: int) -> None:
                await wf.sleep("long", 60)

            await wf.map("items", range(5), each, concurrency=2)

    report = await replay(await history_of(Parked), Parked)

    assert report.frontier == (("items/0/long", "sleep"), ("items/1/long", "sleep"))


async def test_a_branch_more_diverges() -> None:
    class Tripled(Branching):
        @workflow
        async def run(self, wf: Workflow) -> None:
            async def quick(wf: Workflow) -> str:
                return await wf.step("do", do, "quick")

            await wf.gather("both", a=quick, b=quick, c=quick)

    report = await replay(await history_of(Branching), Tripled)

    assert "code asks for: gather of a, b, c 'both'" in str(report)


async def test_a_time_limit_that_was_over_is_over_in_a_replay() -> None:
    class Late(Actor):
        @workflow
        async def run(self, wf: Workflow) -> None:
            try:
                async with wf.timeout("limit", 10):
                    await wf.sleep("long", 60)
            except TimeoutError:
                await wf.step("late", do, "late")

    report = await replay(await history_of(Late, seconds=20), Late)

    assert (report.ok, report.frontier) == (True, ())


async def test_a_loop_goes_on_in_its_last_turn() -> None:
    class Turning(Actor):
        @workflow
        async def run(self, wf: Workflow) -> None:
            async for turn in wf.loop("turns", state=0, keep=2):
                await wf.step("do", do, str(turn.state))
                await wf.sleep("pause", 10)
                turn.state += 1

    history = await history_of(Turning, seconds=100)

    report = await replay(history, Turning)

    assert history.find("turns/~3") is None
    assert report.frontier == (("turns/~10/pause", "sleep"),)


async def test_promises_random_numbers_and_times_are_those_of_the_run() -> None:
    class Told(Actor):
        @workflow
        async def run(self, wf: Workflow) -> None:
            promise = wf.promise("answer")
            await wf.step(f"ask {wf.uuid()}", do, "ask")
            answer = await promise
            await wf.sleep_until("later", wf.now() + 10)
            await wf.step(f"{answer} {wf.now():.3f}", do, "done")

    async with running(setup(use={"subject": Told})) as client:
        handle = client.get_or_create("subject", ["one"])
        await history_after(client, handle, 5)
        waiting = await handle.workflow.history()
        await handle.workflow.resolve("answer", "yes")
        history = await history_after(client, handle, 20)

    assert (await replay(waiting, Told)).frontier == (("answer", "promise"),)
    assert (await replay(history, Told)).ok
    assert history.status == "completed"


async def test_a_transaction_is_not_run_again() -> None:
    class Keeping(Actor):
        state: int = 0
        db = Database(migrations=["CREATE TABLE kept (id INTEGER PRIMARY KEY) STRICT"])

        @workflow
        async def run(self, wf: Workflow) -> None:
            await wf.txn("keep", self.keep)

        async def keep(self) -> None:
            RAN.append("keep")
            await self.db.execute("INSERT INTO kept (id) VALUES (1)")

    report = await replay(await history_of(Keeping), Keeping)

    assert report.ok
    assert RAN == []


# -- messages


class Order(msgspec.Struct):
    """What is ordered."""

    item: str


class BiggerOrder(msgspec.Struct):
    """An order of a later release."""

    item: str
    count: int


class Taking(Actor):
    """Takes one order after the other."""

    orders = Queue[Order, str]()

    @workflow
    async def run(self, wf: Workflow) -> None:
        async for _ in wf.loop("orders"):
            async with await wf.receive("order", self.orders, ack=True) as message:
                done = await wf.step(message.body.item, do, message.body.item)
                await message.complete(done)

    @action
    def look(self) -> str:
        return self.name


async def orders_taken() -> WorkflowHistory:
    """Return a history with two orders."""
    async with running(setup(use={"subject": Taking})) as client:
        handle = client.get_or_create("subject", ["one"])
        for item in ("tea", "cake"):
            await handle.enqueue("orders", {"item": item}, wait=True)
        return await handle.workflow.history()


async def test_messages_are_what_they_were() -> None:
    report = await replay(await orders_taken(), Taking)

    assert report.ok
    assert report.frontier == (("orders/~2/order", "receive"),)


async def test_a_message_that_is_not_what_its_queue_declares_now_is_reported() -> None:
    class Later(Taking):
        orders = Queue[BiggerOrder, str]()  # type: ignore[assignment]

    async with running(setup(use={"subject": Taking})) as client:
        handle = client.get_or_create("subject", ["one"])
        started = asyncio.Event()

        async def wait(what: str) -> str:
            started.set()
            await asyncio.Event().wait()
            return what

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"{__name__}.do", wait)
            await handle.enqueue("orders", {"item": "tea"})
            await started.wait()
            history = await handle.workflow.history()

    report = await replay(history, Later)

    assert isinstance(report.error, ActorError)
    assert report.error.code == "validation_error"
