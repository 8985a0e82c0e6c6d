"""Messages that stay until they are completed (semantics page, section 7.4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import ActorError
from stator.runtime.queues import QueueMessage
from tests.fakes.engine_in_process import turns
from tests.fakes.queue_users import Desk, Invocation, Office, called_by, open_office

Message = QueueMessage[Any, Any]


async def take(office: Office, **options: Any) -> Message:
    message = await office.queue.try_next(completable=True, **options)
    assert message is not None
    return message


async def fails_with(code: str, work: Any) -> ActorError:
    with pytest.raises(ActorError) as caught:
        await work
    assert f"{caught.value.group}.{caught.value.code}" == code
    return caught.value


async def test_a_message_stays_on_disk_until_it_is_completed() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await take(office)
        assert office.stored_ids == [1]
        await message.complete(5)
        assert office.stored_ids == []


async def test_nobody_else_receives_a_message_in_flight() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await take(office)
        assert await office.queue.try_next(completable=True) is None
        assert await office.queue.try_next() is None


async def test_nobody_sees_a_message_before_its_own_commit() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "old")
        office.store.hold_commits()
        sending = [asyncio.ensure_future(office.queue.send("jobs", "in the commit under way"))]
        await turns()
        sending.append(asyncio.ensure_future(office.queue.send("jobs", "in the next")))
        await turns()
        assert (await take(office)).body == "old"
        receiving = asyncio.ensure_future(office.queue.next(completable=True))
        await turns()
        assert not receiving.done()
        office.store.release_commits()
        await asyncio.gather(receiving, *sending)


async def test_complete_returns_once_that_is_on_disk() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await take(office)
        office.store.hold_commits()
        completing = asyncio.ensure_future(message.complete(1))
        await turns()
        assert not completing.done()
        office.store.release_commits()
        await completing


async def test_completion_and_the_state_before_it_are_one_commit() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await take(office)
        office.actor.state = 9
        await message.complete(1)
        commit = office.store.commits[-1]
        assert commit.states
        assert commit.removals


async def test_a_message_is_completed_once() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await take(office)
        await message.complete(1)
        await fails_with("queue.already_completed", message.complete(1))


async def test_a_message_is_completed_once_at_a_time() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await take(office)
        first = asyncio.ensure_future(message.complete(1))
        await turns(1)
        await fails_with("queue.already_completed", message.complete(2))
        await first


async def test_a_completion_that_was_cut_off_has_happened() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await take(office)
        office.store.hold_commits()
        completing = asyncio.ensure_future(message.complete(1))
        await turns()
        completing.cancel()
        office.store.release_commits()
        await office.cell.wait_committed()
        assert office.stored_ids == []
        await fails_with("queue.already_completed", message.complete(1))


async def test_a_plainly_received_message_cannot_be_completed() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await office.queue.next()
        assert message is not None
        await fails_with("queue.complete_not_configured", message.complete(1))


async def test_a_reply_that_is_not_what_the_queue_declares_is_refused() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await take(office)
        error = await fails_with("queue.invalid_completion_payload", message.complete("five"))
        assert "jobs" in error.message
        assert office.stored_ids == [1]


async def test_a_refused_reply_may_be_mended() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await take(office)
        await fails_with("queue.invalid_completion_payload", message.complete("five"))
        await message.complete(5)
        assert office.stored_ids == []


async def test_a_queue_without_replies_refuses_one() -> None:
    async with open_office() as office:
        await office.queue.send("mails", {"n": 1})
        message = await take(office)
        await fails_with("queue.invalid_completion_payload", message.complete(1))


async def test_a_message_may_be_completed_without_a_reply() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await (await take(office)).complete()
        assert office.stored_ids == []


async def test_an_undeclared_queue_takes_any_reply() -> None:
    async with open_office() as office:
        await office.queue.send("undeclared", "a")
        message = await office.queue.try_next("undeclared", completable=True)
        assert message is not None
        await message.complete({"any": "thing"})


async def test_a_state_that_cannot_be_stored_fails_the_completion_before_it_happens() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await take(office)
        office.actor.state = object()
        await fails_with("actor.state_not_serializable", message.complete(1))
        await message.complete(1)
        assert office.stored_ids == []


# -- invocations


@pytest.mark.parametrize("completable", [True, False])
async def test_an_invocation_completes_a_message_before_it_receives_another(
    completable: bool,
) -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.queue.send("jobs", "b")
        with called_by(Invocation(office.actor)):
            message = await take(office)
            receive = office.queue.next(completable=completable)
            await fails_with("queue.previous_message_not_completed", receive)
            await message.complete(1)
            assert (await take(office)).id == 2


async def test_an_invocation_completes_every_message_of_a_batch() -> None:
    async with open_office() as office:
        for body in "abc":
            await office.queue.send("jobs", body)
        with called_by(Invocation(office.actor)):
            first, second = await office.queue.next_batch(count=2, completable=True)
            await second.complete(1)
            await fails_with("queue.previous_message_not_completed", office.queue.try_next())
            await first.complete(1)
            assert (await take(office)).id == 3


async def test_iteration_wants_each_message_completed() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.queue.send("jobs", "b")
        with called_by(Invocation(office.actor)):
            messages = office.queue.iter(Desk.jobs, completable=True)
            assert (await anext(messages)).id == 1
            await fails_with("queue.previous_message_not_completed", anext(messages))


async def test_two_invocations_have_a_message_each() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.queue.send("jobs", "b")
        with called_by(Invocation(office.actor)):
            first = await take(office)
        with called_by(Invocation(office.actor)):
            second = await take(office)
        assert (first.id, second.id) == (1, 2)


async def test_a_message_is_available_again_when_its_action_ends() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        assert await office.local.call("desk", "take", True) == 1
        assert await office.local.call("desk", "take", True) == 1


async def test_a_message_goes_back_to_its_old_place() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.queue.send("jobs", "b")
        await office.local.call("desk", "take", True)
        received = await office.queue.next_batch(count=2)
        assert [message.id for message in received] == [1, 2]


async def test_a_message_that_is_available_again_goes_to_who_waits() -> None:
    async with open_office() as office:
        caller = Invocation(office.actor)
        await office.queue.send("jobs", "a")
        with called_by(caller):
            await take(office)
        receiving = asyncio.ensure_future(office.queue.next())
        await turns()
        assert office.cell.queues is not None
        office.cell.queues.release(caller)
        message = await receiving
        assert message is not None
        assert message.id == 1


async def test_work_that_outlives_its_action_may_still_complete_its_message() -> None:
    async with open_office() as office:
        caller = Invocation(office.actor)
        await office.queue.send("jobs", "a")
        with called_by(caller):
            message = await take(office)
        assert office.cell.queues is not None
        office.cell.queues.release(caller)
        await message.complete(1)
        assert office.stored_ids == []
        assert await office.queue.try_next() is None


async def test_of_two_that_have_a_message_the_first_completes_it() -> None:
    async with open_office() as office:
        caller = Invocation(office.actor)
        await office.queue.send("jobs", "a")
        with called_by(caller):
            first = await take(office)
        assert office.cell.queues is not None
        office.cell.queues.release(caller)
        with called_by(Invocation(office.actor)):
            second = await take(office)
            await first.complete(1)
            await fails_with("queue.already_completed", second.complete(1))
            await office.queue.send("jobs", "b")
            assert (await take(office)).id == 2


# -- enqueue_and_wait


async def test_who_enqueues_and_waits_gets_the_reply() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait(Desk.jobs, "a"))
        await turns()
        await (await take(office)).complete(5)
        assert await waiting == 5


async def test_who_waits_goes_on_once_the_completion_is_on_disk() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait(Desk.jobs, "a"))
        await turns()
        message = await take(office)
        office.store.hold_commits()
        completing = asyncio.ensure_future(message.complete(5))
        await turns()
        assert not waiting.done()
        office.store.release_commits()
        await asyncio.gather(completing, waiting)


async def test_who_enqueues_and_waits_gets_none_without_a_reply() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait("jobs", "a"))
        await turns()
        await (await take(office)).complete()
        assert await waiting is None


async def test_a_reply_is_not_the_object_the_message_was_completed_with() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait("undeclared", "a"))
        await turns()
        message = await office.queue.try_next("undeclared", completable=True)
        assert message is not None
        reply = ["x"]
        await message.complete(reply)
        assert (await waiting) is not reply


async def test_a_reply_that_cannot_be_sent_is_refused_and_may_be_mended() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait("undeclared", "a"))
        await turns()
        message = await office.queue.try_next("undeclared", completable=True)
        assert message is not None
        await fails_with("queue.invalid_completion_payload", message.complete(object()))
        await message.complete("ok")
        assert await waiting == "ok"


async def test_to_enqueue_and_wait_fails_after_its_timeout() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait("jobs", "a", timeout=2))
        await turns()
        await office.pass_time(2)
        await fails_with("queue.timed_out", waiting)
        assert office.stored_ids == [1]


async def test_a_message_whose_sender_gave_up_can_be_completed() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait("jobs", "a", timeout=2))
        await turns()
        await office.pass_time(2)
        await fails_with("queue.timed_out", waiting)
        await (await take(office)).complete(1)


async def test_a_plainly_received_message_answers_nobody() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait("jobs", "a", timeout=2))
        await turns()
        assert await office.queue.next() is not None
        await office.pass_time(2)
        await fails_with("queue.timed_out", waiting)


async def test_a_negative_timeout_sends_nothing() -> None:
    async with open_office() as office:
        work = office.queue.enqueue_and_wait("jobs", "a", timeout=-1)
        await fails_with("validation.invalid_input", work)
        assert office.stored_ids == []
