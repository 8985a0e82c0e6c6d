"""Sealing an actor while its own database commits what its state is to agree with.

The database and the shard are two files, and a commit of the one must not be contradicted by the
other: while it is not known how the first ends, nothing of the actor may be stored or leave. Its
code goes on meanwhile.

Rule 1. What the actor changes while it is sealed collects in its seal, in no batch of the shard;
        its output and whoever waits for its changes wait behind that.
Rule 2. Unsealed, all of it goes into the batch that collects: what whoever sealed the actor put in
        the end and what others did meanwhile is one commit, and output keeps its order.
Rule 3. If the seal breaks, or a commit of what came before it fails, the actor leaves memory as
        one whose commit failed: what it knows is on no disk.
Rule 4. Whoever seals counts as running, so a stop waits for it within the grace period, and
        whoever waits for the shard waits for its seals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stator.runtime.errors import StorageUnavailable

from .batch import Batch, Output
from .lifecycle import Status

if TYPE_CHECKING:
    from .cell import Cell


class Seal(Batch):
    """What collects of one actor while it is sealed: from its making to its end."""

    __slots__ = ("cell", "previous")

    def __init__(self, cell: Cell) -> None:
        """Raises ``storage.unavailable`` if the actor has left memory."""
        super().__init__()
        if cell.status in (Status.DELETED, Status.GONE):
            raise StorageUnavailable
        assert type(cell.batch) is not Seal, "sealed already"
        cell.shard.flush(cell)
        self.cell = cell
        self.previous = cell.batch
        """The last batch with a change from before, until that is on disk."""
        cell.batch = self
        cell.shard.seals[self] = None
        cell.enter()

    @property
    def is_over(self) -> bool:
        """Whether it was lifted or has broken."""
        return self not in self.cell.shard.seals

    async def settled(self) -> None:
        """Return once all changes from before are on disk. Raises ``storage.unavailable``."""
        if self.previous is not None:
            await self.previous.wait()
        if self.cell.status is Status.GONE:
            raise StorageUnavailable

    def lift(self) -> None:
        """Let what it holds be stored and leave (rule 2). It has to be :meth:`settled`."""
        if not self.is_over:
            assert self.previous is None
            self._end()
            if self.cell.status is Status.GONE:
                self.cell.shard.expel([], self)
            else:
                self.cell.shard.absorb(self.cell, self)
        self.cell.leave()

    def break_off(self) -> None:
        """Let the actor leave memory (rule 3)."""
        if not self.is_over:
            self._end()
            is_there = self.cell.status is not Status.GONE
            self.cell.shard.expel([self.cell] if is_there else [], self)
        self.cell.leave()

    def give_up(self) -> list[Output]:
        """Let those who wait know that the actor is evicted; return what must not leave."""
        self._end()
        self.settle(StorageUnavailable)
        return self.outputs

    def _end(self) -> None:
        del self.cell.shard.seals[self]
        self.cell.batch = None


def is_sealed(cell: Cell) -> bool:
    """Whether the actor's output waits for its own database."""
    return type(cell.batch) is Seal
