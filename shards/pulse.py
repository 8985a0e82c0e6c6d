"""What a long piece of work changed is stored, and told, while it goes on.

An action's changes are captured when it ends. One that takes long, or a run loop that never ends,
is looked at every ``state_save_interval`` as well (python-api, section 3). There is one timer for
all actors with the same interval, and none while nothing is under way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stator.runtime.clock import Clock, Timer

if TYPE_CHECKING:
    from .cell import Cell


class Pulse:
    """Captures the changes of actors at work, once in every interval."""

    __slots__ = ("_cells", "_clock", "_seconds", "_timer")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._cells: dict[Cell, None] = {}
        self._timer: Timer | None = None

    def add(self, cell: Cell) -> None:
        """Look at an actor that has work from here on."""
        self._cells[cell] = None
        if self._timer is None:
            self._timer = self._clock.call_later(self._seconds, self._beat)

    def remove(self, cell: Cell) -> None:
        """Look at an actor no longer."""
        self._cells.pop(cell, None)

    def close(self) -> None:
        """Look at nobody any more."""
        self._cells.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._timer = None
        for cell in list(self._cells):
            cell.shard.capture_quietly(cell)
        if self._cells:
            self._timer = self._clock.call_later(self._seconds, self._beat)
