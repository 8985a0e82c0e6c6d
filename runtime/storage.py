"""What the actor model asks of storage: records, writes and the interface of a shard's store.

``shards/store`` implements it with SQLite, ``tests/fakes`` with dictionaries; both pass
``tests/contract``. Instants are Unix milliseconds. A *state image* is bytes of ``state_codec``.
Rows and operations list their fields in the order in which the statements bind and return them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec


class ConnectionRow(msgspec.Struct, array_like=True, gc=False):
    """A connection that outlives its actor's sleep; both images are opaque to the store."""

    conn_id: str
    opened: bytes
    """What never changes of it."""
    changing: bytes
    """Its state and its subscriptions."""


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
    connections: list[ConnectionRow] = msgspec.field(default_factory=list[ConnectionRow])
    """By ``conn_id``; empty in lists."""


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
    | InsertNamespace
)


@dataclass(slots=True)
class Writes:
    """What one commit changes: ``operations`` in order, then the last image of each state."""

    operations: list[Operation] = field(default_factory=list[Operation])
    states: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def __bool__(self) -> bool:
        return bool(self.operations or self.states)


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

    def list_actors(self, query: ActorQuery) -> asyncio.Future[list[ActorRow]]:
        """List without inputs, states and connections."""
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
