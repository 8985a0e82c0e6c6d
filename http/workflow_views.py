"""How far a workflow is and what it did, as JSON for people. Instants are Unix milliseconds."""

from __future__ import annotations

from typing import Any

import msgspec

from stator.runtime.workflow.entries import (
    Entry,
    ErrorRecord,
    Kind,
    StoredMessage,
    UndoMark,
    decode_entry,
    decode_messages,
)
from stator.runtime.workflow_control import HistoryRecord, StatusRecord, WaitRecord

from .shown_values import shown, shown_body, shown_image


def show_status(record: StatusRecord) -> dict[str, Any]:
    """Return how far a run is."""
    return {
        "state": record.status,
        "run": record.run,
        "createdAt": record.created_ms,
        "finishedAt": record.finished_ms,
        "output": shown_image(record.output),
        "error": show_error(record.error),
        "open": [_show_wait(wait) for wait in record.open],
    }


def show_history(record: HistoryRecord) -> dict[str, Any]:
    """Return all that is stored of a workflow."""
    return {
        "actorId": record.actor_id,
        "name": record.name,
        "key": record.key,
        "status": show_status(record.status),
        "entries": [show_entry(entry) for entry in entries_of(record)],
    }


def entries_of(record: HistoryRecord) -> list[Entry]:
    """Return the entries of a history. Raises ``msgspec.MsgspecError``."""
    return [decode_entry(row.image) for row in record.rows.entries]


def show_error(error: ErrorRecord | None) -> dict[str, Any] | None:
    """Return what is known of an error, but not where in the code it was raised."""
    if error is None:
        return None
    view: dict[str, Any] = {"name": error.name, "message": error.message}
    if error.code:
        view |= {"group": error.group, "code": error.code, "metadata": shown(error.metadata)}
    elif error.attributes:
        view["attributes"] = shown(error.attributes)
    return view


def show_undo(mark: UndoMark | None) -> dict[str, Any] | None:
    """Return how far the undo handler of a step is."""
    if mark is None:
        return None
    return {
        "saga": mark.saga,
        "order": mark.order,
        "status": mark.status,
        "attempts": mark.attempts,
        "dueAt": mark.due_ms,
        "finishedAt": mark.finished_ms,
        "error": show_error(mark.error),
    }


def show_message(message: StoredMessage) -> dict[str, Any]:
    """Return a message that a workflow received."""
    return {
        "id": str(message.id),
        "name": message.name,
        "body": shown_body(message.body),
        "createdAt": message.created_ms,
        "status": message.status,
    }


def messages_of(entry: Entry) -> list[StoredMessage]:
    """Return what a receive got so far; nothing if that cannot be read."""
    try:
        return decode_messages(entry.output) if entry.output else []
    except msgspec.MsgspecError:
        return []  # another stator wrote it; the entry itself says how far it is


def show_output(entry: Entry) -> Any:
    """Return the output of an entry; of a receive a list of messages."""
    if entry.kind is Kind.RECEIVE and entry.output is not None:
        return [show_message(message) for message in messages_of(entry)]
    return shown_image(entry.output)


def show_entry(entry: Entry) -> dict[str, Any]:
    """Return one entry."""
    return {
        "seq": entry.seq,
        "key": entry.key,
        "kind": entry.kind,
        "status": entry.status,
        "attempts": entry.attempts,
        "createdAt": entry.created_ms,
        "startedAt": entry.started_ms,
        "finishedAt": entry.finished_ms,
        "dueAt": entry.due_ms,
        "input": shown_image(entry.input),
        "output": show_output(entry),
        "error": show_error(entry.error),
        "detail": shown(entry.detail),
        "winner": entry.winner,
        "undo": show_undo(entry.undo),
        "progress": shown_image(entry.progress),
    }


def _show_wait(wait: WaitRecord) -> dict[str, Any]:
    return {
        "key": wait.key,
        "kind": wait.kind,
        "status": wait.status,
        "dueAt": wait.due_ms,
        "attempts": wait.attempts,
    }
