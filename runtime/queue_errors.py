"""Errors of queues (semantics page, section 7); all of them pass to clients whole."""

from __future__ import annotations

from typing import ClassVar

from .errors import ApplicationError, CallerError, Retry


class QueueFull(CallerError):
    """The actor's queues hold as many messages as its option max_queue_size allows."""

    known = ("queue", "full", 400)
    retry: ClassVar[Retry] = "later"


class MessageTooLarge(CallerError):
    """The message is larger than the actor's option max_queue_message_size."""

    known = ("queue", "message_too_large", 400)


class QueueTimedOut(ApplicationError):
    """Nothing came of the wait for a queue within its timeout."""

    known = ("queue", "timed_out", 408)


class PreviousMessageNotCompleted(ApplicationError):
    """Complete the messages received before in this handler, then receive again."""

    known = ("queue", "previous_message_not_completed", 400)


class AlreadyCompleted(ApplicationError):
    """The message was completed before."""

    known = ("queue", "already_completed", 400)


class CompleteNotConfigured(ApplicationError):
    """Only a message that was received with `completable=True` can be completed."""

    known = ("queue", "complete_not_configured", 400)


class InvalidCompletionPayload(ApplicationError):
    """The reply is not what the queue declares, or cannot be sent."""

    known = ("queue", "invalid_completion_payload", 400)
