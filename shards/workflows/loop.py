"""The workflow of an actor in memory: what ``cell.run_loop`` is of a class with ``@workflow``.

Rule 1. Its records are loaded, and repaired from the actor's database, before any code of the
        generation runs. Messages that it had open are held before anybody can take them.
Rule 2. While all of it waits the actor may sleep. With its rest is stored when it has to be awake:
        at its earliest deadline, or at once if it was interrupted. Until then it is stored as
        live: after a crash it is there again, also for a message that it did not take yet.
Rule 3. To go back in its history, it is brought to rest, changed, and played again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from stator.runtime.actor import Actor
from stator.runtime.calling import CALLER
from stator.runtime.exact_form import decode_exact
from stator.runtime.storage import EntryRow, RunRow, WorkflowRows
from stator.runtime.workflow import edits
from stator.runtime.workflow.entries import (
    ENDED,
    Entry,
    EntryStatus,
    Kind,
    RunStatus,
    StoredMessage,
    decode_messages,
    encode_record,
)
from stator.runtime.workflow.history import History
from stator.runtime.workflow.receives import open_message_ids
from stator.runtime.workflow.run import WorkflowRun
from stator.runtime.workflow.status import OPEN, is_open, status_of
from stator.runtime.workflow.values import encode_value
from stator.runtime.workflow.waits import resolve_promise
from stator.runtime.workflow_control import StatusRecord
from stator.runtime.workflow_errors import Diverged, EntryNotFound, InFlight, NotRetryable

from .host import CellHost

if TYPE_CHECKING:
    from ..cell import Cell
    from .records import StoredWorkflow


class WorkflowLoop:
    """The workflow of one generation; it is the caller of its code, outside of steps."""

    __slots__ = ("_cell", "_entries", "_host", "_is_cut_off", "_record", "_run", "_task")

    conn = None
    request = None
    workflow_scope = "body"
    """Its code may not use what belongs into steps (``runtime/workflow/guard.py``)."""

    def __init__(self, cell: Cell, stored: StoredWorkflow) -> None:
        self._cell = cell
        self._record = stored.run
        self._entries: list[Entry] | None = stored.entries
        """Of a run that is not in memory; ``None`` if they are not loaded."""
        self._host = CellHost(cell)
        self._run: WorkflowRun | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_cut_off = False
        """Whether it was not at rest when a stop began."""
        open_ids = _open_ids(stored.entries or ())
        if open_ids:
            self._host.inbox.hold(open_ids)

    # -- what its cell does with it (as with run_loop.RunLoop)

    @property
    def actor(self) -> Actor:
        """The actor it belongs to."""
        return self._cell.actor

    @property
    def is_active(self) -> bool:
        """Whether its code is in memory."""
        return self._task is not None and not self._task.done()

    @property
    def goes_on_by_itself(self) -> bool:
        """Whether its actor is brought up again after a loss: also one whose end was lost."""
        return self._record.status not in ENDED or self.is_active

    @property
    def keeps_awake(self) -> bool:
        """Whether it does something other than wait."""
        return self._host.is_busy

    def start(self) -> None:
        """Begin it, or go on with it; one that has ended stays ended."""
        definition = self._cell.definition.workflow
        assert definition is not None
        record = self._record
        is_to_retry = (
            record.status is RunStatus.FAILED
            and definition.retries_failed
            and not (record.error is not None and record.error.code == Diverged.known[1])
        )
        if is_to_retry:
            self._cell.keep(self._cell.spawn(self.retry()))
        elif record.status not in ENDED:
            self._play(History(self._entries or ()))

    def stop(self) -> None:
        """Come to rest: a stop of the actor has begun."""
        if self._run is not None and self.is_active and not self._run.is_suspended:
            self._is_cut_off = not self._run.is_resting
            self._run.suspend()

    async def wait(self) -> None:
        """Return when it has come to rest."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    def cut_off(self) -> asyncio.Task[None] | None:
        """Cancel it; return its task if it still has to end."""
        if self._run is None or self._task is None or self._task.done():
            return None
        self._is_cut_off = self._is_cut_off or not self._run.is_resting
        self._run.abandon()
        return self._task

    def let_go(self) -> None:
        """Break the circles of references: the actor has left memory, and it has ended."""
        if self._run is not None:
            self._run.let_go()
            self._run = None
        self._task = None
        self._host.inbox.let_go()

    def settle(self) -> None:
        """Store when the actor has to be awake, as it leaves memory (rule 2)."""
        if self._run is None or self._record.status in ENDED:
            return
        is_interrupted = self._is_cut_off or self._run.is_interrupted or self._has_mail()
        due_ms = self._cell.shard.clock.now_ms() if is_interrupted else self._next_due()
        self._host.store_run(self._record, due_ms, is_live=False)

    def _has_mail(self) -> bool:
        """Whether a message came that a receive waits for, when it waited no longer."""
        assert self._run is not None
        return self._record.status is RunStatus.RUNNING and any(
            self._host.inbox.has_mail(None if entry.detail[0] is None else tuple(entry.detail[0]))
            for entry in self._run.history
            if entry.kind is Kind.RECEIVE and entry.status is EntryStatus.WAITING
        )

    def _next_due(self) -> int | None:
        assert self._run is not None
        return min(filter(None, map(_due_of, self._run.history)), default=None)

    # -- its runs

    def _play(self, history: History) -> None:
        definition = self._cell.definition.workflow
        assert definition is not None
        hook = definition.on_error
        actor = self._cell.actor
        self._entries = None
        self._run = WorkflowRun(
            self._host,
            definition.function,
            self._record,
            history,
            on_error=None if hook is None else lambda event: hook(actor, event),
        )
        token = CALLER.set(self)
        try:
            self._task = self._run.start()
        finally:
            CALLER.reset(token)
        if not self._host.is_stored_live:
            self._host.put_run(self._record)

    async def _bring_to_rest(self) -> History:
        """Suspend the run and return its history. Raises ``actor.workflow_in_flight``."""
        run = self._run
        if run is None or not self.is_active:
            return await self._load()
        if run.bodies or CALLER.get() is self:  # its own code cannot wait for its own end
            raise InFlight
        run.suspend()
        await self.wait()
        return run.history

    async def _load(self) -> History:
        """Return the history of a run that has ended."""
        if self._run is not None:
            return self._run.history
        if self._entries is None:
            from .records import load_workflow

            self._entries = (await load_workflow(self._cell, whole=True)).entries
        return History(self._entries or ())

    # -- control from outside (control.ControlledWorkflow)

    async def status(self) -> StatusRecord:
        """Return how far it is."""
        history: Iterable[Entry] = () if self._run is None else self._run.history
        entries = sorted(filter(is_open, history), key=lambda entry: entry.seq)
        return status_of(self._record, [] if self._record.status in ENDED else entries)

    async def rows(self) -> WorkflowRows:
        """Return all that is stored of it, or is on its way there."""
        entries = sorted(await self._load(), key=lambda entry: entry.seq)
        record = self._record
        row = RunRow(record.status, None, record.status not in ENDED, encode_record(record))
        return WorkflowRows(row, [EntryRow(each.seq, encode_record(each)) for each in entries])

    async def cancel(self) -> None:
        """End it and let its undo handlers run; return when it is over, or one of them waits for
        another attempt."""
        run = self._run
        if run is None or self._record.status in ENDED:
            return
        if not self._record.is_cancelled and self._record.status is not RunStatus.ROLLING_BACK:
            run.cancel()
        if not self._asks_itself():  # who would wait for the end of what waits for this
            await run.wait_cancelled()
        await self._cell.wait_committed()

    def _asks_itself(self) -> bool:
        """Whether code of the workflow asks, its steps and undo handlers included."""
        caller = CALLER.get()
        scope = getattr(caller, "workflow_scope", None)
        return scope is not None and caller is not None and caller.actor is self.actor

    async def retry(self) -> None:
        """Go on with a run that failed or was cancelled. Raises ``workflow.not_retryable``."""
        if self._record.status not in (RunStatus.FAILED, RunStatus.CANCELLED):
            raise NotRetryable(f"the workflow is {self._record.status}: nothing to retry")
        history = await self._load()
        record, host = self._record, self._host
        if unfinished := edits.unfinished_undo(history):
            is_run = any(not mark.saga for mark in unfinished)
            host.put(*edits.resume_undo(history))
            record.status = RunStatus.ROLLING_BACK if is_run else RunStatus.RUNNING
            kept = list(history)
        else:
            cut = edits.earliest(history, record.causes)
            kept = await self._cut(history, cut)
            record.status, record.is_cancelled = RunStatus.RUNNING, False
        await self._begin_again(kept, history.next_seq)

    async def fork(self, key: str | None) -> None:
        """Begin another run with the history before an entry, ``None`` for one from scratch.

        Raises ``workflow.entry_not_found`` and ``actor.workflow_in_flight``.
        """
        if key is not None and (await self._load()).get(key) is None:
            raise EntryNotFound(f"the history has no entry '{key}'")
        history = await self._bring_to_rest()
        cut = 0 if key is None else edits.earliest(history, {key})
        kept = await self._cut(history, cut)
        record = self._record
        record.number += 1
        record.status, record.is_cancelled = RunStatus.RUNNING, False
        record.created_ms = record.created_ms if kept else self._host.clock.now_ms()
        await self._begin_again(kept, history.next_seq)

    async def resolve(self, key: str, value: bytes) -> None:
        """Give a promise its value. Raises ``workflow.already_resolved``."""
        run = self._run
        if run is None or self._record.status in ENDED:
            raise EntryNotFound(f"the workflow is {self._record.status}: nobody waits for '{key}'")
        given = decode_exact(value)
        image = None if given is None else encode_value(given, what=f"value of promise '{key}'")
        resolve_promise(run.root, run.history, key, image)
        run.is_interrupted = run.is_interrupted or run.is_suspended
        await self._cell.wait_committed()

    async def _cut(self, history: History, cut: int | None) -> list[Entry]:
        """Put the history before the cut, with its messages taken again; return it."""
        inbox = self._host.inbox
        await inbox.load()
        while True:
            edit = edits.plan_cut(history, cut)
            missing = _take_again(self._host, edit)
            if missing is None:
                break
            cut = missing.seq
        rows = [each.row() for entry in edit.removed for each in _open_messages(entry)]
        inbox.put_back(rows)
        self._host.remove(edit.removed)
        self._host.put(*edit.changed)
        return edit.kept

    async def _begin_again(self, kept: Iterable[Entry], next_seq: int) -> None:
        record = self._record
        record.finished_ms = record.output = record.error = None
        record.causes = []
        self._host.put_run(record)
        history = History(sorted(kept, key=lambda entry: entry.seq), next_seq)
        if self._cell.is_aborted:
            self._is_cut_off = True  # the next generation plays it
        else:
            self._play(history)
        await self._cell.wait_committed()


def _take_again(host: CellHost, edit: edits.Edit) -> Entry | None:
    """Take the messages of receives that will be played; return one whose are not there."""
    for entry in edits.released_receives(edit):
        assert entry.output is not None
        stored = decode_messages(entry.output)
        released = [each for each in stored if each.status is EntryStatus.RELEASED]
        wanted = {each.id for each in released}
        held = host.inbox.hold(wanted)
        if held != wanted:
            host.inbox.put_back(each.row() for each in released if each.id in held)
            return entry
        for each in released:
            each.status = EntryStatus.WAITING
        entry.output = encode_record(stored)
        edit.changed.append(entry)
    return None


def _open_messages(entry: Entry) -> list[StoredMessage]:
    if entry.kind is not Kind.RECEIVE or entry.output is None:
        return []
    stored = decode_messages(entry.output)
    return [each for each in stored if each.status is EntryStatus.WAITING]


def _open_ids(entries: Iterable[Entry]) -> list[int]:
    return [message_id for entry in entries for message_id in open_message_ids(entry)]


def _due_of(entry: Entry) -> int | None:
    """Return until when an entry, or its undo handler, waits."""
    if entry.status in OPEN and entry.due_ms is not None:
        return entry.due_ms
    mark = entry.undo
    return mark.due_ms if mark is not None and mark.status is EntryStatus.RETRYING else None
