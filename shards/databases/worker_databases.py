"""All databases of a worker's actors: where their files are, and the threads they share.

A file is ``<data>/shard-0003-databases/<actor id>.sqlite``. Shards have fixed numbers, so the place
of a file does not depend on how many workers there are.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from stator.runtime.clock import Clock
from stator.runtime.database import Database
from stator.runtime.ids import shard_of_actor_id
from stator.runtime.log import Logger

from .cell_database import CellDatabase
from .lanes import Crew, Job, Lane
from .open_files import OpenFiles

SUFFIX = ".sqlite"
_COMPANIONS = ("-wal", "-shm", "-journal")

_Place = tuple[int, str]
"""Shard and actor id."""


class Databases:
    """Makes, finds and deletes the databases of actors. On the loop of the worker."""

    def __init__(
        self, directory: Path, clock: Clock, log: Logger, *, threads: int = 4, max_open: int = 256
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._files = OpenFiles(max_open, log)
        self._crew = Crew(threads, self._files)
        self._live: dict[_Place, CellDatabase] = {}

    @property
    def open_files(self) -> int:
        """How many files are open."""
        return len(self._files)

    def of(
        self, shard_number: int, actor_id: str, declaration: Database, log: Logger
    ) -> CellDatabase:
        """Return the database of an actor that starts; nothing is opened or made yet."""
        place = (shard_number, actor_id)
        lane = Lane(self._crew, self.path(shard_number, actor_id))
        database = CellDatabase(lane, declaration, self._clock, log, partial(self._forget, place))
        self._live[place] = database
        return database

    def path(self, shard_number: int, actor_id: str) -> Path:
        """Return where the file of an actor is, or would be."""
        if shard_of_actor_id(actor_id) is None:
            raise ValueError(f"{actor_id!r} is not an actor id")
        return self._folder(shard_number) / f"{actor_id}{SUFFIX}"

    def stored(self, shard_number: int) -> list[str]:
        """Return the ids of a shard's actors that have a file; reads a folder."""
        folder = self._folder(shard_number)
        return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))

    async def delete(self, shard_number: int, actor_id: str) -> None:
        """Close the database of an actor and delete its file, if it has one."""
        database = self._live.get((shard_number, actor_id))
        if database is not None:
            await database.close(0)
        lane = Lane(self._crew, self.path(shard_number, actor_id))
        job = Job(_delete, asyncio.get_running_loop().create_future(), is_control=True)
        lane.put(job)
        await asyncio.shield(job.future)

    async def close(self, deadline_seconds: float = 0.0) -> None:
        """Close all databases and end the threads."""
        await asyncio.gather(*[db.close(deadline_seconds) for db in [*self._live.values()]])
        await asyncio.to_thread(self._crew.close)

    def _folder(self, shard_number: int) -> Path:
        return self._directory / f"shard-{shard_number:04d}-databases"

    def _forget(self, place: _Place, database: CellDatabase) -> None:
        if self._live.get(place) is database:
            del self._live[place]


def _delete(lane: Lane) -> None:
    """Delete a file, in a thread; the log first, which would be taken for that of another file."""
    for suffix in _COMPANIONS:
        lane.path.with_name(lane.path.name + suffix).unlink(missing_ok=True)
    lane.path.unlink(missing_ok=True)
