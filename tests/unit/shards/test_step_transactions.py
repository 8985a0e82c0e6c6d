"""Transactions of a workflow's steps: what is part of them, their checkpoints, their end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stator.runtime import faults
from stator.runtime.database_errors import (
    ConstraintFailed,
    DatabaseClosed,
    NotAuthorized,
    TransactionExpired,
    TransactionTerminal,
)
from stator.runtime.errors import KnownError
from stator.runtime.workflow.host import Checkpoint
from stator.shards.databases import CellDatabase
from stator.shards.databases.checkpoints import LiveStep
from tests.fakes.open_databases import ENDLESS, one_database, opened, until_it_runs

TABLE = "CREATE TABLE t (n UNIQUE)"
DONE = Checkpoint(7, b"entry", b"state")


async def numbers(db: CellDatabase) -> list[Any]:
    return [row.n for row in await db.execute("SELECT n FROM t ORDER BY rowid")]


async def left(db: CellDatabase) -> list[int]:
    return [checkpoint.seq for checkpoint in await db.read_checkpoints()]


async def insert(db: CellDatabase, number: int) -> None:
    await db.execute("INSERT INTO t VALUES (?)", number)


async def settled() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


# -- its end


async def test_a_commit_leaves_what_was_done_and_the_checkpoint(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        await step.execute("INSERT INTO t VALUES (1)")
        await step.executemany("INSERT INTO t VALUES (?)", [(2,), (3,)])
        await step.commit(DONE)
        assert await numbers(db) == [1, 2, 3]
        assert await db.read_checkpoints() == [DONE]


async def test_a_checkpoint_may_leave_the_state_alone(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        await step.commit(Checkpoint(1, b"entry", None))
        assert await db.read_checkpoints() == [Checkpoint(1, b"entry", None)]


async def test_a_roll_back_leaves_neither(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        await step.execute("INSERT INTO t VALUES (1)")
        await step.roll_back()
        assert await numbers(db) == []
        assert await db.read_checkpoints() == []


async def test_a_roll_back_twice_is_one(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        await step.roll_back()
        await step.roll_back()
        assert await numbers(db) == []


async def test_a_roll_back_after_the_commit_undoes_nothing(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        await step.execute("INSERT INTO t VALUES (1)")
        await step.commit(DONE)
        await step.roll_back()
        assert await numbers(db) == [1]


async def test_a_roll_back_interrupts_a_statement_that_runs(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        endless = asyncio.create_task(step.execute(ENDLESS))
        await until_it_runs(db)
        await step.roll_back()
        with pytest.raises(TransactionTerminal):
            await endless
        assert await numbers(db) == []


async def test_what_is_rolled_back_cannot_be_committed(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        await step.roll_back()
        with pytest.raises(TransactionTerminal):
            await step.commit(DONE)
        assert await db.read_checkpoints() == []


async def test_a_commit_that_sqlite_refuses_leaves_neither(tmp_path: Path) -> None:
    reference = "CREATE TABLE r (n REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED)"
    async with one_database(tmp_path, TABLE, reference) as db:
        step = await db.open_step_transaction(60)
        await step.execute("INSERT INTO r VALUES (7)")
        with pytest.raises(ConstraintFailed):
            await step.commit(DONE)
        assert await db.execute("SELECT * FROM r") == []
        assert await db.read_checkpoints() == []


async def test_a_fault_before_the_commit_leaves_neither(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        await step.execute("INSERT INTO t VALUES (1)")
        faults.arm("database.before_commit", faults.fail_disk_full)
        try:
            with pytest.raises(KnownError):
                await step.commit(DONE)
        finally:
            faults.disarm("database.before_commit")
        assert await numbers(db) == []
        assert await db.read_checkpoints() == []


async def test_a_step_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await (await db.open_step_transaction(60)).commit(DONE)
        again = await db.open_step_transaction(60)
        await again.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(ConstraintFailed):
            await again.commit(DONE)
        assert await numbers(db) == []


async def test_a_step_whose_changes_sqlite_rolled_back_is_not_committed(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        await step.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(ConstraintFailed):
            await step.execute("INSERT OR ROLLBACK INTO t VALUES (1)")
        with pytest.raises(TransactionTerminal):
            await step.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(TransactionTerminal):
            await step.commit(DONE)
        assert await numbers(db) == []
        await db.execute("BEGIN; INSERT INTO t VALUES (3); COMMIT")  # allowed again


# -- what is part of it


async def test_in_its_context_the_database_is_the_transaction(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        with step.entered():
            await insert(db, 1)
            await db.executemany("INSERT INTO t VALUES (?)", [(2,)])
            assert await numbers(db) == [1, 2]
            assert await db.version() == 1
        await step.roll_back()
        assert await numbers(db) == []


async def test_a_task_begun_in_its_context_is_part_of_it(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        with step.entered():
            task = asyncio.create_task(insert(db, 1))
        await task
        await step.roll_back()
        assert await numbers(db) == []


async def test_others_wait_behind_it(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        other = asyncio.create_task(insert(db, 2))
        await step.execute("INSERT INTO t VALUES (1)")
        await settled()
        assert not other.done()
        await step.commit(DONE)
        await other
        assert await numbers(db) == [1, 2]


async def test_the_database_of_another_actor_is_not_part_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db, other = world.start(TABLE), world.start(TABLE)
        await db.migrate(None)
        await other.migrate(None)
        step = await db.open_step_transaction(60)
        with step.entered():
            await insert(other, 1)
        await step.roll_back()
        assert await numbers(other) == [1]


async def test_a_transaction_within_it_is_a_savepoint(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        step = await db.open_step_transaction(60)
        with step.entered():
            await insert(db, 1)
            with pytest.raises(LookupError):
                async with db.transaction() as tx:
                    await tx.execute("INSERT INTO t VALUES (2)")
                    raise LookupError
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (3)")
        await step.commit(DONE)
        assert await numbers(db) == [1, 3]


async def test_transactions_within_it_come_one_after_the_other(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:

        async def pair(first: int, fails: bool) -> None:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (?)", first)
                await settled()
                await tx.execute("INSERT INTO t VALUES (?)", first + 1)
                if fails:
                    raise LookupError

        step = await db.open_step_transaction(60)
        with step.entered():
            pairs = (pair(1, False), pair(3, True), pair(5, False))
            await asyncio.gather(*pairs, return_exceptions=True)
        await step.commit(DONE)
        assert await numbers(db) == [1, 2, 5, 6]


async def test_a_transaction_left_open_within_it_is_not_committed(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        inside, outcome = asyncio.Event(), asyncio.Event()

        async def stray() -> None:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (2)")
                inside.set()
                await outcome.wait()

        step = await db.open_step_transaction(60)
        with step.entered():
            await insert(db, 1)
            task = asyncio.create_task(stray())
        await inside.wait()
        await step.commit(DONE)
        outcome.set()
        with pytest.raises(TransactionTerminal):
            await task
        assert await numbers(db) == [1]


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "BEGIN", "END"])
async def test_it_cannot_be_torn_apart_by_hand(tmp_path: Path, sql: str) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await db.execute("BEGIN; COMMIT")  # as a whole and
        await db.execute("BEGIN")
        await db.execute("COMMIT")  # one by one: they are kept prepared
        await db.execute("BEGIN")
        await db.execute("END")
        await db.execute("BEGIN")
        await db.execute("ROLLBACK")
        step = await db.open_step_transaction(60)
        await step.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(NotAuthorized, match="within the transaction of a step"):
            await step.execute(sql)
        await step.roll_back()
        assert await numbers(db) == []


# -- what outlives it


async def after_the_end(db: CellDatabase, step: LiveStep, ended: asyncio.Event) -> None:
    with step.entered():
        await ended.wait()
        await insert(db, 9)


async def test_what_outlives_a_committed_step_is_free_again(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        ended = asyncio.Event()
        step = await db.open_step_transaction(60)
        stray = asyncio.create_task(after_the_end(db, step, ended))
        await step.commit(DONE)
        ended.set()
        await stray
        assert await numbers(db) == [9]


async def test_what_outlives_a_step_that_was_rolled_back_is_never_run_on_its_own(
    tmp_path: Path,
) -> None:
    async with one_database(tmp_path, TABLE) as db:
        ended = asyncio.Event()
        step = await db.open_step_transaction(60)
        stray = asyncio.create_task(after_the_end(db, step, ended))
        await step.roll_back()
        ended.set()
        with pytest.raises(TransactionTerminal):
            await stray
        assert await numbers(db) == []


# -- its deadline and its actor's


async def test_at_its_deadline_it_is_rolled_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        step = await db.open_step_transaction(5)
        with step.entered():
            await insert(db, 1)
            world.clock.advance(5)
            with pytest.raises(TransactionExpired):
                await insert(db, 2)
        with pytest.raises(TransactionExpired):
            await step.commit(DONE)
        assert await numbers(db) == []
        assert await db.read_checkpoints() == []


async def test_its_deadline_interrupts_what_runs_in_its_context(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        step = await db.open_step_transaction(5)
        with step.entered():
            endless = asyncio.create_task(db.execute(ENDLESS))
        await until_it_runs(db)
        world.clock.advance(5)
        with pytest.raises(TransactionExpired):
            await endless
        assert await numbers(db) == []


async def test_one_whose_beginning_is_cancelled_lets_the_next_ones_in(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        first = await db.open_step_transaction(60)
        second = asyncio.create_task(db.open_step_transaction(60))
        await settled()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await first.commit(DONE)
        assert await numbers(db) == []


async def test_closing_the_database_ends_it_without_a_checkpoint(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        step = await db.open_step_transaction(60)
        await step.execute("INSERT INTO t VALUES (1)")
        next_one = await world.restart(db, TABLE)
        with pytest.raises(DatabaseClosed):
            await step.commit(DONE)
        await next_one.migrate(None)
        assert await numbers(next_one) == []
        assert await next_one.read_checkpoints() == []


async def test_closing_the_database_waits_for_a_commit_under_way(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        step = await db.open_step_transaction(60)
        commit = asyncio.create_task(step.commit(DONE))
        await asyncio.sleep(0)
        next_one = await world.restart(db, TABLE)
        await commit
        assert await next_one.read_checkpoints() == [DONE]


# -- its checkpoint


async def test_a_forgotten_checkpoint_goes_with_the_next_commit(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await (await db.open_step_transaction(60)).commit(Checkpoint(1, b"", None))
        await (await db.open_step_transaction(60)).commit(Checkpoint(2, b"", None))
        db.forget_checkpoint(1)
        assert await left(db) == [1, 2]
        await (await db.open_step_transaction(60)).commit(Checkpoint(3, b"", None))
        assert await left(db) == [2, 3]


async def test_a_commit_that_fails_keeps_what_was_forgotten_for_the_next(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await (await db.open_step_transaction(60)).commit(Checkpoint(1, b"", None))
        await (await db.open_step_transaction(60)).commit(Checkpoint(2, b"", None))
        db.forget_checkpoint(1)
        with pytest.raises(ConstraintFailed):
            await (await db.open_step_transaction(60)).commit(Checkpoint(2, b"", None))
        assert await left(db) == [1, 2]
        await (await db.open_step_transaction(60)).commit(Checkpoint(3, b"", None))
        assert await left(db) == [2, 3]


async def test_forgotten_checkpoints_go_when_the_file_is_closed(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        await (await db.open_step_transaction(60)).commit(Checkpoint(1, b"", None))
        await (await db.open_step_transaction(60)).commit(Checkpoint(2, b"", None))
        db.forget_checkpoint(1)
        next_one = await world.restart(db, TABLE)
        assert await left(next_one) == [2]


async def test_checkpoints_can_be_deleted_at_once(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        for seq in (1, 2, 3):
            await (await db.open_step_transaction(60)).commit(Checkpoint(seq, b"", None))
        await db.delete_checkpoints([1, 3, 99])
        assert await left(db) == [2]


async def test_reading_checkpoints_makes_no_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start()
        assert await db.read_checkpoints() == []
        await db.delete_checkpoints([1])
        assert not world.path(db).exists()


async def test_a_file_without_checkpoints_has_no_table_for_them(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        assert await db.read_checkpoints() == []
        names = await db.execute("SELECT name FROM sqlite_schema")
        assert "_stator_workflow" not in [row.name for row in names]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM _stator_workflow",
        "INSERT INTO _stator_workflow VALUES (1, x'00', NULL)",
        "UPDATE main._stator_workflow SET entry = x'00'",
        "DROP TABLE _stator_workflow",
        "CREATE TRIGGER g AFTER INSERT ON _stator_workflow BEGIN SELECT 1; END",
        "CREATE TEMP TABLE _stator_workflow (seq)",
    ],
)
async def test_the_actor_cannot_touch_checkpoints(tmp_path: Path, sql: str) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await (await db.open_step_transaction(60)).commit(DONE)
        step = await db.open_step_transaction(60)
        with pytest.raises(NotAuthorized):
            await step.execute(sql)
        await step.roll_back()
        assert await db.read_checkpoints() == [DONE]
