"""What users see of a workflow: how far its run is, and what it did, entry by entry.

A history can be kept as a file (:meth:`WorkflowHistory.to_bytes`), so that a test suite can replay
it against the code of the day. Instants are Unix seconds (python-api, section 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, overload

import msgspec

from .keys import deserialize_key
from .protocol.cbor_dialect import READ_NATIVE, decode_cbor
from .workflow.entries import (
    Entry,
    ErrorRecord,
    Kind,
    RunStatus,
    StoredMessage,
    UndoMark,
    decode_entry,
    decode_messages,
)
from .workflow.values import decode_value
from .workflow_control import HistoryRecord, StatusRecord, WaitRecord

MAGIC = b"stator history 1\n"
"""What a kept history begins with; the number is that of the form of what follows."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(HistoryRecord).decode


class WorkflowErrorInfo(msgspec.Struct, frozen=True):
    """An exception that ended a run or an entry."""

    name: str
    """Of its class."""
    message: str
    group: str
    """Of an ``ActorError``, empty for others; so is ``code``."""
    code: str
    metadata: Any
    stack: str
    """Where it was raised, for people."""


class OpenEntry(msgspec.Struct, frozen=True):
    """Something that a run waits for, or does at this moment."""

    key: str
    kind: str
    """As in :class:`WorkflowEntry`; so is ``status``."""
    status: str
    due_at: float | None
    """Until when it waits, in Unix seconds; ``None`` without an end."""
    attempts: int
    """How many began."""


class WorkflowStatus(str):
    """The state of a run: its name, with what belongs to it as attributes.

    ``pending``, ``running``, ``sleeping``, ``rolling_back``, ``completed``, ``failed`` or
    ``cancelled``. It is a ``str``, so it can be compared, printed and sent; what an actor stores
    is its ``state``.
    """

    run: int
    """Which run: 1, and one more with each fork; 0 before the first one is stored."""
    started_at: float | None
    """Unix seconds, as ``finished_at``."""
    finished_at: float | None
    error: WorkflowErrorInfo | None
    """Why it failed."""
    open: tuple[OpenEntry, ...]
    """What it waits for and what it does."""

    def __new__(
        cls,
        state: str,
        *,
        run: int = 0,
        started_at: float | None = None,
        finished_at: float | None = None,
        error: WorkflowErrorInfo | None = None,
        open: tuple[OpenEntry, ...] = (),  # noqa: A002 - the public name
    ) -> Self:
        """Instants are Unix seconds."""
        self = super().__new__(cls, state)
        self.run = run
        self.started_at = started_at
        self.finished_at = finished_at
        self.error = error
        self.open = open
        return self

    @property
    def state(self) -> str:
        """The name alone."""
        return str(self)

    @property
    def reason(self) -> str:
        """Why it failed, in a word: the code of ``error``, as ``diverged`` or ``step_failed``.

        Empty for a run that did not fail, and for an error without a code.
        """
        is_failed = self.state == RunStatus.FAILED
        return self.error.code if is_failed and self.error is not None else ""

    def __repr__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"<workflow {self.state}, run {self.run}{reason}>"


class ReceivedMessage(msgspec.Struct, frozen=True):
    """A message that a workflow received; the output of a ``receive`` is a tuple of them."""

    id: int
    queue: str
    """Wire name."""
    body: Any
    created_at: float
    """Unix seconds."""
    status: str
    """``waiting`` while it has to be acknowledged, then ``completed`` or ``released``."""


class WorkflowUndo(msgspec.Struct, frozen=True):
    """The undo handler of a completed step."""

    saga: str
    """Key of the saga it belongs to; empty for the run itself."""
    status: str
    """``waiting``, ``running``, ``retrying``, ``undone``, ``failed``; ``completed`` once its saga
    went well, so that nothing is left to undo."""
    attempts: int
    due_at: float | None
    """Of the next attempt, in Unix seconds."""
    finished_at: float | None
    error: WorkflowErrorInfo | None


class WorkflowEntry(msgspec.Struct, frozen=True):
    """One thing that a workflow asked for. Instants are Unix seconds.

    Values are read without the types they were written as: records come back as dicts.
    """

    seq: int
    """Counts the entries of the actor; never used again."""
    key: str
    """Names of scopes and its own, joined by ``/``; a turn of a loop is ``~N``."""
    kind: str
    """``step``, ``txn``, ``sleep``, ``receive``, ``promise``, ``loop``, ``turn``, ``gather``,
    ``map``, ``first``, ``timeout``, ``saga``, ``version``, ``removed``, ``resolution``."""
    status: str
    """``running``, ``retrying``, ``waiting``, ``completed``, ``failed``, ``cancelled``,
    ``expired``, ``released``, ``undoing``, ``undone``."""
    attempts: int
    """How many began."""
    created_at: float
    started_at: float | None
    """When the last attempt began."""
    finished_at: float | None
    due_at: float | None
    """Until when it waits, or the next attempt."""
    input: Any
    """The arguments of a step; ``None`` if they could not be stored."""
    output: Any
    """Of a ``receive`` a tuple of :class:`ReceivedMessage`."""
    error: WorkflowErrorInfo | None
    undo: WorkflowUndo | None
    detail: Any
    """Of a failed step ``exhausted``, ``timeout``, ``fatal`` or ``undone``; of a ``receive`` names
    of queues; of ``gather``, ``map`` and ``first`` names of branches; of a ``version``
    ``[resolved, latest]``; of a ``removed`` the kind."""
    winner: str | None
    """Of a ``first``."""
    progress: Any
    """What its body last said by ``heartbeat``."""


class WorkflowHistory(Sequence[WorkflowEntry]):
    """All entries of a workflow that are kept, in the order in which it asked for them."""

    def __init__(self, record: HistoryRecord) -> None:
        self.record = record
        """What ``stator.testing.replay`` reads."""
        self._entries = [entry_of(decode_entry(row.image)) for row in record.rows.entries]

    @property
    def actor_id(self) -> str:
        """The id of its actor."""
        return self.record.actor_id

    @property
    def name(self) -> str:
        """The name of its actor on the wire."""
        return self.record.name

    @property
    def key(self) -> tuple[str, ...]:
        """The key of its actor."""
        return deserialize_key(self.record.key)

    @property
    def status(self) -> WorkflowStatus:
        """How far the run was."""
        return status_of(self.record.status)

    @property
    def run(self) -> int:
        """Which run: 1, and one more with each fork; 0 before the first one is stored."""
        return self.record.status.run

    def find(self, key: str) -> WorkflowEntry | None:
        """Return the entry with this key."""
        return next((entry for entry in self._entries if entry.key == key), None)

    def to_bytes(self) -> bytes:
        """Return the history as bytes that later releases read, for a file."""
        return MAGIC + _encode(self.record)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return what :meth:`to_bytes` was called on. Raises ``ValueError`` for other bytes."""
        if not data.startswith(MAGIC):
            raise ValueError("these bytes are no history of a workflow")
        return cls.decode(data[len(MAGIC) :])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return what an answer holds: a ``HistoryRecord`` as msgpack. Raises ``ValueError``."""
        try:
            return cls(_decode(data))
        except Exception as error:  # of an exact form any kind may come (``exact_form.py``)
            raise ValueError(f"the history cannot be read: {error}") from error

    @overload
    def __getitem__(self, index: int) -> WorkflowEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[WorkflowEntry]: ...
    def __getitem__(self, index: int | slice) -> WorkflowEntry | list[WorkflowEntry]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<history of {self.name} {list(self.key)}: {len(self)} entries, {self.status!r}>"


def status_of(record: StatusRecord) -> WorkflowStatus:
    """Return what a record says."""
    return WorkflowStatus(
        record.status,
        run=record.run,
        started_at=seconds_of(record.created_ms),
        finished_at=seconds_of(record.finished_ms),
        error=error_of(record.error),
        open=tuple(map(_open_entry, record.open)),
    )


def error_of(record: ErrorRecord | None) -> WorkflowErrorInfo | None:
    """Return what a record says of an error, if there is one."""
    if record is None:
        return None
    return WorkflowErrorInfo(
        record.name, record.message, record.group, record.code, record.metadata, record.stack
    )


def seconds_of(ms: int | None) -> float | None:
    """Return an instant of a record in Unix seconds."""
    return None if ms is None else ms / 1000


def _open_entry(record: WaitRecord) -> OpenEntry:
    due_at = seconds_of(record.due_ms)
    return OpenEntry(record.key, record.kind, record.status, due_at, record.attempts)


def entry_of(entry: Entry) -> WorkflowEntry:
    """Return what a stored entry says. Values that are none raise any kind of ``Exception``."""
    return WorkflowEntry(
        seq=entry.seq,
        key=entry.key,
        kind=str(entry.kind),
        status=str(entry.status),
        attempts=entry.attempts,
        created_at=entry.created_ms / 1000,
        started_at=seconds_of(entry.started_ms),
        finished_at=seconds_of(entry.finished_ms),
        due_at=seconds_of(entry.due_ms),
        input=value_of(entry.input),
        output=_output_of(entry),
        error=error_of(entry.error),
        undo=_undo_of(entry.undo),
        detail=entry.detail,
        winner=entry.winner,
        progress=value_of(entry.progress),
    )


def value_of(image: bytes | None) -> Any:
    """Return the value of an image, ``None`` without one; records come back as dicts."""
    return None if image is None else decode_value(image, loose=True)


def _output_of(entry: Entry) -> Any:
    if entry.output is None or entry.kind is not Kind.RECEIVE:
        return value_of(entry.output)
    return tuple(map(_message_of, decode_messages(entry.output)))


def _message_of(message: StoredMessage) -> ReceivedMessage:
    return ReceivedMessage(
        message.id,
        message.name,
        decode_cbor(message.body, READ_NATIVE),
        message.created_ms / 1000,
        str(message.status),
    )


def _undo_of(mark: UndoMark | None) -> WorkflowUndo | None:
    if mark is None:
        return None
    return WorkflowUndo(
        mark.saga,
        str(mark.status),
        mark.attempts,
        seconds_of(mark.due_ms),
        seconds_of(mark.finished_ms),
        error_of(mark.error),
    )
