"""A store of dictionaries: the in-memory twin of ``shards.store.SqliteStore``.

``tests/contract`` holds both to the same promises. Beyond them a test may hold commits and
look-ups back, let a commit fail, and read what was committed.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from stator.runtime.storage import (
    ActorQuery,
    ActorRow,
    CommitDone,
    EntryRow,
    FireRow,
    PairKey,
    PairQuery,
    QueueRows,
    WorkflowRows,
    Writes,
)
from stator.runtime.workflow.entries import ENDED
from tests.fakes.memory_disk import MemoryDisk as MemoryDisk
from tests.fakes.memory_disk import apply, copied, copied_all, in_range

T = TypeVar("T")


class MemoryStore:
    """Implements ``runtime.storage.ShardStorage``."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = MemoryDisk() if disk is None else disk
        self.commits: list[Writes] = []
        """Every commit that was made, in order."""
        self.failed: list[Exception] = []
        """Why the others were not."""
        for pk in self.disk.destroyed:
            self.disk.delete_actor(pk)
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

    def find_due(self, until_ms: int) -> asyncio.Future[list[str]]:
        due = (actor_id for due_ms, actor_id in self.disk.wake_ups() if due_ms <= until_ms)
        return self._answer(list(dict.fromkeys(due)))

    def next_due(self, after_ms: int) -> asyncio.Future[int | None]:
        later = (due_ms for due_ms, _ in self.disk.wake_ups() if due_ms > after_ms)
        return self._answer(next(later, None))

    def load_queues(self, pk: int) -> asyncio.Future[QueueRows]:
        owned = self.disk.belongings(pk)
        messages = [owned.messages[each] for each in sorted(owned.messages)]
        last_id = max(owned.last_id, max(owned.messages, default=0))
        return self._answer(QueueRows(copied_all(messages), last_id))

    def load_workflow(self, pk: int, *, whole: bool = True) -> asyncio.Future[WorkflowRows]:
        owned = self.disk.belongings(pk)
        run = owned.run and msgspec.structs.replace(owned.run)
        if run is not None and run.status in ENDED and not whole:
            return self._answer(WorkflowRows(run, []))
        entries = [EntryRow(seq, image) for seq, image in sorted(owned.entries.items())]
        return self._answer(WorkflowRows(run, entries))

    def find_live(self) -> asyncio.Future[list[str]]:
        rows = sorted(self.disk.live(), key=lambda row: row.pk)
        runs = ((row, self.disk.belongings(row.pk).run) for row in rows)
        return self._answer([row.actor_id for row, run in runs if run is not None and run.is_live])

    def list_fires(self, pk: int, name: str, limit: int) -> asyncio.Future[list[FireRow]]:
        fires = self.disk.belongings(pk).fires
        places = sorted((each for each in fires if each[1] == name), reverse=True)
        return self._answer(copied_all(fires[place] for place in places[:limit]))

    def get_pairs(self, pk: int, keys: Sequence[bytes]) -> asyncio.Future[list[bytes | str | None]]:
        pairs = self.disk.belongings(pk).pairs
        return self._answer([pairs[key].value if key in pairs else None for key in keys])

    def list_pairs(
        self, pk: int, query: PairQuery
    ) -> asyncio.Future[list[tuple[PairKey, bytes | str]]]:
        pairs = self.disk.belongings(pk).pairs
        keys = [key for key in pairs if in_range(key, query.start, query.end)]
        keys.sort(reverse=query.reverse)
        found = [pairs[key] for key in keys[: query.limit]]
        return self._answer([((each.key, each.is_text), each.value) for each in found])

    def list_actors(self, query: ActorQuery) -> asyncio.Future[list[ActorRow]]:
        rows = [
            msgspec.structs.replace(row, input=None, state=None, connections=(), schedules=())
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
        return self._answer(None if row is None else copied(row))

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
            apply(changed, writes)
        except Exception as problem:
            error = problem
            self.failed.append(problem)
        else:
            self.commits.append(writes)
            vars(self.disk).update(vars(changed))
        self._loop.call_soon(done, error)
