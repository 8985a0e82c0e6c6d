"""What a :class:`~tests.fakes.memory_store.MemoryStore` keeps, and how a commit changes it.

Rows are replaced, never changed, so that a copy of the disk may share them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from stator.runtime.storage import (
    ActorRow,
    ConnectionRow,
    DeleteActor,
    DeleteConnection,
    DeletePair,
    DeletePairs,
    DeleteSchedule,
    FireRow,
    InsertActor,
    InsertConnection,
    InsertMessage,
    InsertNamespace,
    InterruptFires,
    MarkDestroyed,
    MessageRow,
    Operation,
    PruneAllFires,
    PruneFires,
    PutFire,
    PutPair,
    PutRun,
    PutSchedule,
    RecordLastMessage,
    RecordSleep,
    RecordStart,
    RunRow,
    ScheduleRow,
    UpdateConnection,
    Writes,
)

Row = TypeVar("Row", bound=msgspec.Struct)


class Refused(Exception):
    """A write that the schema does not allow."""


@dataclass
class Belongings:
    """What an actor owns beside its row."""

    messages: dict[int, MessageRow] = field(default_factory=dict[int, MessageRow])
    """By id."""
    last_id: int = 0
    fires: dict[tuple[int, str], FireRow] = field(default_factory=dict[tuple[int, str], FireRow])
    """By the instant they were due and the name of their schedule."""
    pairs: dict[bytes, PutPair] = field(default_factory=dict[bytes, PutPair])
    """By key."""
    run: RunRow | None = None
    """How far its workflow is."""
    entries: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """Images of its workflow's entries, by ``seq``."""

    def copy(self) -> Belongings:
        """Return belongings of their own with the same content."""
        return Belongings(
            dict(self.messages),
            self.last_id,
            dict(self.fires),
            dict(self.pairs),
            self.run,
            dict(self.entries),
        )


@dataclass
class MemoryDisk:
    """What survives the store that wrote it."""

    actors: dict[int, ActorRow] = field(default_factory=dict[int, ActorRow])
    destroyed: frozenset[int] = frozenset()
    namespaces: dict[str, int] = field(default_factory=dict[str, int])
    owned: dict[int, Belongings] = field(default_factory=dict[int, Belongings])
    """By the ``pk`` of the actor; of those that are there."""

    def live(self) -> list[ActorRow]:
        """Return the actors that exist."""
        return [row for pk, row in self.actors.items() if pk not in self.destroyed]

    def belongings(self, pk: int) -> Belongings:
        """Return what an actor owns; nothing of one that is not there."""
        return self.owned.get(pk) or Belongings()

    def wake_ups(self) -> list[tuple[int, str]]:
        """Return when live actors have to be awake and their ids, the earliest first."""
        live = self.live()
        due = [(each.due_ms, row.pk) for row in live for each in row.schedules]
        runs = ((self.belongings(row.pk).run, row.pk) for row in live)
        due += [(run.due_ms, pk) for run, pk in runs if run and run.due_ms is not None]
        return [(due_ms, self.actors[pk].actor_id) for due_ms, pk in sorted(due)]

    def delete_actor(self, pk: int) -> None:
        """Remove an actor and everything it owns."""
        self.actors.pop(pk, None)
        self.owned.pop(pk, None)
        self.destroyed -= {pk}

    def copy(self) -> MemoryDisk:
        """Return a disk of its own with the same content."""
        actors = {pk: copied(row) for pk, row in self.actors.items()}
        owned = {pk: each.copy() for pk, each in self.owned.items()}
        return MemoryDisk(actors, self.destroyed, dict(self.namespaces), owned)


def copied(row: ActorRow) -> ActorRow:
    """Return a row of its own with the same content."""
    return msgspec.structs.replace(
        row,
        connections=copied_all(row.connections) or (),
        schedules=copied_all(row.schedules) or (),
    )


def copied_all(rows: Iterable[Row]) -> list[Row]:
    """Return rows of their own with the same content."""
    return [msgspec.structs.replace(row) for row in rows]


def apply(disk: MemoryDisk, writes: Writes) -> None:
    """Make the changes of a commit. Raises :class:`Refused`, with some of them made."""
    for operation in writes.operations:
        _apply_operation(disk, operation)
    for message in writes.messages:
        _insert_message(disk, message)
    for pk, message_id in writes.removals:
        disk.belongings(pk).messages.pop(message_id, None)
    for pk, seq in writes.entry_removals:
        disk.belongings(pk).entries.pop(seq, None)
    for (pk, seq), image in writes.entries.items():
        _owner(disk, pk, "an entry").entries[seq] = image
    for pk, image in writes.states.items():
        _owner(disk, pk, "a state")
        disk.actors[pk].state = image


def _owner(disk: MemoryDisk, pk: int, what: str) -> Belongings:
    if pk not in disk.actors:
        raise Refused(f"{what} for actor {pk}, which is not there")
    return disk.owned.setdefault(pk, Belongings())


def _apply_operation(disk: MemoryDisk, operation: Operation) -> None:
    match operation:
        case InsertActor():
            _insert_actor(disk, operation)
        case RecordStart() | RecordSleep() | MarkDestroyed() | DeleteActor():
            _apply_to_life(disk, operation)
        case InsertNamespace(name, created_ms):
            disk.namespaces.setdefault(name, created_ms)
        case InsertConnection() | UpdateConnection() | DeleteConnection():
            _apply_to_connections(disk, operation)
        case RecordLastMessage(pk, last_id):
            queues = _owner(disk, pk, "a message id")
            queues.last_id = max(queues.last_id, last_id)
        case PutSchedule() | DeleteSchedule():
            _apply_to_schedules(disk, operation)
        case PutFire() | InterruptFires() | PruneFires() | PruneAllFires():
            _apply_to_fires(disk, operation)
        case PutPair() | DeletePair() | DeletePairs():
            _apply_to_pairs(disk, operation)
        case PutRun():
            run = RunRow(operation.status, operation.due_ms, operation.is_live, operation.image)
            _owner(disk, operation.pk, "a run").run = run


# ---------------------------------------------------------------------------------- actors


def _insert_actor(disk: MemoryDisk, new: InsertActor) -> None:
    identity = (new.namespace, new.name, new.key)
    if any((row.namespace, row.name, row.key) == identity for row in disk.live()):
        raise Refused(f"a second live actor {identity}")
    if new.pk in disk.actors or any(row.actor_id == new.actor_id for row in disk.actors.values()):
        raise Refused(f"actor {new.pk} {new.actor_id} is there already")
    disk.actors[new.pk] = ActorRow(
        new.pk,
        new.actor_id,
        new.namespace,
        new.name,
        new.key,
        new.created_ms,
        generation=0,
        started_ms=None,
        input=new.input,
        state=None,
    )


def _apply_to_life(
    disk: MemoryDisk, operation: RecordStart | RecordSleep | MarkDestroyed | DeleteActor
) -> None:
    row = disk.actors.get(operation.pk)
    if row is None:
        return
    match operation:
        case RecordStart(generation, started_ms, _):
            row.generation, row.started_ms = generation, started_ms
        case RecordSleep(slept_ms, _):
            row.slept_ms = slept_ms
        case MarkDestroyed(pk):
            disk.destroyed |= {pk}
        case DeleteActor(pk):
            disk.delete_actor(pk)


def _apply_to_connections(
    disk: MemoryDisk, operation: InsertConnection | UpdateConnection | DeleteConnection
) -> None:
    row = disk.actors.get(operation.pk)
    kept = {} if row is None else {each.conn_id: each for each in row.connections}
    match operation:
        case InsertConnection(pk, conn_id, opened, changing):
            _owner(disk, pk, "a connection")
            kept[conn_id] = ConnectionRow(conn_id, opened, changing)
        case UpdateConnection(changing, _, conn_id):
            if conn_id in kept:
                kept[conn_id] = ConnectionRow(conn_id, kept[conn_id].opened, changing)
        case DeleteConnection(_, conn_id):
            kept.pop(conn_id, None)
    if row is not None:
        row.connections = tuple(kept[conn_id] for conn_id in sorted(kept))


# ---------------------------------------------------------------------------------- queues


def _insert_message(disk: MemoryDisk, new: InsertMessage) -> None:
    messages = _owner(disk, new.pk, "a message").messages
    if new.id in messages:
        raise Refused(f"a second message {new.id} for actor {new.pk}")
    messages[new.id] = MessageRow(new.id, new.name, new.body, new.created_ms)


# ------------------------------------------------------------------------------- schedules


def _apply_to_schedules(disk: MemoryDisk, operation: PutSchedule | DeleteSchedule) -> None:
    row = disk.actors.get(operation.pk)
    kept = {} if row is None else {(each.is_recurring, each.id): each for each in row.schedules}
    place = (operation.is_recurring, operation.id)
    match operation:
        case PutSchedule(pk, is_recurring, schedule_id, due_ms, image):
            _owner(disk, pk, "a schedule")
            kept[place] = ScheduleRow(is_recurring, schedule_id, due_ms, image)
        case DeleteSchedule(pk, is_recurring, schedule_id):
            kept.pop(place, None)
            if is_recurring:
                _keep_fires(disk.belongings(pk), schedule_id, 0)
    if row is not None:
        row.schedules = sorted(
            kept.values(), key=lambda each: (each.due_ms, each.id, each.is_recurring)
        )


def _apply_to_fires(
    disk: MemoryDisk, operation: PutFire | InterruptFires | PruneFires | PruneAllFires
) -> None:
    owned = disk.belongings(operation.pk)
    match operation:
        case PutFire():
            if _is_recurring(disk, operation.pk, operation.name):
                _put_fire(disk, operation)
        case InterruptFires(finished_ms, error, _):
            for place, fire in owned.fires.items():
                if fire.result == "running":
                    owned.fires[place] = msgspec.structs.replace(
                        fire, finished_ms=finished_ms, result="error", error=error
                    )
        case PruneFires(_, name, keep):
            _keep_fires(owned, name, keep)
        case PruneAllFires(_, keep):
            _keep_fires(owned, None, keep)


def _is_recurring(disk: MemoryDisk, pk: int, name: str) -> bool:
    row = disk.actors.get(pk)
    return row is not None and any(each.is_recurring and each.id == name for each in row.schedules)


def _put_fire(disk: MemoryDisk, new: PutFire) -> None:
    fires = _owner(disk, new.pk, "a fire").fires
    fires[new.scheduled_ms, new.name] = FireRow(
        new.scheduled_ms, new.fired_ms, new.finished_ms, new.action, new.result, new.error
    )


def _keep_fires(owned: Belongings, name: str | None, keep: int) -> None:
    places = sorted((each for each in owned.fires if name in (None, each[1])), reverse=True)
    for place in places[keep:]:
        del owned.fires[place]


# ----------------------------------------------------------------------------------- pairs


def _apply_to_pairs(disk: MemoryDisk, operation: PutPair | DeletePair | DeletePairs) -> None:
    pairs = disk.belongings(operation.pk).pairs
    match operation:
        case PutPair(pk, key):
            _owner(disk, pk, "a pair").pairs[key] = operation
        case DeletePair(_, key):
            pairs.pop(key, None)
        case DeletePairs(_, start, end):
            for key in [each for each in pairs if in_range(each, start, end)]:
                del pairs[key]


def in_range(key: bytes, start: bytes, end: bytes | None) -> bool:
    """Return whether a key lies from ``start`` up to, not including, ``end``."""
    return start <= key and (end is None or key < end)
