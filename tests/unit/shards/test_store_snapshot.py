"""A look-up is of one commit, although it takes two statements."""

from pathlib import Path

import apsw

from stator.runtime.storage import ConnectionRow, InsertConnection
from stator.shards.store.database import ShardFile
from stator.shards.store.reader import Reader
from stator.shards.store.sqlite_store import SqliteStore
from tests.fakes.store_media import SqliteMedium, commit, new_actor, opened


class Interrupted(ShardFile):
    """A shard file that another writer changes between the two statements of a look-up."""

    def open_for_reading(self) -> apsw.Connection:
        connection = super().open_for_reading()
        connection.set_exec_trace(self._change)
        return connection

    def _change(self, _cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        if "FROM connections" in sql:
            other = apsw.Connection(str(self.path))
            other.execute("UPDATE actors SET generation = 2; DELETE FROM connections")
            other.close()
        return True


async def test_a_commit_during_a_look_up_is_seen_whole_or_not_at_all(tmp_path: Path) -> None:
    with opened(SqliteMedium(tmp_path)) as store:
        await commit(store, new_actor(), InsertConnection(1, "c", b"o", b"c"))
    reader = Reader()
    store = SqliteStore(Interrupted(tmp_path, 0, 1), reader)
    row = await store.find_by_id("id-1")
    store.close()
    reader.close()
    assert row is not None
    assert (row.generation, row.connections) == (0, [ConnectionRow("c", b"o", b"c")])


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
