"""A strand: one line of a workflow's code, that of its own body or of one branch.

Rule 1. A strand does one thing at a time: what is asked of it while it is busy is refused, which
        is also what the code of a branch or a step hears that uses the `wf` around it.
Rule 2. Its *scopes* are nested blocks. Names of entries are unique within their scope.
Rule 3. A scope that was cancelled (a loser, a time limit, the whole run) does nothing new: what
        history has is returned, then ``asyncio.CancelledError`` is raised.
Rule 4. A run that is suspended, because its actor leaves memory, does nothing new either; it is
        the same for the code, but nothing of it is stored.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..workflow_errors import Diverged, DuplicateEntry, EntryInProgress, HistoryUnreadable
from . import keys
from .entries import Entry, EntryStatus, Kind
from .fairness import LINE
from .timers import InstantTimer
from .values import decode_value

if TYPE_CHECKING:
    from .run import WorkflowRun
    from .sagas import Saga

_ALWAYS_PLAYED = frozenset({Kind.GATHER, Kind.MAP, Kind.FIRST, Kind.TIMEOUT})
"""Kinds whose code a replay runs whatever became of the whole."""

TURN = 200
"""So many entries are asked for before others have their turn of the event loop."""

MAX_REFUSALS = 1_000
"""So often code may ask for more after it was cancelled."""

SPANS = frozenset(
    {Kind.LOOP, Kind.GATHER, Kind.MAP, Kind.FIRST, Kind.TIMEOUT, Kind.SAGA, Kind.PROMISE}
)
"""Kinds that the code goes on with before they have their outcome: it sees that at their end."""

CURRENT: ContextVar[Strand | None] = ContextVar("stator_strand", default=None)
"""The strand in whose code we are."""


class Scope:
    """A block of a strand's code, whose entries share the beginning of their keys."""

    __slots__ = ("_random", "blocks", "forgets", "is_cancelled", "key", "parent", "saga")

    def __init__(
        self,
        key: str,
        parent: Scope | None,
        *,
        saga: Saga | None = None,
        forgets: bool = False,
    ) -> None:
        """``saga`` is the one that begins with it. ``forgets`` says that its code is not always
        run again by a replay: a turn of a loop, a branch that may lose."""
        self.key = key
        self.parent = parent
        self.saga: Saga | None = saga
        if saga is None and parent is not None:
            self.saga = parent.saga
        self.forgets = forgets
        self.is_cancelled = False
        self.blocks: frozenset[str] = frozenset()
        """Keys of the blocks in it that have no entry."""
        self._random: random.Random | None = None

    @property
    def is_dead(self) -> bool:
        """Whether it or one around it was cancelled."""
        scope: Scope | None = self
        while scope is not None:
            if scope.is_cancelled:
                return True
            scope = scope.parent
        return False

    @property
    def outermost_saga(self) -> str:
        """Key of the saga that has to be undone last: what one did is that of the one around it,
        once it went well. Empty for the run itself."""
        key = ""
        scope: Scope | None = self
        while scope is not None:
            key = key if scope.saga is None else scope.saga.key
            scope = scope.parent
        return key

    def is_forgotten_within(self, saga: str) -> bool:
        """Whether a replay may leave out its code, and not that of the saga around it."""
        scope: Scope | None = self
        while scope is not None and scope.key != saga:
            if scope.forgets:
                return True
            scope = scope.parent
        return False

    def random(self, seed: str) -> random.Random:
        """Return its numbers: the same in every replay, others in every scope."""
        if self._random is None:
            self._random = random.Random(f"{seed}/{self.key}")
        return self._random


class Strand:
    """One line of a workflow's code."""

    def __init__(self, run: WorkflowRun, scope: Scope, *, now_ms: int) -> None:
        """``scope`` is its outermost one, whose key is the strand's."""
        self.run = run
        self.key = scope.key
        self.outermost = scope
        self.scope = scope
        self.now_ms = now_ms
        """The time its code sees: when the last thing it asked for had ended."""
        self.task: asyncio.Task[Any] | None = None
        self.open_messages: set[str] = set()
        """Keys of receives with messages that were not acknowledged yet."""
        self.must_finish = False
        """Whether a suspension waits for what it does: a body, a commit, its branches."""
        self.is_shielded = False
        """Whether what it does goes on when its scope is cancelled: a commit, undo handlers."""
        self.commits = 0
        """How often it waited for what it put."""
        self._busy: str | None = None
        self._is_ahead = False
        """Whether it asked for something that history did not have."""
        self._refusals = 0

    # -- what it is asked for

    def doing(self, name: str) -> Doing:
        """Do one thing; gives its key. Raises ``workflow.entry_in_progress`` (rule 1)."""
        return Doing(self, name)

    def begin_doing(self, name: str) -> str:
        """Be busy with one thing; return its key. Raises as :meth:`doing` does."""
        key = keys.join(self.scope.key, name)
        if CURRENT.get() is not self or not self.run.has(self):
            raise EntryInProgress(
                f"'{keys.show(key)}' was asked for by code that is no part of it, or no more: use "
                "a `wf` in the code that it was given to, and while that runs"
            )
        if self._busy is not None:
            raise EntryInProgress(
                f"'{keys.show(key)}' was asked for while '{keys.show(self._busy)}' goes on: await "
                "one after the other, and use the `wf` that a branch is given inside it"
            )
        self._busy = key
        return key

    def end_doing(self) -> None:
        """Be busy no longer."""
        self._busy = None

    async def ask(self, key: str, kind: Kind) -> Entry | None:
        """Return what history has of an entry; ``None`` if it has to be made now.

        Raises what :meth:`.history.History.visit` does: a divergence ends the whole run.
        """
        self.run.asked += 1
        if self.run.asked % TURN == 0:
            await LINE.give_way()
        try:
            entry = self.ask_now(key, kind)
            if entry is None and not self._is_ahead:
                await self._let_others_catch_up()
                self.check_live(key, kind)
        except asyncio.CancelledError:
            await self._keep_from_looping()
            raise
        return entry

    async def _let_others_catch_up(self) -> None:
        """Do nothing new before all strands are through what history has of them: a divergence
        that one of them finds is to be found first (``run.py``, rule 3)."""
        run, before = self.run, None
        while run.is_resumed and before != (run.replayed, run.begun):
            before = run.replayed, run.begun
            await asyncio.sleep(0)
        self._is_ahead = True

    async def _keep_from_looping(self) -> None:
        """Hold code up that goes on and on after its end: it catches ``asyncio.CancelledError`` in
        a loop, and would let nobody else have a turn of the event loop ever again."""
        self._refusals += 1
        if self._refusals > MAX_REFUSALS:
            self.run.host.log.error(
                "workflow catches its cancellation and goes on: it is held up",
                within=keys.show(self.scope.key),
            )
            self.run.park()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.run.unpark()

    def ask_now(self, key: str, kind: Kind) -> Entry | None:
        """Do what :meth:`ask` does, at once."""
        try:
            entry = self.run.history.visit(self.key, key, kind)
        except Diverged:
            with self.run.watched():
                raise
        if entry is None:
            self.check_live(key, kind)
        else:
            self.run.replayed += 1
            if kind not in SPANS:
                self.see(entry)
            if entry.status is EntryStatus.CANCELLED and kind not in _ALWAYS_PLAYED:
                raise asyncio.CancelledError
        return entry

    def check_live(self, key: str = "", kind: str = "") -> None:
        """Raise ``asyncio.CancelledError`` unless something new may be done (rules 3 and 4)."""
        if not self.run.is_live or self.scope.is_dead:
            if not self.scope.is_dead:
                self.run.refused.append((key, kind))
            raise asyncio.CancelledError

    def check_goes_on(self, entry: Entry) -> None:
        """Do what :meth:`check_live` does for an entry that is open: it may have been left so when
        its scope was cancelled while the actor slept."""
        try:
            self.check_live(entry.key, entry.kind)
        except asyncio.CancelledError:
            self.cut_off(entry)
            raise

    def make(self, key: str, kind: Kind, status: EntryStatus, **fields: Any) -> Entry:
        """Return a new entry that was asked for; it is not put yet."""
        run = self.run
        return run.history.make(
            Entry(
                run.history.take_seq(),
                key,
                kind,
                status,
                self.key,
                run.host.clock.now_ms(),
                **fields,
            )
        )

    def close(self, entry: Entry, status: EntryStatus) -> None:
        """Give an entry its outcome and put it."""
        entry.status = status
        entry.finished_ms = self.run.host.clock.now_ms()
        entry.due_ms = None
        self.run.host.put(entry)
        if entry.kind is not Kind.PROMISE:
            self.see(entry)

    def see(self, entry: Entry) -> None:
        """Let the time of the strand be that of an entry's outcome, if it has one."""
        if entry.finished_ms is not None:
            self.now_ms = max(self.now_ms, entry.finished_ms)

    def check_end(self, scope: str) -> None:
        """Raise unless a scope that has ended asked for all it has (history, rule 4)."""
        if self.run.history.has_more(self.key, scope):
            with self.run.watched():
                self.run.history.check_end(self.key, scope)

    def read(self, image: bytes | None, annotation: Any = Any) -> Any:
        """Return a stored value. One that cannot be read ends the run, as a divergence does."""
        if image is None:
            return None
        try:
            return decode_value(image, annotation)
        except HistoryUnreadable:
            with self.run.watched():
                raise

    # -- scopes

    def enter(self, scope: Scope) -> None:
        """Go into a block."""
        self.scope = scope

    def leave(self, scope: Scope) -> None:
        """Go out of a block, and of all within it that were left without notice."""
        current: Scope | None = self.scope
        while current is not None:
            if current is scope:
                assert scope.parent is not None
                self.scope = scope.parent
                return
            current = current.parent

    # -- waiting

    async def wait(self, future: asyncio.Future[Any], due_ms: int | None = None) -> Any:
        """Wait for ``future``, or until ``due_ms``, when it is given ``None``.

        This is a wait in which the actor may sleep (workflow page, section 16.1).
        """
        timer = None if due_ms is None else InstantTimer(self.run.host.clock, future, due_ms)
        self.run.park()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.run.is_interrupted = True
            raise
        finally:
            self.run.unpark()
            if timer is not None:
                timer.cancel()

    async def committed(self, *, is_done: bool = False) -> None:
        """Wait until all that was put is on disk.

        Raises ``asyncio.CancelledError`` if the scope was cancelled meanwhile, unless what was put
        ``is_done``: a replay returns that, too.
        """
        self.commits += 1
        is_shielded, must_finish = self.is_shielded, self.must_finish
        self.is_shielded = self.must_finish = True
        try:
            await self.run.host.committed()
        finally:
            self.is_shielded, self.must_finish = is_shielded, must_finish
        if is_done or is_shielded:
            return
        if not self.run.is_playing or self.scope.is_dead:
            raise asyncio.CancelledError

    def cut_off(self, entry: Entry) -> None:
        """Put that an entry was cancelled, if what ends it is its scope (rule 3)."""
        if self.scope.is_dead and not self.run.is_suspended:
            self.close(entry, EntryStatus.CANCELLED)

    # -- ending it from outside

    @property
    def is_thrown_away(self) -> bool:
        """Whether its code is closed without having come to an end, as when nobody has its task
        any more. That is told from code that raises ``GeneratorExit`` of its own."""
        try:
            return asyncio.current_task() is not self.task
        except RuntimeError:
            return True

    def cancel(self) -> None:
        """End what it does, as its scope was cancelled; what is shielded goes on."""
        if self.task is not None and not self.is_shielded:
            self.task.cancel()

    def suspend(self) -> None:
        """End what it waits for; a body that runs and what is put go on to their end."""
        if self.task is not None and not self.must_finish:
            self.task.cancel()

    # -- determinism

    def random(self) -> random.Random:
        """Return the random numbers of the scope."""
        return self.scope.random(self.run.record.seed)

    def uuid(self) -> uuid.UUID:
        """Return an id that every replay makes again."""
        return uuid.UUID(int=self.random().getrandbits(128), version=4)


class Doing:
    """One thing that a strand does, as a context. Each step has one, hence no generator."""

    __slots__ = ("_name", "_strand")

    def __init__(self, strand: Strand, name: str) -> None:
        self._strand = strand
        self._name = name

    def __enter__(self) -> str:
        return self._strand.begin_doing(self._name)

    def __exit__(self, *_: object) -> None:
        self._strand.end_doing()


def check_unique(names: list[str], what: str) -> None:
    """Raise ``workflow.duplicate_entry`` if two branches have one name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DuplicateEntry(f"two branches of {what} are called '{name}'")
        seen.add(name)
