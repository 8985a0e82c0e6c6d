"""Sagas: blocks whose steps are undone if the block fails (workflow page, sections 4.8 and 16.2).

Rule 1. An exception that leaves the block, also that of a cancelled scope, runs the undo handlers
        of the block's completed steps, wherever in it they are; then it goes on.
Rule 2. A block that ends well is final. Within another saga its steps become that one's.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from ..workflow_errors import Diverged, UndoFailed
from .entries import Entry, EntryStatus, Kind
from .failures import record_error, revive_error
from .strand import Scope, Strand
from .undo import disarm, undo_all

if TYPE_CHECKING:
    from .context import Workflow


_UNDOING = (EntryStatus.UNDOING, EntryStatus.UNDONE, EntryStatus.FAILED)


class Saga:
    """``async with wf.saga("checkout") as saga``: its :attr:`step` is that of the workflow."""

    def __init__(self, workflow: Workflow, strand: Strand, name: str) -> None:
        self._strand = strand
        self._name = name
        self._scope: Scope | None = None
        self._entry: Entry | None = None
        self.step = workflow.step
        """``wf.step``, whose ``undo`` belongs to this saga, as that of ``wf.step`` in its block
        does."""
        self.attempt = workflow.attempt
        self.txn = workflow.txn

    @property
    def key(self) -> str:
        """Key of its entry."""
        assert self._entry is not None, "the saga has not begun"
        return self._entry.key

    async def __aenter__(self) -> Saga:
        strand = self._strand
        with strand.doing(self._name) as key:
            entry = await strand.ask(key, Kind.SAGA)
            if entry is None:
                entry = strand.make(key, Kind.SAGA, EntryStatus.RUNNING)
                strand.run.host.put(entry)
        self._entry = entry
        self._scope = Scope(key, strand.scope, saga=self)
        strand.enter(self._scope)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        strand, entry, scope = self._strand, self._entry, self._scope
        assert entry is not None and scope is not None
        strand.leave(scope)
        self._scope = None  # it knows its saga: that would be a circle
        strand.see(entry)
        if error is None:
            strand.check_end(scope.key)
            if entry.status in _UNDOING:
                with strand.run.watched():
                    history = (entry.key, f"{entry.kind} that failed")
                    raise Diverged.between(history, (entry.key, f"{entry.kind} that went well"))
            if entry.status is not EntryStatus.COMPLETED:
                outer = strand.scope.saga
                disarm(strand, scope.key, None if outer is None else outer.key)
                strand.close(entry, EntryStatus.COMPLETED)
        elif isinstance(error, GeneratorExit) or not strand.run.is_playing:
            pass  # its actor leaves memory: it goes on in the next generation
        elif entry.status is EntryStatus.FAILED:
            assert entry.error is not None
            raise revive_error(entry.error) from error
        elif entry.status is not EntryStatus.UNDONE:
            if strand.run.is_live:
                await self._undo(entry, error)
            elif not isinstance(error, asyncio.CancelledError):
                strand.check_live(entry.key, Kind.SAGA)

    async def _undo(self, entry: Entry, error: BaseException) -> None:
        strand = self._strand
        if entry.status is not EntryStatus.UNDOING:
            entry.status = EntryStatus.UNDOING
            entry.error = record_error(error)
            strand.run.host.put(entry)
        try:
            await undo_all(strand, entry.key)
        except UndoFailed as failure:
            entry.error = record_error(failure)
            strand.close(entry, EntryStatus.FAILED)
            raise
        strand.close(entry, EntryStatus.UNDONE)
        if strand.run.is_suspended:
            raise asyncio.CancelledError
