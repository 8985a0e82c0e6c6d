"""The state of a ``wf.txn``: it, the SQL and the checkpoint take effect together or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stator import Actor, Database, Options, action
from stator.runtime.database_errors import DatabaseClosed
from stator.runtime.errors import ActorError, StateNotSerializable, StorageUnavailable
from stator.runtime.workflow.host import Checkpoint
from stator.runtime.workflow_errors import TxnConflict
from stator.shards.databases import Databases
from stator.shards.workflows.drafts import make_draft
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import Outcome, output_of, turns, wait_until
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.recording_log import RecordingLog

SEQ = 7
SEEN: list[Any] = []


class It(Actor):
    options = Options(no_sleep=True)
    state: list[Any] = []  # noqa: RUF012 - each actor gets a copy
    db = Database(["CREATE TABLE t (n)"])

    @action
    def get(self) -> list[Any]:
        return self.state

    @action
    def add(self, item: Any) -> list[Any]:
        self.state.append(item)
        return self.state

    @action
    async def rows(self) -> list[int]:
        return [row.n for row in await self.db.execute("SELECT n FROM t")]


class Telling(It):
    def on_state_change(self, state: Any) -> None:
        SEEN.append(list(state))


class Stateless(Actor):
    options = Options(no_sleep=True)
    db = Database(["CREATE TABLE t (n)"])

    @action
    async def rows(self) -> list[int]:
        return [row.n for row in await self.db.execute("SELECT n FROM t")]


class Gate:
    """Where the database's commit waits, if it is closed."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.reached = asyncio.Event()

    async def passed(self) -> None:
        """Wait until it is open."""
        self.reached.set()
        await self.open.wait()


class Txns(Life):
    """An actor that has a database, and the transactions of its workflow."""

    async def txn(
        self,
        change: Callable[[list[Any]], Any],
        gate: Gate | None = None,
        *,
        seq: int = SEQ,
        error: Exception | None = None,
    ) -> None:
        """Run one whose body writes a row and makes ``change`` of its copy of the state."""
        cell = self.cell
        assert cell.database is not None
        step = await cell.database.open_step_transaction(60)
        draft = make_draft(cell)
        with step.entered():
            await cell.actor.db.execute("INSERT INTO t VALUES (?)", seq)
        change(draft.value)

        async def commit(state: bytes | None) -> None:
            if gate is not None:
                await gate.passed()
            if error is not None:
                raise error
            await step.commit(Checkpoint(seq, b"done", state))

        try:
            await draft.publish(commit, lambda: cell.shard.put_entry(cell, seq, b"done"))
        finally:
            await step.roll_back()

    async def begin(
        self, change: Callable[[list[Any]], Any], gate: Gate, **options: Any
    ) -> asyncio.Task[None]:
        """Begin one and return it as its database is about to commit."""
        task = asyncio.create_task(self.txn(change, gate, **options))
        await gate.reached.wait()
        return task

    async def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints that are in the actor's database."""
        assert self.cell.database is not None
        return await self.cell.database.read_checkpoints()

    def entries(self) -> dict[int, bytes]:
        """Return the entries that are in the shard's file."""
        (pk,) = self.store.disk.actors
        return dict(self.store.disk.belongings(pk).entries)

    def stored(self) -> Any:
        """Return the state that is in the shard's file."""
        (row,) = self.store.disk.actors.values()
        assert row.state is not None
        return self.cell.definition.state_codec.decode(row.state)

    def decoded(self, image: bytes | None) -> Any:
        """Return the state of an image."""
        return None if image is None else self.cell.definition.state_codec.decode(image)


@asynccontextmanager
async def running(
    directory: Path, kind: type[Actor] = It, disk: MemoryDisk | None = None
) -> AsyncGenerator[Txns]:
    """Run the actor's engine, with its database below ``directory``."""
    databases = Databases(directory, ManualClock(), RecordingLog(), threads=2)
    try:
        async with life_of(kind, disk, databases=databases) as life:
            it = Txns(life.local, life.store, life.clock, life.gateway)
            await it.call("rows")
            yield it
            life.local.engine.abandon()
    finally:
        await databases.close()


def add(item: Any) -> Callable[[list[Any]], None]:
    return lambda state: state.append(item)


def leave(_: object) -> None:
    """Change nothing."""


async def unavailable(reply: Awaitable[Outcome]) -> bool:
    with pytest.raises(ActorError) as caught:
        output_of(await reply)
    return (caught.value.group, caught.value.code) == ("storage", "unavailable")


# -- when all goes well


async def test_the_copy_becomes_the_state_and_everything_is_there(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.txn(add(1))
        await it.cell.wait_committed()
        assert await it.call("get") == [1]
        assert await it.call("rows") == [SEQ]
        assert it.entries() == {SEQ: b"done"}
        assert it.stored() == [1]


async def test_the_checkpoint_has_the_state_that_was_reached(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.call("add", 0)
        await it.txn(add(1))
        (checkpoint,) = await it.checkpoints()
        assert (checkpoint.seq, checkpoint.entry) == (SEQ, b"done")
        assert it.decoded(checkpoint.state) == [0, 1]


async def test_entry_and_state_are_one_commit(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.txn(add(1))
        await it.cell.wait_committed()
        writes = it.store.commits[-1]
        assert len(writes.entries) == len(writes.states) == 1


async def test_one_that_leaves_the_state_alone_has_none_in_its_checkpoint(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.txn(leave)
        await it.cell.wait_committed()
        assert await it.checkpoints() == [Checkpoint(SEQ, b"done", None)]
        assert it.entries() == {SEQ: b"done"}


async def test_one_that_leaves_the_state_alone_holds_nobody_up(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(leave, gate)
        assert await it.call("add", 1) == [1]
        gate.open.set()
        await task
        assert await it.call("get") == [1]


async def test_an_actor_without_state_has_an_empty_draft(tmp_path: Path) -> None:
    async with running(tmp_path, Stateless) as it:
        await it.txn(leave)
        await it.cell.wait_committed()
        assert make_draft(it.cell).value is None
        assert await it.checkpoints() == [Checkpoint(SEQ, b"done", None)]
        assert it.entries() == {SEQ: b"done"}


async def test_the_copy_may_be_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        draft = make_draft(it.cell)
        draft.value = ["new"]
        await draft.publish(_nothing, lambda: None)
        assert await it.call("get") == ["new"]


async def _nothing(_: bytes | None) -> None:
    """Commit nothing."""


async def test_the_hook_of_changes_is_told_once(tmp_path: Path) -> None:
    async with running(tmp_path, Telling) as it:
        SEEN.clear()
        await it.txn(add(1))
        assert SEEN == [[1]]


async def test_two_come_one_after_the_other(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await asyncio.gather(it.txn(add(1), seq=1), it.txn(add(2), seq=2))
        await it.cell.wait_committed()
        assert await it.call("get") == [1, 2]
        assert it.entries() == {1: b"done", 2: b"done"}


async def test_one_waits_for_the_end_of_another(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        first = await it.begin(add(1), gate)
        draft = make_draft(it.cell)
        draft.value.append(2)
        second = asyncio.create_task(draft.publish(_nothing, lambda: None))
        await turns()
        gate.open.set()
        await asyncio.gather(first, second)
        assert await it.call("get") == [1, 2]


# -- while it runs


async def test_the_body_works_on_a_copy(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        make_draft(it.cell).value.append(1)
        assert await it.call("get") == []


async def test_if_somebody_else_changes_the_state_meanwhile_nothing_is_done(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as it:
        draft = make_draft(it.cell)
        draft.value.append(1)
        await it.call("add", 2)
        with pytest.raises(TxnConflict):
            await draft.publish(_never, _never_put)
        assert await it.call("get") == [2]
        assert it.cell.running == 0


async def _never(_: bytes | None) -> None:
    raise AssertionError("committed in spite of a conflict")


def _never_put() -> None:
    raise AssertionError("went well in spite of a conflict")


async def test_a_change_that_was_not_captured_yet_is_a_conflict_too(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        draft = make_draft(it.cell)
        draft.value.append(1)
        it.actor.state.append(2)
        with pytest.raises(TxnConflict):
            await draft.publish(_never, _never_put)


async def test_a_copy_that_cannot_be_stored_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        with pytest.raises(StateNotSerializable):
            await it.txn(add(object()))
        assert await it.call("get") == []
        assert await it.call("rows") == []
        assert await it.checkpoints() == []


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


async def test_nothing_of_the_state_is_stored_before_the_database_has_committed(
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


async def test_the_checkpoint_knows_nothing_of_what_others_change_meanwhile(
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
            await draft.publish(_nothing, fail)
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


async def test_killed_before_the_database_commits_there_is_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(add(1), gate)
        disk = it.store.disk.copy()
        task.cancel()
    async with running(tmp_path, disk=disk) as it:
        assert await it.checkpoints() == []
        assert await it.call("get") == []
        assert await it.call("rows") == []
