"""The two kinds of store behind one door: where a store of a shard is kept and opened again."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from stator.runtime.storage import InsertActor, InsertMessage, Operation, ShardStorage, Writes
from stator.shards.store.database import ShardFile
from stator.shards.store.reader import Reader
from stator.shards.store.sqlite_store import SqliteStore
from tests.fakes.memory_store import MemoryDisk, MemoryStore


class Medium(Protocol):
    """What outlives a store. It is opened inside the running event loop."""

    def open(self) -> ShardStorage:
        """Open the store; to be closed by the caller before it is opened again."""
        ...

    def release(self) -> None:
        """Give back what opening took; after the last store was closed."""
        ...


class MemoryMedium:
    """Keeps a shard in dictionaries."""

    def __init__(self) -> None:
        self._disk = MemoryDisk()

    def open(self) -> ShardStorage:
        return MemoryStore(self._disk)

    def release(self) -> None:
        """Nothing was taken."""


class SqliteMedium:
    """Keeps a shard in a file of a directory."""

    def __init__(
        self,
        directory: Path,
        *,
        number: int = 0,
        shards: int = 1,
        checkpoint_pages: int = 4_000,
    ) -> None:
        self.file = ShardFile(directory, number, shards)
        self._checkpoint_pages = checkpoint_pages
        self._readers: list[Reader] = []

    def open(self) -> ShardStorage:
        self._readers.append(Reader())
        return SqliteStore(self.file, self._readers[-1], checkpoint_pages=self._checkpoint_pages)

    def release(self) -> None:
        while self._readers:
            self._readers.pop().close()


@contextmanager
def opened(medium: Medium) -> Generator[ShardStorage]:
    """Open a store for a block."""
    store = medium.open()
    try:
        yield store
    finally:
        store.close()
        medium.release()


async def commit(
    store: ShardStorage,
    *operations: Operation,
    messages: Iterable[InsertMessage] = (),
    removals: Iterable[tuple[int, int]] = (),
    entries: Mapping[tuple[int, int], bytes] | None = None,
    entry_removals: Iterable[tuple[int, int]] = (),
    states: Mapping[int, bytes] | None = None,
) -> None:
    """Commit and return once it is durable. Raises why it is not."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(error: Exception | None) -> None:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    writes = Writes(
        list(operations),
        list(messages),
        list(removals),
        dict(entries or {}),
        list(entry_removals),
        dict(states or {}),
    )
    store.commit(writes, settle)
    await done


def new_actor(pk: int = 1, key: str = "k", **other: object) -> InsertActor:
    """Return the creation of an actor; ``other`` overrides its fields."""
    fields: dict[str, object] = {
        "pk": pk,
        "actor_id": f"id-{pk}",
        "namespace": "default",
        "name": "counter",
        "key": key,
        "created_ms": 1_000 + pk,
        "input": None,
        **other,
    }
    return InsertActor(**fields)  # type: ignore[arg-type]
