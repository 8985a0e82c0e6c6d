"""Databases of actors without actors: a folder, a clock that a test moves, a log that it reads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from stator.runtime.database import Database, Migration
from stator.runtime.ids import make_actor_id
from stator.shards.databases import CellDatabase, Databases
from tests.fakes.manual_clock import ManualClock
from tests.fakes.recording_log import RecordingLog

SHARD = 3
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
"""A statement that ends when it is interrupted."""


class OpenDatabases:
    """The databases of one worker."""

    def __init__(self, directory: Path, threads: int, max_open: int) -> None:
        self.clock = ManualClock()
        self.log = RecordingLog()
        self.databases = Databases(
            directory, self.clock, self.log, threads=threads, max_open=max_open
        )
        self.ids: dict[CellDatabase, str] = {}

    def start(
        self, *migrations: Migration, actor_id: str | None = None, warns: bool = True
    ) -> CellDatabase:
        """Return the database of an actor, by default of a new one, that is not migrated."""
        actor_id = actor_id or make_actor_id(SHARD, 1, os.urandom(16))
        declaration = Database(migrations, warn_on_manual_transactions=warns)
        database = self.databases.of(SHARD, actor_id, declaration, self.log)
        self.ids[database] = actor_id
        return database

    async def restart(self, database: CellDatabase, *migrations: Migration) -> CellDatabase:
        """Close a database and return that of the actor's next generation."""
        await database.close(1)
        return self.start(*migrations, actor_id=self.ids[database])

    def path(self, database: CellDatabase) -> Path:
        """Return the file of a database."""
        return self.databases.path(SHARD, self.ids[database])


@asynccontextmanager
async def opened(
    directory: Path, *, threads: int = 2, max_open: int = 8
) -> AsyncGenerator[OpenDatabases]:
    """Open databases below ``directory`` and close them."""
    world = OpenDatabases(directory, threads, max_open)
    try:
        yield world
    finally:
        await world.databases.close()


@asynccontextmanager
async def one_database(directory: Path, *migrations: Migration) -> AsyncGenerator[CellDatabase]:
    """Open one migrated database."""
    async with opened(directory) as world:
        database = world.start(*migrations)
        await database.migrate(None)
        yield database


async def until_it_runs(database: CellDatabase) -> None:
    """Return once a thread runs a statement of ``database``."""
    while not database.is_running:  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0)
