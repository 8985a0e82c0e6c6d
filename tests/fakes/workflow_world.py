"""Where generated workflows are played: an engine whose process may be killed at any moment.

Rule 1. Every moment at which the disk or the world outside changes is a *point*: before and after
        each commit of the shard and of the actor's database, the begin and the end of each body,
        each rest before the clock moves. A run is cut at points by their number.
Rule 2. After a kill nothing of that life reaches the disk, the world or the senders. Another life
        begins at the same instant, from what is on the disk.
Rule 3. What is seen of a body at the moment it runs is checked at once: its start is on disk, and
        it was never completed before.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from stator.runtime import faults
from stator.runtime.storage import CommitDone, Writes
from stator.runtime.workflow.entries import (
    ENDED,
    Entry,
    EntryStatus,
    Kind,
    Run,
    decode_entry,
    decode_run,
)
from stator.shards.queues.messages import decode_body
from stator.testing.clock import VirtualClock
from stator.testing.databases import WatchedDatabases
from tests.fakes.engine_in_process import LocalEngine
from tests.fakes.memory_disk import MemoryDisk
from tests.fakes.memory_store import MemoryStore
from tests.fakes.recording_log import RecordingLog
from tests.fakes.workflow_nodes import Node, Place
from tests.fakes.workflow_player import make_player
from tests.fakes.workflow_programs import Program
from tests.fakes.workflow_senders import Senders

NAME = "player"
BEGIN_MS = 1_700_000_000_000
MOST_RESTS = 20_000
"""After so many a program is taken to go on for ever."""


class Cut(Enum):
    """What happens at a point."""

    KILL = "kill"
    """The process ends."""
    SLEEP = "sleep"
    """The actor is put to sleep."""
    FULL = "full"
    """The next commit of the shard fails."""


Plan = tuple[tuple[int, Cut], ...]
"""How many points after the one before something happens."""


class Killed(Exception):
    """Ends code whose process was killed."""


@dataclass
class Effect:
    """One time that a body ran."""

    key: str
    life: int
    attempt: int
    given: Any


@dataclass
class Outcome:
    """What was to be seen of a run."""

    status: str
    output: Any
    error: Any
    steps: dict[str, int]
    txns: dict[str, int]
    rows: list[str]
    replies: dict[str, Any]
    left: list[Any]
    """Messages that are in their queues in the end."""
    history: dict[str, tuple[str, str, str]]
    noted: dict[str, int]
    """How often the history has that a step, or its undo handler, came to its end."""
    effects: list[Effect]
    points: list[str]
    """Labels of the points that were passed."""
    complaints: list[str]
    """What was wrong at the moment that it happened."""
    lives: int


class CutStore(MemoryStore):
    """The store of one life."""

    def __init__(self, disk: MemoryDisk, life: Life) -> None:
        super().__init__(disk)
        self._life = life

    def commit(self, writes: Writes, done: CommitDone) -> None:
        if self._life.is_over:
            return

        def tell(error: Exception | None) -> None:
            if not self._life.is_over:
                done(error)

        super().commit(writes, tell)

    def _answer(self, result: Any) -> asyncio.Future[Any]:
        if self._life.is_over:
            return asyncio.get_running_loop().create_future()
        return super()._answer(result)

    def _make(self) -> None:
        life = self._life
        if life.is_over or not self.is_committing:
            return
        life.pass_point("commit")
        if not life.is_over:
            before = len(self.commits)
            super()._make()
            for writes in self.commits[before:]:
                life.world.inserted |= {decode_body(each.body) for each in writes.messages}
            life.pass_point("committed")


class Life:
    """One process, from its start to its end."""

    def __init__(self, world: World, number: int, clock: VirtualClock) -> None:
        self.world = world
        self.number = number
        self.clock = clock
        self.is_over = False
        log = RecordingLog()
        self.store = CutStore(world.disk, self)
        program = world.program
        self.databases = WatchedDatabases(world.directory, clock, log)
        self.local = LocalEngine(
            {NAME: make_player(program, self, no_sleep=world.no_sleep)},
            {0: self.store},
            total_shards=1,
            clock=clock,
            databases=self.databases,
        )
        faults.arm("database.before_commit", lambda: self.pass_or_end("database"))
        faults.arm("database.after_commit", lambda: self.pass_or_end("database done"))

    @property
    def is_busy(self) -> bool:
        """Whether threads of it work."""
        return self.databases.is_busy or self.local.engine.step_threads.is_busy

    def pass_point(self, label: str) -> None:
        """Pass a point (rule 1), at which this life may end."""
        if self.is_over:
            return
        match self.world.next_cut(label):
            case Cut.KILL:
                self.is_over = True
            case Cut.SLEEP:
                self.world.loop.call_soon_threadsafe(self._put_to_sleep)
            case Cut.FULL:
                self.store.fail_next_commit()
            case None:
                pass

    def pass_or_end(self, label: str) -> None:
        """Pass a point. Raises :class:`Killed` if this life is over."""
        self.pass_point(label)
        if self.is_over:
            raise Killed

    def _put_to_sleep(self) -> None:
        for cell in [*self.local.engine.shards[0].by_identity.values()]:
            cell.sleep()

    # -- from the player

    def note_place(self, node: Node, place: Place, given: Any = None) -> None:
        """Remember what has an effect at a place, which is asked for with ``given``."""
        if not self.is_over:
            self.world.places[place.key] = (node, place)
            self.world.check_given(place.key, given)

    def begin(self, key: str, attempt: int, given: Any, *, is_undo: bool = False) -> int:
        """Note that a body begins; return how often it did before (rule 3)."""
        if self.is_over:
            raise Killed
        world, name = self.world, key + "/undo" * is_undo
        world.check_begin(key, attempt, given, is_undo=is_undo)
        self.pass_or_end("begin " + name)
        before = world.begun[name]
        world.begun[name] += 1
        world.effects.append(Effect(name, self.number, attempt, given))
        return before

    async def linger(self) -> None:
        """Take some time."""
        over = asyncio.Event()
        self.clock.call_later(0.1, over.set)
        await over.wait()

    async def end(self) -> None:
        """Clear away what is left of it."""
        self.is_over = True
        await self.settle()
        self.local.engine.abandon()
        for database in vars(self.databases)["_live"].values():
            database._forgotten.clear()  # a process that is killed deletes nothing
        await self.databases.close()
        self.local.engine.close()
        left = asyncio.all_tasks() - self.world.others
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def settle(self) -> None:
        """Return when nothing happens any more without the clock."""
        ready = vars(self.world.loop)["_ready"]
        await asyncio.sleep(0)
        while ready or self.is_busy:  # noqa: ASYNC110 - threads tell nobody
            await asyncio.sleep(0 if ready else 0.0002)


@dataclass
class World:
    """A program, its disk, and all that it did outside."""

    program: Program
    directory: Path
    plan: Plan = ()
    no_sleep: bool = False
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    effects: list[Effect] = field(default_factory=list[Effect])
    begun: Counter[str] = field(default_factory=Counter[str])
    places: dict[str, tuple[Node, Place]] = field(default_factory=dict[str, tuple[Node, Place]])
    points: list[str] = field(default_factory=list[str])
    complaints: list[str] = field(default_factory=list[str])
    inserted: set[Any] = field(default_factory=set[Any])
    """Bodies of messages that ever were on the disk."""
    given: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._cuts = list(self.plan)
        self._next = self._cuts[0][0] if self._cuts else -1
        self.is_logged = self.program.is_logged
        self.senders = Senders(self)
        self.life: Life

    # -- points

    def next_cut(self, label: str) -> Cut | None:
        """Count a point; return what happens at it."""
        self.points.append(label)
        if not self._cuts:
            return None
        self._next -= 1
        if self._next >= 0:
            return None
        _, cut = self._cuts.pop(0)
        if self._cuts:
            self._next = self._cuts[0][0]
        return cut

    # -- what is on the disk

    @property
    def pk(self) -> int | None:
        """The actor's row."""
        return next(iter(self.disk.actors), None)

    @property
    def run(self) -> Run | None:
        """The stored run."""
        if self.pk is None:
            return None
        row = self.disk.belongings(self.pk).run
        return None if row is None else decode_run(row.image)

    def entries(self) -> Iterable[Entry]:
        """Give the stored entries."""
        images = {} if self.pk is None else self.disk.belongings(self.pk).entries
        return map(decode_entry, [*images.values()])

    def stored_messages(self) -> list[Any]:
        """Return the bodies of the messages that are in their queues."""
        if self.pk is None:
            return []
        return [decode_body(row.body) for row in self.disk.belongings(self.pk).messages.values()]

    def check_begin(self, key: str, attempt: int, given: Any, *, is_undo: bool) -> None:
        """Complain of a body that must not begin now (rule 3)."""
        entry = next((each for each in self.entries() if each.key == key), None)
        is_logged = getattr(self.places[key][0], "start", "logged") == "logged"
        if is_undo:
            mark = None if entry is None else entry.undo
            if mark is None or (mark.status, mark.attempts) != (EntryStatus.RUNNING, attempt):
                self.complaints.append(f"undo of {key} begins, stored is {mark}")
            return
        if entry is not None and entry.status in (EntryStatus.COMPLETED, EntryStatus.FAILED):
            self.complaints.append(f"{key} begins again, it was {entry.status}")
        found = None if entry is None else (entry.status, entry.attempts)
        if is_logged and found != (EntryStatus.RUNNING, attempt):
            self.complaints.append(f"{key} begins attempt {attempt}, stored is {found}")
        self.check_given(key, given)
        self.given.setdefault(key, given)

    def check_given(self, key: str, given: Any) -> None:
        """Complain if a body that began once is now asked for with something else."""
        before = self.given.get(key, given)
        if before != given and self.is_logged:
            self.complaints.append(f"{key} was given {before}, now {given}")

    # -- playing

    async def play(self) -> Outcome:
        """Let the program run to its end, whatever happens."""
        self.others = asyncio.all_tasks()
        self.life = Life(self, 1, VirtualClock(BEGIN_MS))
        try:
            for _ in range(MOST_RESTS):
                await self.life.settle()
                if not self.life.is_over and self._is_ended:
                    break
                await self._go_on()
            else:
                raise AssertionError("it goes on for ever")
            self._cuts.clear()
            passed = [*self.points]
            await self._begin_again()
            return await self._outcome(passed)
        finally:
            await self.life.end()
            faults.disarm("database.before_commit")
            faults.disarm("database.after_commit")

    @property
    def _is_ended(self) -> bool:
        run = self.run
        return run is not None and run.status in ENDED and self.senders.are_done

    async def _go_on(self) -> None:
        life = self.life
        if not life.is_over:
            life.pass_point("rest")
        if life.is_over:
            await self._begin_again()
        elif not self.senders.act():
            due = self.senders.next_due
            until = life.clock.after(1e9) if due is None else due
            has_rung = life.clock.step(until)
            if not has_rung and due is None:
                raise AssertionError(f"it waits for nothing: {self.describe()}")

    async def _begin_again(self) -> None:
        life = self.life
        await life.end()
        self.life = Life(self, life.number + 1, life.clock.without_timers())
        self.senders.look_again()

    def describe(self) -> str:
        """Return what there is, for people."""
        lines = [str(self.run), *map(str, self.entries()), str(self.senders)]
        lines += [str(line) for line in self.life.local.log.lines[-10:]]
        return "\n".join(lines)

    async def _outcome(self, passed: list[str]) -> Outcome:
        await self.life.settle()
        report = await self.life.local.call(NAME, "report")
        await self.life.settle()
        run, pk = self.run, self.pk
        assert run is not None and pk is not None
        error = None if run.error is None else (run.error.name, run.error.message)
        return Outcome(
            status=run.status,
            output=run.output,
            error=error,
            steps=report[0],
            txns=report[1],
            rows=report[2],
            replies=self.senders.replies,
            left=sorted(self.stored_messages()),
            history={each.key: _told(each) for each in self.entries()},
            noted=dict(_noted(self.entries())),
            effects=self.effects,
            points=passed,
            complaints=[*self.complaints, *self.senders.complaints],
            lives=self.life.number,
        )


def _told(entry: Entry) -> tuple[str, str, str]:
    return (entry.kind, entry.status, "" if entry.undo is None else entry.undo.status)


def _noted(entries: Iterable[Entry]) -> Iterator[tuple[str, int]]:
    for entry in entries:
        if entry.kind is Kind.STEP:
            yield entry.key, entry.failures + (entry.status is EntryStatus.COMPLETED)
        if entry.undo is not None and entry.undo.status is EntryStatus.UNDONE:
            yield entry.key + "/undo", 1
