"""How SQLite goes about what is asked of it often: by an index, whatever else the file holds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import apsw
import pytest

from stator.runtime.storage import (
    DeletePairs,
    InsertActor,
    InsertMessage,
    PairQuery,
    PutPair,
    PutRun,
    PutSchedule,
    Writes,
)
from stator.shards.store.database import ShardFile
from stator.shards.store.look_ups import LookUps
from stator.shards.store.statements import STATEMENTS
from stator.shards.store.transaction import steps

MANY = 100_000
FEW_STEPS = 500
"""Of SQLite's virtual machine. Going through :data:`MANY` rows takes a multiple of their number."""


@contextlib.contextmanager
def connected(directory: Path) -> Generator[apsw.Connection]:
    """Open a new shard file for a block."""
    connection = ShardFile(directory, 0, 1, synchronous="off").open_for_writing()
    try:
        yield connection
    finally:
        connection.close()


def execute(connection: apsw.Connection, writes: Writes) -> None:
    """Make a commit."""
    with connection:
        for statement, bindings in steps(writes):
            connection.execute(statement, bindings)


@contextlib.contextmanager
def many_pairs(directory: Path) -> Generator[apsw.Connection]:
    """Open a shard file with many pairs of one actor for a block."""
    with connected(directory) as connection:
        pairs = [PutPair(1, b"%06d" % number, False, b"") for number in range(10_000)]
        execute(connection, Writes([*actors(1), *pairs]))
        yield connection


def actors(count: int) -> list[InsertActor]:
    """Return the creation of actors 1 to ``count``."""
    return [
        InsertActor(pk, f"id-{pk}", "default", "counter", f"k{pk}", 1, None)
        for pk in range(1, count + 1)
    ]


def steps_of(connection: apsw.Connection, work: Callable[[], object]) -> int:
    """Return how many steps SQLite's virtual machine makes of ``work``."""
    made: list[int] = []
    traced: Any = connection

    def note(event: dict[str, Any]) -> None:
        made.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

    traced.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
    work()
    traced.trace_v2(0)
    assert made, "nothing was executed"
    return sum(made)


def plan(connection: apsw.Connection, statement: str, bindings: tuple[int, ...]) -> list[str]:
    """Return how SQLite means to execute a statement."""
    rows = connection.execute("EXPLAIN QUERY PLAN " + statement, bindings)
    return [str(row[3]) for row in rows]


@pytest.mark.parametrize("statement", ["find_due", "next_due"])
def test_wake_ups_are_found_by_their_indexes(tmp_path: Path, statement: str) -> None:
    with connected(tmp_path) as connection:
        found = plan(connection, STATEMENTS[statement], (1,))
    assert found[0] == "MERGE (UNION ALL)"
    assert [each.split(" (")[0] for each in found if each.startswith("SEARCH ")] == [
        "SEARCH schedules USING COVERING INDEX schedules_by_due",
        "SEARCH a USING INTEGER PRIMARY KEY",
        "SEARCH workflows USING COVERING INDEX workflows_by_due",
        "SEARCH a USING INTEGER PRIMARY KEY",
    ]
    assert not [each for each in found if "TEMP B-TREE" in each or each.startswith("SCAN")]


@pytest.mark.parametrize("statement", ["find_due", "next_due"])
def test_wake_ups_of_another_source_are_merged_without_sorting(
    tmp_path: Path, statement: str
) -> None:
    """So a step that adds a source need not change the statements."""
    with connected(tmp_path) as connection:
        connection.execute(
            "CREATE TABLE more (pk INTEGER, due_ms INTEGER) STRICT;"
            "CREATE INDEX more_by_due ON more (due_ms);"
            "DROP VIEW alarms;"
            "CREATE VIEW alarms (pk, due_ms) AS SELECT pk, due_ms FROM schedules"
            " UNION ALL SELECT pk, due_ms FROM workflows UNION ALL SELECT pk, due_ms FROM more"
        )
        found = plan(connection, STATEMENTS[statement], (1,))
    assert found[0] == "MERGE (UNION ALL)"
    assert not [each for each in found if "TEMP B-TREE" in each or each.startswith("SCAN")]


def test_a_wake_up_is_found_at_once_among_many_schedules(tmp_path: Path) -> None:
    with connected(tmp_path) as connection:
        pending = [PutSchedule(1 + due % 10, False, str(due), due, b"") for due in range(MANY)]
        execute(connection, Writes([*actors(10), *pending]))
        look_ups = LookUps(connection)
        assert steps_of(connection, lambda: look_ups.next_due(MANY // 2)) < FEW_STEPS
        assert steps_of(connection, lambda: look_ups.find_due(5)) < FEW_STEPS


@contextlib.contextmanager
def many_workflows(directory: Path) -> Generator[apsw.Connection]:
    """Open a shard file with an actor for each of many workflows, most of them ended."""
    with connected(directory) as connection:
        count = 20_000
        waiting = [PutRun(pk, "running", pk, False, b"") for pk in range(1, count // 2)]
        ended = [PutRun(pk, "completed", None, False, b"") for pk in range(count // 2, count)]
        live = PutRun(count, "running", None, True, b"")
        execute(connection, Writes([*actors(count), *waiting, *ended, live]))
        yield connection


def test_a_wake_up_is_found_at_once_among_many_workflows(tmp_path: Path) -> None:
    with many_workflows(tmp_path) as connection:
        look_ups = LookUps(connection)
        assert steps_of(connection, lambda: look_ups.next_due(5_000)) < FEW_STEPS
        assert steps_of(connection, lambda: look_ups.find_due(5)) < FEW_STEPS


def test_who_was_interrupted_is_found_at_once_among_many_workflows(tmp_path: Path) -> None:
    with many_workflows(tmp_path) as connection:
        look_ups = LookUps(connection)
        assert steps_of(connection, look_ups.find_live) < FEW_STEPS
        assert look_ups.find_live() == ["id-20000"]


@contextlib.contextmanager
def many_entries(directory: Path) -> Generator[apsw.Connection]:
    """Open a shard file with many entries of two actors for a block."""
    with connected(directory) as connection:
        entries = {(pk, seq): b"" for seq in range(1, 5_001) for pk in (1, 2)}
        entries |= {(3, seq): b"" for seq in range(1, 6)}
        execute(connection, Writes([*actors(3)], entries=entries))
        yield connection


def test_a_workflow_is_loaded_without_going_through_those_of_others(tmp_path: Path) -> None:
    with many_entries(tmp_path) as connection:
        look_ups = LookUps(connection)
        assert len(look_ups.load_workflow(3, whole=True).entries) == 5
        work = steps_of(connection, lambda: look_ups.load_workflow(3, whole=True))
        assert work < FEW_STEPS


def test_an_entry_is_removed_without_going_through_the_others(tmp_path: Path) -> None:
    (removal,) = steps(Writes(entry_removals=[(1, 2_500), (2, 2_501)]))
    with many_entries(tmp_path) as connection:
        assert steps_of(connection, lambda: connection.execute(*removal)) < FEW_STEPS
        assert connection.changes() == 2


@pytest.mark.parametrize("reverse", [False, True])
def test_a_range_of_pairs_is_listed_without_going_through_the_others(
    tmp_path: Path, reverse: bool
) -> None:
    query = PairQuery(b"005000", b"005005", reverse=reverse)
    with many_pairs(tmp_path) as connection:
        look_ups = LookUps(connection)
        assert len(look_ups.list_pairs(1, query)) == 5
        assert steps_of(connection, lambda: look_ups.list_pairs(1, query)) < FEW_STEPS


def test_some_pairs_are_got_without_going_through_the_others(tmp_path: Path) -> None:
    some = [b"000001", b"009999", b"missing"]
    with many_pairs(tmp_path) as connection:
        look_ups = LookUps(connection)
        assert steps_of(connection, lambda: look_ups.get_pairs(1, some)) < FEW_STEPS


def test_a_range_of_pairs_is_deleted_without_going_through_the_others(tmp_path: Path) -> None:
    (removal,) = steps(Writes([DeletePairs(1, b"005000", b"005005")]))
    with many_pairs(tmp_path) as connection:
        assert steps_of(connection, lambda: connection.execute(*removal)) < FEW_STEPS
        assert connection.changes() == 5


def test_a_message_is_removed_without_going_through_the_others(tmp_path: Path) -> None:
    with connected(tmp_path) as connection:
        messages = [InsertMessage(1, number, "q", b"", 0) for number in range(1, 10_001)]
        execute(connection, Writes([*actors(1)], messages))
        (removal,) = steps(Writes(removals=[(1, 5_000), (1, 5_001)]))
        assert steps_of(connection, lambda: connection.execute(*removal)) < FEW_STEPS
        assert connection.changes() == 2
