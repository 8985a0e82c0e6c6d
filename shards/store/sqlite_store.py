"""The store of one shard: a SQLite file behind a writer thread and the worker's reader."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import apsw

from stator.runtime.storage import ActorQuery, ActorRow, CommitDone, ConnectionRow, Writes

from .database import ShardFile
from .reader import Reader
from .statements import STATEMENTS
from .writer import Writer

_Row = tuple[Any, ...]


class SqliteStore:
    """Implements ``runtime.storage.ShardStorage``."""

    def __init__(self, file: ShardFile, reader: Reader, *, checkpoint_pages: int = 1_000) -> None:
        """Open the shard. Raises :class:`~.database.ShardDamaged` or ``apsw.Error``."""
        connection = file.open_for_writing()
        row = connection.execute(STATEMENTS["next_pk"]).get
        self._next_pk = int(row)
        self._read = file.open_for_reading()
        self._reader = reader
        self._writer = Writer(
            connection, name=f"shard {file.number}", checkpoint_pages=checkpoint_pages
        )

    @property
    def next_pk(self) -> int:
        return self._next_pk

    def find_by_key(self, namespace: str, name: str, key: str) -> asyncio.Future[ActorRow | None]:
        return self._reader.run(lambda: self._find("find_by_key", (namespace, name, key)))

    def find_by_id(self, actor_id: str) -> asyncio.Future[ActorRow | None]:
        return self._reader.run(lambda: self._find("find_by_id", (actor_id,)))

    def list_actors(self, query: ActorQuery) -> asyncio.Future[list[ActorRow]]:
        bindings = {
            "namespace": query.namespace,
            "name": query.name,
            "before_ms": query.before_ms,
            "limit": query.limit,
        }
        return self._reader.run(
            lambda: [_to_row(row) for row in self._rows("list_actors", bindings)]
        )

    def list_names(self, namespace: str) -> asyncio.Future[list[str]]:
        return self._reader.run(lambda: [row[0] for row in self._rows("list_names", (namespace,))])

    def list_namespaces(self) -> asyncio.Future[list[tuple[str, int]]]:
        return self._reader.run(lambda: [(row[0], row[1]) for row in self._rows("list_namespaces")])

    def commit(self, writes: Writes, done: CommitDone) -> None:
        self._writer.submit(writes, done)

    def close(self) -> None:
        # The reading connection first: the last one to close empties the write-ahead log, and
        # only a writer can.
        self._read.close()
        self._writer.close()

    def _find(self, statement: str, bindings: _Row) -> ActorRow | None:
        with closing(self._read.execute(STATEMENTS[statement], bindings)) as cursor:
            found = cursor.fetchone()
            if found is None:
                return None
            row = _to_row(found)
            # The first statement is not exhausted yet, so both see the file as of one commit.
            kept = self._rows("find_connections", (row.pk,))
            row.connections = [ConnectionRow(*each) for each in kept]
            return row

    def _rows(self, statement: str, bindings: _Row | dict[str, Any] = ()) -> list[_Row]:
        cursor: apsw.Cursor = self._read.execute(STATEMENTS[statement], bindings)
        return cursor.fetchall()


def _to_row(row: _Row) -> ActorRow:
    return ActorRow(*row)
