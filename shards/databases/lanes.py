"""The threads that run SQL: jobs of one actor in order and one at a time, those of many in turn.

Rule 1. A lane is the line of jobs of one file. It is with the loop or with one thread, never with
        two; what waits in it when a thread takes it is run in one go (at most ``BATCH`` jobs), and
        told to the loop in one go.
Rule 2. A result waits at most ``PATIENCE_S`` for its slower neighbours to finish.
Rule 3. A job whose future is done was given up: it is not run, and interrupted if it runs. Those of
        stator itself (``is_control``) are always run to their end.
Rule 4. Nothing here looks at an actor's clock: how long SQL takes is a matter of the machine.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from stator.runtime.database_errors import TransactionTerminal

from .failures import translated
from .open_files import OpenFiles
from .session import Session

BATCH = 64
PATIENCE_S = 0.005
INTERRUPT_INTERVAL_S = 0.05
"""An interrupt that arrives between two steps of a statement is lost: it is repeated."""


class Job:
    """Something to do with a file, and the future of its outcome."""

    __slots__ = ("call", "future", "is_control", "owner", "within")

    def __init__(
        self,
        call: Callable[[Lane], Any],
        future: asyncio.Future[Any],
        *,
        owner: object = None,
        is_control: bool = False,
    ) -> None:
        self.call = call
        self.future = future
        self.owner = owner
        """The transaction it is part of."""
        self.within: object = None
        """The transaction in whose block it was asked for, if it waits."""
        self.is_control = is_control

    def fail(self, error: Exception) -> None:
        """Give it up with ``error``, unless it is done."""
        if not self.future.done():
            self.future.set_exception(error)


class Lane:
    """The jobs of one file, and the file while it is open."""

    __slots__ = (
        "_crew",
        "_done",
        "_is_impatient",
        "_mutex",
        "_rowid",
        "current",
        "has_manual",
        "is_taken",
        "jobs",
        "lock",
        "path",
        "session",
    )

    def __init__(self, crew: Crew, path: Path) -> None:
        self._crew = crew
        self.path = path
        self.jobs: deque[Job] = deque()
        self.current: Job | None = None
        """What a thread is running."""
        self.session: Session | None = None
        self.is_taken = False
        """Whether a thread has it, or will, or has outcomes the loop did not see yet."""
        self.has_manual = False
        """Whether a statement of the actor left a transaction open."""
        self.lock = threading.Lock()
        """Held by the thread that uses the session."""
        self._mutex = threading.Lock()
        """Held to end a job, and to interrupt it: so that an interrupt never hits the next one."""
        self._done: deque[tuple[asyncio.Future[Any], Any, Exception | None]] = deque()
        self._is_impatient = False
        self._rowid = 0

    # -- on the loop

    def put(self, job: Job) -> None:
        """Run ``job`` behind those that are here."""
        self.jobs.append(job)
        if not self.is_taken:
            self.is_taken = True
            self._crew.take(self)
        elif not self._is_impatient:
            self._is_impatient = True
            self._crew.loop.call_later(PATIENCE_S, self._tell_early)

    def deliver(self) -> None:
        """Settle what was run, and go on with what came meanwhile."""
        self._settle()
        if self.jobs:
            self._crew.take(self)
        else:
            self.is_taken = False

    def unfinished(self) -> list[Job]:
        """Return the jobs that are not over, except those of stator itself."""
        current = self.current
        jobs = [*self.jobs] if current is None else [current, *self.jobs]
        return [job for job in jobs if not job.is_control]

    def interrupt(self, job: Job) -> None:
        """End ``job`` early if it is running, and only that one."""
        with self._mutex:
            if self.current is not job or job.is_control:
                return
            if self.session is not None:
                self.session.interrupt()
        self._crew.loop.call_later(INTERRUPT_INTERVAL_S, self.interrupt, job)

    def _tell_early(self) -> None:
        self._settle()
        if self.is_taken:
            self._crew.loop.call_later(PATIENCE_S, self._tell_early)
        else:
            self._is_impatient = False

    def _settle(self) -> None:
        done = self._done
        while done:
            future, result, error = done.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    # -- in a thread

    def run(self) -> None:
        """Run what waits."""
        with self.lock:
            if self.session is not None:
                self._crew.files.touch(self)
            for _ in range(BATCH):
                if not self.jobs:
                    break
                job = self.jobs.popleft()
                if job.is_control or not job.future.done():
                    self._done.append((job.future, *self._outcome(job)))

    def open(self) -> Session:
        """Return the open file, opened if it is not."""
        if self.session is None:
            self._crew.files.admit(self)
            try:
                self.session = Session(self.path, self._rowid)
            except BaseException:
                self._crew.files.discard(self)
                raise
        return self.session

    def session_in_transaction(self) -> Session:
        """Return the open file. Raises ``sqlite.transaction_terminal`` outside of a transaction."""
        if self.session is None or not self.session.in_transaction:
            raise TransactionTerminal(
                "the transaction is over: COMMIT or ROLLBACK was written by hand, or a statement "
                "that failed or was interrupted rolled it back"
            )
        return self.session

    def shut(self) -> None:
        """Close the file if it is open; what no transaction committed is rolled back."""
        session = self.session
        if session is not None:
            try:
                self._rowid = session.close()
            finally:
                with self._mutex:
                    self.session = None
                self._crew.files.discard(self)

    def shut_if_idle(self) -> bool:
        """Close the file for the sake of another one, if nobody uses it; whether it did."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if self.session is None or self.jobs or not self.session.is_closable:
                return False
            self.shut()
            return True
        finally:
            self.lock.release()

    def _outcome(self, job: Job) -> tuple[Any, Exception | None]:
        self.current = job
        if self.session is not None:
            self.session.authorizer.refused = ""
        try:
            return job.call(self), None
        except Exception as error:
            refused = self.session.authorizer.refused if self.session is not None else ""
            return None, translated(error, refused)
        finally:
            with self._mutex:
                self.current = None


class Crew:
    """A few threads, started when there is something to do, that take lanes as they come."""

    def __init__(self, threads: int, files: OpenFiles) -> None:
        self.loop = asyncio.get_running_loop()
        self.files = files
        self._size = threads
        self._lanes: SimpleQueue[Lane | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def take(self, lane: Lane) -> None:
        """Let a thread run the jobs of ``lane``."""
        if len(self._threads) < self._size:
            self._start()
        self._lanes.put(lane)

    def close(self) -> None:
        """End the threads; blocks. No job may wait."""
        for _ in self._threads:
            self._lanes.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start(self) -> None:
        name = f"databases-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (lane := self._lanes.get()) is not None:
            lane.run()
            self.loop.call_soon_threadsafe(lane.deliver)
            self.files.trim()
