"""What a commit executes: one statement for each operation, as few as possible for the many rows.

Messages, their ids, entries of workflows and states come by the thousand a second, everything else
seldom. So these go many rows to a statement; the statement for each number of rows is prepared
once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from stator.runtime.storage import (
    DeleteActor,
    DeleteConnection,
    DeletePair,
    DeletePairs,
    DeleteSchedule,
    InsertActor,
    InsertConnection,
    InsertNamespace,
    InterruptFires,
    MarkDestroyed,
    Operation,
    PruneAllFires,
    PruneFires,
    PutFire,
    PutPair,
    PutRun,
    PutSchedule,
    RecordLastMessage,
    RecordSleep,
    RecordStart,
    UpdateConnection,
    Writes,
)

from .statements import (
    STATEMENTS,
    insert_messages,
    upsert_entries,
    upsert_last_messages,
    upsert_states,
)

Step = tuple[str, tuple[Any, ...] | list[Any]]
"""A statement and its bindings."""

_SQL: dict[type[Operation], str] = {
    InsertActor: STATEMENTS["insert_actor"],
    RecordStart: STATEMENTS["record_start"],
    RecordSleep: STATEMENTS["record_sleep"],
    MarkDestroyed: STATEMENTS["mark_destroyed"],
    DeleteActor: STATEMENTS["delete_actor"],
    InsertConnection: STATEMENTS["insert_connection"],
    UpdateConnection: STATEMENTS["update_connection"],
    DeleteConnection: STATEMENTS["delete_connection"],
    PutSchedule: STATEMENTS["put_schedule"],
    DeleteSchedule: STATEMENTS["delete_schedule"],
    PutFire: STATEMENTS["put_fire"],
    InterruptFires: STATEMENTS["interrupt_fires"],
    PruneFires: STATEMENTS["prune_fires"],
    PruneAllFires: STATEMENTS["prune_all_fires"],
    PutPair: STATEMENTS["put_pair"],
    DeletePair: STATEMENTS["delete_pair"],
    DeletePairs: STATEMENTS["delete_pairs"],
    PutRun: STATEMENTS["put_run"],
    InsertNamespace: STATEMENTS["insert_namespace"],
}

_ROWS = 64
"""The most rows one statement stores; each size is a statement that SQLite prepares once."""
_INSERTS = [insert_messages(rows) for rows in range(_ROWS + 1)]
_UPSERTS = [upsert_states(rows) for rows in range(_ROWS + 1)]
_LAST_MESSAGES = [upsert_last_messages(rows) for rows in range(_ROWS + 1)]
_ENTRIES = [upsert_entries(rows) for rows in range(_ROWS + 1)]
_REMOVE = STATEMENTS["delete_messages"]
_REMOVE_ENTRIES = STATEMENTS["delete_entries"]


def steps(writes: Writes) -> list[Step]:
    """Return the statements of a commit, in the order ``Writes`` promises."""
    result: list[Step] = []
    for kind, operations in groupby(writes.operations, type):
        if kind is RecordLastMessage:
            result.extend(_in_rows(operations, _LAST_MESSAGES))
        else:
            result.extend((_SQL[kind], msgspec.structs.astuple(each)) for each in operations)
    if writes.messages:
        result.extend(_in_rows(writes.messages, _INSERTS))
    if writes.removals:
        result.append((_REMOVE, _as_json(writes.removals)))
    if writes.entry_removals:
        result.append((_REMOVE_ENTRIES, _as_json(writes.entry_removals)))
    if writes.entries:
        places = ((*place, image) for place, image in writes.entries.items())
        result.extend(_rows_to_steps(list(places), _ENTRIES))
    if writes.states:
        result.extend(_rows_to_steps(list(writes.states.items()), _UPSERTS))
    return result


def _as_json(places: list[tuple[int, int]]) -> tuple[str]:
    return (msgspec.json.encode(places).decode(),)


def _in_rows(records: Iterable[msgspec.Struct], statements: list[str]) -> Iterator[Step]:
    return _rows_to_steps(list(map(msgspec.structs.astuple, records)), statements)


def _rows_to_steps(tuples: Sequence[tuple[Any, ...]], statements: list[str]) -> Iterator[Step]:
    """Yield statements that store so many rows each; ``statements`` is by their number."""
    for start in range(0, len(tuples), _ROWS):
        rows = tuples[start : start + _ROWS]
        yield statements[len(rows)], [part for row in rows for part in row]
