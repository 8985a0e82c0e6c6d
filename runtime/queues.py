"""Durable queues as the actor's code sees them (python-api, section 5; semantics page, section 7).

A queue is named by its declaration, which says the types of bodies and replies, or by its wire
name, declared or not. Timeouts are seconds or a ``timedelta``; ``None`` waits for ever.
"""
# ruff: noqa: ASYNC109 - the timeouts are the contract's, and by the clock the actor lives by

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar, overload

from .declarations import Queue

Body = TypeVar("Body")
Reply = TypeVar("Reply")

Seconds = float | timedelta
AnyQueue = Queue[Any, Any] | str


class MessageHost(Protocol):
    """What a message needs of the queue it was taken from."""

    async def complete(self, message: QueueMessage[Any, Any], reply: Any) -> None: ...


class QueueMessage(Generic[Body, Reply]):
    """A message that was sent to a queue, or received from it."""

    __slots__ = ("_host", "body", "created_at", "id", "name")

    id: int
    """Counts the messages of the actor, from 1; never used again."""
    name: str
    """Wire name of its queue."""
    body: Body
    created_at: float
    """Unix seconds."""

    def __init__(
        self, host: MessageHost, message_id: int, name: str, body: Body, created_at: float
    ) -> None:
        self._host = host
        self.id = message_id
        self.name = name
        self.body = body
        self.created_at = created_at

    def __repr__(self) -> str:
        return f"<message {self.id} of queue {self.name!r}>"

    async def complete(self, reply: Reply | None = None) -> None:
        """Remove the message for good and answer its sender, if that waits.

        Both take effect in one commit with the changes made so far; returns once that is durable.
        Without ``reply`` the sender is told that the work is done, and gets ``None``. Raises
        ``queue.already_completed``, ``queue.complete_not_configured`` for a message that was not
        received with ``completable=True``, ``queue.invalid_completion_payload`` for a reply that
        is not what the queue declares (then it may be tried again), ``storage.unavailable``.
        """
        await self._host.complete(self, reply)


class ActorQueue(Protocol):
    """``self.queue``: everything an actor does with its queues.

    Receives are served in the order in which they began, and each message goes to one of them:
    the oldest of the queues it names, or of all declared queues if it names none.

    Without ``completable`` a message is removed before the receive returns: at most one receiver
    ever sees it. With it the message stays stored and *in flight* until it is completed: nobody
    else receives it meanwhile, and it is available again when the handler that received it ends,
    or in the next life of the actor: at least one receiver completes it.

    To stop waiting early, cancel the task; no message is lost by it. When the actor stops, a
    receive that would have to wait raises ``actor.aborted``. Receives raise
    ``queue.previous_message_not_completed`` while the same handler has a message in flight,
    ``actor.validation_error`` for a body that is no longer what its queue declares, and
    ``validation.invalid_input`` for a negative timeout.
    """

    async def send(self, queue: Queue[Body, Any] | str, body: Body) -> int:
        """Put a message into a queue; returns its id once it is durable.

        Raises ``actor.validation_error`` for a body that is not what the queue declares,
        ``actor.output_not_serializable`` for one that cannot be stored,
        ``queue.message_too_large`` and ``queue.full``.
        """
        ...

    @overload
    async def next(
        self,
        queue: Queue[Body, Reply],
        /,
        *more: Queue[Body, Reply],
        timeout: Seconds | None = None,
        completable: bool = False,
    ) -> QueueMessage[Body, Reply] | None: ...
    @overload
    async def next(
        self, *queues: AnyQueue, timeout: Seconds | None = None, completable: bool = False
    ) -> QueueMessage[Any, Any] | None: ...
    async def next(
        self, *queues: AnyQueue, timeout: Seconds | None = None, completable: bool = False
    ) -> QueueMessage[Any, Any] | None:
        """Receive the next message; ``None`` if none came within ``timeout``."""
        ...

    @overload
    async def next_batch(
        self,
        queue: Queue[Body, Reply],
        /,
        *more: Queue[Body, Reply],
        count: int = 1,
        timeout: Seconds | None = None,
        completable: bool = False,
    ) -> list[QueueMessage[Body, Reply]]: ...
    @overload
    async def next_batch(
        self,
        *queues: AnyQueue,
        count: int = 1,
        timeout: Seconds | None = None,
        completable: bool = False,
    ) -> list[QueueMessage[Any, Any]]: ...
    async def next_batch(
        self,
        *queues: AnyQueue,
        count: int = 1,
        timeout: Seconds | None = None,
        completable: bool = False,
    ) -> list[QueueMessage[Any, Any]]:
        """Receive up to ``count`` messages, as soon as there is one; none within ``timeout``: [].

        A ``count`` below 1 is 1.
        """
        ...

    @overload
    async def try_next(
        self, queue: Queue[Body, Reply], /, *more: Queue[Body, Reply], completable: bool = False
    ) -> QueueMessage[Body, Reply] | None: ...
    @overload
    async def try_next(
        self, *queues: AnyQueue, completable: bool = False
    ) -> QueueMessage[Any, Any] | None: ...
    async def try_next(
        self, *queues: AnyQueue, completable: bool = False
    ) -> QueueMessage[Any, Any] | None:
        """Receive the next message if there is one; does not wait for one to come."""
        ...

    @overload
    async def try_next_batch(
        self,
        queue: Queue[Body, Reply],
        /,
        *more: Queue[Body, Reply],
        count: int = 1,
        completable: bool = False,
    ) -> list[QueueMessage[Body, Reply]]: ...
    @overload
    async def try_next_batch(
        self, *queues: AnyQueue, count: int = 1, completable: bool = False
    ) -> list[QueueMessage[Any, Any]]: ...
    async def try_next_batch(
        self, *queues: AnyQueue, count: int = 1, completable: bool = False
    ) -> list[QueueMessage[Any, Any]]:
        """Receive up to ``count`` messages of those that are there."""
        ...

    @overload
    def iter(
        self, queue: Queue[Body, Reply], /, *more: Queue[Body, Reply], completable: bool = False
    ) -> AsyncIterator[QueueMessage[Body, Reply]]: ...
    @overload
    def iter(
        self, *queues: AnyQueue, completable: bool = False
    ) -> AsyncIterator[QueueMessage[Any, Any]]: ...
    def iter(
        self, *queues: AnyQueue, completable: bool = False
    ) -> AsyncIterator[QueueMessage[Any, Any]]:
        """Receive one message after the other, for ever; ends when the actor stops."""
        ...

    async def wait_for_names(
        self, names: Iterable[AnyQueue], timeout: Seconds | None = None
    ) -> None:
        """Return when a message of one of these queues is available; receives none.

        Raises ``queue.timed_out``.
        """
        ...

    @overload
    async def enqueue_and_wait(
        self, queue: Queue[Body, Reply], body: Body, timeout: Seconds | None = None
    ) -> Reply: ...
    @overload
    async def enqueue_and_wait(
        self, queue: str, body: Any, timeout: Seconds | None = None
    ) -> Any: ...
    async def enqueue_and_wait(
        self, queue: AnyQueue, body: Any, timeout: Seconds | None = None
    ) -> Any:
        """Send a message and return what it is completed with.

        A stop of the actor does not end the wait. A message that is received without
        ``completable`` is never completed. Raises as :meth:`send`, and ``queue.timed_out``: then
        the message is still in its queue, unless somebody has it.
        """
        ...
