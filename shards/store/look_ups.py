"""The look-ups of a shard, by a connection of their own that only reads; they block."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw

from stator.runtime.storage import (
    ActorQuery,
    ActorRow,
    ConnectionRow,
    EntryRow,
    FireRow,
    MessageRow,
    PairKey,
    PairQuery,
    QueueRows,
    RunRow,
    ScheduleRow,
    WorkflowRows,
)
from stator.runtime.workflow.entries import ENDED

from .statements import STATEMENTS

T = TypeVar("T")

_Row = tuple[Any, ...]
_Bindings = _Row | dict[str, Any]


class LookUps:
    """Reads what was committed. What one look-up returns is as of one commit."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # -- actors

    def find_by_key(self, namespace: str, name: str, key: str) -> ActorRow | None:
        """Return the live actor of an identity."""
        return self._with_first("find_by_key", (namespace, name, key), self._complete)

    def find_by_id(self, actor_id: str) -> ActorRow | None:
        """Return the live actor of an id."""
        return self._with_first("find_by_id", (actor_id,), self._complete)

    def find_due(self, until_ms: int) -> list[str]:
        """Return the ids of live actors that have to be awake by then, the earliest first."""
        return list(dict.fromkeys(row[0] for row in self._rows("find_due", (until_ms,))))

    def next_due(self, after_ms: int) -> int | None:
        """Return when a live actor has to be awake next."""
        rows = self._rows("next_due", (after_ms,))
        return rows[0][0] if rows else None

    def find_live(self) -> list[str]:
        """Return the ids of live actors whose workflow is under way."""
        return [row[0] for row in self._rows("find_live")]

    def list_actors(self, query: ActorQuery) -> list[ActorRow]:
        """Return actors, newest first."""
        bindings = {
            "namespace": query.namespace,
            "name": query.name,
            "before_ms": query.before_ms,
            "limit": query.limit,
        }
        return [ActorRow(*row) for row in self._rows("list_actors", bindings)]

    def list_names(self, namespace: str) -> list[str]:
        """Return the distinct names of live actors of a namespace."""
        return [row[0] for row in self._rows("list_names", (namespace,))]

    def list_namespaces(self) -> list[tuple[str, int]]:
        """Return all namespaces."""
        return [(row[0], row[1]) for row in self._rows("list_namespaces")]

    # -- what an actor owns

    def load_queues(self, pk: int) -> QueueRows:
        """Return the messages of an actor and the greatest id ever used."""

        def load(row: _Row) -> QueueRows:
            messages = [MessageRow(*each) for each in self._rows("find_messages", (pk,))]
            return QueueRows(messages, row[0])

        queues = self._with_first("find_last_id", (pk,), load)
        assert queues is not None, "an aggregate has one row"
        return queues

    def load_workflow(self, pk: int, *, whole: bool) -> WorkflowRows:
        """Return an actor's workflow; of one that has ended without entries unless ``whole``."""

        def load(row: _Row) -> WorkflowRows:
            status, due_ms, is_live, image = row
            run = None if status is None else RunRow(status, due_ms, bool(is_live), image)
            if status in ENDED and not whole:
                return WorkflowRows(run, [])
            return WorkflowRows(
                run, [EntryRow(*each) for each in self._rows("find_entries", (pk,))]
            )

        workflow = self._with_first("find_run", (pk,), load)
        assert workflow is not None, "an outer join has a row"
        return workflow

    def list_fires(self, pk: int, name: str, limit: int) -> list[FireRow]:
        """Return the history of a recurring schedule, newest first."""
        return [FireRow(*row) for row in self._rows("list_fires", (pk, name, limit))]

    def get_pairs(self, pk: int, keys: Sequence[bytes]) -> list[bytes | str | None]:
        """Return the values of ``keys``, in their order."""
        if len(keys) == 1:
            rows = self._rows("get_pair", (pk, keys[0]))
            return [rows[0][0] if rows else None]
        wanted = json.dumps([key.hex() for key in keys])
        found: dict[bytes, bytes | str] = dict(self._rows("get_pairs", (pk, wanted)))
        return [found.get(key) for key in keys]

    def list_pairs(self, pk: int, query: PairQuery) -> list[tuple[PairKey, bytes | str]]:
        """Return pairs of a range of keys."""
        bindings = {
            "pk": pk,
            "start": query.start,
            "end": query.end,
            "limit": -1 if query.limit is None else query.limit,
        }
        statement = "list_pairs_reversed" if query.reverse else "list_pairs"
        rows = self._rows(statement, bindings)
        return [((key, bool(is_text)), value) for key, is_text, value in rows]

    # -- how it works

    def _complete(self, found: _Row) -> ActorRow:
        # Few actors have either, and each statement makes this thread wait for the interpreter.
        *fields, has_connections, has_schedules = found
        row = ActorRow(*fields)
        if has_connections:
            kept = self._rows("find_connections", (row.pk,))
            row.connections = [ConnectionRow(*each) for each in kept]
        if has_schedules:
            pending = self._rows("find_schedules", (row.pk,))
            row.schedules = [ScheduleRow(bool(each[0]), *each[1:]) for each in pending]
        return row

    def _with_first(self, statement: str, bindings: _Row, use: Callable[[_Row], T]) -> T | None:
        """Return what ``use`` makes of the first row of a statement.

        The statement is not exhausted until then, so that what ``use`` reads is as of the same
        commit.
        """
        cursor: apsw.Cursor = self._connection.execute(STATEMENTS[statement], bindings)
        try:
            row = cursor.fetchone()
            return None if row is None else use(row)
        finally:
            cursor.close()

    def _rows(self, statement: str, bindings: _Bindings = ()) -> list[_Row]:
        cursor: apsw.Cursor = self._connection.execute(STATEMENTS[statement], bindings)
        return cursor.fetchall()
