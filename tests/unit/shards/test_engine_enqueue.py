"""Messages from actor to actor, and what params a call between actors carries."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, Conn, Queue, action
from tests.fakes.engine_in_process import running_engine


class Job(msgspec.Struct):
    size: int


class Worker(Actor):
    """Doubles jobs; keeps what comes to the other queues."""

    jobs = Queue[Job, Job]()
    letters = Queue[Any]()
    guarded = Queue[Any]()

    @guarded.can_publish
    def may_publish(self, conn: Conn) -> bool:
        return bool(conn.params == {"role": "admin"})

    async def run(self) -> None:
        async for message in self.queue.iter(self.jobs, completable=True):
            await message.complete(Job(message.body.size * 2))

    @action
    async def take(self, name: str) -> list[Any]:
        return [message.body for message in await self.queue.try_next_batch(name, count=100)]


class Sender(Actor):
    """Sends messages to workers."""

    state: int = 0

    @action
    async def order(self, size: int) -> list[Any]:
        worker = self.client.get_or_create(Worker, ["w"])
        outcome = await worker.enqueue(Worker.jobs, Job(size), wait=True)
        assert outcome.reply is not None
        return [outcome.status, outcome.reply.size]

    @action
    async def post(self, queue: str, body: Any, params: Any = None) -> None:
        worker = self.client.get_or_create("worker", ["w"], params=params)
        await worker.enqueue(queue, body)

    @action
    async def wait_in_vain(self) -> list[Any]:
        worker = self.client.get_or_create("worker", ["w"])
        outcome = await worker.enqueue("letters", 1, wait=True, timeout=0)
        return [outcome.status, outcome.reply]

    @action
    async def post_to_nobody(self) -> None:
        await self.client.get("worker", ["nobody"]).enqueue("letters", 1)

    @action
    async def change_and_post(self) -> None:
        self.state += 1
        await self.client.get_or_create("worker", ["w"]).enqueue("letters", self.state)


class Door(Actor):
    """Lets nobody in without a name."""

    def on_before_connect(self, params: Any) -> None:
        if params != {"name": "Zoë"}:
            raise ActorError("no name", group="auth", code="forbidden")

    @action
    def params(self) -> Any:
        assert self.conn is not None
        return self.conn.params


class Guest(Actor):
    """Calls a door."""

    @action
    async def knock(self, params: Any) -> Any:
        return await self.client.get_or_create("door", params=params).params()


USE: dict[str, type[Actor]] = {"worker": Worker, "sender": Sender, "door": Door, "guest": Guest}


async def test_an_actor_waits_for_the_reply_of_another() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("sender", "order", 4) == ["completed", 8]


async def test_values_pass_in_messages_as_they_are() -> None:
    body = {"set": {1}, "big": 2**100, "bytes": b"\xff", 1: 2.0**40}
    async with running_engine(use=USE) as local:
        await local.call("sender", "post", "letters", body)
        (received,) = await local.call("worker", "take", "letters", key="w")
        assert received == body
        assert type(received[1]) is float


async def test_a_wait_in_vain_is_told() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("sender", "wait_in_vain") == ["timed_out", None]


async def test_an_error_of_the_queue_reaches_the_sender() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.call("sender", "post", "guarded", 1)
        assert (caught.value.group, caught.value.code) == ("auth", "forbidden")


async def test_a_refusal_reaches_the_sender() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.call("sender", "post_to_nobody")
        assert (caught.value.group, caught.value.code) == ("actor", "not_found")


async def test_a_message_leaves_after_the_changes_before_it_are_durable() -> None:
    async with running_engine(use=USE) as local:
        await local.call("sender", "change_and_post")
        assert await local.call("worker", "take", "letters", key="w") == [1]


async def test_params_of_a_handle_reach_the_gate_of_a_queue() -> None:
    async with running_engine(use=USE) as local:
        await local.call("sender", "post", "guarded", 7, {"role": "admin"})
        assert await local.call("worker", "take", "guarded", key="w") == [7]


async def test_params_of_a_handle_reach_the_hooks_of_the_called_actor() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("guest", "knock", {"name": "Zoë"}) == {"name": "Zoë"}
        with pytest.raises(ActorError, match="no name"):
            await local.call("guest", "knock", None)
