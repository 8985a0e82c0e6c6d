"""The queues of an actor as its workflow receives from them (workflow page, 16.2).

Rule 1. What a workflow takes, with or without ``ack``, is in flight for the whole actor and belongs
        to the inbox. It stays on disk and counts until it is removed; whoever is cut off before
        that gives it back, and after a crash it is there again.
Rule 2. A removal and the state that the actor has reached are in the batch that collects when the
        call returns, so that what the workflow notes in the same turn is in the same commit. A
        state that cannot be stored is found out before anything is removed.
Rule 3. A message is shown before its own commit, other than to ``self.queue``: what the workflow
        does with it, it does after a commit that is the same or a later one. If the message's own
        fails, the actor leaves memory with all that.
Rule 4. A stop, or the loss of the storage, ends no wait: the engine cuts its strands off, and a
        message that came meanwhile goes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from stator.runtime.storage import MessageRow

from .book import QueueBook, book_of
from .messages import read_body, wanted_names
from .receivers import Receiver

if TYPE_CHECKING:
    from ..cell import Cell


class WorkflowInbox:
    """What the workflow of one actor receives; implements ``runtime.workflow.host.Inbox``."""

    __slots__ = ("_cell", "_made")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._made: QueueBook | None = None

    @property
    def _book(self) -> QueueBook:
        """The actor's queues, made when first asked for; still these when the actor has left."""
        if self._made is None:
            self._made = book_of(self._cell)
        return self._made

    async def load(self) -> None:
        """Load what is stored, once for all who ask. Raises ``storage.unavailable``."""
        await self._book.load()

    def let_go(self) -> None:
        """Break the circles of references: nobody receives any more."""
        self._made = None

    # -- taking

    def take(self, names: tuple[str, ...] | None, count: int, *, ack: bool) -> list[MessageRow]:
        """Take what is there, up to ``count``; perhaps nothing. It is in flight (rule 1)."""
        return self._book.distribution.take(self._receiver(names, count))

    async def wait(
        self, names: tuple[str, ...] | None, count: int, *, ack: bool
    ) -> list[MessageRow]:
        """Take as soon as there is something, in line with whoever else waits (rule 4).

        Cancelled, it puts back what it was given. It says nothing to the actor about being at
        rest: that is for the workflow to say.
        """
        distribution, receiver = self._book.distribution, self._receiver(names, count)
        return distribution.take(receiver) or await distribution.wait(receiver)

    def has_mail(self, names: tuple[str, ...] | None) -> bool:
        """Whether there is a message to take, of an actor whose messages are in memory."""
        distribution = self._book.distribution
        return distribution.storage.is_loaded and distribution.is_available(names)

    def hold(self, ids: Iterable[int]) -> set[int]:
        """Take messages that an earlier generation took and did not remove.

        May come before :meth:`load`: then they are held as soon as they are loaded, by whomever,
        before anybody can take one. Returns those that are there; before :meth:`load` all of them.
        """
        return self._book.distribution.hold(self, ids)

    def _receiver(self, names: tuple[str, ...] | None, count: int) -> Receiver:
        return Receiver(names, self, count=count, is_completable=True, is_workflows=True)

    # -- what becomes of it

    def remove(self, rows: Iterable[MessageRow]) -> None:
        """Remove messages that were taken (rule 2).

        Raises ``actor.state_not_serializable`` and ``storage.unavailable``, having done nothing.
        """
        self._cell.shard.capture(self._cell, urgent=True)
        self._book.distribution.remove(list(rows))

    def complete(self, row: MessageRow, reply: Any) -> None:
        """Remove a message that was taken and answer who waits, behind the commit (rule 2).

        ``on_state_change`` is not told of the captured state: it could change something between
        this and what the workflow notes of it. Raises as :meth:`.book.QueueBook.finish` does,
        having done nothing.
        """
        self._book.finish(row, reply)

    def put_back(self, rows: Iterable[MessageRow]) -> None:
        """Let messages that were taken be there again, each in its old place.

        Those that are not in flight any more are left alone.
        """
        self._book.distribution.give_back(self, rows)

    # -- what a message is

    def names_of(self, queues: Sequence[Any]) -> tuple[str, ...] | None:
        """Return the wire names of declarations or names; all declared ones without any.

        ``None``, which is all there are, if the actor declares none.
        """
        return wanted_names(tuple(self._cell.definition.queues), queues)

    def read_body(self, row: MessageRow) -> Any:
        """Return the body as its queue declares it. Raises ``actor.validation_error``."""
        return read_body(self._cell.definition.queues.get(row.name), row)
