"""Files of every schema that was ever released are opened, and end up alike."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from stator.runtime.storage import (
    ActorRow,
    ConnectionRow,
    EntryRow,
    FireRow,
    InsertConnection,
    InsertMessage,
    MessageRow,
    PairQuery,
    PutPair,
    PutRun,
    PutSchedule,
    QueueRows,
    RecordSleep,
    RunRow,
    ScheduleRow,
    ShardStorage,
    WorkflowRows,
)
from stator.shards.store.database import SCHEMA_VERSION, ShardFile
from tests.fakes.store_media import SqliteMedium, commit, opened

RECORDED = Path(__file__).parents[2] / "recorded" / "store"
OLD_SCHEMAS = range(1, SCHEMA_VERSION)


def restore(directory: Path, version: int) -> ShardFile:
    """Make the shard file of an earlier schema from its dump."""
    file = ShardFile(directory, 0, 1)
    connection = apsw.Connection(str(file.path))
    connection.execute((RECORDED / f"schema-{version}.sql").read_text())
    assert connection.pragma("user_version") == version
    connection.close()
    return file


def schema(connection: apsw.Connection) -> Sequence[tuple[object, ...]]:
    """Return every table and index with its definition."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
    return rows.fetchall()


@pytest.mark.parametrize("version", OLD_SCHEMAS)
def test_a_migrated_file_has_the_schema_of_a_new_one(tmp_path: Path, version: int) -> None:
    (tmp_path / "new").mkdir()
    new = ShardFile(tmp_path / "new", 0, 1).open_for_writing()
    migrated = restore(tmp_path, version).open_for_writing()
    assert migrated.pragma("user_version") == SCHEMA_VERSION
    assert schema(migrated) == schema(new)
    migrated.close()
    new.close()


async def found(store: ShardStorage) -> list[ActorRow | None]:
    """Look every actor of a recorded file up."""
    return await asyncio.gather(*(store.find_by_id(f"id-{pk}") for pk in range(1, 5)))


async def test_everything_in_a_file_of_schema_1_is_still_found(tmp_path: Path) -> None:
    restore(tmp_path, 1)
    with opened(SqliteMedium(tmp_path)) as store:
        assert await found(store) == [
            ActorRow(
                1, "id-1", "default", "counter", "/a", 1_001, 3, 5_000, b"\xa1aa\x01", b"image of 1"
            ),
            ActorRow(2, "id-2", "default", "counter", "/b", 1_002, 0, None, None, None),
            ActorRow(3, "id-3", "staging", "chat", "/c", 1_003, 0, None, None, b""),
            None,  # its destruction was interrupted
        ]
        assert await store.list_namespaces() == [("default", 1_000), ("staging", 2_000)]


async def test_an_actor_of_schema_1_may_sleep_and_keep_connections(tmp_path: Path) -> None:
    restore(tmp_path, 1)
    with opened(SqliteMedium(tmp_path)) as store:
        await commit(store, InsertConnection(1, "c", b"o", b"c"), RecordSleep(9_000, 1))
        row = await store.find_by_id("id-1")
        assert row is not None
        assert (row.slept_ms, row.connections) == (9_000, [ConnectionRow("c", b"o", b"c")])


async def test_everything_in_a_file_of_schema_2_is_still_found(tmp_path: Path) -> None:
    restore(tmp_path, 2)
    with opened(SqliteMedium(tmp_path)) as store:
        assert await found(store) == [
            ActorRow(
                *(1, "id-1", "default", "counter", "/a", 1_001, 3, 5_000, b"\xa1aa\x01"),
                b"image of 1",
                6_000,
                [
                    ConnectionRow("conn-a", b"opened a", b"changing a"),
                    ConnectionRow("conn-b", b"", b"\0"),
                ],
            ),
            ActorRow(2, "id-2", "default", "counter", "/b", 1_002, 0, None, None, None),
            ActorRow(3, "id-3", "staging", "chat", "/c", 1_003, 1, 7_000, None, b""),
            None,  # its destruction was interrupted
        ]
        assert await store.list_namespaces() == [("default", 1_000), ("staging", 2_000)]


async def test_actors_in_a_file_of_schema_3_are_still_found(tmp_path: Path) -> None:
    restore(tmp_path, 3)
    with opened(SqliteMedium(tmp_path)) as store:
        assert await found(store) == [
            ActorRow(
                *(1, "id-1", "default", "counter", "/a", 1_001, 3, 5_000, b"\xa1aa\x01"),
                b"image of 1",
                6_000,
                [ConnectionRow("conn-a", b"opened a", b"changing a")],
                [
                    ScheduleRow(True, "tick", 9_000, b"every"),
                    ScheduleRow(False, "7c1e", 9_500, b"once"),
                ],
            ),
            ActorRow(2, "id-2", "default", "counter", "/b", 1_002, 0, None, None, None),
            ActorRow(
                *(3, "id-3", "staging", "chat", "/c", 1_003, 1, 7_000, None, b"", None),
                schedules=[ScheduleRow(True, "daily", 9_900, b"cron")],
            ),
            None,  # its destruction was interrupted
        ]
        assert await store.list_namespaces() == [("default", 1_000), ("staging", 2_000)]


async def test_what_actors_own_in_a_file_of_schema_3_is_still_found(tmp_path: Path) -> None:
    restore(tmp_path, 3)
    with opened(SqliteMedium(tmp_path)) as store:
        assert [await store.load_queues(pk) for pk in (1, 2, 3)] == [
            QueueRows([MessageRow(5, "jobs", b"body 5", 8_005)], 5),
            QueueRows([], 9),
            QueueRows(
                [MessageRow(2, "jobs", b"body 2", 8_002), MessageRow(3, "other", b"", 8_003)], 3
            ),
        ]
        assert await store.list_fires(1, "tick", 9) == [
            FireRow(8_000, 8_001, None, "beat", "running", None),
            FireRow(7_000, 7_001, 7_005, "beat", "ok", None),
        ]
        assert await store.list_pairs(1, PairQuery()) == [
            ((b"a", True), "text"),
            ((b"b\xff", False), b"\0\1"),
        ]


async def test_schedules_in_a_file_of_schema_3_still_wake_their_actors(tmp_path: Path) -> None:
    restore(tmp_path, 3)
    with opened(SqliteMedium(tmp_path)) as store:
        assert await store.find_due(1 << 50) == ["id-1", "id-3"]
        assert await store.next_due(9_000) == 9_500


@pytest.mark.parametrize("version", OLD_SCHEMAS)
async def test_an_actor_of_an_old_file_may_have_a_workflow(tmp_path: Path, version: int) -> None:
    restore(tmp_path, version)
    with opened(SqliteMedium(tmp_path)) as store:
        assert await store.load_workflow(1) == WorkflowRows(None, [])
        await commit(store, PutRun(1, "running", 1, True, b"run"), entries={(1, 1): b"entry"})
        run = RunRow("running", 1, True, b"run")
        assert await store.load_workflow(1) == WorkflowRows(run, [EntryRow(1, b"entry")])
        assert (await store.find_live(), await store.find_due(1)) == (["id-1"], ["id-1"])


@pytest.mark.parametrize("version", OLD_SCHEMAS)
async def test_an_actor_of_an_old_file_may_own_what_every_actor_may(
    tmp_path: Path, version: int
) -> None:
    restore(tmp_path, version)
    with opened(SqliteMedium(tmp_path)) as store:
        await commit(
            store,
            PutSchedule(2, True, "tick", 8_000, b"image"),
            PutPair(2, b"key", True, "value"),
            messages=[InsertMessage(2, 10, "jobs", b"body", 9_000)],
        )
        row = await store.find_by_id("id-2")
        assert row is not None
        assert row.schedules == [ScheduleRow(True, "tick", 8_000, b"image")]
        assert await store.get_pairs(2, [b"key"]) == ["value"]
        assert await store.load_queues(2) == QueueRows([MessageRow(10, "jobs", b"body", 9_000)], 10)
