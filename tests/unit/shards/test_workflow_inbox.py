"""The queues of an actor as its workflow receives from them (workflow page, 16.2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import Actor, ActorError, Options, action
from stator.runtime.storage import MessageRow
from stator.shards.queues.workflow_inbox import WorkflowInbox
from tests.fakes.engine_in_process import turns
from tests.fakes.inbox_users import JOBS, inbox_of, left, waiting
from tests.fakes.queue_users import Desk, open_office

BOTH = pytest.mark.parametrize("ack", [True, False])


class Loose(Actor):
    """Declares no queue."""

    options = Options(no_sleep=True)

    @action
    def wake(self) -> None:
        """Be in memory from here on."""


def ids(rows: list[MessageRow]) -> list[int]:
    return [row.id for row in rows]


async def cut_off(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# -- taking


@BOTH
async def test_it_takes_the_oldest_up_to_a_count(ack: bool) -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a", "b", "c")
        assert ids(inbox.take(JOBS, 2, ack=ack)) == [1, 2]


async def test_it_takes_from_the_queues_it_names() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        await office.queue.send("mails", {"n": 1})
        assert ids(inbox.take(("mails",), 5, ack=False)) == [2]


async def test_it_takes_nothing_where_nothing_is() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        assert inbox.take(None, 5, ack=False) == []


@BOTH
async def test_what_it_took_is_on_disk_and_for_nobody_else(ack: bool) -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        inbox.take(JOBS, 1, ack=ack)
        assert await left(office) == []
        assert office.stored_ids == [1]


@BOTH
async def test_what_it_took_is_there_again_after_a_crash(ack: bool) -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        inbox.take(JOBS, 1, ack=ack)
        disk = office.store.disk
    async with open_office(disk=disk) as office:
        assert await left(office) == [1]


@BOTH
async def test_what_it_puts_back_is_in_its_old_place(ack: bool) -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a", "b", "c")
        rows = inbox.take(JOBS, 2, ack=ack)
        inbox.put_back(rows)
        assert await left(office) == [1, 2, 3]


async def test_what_it_puts_back_goes_to_who_waits() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        rows = inbox.take(JOBS, 1, ack=True)
        receiving = asyncio.create_task(office.queue.next())
        await turns()
        inbox.put_back(rows)
        message = await receiving
        assert message is not None
        assert message.id == 1


async def test_what_is_not_in_flight_any_more_is_not_put_back() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a", "b")
        rows = inbox.take(JOBS, 2, ack=False)
        inbox.remove(rows[:1])
        inbox.put_back(rows)
        assert await left(office) == [2]


async def test_what_another_took_meanwhile_is_not_put_back() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        rows = inbox.take(JOBS, 1, ack=True)
        inbox.put_back(rows)
        await office.queue.try_next(completable=True)
        inbox.put_back(rows)
        assert await left(office) == []


async def test_a_workflow_may_take_again_before_it_completed() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a", "b")
        assert ids(inbox.take(JOBS, 1, ack=True)) == [1]
        assert ids(inbox.take(JOBS, 1, ack=True)) == [2]


async def test_a_message_is_taken_before_its_own_commit() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        office.store.hold_commits()
        sending = asyncio.create_task(office.queue.send("jobs", "a"))
        await turns()
        assert ids(inbox.take(JOBS, 1, ack=True)) == [1]
        office.store.release_commits()
        await sending


# -- waiting


@BOTH
async def test_to_wait_for_what_is_there_takes_it_at_once(ack: bool) -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a", "b")
        assert ids(await inbox.wait(JOBS, 5, ack=ack)) == [1, 2]


@BOTH
async def test_it_waits_until_there_is_something(ack: bool) -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        task = await waiting(inbox, ack=ack)
        assert not task.done()
        await office.queue.send("jobs", "a")
        assert ids(await task) == [1]


async def test_who_came_first_is_served_first() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        first = asyncio.create_task(office.queue.next())
        await turns()
        second = await waiting(inbox)
        third = asyncio.create_task(office.queue.next())
        await turns()
        for body in "abc":
            await office.queue.send("jobs", body)
        messages = await asyncio.gather(first, third)
        assert [message and message.id for message in messages] == [1, 3]
        assert ids(await second) == [2]


@BOTH
async def test_what_a_wait_was_given_when_it_was_cut_off_goes_back(ack: bool) -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        task = await waiting(inbox, 2, ack=ack)
        sending = asyncio.create_task(office.queue.send("jobs", "a"))
        await turns(1)  # the message was stored and handed over; who waits did not go on yet
        await cut_off(task)
        await sending
        assert await left(office) == [1]


async def test_a_wait_that_is_being_cut_off_is_given_nothing() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        task = await waiting(inbox)
        task.cancel()
        await office.publish("a")
        assert task.cancelled()
        assert await left(office) == [1]


async def test_a_wait_leaves_the_account_of_the_actors_rest_alone() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        task = await waiting(inbox)
        assert office.cell.parked == 0
        await cut_off(task)
        assert office.cell.parked == 0


async def test_a_stop_ends_no_wait() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        task = await waiting(inbox)
        office.cell.abort()
        await turns()
        assert not task.done()
        await cut_off(task)


async def test_a_message_that_comes_while_the_actor_stops_is_not_lost() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        task = await waiting(inbox)
        office.cell.abort()
        sending = asyncio.create_task(office.queue.send("jobs", "a"))
        await turns(1)
        await cut_off(task)
        await sending
        assert await left(office) == [1]


async def test_a_lost_storage_ends_no_wait() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        task = await waiting(inbox)
        office.store.fail_next_commit()
        with pytest.raises(ActorError):
            await office.queue.send("mails", {"n": 1})
        await turns()
        assert not task.done()
        await cut_off(task)


# -- holding what an earlier generation took


async def test_what_is_held_is_for_nobody_else() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a", "b")
        assert inbox.hold([2]) == {2}
        assert await left(office) == [1]


async def test_what_is_not_there_any_more_is_not_held() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a", "b")
        await office.queue.next()
        assert inbox.hold([1, 2, 7]) == {2}


async def test_what_another_has_is_not_held() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        await office.queue.next(completable=True)
        assert inbox.hold([1]) == set()


async def test_what_is_held_before_the_queues_are_loaded_is_taken_by_nobody() -> None:
    async with open_office() as office:
        await inbox_of(office, "a", "b")
        disk = office.store.disk
    async with open_office(disk=disk) as office:
        receiving = asyncio.create_task(office.queue.next())  # asks first for what is stored
        await turns(1)
        inbox = WorkflowInbox(office.cell)
        inbox.hold([1, 9])
        message = await receiving
        assert message is not None
        assert message.id == 2
        await inbox.load()
        assert await left(office) == []


async def test_what_is_held_may_be_completed() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        (row,) = inbox.take(JOBS, 1, ack=True)
        disk = office.store.disk
    async with open_office(disk=disk) as office:
        inbox = await inbox_of(office)
        inbox.hold([1])
        inbox.complete(row, 7)
        await office.cell.wait_committed()
        assert office.stored_ids == []


async def test_what_is_held_may_be_put_back() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a", "b")
        row = MessageRow(1, "jobs", b"", 0)
        inbox.hold([1])
        inbox.put_back([row])
        assert await left(office) == [1, 2]


# -- what a message is


async def test_without_names_it_wants_what_is_declared() -> None:
    async with open_office() as office:
        inbox = WorkflowInbox(office.cell)
        assert inbox.names_of(()) == ("jobs", "mails")
        assert inbox.names_of((Desk.mails, "other", "mails")) == ("mails", "other")


async def test_an_actor_that_declares_no_queue_wants_all() -> None:
    async with open_office(Loose) as office:
        assert WorkflowInbox(office.cell).names_of(()) is None


async def test_a_body_is_what_its_queue_declares() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        (row,) = inbox.take(JOBS, 1, ack=False)
        assert inbox.read_body(row) == "a"


async def test_a_body_that_is_not_what_its_queue_declares_is_an_error() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        (row,) = inbox.take(JOBS, 1, ack=False)
        mail = MessageRow(row.id, "mails", row.body, row.created_ms)
        with pytest.raises(ActorError) as caught:
            inbox.read_body(mail)
        assert caught.value.code == "validation_error"
