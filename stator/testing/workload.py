"""What a worker has under way beside the event loop: look-ups, commits.

A test waits for these and for nothing else: they always come to an end, and what follows them
then happens on the loop. A crash cuts them off: what they still find or store reaches nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from stator.runtime.storage import CommitDone, Writes
from stator.shards.store.database import ShardFile
from stator.shards.store.reader import Reader
from stator.shards.store.sqlite_store import SqliteStore

T = TypeVar("T")

LOOK_INTERVAL_S = 0.001
"""Between two looks at work that is not told of (real seconds)."""


class Workload:
    """Counts what is under way."""

    def __init__(self) -> None:
        self.begun = 0
        """How many pieces of work there have been."""
        self.is_cut_off = False
        """Whether nobody is to hear of the end of any."""
        self._running = 0
        self._watched: list[Callable[[], bool]] = []
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    def watch(self, is_busy: Callable[[], bool]) -> None:
        """Take for work under way also what ``is_busy`` says."""
        self._watched.append(is_busy)

    def begin(self) -> None:
        """Note that a piece of work begins."""
        self.begun += 1
        self._running += 1
        self._at_rest.clear()

    def end(self) -> None:
        """Note that a piece of work has ended."""
        self._running -= 1
        if not self._running:
            self._at_rest.set()

    def cut_off(self) -> None:
        """Let nobody hear of anything any more."""
        self.is_cut_off = True

    async def wait(self) -> None:
        """Return when nothing is under way."""
        await self._at_rest.wait()
        while any(is_busy() for is_busy in self._watched):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(LOOK_INTERVAL_S)


class WatchedReader(Reader):
    """A reader whose look-ups are counted."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self._workload = workload

    def run(self, look_up: Callable[[], T]) -> asyncio.Future[T]:
        """Call ``look_up`` in the thread and return its outcome's future."""
        workload = self._workload
        heard: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if workload.is_cut_off:
            return heard

        def pass_on(found: asyncio.Future[T]) -> None:
            workload.end()
            error = found.exception()
            if workload.is_cut_off or heard.done():
                return
            if error is None:
                heard.set_result(found.result())
            else:
                heard.set_exception(error)

        workload.begin()
        super().run(look_up).add_done_callback(pass_on)
        return heard


class WatchedStore(SqliteStore):
    """A store whose commits are counted."""

    def __init__(self, file: ShardFile, reader: WatchedReader, workload: Workload) -> None:
        """Open the shard. Raises as :class:`~stator.shards.store.sqlite_store.SqliteStore`."""
        super().__init__(file, reader)
        self._workload = workload

    def commit(self, writes: Writes, done: CommitDone) -> None:
        workload = self._workload
        if workload.is_cut_off:
            return

        def tell(error: Exception | None) -> None:
            workload.end()
            if not workload.is_cut_off:
                done(error)

        workload.begin()
        super().commit(writes, tell)
