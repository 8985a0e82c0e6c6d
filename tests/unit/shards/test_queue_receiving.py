"""Receiving from queues: order, waiting, time limits (semantics page, sections 7.1 and 7.3)."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections.abc import Sequence
from typing import Any, assert_type

import pytest

from stator import Actor, ActorError, Options, Queue, action
from stator.runtime.queues import QueueMessage
from tests.fakes.engine_in_process import turns
from tests.fakes.queue_users import Desk, Office, open_office


class Loose(Actor):
    """Declares no queue."""

    options = Options(no_sleep=True)

    @action
    def wake(self) -> None:
        """Be in memory from here on."""


class Changed(Desk):
    """What ``Desk`` is after its jobs became numbers."""

    jobs = Queue[int, int]()  # type: ignore[assignment]


async def send(office: Office, *bodies: str) -> None:
    for body in bodies:
        await office.queue.send("jobs", body)


def bodies(messages: Sequence[QueueMessage[Any, Any]]) -> list[Any]:
    return [message.body for message in messages]


async def test_the_oldest_message_comes_first() -> None:
    async with open_office() as office:
        await send(office, "a", "b")
        received = [await office.queue.next(), await office.queue.next()]
        assert [message and message.body for message in received] == ["a", "b"]


async def test_all_declared_queues_are_one_line() -> None:
    async with open_office() as office:
        await send(office, "a")
        await office.queue.send("mails", {"n": 1})
        await send(office, "b")
        assert bodies(await office.queue.next_batch(count=9)) == ["a", {"n": 1}, "b"]


async def test_a_receive_that_names_a_queue_leaves_the_others() -> None:
    async with open_office() as office:
        await send(office, "a")
        await office.queue.send("mails", {"n": 1})
        assert bodies(await office.queue.next_batch(office.actor.mails, count=9)) == [{"n": 1}]
        assert office.stored_ids == [1]


async def test_named_queues_are_one_line() -> None:
    async with open_office() as office:
        await office.queue.send("c", 1)
        await office.queue.send("a", 2)
        await office.queue.send("b", 3)
        await office.queue.send("a", 4)
        assert bodies(await office.queue.next_batch("a", "b", "a", count=9)) == [2, 3, 4]


async def test_a_receive_without_names_leaves_undeclared_queues() -> None:
    async with open_office() as office:
        await office.queue.send("undeclared", 1)
        assert await office.queue.try_next() is None


async def test_an_actor_without_declared_queues_receives_from_all() -> None:
    async with open_office(Loose) as office:
        await office.queue.send("whatever", 1)
        assert bodies(await office.queue.try_next_batch()) == [1]


async def test_a_received_message_is_gone_from_disk_when_the_receive_returns() -> None:
    async with open_office() as office:
        await send(office, "a")
        office.store.hold_commits()
        receiving = asyncio.ensure_future(office.queue.next())
        await turns()
        assert not receiving.done()
        office.store.release_commits()
        await receiving
        assert office.stored_ids == []


async def test_the_state_before_a_receive_is_in_its_commit() -> None:
    async with open_office() as office:
        await send(office, "a")
        office.actor.state = 5
        await office.queue.next()
        assert office.store.commits[-1].states
        assert office.store.commits[-1].removals


async def test_a_batch_takes_no_more_than_it_wants() -> None:
    async with open_office() as office:
        await send(office, "a", "b", "c")
        assert bodies(await office.queue.next_batch(count=2)) == ["a", "b"]


@pytest.mark.parametrize("count", [0, -3])
async def test_a_batch_of_less_than_one_is_one(count: int) -> None:
    async with open_office() as office:
        await send(office, "a", "b")
        assert bodies(await office.queue.next_batch(count=count)) == ["a"]


async def test_a_batch_does_not_wait_until_it_is_full() -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next_batch(count=5))
        await turns()
        await send(office, "a")
        assert bodies(await receiving) == ["a"]


async def test_to_try_does_not_wait() -> None:
    async with open_office() as office:
        assert await office.queue.try_next() is None
        assert await office.queue.try_next_batch(count=3) == []


async def test_a_receive_waits_for_a_message() -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next())
        await turns()
        assert not receiving.done()
        await send(office, "a")
        message = await receiving
        assert message is not None
        assert message.body == "a"


async def test_a_receive_goes_on_waiting_when_another_queue_gets_a_message() -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next("mails"))
        await turns()
        await send(office, "a")
        await turns()
        assert not receiving.done()
        receiving.cancel()


async def test_receives_are_served_in_the_order_in_which_they_began() -> None:
    async with open_office() as office:
        receiving = [asyncio.ensure_future(office.queue.next()) for _ in range(3)]
        await turns()
        await send(office, "a", "b", "c")
        received = await asyncio.gather(*receiving)
        assert [message and message.body for message in received] == ["a", "b", "c"]


async def test_each_message_goes_to_one_receive() -> None:
    async with open_office() as office:
        receiving = [asyncio.ensure_future(office.queue.next(timeout=1)) for _ in range(2)]
        await turns()
        await send(office, "a")
        await turns()
        await office.pass_time(1)
        received = await asyncio.gather(*receiving)
        assert [message and message.body for message in received] == ["a", None]


@pytest.mark.parametrize("limit", [2, 2.0, dt.timedelta(seconds=2)], ids=repr)
async def test_a_receive_gives_up_after_its_timeout(limit: float | dt.timedelta) -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next(timeout=limit))
        await turns()
        await office.pass_time(1.9)
        assert not receiving.done()
        await office.pass_time(0.1)
        assert await receiving is None


async def test_a_batch_gives_up_with_an_empty_list() -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next_batch(count=3, timeout=1))
        await turns()
        await office.pass_time(1)
        assert await receiving == []


async def test_a_timeout_of_nothing_waits_for_nothing() -> None:
    async with open_office() as office:
        assert await office.queue.next(timeout=0) is None


async def test_a_message_after_the_timeout_is_for_the_next_receive() -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next(timeout=1))
        await turns()
        await office.pass_time(1)
        await send(office, "a")
        assert await receiving is None
        assert bodies(await office.queue.try_next_batch()) == ["a"]


async def test_an_infinite_timeout_is_none() -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next(timeout=math.inf))
        await turns()
        await send(office, "a")
        assert await receiving is not None


@pytest.mark.parametrize("limit", [-1, -0.001, math.nan, dt.timedelta(seconds=-1)], ids=repr)
async def test_a_negative_timeout_is_an_error(limit: float | dt.timedelta) -> None:
    async with open_office() as office:
        await send(office, "a")
        with pytest.raises(ActorError) as caught:
            await office.queue.next(timeout=limit)
        assert (caught.value.group, caught.value.code) == ("validation", "invalid_input")
        assert office.stored_ids == [1]


async def test_iteration_receives_one_message_after_the_other() -> None:
    async with open_office() as office:
        await send(office, "a", "b")
        seen: list[str] = []
        async for message in office.queue.iter(office.actor.jobs):
            seen.append(message.body)
            if len(seen) == 1:
                assert office.stored_ids == [2]
            else:
                break
        assert seen == ["a", "b"]


async def test_to_wait_for_names_receives_nothing() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.wait_for_names(["jobs", office.actor.mails]))
        await turns()
        assert not waiting.done()
        await send(office, "a")
        await waiting
        assert office.stored_ids == [1]


async def test_to_wait_for_names_returns_at_once_when_a_message_is_there() -> None:
    async with open_office() as office:
        await send(office, "a")
        await office.queue.wait_for_names([Desk.jobs], timeout=0)


async def test_a_single_name_is_a_name() -> None:
    async with open_office() as office:
        await send(office, "a")
        await office.queue.wait_for_names("jobs", timeout=0)


async def test_to_wait_for_names_fails_after_its_timeout() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.wait_for_names(["mails"], timeout=1))
        await turns()
        await send(office, "a")
        await office.pass_time(1)
        with pytest.raises(ActorError) as caught:
            await waiting
        assert (caught.value.group, caught.value.code) == ("queue", "timed_out")


async def test_who_waits_for_names_and_who_receives_can_both_go_on() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.wait_for_names([]))
        await turns()
        receiving = asyncio.ensure_future(office.queue.next())
        await turns()
        await send(office, "a")
        await waiting
        assert await receiving is not None


async def test_a_stored_body_that_no_longer_fits_raises_in_the_receiver() -> None:
    async with open_office() as office:
        await send(office, "a")
        disk = office.store.disk
    async with open_office(Changed, disk=disk) as office:
        with pytest.raises(ActorError, match="message 1 of queue 'jobs'") as caught:
            await office.queue.next()
        assert caught.value.code == "validation_error"


async def test_what_no_longer_fits_does_not_stand_in_the_way() -> None:
    async with open_office() as office:
        await send(office, "a")
        disk = office.store.disk
    async with open_office(Changed, disk=disk) as office:
        await office.queue.send("jobs", 2)
        with pytest.raises(ActorError):
            await office.queue.next()
        assert bodies(await office.queue.try_next_batch()) == [2]


async def test_what_no_longer_fits_stays_if_it_was_to_be_completed() -> None:
    async with open_office() as office:
        await send(office, "a")
        disk = office.store.disk
    async with open_office(Changed, disk=disk) as office:
        for _ in range(2):
            with pytest.raises(ActorError):
                await office.queue.next(completable=True)
        assert office.stored_ids == [1]


@pytest.mark.parametrize("completable", [True, False])
async def test_a_batch_ends_before_what_no_longer_fits(completable: bool) -> None:
    async with open_office() as office:
        await office.queue.send("mails", {"n": 1})
        await send(office, "a")
        await office.queue.send("mails", {"n": 2})
        disk = office.store.disk
    async with open_office(Changed, disk=disk) as office:
        received = await office.queue.next_batch(count=3, completable=completable)
        assert bodies(received) == [{"n": 1}]
        with pytest.raises(ActorError, match="message 2"):
            await office.queue.next_batch(count=3, completable=completable)


async def test_messages_are_typed_as_their_queue_declares() -> None:
    async with open_office() as office:
        queue = office.queue
        assert_type(await queue.try_next(Desk.jobs), QueueMessage[str, int] | None)
        assert_type(await queue.try_next(Desk.mails), QueueMessage[dict[str, int], None] | None)
        assert_type(await queue.next(Desk.jobs, timeout=0), QueueMessage[str, int] | None)
        assert_type(await queue.next_batch(Desk.jobs, timeout=0), list[QueueMessage[str, int]])
        assert_type(await queue.try_next(), QueueMessage[Any, Any] | None)
        assert_type(await queue.try_next("jobs"), QueueMessage[Any, Any] | None)
        assert_type(await queue.try_next(Desk.jobs, "x"), QueueMessage[Any, Any] | None)
