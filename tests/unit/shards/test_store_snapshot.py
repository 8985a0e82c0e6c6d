"""A look-up is of one commit, although it takes more than one statement."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import apsw

from stator.runtime.storage import (
    ConnectionRow,
    InsertConnection,
    InsertMessage,
    MessageRow,
    PutSchedule,
    QueueRows,
    ScheduleRow,
)
from stator.shards.store.database import ShardFile
from stator.shards.store.reader import Reader
from stator.shards.store.sqlite_store import SqliteStore
from tests.fakes.store_media import SqliteMedium, commit, new_actor, opened


class Interrupted(ShardFile):
    """A shard file that another writer changes before a certain statement of a look-up."""

    def __init__(self, directory: Path, before: str, change: str) -> None:
        super().__init__(directory, 0, 1)
        self._before = before
        self._sql = change

    def open_for_reading(self) -> apsw.Connection:
        connection = super().open_for_reading()
        connection.set_exec_trace(self._change)
        return connection

    def _change(self, _cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        if sql.startswith(self._before):
            other = apsw.Connection(str(self.path))
            other.execute(self._sql)
            other.close()
        return True


@contextmanager
def interrupted(directory: Path, before: str, change: str) -> Generator[SqliteStore]:
    """Open a store whose look-ups another writer interrupts for a block."""
    reader = Reader()
    store = SqliteStore(Interrupted(directory, before, change), reader)
    try:
        yield store
    finally:
        store.close()
        reader.close()


async def test_a_commit_during_a_look_up_is_seen_whole_or_not_at_all(tmp_path: Path) -> None:
    with opened(SqliteMedium(tmp_path)) as store:
        await commit(
            store,
            new_actor(),
            InsertConnection(1, "c", b"o", b"c"),
            PutSchedule(1, True, "tick", 5, b"image"),
        )
    change = "UPDATE actors SET generation = 2; DELETE FROM connections; DELETE FROM schedules"
    with interrupted(tmp_path, "SELECT conn_id", change) as store:
        row = await store.find_by_id("id-1")
    assert row is not None
    assert row.generation == 0
    assert row.connections == [ConnectionRow("c", b"o", b"c")]
    assert row.schedules == [ScheduleRow(True, "tick", 5, b"image")]


async def test_a_commit_while_queues_are_loaded_is_seen_whole_or_not_at_all(
    tmp_path: Path,
) -> None:
    with opened(SqliteMedium(tmp_path)) as store:
        await commit(store, new_actor(), messages=[InsertMessage(1, 1, "q", b"body", 5)])
    change = "DELETE FROM messages; INSERT INTO queues VALUES (1, 2)"
    with interrupted(tmp_path, "SELECT id, name, body", change) as store:
        queues = await store.load_queues(1)
    assert queues == QueueRows([MessageRow(1, "q", b"body", 5)], last_id=1)


async def test_a_look_up_leaves_no_transaction_behind(tmp_path: Path) -> None:
    medium = SqliteMedium(tmp_path)
    with opened(medium) as store:
        await commit(store, new_actor(), InsertConnection(1, "c", b"o", b"c"))
        await store.find_by_id("id-1")
        other = apsw.Connection(str(medium.file.path))
        assert other.execute("SELECT pk FROM actors").fetchall() == [(1,)]
        # A reader that is still within a transaction would keep the log from being emptied.
        in_log, moved = other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        other.close()
        assert (in_log, moved) == (0, 0)
