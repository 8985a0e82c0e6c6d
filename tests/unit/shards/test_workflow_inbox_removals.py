"""What becomes of the messages that a workflow took (workflow page, 16.2)."""

from __future__ import annotations

import asyncio

import pytest

from stator import ActorError
from stator.runtime.protocol.queue import QueueSendResponse
from stator.shards.queues.workflow_inbox import WorkflowInbox
from tests.fakes.engine_in_process import turns
from tests.fakes.inbox_users import JOBS, inbox_of, left, waiting
from tests.fakes.queue_users import Desk, answer_to, open_office

SEEN: list[int] = []


class Told(Desk):
    """Hears of every change of its state."""

    def on_state_change(self, state: int) -> None:
        SEEN.append(state)


# -- removing


async def test_a_removal_is_in_the_commit_of_the_turn() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        rows = inbox.take(JOBS, 1, ack=False)
        count = len(office.store.commits)
        office.actor.state = 5
        inbox.remove(rows)
        await office.cell.wait_committed()
        (commit,) = office.store.commits[count:]
        assert commit.removals
        assert commit.states
        assert office.stored_ids == []


async def test_ids_go_on_after_a_removal_and_a_crash() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        inbox.remove(inbox.take(JOBS, 1, ack=False))
        await office.cell.wait_committed()
        disk = office.store.disk
    async with open_office(disk=disk) as office:
        assert await office.queue.send("jobs", "b") == 2


async def test_a_message_may_be_removed_in_the_commit_that_stores_it() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        office.store.hold_commits()
        office.actor.state += 1
        saving = asyncio.create_task(office.actor.save_state())
        task = await waiting(inbox)
        sending = asyncio.create_task(office.queue.send("jobs", "a"))
        inbox.remove(await task)  # both are in the batch behind the commit under way
        office.store.release_commits()
        await asyncio.gather(saving, sending)
        assert office.store.commits[-1].removals
        assert office.stored_ids == []


async def test_nothing_is_removed_with_a_state_that_cannot_be_stored() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        rows = inbox.take(JOBS, 1, ack=False)
        office.actor.state = object()
        with pytest.raises(ActorError) as caught:
            inbox.remove(rows)
        assert caught.value.code == "state_not_serializable"
        inbox.put_back(rows)
        assert await left(office) == [1]


async def test_what_was_taken_counts_until_it_is_removed() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, *"abcdefgh")
        rows = inbox.take(JOBS, 8, ack=False)
        with pytest.raises(ActorError) as caught:
            await office.queue.send("jobs", "i")
        assert caught.value.code == "full"
        inbox.remove(rows)
        assert await office.queue.send("jobs", "i") == 9


async def test_a_past_life_removes_nothing() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        rows = inbox.take(JOBS, 1, ack=False)
        await office.sleep()
        await office.wake()
        with pytest.raises(ActorError) as caught:
            inbox.remove(rows)
        assert (caught.value.group, caught.value.code) == ("storage", "unavailable")
        assert await left(office) == [1]


# -- completing


async def test_a_completion_answers_the_client_behind_its_commit() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        reply = office.publish("a", wait=True)
        await turns()
        (row,) = inbox.take(JOBS, 1, ack=True)
        office.store.hold_commits()
        inbox.complete(row, 7)
        await turns()
        assert not reply.done()
        office.store.release_commits()
        assert answer_to(await reply) == QueueSendResponse("completed", 7)
        assert office.stored_ids == []


async def test_a_completion_answers_code_that_waits() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        asking = asyncio.create_task(office.queue.enqueue_and_wait(Desk.jobs, "a"))
        await turns()
        (row,) = inbox.take(JOBS, 1, ack=True)
        inbox.complete(row, 7)
        assert await asking == 7


async def test_a_reply_that_is_not_what_is_declared_changes_nothing() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        (row,) = inbox.take(JOBS, 1, ack=True)
        count = len(office.store.commits)
        office.actor.state = 5
        with pytest.raises(ActorError) as caught:
            inbox.complete(row, "no number")
        await turns()
        assert (caught.value.group, caught.value.code) == ("queue", "invalid_completion_payload")
        assert len(office.store.commits) == count
        inbox.complete(row, 7)


async def test_a_message_is_completed_once() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office, "a")
        (row,) = inbox.take(JOBS, 1, ack=True)
        inbox.complete(row, 7)
        with pytest.raises(ActorError) as caught:
            inbox.complete(row, 7)
        assert caught.value.code == "already_completed"


async def test_the_actor_is_not_told_of_its_state_between_completion_and_history() -> None:
    SEEN.clear()
    async with open_office(Told) as office:
        inbox = await inbox_of(office, "a")
        (row,) = inbox.take(JOBS, 1, ack=True)
        office.actor.state = 5
        inbox.complete(row, 7)
        assert SEEN == []
        office.cell.shard.tell(office.cell)
        assert SEEN == [5]


async def test_a_client_that_waited_over_a_sleep_is_answered_by_the_next_life() -> None:
    async with open_office() as office:
        inbox = await inbox_of(office)
        reply = office.publish("a", wait=True)
        await turns()
        (row,) = inbox.take(JOBS, 1, ack=True)
        office.cell.sleep()
        await turns(50)
        assert office.cell.generation == 2
        inbox = WorkflowInbox(office.cell)
        inbox.hold([row.id])
        await inbox.load()
        inbox.complete(row, 7)
        assert answer_to(await reply) == QueueSendResponse("completed", 7)
