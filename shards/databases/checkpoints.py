"""Transactions of a workflow's steps, and the checkpoints that they leave in the actor's database.

The history of a workflow is in the shard's file and the actor's tables are in another one: no
commit covers both. So what a step did and the record that it is done are committed here, in one,
and the shard's file is brought up to that record, after a crash too (workflow page, 16.2).

Rule 1. A checkpoint is there if, and only if, what its step did is.
Rule 2. It is deleted when its entry is durable in the shard's file: with the next one, or as the
        database is closed. One that is left is no harm: it says what the entry says.
        But one whose entry was removed may be left, by a crash, under a number that another entry
        is given: it makes room.
Rule 3. Whatever runs in the context of the step is part of its transaction: its own statements,
        those of ``self.db`` and, as savepoints, its transactions. None of it is ever run on its
        own: after a roll-back it fails. What outlives a step that was committed is free again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec

from stator.runtime import faults
from stator.runtime.clock import Clock
from stator.runtime.database import Row
from stator.runtime.database_errors import TransactionExpired, TransactionTerminal
from stator.runtime.errors import KnownError
from stator.runtime.log import Logger
from stator.runtime.workflow.entries import decode_entry
from stator.runtime.workflow.host import Checkpoint

from .lanes import Job, Lane
from .session import Session
from .statement_jobs import execution, repetition
from .transactions import OpenTransaction
from .turns import WITHIN, Turns

_TABLE = "_stator_workflow"
_CREATE = f"""
    CREATE TABLE IF NOT EXISTS main.{_TABLE} (
        seq INTEGER PRIMARY KEY,
        entry BLOB NOT NULL,
        state BLOB
    )
"""
_INSERT = f"INSERT INTO main.{_TABLE} (seq, entry, state) VALUES (?, ?, ?)"
"""Not ``OR REPLACE``: a step that is done already must not be done again."""
_SELECT_ONE = f"SELECT entry FROM main.{_TABLE} WHERE seq = ?"
_SELECT = f"SELECT seq, entry, state FROM main.{_TABLE} ORDER BY seq"
_DELETE = f"DELETE FROM main.{_TABLE} WHERE seq IN (%s)"


class LiveStep(OpenTransaction):
    """The transaction of one step; implements ``runtime.workflow.host.StepTransaction``."""

    __slots__ = ("_forgotten", "_inner", "_is_committed")

    def __init__(
        self, turns: Turns, clock: Clock, seconds: float, log: Logger, forgotten: set[int]
    ) -> None:
        """``forgotten`` are checkpoints to delete; those that were are taken out of it."""
        super().__init__(turns, clock, seconds, log)
        self._forgotten = forgotten
        self._inner = Turns(turns.lane, is_inner=True)
        self._is_committed = False

    @property
    def turns(self) -> Turns:
        """Whose turns are waited for by ``self.db`` in its context (rule 3)."""
        return self._turns if self._is_committed else self._inner

    async def open(self) -> None:
        """Begin, once it is its turn; at its deadline it is rolled back."""
        await self._open()

    @contextmanager
    def entered(self) -> Generator[None]:
        """Let the code of the block, and the tasks that it begins, be part of the transaction."""
        outer = WITHIN.get()
        WITHIN.set(self)
        try:
            yield
        finally:
            WITHIN.set(outer)

    async def execute(self, sql: str, /, *args: Any, **named: Any) -> list[Row]:
        """Run SQL in this transaction (``runtime.database.Statements``)."""
        rows: list[Row] = await self._outcome(execution(self._inner, sql, args, named, self))
        return rows

    async def executemany(
        self, sql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]], /
    ) -> None:
        """Run one statement for each of ``rows`` in this transaction."""
        await self._outcome(repetition(self._inner, sql, rows, self))

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Commit what was done and the checkpoint, in one. Raises ``sqlite.*``: then neither is.

        It is over as soon as this is called; cancelling it leaves open which of both happens.
        """
        if self._over is not None:
            raise self._over()
        unneeded = frozenset(self._forgotten)
        await self._end(partial(self._commit_with, checkpoint, unneeded))
        self._is_committed = True
        self._forgotten -= unneeded

    async def roll_back(self) -> None:
        """Undo what was done, behind what comes next; without effect once it is over."""
        if self._over is None:
            self._over = TransactionTerminal
            self._give_up(TransactionTerminal)
            self._end(self._roll_back)

    def abandon(self, why: Callable[[], KnownError]) -> None:
        """Let it be over: its database was closed."""
        super().abandon(why)
        self._inner.close(why)

    async def _outcome(self, job: Job) -> Any:
        self._inner.ask(job)
        return await self._inner.outcome(job)

    def _end(self, how: Callable[[Lane], None]) -> Any:
        self._inner.close(self._over or TransactionTerminal)
        return super()._end(how)

    def _expired(self) -> KnownError:
        return TransactionExpired(
            f"the transaction of the step was rolled back after {self._seconds:g} s",
            metadata={"timeout_ms": round(self._seconds * 1000)},
        )

    def _owns(self, job: Job) -> bool:
        return True  # it has the turn: whatever is in the lane came through its own turns

    # -- in a thread

    def _begin(self, lane: Lane) -> None:
        super()._begin(lane)
        lane.session_in_transaction().hold_together("the transaction of a step")

    def _commit_with(self, checkpoint: Checkpoint, unneeded: Collection[int], lane: Lane) -> None:
        try:
            session = lane.session_in_transaction()
            faults.point("database.before_commit")
            if not _has_table(session):
                session.control(_CREATE)
            _delete(session, unneeded)
            _make_room(session, checkpoint)
            session.control(_INSERT, (checkpoint.seq, checkpoint.entry, checkpoint.state))
            session.control("COMMIT")
        except BaseException:
            self._roll_back(lane)
            raise
        session.authorizer.within = ""
        faults.point("database.after_commit")

    def _roll_back(self, lane: Lane) -> None:
        if self._has_begun and lane.session is not None:
            lane.session.authorizer.within = ""
        super()._roll_back(lane)


def read_checkpoints(lane: Lane) -> list[Checkpoint]:
    """Return the checkpoints of a file by ``seq``; one that is not there is not made."""
    session = _session_with_table(lane)
    if session is None:
        return []
    return [Checkpoint(*row) for row in session.connection.execute(_SELECT)]


def delete_checkpoints(seqs: Collection[int], lane: Lane) -> None:
    """Delete checkpoints of a file, all or none; those that are not there stay so."""
    session = _session_with_table(lane)
    if session is not None:
        _delete(session, seqs)


def _session_with_table(lane: Lane) -> Session | None:
    if lane.session is None and not lane.path.exists():
        return None
    session = lane.session or lane.open()
    return session if _has_table(session) else None


def _make_room(session: Session, checkpoint: Checkpoint) -> None:
    """Delete what another entry left under the number of this one (rule 2)."""
    found: Any = session.connection.execute(_SELECT_ONE, (checkpoint.seq,)).fetchall()
    for (left,) in found:
        if _identity(left) != _identity(checkpoint.entry):
            _delete(session, [checkpoint.seq])


def _identity(image: bytes) -> object:
    try:
        entry = decode_entry(image)
    except msgspec.MsgspecError:
        return None
    return entry.key, entry.created_ms


def _has_table(session: Session) -> bool:
    return session.connection.table_exists("main", _TABLE)


def _delete(session: Session, seqs: Collection[int]) -> None:
    if seqs:
        session.control(_DELETE % ", ".join(str(int(seq)) for seq in seqs))
