"""What the engine asks of the place where a workflow runs; ``shards/workflows`` is the worker's.

Rule 1. What is put is in the shard's batch, together with the state that the actor has reached:
        all that is put without an ``await`` in between is one commit.
Rule 2. Putting waits for nothing. Code with an effect runs only after :meth:`Host.committed`.
Rule 3. Once the actor has left memory, putting raises ``asyncio.CancelledError``: the workflow goes
        on from what is stored, elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec

from ..actor import Actor
from ..clock import Clock
from ..database import Transaction
from ..log import Logger
from ..storage import MessageRow
from .entries import Entry, Run


class Checkpoint(msgspec.Struct, array_like=True):
    """What the transaction of a ``wf.txn`` leaves in the actor's database (workflow page, 16.2)."""

    seq: int
    """Of its entry."""
    entry: bytes
    """The entry as it is once the transaction is committed."""
    state: bytes | None
    """The state image it reached; ``None`` if it left the state alone."""


class Inbox(Protocol):
    """The queues of the actor, as its workflow receives from them."""

    async def load(self) -> None:
        """Load what is stored; comes before everything else."""
        ...

    def take(self, names: tuple[str, ...] | None, count: int, *, ack: bool) -> list[MessageRow]:
        """Take what is there, up to ``count``; perhaps nothing. Nobody else gets it any more.

        Its rows stay on disk: :meth:`remove` and :meth:`complete` are what removes them.
        """
        ...

    async def wait(
        self, names: tuple[str, ...] | None, count: int, *, ack: bool
    ) -> list[MessageRow]:
        """Take as soon as there is something. Cancelled, it puts back what it was given."""
        ...

    def remove(self, rows: Iterable[MessageRow]) -> None:
        """Remove messages that were taken without ``ack``; puts (rule 1)."""
        ...

    def complete(self, row: MessageRow, reply: Any) -> None:
        """Remove a message that was taken with ``ack`` and answer who waits; puts (rule 1).

        Raises ``queue.invalid_completion_payload``, having done nothing.
        """
        ...

    def put_back(self, rows: Iterable[MessageRow]) -> None:
        """Let messages that were taken be there again, each in its old place."""
        ...

    def hold(self, ids: Iterable[int]) -> set[int]:
        """Take messages that an earlier generation took and did not complete; return which of
        them are there. Before :meth:`load` that is not known: all of them."""
        ...

    def names_of(self, queues: Sequence[Any]) -> tuple[str, ...] | None:
        """Return the wire names of declarations or names; all declared ones without any."""
        ...

    def read_body(self, row: MessageRow) -> Any:
        """Return the body as its queue declares it. Raises ``actor.validation_error``."""
        ...


class StepTransaction(Transaction, Protocol):
    """A transaction of the actor's database that ends with a checkpoint."""

    def entered(self) -> AbstractContextManager[None]:
        """Let the code of the block, and the tasks that it begins, be part of it."""
        ...

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Commit what was done and the checkpoint, in one. Raises ``sqlite.*``: then neither is."""
        ...

    async def roll_back(self) -> None:
        """Undo what was done; without effect once it is over."""
        ...


class Draft(Protocol):
    """The state that a transaction works on, apart from the one that everybody sees."""

    value: Any
    """The copy; may be replaced."""

    async def publish(
        self,
        commit: Callable[[bytes | None], Awaitable[None]],
        on_committed: Callable[[], None],
    ) -> None:
        """Let the copy be the actor's state, if ``commit`` goes well, which gets its image.

        ``on_committed`` is called then: what it puts is in one commit with the state.
        Nothing of the actor leaves and none of its state is stored meanwhile. Raises
        ``workflow.txn_conflict``, having done nothing, if somebody changed the state since the
        copy was made. If ``commit`` raises, the actor leaves memory: others have seen the copy.
        """
        ...


class Body(Protocol):
    """The body of a step while it runs."""

    future: asyncio.Future[Any]
    """Its outcome. One that was given up is done when that happens."""

    def cancel(self) -> None:
        """Give it up: what it still does has no effect on the workflow."""
        ...


class Host(Protocol):
    """The place where one actor's workflow runs."""

    @property
    def actor(self) -> Actor: ...
    @property
    def actor_id(self) -> str: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def log(self) -> Logger: ...
    @property
    def inbox(self) -> Inbox: ...

    def put(self, *entries: Entry) -> None:
        """Store entries as they are now, with the state that the actor has reached.

        Raises ``actor.state_not_serializable``, having stored nothing.
        """
        ...

    def remove(self, entries: Iterable[Entry]) -> None:
        """Remove entries."""
        ...

    def put_run(self, run: Run) -> None:
        """Store the run as it is now."""
        ...

    def forget_checkpoint(self, entry: Entry) -> None:
        """Let the actor's database forget the checkpoint of an entry that was put, once that is
        on disk."""
        ...

    async def committed(self) -> None:
        """Return once all that was put is on disk.

        Raises ``asyncio.CancelledError`` if it cannot be: the actor has left memory then, and its
        workflow goes on from what is stored.
        """
        ...

    def set_busy(self, busy: bool) -> None:
        """Say whether code of the workflow runs; without it the actor may sleep."""
        ...

    def begin(self, function: Callable[[], Any], scope: object, *, in_thread: bool) -> Body:
        """Run the body of a step or an undo handler, or a hook; the actor counts as busy.

        ``scope`` is who it runs for: ``guard.py`` lets its code use the actor. A plain function is
        run in a thread of its own if ``in_thread``. What it returns is awaited if it wants to be.
        """
        ...

    def draft(self) -> Draft:
        """Return a copy of the actor's state."""
        ...

    async def open_transaction(self, seconds: float | None) -> StepTransaction | None:
        """Begin a transaction of the actor's database, which ends by itself after ``seconds``.

        ``None`` for an actor without a database. Statements of ``self.db`` in its context are part
        of it. Raises ``sqlite.*``.
        """
        ...
