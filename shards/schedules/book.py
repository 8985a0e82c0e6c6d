"""The schedules of one actor: what is to be called when, and what became of it (semantics, 8).

Rule 1. While the actor is in memory, memory is the truth. Every change goes into the shard's
        batch at once, together with the state reached so far.
Rule 2. What is due is claimed before it runs: a one-shot leaves the book, a recurring one moves
        on to its next time. Only when that is on disk do the actions run, so that no crash lets
        one run twice.
Rule 3. What came due while nothing could run fires once, the earliest first. Slots that were
        missed are not made up for.
Rule 4. A recurring schedule whose last run still executes does not fire: the slot is skipped.
Rule 5. The history of a recurring schedule is on disk only. A line says "running" from the claim
        on, until the run ends or, if the process did first, until the actor's next start.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stator.runtime.error_views import ErrorView, public_view
from stator.runtime.errors import ActionNotFound, StateNotSerializable, StorageUnavailable
from stator.runtime.schedule_errors import (
    InvalidScheduleRow,
    MaxSchedulesExceeded,
    ScheduleInterrupted,
)
from stator.runtime.schedules import ActionLike
from stator.runtime.storage import (
    DeleteSchedule,
    FireRow,
    InterruptFires,
    Operation,
    PruneAllFires,
    PruneFires,
    PutFire,
    PutSchedule,
    ScheduleKind,
    ScheduleRow,
)

from ..lifecycle import Status
from .calls import ScheduledCall
from .cron import Cron
from .history import encode_error
from .images import Entry, Job, OneShot, read_row
from .one_shots import OneShots

if TYPE_CHECKING:
    from ..cell import Cell

MOST_FIRES = 10_000
"""Lines of history that one actor may keep."""
PRUNE_EVERY = 100
"""After how many new lines an actor's whole history is looked at."""

STALE_PLACES = 100
"""So many places on the agenda may be those of schedules that were cancelled or have moved."""

_UNSTORED = (Status.DELETED, Status.GONE)


_Place = tuple[int, str, bool]
"""When something is due, its id, whether it is recurring."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that was due and is going to run."""

    id: str
    kind: ScheduleKind
    action: str
    args: bytes
    due_ms: int
    fired_ms: int
    job: Job | None
    """The recurring schedule it is a run of."""


class ScheduleBook:
    """The schedules of an actor in memory."""

    __slots__ = ("_agenda", "_cell", "_new_lines", "cron", "jobs", "once", "schedule")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.once: dict[str, OneShot] = {}
        """By id. For :class:`.one_shots.OneShots`, like :attr:`jobs` for :class:`.cron.Cron`."""
        self.jobs: dict[str, Job] = {}
        """By name."""
        self._agenda: list[_Place] = []
        """A heap; may hold what is no longer so."""
        self._new_lines = 0
        self.schedule = OneShots(self, cell)
        self.cron = Cron(self, cell)

    def restore(self, rows: Sequence[ScheduleRow]) -> None:
        """Take over what is stored, when the actor starts.

        A row that cannot be read is logged and stays where it is: a later version may read it.
        """
        for row in rows:
            try:
                self._enter(read_row(row))
            except InvalidScheduleRow as error:
                self._cell.log.error("schedule cannot be read", exc_info=error)
        if self.jobs:
            # Nobody's output waits for this: if it is lost, the next start does it.
            pk, now_ms = self._cell.row.pk, self._cell.shard.clock.now_ms()
            reason = encode_error(public_view(ScheduleInterrupted()))
            self._cell.shard.write(InterruptFires(now_ms, reason, pk))

    def discard(self, rows: Sequence[ScheduleRow]) -> None:
        """Delete what a creation that was not completed left behind: it is repeated."""
        for row in rows:
            self.write(DeleteSchedule(self._cell.row.pk, row.is_recurring, row.id))

    # -- changes

    def put(self, entry: Entry) -> None:
        """Add a schedule. Raises ``schedule.max_schedules_exceeded``."""
        most = self._cell.definition.settings.max_schedules
        if len(self.once) + len(self.jobs) >= most:
            raise MaxSchedulesExceeded(f"{self._cell.name} may have {most} schedules")
        self.begin_change()
        self._enter(entry)
        self.store(entry)

    def begin_change(self) -> None:
        """Put the state reached so far into the same commit. Raises what is wrong with it."""
        if self._cell.status in _UNSTORED:
            raise StorageUnavailable
        self._cell.shard.capture(self._cell, urgent=True)

    def store(self, entry: Entry) -> None:
        """Write a schedule through and let the shard's alarm know of it."""
        pk, image = self._cell.row.pk, entry.image()
        self.write(PutSchedule(pk, entry.is_recurring, entry.id, entry.due_ms, image))
        self._cell.shard.alarm.note(entry.due_ms)

    def remove(self, entry: Entry) -> None:
        """Delete a schedule and its history."""
        self.begin_change()
        self._forget(entry)

    def keep_fires(self, job: Job) -> None:
        """Shorten the stored history of a recurring schedule to what it may have."""
        self.write(PruneFires(self._cell.row.pk, job.id, job.max_history))

    def write(self, operation: Operation) -> None:
        """Put a write into the batch; the actor's output waits for it."""
        self._cell.shard.write(operation, self._cell)

    def schedule_again(self, entry: Entry) -> None:
        """Note that a schedule has another due instant."""
        heapq.heappush(self._agenda, _place_of(entry))
        if len(self._agenda) > 2 * (len(self.once) + len(self.jobs)) + STALE_PLACES:
            pending: list[Entry] = [*self.once.values(), *self.jobs.values()]
            self._agenda = list(map(_place_of, pending))
            heapq.heapify(self._agenda)

    def _enter(self, entry: Entry) -> None:
        if isinstance(entry, Job):
            self.jobs[entry.id] = entry
        else:
            self.once[entry.id] = entry
        self.schedule_again(entry)

    def _forget(self, entry: Entry) -> None:
        del (self.jobs if entry.is_recurring else self.once)[entry.id]
        self.write(DeleteSchedule(self._cell.row.pk, entry.is_recurring, entry.id))

    def wire_name(self, action: ActionLike) -> str:
        """Return the wire name of an action. Raises ``actor.action_not_found`` for a function
        that is none; a name is taken as it is."""
        if isinstance(action, str):
            return action
        function = getattr(action, "__func__", action)
        for name, definition in self._cell.definition.actions.items():
            if definition.method is function:
                return name
        raise ActionNotFound(f"{action!r} is no action of {self._cell.name}")

    # -- firing

    def claim_due(self, until_ms: int) -> list[Claim]:
        """Take what is due by an instant out of the book, by time, then id (rule 2).

        The caller waits for the commit and hands the claims to :meth:`dispatch`.
        """
        due = self._take_due(until_ms)
        if not due:
            return []
        try:
            self._cell.shard.capture(self._cell, urgent=True)
        except StateNotSerializable as error:
            self._cell.log.error("state cannot be stored", problem=error.message)
        now_ms = self._cell.shard.clock.now_ms()
        claims = (self._claim(entry, now_ms) for entry in due)
        claimed = [claim for claim in claims if claim is not None]
        batch = self._cell.batch
        if batch is not None:
            batch.onlookers += 1
            batch.wait().add_done_callback(self._on_claimed)
        return claimed

    def dispatch(self, claims: Sequence[Claim]) -> None:
        """Run the actions of claims that are on disk; without effect once the actor is gone."""
        for claim in claims:
            if self._cell.status not in _UNSTORED:
                ScheduledCall(self, self._cell, claim).start()

    def finish(self, claim: Claim, error: ErrorView | None) -> None:
        """Note how the run of a claim ended."""
        job = claim.job
        if job is None:
            return
        job.is_running = False
        if self.jobs.get(job.id) is job and self._cell.status not in _UNSTORED:
            result = "ok" if error is None else "error"
            self._put_fire(claim, result, None if error is None else encode_error(error))

    def _on_claimed(self, committed: asyncio.Future[None]) -> None:
        if committed.exception() is not None:
            self._cell.shard.alarm.retry()  # it is all on disk as it was

    def _take_due(self, until_ms: int) -> list[Entry]:
        due: list[Entry] = []
        seen: set[tuple[str, bool]] = set()
        while self._agenda and self._agenda[0][0] <= until_ms:
            due_ms, schedule_id, is_recurring = heapq.heappop(self._agenda)
            entries = self.jobs if is_recurring else self.once
            entry = entries.get(schedule_id)
            if entry is None or entry.due_ms != due_ms or (schedule_id, is_recurring) in seen:
                continue  # it was cancelled, has moved, or is on the agenda twice
            seen.add((schedule_id, is_recurring))
            due.append(entry)
        return due

    def _claim(self, entry: Entry, now_ms: int) -> Claim | None:
        if entry.action not in self._cell.definition.actions:
            self._drop_orphan(entry)
            return None
        if isinstance(entry, Job):
            return self._claim_job(entry, now_ms)
        self._forget(entry)
        return Claim(
            entry.id, ScheduleKind.AT, entry.action, entry.args, entry.due_ms, now_ms, None
        )

    def _claim_job(self, job: Job, now_ms: int) -> Claim | None:
        claim = Claim(job.id, job.kind, job.action, job.args, job.due_ms, now_ms, job)
        # Not before the slot that fires now: the machine's clock may have been set back.
        following = job.cadence.next_after(max(now_ms, job.due_ms))
        if not job.is_running:
            job.last_ms = now_ms
        if following is None:
            self._cell.log.warning("schedule never comes again", schedule=job.id)
            self._forget(job)
        else:
            job.due_ms = following
            self.schedule_again(job)
            self.store(job)
        if job.is_running:
            self._put_fire(claim, "skipped", None)
            return None
        job.is_running = True
        self._put_fire(claim, "running", None)
        return claim

    def _drop_orphan(self, entry: Entry) -> None:
        error = ActionNotFound(f"{self._cell.name} has no action '{entry.action}'")
        self._cell.log.error("scheduled action not found", schedule=entry.id, problem=str(error))
        self._forget(entry)

    # -- history

    def _put_fire(self, claim: Claim, result: str, error: bytes | None) -> None:
        job = claim.job
        assert job is not None
        if job.max_history == 0:
            return
        cell = self._cell
        pk, is_over = cell.row.pk, result in ("ok", "error")
        line = FireRow(
            claim.due_ms,
            claim.fired_ms,
            cell.shard.clock.now_ms() if is_over else None,
            claim.action,
            result,
            error,
        )
        self.write(_put_line(pk, job.id, line))
        if not is_over:
            self._prune(job)

    def _prune(self, job: Job) -> None:
        self.keep_fires(job)
        if sum(each.max_history for each in self.jobs.values()) > MOST_FIRES:
            if self._new_lines % PRUNE_EVERY == 0:
                self.write(PruneAllFires(self._cell.row.pk, MOST_FIRES))
            self._new_lines += 1


def _place_of(entry: Entry) -> _Place:
    return entry.due_ms, entry.id, entry.is_recurring


def _put_line(pk: int, name: str, line: FireRow) -> PutFire:
    return PutFire(
        pk,
        name,
        line.scheduled_ms,
        line.fired_ms,
        line.finished_ms,
        line.action,
        line.result,
        line.error,
    )
