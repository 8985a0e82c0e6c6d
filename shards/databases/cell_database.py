"""``self.db`` of one actor, from its start to its stop.

It is four small objects and no open file until the first statement. The event loop decides what
runs when (``turns.py``); threads run it (``lanes.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from stator.runtime.clock import Clock
from stator.runtime.database import Database, Row
from stator.runtime.database_errors import DatabaseClosed
from stator.runtime.log import Logger

from ..hook_budget import Budget
from .checkpoints import LiveStep, delete_checkpoints, read_checkpoints
from .lanes import Job, Lane
from .migrations import Migrator, OnMigrate, read_version
from .statement_jobs import execution, repetition
from .transactions import LiveTransaction
from .turns import WITHIN, Turns

if TYPE_CHECKING:
    from stator.runtime.workflow.host import Checkpoint


class CellDatabase:
    """Implements :class:`~stator.runtime.database.ActorDatabase`."""

    __slots__ = (
        "_clock",
        "_declaration",
        "_forgotten",
        "_has_warned",
        "_log",
        "_on_close",
        "_turns",
    )

    def __init__(
        self,
        lane: Lane,
        declaration: Database,
        clock: Clock,
        log: Logger,
        on_close: Callable[[CellDatabase], None],
    ) -> None:
        self._turns = Turns(lane)
        self._declaration = declaration
        self._clock = clock
        self._log = log
        self._on_close = on_close
        self._has_warned = not declaration.warn_on_manual_transactions
        self._forgotten: set[int] = set()
        """Checkpoints that nobody needs any more and that are still in the file."""

    # -- for the actor

    async def execute(self, sql: str, /, *args: Any, **named: Any) -> list[Row]:
        """Run SQL and return its rows (``runtime.database.Statements``)."""
        turns = self._here
        job = execution(turns, sql, args, named)
        turns.ask(job)
        rows: list[Row] = await turns.outcome(job)
        if turns.lane.has_manual and not self._has_warned:
            self._warn()
        return rows

    async def executemany(
        self, sql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]], /
    ) -> None:
        """Run one statement for each of ``rows``, in one transaction."""
        turns = self._here
        job = repetition(turns, sql, rows)
        turns.ask(job)
        await turns.outcome(job)

    async def version(self) -> int:
        """Return how many migrations the file has; 0 before the first."""
        version: int = await self._run(self._here, read_version)
        return version

    def transaction(self, timeout: float | timedelta = 60.0) -> LiveTransaction:
        """Return an ``async with`` block that has the database for itself."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return LiveTransaction(self._here, self._clock, seconds, self._log)

    @property
    def _here(self) -> Turns:
        """Whose turns the code that runs now has to wait for: those of a step within that step."""
        within = WITHIN.get()
        if within is None:
            return self._turns
        turns = within.turns
        return turns if turns.lane is self._turns.lane else self._turns

    async def _run(self, turns: Turns, call: Callable[[Lane], Any]) -> Any:
        job = Job(call, turns.new_future())
        turns.ask(job)
        return await turns.outcome(job)

    def _warn(self) -> None:
        self._has_warned = True
        self._log.warning(
            "hand-written BEGIN: statements of others may come in between; "
            "use `async with self.db.transaction() as tx`"
        )

    # -- for the runtime

    @property
    def is_running(self) -> bool:
        """Whether a thread runs a statement at this moment."""
        return self._turns.lane.current is not None

    @property
    def is_open(self) -> bool:
        """Whether its file is open at this moment."""
        return self._turns.lane.session is not None

    async def migrate(self, on_migrate: OnMigrate | None) -> None:
        """Apply pending migrations and run ``on_migrate``, all in one transaction.

        Called once, before any other code of the actor. Statements of ``self.db`` that run
        meanwhile are part of it. Raises what they raise, after which nothing of it is there and
        the database is to be closed; ``sqlite.schema_newer`` for a file of a newer application.
        """
        migrator = Migrator(self, self._turns, self._declaration.migrations, self._log)
        await migrator.migrate(on_migrate)

    async def open_step_transaction(self, seconds: float) -> LiveStep:
        """Begin the transaction of a step, which is rolled back after ``seconds``.

        What runs in its context (:meth:`.LiveStep.entered`) is part of it; everybody else waits.
        Raises as the beginning of a transaction does.
        """
        step = LiveStep(self._turns, self._clock, seconds, self._log, self._forgotten)
        await step.open()
        return step

    def forget_checkpoint(self, seq: int) -> None:
        """Let a checkpoint be deleted when there is something to commit; waits for nothing."""
        self._forgotten.add(seq)

    async def read_checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints that are in the file, by ``seq``; makes no file."""
        checkpoints: list[Checkpoint] = await self._run(self._turns, read_checkpoints)
        return checkpoints

    async def delete_checkpoints(self, seqs: Iterable[int]) -> None:
        """Delete checkpoints now, all of them or none."""
        await self._run(self._turns, partial(delete_checkpoints, frozenset(seqs)))

    async def close(self, deadline_seconds: float) -> None:
        """Wait for statements that run, interrupt them after ``deadline_seconds``, close the file.

        What waits behind a transaction fails with ``sqlite.closed``, as all later use does; an open
        transaction is rolled back. May be called again.
        """
        turns = self._turns
        if turns.is_closed:
            return
        turns.close()
        lane = turns.lane
        if lane.is_taken or lane.session is not None:
            closing = turns.control(partial(self._shut, frozenset(self._forgotten)))
            try:
                async with Budget(self._clock, deadline_seconds):
                    await _finished(closing)
            except TimeoutError:
                self._interrupt()
                await _finished(closing)
        self._on_close(self)

    def _interrupt(self) -> None:
        lane = self._turns.lane
        for job in lane.unfinished():
            job.fail(DatabaseClosed())
            lane.interrupt(job)

    def _shut(self, unneeded: frozenset[int], lane: Lane) -> None:
        """Close the file, in a thread."""
        is_in_transaction = lane.session is not None and lane.session.in_transaction
        if is_in_transaction:
            self._log.warning("transaction left open: rolled back as the actor stops")
        try:
            try:
                if unneeded and lane.session is not None and not is_in_transaction:
                    delete_checkpoints(unneeded, lane)
            finally:
                lane.shut()
        except Exception as error:
            # The file is closed; the log that is left beside it is read at the next opening.
            self._log.warning("database closed with trouble", problem=str(error))


async def _finished(future: asyncio.Future[None]) -> None:
    """Wait for ``future``, which goes on if the waiting is cancelled."""
    await asyncio.shield(future)
