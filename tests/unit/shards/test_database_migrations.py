"""Migrations: once each, in order, all together or not at all."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from stator.runtime.database import ActorDatabase
from stator.runtime.database_errors import (
    ConstraintFailed,
    NotAuthorized,
    SchemaNewer,
    StatementFailed,
    TransactionTerminal,
)
from stator.runtime.ids import make_actor_id
from stator.shards.databases import CellDatabase
from tests.fakes.open_databases import ENDLESS, OpenDatabases, one_database, opened, until_it_runs

ROOT = Path(__file__).parents[3]
ONE = "CREATE TABLE t (n); INSERT INTO t VALUES (1)"
TWO = "INSERT INTO t VALUES (2)"


async def three(db: ActorDatabase) -> None:
    rows = await db.execute("SELECT max(n) AS top FROM t")
    await db.execute("INSERT INTO t VALUES (?)", rows[0].top + 1)


def inserting(db: CellDatabase, number: int) -> Callable[[], Awaitable[None]]:
    async def on_migrate() -> None:
        await db.execute("INSERT INTO t VALUES (?)", number)

    return on_migrate


def tables(world: OpenDatabases, db: CellDatabase) -> list[object]:
    """Return what another connection finds in the file."""
    connection = apsw.Connection(str(world.path(db)))
    try:
        return [row[0] for row in connection.execute("SELECT name FROM sqlite_schema")]
    finally:
        connection.close()


async def numbers(db: ActorDatabase) -> list[object]:
    return [row.n for row in await db.execute("SELECT n FROM t")]


async def test_migrations_run_in_order(tmp_path: Path) -> None:
    async with one_database(tmp_path, ONE, TWO, three) as db:
        assert await numbers(db) == [1, 2, 3]
        assert await db.version() == 3


async def test_each_migration_runs_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE)
        await db.migrate(None)
        for _ in range(2):
            db = await world.restart(db, ONE, TWO, three)
            await db.migrate(None)
        assert await numbers(db) == [1, 2, 3]


async def test_a_database_without_migrations_has_version_0_and_no_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start()
        await db.migrate(None)
        assert await db.version() == 0
        assert not world.path(db).exists()


async def test_the_version_is_not_the_actors_user_version(tmp_path: Path) -> None:
    async with one_database(tmp_path, ONE) as db:
        await db.execute("PRAGMA user_version = 77")
        assert await db.version() == 1


async def test_on_migrate_runs_at_every_start_behind_the_migrations(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE)
        await db.migrate(inserting(db, 7))
        db = await world.restart(db, ONE, TWO)
        await db.migrate(inserting(db, 8))
        db = await world.restart(db, ONE, TWO)
        await db.migrate(inserting(db, 9))
        assert await numbers(db) == [1, 7, 2, 8, 9]


async def test_a_failing_migration_leaves_nothing_of_any(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE, TWO, "INSERT INTO nope VALUES (1)")
        with pytest.raises(StatementFailed, match="no such table: nope") as caught:
            await db.migrate(None)
        await db.close(1)
        assert tables(world, db) == []
    assert caught.value.__notes__ == ["in migration 3 of the actor's database"]


async def test_a_failing_on_migrate_leaves_nothing_of_the_migrations(tmp_path: Path) -> None:
    async def on_migrate() -> None:
        await db.execute(TWO)
        raise LookupError

    async with opened(tmp_path) as world:
        db = world.start(ONE)
        with pytest.raises(LookupError):
            await db.migrate(on_migrate)
        await db.close(1)
        assert tables(world, db) == []


async def test_a_failing_migration_leaves_what_was_there_before(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE)
        await db.migrate(None)
        db = await world.restart(db, ONE, TWO, "SELEC")
        with pytest.raises(StatementFailed):
            await db.migrate(None)
        db = await world.restart(db, ONE)
        await db.migrate(None)
        assert await numbers(db) == [1]
        assert await db.version() == 1


async def test_a_migration_that_takes_too_long_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE)
        migrated = asyncio.Event()

        async def on_migrate() -> None:
            migrated.set()
            await db.execute(ENDLESS)

        task = asyncio.create_task(db.migrate(on_migrate))
        await migrated.wait()
        await until_it_runs(db)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await db.close(1)
        assert tables(world, db) == []


async def test_nobody_outside_sees_a_migration_that_is_under_way(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE)
        seen: list[list[object]] = []

        async def on_migrate() -> None:
            seen.append(tables(world, db))

        await db.migrate(on_migrate)
        assert seen == [[]]
        assert "t" in tables(world, db)


async def test_transactions_within_a_migration_are_part_of_it(tmp_path: Path) -> None:
    async def careful(db: ActorDatabase) -> None:
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(LookupError):
            async with db.transaction() as tx:
                await tx.execute("INSERT INTO t VALUES (3)")
                raise LookupError
        await db.executemany("INSERT INTO t VALUES (?)", [(4,)])

    async with one_database(tmp_path, ONE, careful) as db:
        assert await numbers(db) == [1, 2, 4]
    async with opened(tmp_path) as world:
        db = world.start(ONE, careful, "SELEC")
        with pytest.raises(StatementFailed):
            await db.migrate(None)
        await db.close(1)
        assert tables(world, db) == []


@pytest.mark.parametrize(
    "sql", ["COMMIT", "rollback", "END", "BEGIN", "/* */ CoMMiT", TWO + ";END"]
)
async def test_a_migration_cannot_end_its_transaction(tmp_path: Path, sql: str) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE, sql)
        with pytest.raises(NotAuthorized, match="within a migration"):
            await db.migrate(None)
        await db.close(1)
        assert tables(world, db) == []


async def test_a_commit_that_was_prepared_before_is_refused_in_a_migration(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE, "COMMIT")
        await db.execute("BEGIN")
        await db.execute("COMMIT")
        with pytest.raises(NotAuthorized):
            await db.migrate(None)
        await db.close(1)
        assert tables(world, db) == []


async def test_after_a_conflict_that_rolls_back_nothing_of_the_migration_runs(
    tmp_path: Path,
) -> None:
    async def on_migrate() -> None:
        with pytest.raises(ConstraintFailed):
            await db.execute("INSERT OR ROLLBACK INTO u VALUES (1), (1)")
        with pytest.raises(TransactionTerminal):
            await db.execute("CREATE TABLE v (a)")

    async with opened(tmp_path) as world:
        db = world.start("CREATE TABLE u (n UNIQUE)")
        with pytest.raises(TransactionTerminal):
            await db.migrate(on_migrate)
        await db.close(1)
        assert tables(world, db) == []


async def test_a_file_of_a_newer_application_fails_the_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE, TWO)
        await db.migrate(None)
        for older in [(ONE,), ()]:
            db = await world.restart(db, *older)
            with pytest.raises(SchemaNewer, match="2 migrations") as caught:
                await db.migrate(None)
    assert (caught.value.group, caught.value.code) == ("sqlite", "schema_newer")


async def test_statements_after_the_migrations_are_on_their_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        db = world.start(ONE)
        await db.migrate(inserting(db, 2))
        await db.execute("INSERT INTO t VALUES (3)")
        await db.execute("BEGIN")
        await db.execute("ROLLBACK")
        connection = apsw.Connection(str(world.path(db)))
        assert connection.execute("SELECT count(*) FROM t").get == 3
        connection.close()


KILLED = """
import asyncio, os, sys
from pathlib import Path

from tests.fakes.open_databases import opened

ACTOR, FIRST = sys.argv[2], "CREATE TABLE t (n); INSERT INTO t VALUES (1)"


async def second(db):
    await db.execute("CREATE TABLE u (n)")
    await db.executemany("INSERT INTO u VALUES (?)", [(n,) for n in range(5000)])
    os._exit(9)


async def main():
    async with opened(Path(sys.argv[1])) as world:
        db = world.start("CREATE TABLE old (n)", actor_id=ACTOR)
        await db.migrate(None)
        db = await world.restart(db, "CREATE TABLE old (n)", FIRST, second)
        await db.migrate(None)


asyncio.run(main())
"""


async def test_a_process_killed_within_a_migration_leaves_nothing_of_it(tmp_path: Path) -> None:
    actor_id = make_actor_id(3, 1, bytes(16))
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, str(tmp_path), actor_id],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (killed.returncode, killed.stderr) == (9, "")
    async with opened(tmp_path) as world:
        db = world.start("CREATE TABLE old (n)", "CREATE TABLE t (n)", actor_id=actor_id)
        assert await db.version() == 1
        assert set(tables(world, db)) == {"_stator_migrations", "old"}
        await db.migrate(None)
        assert await db.version() == 2
