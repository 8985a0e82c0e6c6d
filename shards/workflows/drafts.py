"""The state that a ``wf.txn`` works on, and how it becomes the actor's together with its SQL.

Rule 1. The body has a copy. Everybody else sees and changes the state as if it did not run; if
        somebody did change it, the copy is of something that is no more, and is thrown away.
Rule 2. The copy becomes the actor's state before the database commits, so that what others change
        during the commit is based on it. The actor is sealed meanwhile (``seals.py``): if the
        database does not commit, nobody was told of it and it is stored nowhere.
Rule 3. What has begun to take effect is seen through, whoever cancels it: else nobody would know
        whether it did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from stator.runtime.errors import StateNotSerializable, StorageUnavailable
from stator.runtime.state_codec import StateTracker
from stator.runtime.workflow.guard import set_raw_state
from stator.runtime.workflow.host import Draft
from stator.runtime.workflow_errors import TxnConflict

from ..lifecycle import Status
from ..seals import Seal, is_sealed

if TYPE_CHECKING:
    from ..cell import Cell

Commit = Callable[[bytes | None], Awaitable[None]]


def make_draft(cell: Cell) -> Draft:
    """Return a copy of the actor's state; that of an actor without state is ``None``."""
    cell.shard.capture_quietly(cell, midway=True)
    return NoState(cell) if cell.tracker is None else StateDraft(cell, cell.tracker)


class NoState:
    """The draft of an actor without state; implements ``runtime.workflow.host.Draft``."""

    __slots__ = ("_cell", "value")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.value: Any = None

    async def publish(self, commit: Commit, on_committed: Callable[[], None]) -> None:
        """Commit; see ``Draft.publish``."""
        await _publish_nothing(self._cell, commit, on_committed)


class StateDraft:
    """A copy of an actor's state; implements ``runtime.workflow.host.Draft``."""

    __slots__ = ("_base", "_cell", "_tracker", "value")

    def __init__(self, cell: Cell, tracker: StateTracker) -> None:
        """``tracker`` is the actor's; it has just captured the state."""
        self._cell = cell
        self._base = tracker.last_image()
        self._tracker = StateTracker(cell.definition.state_codec)
        self.value: Any = self._tracker.restore(self._base)

    async def publish(self, commit: Commit, on_committed: Callable[[], None]) -> None:
        """Commit, and let the copy be the actor's state with it; see ``Draft.publish``.

        Raises ``actor.state_not_serializable``, having done nothing, and ``storage.unavailable``
        if the actor has left memory.
        """
        image = self._tracker.capture(self.value)
        if image is None:
            await _publish_nothing(self._cell, commit, on_committed)
            return
        await _until_unsealed(self._cell)
        self._check_base()
        seal = Seal(self._cell)
        try:
            self._take_effect(image)
            was_cancelled = await _see_through(_commit_under(seal, commit, image))
            on_committed()
        except BaseException:
            seal.break_off()
            raise
        self._cell.shard.tell(self._cell)
        seal.lift()
        if was_cancelled:
            raise asyncio.CancelledError

    def _check_base(self) -> None:
        """Raise ``workflow.txn_conflict`` if the state is not what it was (rule 1)."""
        cell = self._cell
        try:
            cell.shard.capture(cell, urgent=True)
        except StateNotSerializable as error:  # somebody else's, who is in the midst of it
            cell.log.error("state cannot be stored", problem=error.message)
        if cell.tracker is None:
            raise StorageUnavailable  # it has left memory
        if cell.tracker.last_image() != self._base:
            raise TxnConflict

    def _take_effect(self, image: bytes) -> None:
        cell = self._cell
        set_raw_state(cell.actor, self.value)
        cell.tracker = self._tracker
        cell.shard.put_state(cell, image)
        if cell.definition.tells_changes:
            cell.is_untold = True


async def _publish_nothing(cell: Cell, commit: Commit, on_committed: Callable[[], None]) -> None:
    """Commit what leaves the state alone: nothing has to wait for it."""
    await _until_unsealed(cell)
    was_cancelled = await _see_through(commit(None))
    try:
        on_committed()
    except StateNotSerializable as error:
        # Somebody else's, which is the last good one again. What was committed is done.
        cell.log.error("state cannot be stored", problem=error.message)
        on_committed()
    if was_cancelled:
        raise asyncio.CancelledError


async def _until_unsealed(cell: Cell) -> None:
    """Wait for another transaction of the actor. Raises ``storage.unavailable`` if it is gone."""
    while is_sealed(cell):
        await cell.wait_committed()
    if cell.status is Status.GONE:
        raise StorageUnavailable


async def _commit_under(seal: Seal, commit: Commit, image: bytes) -> None:
    await seal.settled()
    await commit(image)


async def _see_through(work: Awaitable[None]) -> bool:
    """Wait for the end of ``work``, cancelled or not (rule 3); return whether that was tried.

    Raises what it raises.
    """
    task = asyncio.ensure_future(work)
    was_cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            was_cancelled = True
    task.result()
    return was_cancelled
