"""Sending to a queue from inside the actor (semantics page, sections 7.1 and 7.2)."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import uuid
from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, Options, Queue, action
from stator.runtime.sameness import is_same
from tests.fakes.engine_in_process import turns
from tests.fakes.queue_users import open_office


class Order(msgspec.Struct):
    number: int
    items: list[str] = []


@dataclasses.dataclass
class Parcel:
    weight: float


class Clerk(Actor):
    """Its queues take bodies of many types."""

    options = Options(no_sleep=True)
    state: int = 0

    orders = Queue[Order, int]()
    parcels = Queue[Parcel]()
    pairs = Queue[tuple[int, str]]()
    tickets = Queue[uuid.UUID]()
    spans = Queue[dt.timedelta]()
    anything = Queue[Any, Any]()

    @action
    def wake(self) -> None:
        """Be in memory from here on."""


async def test_ids_count_from_one() -> None:
    async with open_office() as office:
        ids = [await office.queue.send("jobs", str(n)) for n in range(3)]
        assert ids == [1, 2, 3]


async def test_all_queues_share_one_count() -> None:
    async with open_office() as office:
        first = await office.queue.send(office.actor.jobs, "a")
        second = await office.queue.send(office.actor.mails, {"a": 1})
        assert (first, second) == (1, 2)


async def test_a_message_says_what_it_is() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await office.queue.try_next()
        assert message is not None
        assert (message.name, message.body) == ("jobs", "a")
        assert message.created_at == office.clock.now_ms() / 1000


async def test_an_id_is_not_used_again_after_its_message_is_gone() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.queue.try_next()
        assert await office.queue.send("jobs", "b") == 2


async def test_an_id_is_not_used_again_in_the_next_life() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.queue.send("jobs", "b")
        await office.queue.try_next_batch(count=2)
        await office.sleep()
        await office.wake()
        assert await office.queue.send("jobs", "c") == 3


async def test_an_id_is_not_used_again_after_a_crash() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.queue.try_next()
        disk = office.store.disk
    async with open_office(disk=disk) as office:
        assert await office.queue.send("jobs", "b") == 2


async def test_send_returns_once_the_message_is_on_disk() -> None:
    async with open_office() as office:
        await office.queue.try_next()  # so that nothing but the commit takes time
        office.store.hold_commits()
        sending = asyncio.ensure_future(office.queue.send("jobs", "a"))
        await turns()
        assert not sending.done()
        office.store.release_commits()
        await sending
        assert office.stored_ids == [1]


async def test_the_state_before_a_message_is_in_its_commit() -> None:
    async with open_office() as office:
        office.actor.state = 7
        await office.queue.send("jobs", "a")
        assert office.store.commits[-1].states
        assert office.store.commits[-1].messages


async def test_messages_of_one_turn_share_a_commit() -> None:
    async with open_office() as office:
        await office.queue.try_next()
        await asyncio.gather(*(office.queue.send("jobs", str(n)) for n in range(5)))
        assert len(office.store.commits[-1].messages) == 5


BODIES: list[Any] = [
    None,
    2**70,
    -1.5,
    "é",
    b"\x00",
    {1, 2},
    {"a": [1, {"b": None}], "$": ["$Set", []]},
    {1: "one", b"x": 2},
    dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone(dt.timedelta(hours=2))),
]


@pytest.mark.parametrize("body", BODIES, ids=repr)
async def test_a_body_comes_back_as_it_went_in(body: Any) -> None:
    async with open_office(Clerk) as office:
        await office.queue.send("anything", body)
        message = await office.queue.try_next()
        assert message is not None
        assert is_same(body, message.body)


@pytest.mark.parametrize(
    ("queue", "body"),
    [
        (Clerk.orders, Order(1, ["a"])),
        (Clerk.parcels, Parcel(1.5)),
        (Clerk.pairs, (1, "a")),
        (Clerk.tickets, uuid.UUID(int=5)),
        (Clerk.spans, dt.timedelta(days=1, microseconds=3)),
    ],
    ids=lambda value: value.wire_name if isinstance(value, Queue) else repr(value),
)
async def test_a_body_comes_back_as_what_its_queue_declares(
    queue: Queue[Any, Any], body: Any
) -> None:
    async with open_office(Clerk) as office:
        await office.queue.send(queue, body)
        message = await office.queue.try_next(queue)
        assert message is not None
        assert is_same(body, message.body)


async def test_a_received_body_is_not_the_object_that_was_sent() -> None:
    async with open_office(Clerk) as office:
        order = Order(1, ["a"])
        await office.queue.send(Clerk.orders, order)
        order.items.append("b")
        message = await office.queue.try_next(Clerk.orders)
        assert message is not None
        assert message.body.items == ["a"]


@pytest.mark.parametrize("by_name", [True, False])
async def test_a_body_that_is_not_what_the_queue_declares_is_refused(by_name: bool) -> None:
    async with open_office() as office:
        with pytest.raises(ActorError, match="jobs") as caught:
            await office.queue.send("jobs" if by_name else office.actor.jobs, 5)
        assert caught.value.code == "validation_error"
        assert office.stored_ids == []


async def test_a_body_that_cannot_be_stored_is_refused() -> None:
    async with open_office() as office:
        with pytest.raises(ActorError, match="body") as caught:
            await office.queue.send("undeclared", object())
        assert caught.value.code == "output_not_serializable"


async def test_an_undeclared_queue_takes_messages() -> None:
    async with open_office() as office:
        await office.queue.send("undeclared", [1])
        message = await office.queue.try_next("undeclared")
        assert message is not None
        assert message.body == [1]


async def test_a_message_that_is_too_large_is_refused_with_its_size() -> None:
    async with open_office() as office:
        with pytest.raises(ActorError) as caught:
            await office.queue.send("jobs", "x" * 300)
        assert (caught.value.group, caught.value.code) == ("queue", "message_too_large")
        # name, CBOR head and text, timestamp
        assert caught.value.metadata == {"size": 4 + 3 + 300 + 8, "limit": 300}


async def test_a_message_as_large_as_the_limit_is_taken() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "x" * (300 - 4 - 3 - 8))
        assert office.stored_ids == [1]


async def fill(queue: Any, count: int = 8) -> None:
    for _ in range(count):
        await queue.send("jobs", "a")


async def test_a_full_queue_refuses() -> None:
    async with open_office() as office:
        await fill(office.queue)
        with pytest.raises(ActorError) as caught:
            await office.queue.send("mails", {"n": 1})
        assert (caught.value.code, caught.value.metadata) == ("full", {"limit": 8})


async def test_the_size_is_checked_before_the_count() -> None:
    async with open_office() as office:
        await fill(office.queue)
        with pytest.raises(ActorError) as caught:
            await office.queue.send("jobs", "x" * 300)
        assert caught.value.code == "message_too_large"


async def test_a_message_in_flight_counts() -> None:
    async with open_office() as office:
        await fill(office.queue)
        await office.queue.try_next(completable=True)
        with pytest.raises(ActorError) as caught:
            await office.queue.send("jobs", "a")
        assert caught.value.code == "full"


async def test_there_is_room_again_when_a_message_was_received() -> None:
    async with open_office() as office:
        await fill(office.queue)
        await office.queue.try_next()
        assert await office.queue.send("jobs", "a") == 9


async def test_there_is_room_again_when_a_message_was_completed() -> None:
    async with open_office() as office:
        await fill(office.queue)
        message = await office.queue.try_next(completable=True)
        assert message is not None
        await message.complete()
        assert await office.queue.send("jobs", "a") == 9


async def test_what_was_stored_before_counts() -> None:
    async with open_office() as office:
        await fill(office.queue)
        disk = office.store.disk
    async with open_office(disk=disk) as office:
        with pytest.raises(ActorError) as caught:
            await office.queue.send("jobs", "a")
        assert caught.value.code == "full"
