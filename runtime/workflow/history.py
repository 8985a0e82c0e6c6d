"""The entries of one run in memory, and how far the code that is replayed has asked for them.

Rule 1. An entry is found by its key. Within a strand entries are asked for in the order in which
        they were made: another key or kind than the next one is a divergence, reported with both
        sides (workflow page, section 16.1).
Rule 2. Gates, placeholders and turns of loops (:data:`FREE`) are found by their key alone: they
        may be added to code that has a history.
Rule 3. A name is used once in its scope.
Rule 4. What a scope has in history and its code did not ask for is a divergence as well, when the
        scope ends by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from ..workflow_errors import Diverged, DuplicateEntry
from . import keys
from .entries import Entry, EntryStatus, Kind

FREE = frozenset({Kind.VERSION, Kind.REMOVED, Kind.TURN, Kind.RESOLUTION})
"""Kinds whose place among the others says nothing (rule 2)."""

_ARMED = frozenset({EntryStatus.WAITING, EntryStatus.RUNNING, EntryStatus.RETRYING})


class History:
    """All entries of a run."""

    __slots__ = ("_asked", "_by_key", "_expected", "_in_turn", "_turns", "next_seq")

    def __init__(self, entries: Iterable[Entry], next_seq: int = 1) -> None:
        """``entries`` are by ``seq``; ``next_seq`` is the least number that may be used."""
        self._by_key: dict[str, Entry] = {}
        self._expected: dict[str, deque[Entry]] = {}
        """By strand, what was not asked for yet."""
        self._asked: set[str] = set()
        self._turns: dict[str, int] = {}
        """The last turn of each loop."""
        self._in_turn: dict[str, list[Entry]] = {}
        """What is directly in each turn of a loop."""
        self.next_seq = next_seq
        for entry in entries:
            self._add(entry)
            if entry.kind not in FREE:
                self._expected.setdefault(entry.strand, deque()).append(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def _add(self, entry: Entry) -> None:
        self._by_key[entry.key] = entry
        last = entry.seq if entry.undo is None else max(entry.seq, entry.undo.order)
        self.next_seq = max(self.next_seq, last + 1)
        if entry.kind is Kind.TURN:
            loop, _, number = entry.key.rpartition("/~")
            self._turns[loop] = max(self._turns.get(loop, 0), int(number))
        turn = keys.innermost_turn(entry.key)
        if turn is not None:
            self._in_turn.setdefault(turn, []).append(entry)

    # -- what the code asks for

    def visit(self, strand: str, key: str, kind: Kind) -> Entry | None:
        """Return the entry that the code asks for, ``None`` if history has no more of its strand.

        Raises ``workflow.diverged`` and ``workflow.duplicate_entry``.
        """
        self.check_unused(key, kind)
        following = self.expected(strand)
        if following is None:
            self._asked.add(key)
            return None
        if following.key != key or following.kind is not kind:
            raise Diverged.between((following.key, following.kind), (key, kind))
        self._asked.add(key)
        self._expected[strand].popleft()
        return following

    def find(self, key: str, kind: Kind) -> Entry | None:
        """Return an entry of a free kind (rule 2). Raises as :meth:`visit` does."""
        self.check_unused(key, kind)
        self._asked.add(key)
        entry = self._by_key.get(key)
        if entry is not None and entry.kind is not kind:
            raise Diverged.between((key, entry.kind), (key, kind))
        return entry

    def skip_removed(self, strand: str, key: str, kind: str) -> bool:
        """Pass over an entry whose code was removed; whether there is nothing left to say of it.

        Raises as :meth:`visit` does.
        """
        self.check_unused(key, Kind.REMOVED)
        entry = self._by_key.get(key)
        if entry is None:
            self._asked.add(key)
            return False
        if entry.kind not in (Kind.REMOVED, kind):
            raise Diverged.between((key, entry.kind), (key, f"removed {kind}"))
        self._asked.add(key)
        if entry.kind is not Kind.REMOVED:
            following = self.expected(strand)
            if following is not entry and entry.kind not in FREE:
                history = None if following is None else (following.key, following.kind)
                raise Diverged.between(history, (key, f"removed {kind}"))
            self.skip_within(strand, key, itself=True)
        return True

    def expected(self, strand: str) -> Entry | None:
        """Return the entry of a strand that has to be asked for next."""
        entries = self._expected.get(strand)
        return entries[0] if entries else None

    def skip_within(
        self, strand: str, scope: str, *, but: str | None = None, itself: bool = False
    ) -> None:
        """Pass over what a strand has within ``scope``, except within ``but``."""
        while (entry := self.expected(strand)) is not None:
            if not (keys.is_within(entry.key, scope) or (itself and entry.key == scope)):
                return
            if but is not None and keys.is_within(entry.key, but):
                return
            self._expected[strand].popleft()

    def has_more(self, strand: str, scope: str) -> bool:
        """Whether a scope has entries that were not asked for yet."""
        entry = self.expected(strand)
        return entry is not None and (not scope or keys.is_within(entry.key, scope))

    def check_end(self, strand: str, scope: str) -> None:
        """Raise ``workflow.diverged`` if a scope that has ended has more in history (rule 4)."""
        if self.has_more(strand, scope):
            entry = self.expected(strand)
            assert entry is not None
            raise Diverged.between((entry.key, entry.kind), None)

    def check_unused(self, key: str, kind: str, also: Collection[str] = ()) -> None:
        """Raise ``workflow.duplicate_entry`` if a name was used before, or is in ``also``."""
        if key in self._asked or key in also:
            raise DuplicateEntry(
                f"the name '{keys.show(keys.last_name(key))}' is used twice in one scope: give "
                f"the {kind} another name, or tell several apart by `key=`"
            )

    # -- what it finds, and what becomes of it

    def get(self, key: str) -> Entry | None:
        """Return an entry, whether it was asked for or not."""
        return self._by_key.get(key)

    def last_turn(self, loop: str) -> Entry | None:
        """Return the turn that a loop is in."""
        number = self._turns.get(loop)
        return None if number is None else self._by_key.get(keys.turn_key(loop, number))

    def make(self, entry: Entry) -> Entry:
        """Add an entry that the code asked for and history does not have."""
        self._add(entry)
        self._asked.add(entry.key)
        return entry

    def take_seq(self) -> int:
        """Return a number that no entry ever had."""
        self.next_seq += 1
        return self.next_seq - 1

    def discard(self, entry: Entry) -> None:
        """Forget an entry that is not in any strand's order."""
        assert entry.kind in FREE
        self._by_key.pop(entry.key, None)
        self._asked.discard(entry.key)

    def prune(self, turn: str) -> list[Entry]:
        """Forget a turn of a loop that is over, and what was in it; return what was forgotten.

        What can still be undone stays.
        """
        forgotten: list[Entry] = []
        entry = self._by_key.get(turn)
        if entry is not None:
            forgotten.append(entry)
        kept: list[Entry] = []
        for inner in self._in_turn.pop(turn, ()):
            if is_armed(inner):
                kept.append(inner)
            elif inner.kind is Kind.TURN:
                forgotten += self.prune(inner.key)
            else:
                forgotten.append(inner)
        if kept:
            self._in_turn[turn] = kept
        for gone in forgotten:
            self._by_key.pop(gone.key, None)
            self._asked.discard(gone.key)
            if gone.kind is Kind.LOOP:
                self._turns.pop(gone.key, None)
            if keys.is_within(gone.strand, turn):
                self._expected.pop(gone.strand, None)
        return forgotten


def is_armed(entry: Entry) -> bool:
    """Whether the undo handler of an entry may still have to run."""
    return entry.undo is not None and entry.undo.status in _ARMED
