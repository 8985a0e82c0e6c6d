"""Statements whose task is cancelled, and statements that are slow."""

import asyncio
from pathlib import Path

import pytest

from tests.fakes.open_databases import ENDLESS, one_database, opened, until_it_runs

TABLE = "CREATE TABLE t (n)"


async def test_a_cancelled_statement_that_did_not_begin_is_not_run(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        slow = asyncio.create_task(db.execute(ENDLESS))
        await until_it_runs(db)
        dropped = asyncio.create_task(db.execute("INSERT INTO t VALUES (1)"))
        kept = asyncio.create_task(db.execute("INSERT INTO t VALUES (2)"))
        await asyncio.sleep(0)
        dropped.cancel()
        slow.cancel()
        await asyncio.wait([slow, dropped, kept])
        assert await db.execute("SELECT n FROM t") == [(2,)]
    assert (slow.cancelled(), dropped.cancelled()) == (True, True)


async def test_a_cancelled_statement_that_runs_is_interrupted(tmp_path: Path) -> None:
    async with one_database(tmp_path) as db:
        task = asyncio.create_task(db.execute(ENDLESS))
        await until_it_runs(db)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await db.execute("SELECT 1") == [(1,)]


async def test_a_cancelled_statement_that_waits_for_its_turn_is_dropped(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        async with db.transaction():
            task = asyncio.create_task(db.execute("INSERT INTO t VALUES (1)"))
            transaction = asyncio.create_task(db.transaction().__aenter__())
            await asyncio.sleep(0)
            task.cancel()
            transaction.cancel()
            await asyncio.wait([task, transaction])
        assert await db.execute("SELECT n FROM t") == []


async def test_a_transaction_cancelled_while_it_begins_leaves_the_turn(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        slow = asyncio.create_task(db.execute(ENDLESS))
        await until_it_runs(db)
        begins = asyncio.create_task(db.transaction().__aenter__())
        await asyncio.sleep(0)
        begins.cancel()
        slow.cancel()
        await asyncio.wait([begins, slow])
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (1)")
        assert await db.execute("SELECT n FROM t") == [(1,)]


async def test_statements_cancelled_at_random_leave_the_others_in_order(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        tasks = [asyncio.create_task(db.execute("INSERT INTO t VALUES (?)", n)) for n in range(300)]
        for number, task in enumerate(tasks):
            if number % 3 == 0:
                await asyncio.sleep(0)
                task.cancel()
        await asyncio.wait(tasks)
        stored = [row.n for row in await db.execute("SELECT n FROM t ORDER BY rowid")]
    finished = [number for number, task in enumerate(tasks) if not task.cancelled()]
    assert stored == sorted(stored)
    assert set(finished) <= set(stored)


async def test_a_slow_statement_does_not_keep_a_result_that_is_there(tmp_path: Path) -> None:
    async with one_database(tmp_path, TABLE) as db:
        first = [asyncio.create_task(db.execute("SELECT 1")) for _ in range(3)]
        slow = asyncio.create_task(db.execute(ENDLESS))
        assert await asyncio.gather(*first) == [[(1,)]] * 3
        assert not slow.done()
        slow.cancel()
        await asyncio.wait([slow])


async def test_a_slow_actor_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    async with opened(tmp_path, threads=2) as world:
        slow, quick = world.start(), world.start()
        task = asyncio.create_task(slow.execute(ENDLESS))
        await until_it_runs(slow)
        assert await quick.execute("SELECT 1") == [(1,)]
        task.cancel()
        await asyncio.wait([task])
