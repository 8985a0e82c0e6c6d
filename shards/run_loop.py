"""The hook ``run``: a background loop of one generation (semantics page, section 2.9).

Rule 1. It begins when the actor is ready, beside its actions, and is not begun again before the
        next start, whether it returns or raises.
Rule 2. A receive that a stop ended (``actor.aborted``) is a clean exit.
Rule 3. A sleep waits for it within the grace period, a destruction does not; then it is cancelled.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from stator.runtime.actor import Actor
from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER
from stator.runtime.errors import Aborted

from .lifecycle import Status

if TYPE_CHECKING:
    from .cell import Cell


class RunLoop:
    """The ``run`` of one generation; it is the caller of the code that runs in it."""

    __slots__ = ("_cell", "_task")

    conn = None
    request = None
    goes_on_by_itself = False
    """It is begun again by the next request only."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._task: asyncio.Task[None] | None = None

    @property
    def actor(self) -> Actor:
        """The actor it belongs to."""
        return self._cell.actor

    @property
    def is_active(self) -> bool:
        """Whether it goes on."""
        return self._task is not None and not self._task.done()

    @property
    def keeps_awake(self) -> bool:
        """Whether it does something other than wait for a message."""
        return self.is_active and self._cell.parked == 0

    def start(self) -> None:
        """Begin it in the background."""
        token = CALLER.set(self)
        try:
            self._task = asyncio.get_running_loop().create_task(self._run())
        finally:
            CALLER.reset(token)
        self._cell.pulse.add(self._cell)

    async def wait(self) -> None:
        """Return when it has ended."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    def stop(self) -> None:
        """Do nothing when a stop of the actor begins: its code looks at ``self.aborted``."""

    def let_go(self) -> None:
        """Do nothing: there are no circles of references."""

    def settle(self) -> None:
        """Store nothing as the actor leaves memory."""

    def cut_off(self) -> asyncio.Task[None] | None:
        """Cancel it; return its task if it still has to end."""
        if self._task is None or self._task.done():
            return None
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        cell = self._cell
        hook: Any = cell.actor
        try:
            await result_of(hook.run())
        except BaseException as error:  # user code must not end the worker
            self._note(error)
        finally:
            if cell.queues is not None:
                cell.queues.release(self)
            self._task = None  # nobody waits in it any more
            cell.rest()
        if cell.status is not Status.GONE:
            cell.shard.capture_quietly(cell)

    def _note(self, error: BaseException) -> None:
        cell = self._cell
        if cell.is_aborted and isinstance(error, Aborted | asyncio.CancelledError):
            return  # rule 2, or cut off
        cell.log.error("run failed; it is not begun again before the next start", exc_info=error)
