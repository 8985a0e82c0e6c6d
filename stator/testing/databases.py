"""The databases of a test's actors, whose threads a test waits for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stator.runtime.clock import Clock
from stator.runtime.log import Logger
from stator.shards.databases import Databases
from stator.shards.databases.lanes import Crew, Lane
from stator.shards.databases.open_files import OpenFiles

THREADS = 2


class _WatchedCrew(Crew):
    """Threads that can be asked whether they have something to do."""

    def __init__(self, files: OpenFiles) -> None:
        super().__init__(THREADS, files)
        self._busy: set[Lane] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a thread has a lane, or the loop did not hear yet what came of it."""
        self._busy = {lane for lane in self._busy if lane.is_taken}
        return bool(self._busy)

    def take(self, lane: Lane) -> None:
        """Let a thread run the jobs of ``lane``."""
        self._busy.add(lane)
        super().take(lane)


class WatchedDatabases(Databases):
    """Databases that can be asked whether SQL runs."""

    def __init__(self, directory: Path, clock: Clock, log: Logger) -> None:
        super().__init__(directory, clock, log)
        self._crew: _WatchedCrew = _WatchedCrew(self._files)

    @property
    def is_busy(self) -> bool:
        """Whether SQL runs or waits for a thread."""
        return self._crew.is_busy

    async def close(self, deadline_seconds: float = 0.0) -> None:
        """Close all databases and end the threads, without yet another thread that waits."""
        await asyncio.gather(*(each.close(deadline_seconds) for each in [*self._live.values()]))
        self._crew.close()
