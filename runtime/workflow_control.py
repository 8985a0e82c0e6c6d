"""What is said about a workflow from outside: what may be asked, and the records of the answers.

``handle.workflow``, ``self.workflow``, the inspector's routes and ``stator workflow`` all send a
:class:`~.link.frames.ControlWorkflow` with a :class:`Verb`.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from .storage import WorkflowRows
from .workflow.entries import ErrorRecord


class Verb(IntEnum):
    """What to do with an actor's workflow."""

    STATUS = 0
    """Answered by a :class:`StatusRecord`; wakes nobody."""
    HISTORY = 1
    """Answered by :class:`HistoryRecord`; wakes nobody."""
    CANCEL = 2
    """End it and run its undo handlers; answered by a :class:`StatusRecord`, as those below."""
    RETRY = 3
    """Go on with a run that failed or was cancelled, from where it did."""
    FORK = 4
    """Begin another run with the history before the entry ``key``, without one from scratch."""
    RESOLVE = 5
    """Give the promise ``key`` its ``value``."""


LOOKS = frozenset({Verb.STATUS, Verb.HISTORY})
"""Verbs that change nothing, so an actor that sleeps goes on sleeping."""


class VerbArguments(msgspec.Struct, array_like=True, frozen=True):
    """The payload of a :class:`~.link.frames.ControlWorkflow`, as msgpack."""

    key: str = ""
    """Of an entry or a promise."""
    value: bytes = b"\xc0"
    """Exact form (``exact_form.py``) of what a promise is resolved with."""


class WaitRecord(msgspec.Struct, array_like=True, frozen=True):
    """Something a run waits for, or does at this moment."""

    key: str
    kind: str
    status: str
    due_ms: int | None
    attempts: int


class StatusRecord(msgspec.Struct, array_like=True, frozen=True):
    """How far a run is; instants in Unix ms."""

    status: str
    """Of ``RunStatus``."""
    run: int
    created_ms: int | None
    finished_ms: int | None
    output: bytes | None
    """Value image; set once completed."""
    error: ErrorRecord | None
    open: list[WaitRecord]
    """Entries that are not closed."""


class HistoryRecord(msgspec.Struct, array_like=True, frozen=True):
    """All that is stored of a workflow."""

    actor_id: str
    name: str
    key: str
    status: StatusRecord
    rows: WorkflowRows
