"""How far a run is, worked out from its records; of an actor in memory as of one that sleeps."""

from __future__ import annotations

from collections.abc import Iterable

from ..storage import WorkflowRows
from ..workflow_control import StatusRecord, WaitRecord
from .entries import ENDED, Entry, EntryStatus, Kind, Run, RunStatus, decode_entry, decode_run

OPEN = frozenset(
    {EntryStatus.RUNNING, EntryStatus.RETRYING, EntryStatus.WAITING, EntryStatus.UNDOING}
)
"""Where an entry is not closed."""

_PARKED = frozenset({EntryStatus.RETRYING, EntryStatus.WAITING})
_UNDER_WAY = frozenset({EntryStatus.RUNNING, EntryStatus.RETRYING})
_BLOCKS = frozenset(
    {Kind.LOOP, Kind.TURN, Kind.GATHER, Kind.MAP, Kind.FIRST, Kind.SAGA, Kind.TIMEOUT}
)
"""Entries around others: one that merely runs says nothing, what is in it does."""


def status_of(run: Run | None, open_entries: Iterable[Entry]) -> StatusRecord:
    """Return how far a run is; ``open_entries`` are those that :func:`is_open`, by ``seq``.

    Without a run, which is before its first commit, it is pending. One that runs is sleeping
    while all that it does is wait for time, messages, promises or a retry. One that was cancelled
    rolls back until it has ended. One that has ended waits for nothing, whatever it left open.
    """
    if run is None:
        return StatusRecord(RunStatus.PENDING, 0, None, None, None, None, [])
    entries = [] if run.status in ENDED else list(open_entries)
    status = run.status
    if status is RunStatus.RUNNING and run.is_cancelled:
        status = RunStatus.ROLLING_BACK
    elif status is RunStatus.RUNNING and _is_parked(entries):
        status = RunStatus.SLEEPING
    return StatusRecord(
        status,
        run.number,
        run.created_ms,
        run.finished_ms,
        run.output,
        run.error,
        [_wait_of(each) for each in entries],
    )


def is_open(entry: Entry) -> bool:
    """Whether an entry is not closed, or its undo handler is under way."""
    return entry.status in OPEN or _is_undone_now(entry)


def _is_undone_now(entry: Entry) -> bool:
    return entry.undo is not None and entry.undo.status in _UNDER_WAY


def _wait_of(entry: Entry) -> WaitRecord:
    undo = entry.undo
    if undo is not None and _is_undone_now(entry):
        return WaitRecord(entry.key, entry.kind, undo.status, undo.due_ms, undo.attempts)
    return WaitRecord(entry.key, entry.kind, entry.status, entry.due_ms, entry.attempts)


def stored_status(rows: WorkflowRows) -> StatusRecord:
    """Return how far the run is that is stored. Raises ``msgspec.MsgspecError``."""
    run = None if rows.run is None else decode_run(rows.run.image)
    entries = map(decode_entry, (row.image for row in rows.entries))
    return status_of(run, filter(is_open, entries))


def _is_parked(entries: list[Entry]) -> bool:
    """Whether there is something that is waited for, and nothing that is done."""
    is_pausing = any(map(_is_undone_now, entries))
    telling = [_wait_of(entry).status for entry in entries if not _surrounds(entry, is_pausing)]
    return bool(telling) and _PARKED.issuperset(telling)


def _surrounds(entry: Entry, is_pausing: bool) -> bool:
    """Whether an entry says nothing itself; that a saga is undone, its handlers say while one
    ``is_pausing``."""
    if entry.kind is Kind.TIMEOUT:
        return True
    if entry.status is EntryStatus.UNDOING:
        return is_pausing
    return entry.kind in _BLOCKS and entry.status is EntryStatus.RUNNING
