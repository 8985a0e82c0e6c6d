"""Loops: `async for turn in wf.loop("orders")` (workflow page, sections 4.3 and 16.2).

Rule 1. Each turn has an entry with the state at its beginning. It is put with the first thing
        that the turn does: a loop goes on in the turn in which it was, with that state.
Rule 2. Turns that are over are not replayed; the last ``keep`` of them stay in the history.
Rule 3. ``turn.stop(value)`` makes the turn the last, and ``value`` the result. A loop that is left
        by an exception, ``return`` or ``break`` has no result; a replay leaves it again in the
        same turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..workflow_errors import Diverged
from . import keys
from .entries import Entry, EntryStatus, Kind
from .strand import Scope
from .values import round_trip

if TYPE_CHECKING:
    from .strand import Strand

State = TypeVar("State")


class Turn(Generic[State]):
    """One turn of a loop."""

    def __init__(self, index: int, state: State) -> None:
        self.index = index
        """Counts the turns, from 0."""
        self.state: State = state
        """Of the loop; what it is at the end of this turn the next one begins with."""
        self.is_last = False
        """Whether :meth:`stop` was called."""
        self.value: Any = None

    def stop(self, value: Any = None) -> None:
        """Make this turn the last once its body ends; ``value`` is the result of the loop."""
        self.is_last = True
        self.value = value


class Loop(Generic[State]):
    """A loop; iterate over it once."""

    def __init__(self, strand: Strand, name: str, state: State, keep: int) -> None:
        if keep < 0:
            raise ValueError(f"keep is a number of turns, 0 or more, not {keep!r}")
        self._strand = strand
        self._name = name
        self._state = state
        self._keep = keep
        self.result: Any = None
        """What the last turn gave :meth:`Turn.stop`, once the loop is over."""

    def __aiter__(self) -> Turns[State]:
        return Turns(self, self._strand, self._name, self._state, self._keep)


class Turns(Generic[State]):
    """The turns of a loop, one after the other."""

    def __init__(
        self, loop: Loop[State], strand: Strand, name: str, state: State, keep: int
    ) -> None:
        self._loop = loop
        self._strand = strand
        self._name = name
        self._state = state
        self._keep = keep
        self._entry: Entry | None = None
        self._turn: Turn[State] | None = None
        self._turn_entry: Entry | None = None
        self._scope: Scope | None = None
        self._kept: deque[str] = deque()
        self._commits = 0

    def __aiter__(self) -> Turns[State]:
        return self

    async def __anext__(self) -> Turn[State]:
        turn = self._turn
        if turn is None:
            index = await self._begin()
        else:
            self._end_turn(turn)
            if turn.is_last:
                await self._end(turn.value)
                raise StopAsyncIteration
            index = turn.index + 1
        if index is None:
            raise StopAsyncIteration
        return await self._begin_turn(index)

    def __del__(self) -> None:
        # The only sign of a loop that is left by `break`, `return` or an exception: CPython drops
        # the iterator as soon as the loop is left.
        if self._scope is not None:
            self._strand.leave(self._scope)

    async def _begin(self) -> int | None:
        """Return the number of the turn to begin with, ``None`` if the loop is over already."""
        strand = self._strand
        with strand.doing(self._name) as key:
            entry = await strand.ask(key, Kind.LOOP)
            if entry is None:
                entry = strand.make(key, Kind.LOOP, EntryStatus.RUNNING)
                strand.run.host.put(entry)
        self._entry = entry
        if entry.status is EntryStatus.COMPLETED:
            strand.run.history.skip_within(strand.key, key)
            strand.see(entry)
            self._loop.result = strand.read(entry.output)
            return None
        last = strand.run.history.last_turn(key)
        if last is None:
            return 0
        self._restore_kept(last)
        number = keys.turn_of(last.key, key)
        assert number is not None
        strand.run.history.skip_within(strand.key, key, but=last.key)
        return number

    def _restore_kept(self, last: Entry) -> None:
        assert self._entry is not None
        number = keys.turn_of(last.key, self._entry.key)
        assert number is not None
        history = self._strand.run.history
        for before in range(max(0, number - self._keep), number):
            key = keys.turn_key(self._entry.key, before)
            if history.get(key) is not None:
                self._kept.append(key)

    async def _begin_turn(self, index: int) -> Turn[State]:
        strand, loop = self._strand, self._entry
        assert loop is not None
        key = keys.turn_key(loop.key, index)
        try:
            entry = strand.run.history.find(key, Kind.TURN)
        except Diverged:
            with strand.run.watched():
                raise
        if entry is None:
            await self._give_way()
            strand.check_live(key, Kind.TURN)
            image, copy = _stored(self._state, f"state of loop '{self._name}'")
            state = cast(State, copy)
            entry = strand.make(key, Kind.TURN, EntryStatus.RUNNING, output=image)
            strand.run.host.put(entry)
        else:
            state = cast(State, strand.read(entry.output))
        strand.now_ms = max(strand.now_ms, entry.created_ms)
        self._forget_old_turns()
        self._turn_entry = entry
        turn: Turn[State] = Turn(index, state)
        self._turn = turn
        self._scope = Scope(key, strand.scope, forgets=True)
        strand.enter(self._scope)
        return turn

    async def _give_way(self) -> None:
        """Let a turn that waited for nothing wait for what it put, so that others get a turn."""
        if self._turn is not None and self._strand.commits == self._commits:
            await self._strand.committed()
        self._commits = self._strand.commits

    def _end_turn(self, turn: Turn[State]) -> None:
        strand, entry, scope = self._strand, self._turn_entry, self._scope
        assert entry is not None and scope is not None
        strand.leave(scope)
        self._scope = None
        strand.check_end(entry.key)
        self._state = turn.state
        strand.see(entry)
        if not strand.run.is_live:
            return
        if self._keep and entry.status is not EntryStatus.COMPLETED:
            strand.close(entry, EntryStatus.COMPLETED)
        self._kept.append(entry.key)

    def _forget_old_turns(self) -> None:
        """Remove turns in one commit with what comes after them: history always has the turn in
        which the loop is, or the one before."""
        while len(self._kept) > self._keep:
            self._strand.run.forget_turn(self._kept.popleft())

    async def _end(self, value: Any) -> None:
        strand, entry = self._strand, self._entry
        assert entry is not None
        strand.check_live(entry.key, Kind.LOOP)
        entry.output, self._loop.result = _stored(value, f"result of loop '{self._name}'")
        strand.close(entry, EntryStatus.COMPLETED)
        self._forget_old_turns()


def _stored(value: Any, what: str) -> tuple[bytes | None, Any]:
    return (None, None) if value is None else round_trip(value, Any, what)
