"""Transactions of an actor's database: ``async with self.db.transaction() as tx``.

Rule 1. It has the turn from its ``BEGIN`` to its end (``turns.py``). Within a migration or a step's
        transaction it is a savepoint of the transaction that is open anyway.
Rule 2. Its end is put into the lane at once, so whatever comes next runs behind it; only a commit
        is waited for.
Rule 3. At its deadline it is rolled back, its statement interrupted, and the block goes on: what it
        asks of the transaction fails, and so does its end.
Rule 4. A statement of it is run in it or not at all, never on its own: if SQLite or a hand-written
        ``COMMIT`` has ended the transaction, it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from stator.runtime import faults
from stator.runtime.clock import Clock, Timer
from stator.runtime.database import Row
from stator.runtime.database_errors import (
    StatementFailed,
    TransactionExpired,
    TransactionTerminal,
)
from stator.runtime.errors import KnownError
from stator.runtime.log import Logger

from .lanes import Job, Lane
from .statement_jobs import execution, repetition
from .turns import WITHIN, Turns

_SAVEPOINT = "_stator_transaction"
_BEGUN_BY_HAND = (
    "a transaction begun by a hand-written BEGIN is open: end it, or use transaction() in its place"
)
LONGEST_S = 1e9
"""30 years: a timer cannot wait for infinity."""


class OpenTransaction:
    """One transaction: its statements, its deadline and its end, whoever brings that about."""

    __slots__ = (
        "_clock",
        "_has_begun",
        "_is_nested",
        "_log",
        "_over",
        "_seconds",
        "_timer",
        "_turns",
    )

    def __init__(self, turns: Turns, clock: Clock, seconds: float, log: Logger) -> None:
        if not seconds > 0:
            raise ValueError(f"the timeout of a transaction is above 0 seconds, not {seconds!r}")
        self._turns = turns
        self._clock = clock
        self._seconds = min(seconds, LONGEST_S)
        self._log = log
        self._over: Callable[[], KnownError] | None = None
        """Makes the error of using it, once it is over."""
        self._timer: Timer | None = None
        self._has_begun = False
        self._is_nested = False
        """Whether it is a savepoint within a transaction that is open anyway."""

    @property
    def turns(self) -> Turns:
        """Whose turns are waited for by ``self.db`` in its block: its own, so in vain."""
        return self._turns

    async def execute(self, sql: str, /, *args: Any, **named: Any) -> list[Row]:
        """Run SQL in this transaction (``runtime.database.Statements``)."""
        job = execution(self._turns, sql, args, named, self)
        rows: list[Row] = await self._outcome(job)
        return rows

    async def executemany(
        self, sql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]], /
    ) -> None:
        """Run one statement for each of ``rows`` in this transaction."""
        await self._outcome(repetition(self._turns, sql, rows, self))

    def abandon(self, why: Callable[[], KnownError]) -> None:
        """Let it be over: what it is part of has ended, or its database was closed."""
        self._over = why
        self._stop_timer()
        if self._is_nested:
            self._turns.control(self._roll_back)  # what it is part of may yet be committed

    async def _open(self) -> None:
        """Begin, once it is its turn, and let the time run."""
        if self._over is not None or self._timer is not None:
            raise TransactionTerminal("a transaction is entered once: ask for another one")
        self._is_nested = self._turns.is_inner
        job = Job(self._begin, self._turns.new_future(), is_control=True)
        self._turns.ask(job, self)
        try:
            await self._turns.outcome(job)
        except BaseException:
            self._end(self._roll_back)
            raise
        self._timer = self._clock.call_later(self._seconds, self._expire)

    async def _outcome(self, job: Job) -> Any:
        if self._over is not None:
            raise self._over()
        self._turns.lane.put(job)
        return await self._turns.outcome(job)

    def _expire(self) -> None:
        self._over = self._expired
        self._give_up(self._expired)
        self._turns.fail_within(self, self._expired)
        self._end(self._roll_back)

    def _give_up(self, why: Callable[[], KnownError]) -> None:
        """Fail its statements that are not over; interrupt the one that runs."""
        lane = self._turns.lane
        for job in lane.unfinished():
            if self._owns(job):
                job.fail(why())
                lane.interrupt(job)

    def _owns(self, job: Job) -> bool:
        return job.owner is self

    def _expired(self) -> KnownError:
        return TransactionExpired(
            f"the transaction was rolled back after {self._seconds:g} s; inside its block use the "
            "transaction, not self.db, which waits behind it",
            metadata={"timeout_ms": round(self._seconds * 1000)},
        )

    def _end(self, how: Callable[[Lane], None]) -> Any:
        """Put the end into the lane and let the next ones in; return the future of the end."""
        self._stop_timer()
        if self._over is None:
            self._over = TransactionTerminal
        if self._turns.holder is not self:  # it never got its turn
            return None
        future = self._turns.control(how)
        self._turns.release()
        return future

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # -- in a thread

    def _begin(self, lane: Lane) -> None:
        if self._is_nested:
            lane.session_in_transaction().control(f"SAVEPOINT {_SAVEPOINT}")
        else:
            session = lane.session or lane.open()
            if session.in_transaction:
                raise StatementFailed(_BEGUN_BY_HAND)
            session.control("BEGIN IMMEDIATE")
        self._has_begun = True

    def _commit(self, lane: Lane) -> None:
        session = lane.session_in_transaction()
        faults.point("database.before_commit")
        try:
            session.control(f"RELEASE {_SAVEPOINT}" if self._is_nested else "COMMIT")
        except BaseException:
            self._roll_back(lane)
            raise
        faults.point("database.after_commit")

    def _roll_back(self, lane: Lane) -> None:
        session = lane.session
        if not self._has_begun or session is None or not session.in_transaction:
            return
        nested = f"ROLLBACK TO {_SAVEPOINT}; RELEASE {_SAVEPOINT}"
        try:
            session.control(nested if self._is_nested else "ROLLBACK")
        except Exception as error:
            self._log.error("rollback failed", exc_info=error)


class LiveTransaction(OpenTransaction):
    """A transaction that is a block, from ``transaction()`` on; may be entered once."""

    __slots__ = ("_outer",)

    async def __aenter__(self) -> LiveTransaction:
        await self._open()
        self._outer = WITHIN.get()
        WITHIN.set(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # By value: a token would insist on the context of the beginning.
        WITHIN.set(self._outer)
        if self._over is not None:
            if error is None:
                raise self._over()
            return
        if error is not None:
            self._end(self._roll_back)
            return
        await self._end(self._commit)
