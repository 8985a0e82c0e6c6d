"""Records of a workflow as a worker answers with them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from stator.runtime.protocol.cbor_dialect import NATIVE, encode_cbor
from stator.runtime.storage import EntryRow, WorkflowRows
from stator.runtime.workflow.entries import (
    Entry,
    EntryStatus,
    ErrorRecord,
    Kind,
    StoredMessage,
    UndoMark,
    encode_record,
)
from stator.runtime.workflow.values import encode_value
from stator.runtime.workflow_control import (
    HistoryRecord,
    StatusRecord,
    Verb,
    VerbArguments,
    WaitRecord,
)

BEGAN_MS = 1_767_323_045_250
"""2026-01-02 03:04:05.250 UTC."""


def make_error(name: str = "Declined", message: str = "no funds", **more: Any) -> ErrorRecord:
    """Return what is stored of an exception."""
    return ErrorRecord(name, message, f"app:{name}", b"", {}, **more)


def make_status(status: str = "sleeping", **more: Any) -> StatusRecord:
    """Return the record of run 2."""
    empty = StatusRecord(status, 2, BEGAN_MS, None, None, None, [])
    return msgspec.structs.replace(empty, **more)


def completed(output: Any) -> StatusRecord:
    """Return the record of a run that returned ``output``."""
    return make_status("completed", finished_ms=BEGAN_MS + 1500, output=encode_value(output))


WAITING = WaitRecord("pause", "sleep", "waiting", BEGAN_MS + 60_000, 0)
"""Of a workflow that sleeps for a minute."""


def make_entries() -> list[Entry]:
    """Return a step, a receive, a failed step, and a sleep that goes on."""
    message = StoredMessage(7, "orders", encode_cbor({"n": 1}, NATIVE, "body"), BEGAN_MS)
    step = Entry(1, "reserve", Kind.STEP, EntryStatus.COMPLETED, "", BEGAN_MS, 1)
    step.started_ms, step.finished_ms = BEGAN_MS, BEGAN_MS + 12
    step.input, step.output = encode_value([5]), encode_value("seat 5")
    step.undo = UndoMark("checkout", 1, "method:release")
    receive = Entry(2, "order", Kind.RECEIVE, EntryStatus.COMPLETED, "", BEGAN_MS)
    receive.output, receive.detail = encode_record([message]), ["orders"]
    failed = Entry(3, "charge", Kind.STEP, EntryStatus.FAILED, "", BEGAN_MS, 4)
    failed.error, failed.detail = make_error(), "exhausted"
    failed.progress = encode_value(0.5)
    pause = Entry(4, "pause", Kind.SLEEP, EntryStatus.WAITING, "", BEGAN_MS)
    pause.due_ms = BEGAN_MS + 60_000
    return [step, receive, failed, pause]


def make_history(*entries: Entry, status: StatusRecord | None = None) -> HistoryRecord:
    """Return the history of an actor."""
    rows = [EntryRow(entry.seq, encode_record(entry)) for entry in entries or make_entries()]
    stored = WorkflowRows(None, rows)
    return HistoryRecord("a1", "shop", "berlin/5", status or make_status(), stored)


class Records:
    """An asker that answers every verb with one record."""

    def __init__(self, record: Any) -> None:
        self.data: bytes = record if isinstance(record, bytes) else msgspec.msgpack.encode(record)
        self.asked: list[tuple[Verb, VerbArguments]] = []

    async def ask(self, verb: Verb, arguments: VerbArguments) -> bytes:
        await asyncio.sleep(0)
        self.asked.append((verb, arguments))
        return self.data
