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
_BLOCKS = frozenset(
    {Kind.LOOP, Kind.TURN, Kind.GATHER, Kind.MAP, Kind.FIRST, Kind.SAGA, Kind.TIMEOUT}
)
"""Entries around others: one that merely runs says nothing, what is in it does."""


def status_of(run: Run | None, open_entries: Iterable[Entry]) -> StatusRecord:
    """Return how far a run is; ``open_entries`` are those in :data:`OPEN`, by ``seq``.

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
        [
            WaitRecord(each.key, each.kind, each.status, each.due_ms, each.attempts)
            for each in entries
        ],
    )


def stored_status(rows: WorkflowRows) -> StatusRecord:
    """Return how far the run is that is stored. Raises ``msgspec.MsgspecError``."""
    run = None if rows.run is None else decode_run(rows.run.image)
    entries = map(decode_entry, (row.image for row in rows.entries))
    return status_of(run, (entry for entry in entries if entry.status in OPEN))


def _is_parked(entries: list[Entry]) -> bool:
    """Whether there is something that is waited for, and nothing that is done."""
    telling = [entry.status for entry in entries if not _only_surrounds(entry)]
    return bool(telling) and _PARKED.issuperset(telling)


def _only_surrounds(entry: Entry) -> bool:
    if entry.kind is Kind.TIMEOUT:
        return True
    return entry.kind in _BLOCKS and entry.status is EntryStatus.RUNNING
