"""A sealed actor: it goes on, nothing of it leaves or is stored until its own database is done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator.runtime.errors import ActorError, StorageUnavailable
from stator.runtime.protocol.connection import Event as EventMessage
from stator.shards.queues.storage import QueueStorage
from stator.shards.seals import Seal
from tests.fakes.actor_life import life_of
from tests.fakes.engine_in_process import output_of, turns
from tests.fakes.sealed_actor import It, Loose, backlog, sealed, stored, unavailable

# -- while it lasts


async def test_output_waits_for_the_end_of_the_seal() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        reply = it.send("get")
        await turns()
        assert not reply.done()
        seal.lift()
        assert output_of(await reply) == []


async def test_errors_wait_as_well() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        reply = it.send("fail_to")
        await turns()
        assert not reply.done()
        seal.lift()
        await reply


async def test_events_wait_as_well_and_keep_their_order() -> None:
    async with life_of(It) as it:
        client = await it.gateway.connect("it")
        client.subscribe("told")
        await turns()
        seal = await sealed(it)
        for number in (1, 2):
            it.send("tell", number)
        await turns()
        assert [each for each in client.heard() if isinstance(each, EventMessage)] == []
        seal.lift()
        it.send("tell", 3)
        await turns()
        heard = [each.args for each in client.heard() if isinstance(each, EventMessage)]
        assert heard == sorted(heard)
        assert len(heard) == 3


@pytest.mark.parametrize("work", [("add", 1), ("keep", "key"), ("order",)])
async def test_nothing_that_the_actor_does_is_stored(work: tuple[Any, ...]) -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        commits = len(it.store.commits)
        reply = it.send(*work)
        await turns()
        assert len(it.store.commits) == commits
        seal.lift()
        output_of(await reply)
        assert len(it.store.commits) > commits


async def test_other_actors_are_not_held_up() -> None:
    async with life_of(It) as it:
        await sealed(it)
        assert await it.call("add", 1, key="other") == [1]


async def test_a_connection_that_came_and_went_is_not_stored() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        client = it.gateway.open("it")
        await turns()
        client.leave()
        await turns()
        seal.lift()
        await it.call("add", 1)
        (row,) = it.store.disk.actors.values()
        assert list(row.connections) == []


async def test_whoever_waits_for_a_commit_waits_for_the_seal() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        waiting = asyncio.create_task(it.actor.save_state())
        await turns()
        assert not waiting.done()
        seal.lift()
        await waiting


async def test_a_state_that_cannot_be_stored_is_the_error_of_who_made_it() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        good, bad = it.send("add", 1), it.send("add_what_cannot_be_stored")
        await turns()
        seal.lift()
        assert output_of(await good) == [1]
        with pytest.raises(ActorError) as caught:
            output_of(await bad)
        assert caught.value.code == "state_not_serializable"
        assert stored(it) == [1]


async def test_what_may_wait_for_its_interval_is_not_stored_during_it() -> None:
    async with life_of(Loose) as it:
        await it.call("add", 1)
        it.cell.shard.capture(it.cell, urgent=True)
        await it.cell.wait_committed()
        seal = await sealed(it)
        reply = it.send("add", 2)
        await it.pass_time(6)
        assert stored(it) == [1]
        seal.lift()
        await reply
        await it.cell.wait_committed()
        assert stored(it) == [1, 2]


async def test_a_state_whose_commit_failed_does_not_come_back_over_a_later_one() -> None:
    async with life_of(Loose) as it:
        await it.call("get")
        it.store.hold_commits()
        it.store.fail_next_commit()
        await it.call("add", 1)
        await it.pass_time(6)
        seal = Seal(it.cell)
        it.send("add", 2)
        await turns()
        it.store.release_commits()
        await turns()
        seal.lift()
        await it.pass_time(6)
        assert stored(it) == [1, 2]


async def test_what_an_actor_changed_that_is_being_deleted_is_forgotten() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        it.send("add", 1)
        await turns()
        it.cell.shard.withdraw(it.cell)
        assert not seal.writes


# -- lifted


async def test_what_came_together_is_one_commit() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        reply = it.send("add", 1)
        await turns()
        it.cell.shard.put_entry(it.cell, 7, b"entry")
        seal.lift()
        await reply
        writes = it.store.commits[-1]
        assert writes.entries == {(it.cell.row.pk, 7): b"entry"}
        assert list(writes.states) == [it.cell.row.pk]


async def test_output_of_changes_waits_for_their_commit_too() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        reply = it.send("add", 1)
        await turns()
        it.store.hold_commits()
        seal.lift()
        await turns()
        assert not reply.done()
        it.store.release_commits()
        assert output_of(await reply) == [1]


async def test_output_keeps_its_order_over_the_end_of_the_seal() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        replies = [it.send("get"), it.send("add", 1)]
        await turns()
        seal.lift()
        replies += [it.send("get"), it.send("add", 2)]
        await asyncio.gather(*replies)
        last_four = it.local.port.order[-4:]
        assert last_four == sorted(last_four)


async def test_output_from_before_leaves_first() -> None:
    async with life_of(It) as it:
        await it.call("get")
        it.store.hold_commits()
        first = it.send("add", 1)
        await turns()
        seal = Seal(it.cell)
        second = it.send("get")
        await turns()
        it.store.release_commits()
        assert output_of(await first) == [1]
        await turns()
        assert not second.done()
        await seal.settled()
        seal.lift()
        assert output_of(await second) == [1]


async def test_waiting_output_counts_in_the_backlog_until_it_left() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        replies = [it.send("add", 1), it.send("get")]
        await turns()
        assert backlog(it) > 0
        seal.lift()
        await asyncio.gather(*replies)
        assert backlog(it) == 0


async def test_messages_sent_during_it_count_as_fresh_until_they_are_on_disk() -> None:
    async with life_of(It) as it:
        await it.call("get")
        storage = QueueStorage(it.cell)
        await storage.load()
        seal = Seal(it.cell)
        during = storage.insert("orders", b"1")
        it.store.hold_commits()
        seal.lift()
        storage.insert("orders", b"2")  # into the same batch
        await turns()  # which is on its way
        storage.insert("orders", b"3")
        assert storage.is_fresh([during])
        it.store.release_commits()
        await it.cell.wait_committed()
        assert not storage.is_fresh([during])


# -- what was there before it


async def test_it_is_settled_when_changes_from_before_are_on_disk() -> None:
    async with life_of(It) as it:
        await it.call("get")
        it.store.hold_commits()
        it.send("add", 1)
        await turns()
        seal = Seal(it.cell)
        settled = asyncio.create_task(seal.settled())
        await turns()
        assert not settled.done()
        it.store.release_commits()
        await settled
        assert stored(it) == [1]
        seal.lift()


async def test_without_changes_from_before_it_is_settled_at_once() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        await seal.settled()
        seal.lift()


async def test_it_is_settled_however_late_that_is_asked() -> None:
    async with life_of(It) as it:
        await it.call("get")
        it.store.hold_commits()
        it.send("add", 1)
        await turns()
        seal = Seal(it.cell)
        it.store.release_commits()
        await turns()
        await seal.settled()
        seal.lift()


async def test_if_changes_from_before_are_lost_the_actor_leaves_memory() -> None:
    async with life_of(It) as it:
        await it.call("get")
        cell = it.cell
        it.store.hold_commits()
        it.store.fail_next_commit()
        before = it.send("add", 1)
        await turns()
        seal = Seal(cell)
        during = it.send("add", 2)
        await turns()
        it.store.release_commits()
        with pytest.raises(StorageUnavailable):
            await seal.settled()
        seal.break_off()
        assert await unavailable(before)
        assert await unavailable(during)
        assert backlog(it) == 0
        assert cell.running == 0
        assert await it.call("get") == []


# -- broken


async def test_when_it_breaks_nothing_of_it_is_stored_and_its_callers_are_told() -> None:
    async with life_of(It) as it:
        await it.call("add", 1)
        seal = await sealed(it)
        replies = [it.send("add", 2), it.send("get")]
        await turns()
        seal.break_off()
        for reply in replies:
            assert await unavailable(reply)
        assert await it.call("get") == [1]


async def test_when_it_breaks_who_waits_for_a_commit_is_told() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        waiting = asyncio.create_task(it.actor.save_state())
        await turns()
        seal.break_off()
        with pytest.raises(StorageUnavailable):
            await waiting


async def test_when_it_breaks_nothing_is_left_in_the_backlog() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        reply = it.send("add", 2)
        await turns()
        seal.break_off()
        assert await unavailable(reply)
        assert backlog(it) == 0


async def test_an_actor_that_is_gone_is_not_sealed() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        cell = it.cell
        seal.break_off()
        with pytest.raises(StorageUnavailable):
            Seal(cell)
