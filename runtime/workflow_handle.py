"""``handle.workflow`` and ``self.workflow``: a workflow seen and controlled from outside.

The verbs are those of ``workflow_control.py``; who carries them is an :class:`Asker`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from .errors import InternalError, StateNotSerializable
from .exact_form import encode_exact
from .workflow.entries import ErrorRecord, RunStatus
from .workflow_control import StatusRecord, Verb, VerbArguments
from .workflow_errors import NotFinished, OutputNotSerializable, RunCancelled, RunFailed
from .workflow_views import (
    OpenEntry,
    ReceivedMessage,
    WorkflowEntry,
    WorkflowErrorInfo,
    WorkflowHistory,
    WorkflowStatus,
    WorkflowUndo,
    status_of,
    value_of,
)

__all__ = [
    "Asker",
    "OpenEntry",
    "ReceivedMessage",
    "WorkflowEntry",
    "WorkflowErrorInfo",
    "WorkflowHandle",
    "WorkflowHistory",
    "WorkflowStatus",
    "WorkflowUndo",
]

T = TypeVar("T")

_NOTHING = VerbArguments()
_decode_status = msgspec.msgpack.Decoder(StatusRecord).decode


class Asker(Protocol):
    """What brings a verb to one workflow."""

    async def ask(self, verb: Verb, arguments: VerbArguments) -> bytes:
        """Return the record that the verb documents, as msgpack. Raises ``ActorError``."""
        ...


class WorkflowHandle:
    """The workflow of one actor, from outside of it.

    Looking (:meth:`status`, :meth:`history`, :meth:`output`) wakes nobody. Every method raises
    ``workflow.not_enabled`` for an actor without a workflow, and what calls of the actor raise.
    """

    __slots__ = ("_asker",)

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def status(self) -> WorkflowStatus:
        """Return how far the run is: a ``str`` such as ``"sleeping"``, with attributes."""
        return status_of(await self._status(Verb.STATUS))

    async def history(self) -> WorkflowHistory:
        """Return all entries that are kept."""
        return _read(WorkflowHistory.decode, await self._asker.ask(Verb.HISTORY, _NOTHING))

    async def output(self) -> Any:
        """Return what the run returned; records come back as dicts.

        Raises ``workflow.not_finished``, ``workflow.failed`` (the metadata has ``name`` and
        ``message`` of the error that ended it) and ``workflow.cancelled``.
        """
        record = await self._status(Verb.STATUS)
        if record.status == RunStatus.COMPLETED:
            return _read(value_of, record.output)
        if record.status == RunStatus.FAILED:
            raise _run_failed(record.error)
        if record.status == RunStatus.CANCELLED:
            raise RunCancelled
        raise NotFinished(metadata={"status": record.status})

    async def cancel(self) -> WorkflowStatus:
        """Ask for the end of the run; its undo handlers run first. An ended run stays as it is."""
        return status_of(await self._status(Verb.CANCEL))

    async def retry(self) -> WorkflowStatus:
        """Go on with a run that failed or was cancelled, from where it did."""
        return status_of(await self._status(Verb.RETRY))

    async def fork(self, from_key: str | None = None) -> WorkflowStatus:
        """Begin another run with the history before the entry ``from_key``; without, from scratch.

        What the run before it did to the state, the database and other actors stays done.
        """
        return status_of(await self._status(Verb.FORK, VerbArguments(key=from_key or "")))

    async def resolve(self, promise: str, value: Any = None) -> WorkflowStatus:
        """Give a promise its value, also one that the workflow has not asked for yet.

        ``promise`` is the key of its entry: its name, after those of the scopes it is in. Raises
        ``workflow.output_not_serializable`` for a value that cannot be stored.
        """
        arguments = VerbArguments(key=promise, value=_exact_form(value))
        return status_of(await self._status(Verb.RESOLVE, arguments))

    async def _status(self, verb: Verb, arguments: VerbArguments = _NOTHING) -> StatusRecord:
        return _read(_decode_status, await self._asker.ask(verb, arguments))


def _read(decode: Callable[[Any], T], data: bytes | None) -> T:
    """Return what an answer holds. Raises ``rivetkit.internal_error`` if it cannot be read."""
    try:
        return decode(data)
    except Exception as error:  # of an exact form any kind may come (``exact_form.py``)
        raise InternalError(f"Failed to parse response: {error}") from error


def _exact_form(value: Any) -> bytes:
    try:
        return encode_exact(value)
    except StateNotSerializable as error:
        # The path it names begins with what it is usually called for.
        text = error.message.replace("state", "value", 1)
        raise OutputNotSerializable(text) from error
    except RecursionError as error:
        text = "the value is nested too deeply or contains itself, so it cannot be stored"
        raise OutputNotSerializable(text) from error


def _run_failed(error: ErrorRecord | None) -> RunFailed:
    if error is None:
        return RunFailed()
    text = f"the run failed: {error.name}: {error.message}"
    metadata = {"name": error.name, "message": error.message}
    return RunFailed(text, metadata=metadata)
