"""What one commit carries: the writes of many actors, and the output that waits for them.

Rule 1. A batch collects, is in flight, then is done; it never goes back.
Rule 2. Output waits in the *latest* batch that holds a change of its actor. Batches are done in
        order, so output never overtakes earlier output of the same actor.
Rule 3. If the commit fails, nothing of the batch is on disk and none of its output leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from stator.runtime.link.frames import AnyFrame
from stator.runtime.storage import Writes

if TYPE_CHECKING:
    from .cell import Cell


class ReplyPort(Protocol):
    """Where output goes: a link, a connection, or a caller in this process."""

    def send(self, header: AnyFrame, payload: bytes = b"") -> None: ...


Output = tuple["Cell", ReplyPort, AnyFrame, bytes]
"""The actor it is of, and what to send where."""


class Batch:
    """A set of writes that becomes durable together."""

    __slots__ = (
        "absorbed",
        "changes",
        "deferred",
        "gated",
        "held_bytes",
        "onlookers",
        "outputs",
        "waiters",
        "writes",
    )

    def __init__(self) -> None:
        self.writes = Writes()
        self.absorbed: tuple[int, ...] = ()
        """By ``id``, the batches whose contents it took over."""
        self.changes = 0
        """How many acknowledged changes it carries; more than rows, as the last image wins."""
        self.gated: list[Cell] = []
        """The actors whose output waits for it."""
        self.deferred: dict[Cell, bytes] = {}
        """States whose actors wait for nobody (durability "interval"): tried again if it fails."""
        self.outputs: list[Output] = []
        self.held_bytes = 0
        """How much output waits; it counts in the worker's backlog."""
        self.waiters: list[asyncio.Future[None]] = []
        self.onlookers = 0
        """How many of them wait for whatever is there, not for a change of their own."""

    @property
    def callers(self) -> int:
        """How many wait for a change that they made."""
        return len(self.outputs) + len(self.waiters) - self.onlookers

    def wait(self) -> asyncio.Future[None]:
        """Return a future that is done when the batch is; fails if the commit does."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append(future)
        return future

    def absorb(self, other: Batch) -> None:
        """Take over what another one collected, behind what is here."""
        writes, more = self.writes, other.writes
        writes.operations += more.operations
        writes.messages += more.messages
        writes.removals += more.removals
        writes.entries.update(more.entries)
        writes.entry_removals += more.entry_removals
        writes.states.update(more.states)
        self.absorbed += (id(other),)
        self.changes += other.changes
        self.outputs += other.outputs
        self.held_bytes += other.held_bytes
        self.waiters += other.waiters
        self.onlookers += other.onlookers

    def settle(self, error: Callable[[], Exception] | None = None) -> None:
        """Tell those who wait that it is done, or why it never will be."""
        for waiter in self.waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error())

    def forget(self, cell: Cell) -> list[Output]:
        """Take an actor's writes and output out of a batch that still collects."""
        self.forget_writes(cell)
        dropped = [output for output in self.outputs if output[0] is cell]
        self.outputs = [output for output in self.outputs if output[0] is not cell]
        return dropped

    def forget_writes(self, cell: Cell) -> None:
        """Take an actor's writes out of a batch that still collects."""
        pk, writes = cell.row.pk, self.writes
        writes.states.pop(pk, None)
        writes.operations = [
            operation for operation in writes.operations if getattr(operation, "pk", None) != pk
        ]
        writes.messages = [message for message in writes.messages if message.pk != pk]
        writes.removals = [removal for removal in writes.removals if removal[0] != pk]
        writes.entries = {place: image for place, image in writes.entries.items() if place[0] != pk}
        writes.entry_removals = [place for place in writes.entry_removals if place[0] != pk]
