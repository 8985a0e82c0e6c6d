"""What a crash left of actors that are no more goes when their shard is opened."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from stator.runtime.ids import RANDOM_BYTES, make_actor_id
from stator.runtime.storage import InsertActor, MarkDestroyed, Writes
from stator.shards import database_files
from stator.shards.store.database import ShardFile
from stator.shards.store.transaction import steps

SHARD = 3
COMPANIONS = ("", "-wal", "-shm", "-journal")


class Leftovers:
    """A shard file with actors, and files of databases beside it."""

    def __init__(self, directory: Path) -> None:
        self.file = ShardFile(directory, SHARD, 8)
        self._folder = database_files.folder_of(directory, SHARD)
        self._folder.mkdir()

    def actor(self, pk: int, *, is_destroyed: bool = False) -> str:
        """Store an actor, its mark if it is destroyed, and return its id."""
        actor_id = new_id()
        row = InsertActor(pk, actor_id, "default", "tenant", str(pk), 0, None)
        mark = [MarkDestroyed(pk)] if is_destroyed else []
        connection = self.file.open_for_writing()
        for statement, bindings in steps(Writes([row, *mark])):
            connection.execute(statement, bindings)
        connection.close()
        return actor_id

    def database(self, name: str) -> None:
        """Put a database and what SQLite keeps beside it into the shard's folder."""
        for companion in COMPANIONS:
            (self._folder / f"{name}.sqlite{companion}").write_bytes(b"left")

    def crash(self) -> None:
        """Make the shard file look as after a crash: there is something in its log."""
        self.file.path.with_name(self.file.path.name + "-wal").write_bytes(b"torn")

    def open(self) -> list[str]:
        """Open the shard; return the ids in it."""
        connection = self.file.open_for_writing()
        try:
            return [row[0] for row in connection.execute("SELECT actor_id FROM actors")]
        finally:
            connection.close()

    def left(self) -> list[str]:
        """Return the databases whose files are there, each once."""
        names = {name.partition(".sqlite")[0] for name in os.listdir(self._folder)}
        return sorted(names)


def new_id(shard: int = SHARD) -> str:
    """Return a fresh actor id."""
    return make_actor_id(shard, 0, os.urandom(RANDOM_BYTES))


@pytest.fixture
def leftovers(tmp_path: Path) -> Leftovers:
    return Leftovers(tmp_path)


def test_an_actor_marked_destroyed_goes_with_its_database(leftovers: Leftovers) -> None:
    alive = leftovers.actor(1)
    destroyed = leftovers.actor(2, is_destroyed=True)
    leftovers.database(alive)
    leftovers.database(destroyed)

    assert leftovers.open() == [alive]

    assert leftovers.left() == [alive]


def test_rows_stay_while_a_file_cannot_be_deleted(
    leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = leftovers.actor(1)
    destroyed = leftovers.actor(2, is_destroyed=True)
    leftovers.database(destroyed)

    def fail(_path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(f"not now {missing_ok}")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        with pytest.raises(PermissionError):
            leftovers.file.open_for_writing()

    connection = apsw.Connection(str(leftovers.file.path))
    rows = connection.execute("SELECT actor_id, destroyed FROM actors").fetchall()
    connection.close()
    assert rows == [(alive, 0), (destroyed, 1)]


def test_after_a_crash_databases_of_actors_without_a_row_go(leftovers: Leftovers) -> None:
    alive = leftovers.actor(1)
    leftovers.database(alive)
    leftovers.database(new_id())
    leftovers.crash()

    leftovers.open()

    assert leftovers.left() == [alive]


def test_without_a_crash_nobody_looks_for_databases_of_actors_without_a_row(
    leftovers: Leftovers,
) -> None:
    newer_than_the_shard_file = new_id()
    leftovers.database(newer_than_the_shard_file)

    leftovers.open()

    assert leftovers.left() == [newer_than_the_shard_file]


def test_other_files_in_the_folder_stay(leftovers: Leftovers) -> None:
    leftovers.database("copy-of-monday")
    leftovers.crash()

    leftovers.open()

    assert leftovers.left() == ["copy-of-monday"]


def test_a_shard_without_databases_is_opened_after_a_crash(tmp_path: Path) -> None:
    file = ShardFile(tmp_path, 0, 1)
    file.path.with_name(file.path.name + "-wal").write_bytes(b"torn")

    file.open_for_writing().close()

    assert not database_files.folder_of(tmp_path, 0).exists()
