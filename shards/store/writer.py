"""The writer thread of a shard: the only place that changes its file.

It takes one batch at a time, makes one transaction of it and reports on the event loop. While it
waits for the disk the next batch collects (architecture, "Group commit"). Between batches it moves
the write-ahead log into the file, so that no reply ever waits for that.
"""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue

import apsw

from stator.runtime import faults
from stator.runtime.storage import CommitDone, Writes

from .transaction import Step, steps

_Job = tuple[Writes, CommitDone]


class Writer:
    """Commits batches in a thread of its own until :meth:`close`."""

    def __init__(self, connection: apsw.Connection, *, name: str, checkpoint_pages: int) -> None:
        self._connection = connection
        self._checkpoint_pages = checkpoint_pages
        self._log_pages = 0
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        connection.set_wal_hook(self._on_commit)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, writes: Writes, done: CommitDone) -> None:
        """Commit ``writes``, then call ``done`` on the event loop."""
        self._jobs.put((writes, done))

    def close(self) -> None:
        """Finish what was submitted and end the thread; blocks."""
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        """Do the next job; ``False`` if there is none to come. A method of its own, so that a
        thread that waits does not hold what it stored last."""
        job = self._jobs.get()
        if job is None:
            return False
        writes, done = job
        error: Exception | None = None
        try:
            self._commit(writes)
        except Exception as problem:
            # Whatever it is: a thread that ended here would leave the shard waiting for ever.
            error = problem
        self._loop.call_soon_threadsafe(done, error)
        if self._log_pages >= self._checkpoint_pages and self._jobs.empty():
            self._checkpoint()
        return True

    def _commit(self, writes: Writes) -> None:
        faults.point("commit.before")
        statements = steps(writes)
        if len(statements) > 1:
            self._commit_together(statements)
        else:
            # One statement is a transaction of its own. This thread then asks for the
            # interpreter once instead of three times while the event loop has it.
            faults.point("commit.before_sync")
            self._execute(statements)
        faults.point("commit.after")

    def _commit_together(self, statements: list[Step]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            self._execute(statements)
            faults.point("commit.before_sync")
            execute("COMMIT")
        except BaseException:
            # SQLite rolls back by itself on a full disk or an I/O error; then there is no
            # transaction any more.
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise

    def _execute(self, statements: list[Step]) -> None:
        execute = self._connection.execute
        for statement, bindings in statements:
            execute(statement, bindings)

    def _on_commit(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._log_pages = 0
        except apsw.Error:
            # The log simply stays longer; the commit that needs the space reports the trouble.
            self._log_pages = 0
