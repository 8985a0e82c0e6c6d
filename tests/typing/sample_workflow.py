"""A workflow as users write it: it must pass ``mypy --strict`` and pyright as it is."""

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

import msgspec

from stator import Actor, Queue, setup
from stator.workflow import (
    Backoff,
    Failed,
    Fatal,
    FirstFailed,
    GatherFailed,
    Message,
    Ok,
    Step,
    StepFailed,
    Undo,
    UndoFailed,
    Winner,
    Workflow,
    WorkflowErrorEvent,
    step,
    workflow,
)


class Order(msgspec.Struct):
    id: str
    cents: int


class Receipt(msgspec.Struct):
    id: str


class OrdersState(msgspec.Struct):
    status: str = ""


def plainly(number: int) -> float:
    return number / 2


@step(retries=5, backoff=Backoff(first=1, factor=3, max=timedelta(minutes=1), jitter=0.5))
async def audit(order: Order) -> list[str]:
    return [order.id]


class Orders(Actor, rename="camel"):
    state: OrdersState
    orders = Queue[Order, Receipt]()
    stops = Queue[str]()

    @workflow
    async def run(self, wf: Workflow) -> str:
        loop = wf.loop("orders", keep=20)
        async for turn in loop:
            assert_type(turn.index, int)
            message = await wf.receive("order", self.orders, ack=True)
            assert_type(message, Message[Order, Receipt])
            async with message:
                assert_type(message.body, Order)
                async with wf.saga("checkout") as saga:
                    reserved = await saga.step(
                        "reserve", self.reserve, message.body, undo=self.release
                    )
                    assert_type(reserved, str)
                    assert_type(await saga.txn("book", self.reserve, message.body), str)
                    tried = await saga.attempt("charge", self.charge, message.body)
                    assert_type(tried, Ok[Receipt] | Failed)
                    receipt = await wf.step(
                        "charge",
                        self.charge,
                        message.body,
                        undo=self.refund,
                        retries=5,
                        backoff=Backoff(first=0.2, factor=2, max=30, jitter=0),
                        timeout=timedelta(seconds=30),
                        retry_timeouts=True,
                        retry_on=(OSError,),
                        fail_on=(ValueError,),
                        key=message.body.id,
                    )
                    assert_type(receipt, Receipt)
                await message.complete(receipt)
            turn.stop("done")
        await self.outputs(wf)
        await self.waits(wf)
        await self.branches(wf)
        return "done"

    async def outputs(self, wf: Workflow) -> None:
        order = Order("o1", 5)
        assert_type(await wf.step("charge", self.charge, order), Receipt)
        assert_type(await wf.step("reserve", self.reserve, order), str)
        assert_type(await wf.step("plain", plainly, 5), float)
        assert_type(await wf.step("release", self.release, "o1"), None)
        assert_type(await wf.call(audit, order), list[str])
        assert_type(await wf.txn("book", self.reserve, order), str)
        match await wf.attempt("charge again", self.charge, order):
            case Ok(value):
                assert_type(value, Receipt)
            case Failed(kind, error, attempts, name):
                assert_type(kind, str)
                assert_type(error, BaseException | None)
                assert_type(attempts, int)
                assert_type(name, str)
        found = await wf.attempt("plainly", plainly, 3)
        assert_type(found, Ok[float] | Failed)
        if isinstance(found, Failed):
            assert_type(found.step, str)
        else:
            assert_type(found.value, float)
        try:
            await wf.step("once more", self.charge, order)
        except StepFailed as failure:
            assert_type(failure.kind, str)
            assert_type(failure.step, str)
            assert_type(failure.attempts, int)
            assert_type(failure.error, BaseException | None)
        except UndoFailed as failed:
            assert_type(failed.step, str)

    async def waits(self, wf: Workflow) -> None:
        await wf.sleep("nap", 5)
        await wf.sleep("day", timedelta(days=1))
        await wf.sleep_until("new year", datetime(2030, 1, 1, tzinfo=UTC))
        await wf.sleep_until("instant", 1_900_000_000)
        late = await wf.receive("late", self.orders, timeout=5)
        assert_type(late, Message[Order, Receipt] | None)
        assert_type(await wf.receive("any"), Message[Any, Any])
        assert_type(await wf.receive("any in time", timeout=1), Message[Any, Any] | None)
        assert_type(await wf.receive("by name", "orders"), Message[Any, Any])
        several = await wf.receive_many("several", self.orders, max=10, timeout=5, ack=True)
        assert_type(several, list[Message[Order, Receipt]])
        assert_type(await wf.receive_many("all"), list[Message[Any, Any]])
        approved = wf.promise("approved")
        assert_type(approved.id, str)
        assert_type(await approved, Any)
        async with wf.timeout("limit", 30), wf.scope("names"):
            await wf.removed("old", kind="step")
        assert_type(await wf.version("gate", 2), int)
        assert_type(await wf.patched("patch"), bool)
        assert_type(wf.now(), float)
        assert_type(wf.random.random(), float)
        assert_type(wf.uuid(), UUID)
        assert_type(wf.name, str)
        assert_type(wf.key, tuple[str, ...])

    async def branches(self, wf: Workflow) -> None:
        async def ship(wf: Workflow) -> str:
            return await wf.step("ship", self.reserve, Order("o1", 5))

        async def bill(wf: Workflow, order: Order) -> Receipt:
            return await wf.step("bill", self.charge, order)

        try:
            assert_type(await wf.gather("both", one=ship, two=ship), dict[str, Any])
        except GatherFailed as error:
            for name, branch_error in error.errors.items():
                assert_type(name, str)
                assert_type(branch_error, BaseException)
        items = [Order("o1", 5), Order("o2", 6)]
        bills = await wf.map("bills", items, bill, key=lambda order: order.id, concurrency=8)
        assert_type(bills, list[Receipt])
        try:
            winner = await wf.first("either", work=ship, timer=wf.after(30))
            assert_type(winner, Winner[Any])
            assert_type(winner.name, str)
        except FirstFailed as first_error:
            assert_type(len(first_error.errors), int)
        counting = wf.loop("count", state=0)
        async for turn in counting:
            assert_type(turn.state, int)
            turn.state += 1
            turn.stop(turn.state)
        assert_type(counting.result, Any)

    async def reserve(self, order: Order) -> str:
        return order.id

    async def release(self, reservation: str) -> None: ...

    async def charge(self, step: Step, order: Order) -> Receipt:
        self.state.status = "charging"
        if order.cents < 0:
            raise Fatal("less than nothing", code="negative")
        if order.cents == 0:
            raise Undo("nothing to pay")
        assert_type(step.attempt, int)
        assert_type(step.idempotency_key, str)
        step.heartbeat({"at": 1})
        return Receipt(step.idempotency_key)

    async def refund(self, receipt: Receipt, order: Order) -> None: ...

    async def on_workflow_error(self, event: WorkflowErrorEvent) -> None:
        assert_type(event.will_retry, bool | None)
        assert_type(event.error.message, str)
        if event.step is not None:
            self.log.warning("step failed", step=event.step.step_name, attempt=event.attempt)


registry = setup(use={"orders": Orders})
