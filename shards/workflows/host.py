"""What the workflow engine has of the worker; implements ``runtime.workflow.host.Host``.

Rule 1. What is put goes into the batch that collects, with the state: one commit.
Rule 2. That a workflow is *live*, so that its actor is to be awake, is stored when it begins or
        goes on; when it is to be awake next, as the actor leaves memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from stator.runtime.actor import Actor
from stator.runtime.calling import Caller
from stator.runtime.clock import Clock
from stator.runtime.errors import StorageUnavailable
from stator.runtime.log import Logger
from stator.runtime.storage import PutRun
from stator.runtime.workflow.entries import ENDED, Entry, Run, encode_record
from stator.runtime.workflow.host import Draft, StepTransaction

from ..queues.workflow_inbox import WorkflowInbox
from .bodies import StepBody
from .drafts import make_draft

if TYPE_CHECKING:
    from ..cell import Cell

TRANSACTION_S = 3600.0
"""The time limit of a transaction whose step has none."""


class CellHost:
    """The place where the workflow of one actor runs."""

    __slots__ = ("_cell", "_is_stored_live", "inbox", "is_busy")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._is_stored_live = False
        self.inbox = WorkflowInbox(cell)
        self.is_busy = False
        """Whether code of the workflow runs."""

    @property
    def actor(self) -> Actor:
        """The actor."""
        return self._cell.actor

    @property
    def actor_id(self) -> str:
        """The actor's id."""
        return self._cell.row.actor_id

    @property
    def clock(self) -> Clock:
        """The clock that the actor lives by."""
        return self._cell.shard.clock

    @property
    def log(self) -> Logger:
        """The actor's logger."""
        return self._cell.log

    # -- storing

    def put(self, *entries: Entry) -> None:
        """Store entries with the state; tell ``on_state_change`` of it."""
        cell = self._cell
        with _GOING_ON_ELSEWHERE:
            cell.shard.capture(cell, urgent=True)
            for entry in entries:
                cell.shard.put_entry(cell, entry.seq, encode_record(entry))
        cell.shard.tell(cell)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Remove entries."""
        with _GOING_ON_ELSEWHERE:
            for entry in entries:
                self._cell.shard.remove_entry(self._cell, entry.seq)

    def put_run(self, run: Run) -> None:
        """Store the run; one that has not ended is live from here on (rule 2)."""
        self.store_run(run, None, is_live=run.status not in ENDED)

    def store_run(self, run: Run, due_ms: int | None, *, is_live: bool) -> None:
        """Store the run and when its actor is to be awake."""
        cell = self._cell
        self._is_stored_live = is_live
        image = encode_record(run)
        with _GOING_ON_ELSEWHERE:
            cell.shard.write(PutRun(cell.row.pk, run.status, due_ms, is_live, image), cell)
        if due_ms is not None:
            cell.shard.alarm.note(due_ms)

    @property
    def is_stored_live(self) -> bool:
        """Whether something was put in this generation after which the run is live."""
        return self._is_stored_live

    async def committed(self) -> None:
        """Return once all that was put is on disk; see ``Host.committed``."""
        with _GOING_ON_ELSEWHERE:
            await self._cell.wait_committed()

    def forget_checkpoint(self, entry: Entry) -> None:
        """Let the database forget a checkpoint once the shard has its entry."""
        database, batch, seq = self._cell.database, self._cell.batch, entry.seq
        if database is None:
            return
        if batch is None:
            database.forget_checkpoint(seq)
        else:
            batch.wait().add_done_callback(
                lambda stored: None if stored.exception() else database.forget_checkpoint(seq)
            )

    # -- running

    def set_busy(self, busy: bool) -> None:
        """Note whether code of the workflow runs."""
        self.is_busy = busy
        if not busy:
            self._cell.rest()

    def begin(self, function: Callable[[], Any], scope: object, *, in_thread: bool) -> StepBody:
        """Run the body of a step."""
        return StepBody(self._cell, function, cast(Caller, scope), in_thread=in_thread)

    def draft(self) -> Draft:
        """Return a copy of the state."""
        return make_draft(self._cell)

    async def open_transaction(self, seconds: float | None) -> StepTransaction | None:
        """Begin a transaction of the actor's database, if it has one."""
        database = self._cell.database
        if database is None:
            return None
        return await database.open_step_transaction(seconds or TRANSACTION_S)


class _GoingOnElsewhere:
    """Ends the code of a workflow whose actor has left memory (``host.py``, rule 3).

    It is around everything that is stored, hence one for all and no generator.
    """

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, StorageUnavailable):
            raise asyncio.CancelledError from error


_GOING_ON_ELSEWHERE = _GoingOnElsewhere()
