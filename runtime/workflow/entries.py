"""What is stored of a workflow: its run, and an entry for each thing that it asked for.

An entry is written when the workflow asks (``created_ms``), changed while that is under way, and
closed with its outcome, which is never computed again (workflow page, section 16.1). Instants are
Unix milliseconds; a *value image* is bytes of ``values.py``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from ..storage import MessageRow


class Kind(StrEnum):
    """What an entry is of."""

    STEP = "step"
    TXN = "txn"
    SLEEP = "sleep"
    RECEIVE = "receive"
    PROMISE = "promise"
    LOOP = "loop"
    TURN = "turn"
    """One turn of a loop; its output is the loop's state at the beginning of it."""
    GATHER = "gather"
    MAP = "map"
    FIRST = "first"
    TIMEOUT = "timeout"
    SAGA = "saga"
    VERSION = "version"
    REMOVED = "removed"
    RESOLUTION = "resolution"
    """The value of a promise that was resolved before the workflow asked for it."""


class EntryStatus(StrEnum):
    """How far an entry is."""

    RUNNING = "running"
    """Code of it is under way, or was when the process ended."""
    RETRYING = "retrying"
    """Its last attempt failed; the next one is at ``due_ms``."""
    WAITING = "waiting"
    """For time, a message or a resolution."""
    COMPLETED = "completed"
    FAILED = "failed"
    """For good; ``detail`` is the kind of the failure."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """A time limit that was over before its block ended."""
    RELEASED = "released"
    """A message that was received and went back into its queue."""
    UNDOING = "undoing"
    """A saga whose undo handlers run."""
    UNDONE = "undone"


class RunStatus(StrEnum):
    """How far a run is (workflow page, section 3.4)."""

    PENDING = "pending"
    RUNNING = "running"
    SLEEPING = "sleeping"
    """All of it waits for time, messages, promises or a retry. Never stored: it is worked out."""
    ROLLING_BACK = "rolling_back"
    """It failed or was cancelled and its undo handlers run."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})
"""A run in one of these goes on only by ``retry`` or ``fork``."""


class ErrorRecord(msgspec.Struct, array_like=True, frozen=True):
    """An exception that can be raised again after a restart (``failures.py``)."""

    name: str
    """Of its class."""
    message: str
    home: str
    """Module and qualified name of its class: ``"app.orders:Declined"``."""
    arguments: bytes
    """Value image of its ``args``; empty if they cannot be stored."""
    attributes: dict[str, Any]
    """Those of its attributes that are text, numbers, truth values or ``None``."""
    group: str = ""
    """Of an ``ActorError``, as are the following."""
    code: str = ""
    metadata: Any = None
    stack: str = ""
    """Where it was raised, for people."""
    inner: dict[str, ErrorRecord | dict[str, ErrorRecord]] = {}
    """Exceptions in its attributes: one, or by name those of a dict; of a group its members."""


class UndoMark(msgspec.Struct, array_like=True):
    """The undo handler of a completed step."""

    saga: str
    """Key of the saga it belongs to; empty for the run itself."""
    order: int
    """Handlers run from the greatest to the smallest."""
    function: str
    """``"method:release"`` or ``"app.orders:release"``; empty for a closure, which only the code
    of the workflow can give again."""
    status: EntryStatus = EntryStatus.WAITING
    """WAITING (armed), RUNNING, RETRYING, UNDONE, FAILED; COMPLETED once its saga went well."""
    attempts: int = 0
    due_ms: int | None = None
    finished_ms: int | None = None
    error: ErrorRecord | None = None
    failures: int = 0
    """How many of its attempts ended with an error."""


class StoredMessage(msgspec.Struct, array_like=True):
    """A message of a queue that the workflow received; the output of a RECEIVE entry is a list."""

    id: int
    name: str
    body: bytes
    """As the queue stored it."""
    created_ms: int
    status: EntryStatus = EntryStatus.COMPLETED
    """WAITING while it has to be acknowledged, then COMPLETED or RELEASED."""

    def row(self) -> MessageRow:
        """Return it as the queue stored it."""
        return MessageRow(self.id, self.name, self.body, self.created_ms)


class Entry(msgspec.Struct, array_like=True):
    """One thing that a workflow asked for."""

    seq: int
    """Counts the entries of the actor; never used again."""
    key: str
    """Names of scopes and its own, joined by ``/``; a turn of a loop is ``~N`` (``keys.py``)."""
    kind: Kind
    status: EntryStatus
    strand: str
    """Key of the branch it is in; empty for the workflow's own body. Order counts within it."""
    created_ms: int
    attempts: int = 0
    """How many began."""
    started_ms: int | None = None
    """When the last one began."""
    finished_ms: int | None = None
    due_ms: int | None = None
    """Until when it waits."""
    input: bytes | None = None
    """Value image of the arguments, for people; ``None`` if they cannot be stored."""
    output: bytes | None = None
    """Value image, or for a RECEIVE msgpack of ``list[StoredMessage]``."""
    error: ErrorRecord | None = None
    detail: Any = None
    """FAILED step: ``exhausted``, ``timeout``, ``fatal`` or ``undone``. RECEIVE: names of queues.
    GATHER, MAP, FIRST: names of branches. PROMISE: which awaits were cut off, by strand, number
    and scope. VERSION: ``[resolved, latest]``. REMOVED: the kind."""
    winner: str | None = None
    """Of a FIRST."""
    undo: UndoMark | None = None
    progress: bytes | None = None
    """Value image of what its body last said by ``heartbeat``."""
    failures: int = 0
    """How many of its attempts ended with an error; the others were interrupted."""


class Run(msgspec.Struct, array_like=True):
    """One run of an actor's workflow."""

    number: int
    """1, and one more with each fork."""
    status: RunStatus
    seed: str
    """What random numbers and ids are derived from; a fork keeps it."""
    created_ms: int
    finished_ms: int | None = None
    output: bytes | None = None
    error: ErrorRecord | None = None
    causes: list[str] = []
    """Keys of the entries whose failure ended it: where ``retry`` goes on."""
    is_cancelled: bool = False
    """Whether somebody asked for its end."""


encode_record = msgspec.msgpack.Encoder().encode
decode_entry = msgspec.msgpack.Decoder(Entry).decode
decode_run = msgspec.msgpack.Decoder(Run).decode
decode_messages = msgspec.msgpack.Decoder(list[StoredMessage]).decode
