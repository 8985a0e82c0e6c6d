"""Transactions: exclusive, in order, with a deadline."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stator.runtime.database_errors import (
    ConstraintFailed,
    StatementFailed,
    TransactionExpired,
    TransactionQueueFull,
    TransactionTerminal,
)
from stator.shards.databases import CellDatabase
from stator.shards.databases.turns import MAX_WAITING
from tests.fakes.open_databases import ENDLESS, one_database, opened, until_it_runs

TABLE = "CREATE TABLE t (n UNIQUE)"


async def numbers(db: CellDatabase) -> list[Any]:
    return [row.n for row in await db.execute("SELECT n FROM t ORDER BY rowid")]


async def settled() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_transaction_commits_at_the_end_of_its_block(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (1)")
            await tx.executemany("INSERT INTO t VALUES (?)", [(2,), (3,)])
        assert await numbers(db) == [1, 2, 3]


async def test_a_transaction_reads_what_it_wrote(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db, db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES (:n)", n=1)
        assert await tx.execute("SELECT n FROM t") == [(1,)]


async def test_an_exception_rolls_back_and_comes_through(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        with pytest.raises(LookupError):
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (1)")
                raise LookupError
        assert await numbers(db) == []


async def test_a_statement_that_fails_leaves_the_rest_of_the_transaction(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(ConstraintFailed):
                await tx.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(ConstraintFailed):
                await tx.executemany("INSERT INTO t VALUES (?)", [(2,), (2,)])
        assert await numbers(db) == [1]


async def test_a_commit_that_fails_rolls_back(tmp_path: Path) -> None:
    reference = "CREATE TABLE r (n REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED)"
    async with one_database(tmp_path, TABLE, reference) as db:
        with pytest.raises(ConstraintFailed) as caught:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO r VALUES (7)")
        assert await db.execute("SELECT * FROM r") == []
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (1)")
    assert caught.value.metadata == {"code": "SQLITE_CONSTRAINT_FOREIGNKEY"}


async def test_cancelling_the_block_rolls_back(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        inside = asyncio.Event()

        async def block() -> None:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (1)")
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(block())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await numbers(db) == []


async def test_cancelling_a_statement_of_the_block_rolls_back(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        inside = asyncio.Event()

        async def block() -> None:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (1)")
                inside.set()
                await tx.execute(ENDLESS)

        task = asyncio.create_task(block())
        await inside.wait()
        await until_it_runs(db)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await numbers(db) == []


async def test_others_wait_behind_a_transaction_in_order(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:

        async def transaction(number: int) -> None:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (?)", number)

        async with db.transaction() as tx:
            waiting: list[asyncio.Task[Any]] = [
                asyncio.create_task(db.execute("INSERT INTO t VALUES (2)")),
                asyncio.create_task(transaction(3)),
                asyncio.create_task(db.execute("INSERT INTO t VALUES (4)")),
                asyncio.create_task(transaction(5)),
                asyncio.create_task(db.execute("INSERT INTO t VALUES (6)")),
            ]
            await settled()
            await tx.execute("INSERT INTO t VALUES (1)")
        await asyncio.gather(*waiting)
        assert await numbers(db) == [1, 2, 3, 4, 5, 6]


async def test_a_transaction_waits_for_the_statements_before_it(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        before = [asyncio.create_task(db.execute("INSERT INTO t VALUES (?)", n)) for n in range(5)]
        await settled()
        async with db.transaction() as tx:
            assert len(await tx.execute("SELECT n FROM t")) == 5
        await asyncio.gather(*before)


async def test_at_most_so_many_wait(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        async with db.transaction():
            waiting = [asyncio.create_task(db.execute("SELECT 1")) for _ in range(MAX_WAITING)]
            await settled()
            with pytest.raises(TransactionQueueFull) as caught:
                await db.execute("SELECT 1")
            with pytest.raises(TransactionQueueFull):
                await db.transaction().__aenter__()
            waiting.pop().cancel()
            await settled()
            waiting.append(asyncio.create_task(db.execute("SELECT 1")))
        await asyncio.gather(*waiting)
    assert (caught.value.group, caught.value.code) == ("sqlite", "transaction_queue_full")


async def test_more_may_wait_without_a_transaction(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db:
        rows = await asyncio.gather(*[db.execute("SELECT 1") for _ in range(3 * MAX_WAITING)])
    assert len(rows) == 3 * MAX_WAITING


async def test_a_transaction_is_over_after_its_block(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        async with db.transaction() as tx:
            pass
        with pytest.raises(TransactionTerminal) as caught:
            await tx.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(TransactionTerminal):
            await tx.executemany("INSERT INTO t VALUES (?)", [(1,)])
        with pytest.raises(TransactionTerminal):
            await tx.__aenter__()
        assert await numbers(db) == []
    assert (caught.value.group, caught.value.code) == ("sqlite", "transaction_terminal")


async def test_what_waits_inside_for_its_own_transaction_fails_at_the_deadline(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        errors: list[BaseException] = []
        inside = asyncio.Event()

        async def block() -> None:
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (1)")
                inside.set()
                errors.extend(
                    await asyncio.gather(
                        db.execute("INSERT INTO t VALUES (2)"),
                        db.transaction().__aenter__(),
                        return_exceptions=True,
                    )  # type: ignore[arg-type]
                )

        task = asyncio.create_task(block())
        await inside.wait()
        other = asyncio.create_task(db.execute("INSERT INTO t VALUES (3)"))
        await settled()
        world.clock.advance(59.9)
        await settled()
        assert not task.done()
        world.clock.advance(0.2)
        with pytest.raises(TransactionExpired, match=r"60 s; .* not self\.db") as caught:
            await task
        await other
        assert await numbers(db) == [3]
    assert [type(error) for error in errors] == [TransactionExpired, TransactionExpired]
    assert (caught.value.group, caught.value.code) == ("sqlite", "transaction_expired")


async def test_a_deadline_interrupts_the_statement_that_runs(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        inside = asyncio.Event()

        async def block() -> None:
            async with db.transaction(timeout=timedelta(seconds=5)) as tx:
                await tx.execute("INSERT INTO t VALUES (1)")
                inside.set()
                await tx.execute(ENDLESS)

        task = asyncio.create_task(block())
        await inside.wait()
        await until_it_runs(db)
        world.clock.advance(5)
        with pytest.raises(TransactionExpired, match="5 s"):
            await task
        assert await numbers(db) == []


async def test_an_expired_transaction_is_of_no_more_use(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        with pytest.raises(TransactionExpired):
            async with db.transaction(timeout=1) as tx:
                world.clock.advance(2)
                with pytest.raises(TransactionExpired):
                    await tx.execute("INSERT INTO t VALUES (1)")
                assert await numbers(db) == []


async def test_an_error_of_an_expired_block_comes_through(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        with pytest.raises(LookupError):
            async with db.transaction(timeout=1):
                world.clock.advance(2)
                raise LookupError


async def test_a_transaction_that_ended_has_no_timer(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        async with db.transaction():
            assert world.clock.timers == 1
        assert world.clock.timers == 0


@pytest.mark.parametrize("seconds", [0, -1, timedelta(0), float("nan")])
async def test_a_timeout_is_above_zero(tmp_path: Path, seconds: Any) -> None:
    async with one_database(tmp_path) as db:
        with pytest.raises(ValueError, match="above 0"):
            db.transaction(seconds)


async def test_a_transaction_may_have_no_deadline(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db, db.transaction(timeout=float("inf")) as tx:
        assert await tx.execute("SELECT 1") == [(1,)]


async def test_a_transaction_ended_by_hand_fails(tmp_path: Path) -> None:
    """What follows the hand-written end is not run on its own."""
    async with one_database(tmp_path, TABLE) as db:
        with pytest.raises(TransactionTerminal, match="by hand"):
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (1)")
                await tx.execute("ROLLBACK")
                with pytest.raises(TransactionTerminal, match="by hand"):
                    await tx.execute("INSERT INTO t VALUES (2)")
        assert await numbers(db) == []


async def test_a_conflict_that_rolls_back_ends_the_transaction(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        with pytest.raises(TransactionTerminal):
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (1)")
                with pytest.raises(ConstraintFailed):
                    await tx.execute("INSERT OR ROLLBACK INTO t VALUES (1)")
        assert await numbers(db) == []


async def test_a_hand_written_transaction_works_across_calls_and_is_warned_of_once(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        for n in range(2):
            await db.execute("BEGIN")
            await db.execute("INSERT INTO t VALUES (?)", n)
            await db.execute("COMMIT")
        assert await numbers(db) == [0, 1]
    (warning,) = [line for line in world.log.lines if line["level"] == "warning"]
    assert "self.db.transaction()" in warning["event"]


async def test_the_warning_can_be_switched_off(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(warns=False)
        await db.execute("BEGIN")
        await db.execute("COMMIT")
    assert world.log.lines == []


async def test_a_script_with_its_own_transaction_is_not_warned_of(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        await db.execute("BEGIN; INSERT INTO t VALUES (1); COMMIT")
    assert world.log.lines == []


async def test_a_transaction_does_not_begin_within_a_hand_written_one(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        await db.execute("BEGIN")
        await db.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(StatementFailed, match="hand-written BEGIN"):
            async with db.transaction():
                pass
        await db.execute("COMMIT")
        assert await numbers(db) == [1]
