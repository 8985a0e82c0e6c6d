"""What a commit executes: one statement for each operation, as few as possible for the many rows.

Messages, their ids and states come by the thousand a second, everything else seldom. So these go
many rows to a statement; the statement for each number of rows is prepared once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    PutSchedule,
    RecordLastMessage,
    RecordSleep,
    RecordStart,
    UpdateConnection,
    Writes,
)

from .statements import STATEMENTS, insert_messages, upsert_last_messages, upsert_states

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
    InsertNamespace: STATEMENTS["insert_namespace"],
}

_ROWS = 64
"""The most rows one statement stores; each size is a statement that SQLite prepares once."""
_INSERTS = [insert_messages(rows) for rows in range(_ROWS + 1)]
_UPSERTS = [upsert_states(rows) for rows in range(_ROWS + 1)]
_LAST_MESSAGES = [upsert_last_messages(rows) for rows in range(_ROWS + 1)]
_REMOVE = STATEMENTS["delete_messages"]


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
        result.append((_REMOVE, (msgspec.json.encode(writes.removals).decode(),)))
    if writes.states:
        result.extend(_store_states(writes.states))
    return result


def _in_rows(records: Iterable[msgspec.Struct], statements: list[str]) -> Iterator[Step]:
    """Yield statements that store so many records each; ``statements`` is by their number."""
    tuples = list(map(msgspec.structs.astuple, records))
    for start in range(0, len(tuples), _ROWS):
        rows = tuples[start : start + _ROWS]
        yield statements[len(rows)], [part for row in rows for part in row]


def _store_states(states: dict[int, bytes]) -> Iterator[Step]:
    bindings = [part for item in states.items() for part in item]
    for start in range(0, len(bindings), 2 * _ROWS):
        part = bindings[start : start + 2 * _ROWS]
        yield _UPSERTS[len(part) // 2], part
