"""Receiving from the actor's queues (workflow page, sections 4.5 and 16.2).

Rule 1. That a message was received is one commit with its leaving the queue; that it was
        acknowledged is one commit with its removal, the state and the reply (section 13, no. 10).
Rule 2. With ``ack`` nobody else gets the message while it is open, also over a restart. A strand
        receives nothing more before it has acknowledged what it has.
Rule 3. A message that is not acknowledged when its block is left by an exception goes back to its
        place in the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..errors import ActorError
from ..queue_errors import (
    AlreadyCompleted,
    CompleteNotConfigured,
    PreviousMessageNotCompleted,
)
from ..storage import MessageRow
from . import keys
from .entries import (
    Entry,
    EntryStatus,
    Kind,
    StoredMessage,
    decode_messages,
    encode_record,
)
from .strand import Strand

Body = TypeVar("Body")
Reply = TypeVar("Reply")


class Message(Generic[Body, Reply]):
    """A message that the workflow received.

    Received with ``ack`` it is acknowledged by :meth:`complete`, or at the end of its ``async
    with`` block.
    """

    def __init__(self, batch: _Received, stored: StoredMessage, body: Body) -> None:
        self._batch = batch
        self._stored = stored
        self._was_completed = False
        self.id = stored.id
        """Its number among the messages of the actor."""
        self.name = stored.name
        """Wire name of its queue."""
        self.body = body
        """What was sent."""
        self.created_at = stored.created_ms / 1000
        """When it was sent, in Unix seconds."""

    @property
    def is_open(self) -> bool:
        """Whether it has to be acknowledged."""
        return self._stored.status is EntryStatus.WAITING

    async def complete(self, reply: Reply | None = None) -> None:
        """Acknowledge it, durably, and answer who waits for it (rule 1).

        Raises ``queue.complete_not_configured`` without ``ack``, ``queue.already_completed`` and
        ``queue.invalid_completion_payload``.
        """
        if not self._batch.has_ack:
            raise CompleteNotConfigured(
                "only a message that was received with `ack=True` can be completed"
            )
        if self._was_completed or self._stored.status is EntryStatus.RELEASED:
            raise AlreadyCompleted
        if self.is_open:
            await self._batch.complete(self._stored, reply)
        self._was_completed = True

    async def reply(self, value: Reply) -> None:
        """Do what :meth:`complete` does."""
        await self.complete(value)

    async def __aenter__(self) -> Message[Body, Reply]:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._batch.has_ack or self._was_completed:
            return
        if error is None:
            await self.complete()
        elif self.is_open:
            self._batch.release(self._stored)


class _Received:
    """What came of one ``receive``."""

    def __init__(self, strand: Strand, entry: Entry, stored: list[StoredMessage]) -> None:
        self._strand = strand
        self._entry = entry
        self._stored = stored

    @property
    def has_ack(self) -> bool:
        """Whether its messages have to be acknowledged."""
        return bool(self._entry.detail[1])

    async def complete(self, stored: StoredMessage, reply: Any) -> None:
        strand = self._strand
        with strand.doing(f"completing message {stored.id}"):
            strand.check_live(self._entry.key, Kind.RECEIVE)
            strand.run.host.inbox.complete(stored.row(), reply)
            self._close(stored, EntryStatus.COMPLETED)
            await strand.committed(is_done=True)

    def release(self, stored: StoredMessage) -> None:
        """Let a message go back, unless it stays open for the next generation (rule 3)."""
        if self._strand.run.is_live:
            self._strand.run.host.inbox.put_back([stored.row()])
            self._close(stored, EntryStatus.RELEASED)

    def _close(self, stored: StoredMessage, status: EntryStatus) -> None:
        stored.status = status
        self._entry.output = encode_record(self._stored)
        self._strand.run.host.put(self._entry)
        self.let_next_come()

    def let_next_come(self) -> None:
        """Let the strand receive again, once nothing is open."""
        if not any(each.status is EntryStatus.WAITING for each in self._stored):
            self._strand.open_messages.discard(self._entry.key)

    def messages(self) -> list[Message[Any, Any]]:
        """Return the messages for the workflow. Raises ``actor.validation_error``."""
        inbox = self._strand.run.host.inbox
        return [Message(self, each, inbox.read_body(each.row())) for each in self._stored]


async def receive(
    strand: Strand,
    name: str,
    queues: Sequence[Any],
    *,
    count: int,
    seconds: float | None,
    ack: bool,
) -> list[Message[Any, Any]]:
    """Return up to ``count`` messages; none if ``seconds`` pass without one.

    Raises ``queue.previous_message_not_completed`` (rule 2).
    """
    inbox = strand.run.host.inbox
    with strand.doing(name) as key:
        if strand.open_messages:
            before = ", ".join(keys.show(each) for each in sorted(strand.open_messages))
            raise PreviousMessageNotCompleted(f"complete what '{before}' received first")
        entry = await strand.ask(key, Kind.RECEIVE)
        if entry is None or entry.status is EntryStatus.WAITING:
            if entry is not None:
                strand.check_goes_on(entry)
            await inbox.load()
            entry = await _take(strand, key, entry, inbox.names_of(queues), count, seconds, ack)
        elif open_message_ids(entry):
            await inbox.load()
        stored = [] if entry.output is None else decode_messages(entry.output)
        received = _Received(strand, entry, stored)
        strand.open_messages.add(key)
        received.let_next_come()
        return received.messages()


async def _take(
    strand: Strand,
    key: str,
    entry: Entry | None,
    names: tuple[str, ...] | None,
    count: int,
    seconds: float | None,
    ack: bool,
) -> Entry:
    """Take what is there, or wait for it; return the closed entry."""
    inbox, clock = strand.run.host.inbox, strand.run.host.clock
    strand.check_live(key, Kind.RECEIVE)
    rows = inbox.take(names, count, ack=ack)
    if entry is None:
        due_ms = None if seconds is None else clock.now_ms() + round(seconds * 1000)
        detail = [None if names is None else list(names), ack]
        entry = strand.make(key, Kind.RECEIVE, EntryStatus.WAITING, due_ms=due_ms, detail=detail)
        is_over = seconds is not None and seconds <= 0
        if not rows and not is_over:
            strand.run.host.put(entry)
    else:
        is_over = entry.due_ms is not None and entry.due_ms <= clock.now_ms()
    if not rows and not is_over:
        rows = await _wait(strand, entry, names, count, ack)
    _close(strand, entry, rows, ack)
    return entry


async def _wait(
    strand: Strand, entry: Entry, names: tuple[str, ...] | None, count: int, ack: bool
) -> list[MessageRow]:
    inbox = strand.run.host.inbox
    waiting = asyncio.ensure_future(inbox.wait(names, count, ack=ack))
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting.add_done_callback(lambda _: None if told.done() else told.set_result(None))
    try:
        await strand.wait(told, entry.due_ms)
    except asyncio.CancelledError:
        rows = await _stop_waiting(waiting)
        inbox.put_back(rows)
        strand.cut_off(entry)
        raise
    return await _stop_waiting(waiting)


async def _stop_waiting(waiting: asyncio.Future[list[MessageRow]]) -> list[MessageRow]:
    """Return what a wait was given, which ends with this at the latest."""
    if not waiting.done():
        waiting.cancel()
        await asyncio.wait({waiting})
    if waiting.cancelled():
        return []
    try:
        return waiting.result()
    except ActorError as error:
        # The actor's queues are not there any more: it is leaving memory.
        raise asyncio.CancelledError from error


def _close(strand: Strand, entry: Entry, rows: list[MessageRow], ack: bool) -> None:
    """Put what was received (rule 1)."""
    status = EntryStatus.WAITING if ack else EntryStatus.COMPLETED
    stored = [StoredMessage(row.id, row.name, row.body, row.created_ms, status) for row in rows]
    entry.output = encode_record(stored)
    inbox = strand.run.host.inbox
    try:
        strand.close(entry, EntryStatus.COMPLETED)
        if not ack:
            inbox.remove(rows)
    except BaseException:
        inbox.put_back(rows)
        raise


def open_message_ids(entry: Entry) -> list[int]:
    """Return the messages that an entry of an earlier generation has open."""
    if entry.kind is not Kind.RECEIVE or entry.output is None:
        return []
    stored = decode_messages(entry.output)
    return [each.id for each in stored if each.status is EntryStatus.WAITING]
