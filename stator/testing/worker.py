"""The worker of a test's service: a real one, in this process, with one shard.

What a crash is here: nothing that this worker does reaches the disk or anybody any more, and its
links break. Python can end code only by cancelling its task, so ``finally`` blocks of actors run,
without effect on the service.
"""

from __future__ import annotations

import socket
from pathlib import Path

from stator.runtime.log import Logger
from stator.runtime.registry import Registry
from stator.runtime.storage import InsertNamespace
from stator.runtime.workflow.fairness import LINE
from stator.shards.cell import Cell
from stator.shards.engine import Engine
from stator.shards.introduction import introduce
from stator.shards.link_server import LinkServer
from stator.shards.shard import Shard
from stator.shards.store.database import ShardFile

from .clock import VirtualClock
from .databases import WatchedDatabases
from .workload import WatchedReader, WatchedStore, Workload

FAREWELL_S = 0.1
"""Real seconds for requests under way when a worker leaves to a successor."""
FLUSH_TIMEOUT_S = 1.0


class Worker:
    """Engine, store and links, from :meth:`open` to :meth:`close` or :meth:`crash`."""

    def __init__(
        self,
        registry: Registry,
        directory: Path,
        *,
        generation: int,
        clock: VirtualClock,
        namespaces: tuple[str, ...],
        log: Logger,
    ) -> None:
        """Serve the shard in ``directory``, by ``clock``. Nothing is synced: it lives no longer
        than the process."""
        self.clock = clock
        self.workload = Workload()
        self._reader = WatchedReader(self.workload)
        file = ShardFile(directory, 0, 1, synchronous="off")
        store = WatchedStore(file, self._reader, self.workload)
        self._databases = WatchedDatabases(directory, clock, log)
        self.workload.watch(lambda: self._databases.is_busy)
        self.engine = Engine(
            registry, {0: store}, log, total_shards=1, databases=self._databases, clock=clock
        )
        self.workload.watch(lambda: self.engine.step_threads.is_busy)
        self.workload.watch(lambda: LINE.is_busy)
        for name in namespaces:
            self.shard.write(InsertNamespace(name, clock.now_ms()))
        hello = introduce(registry, "worker", 0, generation)
        self._server = LinkServer(self.engine, hello)

    @property
    def shard(self) -> Shard:
        """Its only shard."""
        return self.engine.shards[0]

    @property
    def cells(self) -> list[Cell]:
        """The actors in memory."""
        return list(self.shard.by_identity.values())

    @property
    def deeds(self) -> object:
        """What it did so far: equal only while it does nothing."""
        return (*self.engine.counters, self.workload.begun)

    @property
    def longest_grace(self) -> float:
        """How many seconds the actors in memory may take to stop."""
        periods = (cell.definition.settings.sleep_grace_period for cell in self.cells)
        return max(periods, default=0.0)

    async def open(self, listener: socket.socket) -> None:
        """Accept links from now on."""
        await self._server.start(listener)

    async def say_goodbye(self) -> None:
        """Let requests under way end, as a successor takes over; they get a moment."""
        await self._server.say_goodbye(FAREWELL_S)

    async def drain(self) -> None:
        """Stop all actors in an orderly way."""
        await self.engine.drain()

    async def close(self) -> None:
        """Close links and files, after a drain."""
        self._server.close()
        await self._server.wait_closed(FLUSH_TIMEOUT_S)
        self.engine.abandon()
        await self._close_files()

    async def crash(self) -> None:
        """Have no effect on anything from here on."""
        self.workload.cut_off()
        self._server.close()
        self.engine.abandon()
        await self._close_files()

    async def _close_files(self) -> None:
        await self._databases.close()
        self._reader.close()
        self.engine.close()
