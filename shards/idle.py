"""Actors that have nothing to do go to sleep (semantics page, section 2.5).

Rule 1. An actor sleeps when it was idle for ``sleep_timeout`` without interruption.
Rule 2. Work is only stamped (``Cell.idle_since``). One timer per worker looks at each actor when
        it could be due at the earliest, and finds out then whether it had work meanwhile.
Rule 3. Under memory pressure idle actors sleep early, those idle for longest first.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from stator.runtime.clock import Clock, Timer

if TYPE_CHECKING:
    from .cell import Cell
    from .shard import Shard

SWEEP_AT_LEAST = 1_000
"""Entries of actors that left memory are looked for when there are so many, and twice as many as
after the last time."""

_Entry = tuple[float, str, int, int]
"""When to look, at which actor (id), of which shard, of which generation."""


class IdleWatch:
    """Looks after the idle actors of one worker."""

    def __init__(self, clock: Clock, find_shard: Callable[[int], Shard]) -> None:
        self._clock = clock
        self._find_shard = find_shard
        self._entries: list[_Entry] = []
        self._sweep_at = SWEEP_AT_LEAST
        self._timer: Timer | None = None
        self._armed_for = 0.0

    def watch(self, cell: Cell) -> None:
        """Look after an actor that has just become ready."""
        if not cell.definition.settings.no_sleep:
            self._push(cell, self._clock.time())
            self._sweep()
            self._arm()

    def close(self) -> None:
        """Look after nobody any more."""
        self._entries.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        """Forget entries of actors that left memory, once they are the greater part."""
        if len(self._entries) < self._sweep_at:
            return
        self._entries = [entry for entry in self._entries if self._find(entry) is not None]
        heapq.heapify(self._entries)
        self._sweep_at = max(SWEEP_AT_LEAST, 2 * len(self._entries))

    def _find(self, entry: _Entry) -> Cell | None:
        _, actor_id, number, generation = entry
        cell = self._find_shard(number).by_id.get(actor_id)
        return cell if cell is not None and cell.row.generation == generation else None

    def _push(self, cell: Cell, now: float) -> None:
        row = cell.row
        entry = (_due(cell, now), row.actor_id, cell.shard.number, row.generation)
        heapq.heappush(self._entries, entry)

    def _arm(self) -> None:
        if not self._entries:
            return
        first = self._entries[0][0]
        if self._timer is not None:
            if self._armed_for <= first:
                return
            self._timer.cancel()
        self._armed_for = first
        self._timer = self._clock.call_later(max(0.0, first - self._clock.time()), self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.time()
        while self._entries and self._entries[0][0] <= now:
            cell = self._find(heapq.heappop(self._entries))
            if cell is None:
                continue
            if cell.is_idle and _due(cell, now) <= now:
                cell.sleep()
            else:
                self._push(cell, now)
        self._arm()


def _due(cell: Cell, now: float) -> float:
    """Return when the actor may sleep, if it has nothing to do until then."""
    since = cell.idle_since if cell.is_idle else now
    return since + cell.definition.settings.sleep_timeout


def sleep_longest_idle(cells: Iterable[Cell], count: int) -> int:
    """Put up to ``count`` idle actors to sleep, those idle for longest first (rule 3).

    Returns how many. ``no_sleep`` is about idleness by time; it holds here as well.
    """
    idle = [cell for cell in cells if cell.is_idle and not cell.definition.settings.no_sleep]
    chosen = heapq.nsmallest(count, idle, key=lambda cell: cell.idle_since)
    for cell in chosen:
        cell.sleep()
    return len(chosen)
