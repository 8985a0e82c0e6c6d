"""Telling an actor that its state changed: the hook ``on_state_change`` (semantics page, 3.3).

Rule 1. The hook runs once for what a capture found, within that capture: nothing else runs
        meanwhile, so it sees the state that was captured.
Rule 2. It may read the state and change everything else. What it raises is logged and fails
        nothing: the change it was told of stays.
Rule 3. Nobody calls the actor while the hook runs: ``self.conn`` is ``None``, whoever made the
        change.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from stator.runtime.calling import CALLER
from stator.runtime.errors import StateNotSerializable
from stator.runtime.state_codec import StateTracker
from stator.runtime.state_guard import guarded_state

from .hibernation import capture_touched

if TYPE_CHECKING:
    from .cell import Cell

HOOK = "on_state_change"


class _NothingChanges(StateTracker):
    """Stands in while the hook runs: a capture that it causes finds nothing to do."""

    __slots__ = ()

    def __init__(self) -> None:
        """Remember nothing."""

    def capture(self, value: object) -> bytes | None:
        return None


_NOTHING_CHANGES = _NothingChanges()


def note_change(cell: Cell) -> None:
    """Run the actor's ``on_state_change``; nothing that goes wrong there gets out."""
    tracker, cell.tracker = cell.tracker, _NOTHING_CHANGES
    caller = CALLER.set(None)
    try:
        with guarded_state(cell.actor) as view:
            hook = getattr(cell.actor, HOOK)
            _refuse_awaitable(cell, hook(view))
        if cell.touched:
            capture_touched(cell)
    except StateNotSerializable as error:
        cell.log.error("state cannot be stored", problem=error.message)
    except BaseException as error:  # user code must not end the worker
        cell.log.error("hook failed", hook=HOOK, exc_info=error)
    finally:
        CALLER.reset(caller)
        cell.tracker = tracker


def _refuse_awaitable(cell: Cell, result: Any) -> None:
    """Log that the hook wants to be awaited; a coroutine is closed, what runs already goes on."""
    if not hasattr(result, "__await__"):
        return
    if not isinstance(result, asyncio.Future):
        close = getattr(result, "close", None)
        if close is not None:
            close()
    cell.log.error("hook returned an awaitable, which is not awaited", hook=HOOK)
