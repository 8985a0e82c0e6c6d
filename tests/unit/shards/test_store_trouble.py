"""A disk that is full or broken: the commit says so, nothing half is stored, the next one works."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from stator.runtime import faults
from stator.runtime.storage import RecordStart
from tests.fakes.engine_in_process import wait_until
from tests.fakes.store_media import SqliteMedium, commit, new_actor, opened


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Leave no fault armed for other tests."""
    yield
    for name in ("commit.before", "commit.before_sync", "commit.after"):
        faults.disarm(name)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 KiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("point", ["commit.before", "commit.before_sync"])
async def test_a_full_disk_fails_the_commit_and_the_next_one_works(
    tmp_path: Path, point: str
) -> None:
    with opened(SqliteMedium(tmp_path)) as store:
        await commit(store, new_actor(1), states={1: b"good"})
        faults.arm(point, faults.fail_disk_full)
        with pytest.raises(OSError, match="No space left"):
            await commit(store, RecordStart(5, 5, 1), new_actor(2, key="l"), states={1: b"lost"})
        faults.disarm(point)
        row = await store.find_by_id("id-1")
        assert row is not None
        assert (row.generation, row.state) == (0, b"good")
        await commit(store, new_actor(2, key="l"), states={1: b"better"})
        assert await store.find_by_id("id-2") is not None


async def test_an_error_sqlite_does_not_know_fails_the_commit_and_not_the_writer(
    tmp_path: Path,
) -> None:
    with opened(SqliteMedium(tmp_path)) as store:
        with pytest.raises(UnicodeEncodeError):
            await commit(store, new_actor(1, key="\ud800"))
        await commit(store, new_actor(1))
        assert await store.find_by_id("id-1") is not None


async def test_a_really_full_disk_fails_commits_until_there_is_room(small_disk: Path) -> None:
    with opened(SqliteMedium(small_disk)) as store:
        await commit(store, new_actor(1), states={1: b"good"})
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        with pytest.raises((apsw.FullError, apsw.IOError)):
            await commit(store, new_actor(2, key="l"), states={1: bytes(100_000)})
        filler.unlink()
        row = await store.find_by_id("id-1")
        assert row is not None
        assert row.state == b"good"
        assert await store.find_by_id("id-2") is None
        await commit(store, new_actor(2, key="l"), states={1: b"better"})
    with opened(SqliteMedium(small_disk)) as again:
        row = await again.find_by_id("id-1")
        assert row is not None
        assert row.state == b"better"


async def test_a_long_log_is_moved_into_the_file_between_commits(tmp_path: Path) -> None:
    medium = SqliteMedium(tmp_path, checkpoint_pages=20)
    with opened(medium) as store:
        await commit(store, new_actor(1), states={1: bytes(400_000)})
        await wait_until(lambda: medium.file.path.stat().st_size > 400_000, "a checkpoint")
        await commit(store, states={1: b"small"})
