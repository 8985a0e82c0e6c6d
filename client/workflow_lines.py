"""What ``stator workflow`` prints of statuses, histories and outputs: lines for people, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import msgspec

from stator.runtime.workflow_handle import (
    WorkflowEntry,
    WorkflowErrorInfo,
    WorkflowHistory,
    WorkflowStatus,
)

_TITLES = ("SEQ", "KEY", "KIND", "STATUS", "ATTEMPTS", "BEGAN", "TOOK", "")
_SHOWN_CHARACTERS = 200


def status_lines(status: WorkflowStatus) -> Iterator[str]:
    """Return how far a run is, for people."""
    yield f"{status.state}  run {status.run}" + (f"  {status.reason}" if status.reason else "")
    for word, instant in (("started", status.started_at), ("finished", status.finished_at)):
        if instant is not None:
            yield f"{word:<9} {_instant(instant)}"
    if status.error is not None:
        yield f"{'error':<9} {_error_text(status.error)}"
    for entry in status.open:
        due = "" if entry.due_at is None else f"  until {_instant(entry.due_at)}"
        attempts = f"  attempt {entry.attempts}" if entry.attempts else ""
        yield f"{'open':<9} {printable(entry.key)}  {entry.kind}  {entry.status}{attempts}{due}"


def history_lines(history: WorkflowHistory) -> Iterator[str]:
    """Return a line for each entry, after those of the status, for people."""
    yield f"{'actor':<9} {printable(' '.join((history.name, *history.key)))}  {history.actor_id}"
    yield from status_lines(history.status)
    rows = [_TITLES, *map(_row_of, history)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield ""
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def output_lines(value: Any) -> Iterator[str]:
    """Return what a run returned, for people: text as it is, anything else as JSON."""
    yield value if isinstance(value, str) else json.dumps(plain(value), indent=2)


def status_json(status: WorkflowStatus) -> str:
    """Return how far a run is as JSON."""
    return json.dumps(plain(status))


def history_json(history: WorkflowHistory) -> str:
    """Return a history as JSON."""
    return json.dumps(
        {
            "actor_id": history.actor_id,
            "name": history.name,
            "key": history.key,
            "status": plain(history.status),
            "entries": plain(list(history)),
        }
    )


def output_json(value: Any) -> str:
    """Return what a run returned as JSON."""
    return json.dumps(plain(value))


def plain(value: Any) -> Any:
    """Return a value as JSON has it: records as objects, sets as arrays, other things as text."""
    whole = value  # what checkers do not narrow to containers of they know not what
    if isinstance(value, WorkflowStatus):
        return _status_members(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in whole.items()}
    if isinstance(value, list | tuple | Set):
        return [plain(item) for item in whole]
    return value.hex() if isinstance(value, bytes) else str(value)


def printable(text: str) -> str:
    """Return ``text`` on one line, with nothing in it that moves a terminal's cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _status_members(status: WorkflowStatus) -> dict[str, Any]:
    return {
        "state": status.state,
        "run": status.run,
        "reason": status.reason,
        "started_at": status.started_at,
        "finished_at": status.finished_at,
        "error": plain(status.error),
        "open": plain(status.open),
    }


def _row_of(entry: WorkflowEntry) -> Sequence[str]:
    began = entry.created_at if entry.started_at is None else entry.started_at
    took = "" if entry.finished_at is None else f"{max(0.0, entry.finished_at - began):.3f} s"
    return (
        str(entry.seq),
        printable(entry.key),
        entry.kind,
        entry.status,
        str(entry.attempts) if entry.attempts else "",
        _instant(began),
        took,
        "; ".join(_notes_on(entry)),
    )


def _notes_on(entry: WorkflowEntry) -> Iterator[str]:
    if entry.due_at is not None and entry.finished_at is None:
        yield f"until {_instant(entry.due_at)}"
    if entry.winner is not None:
        yield f"won by {printable(entry.winner)}"
    if entry.error is not None:
        yield _error_text(entry.error)
    if entry.undo is not None:
        yield f"undo {entry.undo.status}"


def _error_text(error: WorkflowErrorInfo) -> str:
    identity = f" ({error.group}.{error.code})" if error.code else ""
    text = printable(f"{error.name}: {error.message}")
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
    return shown + identity


def _instant(seconds: float) -> str:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):  # a sleep for ever
        return f"{seconds:.0f}"
    return moment.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00") + "Z"
