"""What became of a received message: whether it can be completed, and whether it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stator.runtime.queue_errors import AlreadyCompleted, CompleteNotConfigured
from stator.runtime.queues import QueueMessage
from stator.runtime.storage import MessageRow

if TYPE_CHECKING:
    from .book import QueueBook


class Delivery:
    """A message that was received to be completed; implements ``runtime.queues.MessageHost``."""

    __slots__ = ("_book", "_is_completed", "_row")

    def __init__(self, book: QueueBook, row: MessageRow) -> None:
        self._book = book
        self._row = row
        self._is_completed = False

    async def complete(self, message: QueueMessage[Any, Any], reply: Any) -> None:
        if self._is_completed:
            raise AlreadyCompleted
        self._is_completed = True
        try:
            await self._book.complete(self._row, reply)
        except Exception:
            self._is_completed = False  # nothing of it happened: it may be tried again
            raise


class PlainDelivery:
    """A message that is out of its queue; implements ``runtime.queues.MessageHost``."""

    async def complete(self, message: QueueMessage[Any, Any], reply: Any) -> None:
        raise CompleteNotConfigured


PLAIN = PlainDelivery()
