"""The actors that the official clients call in the interoperability tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from stator import Actor, ActorError, Event, Options, Queue, UserError, action, setup
from stator.workflow import Workflow, workflow


class Counter(Actor):
    """Counts; what it was created with is where it begins."""

    state: dict[str, int]

    def create_state(self, input: Any) -> dict[str, int]:  # noqa: A002 - python-api, section 3
        return {"count": input or 0}

    @action
    def increment(self, amount: int = 1) -> int:
        self.state["count"] += amount
        return self.state["count"]

    @action
    def get(self) -> int:
        return self.state["count"]

    @action(name="destroy")
    def destroy_counter(self) -> None:
        self.destroy()


class Point(msgspec.Struct):
    """A typed record, as action code uses them."""

    x: int
    label: str = "none"


PRODUCED: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "bytes": lambda: b"\x00\x01\xff",
    "2**32": lambda: 2**32,
    "2**53 - 1": lambda: 2**53 - 1,
    "2**53": lambda: 2**53,
    "-(2**63)": lambda: -(2**63),
    "2**80": lambda: 2**80,
    "datetime": lambda: datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC),
    "set": lambda: {7},
    "tuple": lambda: (1, "two"),
    "dollar pair": lambda: ["$x", 1],
    "number keys": lambda: {1: "one", 2: "two"},
    "struct": lambda: Point(3, "three"),
    "nan": lambda: float("nan"),
}
"""What Python code returns, by the name a test asks with."""


class Echo(Actor):
    """Says back what it was told, and what it knows of itself."""

    state: dict[str, Any]

    def create_state(self, input: Any) -> dict[str, Any]:  # noqa: A002 - python-api, section 3
        return {"input": input}

    @action
    def value(self, value: Any = "nothing was sent") -> Any:
        return value

    @action
    def several(self, *values: Any) -> Any:
        return values

    @action
    def described(self, value: Any) -> list[str]:
        return [type(value).__name__, repr(value)]

    @action
    def produced(self, name: str) -> Any:
        return PRODUCED[name]()

    @action(name="math.add")
    def add(self, one: int, other: int) -> int:
        return one + other

    @action(name="deep.er.name")
    def nested(self) -> str:
        return "deep.er.name"

    @action(name="odd name/with?all&kinds=of#%20 é日🙂")
    def odd(self, value: Any) -> Any:
        return value

    @action
    def input(self) -> Any:
        return self.state["input"]

    @action
    def identity(self) -> dict[str, Any]:
        return {"id": self.actor_id, "name": self.name, "key": self.key}

    @action
    def typed(self, point: Point) -> Point:
        return Point(point.x + 1, point.label)

    @action
    def text_of(self, length: int) -> str:
        return "x" * length

    @action
    def length_of(self, text: str) -> int:
        return len(text)

    @action
    def fail_for_the_user(self, metadata: Any = None) -> None:
        raise UserError("You may not.", code="not_allowed", metadata=metadata)

    @action
    def fail_in_a_group_of_its_own(self) -> None:
        raise ActorError(
            "The card was declined.", group="billing", code="declined", metadata={"left": 3}
        )

    @action
    def fail_unexpectedly(self) -> None:
        raise RuntimeError("the password is swordfish")

    @action
    def fail_with_a_value_nobody_can_send(self) -> Any:
        return object()

    @action(timeout=0.1)
    async def outlast_its_time(self) -> None:
        await self.abort_signal.wait()

    @action
    async def wait_for_the_end(self) -> None:
        await self.abort_signal.wait()


def _is_admin(_actor: Any, conn: Any) -> bool:
    return bool(conn.params) and conn.params.get("role") == "admin"


class Mill(Actor):
    """Works off what comes to ``grain``; what comes to the other queues waits for an action."""

    options = Options(max_queue_size=20, max_queue_message_size=30_000)

    grain = Queue[Any, Any]()
    store = Queue[Any]()
    points = Queue[Point, Point](name="odd name/with?all&kinds=of#%20 é日🙂")
    guarded = Queue[Any](can_publish=_is_admin)

    async def run(self) -> None:
        async for message in self.queue.iter(self.grain, self.points, completable=True):
            match message.body:
                case {"nothing": True}:
                    await message.complete()
                case Point(x, label):
                    await message.complete(Point(x + 1, label))
                case body:
                    await message.complete({"got": body, "id": message.id})

    @action
    async def take(self, name: str) -> list[Any]:
        return [message.body for message in await self.queue.try_next_batch(name, count=100)]

    @action
    async def described(self, name: str) -> list[str]:
        message = await self.queue.next(name)
        assert message is not None
        return [type(message.body).__name__, repr(message.body)]


class Bakery(Actor):
    """Bakes what is ordered, in a workflow."""

    state: list[str]
    orders = Queue[str, Any]()
    baked = Event[str]()

    @workflow
    async def run(self, wf: Workflow) -> None:
        async for _ in wf.loop("orders"):
            async with await wf.receive("order", self.orders, ack=True) as order:
                loaf = await wf.step("bake", self.bake, order.body, fail_on=(ValueError,))
                reply: dict[str, Any] = {"bread": order.body, "loaf": loaf}
                if order.body == "sourdough":
                    reply["taste"] = await wf.promise("taste")
                await order.complete(reply)

    async def bake(self, bread: str) -> int:
        if bread == "stone":
            raise ValueError("this is no bread")
        self.state.append(bread)
        self.broadcast(self.baked, bread)
        return len(self.state)

    @action
    async def taste(self, how: int) -> bool:
        if not any(entry.kind == "promise" for entry in (await self.workflow.status()).open):
            return False
        await self.workflow.resolve("taste", how)
        return True

    @action
    async def left(self) -> list[str]:
        return [message.body for message in await self.queue.try_next_batch(count=100)]

    @action
    def fall_asleep(self) -> None:
        self.sleep()


class Impatient(Actor):
    """Has little time for whatever it is asked, and completes nothing."""

    options = Options(action_timeout=0.3)
    store = Queue[Any]()


class Life(Actor):
    """Remembers its lives, and in ``vars`` only the present one."""

    state: dict[str, Any]
    rang = Event[Any]()

    def create_state(self, input: Any) -> dict[str, Any]:  # noqa: A002 - python-api, section 3
        return {"input": input, "wakes": 0, "count": 0, "rings": []}

    def on_wake(self) -> None:
        self.vars = 0
        self.state["wakes"] += 1

    @action
    def count(self) -> list[int]:
        self.state["count"] += 1
        self.vars += 1
        return [self.state["count"], self.vars, self.state["wakes"]]

    @action
    def remembered(self) -> dict[str, Any]:
        return self.state

    @action
    def fall_asleep(self) -> None:
        self.sleep()

    @action
    def vanish(self) -> str:
        self.destroy()
        return "farewell"

    @action
    async def ring_after(self, seconds: float, tone: Any) -> str:
        return await self.schedule.after(seconds, self.ring, tone)

    @action
    async def ring_at(self, instant: float, tone: Any) -> str:
        return await self.schedule.at(instant, self.ring, tone)

    @action
    async def cancel(self, schedule_id: str) -> bool:
        return await self.schedule.cancel(schedule_id)

    @action
    def ring(self, tone: Any) -> None:
        self.state["rings"].append([tone, self.conn is not None])
        self.broadcast(self.rang, tone)


class Dozy(Life):
    """Sleeps soon."""

    options = Options(sleep_timeout=1.0)


registry = setup(
    use={
        "counter": Counter,
        "echo": Echo,
        "odd name+é": Echo,
        "mill": Mill,
        "impatient": Impatient,
        "bakery": Bakery,
        "life": Life,
        "dozy": Dozy,
    }
)
