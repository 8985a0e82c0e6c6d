"""Blocks without effects of their own: ``wf.scope`` and ``wf.timeout``."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ..clock import Timer
from .entries import Entry, EntryStatus, Kind
from .strand import Scope, Strand
from .timers import LONGEST_TIMER_S


class ScopeBlock:
    """``async with wf.scope("payment")``: names in it are its own. It has no entry.

    Its own name is unique as that of an entry is: a replay could not tell two such blocks apart.
    """

    def __init__(self, strand: Strand, name: str) -> None:
        self._strand = strand
        self._name = name
        self._scope: Scope | None = None

    async def __aenter__(self) -> None:
        strand = self._strand
        with strand.doing(self._name) as key:
            strand.run.history.check_unused(key, "scope", also=strand.scope.blocks)
            strand.scope.blocks |= {key}
            self._scope = Scope(key, strand.scope)
        strand.enter(self._scope)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._scope is not None
        self._strand.leave(self._scope)
        if error is None:
            self._strand.check_end(self._scope.key)


class TimeoutBlock:
    """``async with wf.timeout("reply", 30)``: raises ``TimeoutError`` when its time is over.

    The deadline is that of the first time, whatever is replayed (workflow page, section 16.2).
    What the block does at that moment is cancelled.
    """

    def __init__(self, strand: Strand, name: str, seconds: float) -> None:
        self._strand = strand
        self._name = name
        self._seconds = seconds
        self._scope: Scope | None = None
        self._entry: Entry | None = None
        self._timer: Timer | None = None

    async def __aenter__(self) -> None:
        strand = self._strand
        with strand.doing(self._name) as key:
            entry = await strand.ask(key, Kind.TIMEOUT)
            if entry is None:
                entry = strand.make(key, Kind.TIMEOUT, EntryStatus.WAITING)
            if entry.status is EntryStatus.WAITING and entry.due_ms is None:
                # It is new, or a fork went back into it.
                entry.due_ms = strand.run.host.clock.now_ms() + round(self._seconds * 1000)
                strand.run.host.put(entry)
        self._entry = entry
        self._scope = Scope(key, strand.scope)
        self._scope.is_cancelled = entry.status is EntryStatus.EXPIRED
        strand.enter(self._scope)
        if entry.status is EntryStatus.WAITING:
            # Already over, it has nothing to cancel yet: what its code asks for is refused.
            self._scope.is_cancelled = self._left_s() <= 0
            self._look()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        strand, entry, scope = self._strand, self._entry, self._scope
        assert entry is not None and scope is not None
        if self._timer is not None:
            self._timer.cancel()
        strand.leave(scope)
        if not strand.run.is_playing:
            return
        is_over = entry.status is EntryStatus.EXPIRED
        may_close = entry.status is EntryStatus.WAITING and strand.run.is_live
        may_close = may_close and not strand.scope.is_dead
        is_cut_off = scope.is_cancelled and (is_over or may_close)
        if is_cut_off and (error is None or isinstance(error, asyncio.CancelledError)):
            strand.see(entry)
            if not is_over:
                strand.close(entry, EntryStatus.EXPIRED)
                assert strand.task is not None
                strand.task.uncancel()
            raise TimeoutError(f"'{self._name}' was not done within {self._seconds:g} s")
        if error is None:
            strand.check_end(scope.key)
        strand.see(entry)
        if may_close:
            strand.close(entry, EntryStatus.COMPLETED)
        elif entry.status is EntryStatus.WAITING and strand.run.is_live:
            strand.cut_off(entry)  # nobody is to be woken for it

    def _look(self) -> None:
        scope, left = self._scope, self._left_s()
        assert scope is not None
        if left > 0:
            clock = self._strand.run.host.clock
            self._timer = clock.call_later(min(left, LONGEST_TIMER_S), self._look)
        elif not scope.is_cancelled:
            scope.is_cancelled = True
            self._strand.cancel()

    def _left_s(self) -> float:
        assert self._entry is not None and self._entry.due_ms is not None
        return (self._entry.due_ms - self._strand.run.host.clock.now_ms()) / 1000
