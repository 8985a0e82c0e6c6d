"""The store of one shard: a SQLite file behind a writer thread and the worker's reader."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stator.runtime.storage import (
    ActorQuery,
    ActorRow,
    CommitDone,
    FireRow,
    PairKey,
    PairQuery,
    QueueRows,
    WorkflowRows,
    Writes,
)

from .database import ShardFile
from .look_ups import LookUps
from .reader import Reader
from .statements import STATEMENTS
from .writer import Writer


class SqliteStore:
    """Implements ``runtime.storage.ShardStorage``."""

    def __init__(self, file: ShardFile, reader: Reader, *, checkpoint_pages: int = 1_000) -> None:
        """Open the shard. Raises :class:`~.database.ShardDamaged` or ``apsw.Error``."""
        connection = file.open_for_writing()
        row = connection.execute(STATEMENTS["next_pk"]).get
        self._next_pk = int(row)
        self._look_ups = LookUps(file.open_for_reading())
        self._run = reader.run
        self._writer = Writer(
            connection, name=f"shard {file.number}", checkpoint_pages=checkpoint_pages
        )

    @property
    def next_pk(self) -> int:
        return self._next_pk

    def find_by_key(self, namespace: str, name: str, key: str) -> asyncio.Future[ActorRow | None]:
        return self._run(lambda: self._look_ups.find_by_key(namespace, name, key))

    def find_by_id(self, actor_id: str) -> asyncio.Future[ActorRow | None]:
        return self._run(lambda: self._look_ups.find_by_id(actor_id))

    def find_due(self, until_ms: int) -> asyncio.Future[list[str]]:
        return self._run(lambda: self._look_ups.find_due(until_ms))

    def next_due(self, after_ms: int) -> asyncio.Future[int | None]:
        return self._run(lambda: self._look_ups.next_due(after_ms))

    def load_queues(self, pk: int) -> asyncio.Future[QueueRows]:
        return self._run(lambda: self._look_ups.load_queues(pk))

    def load_workflow(self, pk: int, *, whole: bool = True) -> asyncio.Future[WorkflowRows]:
        return self._run(lambda: self._look_ups.load_workflow(pk, whole=whole))

    def find_live(self) -> asyncio.Future[list[str]]:
        return self._run(self._look_ups.find_live)

    def list_fires(self, pk: int, name: str, limit: int) -> asyncio.Future[list[FireRow]]:
        return self._run(lambda: self._look_ups.list_fires(pk, name, limit))

    def get_pairs(self, pk: int, keys: Sequence[bytes]) -> asyncio.Future[list[bytes | str | None]]:
        return self._run(lambda: self._look_ups.get_pairs(pk, keys))

    def list_pairs(
        self, pk: int, query: PairQuery
    ) -> asyncio.Future[list[tuple[PairKey, bytes | str]]]:
        return self._run(lambda: self._look_ups.list_pairs(pk, query))

    def list_actors(self, query: ActorQuery) -> asyncio.Future[list[ActorRow]]:
        return self._run(lambda: self._look_ups.list_actors(query))

    def list_names(self, namespace: str) -> asyncio.Future[list[str]]:
        return self._run(lambda: self._look_ups.list_names(namespace))

    def list_namespaces(self) -> asyncio.Future[list[tuple[str, int]]]:
        return self._run(self._look_ups.list_namespaces)

    def commit(self, writes: Writes, done: CommitDone) -> None:
        self._writer.submit(writes, done)

    def close(self) -> None:
        # The reading connection first: the last one to close empties the write-ahead log, and
        # only a writer can.
        self._look_ups.close()
        self._writer.close()
