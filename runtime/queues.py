"""Durable queues as the actor's code sees them (python-api, section 5; semantics page, section 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from .declarations import Queue

Body = TypeVar("Body")
Reply = TypeVar("Reply")

Seconds = float | timedelta


class MessageHost(Protocol):
    """What a message needs of the queue it was taken from."""

    async def complete(self, message: QueueMessage[Any, Any], reply: Any) -> None: ...


class QueueMessage(Generic[Body, Reply]):
    """A message that was taken from a queue."""

    __slots__ = ("_host", "body", "created_at", "id", "name")

    id: int
    """Counts the messages of the actor, from 1."""
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

    async def complete(self, reply: Reply | None = None) -> None:
        """Remove the message for good and answer its sender, if that waits.

        Both take effect in one commit with the changes made so far; returns once that is durable.
        Raises ``queue.already_completed``, ``queue.complete_not_configured`` for a message that
        was not taken with ``completable=True`` and ``queue.invalid_completion_payload``.
        """
        await self._host.complete(self, reply)


class ActorQueue(Protocol):
    """``self.queue``: everything an actor does with its queues."""

    async def send(self, queue: Queue[Body, Any] | str, body: Body) -> QueueMessage[Body, Any]: ...

    async def next(
        self,
        *queues: Queue[Body, Reply] | str,
        timeout: Seconds | None = None,
        completable: bool = False,
    ) -> QueueMessage[Body, Reply] | None: ...

    async def next_batch(
        self,
        *queues: Queue[Body, Reply] | str,
        count: int = 1,
        timeout: Seconds | None = None,
        completable: bool = False,
    ) -> list[QueueMessage[Body, Reply]]: ...

    async def try_next(
        self, *queues: Queue[Body, Reply] | str, completable: bool = False
    ) -> QueueMessage[Body, Reply] | None: ...

    async def try_next_batch(
        self, *queues: Queue[Body, Reply] | str, count: int = 1, completable: bool = False
    ) -> list[QueueMessage[Body, Reply]]: ...

    def iter(
        self, *queues: Queue[Body, Reply] | str, completable: bool = False
    ) -> AsyncIterator[QueueMessage[Body, Reply]]: ...

    async def wait_for_names(
        self, names: Iterable[Queue[Any, Any] | str], timeout: Seconds | None = None
    ) -> None: ...

    async def enqueue_and_wait(
        self, queue: Queue[Body, Reply] | str, body: Body, timeout: Seconds | None = None
    ) -> Reply: ...
