"""Orders: a checkout across three actors that is done once, or undone, whatever crashes.

The workflow of a shop takes one order after the other. What it asked of others it knows again
after a restart; a step that a crash cut off is asked again, with the same idempotency key. If a
step fails for good, what the steps before it did is taken back in reverse order.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Literal

import msgspec

from stator import Actor, ActorError, Event, Options, Queue, action, setup
from stator.workflow import Fatal, Step, StepFailed, Workflow, workflow

from .inventory import Inventory
from .payments import Payments

REMEMBERED = 100
"""How many receipts a shop can show."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Order(msgspec.Struct):
    """What a customer wants, and how it is paid."""

    id: Text
    item: Text
    count: Positive
    cents: Positive
    card: Text
    address: Text = "10 High Street"


class Receipt(msgspec.Struct):
    """How an order ended."""

    order: str
    status: Literal["shipped", "refused"]
    reason: str = ""


What = Literal["reserved", "charged", "shipped", "refunded", "released"]


class Progress(msgspec.Struct):
    """A step of a checkout was taken, or taken back."""

    order: str
    what: What


class Ledger(msgspec.Struct):
    """What a shop remembers."""

    receipts: dict[str, Receipt] = {}


class Orders(Actor, rename="camel"):
    """The orders of one shop, which is the key."""

    options = Options(name="Orders", icon="cart-shopping", sleep_timeout=10.0)
    state: Ledger

    orders = Queue[Order, Receipt]()
    progress = Event[Progress]()

    @workflow
    async def run(self, wf: Workflow) -> None:
        """Take one order after the other; who sent it may wait for the receipt."""
        async for _ in wf.loop("orders"):
            async with await wf.receive("order", self.orders, ack=True) as message:
                receipt = await wf.step("look up", self.look_up, message.body.id)
                if receipt is None:  # an order that comes twice is one order
                    receipt = await self.check_out(wf, message.body)
                    await wf.step("remember", self.remember, receipt)
                await message.complete(receipt)

    async def check_out(self, wf: Workflow, order: Order) -> Receipt:
        """Do all of it or nothing."""
        try:
            async with wf.saga("checkout") as saga:
                reservation = await saga.step("reserve", self.reserve, order, undo=self.release)
                await saga.step("charge", self.charge, order, undo=self.refund, retries=5)
                await saga.step("ship", self.ship, order, reservation)
        except StepFailed as failed:
            return Receipt(order.id, "refused", reason_of(failed))
        return Receipt(order.id, "shipped")

    # -- the steps: a crash may have one run again, so none does harm the second time

    async def look_up(self, order_id: str) -> Receipt | None:
        """Return the receipt of an order that has ended."""
        return self.state.receipts.get(order_id)

    async def reserve(self, step: Step, order: Order) -> str:
        """Have the items put aside; return the reservation."""
        inventory = self.client.get_or_create(Inventory)
        with refusals_are_final():
            await inventory.call(Inventory.reserve, step.idempotency_key, order.item, order.count)
        self.tell(order, "reserved")
        return step.idempotency_key

    async def release(self, reservation: str, order: Order) -> None:
        """Undo :meth:`reserve`. An undo handler gets what its step returned, then what it got."""
        await self.client.get_or_create(Inventory).call(Inventory.release, reservation)
        self.tell(order, "released")

    async def charge(self, step: Step, order: Order) -> str:
        """Have the card charged; return the payment."""
        payments = self.client.get_or_create(Payments)
        with refusals_are_final():
            payment = await payments.call(
                Payments.charge, step.idempotency_key, order.card, order.cents
            )
        self.tell(order, "charged")
        return payment

    async def refund(self, payment: str, order: Order) -> None:
        """Undo :meth:`charge`."""
        await self.client.get_or_create(Payments).call(Payments.refund, payment)
        self.tell(order, "refunded")

    async def ship(self, order: Order, reservation: str) -> None:
        """Have the items sent. No step comes after it, so nothing has to undo it."""
        with refusals_are_final():
            await self.client.get_or_create(Inventory).call(
                Inventory.ship, reservation, order.address
            )
        self.tell(order, "shipped")

    async def remember(self, receipt: Receipt) -> None:
        """Note how an order ended; a change of the state is in one commit with its step."""
        self.state.receipts[receipt.order] = receipt
        while len(self.state.receipts) > REMEMBERED:
            del self.state.receipts[next(iter(self.state.receipts))]

    def tell(self, order: Order, what: What) -> None:
        """Let whoever looks on see it."""
        self.broadcast(self.progress, Progress(order.id, what))

    @action
    def get_receipts(self) -> list[Receipt]:
        """Return how the last orders ended, the latest last."""
        return list(self.state.receipts.values())


@contextmanager
def refusals_are_final() -> Generator[None]:
    """Let an actor that refuses end the step; other trouble may pass and is tried again."""
    try:
        yield
    except ActorError as error:
        if error.group != "user":
            raise
        raise Fatal(error.message, code=error.code) from error


def reason_of(failed: StepFailed) -> str:
    """Return why a step failed, for the customer."""
    error = failed.error
    return error.message if isinstance(error, Fatal) else f"{failed.step} is not possible now"


registry = setup(use={"orders": Orders, "inventory": Inventory, "payments": Payments})
