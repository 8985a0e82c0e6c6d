"""Queues over the lives of an actor: loading, idleness, stops, crashes, failing commits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import Actor, ActorError, Options, Queue, action
from stator.runtime.storage import QueueRows
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.queue_users import Desk, Invocation, Office, called_by, open_office

SEEN: list[Any] = []


class Sleepy(Desk):
    options = Options(sleep_timeout=30.0)


class Loop(Sleepy):
    """Handles what comes until it stops."""

    async def run(self) -> None:
        async for message in self.queue.iter(self.jobs):
            SEEN.append(message.body)
        SEEN.append("ended")


class Last(Desk):
    """Uses its queues in its last hook."""

    async def on_sleep(self) -> None:
        await self.queue.send(self.jobs, "from on_sleep")
        try:
            await self.queue.next("mails")
        except ActorError as error:
            SEEN.append(error.code)


class Early(Actor):
    """Sends before it has been created."""

    options = Options(no_sleep=True)
    jobs = Queue[str]()

    async def create_state(self, given: object) -> int:
        await self.queue.send(self.jobs, "from create_state")
        return 0

    @action
    def wake(self) -> None:
        """Be in memory from here on."""


@pytest.fixture(autouse=True)
def forget_what_was_seen() -> None:
    SEEN.clear()


async def code_of(work: Any) -> str:
    with pytest.raises(ActorError) as caught:
        await work
    return f"{caught.value.group}.{caught.value.code}"


# -- loading


async def test_an_actor_that_uses_no_queue_has_none() -> None:
    async with open_office() as office:
        assert office.cell.queues is None


async def test_all_who_come_first_wait_for_one_load() -> None:
    async with open_office() as office:
        loads = 0
        load_queues = office.store.load_queues

        def count(pk: int) -> asyncio.Future[QueueRows]:
            nonlocal loads
            loads += 1
            return load_queues(pk)

        office.store.load_queues = count  # type: ignore[method-assign]
        await asyncio.gather(*(office.queue.send("jobs", "a") for _ in range(3)))
        assert loads == 1
        assert office.stored_ids == [1, 2, 3]


async def test_a_load_that_fails_is_tried_again_by_the_next() -> None:
    async with open_office() as office:
        load_queues = office.store.load_queues

        def fail(pk: int) -> asyncio.Future[QueueRows]:
            future: asyncio.Future[QueueRows] = asyncio.get_running_loop().create_future()
            future.set_exception(OSError(f"the rows of {pk} are gone"))
            return future

        office.store.load_queues = fail  # type: ignore[method-assign]
        assert await code_of(office.queue.send("jobs", "a")) == "storage.unavailable"
        office.store.load_queues = load_queues  # type: ignore[method-assign]
        assert await office.queue.send("jobs", "a") == 1


async def test_messages_wait_for_the_next_life() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.sleep()
        await office.wake()
        message = await office.queue.next()
        assert message is not None
        assert (message.id, message.body) == (1, "a")


async def test_a_stored_message_does_not_wake_its_actor() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.sleep()
        await office.pass_time(3600)
        assert not office.local.is_awake("desk")


async def test_queues_can_be_used_before_the_actor_has_been_created() -> None:
    async with open_office(Early) as office:
        message = await office.queue.next()
        assert message is not None
        assert message.body == "from create_state"


@pytest.mark.parametrize("how", ["crash", "sleep"])
async def test_a_message_that_was_not_completed_is_there_in_the_next_life(how: str) -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        await office.queue.next(completable=True)
        if how == "sleep":
            await office.sleep()
        disk = office.store.disk
    async with open_office(disk=disk) as office:
        message = await office.queue.next(completable=True)
        assert message is not None
        assert message.id == 1


async def test_a_completed_message_does_not_come_back_after_a_crash() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await office.queue.next(completable=True)
        assert message is not None
        await message.complete(1)
        disk = office.store.disk
    async with open_office(disk=disk) as office:
        assert await office.queue.try_next() is None


async def test_another_actor_of_the_same_key_has_queues_of_its_own() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        office.cell.destroy()
        await wait_until(lambda: not office.local.is_awake("desk"), "the actor is gone")
        await office.wake()
        assert await office.queue.try_next() is None
        assert await office.queue.send("jobs", "b") == 1


# -- idleness


async def test_a_loop_that_waits_for_a_message_lets_its_actor_sleep() -> None:
    async with open_office(Loop) as office:
        await turns()
        await office.pass_time(30)
        await wait_until(lambda: not office.local.is_awake("desk"), "the actor sleeps")
        assert SEEN == ["ended"]


async def test_an_actor_with_messages_may_sleep() -> None:
    async with open_office(Sleepy) as office:
        await office.queue.send("jobs", "a")
        await office.pass_time(30)
        await wait_until(lambda: not office.local.is_awake("desk"), "the actor sleeps")


@pytest.mark.parametrize("end", ["served", "timed out", "cancelled"])
async def test_a_receive_that_has_ended_waits_no_longer(end: str) -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next(timeout=5))
        await turns()
        assert office.cell.parked == 1
        if end == "served":
            await office.queue.send("jobs", "a")
        elif end == "timed out":
            await office.pass_time(5)
        else:
            receiving.cancel()
        await turns()
        assert office.cell.parked == 0


async def test_a_receive_that_finds_a_message_does_not_wait() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        office.store.hold_commits()
        receiving = asyncio.ensure_future(office.queue.next())
        await turns()
        assert office.cell.parked == 0
        office.store.release_commits()
        await receiving


# -- stops


async def test_a_stop_ends_iteration_and_its_messages_stay() -> None:
    async with open_office(Loop) as office:
        await turns()
        office.store.hold_commits()
        sending = [asyncio.ensure_future(office.queue.send("jobs", body)) for body in "abc"]
        await turns()
        office.cell.sleep()
        office.store.release_commits()
        await asyncio.gather(*sending)
        await wait_until(lambda: not office.local.is_awake("desk"), "the actor sleeps")
        assert SEEN == ["a", "ended"]
        left = await office.store.load_queues(1)
        assert [row.id for row in left.messages] == [2, 3]


async def test_a_stop_ends_waiting() -> None:
    async with open_office() as office:
        queue = office.queue
        waits = [
            asyncio.ensure_future(work)
            for work in (queue.next(), queue.next_batch(count=2), queue.wait_for_names(["jobs"]))
        ]
        await turns()
        office.cell.sleep()
        assert [await code_of(wait) for wait in waits] == ["actor.aborted"] * 3


async def test_the_caller_of_an_action_that_waits_is_told_of_the_stop() -> None:
    async with open_office() as office:
        reply = office.local.call("desk", "wait_for_job")
        calling = asyncio.ensure_future(reply)
        await turns()
        office.cell.destroy()
        assert await code_of(calling) == "actor.aborted"


async def stop_and_stay(office: Office) -> asyncio.Event:
    """Begin a stop that goes on until the event is set."""
    go_on = asyncio.Event()
    office.actor.keep_awake(go_on.wait())
    office.cell.sleep()
    await turns()
    assert office.actor.aborted
    return go_on


async def test_a_receive_that_would_wait_while_the_actor_stops_is_ended_at_once() -> None:
    async with open_office() as office:
        go_on = await stop_and_stay(office)
        assert await code_of(office.queue.next()) == "actor.aborted"
        assert await code_of(office.queue.wait_for_names(["jobs"])) == "actor.aborted"
        go_on.set()


async def test_a_receive_that_finds_a_message_while_the_actor_stops_succeeds() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        go_on = await stop_and_stay(office)
        assert await office.queue.next() is not None
        go_on.set()


async def test_to_try_while_the_actor_stops_finds_nothing() -> None:
    async with open_office() as office:
        go_on = await stop_and_stay(office)
        assert await office.queue.try_next() is None
        go_on.set()


async def test_the_last_hook_may_send_and_not_wait() -> None:
    async with open_office(Last) as office:
        await office.sleep()
        assert SEEN == ["aborted"]
        await office.wake()
        message = await office.queue.try_next()
        assert message is not None
        assert message.body == "from on_sleep"


async def test_a_stop_does_not_end_the_wait_for_a_reply() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait("jobs", "a"))
        await turns()
        go_on = await stop_and_stay(office)
        message = await office.queue.next(completable=True)
        assert message is not None
        await message.complete(4)
        assert await waiting == 4
        go_on.set()


async def test_who_still_waits_for_a_reply_when_the_actor_is_gone_is_told() -> None:
    async with open_office() as office:
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait("jobs", "a"))
        await turns()
        await office.sleep()
        assert await code_of(waiting) == "actor.aborted"


async def test_what_is_left_of_a_past_life_receives_nothing() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        queue = office.queue
        await office.sleep()
        await office.wake()
        assert await code_of(queue.try_next()) == "storage.unavailable"
        assert office.stored_ids == [1]


async def test_what_is_left_of_a_past_life_completes_nothing() -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        message = await office.queue.next(completable=True)
        await office.sleep()
        await office.wake()
        assert message is not None
        assert await code_of(message.complete(1)) == "storage.unavailable"
        assert office.stored_ids == [1]


# -- commits that fail


async def test_a_send_whose_commit_fails_says_so() -> None:
    async with open_office() as office:
        await office.queue.try_next()
        office.store.fail_next_commit()
        assert await code_of(office.queue.send("jobs", "a")) == "storage.unavailable"
        await office.wake()
        assert await office.queue.try_next() is None


async def test_a_message_whose_commit_fails_was_seen_by_nobody() -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next(completable=True))
        await turns()
        office.store.fail_next_commit()
        assert await code_of(office.queue.send("jobs", "a")) == "storage.unavailable"
        assert await code_of(receiving) == "storage.unavailable"


@pytest.mark.parametrize("completable", [True, False])
async def test_a_receive_or_completion_whose_commit_fails_leaves_the_message(
    completable: bool,
) -> None:
    async with open_office() as office:
        await office.queue.send("jobs", "a")
        office.store.fail_next_commit()
        if completable:
            message = await office.queue.next(completable=True)
            assert message is not None
            assert await code_of(message.complete(1)) == "storage.unavailable"
        else:
            assert await code_of(office.queue.next()) == "storage.unavailable"
        await office.wake()
        message = await office.queue.try_next()
        assert message is not None
        assert message.id == 1


async def test_a_failed_commit_ends_all_waiting() -> None:
    async with open_office() as office:
        receiving = asyncio.ensure_future(office.queue.next("mails"))
        waiting = asyncio.ensure_future(office.queue.enqueue_and_wait("jobs", "a"))
        await turns()
        office.store.fail_next_commit()
        office.actor.state = 3
        assert await code_of(office.actor.save_state()) == "storage.unavailable"
        assert await code_of(receiving) == "actor.aborted"
        assert await code_of(waiting) == "storage.unavailable"


async def test_a_message_of_an_invocation_that_ends_after_its_actor_is_harmless() -> None:
    async with open_office() as office:
        caller = Invocation(office.actor)
        await office.queue.send("jobs", "a")
        with called_by(caller):
            await office.queue.next(completable=True)
        book = office.cell.queues
        assert book is not None
        await office.sleep()
        book.release(caller)
        await office.wake()
        assert await office.queue.try_next() is not None
