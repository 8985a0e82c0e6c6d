"""One shard: its actors in memory, the batch that collects their changes, the output gate.

Rule 1. Every change goes into the batch that collects; one batch at a time is on its way to disk.
Rule 2. Whatever an actor sends goes through :meth:`Shard.answer`, which holds it until the last
        change of that actor is durable (architecture, "Output gate").
Rule 3. An actor whose commit failed leaves memory: what it knows is not on disk. It starts again
        from what is (its callers were told ``storage.unavailable``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from stator.runtime.control import Counter
from stator.runtime.errors import (
    DestroyedDuringCreation,
    StateNotEnabled,
    StateNotSerializable,
    StorageUnavailable,
)
from stator.runtime.handles import ActorClient
from stator.runtime.link.frames import AnyFrame
from stator.runtime.log import Logger
from stator.runtime.storage import (
    DeleteActor,
    InsertMessage,
    MarkDestroyed,
    Operation,
    ShardStorage,
)
from stator.runtime.workflow.guard import raw_state, set_raw_state

from .batch import Batch, Output, ReplyPort
from .cell import Cell, Identity
from .hibernation import capture_touched, suspend_connections
from .lifecycle import Status
from .pacing import Pacer
from .refusals import lose, refuse
from .schedules.alarm import Alarm
from .seals import Seal
from .state_changes import note_change
from .surroundings import Limits as Limits
from .surroundings import Surroundings

_PAST = (Status.DELETED, Status.GONE)
"""Where an actor must not write any more."""

FLOOD = 2
"""Events are left out when the backlog is so many times what stops requests."""


class Shard:
    """The actors of one shard that are in memory, in front of its store."""

    def __init__(
        self,
        number: int,
        store: ShardStorage,
        worker: Surroundings,
        log: Logger,
        *,
        commit_interval: float,
    ) -> None:
        """``commit_interval`` is in seconds, see ``[storage] commit_interval``."""
        self.number = number
        self.store = store
        self.runner = worker.runner
        self.limits = worker.limits
        self.step_threads = worker.step_threads
        self._backlog = worker.backlog
        self._is_flooded = False
        self.spawn = worker.spawn
        self.find_gateway = worker.find_gateway
        self.clock = worker.clock
        self.pulse_of = worker.pulse_of
        self.open_database = worker.generations.open_database
        self.delete_database = worker.generations.delete_database
        self.log = log
        self.by_identity: dict[Identity, Cell] = {}
        self.by_id: dict[str, Cell] = {}
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._collecting = Batch()
        self._in_flight: Batch | None = None
        self._pacer = Pacer(commit_interval)
        self._scheduled = False
        self._held: asyncio.TimerHandle | None = None
        self.seals: dict[Seal, None] = {}
        """What actors do whose databases commit at this moment."""
        self._deferred: dict[Cell, bytes] = {}
        self._save_at = 0.0
        """When the deferred states are saved, by the loop's clock."""
        self._next_pk = store.next_pk
        generations = worker.generations
        self.alarm = Alarm(self, partial(generations.wake, self), generations.is_blocked)
        """Rings when actors have something to do, whether they are in memory or not."""

    # -- actors

    def add(self, cell: Cell) -> None:
        """Put an actor into the tables, under its id once it has one."""
        self.by_identity[cell.identity] = cell
        self._worker.counters[Counter.ACTORS_AWAKE] += 1

    def remove(self, cell: Cell) -> None:
        """Take an actor out of memory; what it still does is without effect."""
        if cell.status is Status.GONE:
            return
        if self.by_identity.get(cell.identity) is cell:
            del self.by_identity[cell.identity]
        if cell.status is not Status.LOADING:
            self.by_id.pop(cell.row.actor_id, None)
        cell.become(Status.GONE)
        cell.pulse.remove(cell)
        self._worker.counters[Counter.ACTORS_AWAKE] -= 1

    def take_pk(self) -> int:
        """Return a row number that no actor of this shard ever had in this run."""
        self._next_pk += 1
        return self._next_pk - 1

    def make_client(self, cell: Cell) -> ActorClient:
        """Return the client through which ``cell``'s actor calls others."""
        return self._worker.make_client(cell)

    def destroy(self, cell: Cell) -> None:
        """Record that the actor is to be destroyed and begin with it.

        Who waits for its start is told: to let them create it again could go on for ever. One
        that is leaving memory goes on with its destruction instead (``stopping.py``, rule 4).
        """
        is_leaving = cell.status in (Status.SLEEPING, Status.DRAINING)
        if cell.status is Status.STARTING:
            for call, _, port in cell.take_held():
                refuse(port, call.id, DestroyedDuringCreation())
        cell.become(Status.DESTROYING)
        self.write(MarkDestroyed(cell.row.pk), cell)
        if not is_leaving:
            self._worker.generations.begin_destroy(cell)

    def sleep(self, cell: Cell) -> None:
        """Let the actor leave memory, one that starts as soon as it has started.

        One that is leaving already goes on with it.
        """
        cell.wants_sleep = True
        if cell.status is Status.READY:
            cell.become(Status.SLEEPING)
            self._worker.generations.begin_sleep(cell)

    # -- changes

    def capture(self, cell: Cell, *, urgent: bool = False, midway: bool = False) -> None:
        """Put the actor's state into the batch if it changed.

        ``urgent`` does so at once for an actor with durability "interval" as well. ``midway``, as
        urgent, is in the midst of a piece of work: at its end ``on_state_change`` is told. A
        state that cannot be stored is replaced by the last good one and
        :class:`~stator.runtime.errors.StateNotSerializable` raised.
        """
        if cell.row.state is None or cell.status is Status.DELETED:
            return  # before creation is complete and at the end nothing counts (semantics, 2.2)
        if cell.touched:
            capture_touched(cell)
        tracker = cell.tracker
        if tracker is None:
            if "state" in cell.actor.__dict__:
                del cell.actor.__dict__["state"]
                raise StateNotEnabled
            return
        definition = cell.definition
        try:
            image = tracker.capture(
                raw_state(cell.actor) if definition.guards_state else cell.actor.state
            )
        except StateNotSerializable:
            set_raw_state(cell.actor, tracker.last_value())
            raise
        if image is None:
            if urgent and cell in self._deferred:
                self.put_state(cell, self._deferred.pop(cell))
        elif cell.status is Status.GONE:
            raise StorageUnavailable
        elif definition.is_durable or urgent or type(cell.batch) is Seal:
            self._deferred.pop(cell, None)
            self.put_state(cell, image)
        else:
            self._defer(cell, image)
        if image is not None and definition.tells_changes:
            cell.is_untold = True
        if cell.is_untold and not (urgent or midway):
            self.tell(cell)

    def tell(self, cell: Cell) -> None:
        """Tell ``on_state_change`` of what was captured since it was last told."""
        if cell.is_untold:
            cell.is_untold = False
            note_change(cell)

    def capture_quietly(self, cell: Cell, *, midway: bool = False) -> None:
        """Capture where nobody waits for the outcome; a failure is logged."""
        try:
            self.capture(cell, midway=midway)
        except StateNotSerializable as error:
            cell.log.error("state cannot be stored", problem=error.message)

    def put_state(self, cell: Cell, image: bytes) -> None:
        """Put a state image into the batch; the actor's output waits for it.

        Raises ``storage.unavailable`` if the actor's row may be gone.
        """
        self._gate(cell).writes.states[cell.row.pk] = image

    def put_message(self, cell: Cell, message: InsertMessage) -> None:
        """Put a queue message into the batch. Raises as :meth:`put_state` does."""
        self._gate(cell).writes.messages.append(message)

    def remove_message(self, cell: Cell, message_id: int) -> None:
        """Put the removal of a queue message into the batch. Raises as :meth:`put_state` does."""
        self._gate(cell).writes.removals.append((cell.row.pk, message_id))

    def put_entry(self, cell: Cell, seq: int, image: bytes) -> None:
        """Put an entry of the actor's workflow into the batch. Raises as :meth:`put_state` does."""
        self._gate(cell).writes.entries[cell.row.pk, seq] = image

    def remove_entry(self, cell: Cell, seq: int) -> None:
        """Put the removal of an entry into the batch. Raises as :meth:`put_state` does."""
        writes = self._gate(cell).writes
        writes.entries.pop((cell.row.pk, seq), None)
        writes.entry_removals.append((cell.row.pk, seq))

    def _gate(self, cell: Cell) -> Batch:
        """Return the batch that collects, with ``cell``'s output waiting for it; or its seal."""
        if cell.status in _PAST:
            raise StorageUnavailable
        batch = self._collecting
        if cell.batch is not batch:
            if type(cell.batch) is Seal:
                cell.batch.changes += 1
                return cell.batch
            cell.batch = batch
            batch.gated.append(cell)
        batch.changes += 1
        if not self._scheduled:
            self._schedule()
        elif self._held is not None and self._pacer.is_full(batch.changes):
            self._hold_no_longer()
        return batch

    def write(self, operation: Operation, cell: Cell | None = None) -> None:
        """Put an operation into the batch; ``cell``'s output, if given, waits for it.

        Raises ``storage.unavailable`` if the actor's row may be gone: what would refer to it
        could take the whole batch down.
        """
        if cell is not None and cell.status in _PAST and type(operation) is not DeleteActor:
            raise StorageUnavailable
        batch = self._collecting
        if cell is not None and cell.batch is not batch:
            if type(cell.batch) is Seal:
                cell.batch.writes.operations.append(operation)
                return
            cell.batch = batch
            batch.gated.append(cell)
        batch.writes.operations.append(operation)
        if not self._scheduled:
            self._schedule()

    def withdraw(self, cell: Cell) -> None:
        """Forget what an actor that is being deleted changed."""
        self._deferred.pop(cell, None)
        self._collecting.forget_writes(cell)
        if type(cell.batch) is Seal:
            cell.batch.forget_writes(cell)

    def absorb(self, cell: Cell, seal: Seal) -> None:
        """Put what an actor did under its seal into the batch; nobody waits for nothing."""
        if not seal.writes:
            cell.batch = None
            self._let_go(seal)
            return
        batch = cell.batch = self._collecting
        batch.absorb(seal)
        batch.gated.append(cell)
        if not self._scheduled:
            self._schedule()
        elif self._held is not None and self._pacer.is_full(batch.changes):
            self._hold_no_longer()

    # -- output

    def answer(self, cell: Cell, port: ReplyPort, header: AnyFrame, payload: bytes) -> None:
        """Send an actor's output, once its last change is durable; its changes are captured."""
        if cell.unsent is not None:
            self._send_unsent(cell)
        batch = cell.batch
        if batch is None:
            port.send(header, payload)
        else:
            batch.outputs.append((cell, port, header, payload))
            self._hold(batch, len(payload))

    def _hold(self, batch: Batch, size: int) -> None:
        batch.held_bytes += size
        self._backlog.size += size

    def emit(self, cell: Cell, port: ReplyPort, header: AnyFrame, payload: bytes) -> None:
        """Send output that an actor makes in the midst of its work, as :meth:`answer` does.

        It leaves at the end of this turn, so that one capture does for all of it.
        """
        if cell.unsent is None:
            cell.unsent = []
            self._loop.call_soon(self.flush, cell)
        cell.unsent.append((cell, port, header, payload))

    def leaves_out_events(self, cell: Cell) -> bool:
        """Whether the worker has made so much output that events are left out.

        Requests wait while its backlog is full, but an actor may send from a loop of its own.
        """
        if self._backlog.size <= FLOOD * self._backlog.limit:
            self._is_flooded = False
            return False
        if not self._is_flooded:
            self._is_flooded = True
            cell.log.warning("events are left out: nobody takes them as fast as they are sent")
        return True

    def flush(self, cell: Cell) -> None:
        """Capture the actor's changes and let what it emitted follow them."""
        if cell.unsent is not None and cell.status is not Status.GONE:
            self.capture_quietly(cell, midway=True)
            self._send_unsent(cell)

    def _send_unsent(self, cell: Cell) -> None:
        unsent, cell.unsent = cell.unsent, None
        batch = cell.batch
        if batch is not None:
            batch.outputs += unsent or ()
            self._hold(batch, sum(len(payload) for _, _, _, payload in unsent or ()))
            return
        for _, port, header, payload in unsent or ():
            port.send(header, payload)

    async def wait_durable(self) -> None:
        """Return once everything written so far is on disk. Raises ``storage.unavailable``."""
        if self.seals:
            sealed = [seal.wait() for seal in self.seals]
            await asyncio.gather(*sealed, return_exceptions=True)  # a broken one leaves nothing
        if self._collecting.writes:
            self._collecting.onlookers += 1
            await self._collecting.wait()
        elif self._in_flight is not None:
            await self._in_flight.wait()

    # -- commits

    def _schedule(self) -> None:
        """Commit at the end of this turn, or when the pacer says so; one batch at a time."""
        self._scheduled = True
        if self._in_flight is None:
            delay = self._pacer.hold(self._collecting.changes)
            if delay > 0:
                self._held = self._loop.call_later(delay, self._commit)
            else:
                self._loop.call_soon(self._commit)

    def _hold_no_longer(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        batch, self._collecting = self._collecting, Batch()
        self._scheduled = False
        self._held = None
        self._in_flight = batch
        self._pacer.committed(batch.changes, callers=batch.callers)
        self.store.commit(batch.writes, lambda error: self._on_committed(batch, error))

    def _on_committed(self, batch: Batch, error: Exception | None) -> None:
        self._in_flight = None
        self._scheduled = False
        if error is None:
            self._release(batch)
        else:
            self._fail(batch, error)
        if self._collecting.writes or self._collecting.waiters:
            self._schedule()

    def _release(self, batch: Batch) -> None:
        counters = self._worker.counters
        counters[Counter.COMMITS] += 1
        counters[Counter.CHANGES] += batch.changes
        for cell in batch.gated:
            if cell.batch is batch:
                cell.batch = None
            elif type(cell.batch) is Seal and cell.batch.previous is batch:
                cell.batch.previous = None
        self._let_go(batch)

    def _let_go(self, batch: Batch) -> None:
        self._backlog.remove(batch.held_bytes)
        for _, port, header, payload in batch.outputs:
            port.send(header, payload)
        batch.settle()

    def _fail(self, batch: Batch, error: Exception) -> None:
        self._worker.counters[Counter.COMMIT_FAILURES] += 1
        self.log.error(
            "commit failed; its actors start again from what is stored",
            shard=self.number,
            changes=batch.changes,
            problem=f"{type(error).__name__}: {error}",
        )
        for cell, image in batch.deferred.items():
            later = cell.batch if type(cell.batch) is Seal else self._collecting
            is_latest = cell not in self._deferred and cell.row.pk not in later.writes.states
            if cell.status not in _PAST and is_latest:
                self._defer(cell, image)
        self.expel(batch.gated, batch)

    def expel(self, cells: Sequence[Cell], batch: Batch) -> None:
        """Drop actors whose changes were lost (rule 3); what waits for ``batch`` waits in vain."""
        self._backlog.remove(batch.held_bytes)
        refused = list(batch.outputs)
        for cell in cells:
            refused += self._evict(cell)
        for output in refused:
            lose(output)
        for cell in cells:
            suspend_connections(cell)
            self._worker.generations.discard(cell)
        batch.settle(StorageUnavailable)

    def _evict(self, cell: Cell) -> list[Output]:
        """Drop an actor whose changes were lost (rule 3); return its output that must not leave."""
        self._deferred.pop(cell, None)
        self.remove(cell)
        cell.abort()
        if cell.queues is not None:
            cell.queues.fail()
        for call, _, port in cell.take_held():
            refuse(port, call.id, StorageUnavailable())
        unsent, cell.unsent = cell.unsent or [], None
        held: list[Output] = []
        if type(cell.batch) is Seal:
            self._backlog.remove(cell.batch.held_bytes)
            held = cell.batch.give_up()
        return held + self._collecting.forget(cell) + unsent

    # -- durability "interval"

    def _defer(self, cell: Cell, image: bytes) -> None:
        seconds = cell.definition.settings.state_save_interval
        due = self.clock.time() + seconds
        if not self._deferred or due < self._save_at:
            self._save_at = due
            self.clock.call_later(seconds, self.save_deferred)
        self._deferred[cell] = image

    def save_deferred(self) -> None:
        """Put what waits for its interval into the batch now."""
        deferred, self._deferred = self._deferred, {}
        batch = self._collecting
        for cell, image in deferred.items():
            batch.writes.states[cell.row.pk] = image
        batch.deferred.update(deferred)
        batch.changes += len(deferred)
        if deferred and not self._scheduled:
            self._schedule()
