"""The history of a workflow in the JSON of the peer's inspector (inspector page, section 4).

Rule 1. Names are in ``nameRegistry`` and referred to by index; they are made for each answer.
Rule 2. The id of an entry is its key. Members that the peer does not have come after its own.
Rule 3. A turn of a loop is no entry of the peer: the last one is what its loop says of itself.
Rule 4. What the peer has no kind for is shown as what comes nearest; ``type`` is our own kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from stator.runtime.workflow import keys
from stator.runtime.workflow.entries import Entry, EntryStatus, ErrorRecord, Kind
from stator.runtime.workflow.status import OPEN
from stator.runtime.workflow_control import HistoryRecord

from .shown_values import shown_image
from .workflow_views import entries_of, messages_of, show_error, show_message, show_undo

_STATUSES = {
    EntryStatus.RUNNING: "RUNNING",
    EntryStatus.RETRYING: "FAILED",
    EntryStatus.WAITING: "PENDING",
    EntryStatus.COMPLETED: "COMPLETED",
    EntryStatus.FAILED: "FAILED",
    EntryStatus.CANCELLED: "FAILED",
    EntryStatus.EXPIRED: "COMPLETED",
    EntryStatus.RELEASED: "COMPLETED",
    EntryStatus.UNDOING: "RUNNING",
    EntryStatus.UNDONE: "FAILED",
}
_SLEEP_STATES = {EntryStatus.WAITING: "PENDING", EntryStatus.RUNNING: "PENDING"}
"""Others: a time limit whose block ended first was interrupted."""
_WHOLE = frozenset({EntryStatus.COMPLETED, EntryStatus.EXPIRED, EntryStatus.RELEASED})
"""Where an entry came to the end it was made for."""

EARLY = "="
"""Before the key of a promise that was resolved before it was asked for (``waits.py``)."""

NO_WORKFLOW: dict[str, Any] = {
    "history": None,
    "workflowState": None,
    "isWorkflowEnabled": False,
}
"""What is said of an actor without workflow."""


def peer_history(record: HistoryRecord) -> dict[str, Any]:
    """Return the answer to ``GET /inspector/workflow-history``."""
    return {
        "history": _History(entries_of(record)).show(),
        "workflowState": record.status.status,
        "isWorkflowEnabled": True,
    }


class _History:
    """One history on its way into JSON."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._names: dict[str, int] = {}
        self._entries: list[Entry] = []
        self._last_turns: dict[str, tuple[int, Entry]] = {}
        """By key of the loop."""
        self._begun: set[str] = set()
        """Branches with an entry."""
        self._failed: dict[str, ErrorRecord] = {}
        """Why branches failed, as far as their last entries say."""
        for entry in entries:
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        self._begun.add(entry.strand)
        self._failed.pop(entry.strand, None)
        if entry.status is EntryStatus.FAILED and entry.error is not None:
            self._failed[entry.strand] = entry.error
        if entry.kind is not Kind.TURN:
            self._entries.append(entry)
            return
        loop = entry.key.rpartition("/")[0]
        number = keys.turn_of(entry.key, loop)
        if number is not None and number >= self._last_turns.get(loop, (0, entry))[0]:
            self._last_turns[loop] = number, entry

    def show(self) -> dict[str, Any]:
        """Return the JSON."""
        entries = [self._show(entry) for entry in self._entries]
        return {
            "nameRegistry": list(self._names),
            "entries": entries,
            "entryMetadata": {entry.key: _metadata(entry) for entry in self._entries},
        }

    def _show(self, entry: Entry) -> dict[str, Any]:
        tag, value = _KINDS[entry.kind]
        return {
            "id": entry.key,
            "location": self._location(entry.key),
            "kind": {"tag": tag, "val": value(self, entry)},
            "key": entry.key,
            "seq": entry.seq,
            "type": entry.kind,
            "status": entry.status,
            "startedAt": entry.started_ms,
            "dueAt": entry.due_ms,
            "input": shown_image(entry.input),
            "undo": show_undo(entry.undo),
        }

    def _location(self, key: str) -> list[dict[str, Any]]:
        location: list[dict[str, Any]] = []
        name, scope = 0, ""
        for segment in key.removeprefix(EARLY).split("/"):
            inner = f"{scope}/{segment}" if scope else segment
            turn = keys.turn_of(inner, scope) if scope else None
            if turn is None:
                name = self._index_of(keys.show(segment))
                location.append({"tag": "WorkflowNameIndex", "val": name})
            else:
                marker = {"loop": name, "iteration": turn}
                location.append({"tag": "WorkflowLoopIterationMarker", "val": marker})
            scope = inner
        return location

    def _index_of(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    # -- the kinds

    def step(self, entry: Entry) -> dict[str, Any]:
        return {"output": shown_image(entry.output), "error": _text_of(entry.error)}

    def loop(self, entry: Entry) -> dict[str, Any]:
        number, turn = self._last_turns.get(entry.key, (0, None))
        return {
            "state": None if turn is None else shown_image(turn.output),
            "iteration": number,
            "output": shown_image(entry.output),
        }

    def sleep(self, entry: Entry) -> dict[str, Any]:
        is_over = entry.status is (
            EntryStatus.EXPIRED if entry.kind is Kind.TIMEOUT else EntryStatus.COMPLETED
        )
        state = "COMPLETED" if is_over else _SLEEP_STATES.get(entry.status, "INTERRUPTED")
        deadline = entry.due_ms if entry.finished_ms is None else entry.finished_ms
        return {"deadline": deadline, "state": state}

    def receive(self, entry: Entry) -> dict[str, Any]:
        messages = [show_message(message) for message in messages_of(entry)]
        if len(messages) == 1:
            return {"name": messages[0]["name"], "messageData": messages[0]}
        names = _items_of(entry.detail)
        return {"name": "|".join(map(str, names)) or "*", "messageData": messages or None}

    def promise(self, entry: Entry) -> dict[str, Any]:
        name = keys.show(keys.last_name(entry.key.removeprefix(EARLY)))
        return {"name": name, "messageData": shown_image(entry.output)}

    def saga(self, entry: Entry) -> dict[str, Any]:
        return {"name": keys.show(keys.last_name(entry.key))}

    def join(self, entry: Entry) -> dict[str, Any]:
        return {"branches": self._branches(entry)}

    def race(self, entry: Entry) -> dict[str, Any]:
        return {"winner": entry.winner, "branches": self._branches(entry)}

    def removed(self, entry: Entry) -> dict[str, Any]:
        return {"originalType": entry.detail, "originalName": keys.show(keys.last_name(entry.key))}

    def version(self, entry: Entry) -> dict[str, Any]:
        resolved, latest = [*_items_of(entry.detail), None, None][:2]
        return {"resolved": resolved, "latest": latest}

    def _branches(self, entry: Entry) -> dict[str, Any]:
        names = _items_of(entry.detail)
        return {str(name): self._branch(entry, str(name)) for name in names}

    def _branch(self, entry: Entry, name: str) -> dict[str, Any]:
        """Return how far a branch is. What it returned is nowhere: a replay runs its code."""
        strand = keys.join(entry.key, name) if name else entry.key
        error = self._failed.get(strand)
        if entry.status in OPEN:
            status = "RUNNING" if strand in self._begun else "PENDING"
        elif entry.kind is Kind.FIRST and entry.winner is not None:
            status = "COMPLETED" if name == entry.winner else "CANCELLED"
        elif entry.status is EntryStatus.CANCELLED:
            status = "CANCELLED"
        elif error is not None or entry.kind is Kind.FIRST:
            status = "FAILED"
        else:
            status = "COMPLETED"
        shown_error = _text_of(error) if status == "FAILED" else None
        return {"status": status, "output": None, "error": shown_error}


def _items_of(detail: object) -> list[object]:
    return cast(list[object], detail) if isinstance(detail, list) else []


def _metadata(entry: Entry) -> dict[str, Any]:
    status = _STATUSES[entry.status]
    if entry.status is EntryStatus.FAILED and entry.kind in (Kind.STEP, Kind.TXN):
        status = "EXHAUSTED"  # its outcome is final, whatever the reason
    undo = entry.undo
    is_undone = undo is not None and undo.status is EntryStatus.UNDONE
    return {
        "status": status,
        "error": _text_of(entry.error),
        "attempts": entry.attempts,
        "lastAttemptAt": entry.started_ms or entry.created_ms,
        "createdAt": entry.created_ms,
        "completedAt": entry.finished_ms if entry.status in _WHOLE else None,
        "rollbackCompletedAt": undo.finished_ms if undo is not None and is_undone else None,
        "rollbackError": None if undo is None else _text_of(undo.error),
        "finishedAt": entry.finished_ms,
        "cause": show_error(entry.error),
    }


def _text_of(error: ErrorRecord | None) -> str | None:
    if error is None:
        return None
    return f"{error.name}: {error.message}" if error.message else error.name


_KINDS: dict[Kind, tuple[str, Callable[[_History, Entry], dict[str, Any]]]] = {
    Kind.STEP: ("WorkflowStepEntry", _History.step),
    Kind.TXN: ("WorkflowStepEntry", _History.step),
    Kind.LOOP: ("WorkflowLoopEntry", _History.loop),
    Kind.SLEEP: ("WorkflowSleepEntry", _History.sleep),
    Kind.TIMEOUT: ("WorkflowSleepEntry", _History.sleep),
    Kind.RECEIVE: ("WorkflowMessageEntry", _History.receive),
    Kind.PROMISE: ("WorkflowMessageEntry", _History.promise),
    Kind.RESOLUTION: ("WorkflowMessageEntry", _History.promise),
    Kind.SAGA: ("WorkflowRollbackCheckpointEntry", _History.saga),
    Kind.GATHER: ("WorkflowJoinEntry", _History.join),
    Kind.MAP: ("WorkflowJoinEntry", _History.join),
    Kind.FIRST: ("WorkflowRaceEntry", _History.race),
    Kind.REMOVED: ("WorkflowRemovedEntry", _History.removed),
    Kind.VERSION: ("WorkflowVersionCheckEntry", _History.version),
}
