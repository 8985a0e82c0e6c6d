"""An actor with a workflow, for tests of a running service."""

import asyncio
from typing import Any

import msgspec

from stator import Actor, Queue, action, setup
from stator.workflow import Step, Workflow, workflow


class Receipt(msgspec.Struct):
    """What was paid."""

    number: int


class Shop(Actor):
    """Serves one order that somebody has to approve."""

    state: list[str] = []  # noqa: RUF012 - every actor has one of its own
    orders = Queue[str, Receipt]()

    @workflow
    async def run(self, wf: Workflow) -> Receipt:
        async with await wf.receive("order", self.orders, ack=True) as order:
            await wf.step("reserve", self.reserve, order.body, undo=self.release)
            approved = await wf.promise("approved")
            receipt = await wf.step("charge", self.charge, order.body, retries=0)
            await order.complete(receipt)
        return receipt if approved else Receipt(0)

    def reserve(self, order: str) -> str:
        """Do something that can be undone."""
        self.state.append(f"reserve {order}")
        return order

    def release(self, order: str) -> None:
        """Undo it."""
        self.state.append(f"release {order}")

    async def charge(self, step: Step, order: str) -> Receipt:
        """Fail the first time for a card that is declined."""
        self.state.append(f"charge {order}")
        if order == "declined" and self.state.count(f"charge {order}") == 1:
            raise ValueError("the card was declined")
        return Receipt(len(order))

    @action
    def notes(self) -> list[str]:
        """Return what was done."""
        return self.state


class Worn(Actor):
    """Works and waits in turns, whatever becomes of its worker."""

    state: list[int] = []  # noqa: RUF012 - every actor has one of its own

    @workflow
    async def run(self, wf: Workflow) -> Any:
        turns = wf.loop("turns", 0, keep=2)
        async for turn in turns:
            turn.state = await wf.step("add", self.add, turn.state)
            await wf.sleep("pause", 0.01)
            if turn.state == 20:
                turn.stop(turn.state)
        return turns.result

    async def add(self, before: int) -> int:
        """Take a while."""
        await asyncio.sleep(0.02)
        self.state.append(before)
        return before + 1

    @action
    def seen(self) -> list[int]:
        """Return what was done."""
        return self.state


class Plain(Actor):
    """Has no workflow."""


registry = setup(use={"shop": Shop, "worn": Worn, "plain": Plain})
