"""Loading what is stored of a workflow when its actor starts, and repairing it.

A ``wf.txn`` commits in the actor's database first. If the process ended before the shard had it,
the database says what the step did: its entry and the state it reached are taken from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from stator.runtime.errors import StorageUnavailable
from stator.runtime.storage import WorkflowRows
from stator.runtime.workflow.entries import (
    Entry,
    EntryStatus,
    Kind,
    Run,
    RunStatus,
    decode_entry,
    decode_run,
)
from stator.runtime.workflow.fairness import LINE
from stator.runtime.workflow.host import Checkpoint
from stator.runtime.workflow_errors import HistoryUnreadable

if TYPE_CHECKING:
    from ..cell import Cell


MANY_ENTRIES = 100
"""To read more takes a turn of the event loop of its own."""


class StoredWorkflow(NamedTuple):
    """What is stored of a workflow."""

    run: Run
    entries: list[Entry] | None
    """By ``seq``; ``None`` if they were not loaded, as the run has ended."""


async def load_workflow(cell: Cell, *, whole: bool = False) -> StoredWorkflow:
    """Load an actor's workflow; without one a run that has not begun.

    Raises ``storage.unavailable`` and ``workflow.history_unreadable``.
    """
    try:
        rows = await cell.shard.store.load_workflow(cell.row.pk, whole=whole)
    except Exception as error:
        cell.log.error("workflow cannot be loaded", exc_info=error)
        raise StorageUnavailable from error
    if len(rows.entries) > MANY_ENTRIES:
        await LINE.give_way()  # many actors may be woken at once
    return _read(cell, rows, whole=whole)


def new_workflow(cell: Cell) -> StoredWorkflow:
    """Return the workflow of an actor that is created."""
    now_ms = cell.shard.clock.now_ms()
    return StoredWorkflow(Run(1, RunStatus.PENDING, cell.row.actor_id, now_ms), [])


def _read(cell: Cell, rows: WorkflowRows, *, whole: bool) -> StoredWorkflow:
    if rows.run is None:
        return new_workflow(cell)
    try:
        run = decode_run(rows.run.image)
        entries = [decode_entry(row.image) for row in rows.entries]
    except msgspec.MsgspecError as error:
        raise HistoryUnreadable(f"the stored workflow cannot be read: {error}") from error
    has_entries = whole or bool(entries) or run.status not in _ENDED
    return StoredWorkflow(run, entries if has_entries else None)


_ENDED = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


def awaits_repair(stored: StoredWorkflow) -> bool:
    """Whether a transaction may have been committed without the shard's knowledge."""
    return any(map(_may_be_done, stored.entries or ()))


def repair(
    stored: StoredWorkflow, checkpoints: list[Checkpoint]
) -> tuple[list[Entry], bytes | None]:
    """Bring the entries up to what the database says was done.

    Returns those that changed, and the state image that the last of them reached.
    """
    by_seq = {entry.seq: entry for entry in stored.entries or () if _may_be_done(entry)}
    changed: list[Entry] = []
    state: bytes | None = None
    for checkpoint in sorted(checkpoints, key=lambda each: each.seq):
        entry = by_seq.get(checkpoint.seq)
        if entry is None:
            continue
        done = decode_entry(checkpoint.entry)
        if (done.key, done.created_ms) != (entry.key, entry.created_ms):
            continue  # of an entry that a fork has removed
        for field in Entry.__struct_fields__:
            setattr(entry, field, getattr(done, field))
        changed.append(entry)
        state = checkpoint.state or state
    return changed, state


def _may_be_done(entry: Entry) -> bool:
    return entry.kind is Kind.TXN and entry.status in (EntryStatus.RUNNING, EntryStatus.RETRYING)
