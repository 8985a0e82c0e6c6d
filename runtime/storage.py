"""What the actor model asks of storage: records, writes and the interface of a shard's store.

``shards/store`` implements it with SQLite, ``tests/fakes`` with dictionaries; both pass
``tests/contract``. Instants are Unix milliseconds. A *state image* is bytes of ``state_codec``.
Rows and operations list their fields in the order in which the statements bind and return them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import msgspec


class ConnectionRow(msgspec.Struct, array_like=True, gc=False):
    """A connection that outlives its actor's sleep; both images are opaque to the store."""

    conn_id: str
    opened: bytes
    """What never changes of it."""
    changing: bytes
    """Its state and its subscriptions."""


class MessageRow(msgspec.Struct, array_like=True, gc=False):
    """A message of a queue."""

    id: int
    """Counts the messages of its actor, from 1; never used again."""
    name: str
    """Of the queue."""
    body: bytes
    """Opaque to the store."""
    created_ms: int


class QueueRows(msgspec.Struct, array_like=True, gc=False):
    """What is stored of an actor's queues."""

    messages: list[MessageRow]
    """By id."""
    last_id: int
    """The greatest id ever used, 0 without any."""


class ScheduleKind(IntEnum):
    """What a schedule is."""

    AT = 0
    """Once, at a point in time."""
    CRON = 1
    """At the times of a cron expression."""
    EVERY = 2
    """At a fixed interval."""


class ScheduleRow(msgspec.Struct, array_like=True, gc=False):
    """A pending schedule of an actor."""

    is_recurring: bool
    id: str
    """Of a recurring one, its name; both have a space of names of their own."""
    due_ms: int
    image: bytes
    """Everything else; opaque to the store."""


class FireRow(msgspec.Struct, array_like=True, gc=False):
    """One line of a recurring schedule's history."""

    scheduled_ms: int
    """When it was due; identifies it among those of its schedule."""
    fired_ms: int
    finished_ms: int | None
    action: str
    result: str
    """"running", "ok", "error" or "skipped"."""
    error: bytes | None
    """Opaque to the store."""


class PairQuery(msgspec.Struct, frozen=True):
    """Which key-value pairs to list: keys from ``start`` up to, not including, ``end``."""

    start: bytes = b""
    end: bytes | None = None
    """``None``: no upper bound."""
    reverse: bool = False
    limit: int | None = None


PairKey = tuple[bytes, bool]
"""The bytes of a key, by which keys are compared, and whether it was given as text."""


class RunRow(msgspec.Struct, array_like=True, gc=False):
    """What is stored of an actor's workflow besides its entries."""

    status: str
    """Of ``workflow.entries.RunStatus``; for those who look for runs."""
    due_ms: int | None
    """When its actor has to be awake at the latest."""
    is_live: bool
    """Whether its actor has to be awake all the time: it did not only wait when this was stored."""
    image: bytes
    """msgpack of ``workflow.entries.Run``; opaque to the store, as are those of entries."""


class EntryRow(msgspec.Struct, array_like=True, gc=False):
    """One entry of a workflow's history."""

    seq: int
    image: bytes


class WorkflowRows(msgspec.Struct, array_like=True, gc=False):
    """What is stored of an actor's workflow."""

    run: RunRow | None
    """``None`` before its first commit."""
    entries: list[EntryRow]
    """By ``seq``."""


class ActorRow(msgspec.Struct, array_like=True, gc=False):
    """One stored actor."""

    pk: int
    """Its number within the shard; states and, later, queues and schedules refer to it."""
    actor_id: str
    namespace: str
    name: str
    key: str
    """Serialised."""
    created_ms: int
    generation: int
    """How often it was started."""
    started_ms: int | None
    input: bytes | None
    """CBOR, as the creator sent it."""
    state: bytes | None
    """State image; ``None`` until the actor's first start was completed (semantics, 2.2)."""
    slept_ms: int | None = None
    """When it last went to sleep; a start leaves it."""
    connections: Sequence[ConnectionRow] = ()
    """By ``conn_id``; empty in lists."""
    schedules: Sequence[ScheduleRow] = ()
    """By ``due_ms``, then ``id``; empty in lists."""


class InsertActor(msgspec.Struct, array_like=True, gc=False):
    """Create an actor that was never started."""

    pk: int
    actor_id: str
    namespace: str
    name: str
    key: str
    created_ms: int
    input: bytes | None


class RecordStart(msgspec.Struct, array_like=True, gc=False):
    """Note that a generation began."""

    generation: int
    started_ms: int
    pk: int


class RecordSleep(msgspec.Struct, array_like=True, gc=False):
    """Note that the actor went to sleep."""

    slept_ms: int
    pk: int


class MarkDestroyed(msgspec.Struct, array_like=True, gc=False):
    """From here on the actor does not exist, also after a crash; its rows go with DeleteActor."""

    pk: int


class DeleteActor(msgspec.Struct, array_like=True, gc=False):
    """Remove an actor and everything it owns."""

    pk: int


class InsertConnection(msgspec.Struct, array_like=True, gc=False):
    """Keep a connection of an actor that is there; replaces what was kept of it."""

    pk: int
    conn_id: str
    opened: bytes
    changing: bytes


class UpdateConnection(msgspec.Struct, array_like=True, gc=False):
    """Replace what changes of a connection; one that is not kept stays so."""

    changing: bytes
    pk: int
    conn_id: str


class DeleteConnection(msgspec.Struct, array_like=True, gc=False):
    """No longer keep a connection; one that is not kept stays so."""

    pk: int
    conn_id: str


class RecordLastMessage(msgspec.Struct, array_like=True, gc=False):
    """Note the greatest message id an actor ever used, before the message that has it goes."""

    pk: int
    last_id: int


class PutSchedule(msgspec.Struct, array_like=True, gc=False):
    """Keep a schedule; replaces what was kept under its id."""

    pk: int
    is_recurring: bool
    id: str
    due_ms: int
    image: bytes


class DeleteSchedule(msgspec.Struct, array_like=True, gc=False):
    """No longer keep a schedule, nor its history; one that is not kept stays so."""

    pk: int
    is_recurring: bool
    id: str


class PutFire(msgspec.Struct, array_like=True, gc=False):
    """Write a line of a recurring schedule's history, or replace it."""

    pk: int
    name: str
    scheduled_ms: int
    fired_ms: int
    finished_ms: int | None
    action: str
    result: str
    error: bytes | None


class InterruptFires(msgspec.Struct, array_like=True, gc=False):
    """End the lines of an actor's history that say "running": its process died."""

    finished_ms: int
    error: bytes
    pk: int


class PruneFires(msgspec.Struct, array_like=True, gc=False):
    """Keep the newest ``keep`` lines of one schedule's history."""

    pk: int
    name: str
    keep: int


class PruneAllFires(msgspec.Struct, array_like=True, gc=False):
    """Keep the newest ``keep`` lines of an actor's whole history."""

    pk: int
    keep: int


class PutPair(msgspec.Struct, array_like=True, gc=False):
    """Store a key-value pair; replaces the one with these bytes as its key."""

    pk: int
    key: bytes
    is_text: bool
    """Whether the key was given as text."""
    value: bytes | str


class DeletePair(msgspec.Struct, array_like=True, gc=False):
    """Remove a key-value pair; one that is not there stays so."""

    pk: int
    key: bytes


class DeletePairs(msgspec.Struct, array_like=True, gc=False):
    """Remove the pairs with keys from ``start`` up to, not including, ``end``."""

    pk: int
    start: bytes
    end: bytes | None
    """``None``: no upper bound."""


class PutRun(msgspec.Struct, array_like=True, gc=False):
    """Keep the run of an actor's workflow; replaces what was kept of it."""

    pk: int
    status: str
    due_ms: int | None
    is_live: bool
    image: bytes


class InsertNamespace(msgspec.Struct, array_like=True, gc=False):
    """Create a namespace; one that exists stays as it is."""

    name: str
    created_ms: int


Operation = (
    InsertActor
    | RecordStart
    | RecordSleep
    | MarkDestroyed
    | DeleteActor
    | InsertConnection
    | UpdateConnection
    | DeleteConnection
    | RecordLastMessage
    | PutSchedule
    | DeleteSchedule
    | PutFire
    | InterruptFires
    | PruneFires
    | PruneAllFires
    | PutPair
    | DeletePair
    | DeletePairs
    | PutRun
    | InsertNamespace
)


class InsertMessage(msgspec.Struct, array_like=True, gc=False):
    """Append a message to the queues of an actor that is there."""

    pk: int
    id: int
    name: str
    body: bytes
    created_ms: int


@dataclass(slots=True)
class Writes:
    """What one commit changes: ``operations`` in order, then messages, then entries of workflows,
    then states."""

    operations: list[Operation] = field(default_factory=list[Operation])
    messages: list[InsertMessage] = field(default_factory=list[InsertMessage])
    removals: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """``pk`` and ``id`` of messages to remove, after ``messages`` were added."""
    entries: dict[tuple[int, int], bytes] = field(default_factory=dict[tuple[int, int], bytes])
    """The last image of each entry of a workflow, by ``pk`` and ``seq``."""
    entry_removals: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """``pk`` and ``seq`` of entries to remove, before ``entries`` are stored."""
    states: dict[int, bytes] = field(default_factory=dict[int, bytes])
    """The last image of each state, by ``pk``."""

    def __bool__(self) -> bool:
        return bool(
            self.operations
            or self.states
            or self.messages
            or self.removals
            or self.entries
            or self.entry_removals
        )


class ActorQuery(msgspec.Struct, frozen=True):
    """Which actors to list; newest first."""

    namespace: str
    name: str | None = None
    limit: int = 100
    before_ms: int | None = None


CommitDone = Callable[[Exception | None], None]
"""Called on the event loop once a commit is durable, or with the reason why it is not."""


class ShardStorage(Protocol):
    """The store of one shard. Lookups see what was committed; one commit is under way at most."""

    @property
    def next_pk(self) -> int:
        """The smallest ``pk`` never used, as of opening."""
        ...

    def find_by_key(
        self, namespace: str, name: str, key: str
    ) -> asyncio.Future[ActorRow | None]: ...

    def find_by_id(self, actor_id: str) -> asyncio.Future[ActorRow | None]: ...

    def find_due(self, until_ms: int) -> asyncio.Future[list[str]]:
        """Return the ids of live actors that have to be awake by then, the earliest first."""
        ...

    def next_due(self, after_ms: int) -> asyncio.Future[int | None]:
        """Return the earliest instant after ``after_ms`` at which an actor has to be awake."""
        ...

    def load_queues(self, pk: int) -> asyncio.Future[QueueRows]: ...

    def load_workflow(self, pk: int, *, whole: bool = True) -> asyncio.Future[WorkflowRows]:
        """Return what is stored of an actor's workflow. Of a run that has ended the entries are
        left out unless ``whole``."""
        ...

    def find_live(self) -> asyncio.Future[list[str]]:
        """Return the ids of live actors whose workflow ``is_live``."""
        ...

    def list_fires(self, pk: int, name: str, limit: int) -> asyncio.Future[list[FireRow]]:
        """Return the history of one recurring schedule, newest first."""
        ...

    def get_pairs(self, pk: int, keys: Sequence[bytes]) -> asyncio.Future[list[bytes | str | None]]:
        """Return the values of ``keys``, in their order."""
        ...

    def list_pairs(
        self, pk: int, query: PairQuery
    ) -> asyncio.Future[list[tuple[PairKey, bytes | str]]]:
        """Return pairs by the bytes of their keys."""
        ...

    def list_actors(self, query: ActorQuery) -> asyncio.Future[list[ActorRow]]:
        """List without inputs, states, connections and schedules."""
        ...

    def list_names(self, namespace: str) -> asyncio.Future[list[str]]: ...

    def list_namespaces(self) -> asyncio.Future[list[tuple[str, int]]]:
        """Return names and creation instants."""
        ...

    def commit(self, writes: Writes, done: CommitDone) -> None:
        """Make ``writes`` durable in one transaction, all or nothing."""
        ...

    def close(self) -> None:
        """Finish the commit under way and close; blocks."""
        ...
