"""Replays: the history of a workflow, played against the code of the day.

Rule 1. Nothing is run but the body of the workflow: no step, no undo handler, no hook. What history
        has is returned to it; where it asks for something new it stops, branch by branch.
Rule 2. The report is about the code that there is now: whether it asks for what history has, and
        where it would go on. Whether the run that made the history has ended plays no part.
Rule 3. An error that ends the body counts against the code, unless the run ended with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from stator.runtime.actor import Actor
from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER
from stator.runtime.definition import ActorDefinition
from stator.runtime.workflow.entries import (
    Entry,
    Kind,
    Run,
    RunStatus,
    decode_entry,
    decode_run,
)
from stator.runtime.workflow.failures import record_error
from stator.runtime.workflow.history import History
from stator.runtime.workflow.references import find
from stator.runtime.workflow.run import WorkflowRun
from stator.runtime.workflow.values import decode_value
from stator.runtime.workflow_errors import (
    Diverged,
    HistoryUnreadable,
    NoWorkflow,
    UndoFailed,
    describe,
)
from stator.runtime.workflow_views import WorkflowHistory

from .stage import Player, Stage, StandingClock


class FrontierEntry(NamedTuple):
    """Something that the code would do next."""

    key: str
    """As of an entry of the history."""
    kind: str


class ReplayReport(msgspec.Struct, frozen=True):
    """How the code of the day goes with a history; ``str()`` says it in a few lines."""

    name: str
    """Of the actor, on the wire."""
    key: tuple[str, ...]
    entries: int
    """How many the history has."""
    replayed: int
    """How many the code asked for and got, turns of loops and version gates not counted."""
    frontier: tuple[FrontierEntry, ...]
    """Where the code would go on live; empty if it would end, and after a divergence."""
    divergence: Diverged | None
    """What the code asks for and history does not have there; both sides are in its ``metadata``
    as ``history`` and ``code``."""
    error: BaseException | None
    """What the code raised, if the run did not end with that."""
    missing: tuple[str, ...]
    """Classes in the history that cannot be found any more: ``"app.orders:Receipt"``. That is in
    order where an annotation says which class has taken its place."""

    @property
    def diverged(self) -> bool:
        """Whether the code asks for something else than history has."""
        return self.divergence is not None

    @property
    def ok(self) -> bool:
        """Whether the code can go on from this history."""
        return self.divergence is None and self.error is None

    def __str__(self) -> str:
        return "\n".join(_lines_of(self))


async def replay(
    history: WorkflowHistory, actor: type[Actor], *, patience: float = 10.0
) -> ReplayReport:
    """Play a history against the workflow of a class and say how that went (rules 1 to 3).

    The history comes from ``await handle.workflow.history()``, or from a file by
    ``WorkflowHistory.from_bytes``. Code that waits for something else than ``wf`` is given up after
    ``patience`` real seconds. Raises ``workflow.not_enabled`` for a class without a workflow.
    """
    definition = ActorDefinition(history.name, actor, {}, {})
    if definition.workflow is None:
        raise NoWorkflow(f"{actor.__qualname__} has no workflow: no `run` with `@workflow`")
    entries = [decode_entry(row.image) for row in history.record.rows.entries]
    record = _run_of(history)
    stage = Stage(definition, history.actor_id, history.key, _clock_at(record, entries))
    playing = _Playing(stage, definition.workflow.function, record, entries)
    await playing.play(patience)
    return _report(history, playing, tuple(dict.fromkeys(_missing_in(entries))))


class _Playing:
    """One replay."""

    def __init__(self, stage: Stage, function: Any, record: Run, entries: list[Entry]) -> None:
        self._function = function
        self._stage = stage
        self.was_cancelled = record.is_cancelled
        self.status = record.status
        self.known_error = record.error
        self.error: BaseException | None = None
        self.run = WorkflowRun(stage, self._body, record, History(entries))
        self.run.is_frozen = True

    async def play(self, patience: float) -> None:
        """Run the code through the history."""
        token = CALLER.set(Player(self._stage.actor))
        try:
            task = self.run.start()
        finally:
            CALLER.reset(token)
        await asyncio.wait({task}, timeout=patience)
        if not task.done():
            self.run.abandon()
            await asyncio.wait({task}, timeout=patience)
            self.error = TimeoutError(
                f"the code did not come to rest within {patience:g} s: it waits for something that "
                "it did not ask of `wf`"
            )

    async def _body(self, actor: Any, workflow: Any) -> None:
        root = self.run.root
        try:
            await result_of(self._function(actor, workflow))
            root.scope = root.outermost
            root.check_end("")
        except GeneratorExit:
            raise
        except BaseException as error:  # user code must not end the test
            self.error = error
        finally:
            self.run.is_suspended = True  # so that nothing comes after the body: no undo, no end

    @property
    def frontier(self) -> tuple[FrontierEntry, ...]:
        """What was refused, once each."""
        if self.run.divergence is not None:
            return ()
        refused = [FrontierEntry(key, str(kind)) for key, kind in self.run.refused if key]
        return tuple(dict.fromkeys(refused))

    @property
    def divergence(self) -> Diverged | None:
        """What the code asks for and history does not have."""
        found = self.run.divergence
        return found if isinstance(found, Diverged) else None

    @property
    def unknown_error(self) -> BaseException | None:
        """What ended the code, if it is news (rule 3)."""
        error = self.error
        if isinstance(self.run.divergence, HistoryUnreadable):
            return self.run.divergence
        if error is None or self.run.divergence is not None:
            return None
        if isinstance(error, asyncio.CancelledError):
            return None if self.frontier or self.was_cancelled else error
        is_known = self.status is RunStatus.CANCELLED or (
            self.known_error is not None
            and self.known_error.name in (record_error(error).name, UndoFailed.__name__)
        )
        return None if is_known else error


def _run_of(history: WorkflowHistory) -> Run:
    row = history.record.rows.run
    if row is not None:
        return decode_run(row.image)
    return Run(1, RunStatus.PENDING, history.actor_id, history.record.status.created_ms or 0)


def _clock_at(record: Run, entries: list[Entry]) -> StandingClock:
    """Return time that stands where the history was taken: no deadline in it is over yet."""
    instants = [entry.finished_ms or entry.created_ms for entry in entries]
    return StandingClock(max(instants, default=record.created_ms))


def _report(history: WorkflowHistory, playing: _Playing, missing: tuple[str, ...]) -> ReplayReport:
    return ReplayReport(
        name=history.name,
        key=history.key,
        entries=len(history),
        replayed=playing.run.replayed,
        frontier=playing.frontier,
        divergence=playing.divergence,
        error=playing.unknown_error,
        missing=missing,
    )


# ----------------------------------------------------------------- classes that are gone


def _missing_in(entries: list[Entry]) -> Iterator[str]:
    """Give the references of classes that history names and nobody has (``references.find``)."""
    for entry in entries:
        if entry.error is not None and not _is_there(entry.error.home):
            yield entry.error.home
        if entry.output is not None and entry.kind is not Kind.RECEIVE:
            try:
                decode_value(entry.output)
            except HistoryUnreadable as error:
                if isinstance(error.__cause__, LookupError):
                    yield str(error.__cause__).partition(" ")[0]


def _is_there(reference: str) -> bool:
    try:
        find(reference)
    except LookupError:
        return False
    return True


# ----------------------------------------------------------------------------- in words


def _lines_of(report: ReplayReport) -> Iterator[str]:
    of = f"replay of {report.name} {list(report.key)}"
    if report.divergence is not None:
        yield f"{of}: diverged after {report.replayed} entries"
        yield from _sides_of(report.divergence)
    elif report.error is not None:
        yield f"{of}: failed after {report.replayed} entries"
        yield f"  the code raised {describe(report.error)}"
    else:
        yield f"{of}: {report.replayed} entries, as the code asks for them"
        for entry in report.frontier:
            yield f"  would go on with {entry.kind} '{entry.key}'"
        if not report.frontier:
            yield "  and the code comes to its end"
    for reference in report.missing:
        yield f"  not there any more: {reference}"


def _sides_of(divergence: Diverged) -> Iterator[str]:
    sides = divergence.metadata
    if not isinstance(sides, dict):
        yield f"  {divergence.message}"
        return
    yield f"  history has:   {_side(sides['history'])}"
    yield f"  code asks for: {_side(sides['code'])}"
    yield "  use `wf.version` or `wf.removed` where the code was changed"


def _side(place: Any) -> str:
    return "nothing more" if place is None else f"{place['kind']} '{place['key']}'"
