"""A small application as users write it: it must pass ``mypy --strict`` and pyright as it is.

``test_type_checkers`` runs both on it; ``assert_type`` is checked by them.
"""

import asyncio
from datetime import timedelta
from typing import Any, assert_type

import msgspec

from stator import (
    Actor,
    ActorError,
    Client,
    Event,
    Options,
    Queue,
    Registry,
    UserError,
    action,
    setup,
)


class RoomState(msgspec.Struct):
    messages: list[str] = []
    visits: int = 0


class Room(Actor, rename="camel"):
    """One chat room per key."""

    options = Options(name="Chat room", sleep_timeout=timedelta(minutes=1), durability="commit")
    state: RoomState
    vars: dict[str, int]

    new_message = Event[str]()
    anything = Event[Any]()
    jobs = Queue[str, int](name="work")
    orders = Queue[bytes]()

    async def create_state(self, given: str | None) -> RoomState:
        return RoomState([given] if given else [])

    def on_wake(self) -> None:
        self.state.visits += 1
        self.log.info("awake", visits=self.state.visits)

    @new_message.can_subscribe
    async def may_subscribe(self, conn: Any) -> bool:
        return conn is not None

    @action
    async def send(self, text: str, *, shout: bool = False) -> int:
        if not text:
            raise UserError("Empty message", code="empty_message", metadata={"min": 1})
        self.state.messages.append(text.upper() if shout else text)
        await self.save_state()
        return len(self.state.messages)

    @action(name="admin.clear", timeout=2.5)
    def clear(self) -> None:
        self.state.messages.clear()

    @action
    async def forward(self, other: str) -> list[str]:
        room = self.client.get_or_create(Room, [other])
        assert_type(await room.call(Room.send, "hello"), int)
        assert_type(self.key, tuple[str, ...])
        assert_type(self.abort_signal, asyncio.Event)
        return [self.actor_id, self.name, self.region]


class Untyped(Actor):
    state = {"count": 0}  # noqa: RUF012 - as applications write it

    @action
    def increment(self, by: int = 1) -> int:
        count: int = self.state["count"] + by
        self.state["count"] = count
        return count


registry: Registry = setup(use={"chatRoom": Room, "counter": Untyped}, action_timeout=5.0)


async def main() -> None:
    async with Client("http://127.0.0.1:6420") as client:
        room = client.get_or_create(Room, ["general"], input="hello")
        assert_type(await room.call(Room.send, "hi"), int)
        assert_type(await room.call(Room.clear), None)
        assert_type(await client.get("counter").call(Untyped.increment, 2), int)
        assert_type(await room.resolve(), str)
        assert_type((await room.enqueue(Room.jobs, "x", wait=True)).reply, int | None)
        await room.enqueue(Room.orders, b"x")
        by_name = await room.enqueue("work", "x", wait=True, timeout=timedelta(seconds=5))
        assert_type(by_name.reply, Any | None)
        if by_name.status == "timed_out":
            await room.enqueue("work", "y")
        by_attribute: int = await room.send("hi")
        status = await room.workflow.status()
        if status == "failed" and status.error is not None:
            assert_type(status.error.message, str)
            assert_type((await room.workflow.retry()).run, int)
        for entry in await room.workflow.history():
            assert_type(entry.key, str)
            assert_type(entry.due_at, float | None)
        assert_type(await room.workflow.output(), Any)
        await room.workflow.resolve("approved", {"by": "Ada"})
        try:
            await client.get("counter", "a").increment(by_attribute)
        except ActorError as error:
            assert_type(error.group, str)
            assert_type(error.code, str)
            assert_type(error.status, int)
