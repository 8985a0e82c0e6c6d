"""A store of dictionaries: the in-memory twin of ``shards.store.SqliteStore``.

``tests/contract`` holds both to the same promises. Beyond them a test may hold commits and
look-ups back, let a commit fail, and read what was committed.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from stator.runtime.storage import (
    ActorQuery,
    ActorRow,
    CommitDone,
    ConnectionRow,
    DeleteActor,
    DeleteConnection,
    InsertActor,
    InsertConnection,
    InsertNamespace,
    MarkDestroyed,
    Operation,
    RecordSleep,
    RecordStart,
    UpdateConnection,
    Writes,
)

T = TypeVar("T")


class Refused(Exception):
    """A write that the schema does not allow."""


@dataclass
class MemoryDisk:
    """What survives the store that wrote it."""

    actors: dict[int, ActorRow] = field(default_factory=dict[int, ActorRow])
    destroyed: frozenset[int] = frozenset()
    namespaces: dict[str, int] = field(default_factory=dict[str, int])

    def live(self) -> list[ActorRow]:
        """Return the actors that exist."""
        return [row for pk, row in self.actors.items() if pk not in self.destroyed]

    def copy(self) -> MemoryDisk:
        """Return a disk of its own with the same content."""
        actors = {pk: _copy(row) for pk, row in self.actors.items()}
        return MemoryDisk(actors, self.destroyed, dict(self.namespaces))


class MemoryStore:
    """Implements ``runtime.storage.ShardStorage``."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = MemoryDisk() if disk is None else disk
        self.commits: list[Writes] = []
        """Every commit that was made, in order."""
        self.failed: list[Exception] = []
        """Why the others were not."""
        for pk in self.disk.destroyed:
            del self.disk.actors[pk]
        self.disk.destroyed = frozenset()
        self._next_pk = max(self.disk.actors, default=0) + 1
        self._loop = asyncio.get_running_loop()
        self._under_way: tuple[Writes, CommitDone] | None = None
        self._failures: list[Exception] = []
        self._holds_commits = False
        self._held_look_ups: list[Callable[[], None]] | None = None

    # -- what a test may do

    def hold_commits(self) -> None:
        """Let every commit wait for :meth:`release_commit`."""
        self._holds_commits = True

    def release_commits(self) -> None:
        """Make the commit that waits, and no longer hold those to come."""
        self._holds_commits = False
        if self._under_way is not None:
            self._make()

    def release_commit(self) -> None:
        """Make the commit that waits; those to come are held as well."""
        assert self._under_way is not None, "no commit waits"
        self._make()

    @property
    def is_committing(self) -> bool:
        """Whether a commit is under way."""
        return self._under_way is not None

    def fail_next_commit(self, error: Exception | None = None) -> None:
        """Let the next commit that is made fail, as on a full disk if nothing else is said."""
        self._failures.append(error or OSError(errno.ENOSPC, "No space left on device"))

    def hold_look_ups(self) -> None:
        """Answer look-ups only at :meth:`release_look_ups`, from what was there when they came."""
        self._held_look_ups = []

    def release_look_ups(self) -> None:
        """Answer the look-ups that wait, and those to come at once."""
        for answer in self.take_look_ups():
            answer()

    def take_look_ups(self) -> list[Callable[[], None]]:
        """Return what answers the look-ups that wait, to be called when the test wants them to
        be answered; those to come are answered at once."""
        held, self._held_look_ups = self._held_look_ups or [], None
        return held

    # -- the interface

    @property
    def next_pk(self) -> int:
        return self._next_pk

    def find_by_key(self, namespace: str, name: str, key: str) -> asyncio.Future[ActorRow | None]:
        wanted = (namespace, name, key)
        return self._find(lambda row: (row.namespace, row.name, row.key) == wanted)

    def find_by_id(self, actor_id: str) -> asyncio.Future[ActorRow | None]:
        return self._find(lambda row: row.actor_id == actor_id)

    def list_actors(self, query: ActorQuery) -> asyncio.Future[list[ActorRow]]:
        rows = [
            msgspec.structs.replace(row, input=None, state=None, connections=[])
            for row in self.disk.live()
            if row.namespace == query.namespace
            and query.name in (None, row.name)
            and (query.before_ms is None or row.created_ms < query.before_ms)
        ]
        rows.sort(key=lambda row: (row.created_ms, row.pk), reverse=True)
        return self._answer(rows[: query.limit])

    def list_names(self, namespace: str) -> asyncio.Future[list[str]]:
        names = {row.name for row in self.disk.live() if row.namespace == namespace}
        return self._answer(list(names))

    def list_namespaces(self) -> asyncio.Future[list[tuple[str, int]]]:
        return self._answer(sorted(self.disk.namespaces.items()))

    def commit(self, writes: Writes, done: CommitDone) -> None:
        assert self._under_way is None, "one commit is under way at most"
        self._under_way = (writes, done)
        if not self._holds_commits:
            self._loop.call_soon(self._make)

    def close(self) -> None:
        if self._under_way is not None:
            self._make()

    # -- how it works

    def _find(self, matches: Callable[[ActorRow], bool]) -> asyncio.Future[ActorRow | None]:
        row = next(filter(matches, self.disk.live()), None)
        return self._answer(None if row is None else _copy(row))

    def _answer(self, result: T) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()

        def deliver() -> None:
            if not future.done():
                future.set_result(result)

        if self._held_look_ups is None:
            self._loop.call_soon(deliver)
        else:
            self._held_look_ups.append(deliver)
        return future

    def _make(self) -> None:
        if self._under_way is None:
            return  # a test released it first
        (writes, done), self._under_way = self._under_way, None
        error: Exception | None = None
        try:
            if self._failures:
                raise self._failures.pop(0)
            changed = self.disk.copy()
            _apply(changed, writes)
        except Exception as problem:
            error = problem
            self.failed.append(problem)
        else:
            self.commits.append(writes)
            vars(self.disk).update(vars(changed))
        self._loop.call_soon(done, error)


def _copy(row: ActorRow) -> ActorRow:
    kept = [msgspec.structs.replace(connection) for connection in row.connections]
    return msgspec.structs.replace(row, connections=kept)


def _apply(disk: MemoryDisk, writes: Writes) -> None:
    for operation in writes.operations:
        _apply_operation(disk, operation)
    for pk, image in writes.states.items():
        if pk not in disk.actors:
            raise Refused(f"a state for actor {pk}, which is not there")
        disk.actors[pk].state = image


def _apply_operation(disk: MemoryDisk, operation: Operation) -> None:
    match operation:
        case InsertActor():
            _insert(disk, operation)
        case RecordStart(generation, started_ms, pk):
            if pk in disk.actors:
                row = disk.actors[pk]
                row.generation, row.started_ms = generation, started_ms
        case RecordSleep(slept_ms, pk):
            if pk in disk.actors:
                disk.actors[pk].slept_ms = slept_ms
        case MarkDestroyed(pk):
            disk.destroyed |= disk.actors.keys() & {pk}
        case DeleteActor(pk):
            disk.actors.pop(pk, None)
            disk.destroyed -= {pk}
        case InsertNamespace(name, created_ms):
            disk.namespaces.setdefault(name, created_ms)
        case InsertConnection() | UpdateConnection() | DeleteConnection():
            _apply_to_connections(disk, operation)


def _apply_to_connections(
    disk: MemoryDisk, operation: InsertConnection | UpdateConnection | DeleteConnection
) -> None:
    row = disk.actors.get(operation.pk)
    kept = {} if row is None else {each.conn_id: each for each in row.connections}
    match operation:
        case InsertConnection(pk, conn_id, opened, changing):
            if row is None:
                raise Refused(f"a connection of actor {pk}, which is not there")
            kept[conn_id] = ConnectionRow(conn_id, opened, changing)
        case UpdateConnection(changing, _, conn_id):
            if conn_id in kept:
                kept[conn_id].changing = changing
        case DeleteConnection(_, conn_id):
            kept.pop(conn_id, None)
    if row is not None:
        row.connections = [kept[conn_id] for conn_id in sorted(kept)]


def _insert(disk: MemoryDisk, new: InsertActor) -> None:
    identity = (new.namespace, new.name, new.key)
    if any((row.namespace, row.name, row.key) == identity for row in disk.live()):
        raise Refused(f"a second live actor {identity}")
    if new.pk in disk.actors or any(row.actor_id == new.actor_id for row in disk.actors.values()):
        raise Refused(f"actor {new.pk} {new.actor_id} is there already")
    disk.actors[new.pk] = ActorRow(
        new.pk,
        new.actor_id,
        new.namespace,
        new.name,
        new.key,
        new.created_ms,
        generation=0,
        started_ms=None,
        input=new.input,
        state=None,
    )
