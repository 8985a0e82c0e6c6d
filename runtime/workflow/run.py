"""One run of a workflow in memory: its body is played from its history, then goes on live.

Rule 1. While the actor is in memory waits are real: nothing is run again. After a start the body
        runs once more, and gets from history what it asked for before (workflow page, 16.1).
Rule 2. A run that has ended is not run again: ``completed``, ``failed`` and ``cancelled`` are for
        good (section 13, no. 2 to 4), until ``retry`` or ``fork``.
Rule 3. A divergence ends the run as failed, with nothing else being run, undo handlers included.
Rule 4. An actor that stops *suspends* its run: bodies come to their end, all that waits is dropped,
        and the next generation plays it again.
Rule 5. A run that failed or was cancelled undoes what its own stack has, then ends. Interrupted in
        that it is played again only to find its handlers: *frozen*, it does nothing new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from ..awaiting import result_of
from ..errors import StateNotSerializable
from ..workflow_errors import (
    Diverged,
    FirstFailed,
    GatherFailed,
    HistoryUnreadable,
    StepFailed,
    UndoFailed,
)
from .context import Workflow
from .entries import ENDED, Entry, EntryStatus, Kind, Run, RunStatus, decode_messages, encode_record
from .failures import record_error, revive_error
from .history import History, is_armed
from .host import Host
from .reports import Reports
from .strand import CURRENT, Scope, Strand
from .undo import UndoHandler, has_armed, undo_all
from .values import encode_value, result_annotation


class WorkflowRun:
    """A run from its start in this generation to its end or its suspension."""

    def __init__(
        self,
        host: Host,
        function: Callable[..., Any],
        record: Run,
        history: History,
        *,
        on_error: Callable[[Any], Any] | None = None,
    ) -> None:
        """``function`` takes the actor and its :class:`Workflow`."""
        self.host = host
        self.record = record
        self.history = history
        self.reports = Reports(self, on_error)
        self.is_suspended = False
        self.is_interrupted = False
        """Whether it was suspended when a wait had just come to its end: it is to go on soon."""
        self.is_abandoned = False
        """Whether nothing is waited for any more."""
        self.is_frozen = record.status is RunStatus.ROLLING_BACK
        """Whether only history is played (rule 5)."""
        self.divergence: Diverged | HistoryUnreadable | None = None
        self.asked = 0
        """How many entries were asked for."""
        self.is_resumed = bool(len(history))
        """Whether there is something to replay."""
        self.begun = 0
        """How many strands began."""
        self.replayed = 0
        """How many entries came from history."""
        self.refused: list[tuple[str, str]] = []
        """Key and kind of what was asked for and could not be begun, as the run is not live."""
        self.bodies = 0
        """How many bodies run."""
        self.promises: dict[str, list[asyncio.Future[Any]]] = {}
        """Who waits for each promise."""
        self.undo_handlers: dict[str, UndoHandler] = {}
        """What the code of this generation gave, by the key of the step."""
        self.armed = {entry.key: entry for entry in history if is_armed(entry)}
        """The steps that can be undone, by key."""
        self._function = function
        self._strands: set[Strand] = set()
        self._active = 0
        self._pausing = 0
        self._pauses = asyncio.Event()
        """Set while an undo handler waits for its next attempt."""
        scope = Scope("", None)
        scope.is_cancelled = record.is_cancelled
        self.root = Strand(self, scope, now_ms=record.created_ms)

    # -- from the worker

    @property
    def is_ended(self) -> bool:
        """Whether it is over for good (rule 2)."""
        return self.record.status in ENDED

    @property
    def is_live(self) -> bool:
        """Whether something new may be done."""
        return self.is_playing and not self.is_frozen

    @property
    def is_playing(self) -> bool:
        """Whether its code goes on, be it only through history."""
        return not self.is_suspended and self.divergence is None

    @property
    def is_resting(self) -> bool:
        """Whether all of it waits, or it is over."""
        return self._active == 0

    def start(self) -> asyncio.Task[None]:
        """Play and go on; the task ends with the run or its suspension and raises nothing."""
        self.record.status = self.record.status if self.is_frozen else RunStatus.RUNNING
        self.add(self.root)
        token = CURRENT.set(self.root)
        try:
            task = asyncio.get_running_loop().create_task(self._follow())
        finally:
            CURRENT.reset(token)
        self.root.task = task
        root = self.root
        task.add_done_callback(lambda _: self.discard(root))
        return task

    def suspend(self) -> None:
        """Let it come to rest, as its actor leaves memory (rule 4)."""
        self.is_suspended = True
        for strand in list(self._strands):
            strand.suspend()

    def abandon(self) -> None:
        """Cut off what a suspension still waits for."""
        self.is_suspended = self.is_abandoned = True
        for strand in list(self._strands):
            if strand.task is not None:
                strand.task.cancel()

    def cancel(self) -> None:
        """End it from outside; its undo handlers run."""
        self.record.is_cancelled = True
        self.root.outermost.is_cancelled = True
        self.host.put_run(self.record)
        self.root.cancel()

    async def wait_cancelled(self) -> None:
        """Return when it is over, or what undoes it waits for another attempt."""
        assert self.root.task is not None
        pausing = asyncio.ensure_future(self._pauses.wait())
        try:
            await asyncio.wait({self.root.task, pausing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pausing.cancel()

    def let_go(self) -> None:
        """Break the circles of references: its actor has left memory, and it has ended."""
        self.root.task = None
        del self.root, self.reports

    # -- from its strands

    def workflow_of(self, strand: Strand) -> Workflow:
        """Return what the code of a strand is given."""
        return Workflow(strand)

    def add(self, strand: Strand) -> None:
        """Let a strand be part of it."""
        self._strands.add(strand)
        self.begun += 1
        self.unpark()

    def has(self, strand: Strand) -> bool:
        """Whether a strand is part of it still."""
        return strand in self._strands

    def discard(self, strand: Strand) -> None:
        """Note that a strand has ended."""
        self._strands.discard(strand)
        self.park()

    def park(self) -> None:
        """Note that a strand waits."""
        self._active -= 1
        if self._active == 0:
            self.host.set_busy(False)

    def unpark(self) -> None:
        """Note that a strand waits no longer."""
        self._active += 1
        if self._active == 1:
            self.host.set_busy(True)

    @contextmanager
    def watched(self) -> Generator[None]:
        """End the run if a divergence is found within (rule 3); its code hears of no more.

        What cannot be read is one: code and history do not fit, and nobody should undo for that.
        """
        try:
            yield
        except (Diverged, HistoryUnreadable) as error:
            if self.divergence is None and not self.is_suspended:
                self.divergence = error
                for strand in list(self._strands):
                    strand.suspend()
            raise asyncio.CancelledError from error

    @contextmanager
    def pausing_undo(self) -> Generator[None]:
        """Note that an undo handler waits for its next attempt within."""
        self._pausing += 1
        self._pauses.set()
        try:
            yield
        finally:
            self._pausing -= 1
            if not self._pausing:
                self._pauses.clear()

    def forget_turn(self, key: str) -> None:
        """Remove a turn of a loop, with all in it, from history."""
        self.host.remove(self.history.prune(key))

    def idempotency_key(self, key: str) -> str:
        """Return what a step hands to services that ask for an idempotency key."""
        number = self.record.number
        run = "" if number == 1 else f"#{number}"
        return f"{self.host.actor_id}{run}/{key}"

    # -- its way

    async def _follow(self) -> None:
        try:
            await self._play()
        except asyncio.CancelledError:
            if not self.is_suspended:
                self.host.log.error("workflow was cancelled by nobody who may")
            self.is_suspended = True
        except Exception as error:
            self.is_suspended = True
            self.host.log.error("workflow stopped by an error of stator", exc_info=error)

    async def _outcome(self) -> tuple[Any, BaseException | None]:
        """Run the code to its end; return what it returns and what it raises."""
        try:
            output = await result_of(self._function(self.host.actor, Workflow(self.root)))
            self.root.scope = self.root.outermost
            self.root.check_end("")
        except BaseException as error:  # user code must not end the worker
            if self.root.is_thrown_away:
                raise
            return None, error
        return output, None

    async def _play(self) -> None:
        output, error = await self._outcome()
        if self.is_suspended:
            return
        self.root.scope = self.root.outermost
        if self.divergence is not None:
            await self._end(RunStatus.FAILED, self.divergence)
        elif self.is_frozen or self.record.is_cancelled or error is not None:
            await self._roll_back(error)
        else:
            await self._complete(output)

    async def _complete(self, output: Any) -> None:
        annotation = result_annotation(self._function)
        try:
            if output is not None:
                self.record.output = encode_value(output, annotation, "output of the workflow")
        except Exception as error:
            await self._roll_back(error)
        else:
            await self._end(RunStatus.COMPLETED, None)

    async def _roll_back(self, error: BaseException | None) -> None:
        """Undo what the run's own stack has (rule 5), then end."""
        record = self.record
        if self.is_frozen and record.error is not None:
            error = revive_error(record.error)
        status = RunStatus.CANCELLED if record.is_cancelled else RunStatus.FAILED
        if isinstance(error, UndoFailed):
            status = RunStatus.FAILED
        elif has_armed(self, ""):
            record.status = RunStatus.ROLLING_BACK
            record.error = None if error is None or record.is_cancelled else record_error(error)
            record.causes = _causes(error)
            self.host.put_run(record)
            try:
                await undo_all(self.root, "")
            except UndoFailed as failure:
                status, error = RunStatus.FAILED, failure
        if status is RunStatus.CANCELLED:
            error = None
        await self._end(status, error)

    async def _end(self, status: RunStatus, error: BaseException | None) -> None:
        record, host = self.record, self.host
        record.causes = _causes(error) or record.causes
        record.error = None if error is None else record_error(error)
        if error is not None:
            host.log.error("workflow failed", exc_info=error)
            if not isinstance(error, StepFailed | UndoFailed):
                await self.reports.run_failed(error)
        self._release_messages()
        record.status = status
        record.finished_ms = host.clock.now_ms()
        host.put_run(record)
        await host.committed()

    def _release_messages(self) -> None:
        """Let messages that were not acknowledged go back into their queues."""
        for entry in self.history:
            if entry.kind is Kind.RECEIVE and entry.output is not None:
                self._release(entry)

    def _release(self, entry: Entry) -> None:
        assert entry.output is not None
        stored = decode_messages(entry.output)
        kept = [each for each in stored if each.status is EntryStatus.WAITING]
        if not kept:
            return
        for each in kept:
            each.status = EntryStatus.RELEASED
        self.host.inbox.put_back(each.row() for each in kept)
        entry.output = encode_record(stored)
        try:
            self.host.put(entry)
        except StateNotSerializable as error:
            self.host.log.error("state cannot be stored", problem=error.message)
            self.host.put(entry)


def _causes(error: BaseException | None) -> list[str]:
    """Return the keys of the steps whose failure an error is about."""
    return sorted(set(_keys_in(error, set())))


def _keys_in(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    if isinstance(error, StepFailed):
        yield error.key
    if isinstance(error, GatherFailed | FirstFailed):
        for inner in error.errors.values():
            yield from _keys_in(inner, seen)
    yield from _keys_in(error.__cause__, seen)
    yield from _keys_in(error.__context__, seen)
