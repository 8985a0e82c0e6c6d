"""A receive that is cut off loses no message (python-api, section 5)."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.engine_in_process import turns
from tests.fakes.queue_users import Invocation, Office, called_by, open_office

BOTH = pytest.mark.parametrize("completable", [True, False])


async def ids(office: Office) -> list[int]:
    return [message.id for message in await office.queue.try_next_batch(count=9)]


async def cut_off(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@BOTH
async def test_a_receive_that_waits_can_be_cut_off(completable: bool) -> None:
    async with open_office() as office:
        receiving = asyncio.create_task(office.queue.next(completable=completable))
        await turns()
        await cut_off(receiving)
        await office.queue.send("jobs", "a")
        assert await ids(office) == [1]


@BOTH
async def test_a_time_limit_of_asyncio_ends_a_wait(completable: bool) -> None:
    async with open_office() as office:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await office.queue.next(completable=completable)
        await office.queue.send("jobs", "a")
        assert await ids(office) == [1]


@BOTH
async def test_what_it_was_given_in_the_same_turn_goes_back_to_its_place(
    completable: bool,
) -> None:
    async with open_office() as office:
        receiving = asyncio.create_task(office.queue.next_batch(count=2, completable=completable))
        await turns()
        sending = asyncio.create_task(office.queue.send("jobs", "a"))
        await turns(1)  # the message was stored and handed over; the receiver did not go on yet
        await cut_off(receiving)
        await sending
        await office.queue.send("jobs", "b")
        assert await ids(office) == [1, 2]


@BOTH
async def test_what_it_was_given_goes_to_the_receive_that_came_next(completable: bool) -> None:
    async with open_office() as office:
        first = asyncio.create_task(office.queue.next(completable=completable))
        await turns()
        second = asyncio.create_task(office.queue.next())
        await turns()
        sending = asyncio.create_task(office.queue.send("jobs", "a"))
        await turns(1)
        await cut_off(first)
        message = await second
        assert message is not None
        assert message.id == 1
        await sending


async def test_a_removal_that_waits_for_its_commit_is_undone() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.queue.send("jobs", "b")
        office.store.hold_commits()
        receiving = asyncio.create_task(office.queue.next())
        await turns()
        assert office.store.is_committing
        await cut_off(receiving)
        office.store.release_commits()
        await office.cell.wait_committed()
        assert office.stored_ids == [1, 2]
        assert await ids(office) == [1, 2]


async def test_a_removal_whose_commit_has_not_begun_is_undone() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        office.store.hold_commits()
        office.actor.state += 1
        saving = asyncio.create_task(office.actor.save_state())
        await turns()
        receiving = asyncio.create_task(office.queue.next())  # its batch waits behind that commit
        await turns()
        await cut_off(receiving)
        office.store.release_commits()
        await saving
        await office.cell.wait_committed()
        assert office.stored_ids == [1]
        assert await ids(office) == [1]


async def test_a_message_whose_row_is_not_written_yet_is_written_after_all() -> None:
    async with open_office() as office:
        await office.queue.try_next()
        office.store.hold_commits()
        office.actor.state += 1
        saving = asyncio.create_task(office.actor.save_state())
        receiving = asyncio.create_task(office.queue.next())
        await turns()
        sending = asyncio.create_task(office.queue.send("jobs", "a"))
        await turns()
        await cut_off(receiving)
        office.store.release_commits()
        await asyncio.gather(saving, sending)
        assert office.stored_ids == [1]


async def test_a_cut_off_receive_survives_a_crash() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        office.store.hold_commits()
        receiving = asyncio.create_task(office.queue.next())
        await turns()
        await cut_off(receiving)
        office.store.release_commits()
        await office.cell.wait_committed()
        disk = office.store.disk
    async with open_office(disk=disk) as office:
        assert await ids(office) == [1]


async def test_a_message_that_is_not_on_disk_yet_is_available_again() -> None:
    async with open_office() as office:
        await office.queue.try_next()
        office.store.hold_commits()
        receiving = asyncio.create_task(office.queue.next(completable=True))
        await turns()
        sending = asyncio.create_task(office.queue.send("jobs", "a"))
        await turns()
        assert not receiving.done(), "nobody sees a message before its own commit"
        await cut_off(receiving)
        office.store.release_commits()
        await sending
        assert await ids(office) == [1]


async def test_a_receive_that_is_being_cut_off_is_given_nothing() -> None:
    async with open_office() as office:
        receiving = asyncio.create_task(office.queue.next())
        await turns()
        receiving.cancel()
        publishing = office.publish("a")  # is stored within this turn
        await publishing
        assert receiving.cancelled()
        assert await ids(office) == [1]


async def test_who_was_cut_off_may_receive_again() -> None:
    async with open_office() as office:
        await office.queue.try_next()
        office.store.hold_commits()
        with called_by(Invocation(office.actor)):
            receiving = asyncio.create_task(office.queue.next(completable=True))
            await turns()
            sending = asyncio.create_task(office.queue.send("jobs", "a"))
            await turns()
            await cut_off(receiving)
            office.store.release_commits()
            await sending
            assert await office.queue.try_next(completable=True) is not None


async def test_a_receive_cut_off_while_the_queues_load_takes_nothing() -> None:
    async with open_office() as office:
        office.store.hold_look_ups()
        receiving = asyncio.create_task(office.queue.next())
        other = asyncio.create_task(office.queue.send("jobs", "a"))
        await turns()
        await cut_off(receiving)
        office.store.release_look_ups()
        await other
        assert await ids(office) == [1]
