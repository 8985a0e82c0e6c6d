"""The two commits of a ``wf.txn``: state, SQL and checkpoint take effect together or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stator.runtime.database_errors import DatabaseClosed
from stator.runtime.errors import StateNotSerializable, StorageUnavailable
from stator.shards.workflows.drafts import make_draft
from tests.fakes.engine_in_process import output_of, turns, wait_until
from tests.fakes.txn_actor import (
    SEQ,
    Gate,
    add,
    leave,
    nothing,
    running,
    unavailable,
)

# -- while its database commits


async def test_output_waits_until_the_database_has_committed(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(add(1), gate)
        reply = it.send("get")
        await turns()
        assert not reply.done()
        gate.open.set()
        await task
        assert output_of(await reply) == [1]


async def testnothing_of_the_state_is_stored_before_the_database_has_committed(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as it:
        await it.call("add", 0)
        gate = Gate()
        task = await it.begin(add(1), gate)
        it.send("add", 2)
        await turns()
        assert it.stored() == [0]
        gate.open.set()
        await task


async def test_what_others_change_meanwhile_is_kept_and_answered_after_both(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(add(1), gate)
        reply = it.send("add", 2)
        await turns()
        it.store.hold_commits()
        gate.open.set()
        await task
        await turns()
        assert [each.seq for each in await it.checkpoints()] == [SEQ]
        assert not reply.done()
        it.store.release_commits()
        assert output_of(await reply) == [1, 2]
        assert it.entries() == {SEQ: b"done"}
        assert it.stored() == [1, 2]


async def test_the_checkpoint_knowsnothing_of_what_others_change_meanwhile(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(add(1), gate)
        it.send("add", 2)
        await turns()
        gate.open.set()
        await task
        (checkpoint,) = await it.checkpoints()
        assert it.decoded(checkpoint.state) == [1]


async def test_the_database_waits_for_changes_from_before(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        it.store.hold_commits()
        it.send("add", 0)
        await turns()
        task = asyncio.create_task(it.txn(add(1)))
        await wait_until(lambda: bool(it.cell.shard.seals), "the seal")
        await turns()
        assert not task.done()
        it.store.release_commits()
        await task
        assert it.decoded((await it.checkpoints())[0].state) == [0, 1]


async def test_cancelled_it_is_seen_through(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(add(1), gate)
        task.cancel()
        await turns()
        assert not task.done()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await it.cell.wait_committed()
        assert it.entries() == {SEQ: b"done"}
        assert it.stored() == [1]


@pytest.mark.parametrize("change", [add(1), leave])
async def test_cancelled_twice_it_is_seen_through(
    tmp_path: Path, change: Callable[[list[Any]], None]
) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(change, gate)
        task.cancel()
        await turns()
        task.cancel()
        await turns()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await it.cell.wait_committed()
        assert [each.seq for each in await it.checkpoints()] == [SEQ]
        assert it.entries() == {SEQ: b"done"}


async def test_an_actor_that_falls_asleep_sees_it_through(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(add(1), gate)
        it.actor.sleep()
        await turns(40)
        assert it.is_awake
        gate.open.set()
        await task
        await wait_until(lambda: not it.is_awake, "its sleep")
        assert await it.call("get") == [1]
        assert it.entries() == {SEQ: b"done"}


async def test_one_that_outlasts_the_grace_period_leaves_neither(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate, cell = Gate(), it.cell
        task = await it.begin(add(1), gate)
        it.actor.sleep()
        await turns()
        await it.pass_time(cell.definition.settings.sleep_grace_period + 1)
        await wait_until(lambda: cell.database is None or not cell.database.is_open, "its close")
        gate.open.set()
        with pytest.raises(DatabaseClosed):
            await task
        await wait_until(lambda: not it.is_awake, "its sleep")
        assert await it.call("get") == []
        assert await it.call("rows") == []


# -- when it does not go well


async def test_a_database_that_does_not_commit_leaves_neither(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.call("add", 0)
        gate, trouble = Gate(), OSError("disk full")
        task = await it.begin(add(1), gate, error=trouble)
        replies = [it.send("get"), it.send("add", 2)]
        await turns()
        gate.open.set()
        with pytest.raises(OSError, match="disk full"):
            await task
        for reply in replies:
            assert await unavailable(reply)
        assert await it.call("get") == [0]
        assert await it.call("rows") == []
        assert await it.checkpoints() == []
        assert it.entries() == {}


async def test_if_changes_from_before_are_lost_the_database_does_not_commit(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as it:
        it.store.hold_commits()
        it.store.fail_next_commit()
        before = it.send("add", 0)
        await turns()
        task = asyncio.create_task(it.txn(add(1)))
        await wait_until(lambda: bool(it.cell.shard.seals), "the seal")
        it.store.release_commits()
        with pytest.raises(StorageUnavailable):
            await task
        assert await unavailable(before)
        assert await it.call("get") == []
        assert await it.call("rows") == []
        assert await it.checkpoints() == []


async def test_what_cannot_be_put_in_the_end_is_left_to_the_checkpoint(tmp_path: Path) -> None:
    def fail() -> None:
        raise StateNotSerializable("somebody else's")

    async with running(tmp_path) as it:
        draft = make_draft(it.cell)
        draft.value.append(1)
        with pytest.raises(StateNotSerializable):
            await draft.publish(nothing, fail)
        assert await it.call("get") == []  # a new generation, which the checkpoint repairs


async def test_a_failed_commit_of_the_shard_leaves_the_checkpoint_to_repair_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as it:
        it.store.fail_next_commit()
        await it.txn(add(1))
        with pytest.raises(StorageUnavailable):
            await it.cell.wait_committed()
        assert await it.call("rows") == [SEQ]
        assert it.entries() == {}
        assert [each.seq for each in await it.checkpoints()] == [SEQ]


async def test_killed_between_the_two_commits_there_is_exactly_one_checkpoint(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as it:
        await it.call("add", 0)
        it.store.hold_commits()
        await it.txn(add(1))
        reply = it.send("get")
        await turns()
        assert not reply.done()
        disk = it.store.disk.copy()  # as it is now
    async with running(tmp_path, disk=disk) as it:
        (checkpoint,) = await it.checkpoints()
        assert it.decoded(checkpoint.state) == [0, 1]
        assert it.entries() == {}
        assert await it.call("get") == [0]
        assert await it.call("rows") == [SEQ]


async def test_killed_before_the_database_commits_there_isnothing(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(add(1), gate)
        disk = it.store.disk.copy()
        task.cancel()
    async with running(tmp_path, disk=disk) as it:
        assert await it.checkpoints() == []
        assert await it.call("get") == []
        assert await it.call("rows") == []
