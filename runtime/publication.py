"""A message for a queue of another actor, from the call to its outcome (python-api, section 11)."""

from __future__ import annotations

from datetime import timedelta
from math import ceil, isfinite
from typing import Any, Generic, Literal, TypeVar

import msgspec

from .declarations import Queue
from .protocol.queue import QueueSendRequest, QueueSendResponse
from .signature import convert_result

Reply = TypeVar("Reply")

Seconds = float | timedelta
OutcomeStatus = Literal["completed", "timed_out"]

_STATUSES: dict[str, OutcomeStatus] = {"completed": "completed", "timedOut": "timed_out"}
"""What the wire calls it (client-protocol, 6), and what Python does."""
_NOISE_MS = 1e-6
"""What binary fractions add to a number of milliseconds."""


class QueueOutcome(msgspec.Struct, Generic[Reply], frozen=True):
    """What became of a message whose sender waited."""

    status: OutcomeStatus
    """``"timed_out"`` says that nobody completed it in time; it is in its queue still."""
    reply: Reply | None = None
    """What it was completed with; ``None`` if that was nothing."""


def make_message(
    body: object, *, wait: bool = False, timeout: Seconds | None = None
) -> QueueSendRequest:
    """Return a message for a transport; ``timeout`` is in seconds and counts with ``wait`` only.

    A part of a millisecond is a whole one. Raises ``ValueError`` for a negative timeout and one
    without an end.
    """
    if not wait or timeout is None:
        return QueueSendRequest(body, wait=wait)
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if not isfinite(seconds) or seconds < 0:
        raise ValueError(f"a timeout is a number of seconds and not negative, not {timeout!r}")
    return QueueSendRequest(body, wait=True, timeout=max(0, ceil(seconds * 1000 - _NOISE_MS)))


def outcome_of(answer: QueueSendResponse, queue: Queue[Any, Any] | str) -> QueueOutcome[Any]:
    """Return the outcome; the reply as the type that ``queue`` declares.

    Raises ``actor.validation_error`` for a reply of another type.
    """
    status = _STATUSES[answer.status]
    reply = None if answer.response is msgspec.UNSET else answer.response
    if reply is None or isinstance(queue, str):
        return QueueOutcome(status, reply)
    return QueueOutcome(status, convert_result(reply, _reply_type(queue), queue.wire_name))


def _reply_type(queue: Queue[Any, Any]) -> Any:
    """Return what the declaration says of replies, ``Any`` if msgspec cannot check that."""
    annotation = queue.reply_type
    try:
        info = msgspec.inspect.type_info(annotation)
    except (NameError, TypeError):
        return Any
    return Any if isinstance(info, msgspec.inspect.CustomType) else annotation
