"""Workflows whose histories are kept in ``tests/recorded/workflows``, and how they are made.

The histories of a release are replayed by all later ones against these classes. So nothing here is
ever changed, unless in a way that runs which wait in somebody's service would bear: a new
construct gets a new class.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from stator import Actor, Database, Queue
from stator.client import Handle
from stator.testing import TestingClient
from stator.workflow import Fatal, StepFailed, Workflow, workflow


class Declined(Exception):
    """An error of the application, with something to tell."""

    def __init__(self, reason: str, left: int) -> None:
        super().__init__(reason, left)
        self.left = left


class Size(enum.Enum):
    """An enum in a value."""

    SMALL = "s"


@dataclasses.dataclass
class Parcel:
    """A dataclass in a value."""

    weight: float
    size: Size


class Order(msgspec.Struct):
    """A record: the body of a message and an output."""

    id: str
    cents: int


async def echo(value: Any) -> Any:
    """Return what it is given; nothing says of what type that is."""
    return value


async def decline() -> None:
    """Fail for good, with an error of the application."""
    raise Declined("too little money", 3)


async def take_back(output: object) -> None:
    """Undo nothing in particular."""


class Shop(Actor):
    """Messages, a loop with turns that are pruned, and sagas: some went well, one did not."""

    orders = Queue[Order, str]()

    @workflow
    async def run(self, wf: Workflow) -> None:
        async for turn in wf.loop("orders", state={"seen": 0}, keep=2):
            async with await wf.receive("order", self.orders, ack=True) as message:
                order = message.body
                try:
                    async with wf.saga("checkout") as saga:
                        await saga.step("reserve", echo, order, undo=take_back)
                        if order.cents > 1000:
                            await saga.step("charge", decline, retries=0)
                except StepFailed as failed:
                    await wf.step("reject", echo, str(failed.error))
                await message.complete(f"{order.id} of {turn.state['seen']}")
            turn.state["seen"] += 1


class Fleet(Actor):
    """Branches: all done, some done, decided, undecided, failed."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        async def quick(wf: Workflow) -> str:
            await wf.sleep("moment", 1)
            return str(await wf.step("do", echo, str(wf.uuid())))

        async def broken(wf: Workflow) -> None:
            await wf.step("do", decline, retries=0)

        async def each(wf: Workflow, number: int) -> int:
            await wf.step(f"do {wf.random.randrange(1000)}", echo, number)
            if number == 3:
                await wf.sleep("long", 3600)
            return number

        await wf.gather("all", return_errors=True, a=quick, b=broken)
        winner = await wf.first("race", quick=quick, slow=wf.after(60))
        await wf.step(f"won by {winner.name}", echo, winner.value)
        await wf.map("items", range(6), each, key=lambda item: f"n{item}", concurrency=2)


class Patience(Actor):
    """Waits: over, not over, a time limit that was over, a promise, a step that is tried again."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        try:
            async with wf.timeout("limit", 5):
                await wf.step("early", echo, "early")
                await wf.promise("never")
        except TimeoutError:
            await wf.step(f"late {wf.now():.0f}", echo, "late")
        async with wf.scope("inner"):
            answer = await wf.promise("answer")
            await wf.step("heard", echo, answer)
        await wf.sleep("pause", 10)
        await wf.step("again and again", decline, retries=100)


class Values(Actor):
    """Outputs of all kinds, a transaction, an attempt, gates; comes to its end."""

    state: int = 0
    db = Database(migrations=["CREATE TABLE kept (id INTEGER PRIMARY KEY) STRICT"])

    @workflow
    async def run(self, wf: Workflow) -> dict[str, Any]:
        version = await wf.version("way", 3)
        is_patched = await wf.patched("patch")
        await wf.removed("old", kind="step")
        plain = await wf.step("plain", echo, [1, 2.5, "three", None, True, {"k": [4]}])
        rare = await wf.step("rare", echo, {"b": b"\0", "s": {1, 2}, "t": (1, (2,)), 5: 2**80})
        when = datetime(2026, 11, 21, 12, 0, 0, 1, tzinfo=UTC)
        typed = await wf.step("typed", echo, [when, Decimal("1.10"), Parcel(1.5, Size.SMALL)])
        order = await wf.step("order", echo, Order("o1", 5))
        kept = await wf.txn("keep", self.keep)
        assert (type(order), type(typed[2]), rare["t"]) == (Order, Parcel, (1, (2,)))
        return {"version": version, "patched": is_patched, "plain": plain, "kept": kept}

    async def keep(self) -> int:
        """Count, in the database and in the state."""
        await self.db.execute("INSERT INTO kept DEFAULT VALUES")
        self.state += 1
        return self.state


class Refused(Actor):
    """Fails with errors in errors, and has undone what it did."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        await wf.step("reserve", echo, "r", undo=take_back)

        async def broken(wf: Workflow) -> None:
            await wf.step("charge", self.charge)

        await wf.gather("both", a=broken, b=broken)

    async def charge(self) -> None:
        """Fail for good."""
        raise Fatal("declined", code="declined", metadata={"left": 3})


# ------------------------------------------------------------------------- how they are made

Way = Callable[[TestingClient, Handle], Awaitable[None]]


async def sell(client: TestingClient, shop: Handle) -> None:
    """Sell five things, one of them in vain."""
    for number, cents in enumerate((5, 6, 7, 5000, 9)):
        await shop.enqueue("orders", {"id": f"o{number}", "cents": cents}, wait=True)


async def pass_time(client: TestingClient, handle: Handle) -> None:
    """Let half a minute pass."""
    await client.testing.advance(30)


async def answer(client: TestingClient, handle: Handle) -> None:
    """Let time pass and answer."""
    await client.testing.advance(6)
    await handle.workflow.resolve("answer", {"by": "Ann"})
    await client.testing.advance(11)


async def cancel(client: TestingClient, handle: Handle) -> None:
    """End it before its time."""
    await client.testing.advance(2)
    await handle.workflow.cancel()


class Recorded(msgspec.Struct, frozen=True):
    """A history that is kept."""

    actor: type[Actor]
    way: Way
    """How the run comes to where it is taken."""
    status: str
    """Of the run then."""
    frontier: tuple[tuple[str, str], ...] = ()
    """Where a replay goes on."""


RECORDED = {
    "shop": Recorded(Shop, sell, "sleeping", (("orders/~5/order", "receive"),)),
    "fleet": Recorded(Fleet, pass_time, "sleeping", (("items/n3/long", "sleep"),)),
    "cancelled-fleet": Recorded(Fleet, cancel, "cancelled"),
    "patience": Recorded(Patience, answer, "sleeping", (("again and again", "step"),)),
    "values": Recorded(Values, pass_time, "completed"),
    "refused": Recorded(Refused, pass_time, "failed"),
}
"""By the name of the file."""
