"""Branches that run at the same time: ``gather``, ``map`` and ``first``.

Rule 1. Each branch is a strand with a task of its own, alive until it ends: it goes on whatever its
        siblings do (workflow page, section 13, no. 7).
Rule 2. Nothing that a branch returns is stored: a replay runs its code over its history. So any
        number of branches of any size is a few rows each (no. 8).
Rule 3. A ``gather`` ends when all branches have; a ``first`` with its winner, and the others are
        cancelled at once (no. 6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ..awaiting import result_of
from ..workflow_errors import Diverged, FirstFailed, GatherFailed
from . import keys
from .entries import Entry, EntryStatus, Kind
from .strand import CURRENT, Scope, Strand, check_unique

if TYPE_CHECKING:
    from .context import Workflow

T = TypeVar("T")
Branch = Callable[["Workflow"], Awaitable[Any]]


class Winner(NamedTuple, Generic[T]):
    """What came of a ``first``."""

    name: str
    """Of the branch that went well first."""
    value: T
    """What it returned."""


class Branches:
    """The branches of one ``gather``, ``map`` or ``first`` while they run."""

    def __init__(self, strand: Strand, key: str, *, is_race: bool) -> None:
        self._strand = strand
        self._key = key
        self._is_race = is_race
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[str, Branch]] = []
        self._strands: dict[str, Strand] = {}
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._count = self._running = 0
        self.results: dict[str, Any] = {}
        self.errors: dict[str, BaseException] = {}
        self.winner: str | None = None
        """The branch that went well first."""

    async def run(self, branches: Mapping[str, Branch], concurrency: int | None) -> None:
        """Run all of them, at most so many at a time. Raises ``asyncio.CancelledError``."""
        if not branches:
            return
        self._count = len(branches)
        self._waiting = list(branches.items())[::-1]
        for _ in range(min(len(branches), concurrency or len(branches))):
            self._start(*self._waiting.pop())
        await self._join()

    def _start(self, name: str, branch: Branch) -> None:
        parent = self._strand
        scope = Scope(keys.join(self._key, name), parent.scope, forgets=self._is_race)
        strand = Strand(parent.run, scope, now_ms=parent.now_ms)
        self._strands[name] = strand
        self._running += 1
        parent.run.add(strand)
        token = CURRENT.set(strand)
        try:
            strand.task = self._loop.create_task(self._follow(name, branch, strand))
        finally:
            CURRENT.reset(token)
        # Not in `_follow`: a task that is cancelled before its first step runs none of it.
        strand.task.add_done_callback(lambda _: self._on_end(name, strand))

    async def _follow(self, name: str, branch: Branch, strand: Strand) -> None:
        run = strand.run
        try:
            value = await result_of(branch(run.workflow_of(strand)))
            strand.check_end(strand.key)
        except asyncio.CancelledError as error:
            if run.is_live and not strand.scope.is_dead:
                self.errors[name] = error
        except BaseException as error:  # user code must not end the worker
            if strand.is_thrown_away:
                raise
            self.errors[name] = error
        else:
            self.results[name] = value
            if self._is_race and self.winner is None:
                self.winner = name
                self._cancel_losers()

    def _on_end(self, name: str, strand: Strand) -> None:
        """Let the next one begin, in the place of a branch that came to its end.

        One that was cut off keeps its place: a replay plays the branches that had begun, no more.
        """
        self._running -= 1
        strand.task = None  # its context has the strand: that would be a circle
        run = self._strand.run
        has_ended = name in self.results or name in self.errors
        if self._waiting and has_ended and self.winner is None and run.is_playing:
            self._start(*self._waiting.pop())
        if self._running == 0 and not self._ended.done():
            run.unpark()
            self._ended.set_result(None)
        run.discard(strand)

    def _cancel_losers(self) -> None:
        for name, strand in self._strands.items():
            if name != self.winner:
                strand.outermost.is_cancelled = True
                strand.cancel()

    @property
    def _has_all(self) -> bool:
        """Whether no branch was cut off, other than by the winner."""
        known = len(self.results) + len(self.errors)
        return self.winner is not None or known == self._count

    async def _join(self) -> None:
        """Wait until all branches have ended, also if this is cancelled meanwhile."""
        strand = self._strand
        cancels = 0
        must_finish, strand.must_finish = strand.must_finish, True
        strand.run.park()
        try:
            while not self._ended.done():
                try:
                    await asyncio.shield(self._ended)
                except asyncio.CancelledError:
                    if strand.run.is_abandoned:
                        raise
                    cancels += 1
                    for branch in self._strands.values():
                        branch.cancel()
        finally:
            strand.must_finish = must_finish
            if not self._ended.done():
                self._ended.cancel()
                strand.run.unpark()
        if self._has_all:
            # As in a replay, which knows the outcome of all: what comes next is refused.
            for _ in range(cancels):
                _uncancel(strand)
        else:
            raise asyncio.CancelledError


async def gather(
    strand: Strand,
    name: str,
    branches: Mapping[str, Branch],
    *,
    kind: Kind = Kind.GATHER,
    concurrency: int | None = None,
    return_errors: bool = False,
) -> dict[str, Any]:
    """Return what each branch returns. Raises :class:`GatherFailed` when all have ended."""
    with strand.doing(name) as key:
        entry = await _open(strand, key, kind, branches)
        running = Branches(strand, key, is_race=False)
        try:
            await running.run(branches, concurrency)
        except asyncio.CancelledError:
            _cut_off(strand, entry)
            raise
        if entry.status is EntryStatus.RUNNING:
            failed = EntryStatus.FAILED if running.errors else EntryStatus.COMPLETED
            strand.close(entry, failed)
        strand.see(entry)
    if running.errors and not return_errors:
        raise GatherFailed.of(_in_order(branches, running.errors), name=name)
    return _in_order(branches, {**running.results, **running.errors})


async def gather_items(
    strand: Strand,
    name: str,
    items: Sequence[Any],
    function: Callable[[Workflow, Any], Awaitable[Any]],
    key: Callable[[Any], Any] | None,
    concurrency: int | None,
    return_errors: bool,
) -> list[Any]:
    """Return what ``function`` returns for each item, in their order."""
    if concurrency is not None and concurrency < 1:
        raise ValueError(f"concurrency is 1 or more, not {concurrency!r}")
    names = [str(index if key is None else key(item)) for index, item in enumerate(items)]
    check_unique(names, f"'{name}'")

    def branch_of(item: Any) -> Branch:
        return lambda workflow: function(workflow, item)

    branches = {each: branch_of(item) for each, item in zip(names, items, strict=True)}
    results = await gather(
        strand,
        name,
        branches,
        kind=Kind.MAP,
        concurrency=concurrency,
        return_errors=return_errors,
    )
    return list(results.values())


async def first(strand: Strand, name: str, branches: Mapping[str, Branch]) -> Winner[Any]:
    """Return what the first branch that goes well returns. Raises :class:`FirstFailed`."""
    if not branches:
        raise ValueError("first() needs a branch")
    with strand.doing(name) as key:
        entry = await _open(strand, key, Kind.FIRST, branches)
        running = Branches(strand, key, is_race=True)
        decided = entry.winner
        taking_part = branches if decided is None else {decided: branches[decided]}
        try:
            await running.run(taking_part, None)
        except asyncio.CancelledError:
            _cut_off(strand, entry)
            raise
        if entry.status is EntryStatus.RUNNING:
            entry.winner = running.winner
            failed = EntryStatus.FAILED if running.winner is None else EntryStatus.COMPLETED
            strand.close(entry, failed)
        strand.see(entry)
    if running.winner is None:
        raise FirstFailed.of(_in_order(branches, running.errors), name=name)
    return Winner(running.winner, running.results[running.winner])


async def _open(strand: Strand, key: str, kind: Kind, branches: Mapping[str, Branch]) -> Entry:
    """Return the entry of the whole, checked against the branches that the code has."""
    names = list(branches)
    entry = await strand.ask(key, kind)
    if entry is None:
        entry = strand.make(key, kind, EntryStatus.RUNNING, detail=names)
        strand.run.host.put(entry)
    elif set(entry.detail) != set(names):
        with strand.run.watched():
            had, has = (f"{kind} of {', '.join(each)}" for each in (entry.detail, names))
            raise Diverged.between((key, had), (key, has))
    return entry


def _uncancel(strand: Strand) -> None:
    if strand.task is not None:
        strand.task.uncancel()


def _cut_off(strand: Strand, entry: Entry) -> None:
    if entry.status is EntryStatus.RUNNING:
        strand.cut_off(entry)


def _in_order(branches: Mapping[str, Branch], found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in branches if name in found}
