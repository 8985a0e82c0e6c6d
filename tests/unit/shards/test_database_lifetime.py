"""Files of databases: when they are made, opened, closed and deleted."""

import asyncio
import os
from pathlib import Path

import apsw
import pytest

from stator.runtime.database import Database
from stator.runtime.database_errors import DatabaseClosed
from stator.shards.databases.open_files import OpenFiles
from tests.fakes.open_databases import ENDLESS, SHARD, opened, until_it_runs
from tests.fakes.recording_log import RecordingLog

TABLE = "CREATE TABLE t (n)"


async def test_nothing_is_made_before_the_first_statement(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start()
        assert os.listdir(tmp_path) == []
        await db.execute("SELECT 1")
        assert world.path(db).is_file()


async def test_a_file_is_in_the_folder_of_its_shard(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        assert world.path(db) == tmp_path / "shard-0003-databases" / f"{world.ids[db]}.sqlite"


async def test_an_actor_id_is_no_path(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        with pytest.raises(ValueError, match="not an actor id"):
            world.databases.of(SHARD, "../../etc/passwd", Database(), world.log)


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        await db.execute("INSERT INTO t VALUES (1)")
        actor_id = world.ids[db]
    async with opened(tmp_path) as world:
        db = world.start(TABLE, actor_id=actor_id)
        await db.migrate(None)
        assert await db.execute("SELECT n FROM t") == [(1,)]


async def test_a_closed_database_lies_on_disk_as_one_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        await db.close(1)
        assert os.listdir(world.path(db).parent) == [world.path(db).name]


async def test_a_closed_database_says_so_with_advice(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start()
        await db.close(1)
        with pytest.raises(DatabaseClosed, match=r"self\.abort_signal") as caught:
            await db.execute("SELECT 1")
        with pytest.raises(DatabaseClosed):
            await db.executemany("SELECT ?", [(1,)])
        with pytest.raises(DatabaseClosed):
            await db.transaction().__aenter__()
        with pytest.raises(DatabaseClosed):
            await db.version()
    assert (caught.value.group, caught.value.code) == ("sqlite", "closed")


async def test_closing_again_does_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start()
        await db.execute("SELECT 1")
        await db.close(1)
        await db.close(1)
        assert world.databases.open_files == 0


async def test_closing_waits_for_the_statements_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        tasks = [asyncio.create_task(db.execute("INSERT INTO t VALUES (1)")) for _ in range(20)]
        await asyncio.sleep(0)
        await db.close(60)
        assert [task.result() for task in tasks] == [[]] * 20


async def test_closing_interrupts_what_runs_past_the_deadline(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start()
        slow = asyncio.create_task(db.execute(ENDLESS))
        await until_it_runs(db)
        behind = asyncio.create_task(db.execute("SELECT 1"))
        await asyncio.sleep(0)
        closing = asyncio.create_task(db.close(5))
        await asyncio.sleep(0)
        world.clock.advance(4.9)
        await asyncio.sleep(0)
        assert not closing.done()
        world.clock.advance(0.2)
        await closing
        for task in (slow, behind):
            with pytest.raises(DatabaseClosed):
                await task


async def test_closing_fails_what_waits_behind_a_transaction_and_rolls_it_back(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        with pytest.raises(DatabaseClosed):
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (1)")
                waiting = asyncio.create_task(db.execute("SELECT 1"))
                await asyncio.sleep(0)
                await db.close(1)
                with pytest.raises(DatabaseClosed):
                    await waiting
                with pytest.raises(DatabaseClosed):
                    await tx.execute("INSERT INTO t VALUES (2)")
        db = await world.restart(db, TABLE)
        assert await db.execute("SELECT n FROM t") == []


async def test_a_hand_written_transaction_left_open_is_rolled_back_and_logged(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE, warns=False)
        await db.migrate(None)
        await db.execute("BEGIN")
        await db.execute("INSERT INTO t VALUES (1)")
        db = await world.restart(db, TABLE)
        assert await db.execute("SELECT n FROM t") == []
    assert world.log.events() == ["transaction left open: rolled back as the actor stops"]


async def test_deleting_closes_and_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db, other = world.start(TABLE), world.start(TABLE)
        for database in (db, other):
            await database.migrate(None)
        await world.databases.delete(SHARD, world.ids[db])
        with pytest.raises(DatabaseClosed):
            await db.execute("SELECT 1")
        assert world.databases.stored(SHARD) == [world.ids[other]]
        assert all(world.ids[db] not in name for name in os.listdir(world.path(db).parent))


async def test_deleting_what_is_not_awake_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(TABLE)
        await db.migrate(None)
        await db.close(1)
        for companion in ("-wal", "-shm"):
            world.path(db).with_suffix(f".sqlite{companion}").write_bytes(b"left by a crash")
        await world.databases.delete(SHARD, world.ids[db])
        await world.databases.delete(SHARD, world.ids[db])
        assert os.listdir(world.path(db).parent) == []


async def test_the_end_of_the_worker_closes_all(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        databases = [world.start(TABLE) for _ in range(5)]
        for db in databases:
            await db.migrate(None)
        await world.databases.close()
        assert world.databases.open_files == 0
        for db in databases:
            with pytest.raises(DatabaseClosed):
                await db.execute("SELECT 1")


# -- the bound on open files


async def test_idle_files_are_closed_beyond_the_bound_and_opened_again(tmp_path: Path) -> None:
    async with opened(tmp_path, max_open=3) as world:
        databases = [world.start(TABLE) for _ in range(10)]
        for _ in range(3):
            for n, db in enumerate(databases):
                await db.migrate(None)
                await db.execute("INSERT INTO t VALUES (?)", n)
                assert world.databases.open_files <= 3
        for n, db in enumerate(databases):
            assert await db.execute("SELECT DISTINCT n FROM t") == [(n,)]


async def test_the_bound_holds_when_all_are_used_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path, threads=3, max_open=4) as world:
        databases = [world.start(TABLE) for _ in range(40)]
        await asyncio.gather(*[db.migrate(None) for db in databases])
        await asyncio.gather(*[db.execute("INSERT INTO t VALUES (1)") for db in databases * 5])
        counts = await asyncio.gather(*[db.execute("SELECT count(*) FROM t") for db in databases])
        assert counts == [[(5,)]] * 40
        assert world.databases.open_files <= 4 + 3


async def test_the_one_that_was_not_used_for_longest_is_closed(tmp_path: Path) -> None:
    async with opened(tmp_path, max_open=2) as world:
        first, second, third = [world.start() for _ in range(3)]
        for db in (first, second, first, third):
            await db.execute("SELECT 1")
        assert (first.is_open, second.is_open, third.is_open) == (True, False, True)


async def test_a_file_in_a_transaction_stays_open(tmp_path: Path) -> None:
    async with opened(tmp_path, max_open=1) as world:
        db, other = world.start(TABLE), world.start()
        await db.migrate(None)
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (1)")
            await other.execute("SELECT 1")
            await tx.execute("INSERT INTO t VALUES (2)")
        await other.execute("SELECT 1")
        assert await db.execute("SELECT count(*) FROM t") == [(2,)]


async def test_a_file_in_a_hand_written_transaction_stays_open(tmp_path: Path) -> None:
    async with opened(tmp_path, max_open=1) as world:
        db, other = world.start(TABLE), world.start()
        await db.migrate(None)
        await db.execute("BEGIN")
        await db.execute("INSERT INTO t VALUES (1)")
        await other.execute("SELECT 1")
        await db.execute("COMMIT")
        assert await db.execute("SELECT count(*) FROM t") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "check", "expected"),
    [
        ("CREATE TEMP TABLE x AS SELECT 5 AS n", "SELECT n FROM x", 5),
        ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys", 0),
        ("PRAGMA recursive_triggers = ON", "PRAGMA recursive_triggers", 1),
        ("INSERT INTO t (rowid) VALUES (7)", "SELECT last_insert_rowid()", 7),
    ],
)
async def test_an_actor_does_not_notice_that_others_open_files(
    tmp_path: Path, sql: str, check: str, expected: int
) -> None:
    async with opened(tmp_path, max_open=1) as world:
        db, other = world.start(TABLE), world.start()
        await db.migrate(None)
        await db.execute(sql)
        await other.execute("SELECT 1")
        assert await db.execute(check) == [(expected,)]


def test_a_file_that_closes_with_trouble_is_closed_and_logged() -> None:
    class Troubled:
        def shut_if_idle(self) -> bool:
            raise apsw.IOError("disk I/O error")

    log = RecordingLog()
    files = OpenFiles(1, log)
    files.admit(Troubled())
    files.admit(Troubled())
    assert log.events() == ["database closed with trouble"]
