"""The example of the contract (python-api, section 8), as it is written there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, Queue, action, setup
from stator.testing import TestingClient, running
from stator.workflow import Fatal, Message, Step, StepFailed, Workflow, workflow


class Order(msgspec.Struct):
    """What is ordered."""

    id: str
    cents: int = 100


class Receipt(msgspec.Struct):
    """What was paid."""

    order: str
    key: str


class OrdersState(msgspec.Struct):
    """What stays."""

    status: str = ""
    log: list[str] = []


class Orders(Actor, rename="camel"):
    """Takes orders one after the other."""

    state: OrdersState
    orders = Queue[Order, Receipt]()

    @workflow
    async def run(self, wf: Workflow) -> None:
        async for _ in wf.loop("orders", keep=20):
            async with await wf.receive("order", self.orders, ack=True) as message:
                try:
                    receipt = await self.check_out(wf, message)
                except StepFailed as error:
                    receipt = Receipt(message.body.id, error.kind)
                await message.complete(receipt)

    async def check_out(self, wf: Workflow, message: Message[Order, Receipt]) -> Receipt:
        """Reserve and charge, or neither."""
        async with wf.saga("checkout") as saga:
            await saga.step("reserve", self.reserve, message.body, undo=self.release)
            return await saga.step("charge", self.charge, message.body, undo=self.refund, retries=5)

    async def reserve(self, order: Order) -> str:
        """Note the reservation."""
        self.state.log.append(f"reserve {order.id}")
        return order.id

    async def release(self, reserved: str) -> None:
        """Undo it."""
        self.state.log.append(f"release {reserved}")

    async def charge(self, step: Step, order: Order) -> Receipt:
        """Charge, unless it costs less than nothing."""
        self.state.status = "charging"
        if order.cents < 0:
            raise Fatal("less than nothing")
        self.state.log.append(f"charge {order.id}")
        return Receipt(order.id, step.idempotency_key)

    async def refund(self, receipt: Receipt) -> None:
        """Undo it."""
        self.state.log.append(f"refund {receipt.order}")

    @action
    def get_log(self) -> list[str]:
        """Return what was done."""
        return self.state.log


registry = setup(use={"orders": Orders})


async def _order(client: TestingClient, order: Order) -> Receipt:
    handle = client.get_or_create(Orders, ["a"])
    reply = (await handle.enqueue(Orders.orders, order, wait=True)).reply
    assert reply is not None
    return reply


async def _log(client: TestingClient) -> list[str]:
    return await client.get_or_create(Orders, ["a"]).call(Orders.get_log)


@pytest.mark.parametrize("encoding", ["cbor", "json", "bare"])
async def test_an_order_is_reserved_charged_and_answered(encoding: Any) -> None:
    async with running(registry, encoding=encoding) as client:
        receipt = await _order(client, Order("o1"))
        assert receipt.order == "o1"
        assert receipt.key.endswith("/orders/~0/checkout/charge")
        assert await _log(client) == ["reserve o1", "charge o1"]


async def test_an_order_that_cannot_be_charged_is_released() -> None:
    async with running(registry) as client:
        assert (await _order(client, Order("o1", -1))).key == "fatal"
        assert await _log(client) == ["reserve o1", "release o1"]


async def test_orders_go_on_after_crashes_and_sleeps() -> None:
    async with running(registry) as client:
        for number in range(6):
            assert (await _order(client, Order(f"o{number}"))).order == f"o{number}"
            if number % 2:
                await client.testing.crash()
            else:
                await client.testing.sleep(client.get(Orders, ["a"]))
        assert len(await _log(client)) == 12


async def test_an_order_that_is_none_is_refused_before_it_is_stored() -> None:
    async with running(registry) as client:
        handle = client.get_or_create(Orders, ["a"])
        with pytest.raises(ActorError):
            await handle.enqueue("orders", {"cents": "x"}, wait=True)
        assert await handle.workflow.status() == "sleeping"
