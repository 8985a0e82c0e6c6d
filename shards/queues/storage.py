"""The rows of one actor's queues: loaded once, then written through to the shard's batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from stator.runtime.errors import StorageUnavailable
from stator.runtime.storage import InsertMessage, MessageRow, QueueRows, RecordLastMessage

from ..lifecycle import Status
from .messages import StoredMessages, check_room

if TYPE_CHECKING:
    from ..cell import Cell


class QueueStorage:
    """What an actor has in its queues, in memory and on disk."""

    __slots__ = ("_batch", "_cell", "_fresh_from", "_loading", "_messages")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._messages: StoredMessages | None = None
        self._loading: asyncio.Future[QueueRows] | None = None
        self._batch = 0
        """Identity of the batch that the last new message went into. It may be that of a later
        one as well: then more messages count as fresh than are."""
        self._fresh_from = (0, 0)
        """The first new id of the batch before that one, and of that one."""

    @property
    def is_loaded(self) -> bool:
        """Whether memory knows what is stored; from then on it is the truth."""
        return self._messages is not None

    @property
    def messages(self) -> StoredMessages:
        """What there is, once it is loaded."""
        assert self._messages is not None, "load() comes first"
        return self._messages

    async def load(self) -> None:
        """Load what is stored, once for all who ask.

        Raises ``storage.unavailable``, also when the actor has left memory: what is left of its
        code must not take what belongs to its next generation.
        """
        if self._messages is None:
            if self._loading is None:
                self._loading = self._cell.shard.store.load_queues(self._cell.row.pk)
            loading = self._loading
            await asyncio.wait({loading})  # not the future itself: who is cancelled leaves it be
            self._take_over(loading)
        if self._cell.status is Status.GONE:
            raise StorageUnavailable

    def _take_over(self, loading: asyncio.Future[QueueRows]) -> None:
        """Keep what was loaded, if nobody did already; a later user tries again what failed."""
        if self._messages is not None:
            return
        try:
            self._messages = messages = StoredMessages(loading.result())
        except Exception as error:
            if self._loading is loading:
                self._loading = None
                self._cell.log.error("queues cannot be loaded", exc_info=error)
            raise StorageUnavailable from error
        self._loading = None
        self._fresh_from = (messages.last_id + 1, messages.last_id + 1)

    def insert(self, name: str, body: bytes) -> MessageRow:
        """Put a new message into memory and into the batch.

        Raises ``queue.message_too_large``, ``queue.full`` and ``storage.unavailable``.
        """
        cell, messages, settings = self._cell, self.messages, self._cell.definition.settings
        check_room(
            name,
            body,
            len(messages),
            max_size=settings.max_queue_message_size,
            max_count=settings.max_queue_size,
        )
        row = MessageRow(messages.last_id + 1, name, body, cell.shard.clock.now_ms())
        self._write(row)
        messages.last_id = row.id
        assert cell.batch is not None
        if id(cell.batch) != self._batch:
            if self._batch not in cell.batch.absorbed:
                self._fresh_from = (self._fresh_from[1], row.id)
            self._batch = id(cell.batch)
        messages.add(row)
        return row

    def is_fresh(self, rows: Iterable[MessageRow]) -> bool:
        """Whether one of them may not be on disk yet.

        Only the last two batches of an actor can be under way, so what it sent before the last
        but one is on disk, however busy it is.
        """
        return self._cell.batch is not None and any(row.id >= self._fresh_from[0] for row in rows)

    def remove(self, rows: Iterable[MessageRow]) -> None:
        """Put the removal of messages into the batch. Raises ``storage.unavailable``."""
        cell, messages = self._cell, self.messages
        for row in rows:
            if row.id == messages.last_id and messages.recorded_id < row.id:
                cell.shard.write(RecordLastMessage(cell.row.pk, row.id), cell)
                messages.recorded_id = row.id
            cell.shard.remove_message(cell, row.id)

    def restore(self, rows: Iterable[MessageRow]) -> None:
        """Undo :meth:`remove`, in the batch that collects or by one more change."""
        cell = self._cell
        for row in rows:
            try:
                self._write(row)
            except StorageUnavailable:
                return  # the actor left memory or is being deleted
            assert cell.batch is not None
            writes, removal = cell.batch.writes, (cell.row.pk, row.id)
            if removal in writes.removals:
                writes.removals.remove(removal)
                writes.messages.pop()

    def _write(self, row: MessageRow) -> None:
        cell = self._cell
        message = InsertMessage(cell.row.pk, row.id, row.name, row.body, row.created_ms)
        cell.shard.put_message(cell, message)
