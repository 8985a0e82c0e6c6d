"""``self.queue``: the queues of one actor, and who receives from them (semantics page, section 7).

Rule 1. Who gets which message is in ``distribution.py``: who comes first is served first.
Rule 2. Without ``completable`` a message leaves memory when it is taken, and its row in the commit
        that the receive waits for. A receive that is cut off puts both back.
Rule 3. With it the message is in flight for the whole actor until it is completed or the
        invocation that has it ends. It is not shown before its own commit.
Rule 4. A stop ends waiting, and nothing but waiting; but ``iter`` takes no more messages.
Rule 5. The actor's workflow receives by itself (``workflow_inbox.py``), in the same line.
"""
# ruff: noqa: ASYNC109 - the timeouts are the contract's, and by the clock the actor lives by

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from stator.runtime.calling import CALLER, Caller
from stator.runtime.declarations import Queue
from stator.runtime.errors import Aborted, ActorError, StorageUnavailable
from stator.runtime.queue_errors import (
    AlreadyCompleted,
    InvalidCompletionPayload,
    PreviousMessageNotCompleted,
)
from stator.runtime.queues import AnyQueue, QueueMessage, Seconds
from stator.runtime.storage import MessageRow

from .deliveries import PLAIN, Delivery
from .distribution import Distribution
from .messages import checked_body, checked_reply, encode_body, read_body, wanted_names
from .receivers import Receiver, seconds_of
from .waiters import LocalWaiter, Waiter

if TYPE_CHECKING:
    from ..cell import Cell, Held

Message = QueueMessage[Any, Any]


def book_of(cell: Cell) -> QueueBook:
    """Return the queues of an actor, which are made when somebody first asks for them."""
    if cell.queues is None:
        cell.queues = QueueBook(cell)
    return cell.queues


class QueueBook:
    """The queues of one actor in memory; implements ``runtime.queues.ActorQueue``."""

    __slots__ = ("_cell", "_waiters", "distribution")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.distribution = Distribution(cell)
        self._waiters: dict[int, Waiter] = {}
        """By the id of the message whose completion they wait for."""

    # -- sending

    async def send(self, queue: AnyQueue, body: Any) -> int:
        row = await self._send(queue, body)
        await self._cell.wait_committed()
        return row.id

    async def enqueue_and_wait(
        self, queue: AnyQueue, body: Any, timeout: Seconds | None = None
    ) -> Any:
        seconds = seconds_of(timeout)
        row = await self._send(queue, body)
        waiter = LocalWaiter(self._cell.shard.clock)
        self.await_completion(row.id, waiter)
        try:
            reply = await waiter.wait(seconds)
        finally:
            self.forget_waiter(row.id)
        await self._cell.wait_committed()
        return checked_reply(self._declared(queue), row.name, reply)

    async def _send(self, queue: AnyQueue, body: Any) -> MessageRow:
        name = queue if isinstance(queue, str) else queue.wire_name
        data = encode_body(checked_body(self._declared(queue), name, body))
        await self.load()
        self._cell.shard.capture(self._cell, urgent=True)
        return self.put(name, data)

    def _declared(self, queue: AnyQueue) -> Queue[Any, Any] | None:
        return self._cell.definition.queues.get(queue) if isinstance(queue, str) else queue

    # -- receiving

    async def next(
        self, *queues: AnyQueue, timeout: Seconds | None = None, completable: bool = False
    ) -> Message | None:
        received = await self._receive(queues, 1, seconds_of(timeout), completable)
        return received[0] if received else None

    async def next_batch(
        self,
        *queues: AnyQueue,
        count: int = 1,
        timeout: Seconds | None = None,
        completable: bool = False,
    ) -> list[Message]:
        return await self._receive(queues, count, seconds_of(timeout), completable)

    async def try_next(self, *queues: AnyQueue, completable: bool = False) -> Message | None:
        received = await self._receive(queues, 1, 0.0, completable)
        return received[0] if received else None

    async def try_next_batch(
        self, *queues: AnyQueue, count: int = 1, completable: bool = False
    ) -> list[Message]:
        return await self._receive(queues, count, 0.0, completable)

    async def iter(self, *queues: AnyQueue, completable: bool = False) -> AsyncIterator[Message]:
        while not self._cell.is_aborted:
            try:
                (message,) = await self._receive(queues, 1, None, completable)
            except Aborted:
                return
            yield message

    async def wait_for_names(
        self, names: Iterable[AnyQueue], timeout: Seconds | None = None
    ) -> None:
        seconds = seconds_of(timeout)
        queues = [names] if isinstance(names, str | Queue) else list(names)
        receiver = Receiver(self._wanted(queues), None, looks_only=True)
        await self.load()
        if not self.distribution.is_available(receiver.names):
            await self._wait(receiver, seconds)

    async def _receive(
        self, queues: Sequence[AnyQueue], count: int, seconds: float | None, completable: bool
    ) -> list[Message]:
        """Receive up to ``count`` messages within ``seconds``; 0 is not to wait at all."""
        caller = CALLER.get()
        owner = caller if caller is not None and caller.actor is self._cell.actor else None
        receiver = Receiver(self._wanted(queues), owner, count=count, is_completable=completable)
        if self._cell.definition.tells_changes:
            self._cell.shard.capture_quietly(self._cell)  # the message before is done with
        await self.load()
        if owner is not None and self.distribution.has_in_flight(owner):
            raise PreviousMessageNotCompleted
        rows = self.distribution.take(receiver)
        if not rows and seconds != 0:
            rows = await self._wait(receiver, seconds)
        return await self._deliver(receiver, rows) if rows else []

    def _wanted(self, queues: Iterable[AnyQueue]) -> tuple[str, ...] | None:
        return wanted_names(tuple(self._cell.definition.queues), queues)

    async def _wait(self, receiver: Receiver, seconds: float | None) -> list[MessageRow]:
        if self._cell.is_aborted:
            raise Aborted
        return await self.distribution.wait(receiver, seconds)

    async def _deliver(self, receiver: Receiver, rows: list[MessageRow]) -> list[Message]:
        """Return messages to the code that receives them, once that is safe (rules 2 and 3).

        One whose body cannot be read raises, after those before it were received. Without
        ``completable`` it is removed all the same: it would stand in the way for ever.
        """
        received: list[Message] = []
        problem: ActorError | None = None
        for row in rows:
            try:
                received.append(self._make_message(receiver, row))
            except ActorError as error:
                problem = None if received else error
                break
        is_dropped = problem is not None and not receiver.is_completable
        count = 1 if is_dropped else len(received)
        self.distribution.put_back(receiver, rows[count:])
        await self._settle(receiver, rows[:count])
        if problem is not None:
            raise problem
        return received

    def _make_message(self, receiver: Receiver, row: MessageRow) -> Message:
        body = read_body(self._cell.definition.queues.get(row.name), row)
        host = Delivery(self, row) if receiver.is_completable else PLAIN
        return QueueMessage(host, row.id, row.name, body, row.created_ms / 1000)

    async def _settle(self, receiver: Receiver, rows: list[MessageRow]) -> None:
        """Wait until the commits that a receiver has to wait for are done."""
        cell, storage = self._cell, self.distribution.storage
        is_removed = False
        try:
            if receiver.is_completable:
                if storage.is_fresh(rows):
                    await cell.wait_committed()
            else:
                cell.shard.capture(cell, urgent=True)
                storage.remove(rows)
                is_removed = True
                await cell.wait_committed()
        except BaseException:
            if is_removed:
                storage.restore(rows)
            self.distribution.put_back(receiver, rows)
            raise

    # -- completing

    async def complete(self, row: MessageRow, reply: Any) -> None:
        """Remove a message in flight and answer who waits for it, durably."""
        self.finish(row, reply)
        self._cell.shard.tell(self._cell)
        await self._cell.wait_committed()

    def finish(self, row: MessageRow, reply: Any) -> None:
        """Put the removal of a message in flight and the answer to who waits into the batch.

        Raises ``queue.already_completed``, ``queue.invalid_completion_payload``,
        ``actor.state_not_serializable`` and ``storage.unavailable``, having done nothing.
        """
        waiter = self._waiters.get(row.id)
        if row.id not in self.distribution.storage.messages:
            raise AlreadyCompleted
        try:
            reply = checked_reply(self._declared(row.name), row.name, reply)
            answer = b"" if waiter is None else waiter.prepare(reply)
        except ActorError as error:
            raise InvalidCompletionPayload(error.message, metadata=error.metadata) from error
        self._cell.shard.capture(self._cell, urgent=True)
        self.distribution.remove([row])
        if waiter is not None:
            self.forget_waiter(row.id)
            waiter.complete(answer)

    # -- what the actor's cell and publications do with it

    @property
    def is_loaded(self) -> bool:
        """Whether :meth:`put` may be called."""
        return self.distribution.storage.is_loaded

    async def load(self) -> None:
        """Load what is stored, once. Raises ``storage.unavailable``."""
        await self.distribution.load()

    def put(self, name: str, body: bytes) -> MessageRow:
        """Store an encoded message and offer it to who waits.

        Raises ``queue.message_too_large``, ``queue.full`` and ``storage.unavailable``.
        """
        return self.distribution.put(name, body)

    def await_completion(self, message_id: int, waiter: Waiter) -> None:
        """Let ``waiter`` know when a message is completed."""
        self._waiters[message_id] = waiter

    def forget_waiter(self, message_id: int) -> None:
        """Let nobody know any more."""
        self._waiters.pop(message_id, None)

    def release(self, caller: Caller) -> None:
        """Make available again what an invocation that has ended did not complete."""
        self.distribution.release(caller)

    def abort(self) -> None:
        """End all waiting for messages: a stop has begun. Who waits for a completion goes on, but
        holds the stop up no longer."""
        self.distribution.abort()
        for waiter in self._waiters.values():
            waiter.let_stop()

    def hand_over(self) -> list[Held]:
        """Return the publications that still wait, as requests for the next generation."""
        waiters, self._waiters = self._waiters, {}
        handed = [waiter.hand_over(message_id) for message_id, waiter in waiters.items()]
        return [request for request in handed if request is not None]

    def fail(self, error: ActorError | None = None) -> None:
        """End all waiting; ``error`` is ``storage.unavailable`` if nothing else is said."""
        self.distribution.abort()
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters.values():
            waiter.fail(error or StorageUnavailable())
