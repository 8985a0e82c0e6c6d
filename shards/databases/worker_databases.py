"""All databases of a worker's actors, and the threads they share.

Where their files are: ``database_files.py``. What a crash leaves of those that are deleted goes at
the next opening of the shard (``store/database.py``).
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from stator.runtime import faults
from stator.runtime.clock import Clock
from stator.runtime.database import Database
from stator.runtime.errors import StorageUnavailable
from stator.runtime.log import Logger

from ..database_files import delete_file, path_of, stored_ids
from .cell_database import CellDatabase
from .lanes import Crew, Job, Lane
from .open_files import OpenFiles

_Place = tuple[int, str]
"""Shard and actor id."""


class Databases:
    """Makes, finds and deletes the databases of actors. On the loop of the worker."""

    def __init__(
        self, directory: Path, clock: Clock, log: Logger, *, threads: int = 4, max_open: int = 256
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._log = log
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
        return path_of(self._directory, shard_number, actor_id)

    def stored(self, shard_number: int) -> list[str]:
        """Return the ids of a shard's actors that have a file; reads a folder."""
        return stored_ids(self._directory, shard_number)

    async def delete(self, shard_number: int, actor_id: str) -> None:
        """Close the database of an actor and delete its file, if it has one.

        Raises ``storage.unavailable`` if the disk does not let it.
        """
        database = self._live.get((shard_number, actor_id))
        if database is not None:
            await database.close(0)
        lane = Lane(self._crew, self.path(shard_number, actor_id))
        job = Job(_delete, asyncio.get_running_loop().create_future(), is_control=True)
        lane.put(job)
        try:
            await asyncio.shield(job.future)
        except Exception as error:
            self._log.error("database not deleted", actor_id=actor_id, exc_info=error)
            raise StorageUnavailable from error

    async def close(self, deadline_seconds: float = 0.0) -> None:
        """Close all databases and end the threads."""
        await asyncio.gather(*[db.close(deadline_seconds) for db in [*self._live.values()]])
        await asyncio.to_thread(self._crew.close)

    def _forget(self, place: _Place, database: CellDatabase) -> None:
        if self._live.get(place) is database:
            del self._live[place]


def _delete(lane: Lane) -> None:
    """Delete a file, in a thread."""
    faults.point("database.before_delete")
    delete_file(lane.path)
    faults.point("database.after_delete")
