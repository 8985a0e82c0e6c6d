"""Going back in a history: what ``fork`` and ``retry`` do to it.

Rule 1. What began before the cut stays as it is, what began later goes. So an entry of another
        branch that was there already keeps its outcome.
Rule 2. Blocks around the cut are open again. A time limit among them begins anew.
Rule 3. What was undone does not count as done: the cut is moved before it (workflow page, section
        13, no. 2).
Rule 4. What was cancelled with its block is asked for again, if the block is open again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from . import keys
from .entries import Entry, EntryStatus, Kind, UndoMark, decode_messages

BLOCKS = frozenset(
    {Kind.LOOP, Kind.TURN, Kind.GATHER, Kind.MAP, Kind.FIRST, Kind.SAGA, Kind.TIMEOUT}
)
_ALWAYS_PLAYED = frozenset({Kind.GATHER, Kind.MAP, Kind.FIRST, Kind.TIMEOUT})
_BEGUN = frozenset({EntryStatus.FAILED, EntryStatus.RUNNING, EntryStatus.RETRYING})
_DECIDED = frozenset({EntryStatus.COMPLETED, EntryStatus.EXPIRED})


class Edit(NamedTuple):
    """What becomes of a history."""

    kept: list[Entry]
    """By ``seq``; what changed of them is in ``changed`` as well."""
    changed: list[Entry]
    removed: list[Entry]


def plan_cut(entries: Iterable[Entry], cut: int | None) -> Edit:
    """Return the history before the entry number ``cut``, or all of it if nothing is cut.

    The kept entries are changed in place.
    """
    ordered = sorted(entries, key=lambda entry: entry.seq)
    end = _before_undone(ordered, cut)
    kept = [entry for entry in ordered if end is None or entry.seq < end]
    removed = [entry for entry in ordered if end is not None and entry.seq >= end]
    place = removed[0].key if removed else None
    changed: dict[int, Entry] = {}
    for entry in kept:
        if place is not None and keys.is_within(place, entry.key) and entry.kind in BLOCKS:
            _reopen(entry)
            changed[entry.seq] = entry
    open_again = {entry.key for entry in changed.values()}
    for entry in kept:
        if _is_armed_again(entry, open_again):
            changed[entry.seq] = entry
    dropped = _drop_cancelled(kept, changed)
    kept = [entry for entry in kept if entry.seq not in dropped]
    return Edit(
        kept,
        [entry for seq, entry in changed.items() if seq not in dropped],
        removed + list(dropped.values()),
    )


def resume_undo(entries: Iterable[Entry]) -> list[Entry]:
    """Let undo handlers that failed for good be tried again; return the entries that changed."""
    changed: list[Entry] = []
    for entry in entries:
        mark = entry.undo
        if mark is not None and mark.status is EntryStatus.FAILED:
            mark.status, mark.attempts, mark.error = EntryStatus.WAITING, 0, None
            mark.failures = 0
            changed.append(entry)
        elif entry.kind is Kind.SAGA and entry.status is EntryStatus.FAILED:
            entry.status, entry.finished_ms = EntryStatus.UNDOING, None
            changed.append(entry)
    return changed


def unfinished_undo(entries: Iterable[Entry]) -> list[UndoMark]:
    """Return the undo handlers that began and neither went well nor will by themselves: they
    failed for good, or a divergence was found before their next attempt."""
    marks = [entry.undo for entry in entries if entry.undo is not None]
    return [mark for mark in marks if mark.status in _BEGUN]


def earliest(entries: Iterable[Entry], wanted: Collection[str]) -> int | None:
    """Return the number of the first of the entries with these keys."""
    return min((entry.seq for entry in entries if entry.key in wanted), default=None)


def released_receives(edit: Edit) -> list[Entry]:
    """Return the receives that will be played and whose messages went back to their queue."""
    last: dict[str, str] = {}
    for entry in edit.kept:
        if entry.kind is Kind.TURN:
            last[entry.key.rpartition("/~")[0]] = entry.key
    return [
        entry
        for entry in edit.kept
        if entry.kind is Kind.RECEIVE
        and entry.output is not None
        and any(each.status is EntryStatus.RELEASED for each in decode_messages(entry.output))
        and _is_played(entry.key, last)
    ]


def _is_played(key: str, last_turns: dict[str, str]) -> bool:
    """Whether a replay comes by: not in a turn that is over."""
    turn = keys.innermost_turn(key)
    while turn is not None:
        if last_turns.get(turn.rpartition("/~")[0], turn) != turn:
            return False
        turn = keys.innermost_turn(turn)
    return True


def _before_undone(ordered: list[Entry], cut: int | None) -> int | None:
    undone = [
        entry.seq
        for entry in ordered
        if entry.undo is not None
        and entry.undo.status in (EntryStatus.UNDONE, EntryStatus.RUNNING, EntryStatus.RETRYING)
    ]
    return min([*undone, *([] if cut is None else [cut])], default=None)


def _reopen(entry: Entry) -> None:
    is_limit = entry.kind is Kind.TIMEOUT
    entry.status = EntryStatus.WAITING if is_limit else EntryStatus.RUNNING
    entry.finished_ms = entry.due_ms = entry.error = entry.winner = None
    if entry.kind is not Kind.TURN:
        entry.output = None


def _is_armed_again(entry: Entry, sagas: Collection[str]) -> bool:
    mark = entry.undo
    if mark is None or mark.saga not in sagas or mark.status is not EntryStatus.COMPLETED:
        return False
    mark.status = EntryStatus.WAITING
    return True


def _drop_cancelled(kept: list[Entry], changed: dict[int, Entry]) -> dict[int, Entry]:
    """Return what was cancelled with a block that is not decided; blocks are opened instead."""
    decided = [
        entry.key
        for entry in kept
        if entry.kind in (Kind.FIRST, Kind.TIMEOUT) and entry.status in _DECIDED
    ]
    dropped: dict[int, Entry] = {}
    for entry in kept:
        if entry.kind is Kind.PROMISE and _await_again(entry, decided):
            changed[entry.seq] = entry
        if entry.status is not EntryStatus.CANCELLED:
            continue
        if any(keys.is_within(entry.key, block) for block in decided):
            continue
        if entry.kind in _ALWAYS_PLAYED:
            _reopen(entry)
            changed[entry.seq] = entry
        else:
            dropped[entry.seq] = entry
    return dropped


def _await_again(entry: Entry, decided: list[str]) -> bool:
    """Forget which awaits of a promise were cut off, if their block is open again."""
    cut_off: list[tuple[str, int, str]] = entry.detail or []
    if not cut_off:
        return False
    entry.detail = [
        each
        for each in cut_off
        if any(each[2] == block or keys.is_within(each[2], block) for block in decided)
    ]
    return len(entry.detail) < len(cut_off)
