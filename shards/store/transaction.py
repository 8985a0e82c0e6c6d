"""What a commit executes: one statement for each operation, as few as possible for the many rows.

Messages and states come by the thousand a second, everything else seldom. So these go many rows
to a statement; the statement for each number of rows is prepared once.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    InsertMessage,
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

from .statements import STATEMENTS, insert_messages, upsert_states

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
    RecordLastMessage: STATEMENTS["record_last_message"],
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
_REMOVE = STATEMENTS["delete_messages"]


def steps(writes: Writes) -> list[Step]:
    """Return the statements of a commit, in the order ``Writes`` promises."""
    result: list[Step] = [
        (_SQL[type(each)], msgspec.structs.astuple(each)) for each in writes.operations
    ]
    if writes.messages:
        result.extend(_add_messages(writes.messages))
    if writes.removals:
        result.append((_REMOVE, (msgspec.json.encode(writes.removals).decode(),)))
    if writes.states:
        result.extend(_store_states(writes.states))
    return result


def _add_messages(messages: list[InsertMessage]) -> Iterator[Step]:
    for start in range(0, len(messages), _ROWS):
        rows = messages[start : start + _ROWS]
        yield _INSERTS[len(rows)], [part for row in rows for part in msgspec.structs.astuple(row)]


def _store_states(states: dict[int, bytes]) -> Iterator[Step]:
    bindings = [part for item in states.items() for part in item]
    for start in range(0, len(bindings), 2 * _ROWS):
        part = bindings[start : start + 2 * _ROWS]
        yield _UPSERTS[len(part) // 2], part
