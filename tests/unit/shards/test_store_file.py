"""Opening a shard's file: what is made, what is checked, what is refused."""

import re
from pathlib import Path

import apsw
import pytest

from stator.shards.store.database import SCHEMA_VERSION, ShardDamaged, ShardFile
from stator.shards.store.statements import SCHEMA_STEPS
from tests.fakes.store_media import SqliteMedium, commit, new_actor, opened

BIG = b"state image " * 400


def _leave_unclean(path: Path) -> None:
    """Make a file look as after a crash: a write-ahead log with something in it is beside it."""
    path.with_name(path.name + "-wal").write_bytes(b"torn")


async def _fill(directory: Path, actors: int = 200) -> Path:
    medium = SqliteMedium(directory)
    with opened(medium) as store:
        rows = [new_actor(pk, key=f"k{pk}") for pk in range(1, actors + 1)]
        await commit(store, *rows, states={pk: BIG for pk in range(1, actors + 1)})
    return medium.file.path


def _damage(path: Path) -> None:
    """Overwrite the middle of the file; its header stays good."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = b"\xa5" * 20_000
    path.write_bytes(data)


def test_an_empty_file_is_migrated_to_the_newest_schema(tmp_path: Path) -> None:
    file = ShardFile(tmp_path, 3, 8)
    file.path.touch()
    connection = file.open_for_writing()
    assert connection.pragma("user_version") == SCHEMA_VERSION
    assert connection.execute("SELECT * FROM shard").fetchall() == [(3, 8)]
    connection.close()


def test_the_schema_steps_follow_one_another_without_gaps() -> None:
    assert list(SCHEMA_STEPS) == list(range(1, SCHEMA_VERSION + 1))


def test_the_newest_schema_is_opened_as_it_is(tmp_path: Path) -> None:
    file = ShardFile(tmp_path, 0, 1)
    file.open_for_writing().close()
    before = file.path.read_bytes()
    file.open_for_writing().close()
    assert file.path.read_bytes() == before


def test_commits_are_synced_to_a_write_ahead_log(tmp_path: Path) -> None:
    connection = ShardFile(tmp_path, 0, 1).open_for_writing()
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2
    assert connection.pragma("foreign_keys") == 1
    connection.close()


def test_the_reading_connection_cannot_write(tmp_path: Path) -> None:
    file = ShardFile(tmp_path, 0, 1)
    writing, reading = file.open_for_writing(), file.open_for_reading()
    with pytest.raises(apsw.ReadOnlyError):
        reading.execute("DELETE FROM actors")
    reading.close()
    writing.close()


def test_a_file_of_a_newer_stator_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    file = ShardFile(tmp_path, 0, 1)
    connection = file.open_for_writing()
    connection.pragma("user_version", SCHEMA_VERSION + 1)
    connection.close()
    with pytest.raises(ShardDamaged, match=rf"version {SCHEMA_VERSION + 1}.*start a newer stator"):
        file.open_for_writing()
    reopened = apsw.Connection(str(file.path))
    assert reopened.pragma("user_version") == SCHEMA_VERSION + 1
    reopened.close()


@pytest.mark.parametrize(("number", "shards"), [(1, 8), (0, 4)])
def test_a_file_of_another_shard_is_refused(tmp_path: Path, number: int, shards: int) -> None:
    original = ShardFile(tmp_path, 0, 8)
    original.open_for_writing().close()
    misplaced = ShardFile(tmp_path, number, shards)
    if misplaced.path != original.path:
        original.path.rename(misplaced.path)
    expected = f"is shard 0 of 8, not shard {number} of {shards}"
    with pytest.raises(ShardDamaged, match=re.escape(expected)):
        misplaced.open_for_writing()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = ShardFile(tmp_path, 0, 1)
    file.path.write_bytes(b"these are not the bytes of a database file\n" * 100)
    with pytest.raises(ShardDamaged, match=re.escape(str(file.path))):
        file.open_for_writing()


async def test_a_damaged_file_is_refused_after_an_unclean_end(tmp_path: Path) -> None:
    path = await _fill(tmp_path)
    _damage(path)
    _leave_unclean(path)
    with pytest.raises(ShardDamaged):
        SqliteMedium(tmp_path).file.open_for_writing()


async def test_a_truncated_file_is_refused_after_an_unclean_end(tmp_path: Path) -> None:
    path = await _fill(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _leave_unclean(path)
    with pytest.raises(ShardDamaged):
        SqliteMedium(tmp_path).file.open_for_writing()


async def test_a_torn_log_after_a_crash_costs_only_what_it_held(tmp_path: Path) -> None:
    path = await _fill(tmp_path, actors=5)
    _leave_unclean(path)
    with opened(SqliteMedium(tmp_path)) as store:
        row = await store.find_by_id("id-5")
        assert row is not None
        assert row.state == BIG


async def test_a_clean_end_leaves_no_log_to_check(tmp_path: Path) -> None:
    path = await _fill(tmp_path)
    assert not path.with_name(path.name + "-wal").exists()


async def test_what_a_crash_left_in_the_log_is_found(tmp_path: Path) -> None:
    medium = SqliteMedium(tmp_path / "live")
    (tmp_path / "live").mkdir()
    (tmp_path / "crashed").mkdir()
    with opened(medium) as store:
        await commit(store, new_actor(1), states={1: b"acknowledged"})
        for file in (tmp_path / "live").iterdir():  # as the disk is when the power goes
            (tmp_path / "crashed" / file.name).write_bytes(file.read_bytes())
    with opened(SqliteMedium(tmp_path / "crashed")) as again:
        row = await again.find_by_id("id-1")
        assert row is not None
        assert row.state == b"acknowledged"
