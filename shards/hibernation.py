"""Connections on disk: what is kept of them, and how they come back with their actor.

Rule 1. A hibernatable connection is stored before its client is told that it is open, and stored
        again with every change of its subscriptions or its state (semantics page, section 6.5).
Rule 2. An actor that starts has its connections back before its own hooks run. No connection hook
        runs again. It finds the gateway of each by the gateway's token; a connection whose
        gateway does not come back within :data:`LINK_TIMEOUT_S` ends with ``on_disconnect``.
Rule 3. The actor claims each of them (``Revive``) once it is ready. The gateway answers with the
        messages that were not acknowledged, or that the client is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from stator.runtime.errors import StateNotSerializable, StateUnreadable
from stator.runtime.link.frames import (
    ConnectionKind,
    OpenConnection,
    RequestHead,
    Resolution,
    Revive,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.state_codec import StateTracker
from stator.runtime.storage import (
    ConnectionRow,
    DeleteConnection,
    InsertConnection,
    UpdateConnection,
)

from .lifecycle import Status
from .seals import Seal

if TYPE_CHECKING:
    from .cell import Cell
    from .connections import Connection

LINK_TIMEOUT_S = 10.0
"""How long a restored connection waits for the link of its gateway. A gateway that is there
connects to a restarted worker within a fraction of a second."""


class OpenedImage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What never changes of a connection."""

    number: int
    token: str
    """Of the gateway that holds the client's socket."""
    kind: ConnectionKind
    encoding: Encoding
    params: bytes
    """JSON, empty without any."""
    head: RequestHead


class ChangingImage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What changes of a connection."""

    version: int
    subscriptions: tuple[str, ...]
    last_index: int
    state: bytes | None
    """State image of the class's ``conn_state``."""


_encode = msgspec.msgpack.Encoder().encode
_decode_opened = msgspec.msgpack.Decoder(OpenedImage).decode
_decode_changing = msgspec.msgpack.Decoder(ChangingImage).decode


def store(connection: Connection) -> None:
    """Store a new connection, if it is one that can hibernate (rule 1).

    Raises ``actor.state_not_serializable``.
    """
    cell = connection.cell
    if not connection.is_hibernatable or not _may_write(cell):
        return
    if cell.definition.has_conn_state:
        connection.tracker = StateTracker(cell.definition.conn_state_codec)
        assert connection.conn is not None
        connection.state_image = connection.tracker.capture(connection.conn_state)
    assert connection.head is not None
    opened = _encode(
        OpenedImage(
            connection.number,
            connection.token,
            connection.kind,
            connection.encoding,
            connection.params,
            connection.head,
        )
    )
    changing = _changing_image(connection)
    _write(cell, InsertConnection(cell.row.pk, connection.conn_id, opened, changing))
    connection.settle(opened)


def read_head(opened: bytes) -> RequestHead:
    """Return the request that opened a connection, from its stored image."""
    return _decode_opened(opened).head


def read_place(opened: bytes) -> tuple[str, int]:
    """Return the gateway's token and the number of a connection, from its stored image."""
    image = _decode_opened(opened)
    return image.token, image.number


def remember(connection: Connection) -> None:
    """Store what changed of a connection (rule 1)."""
    cell = connection.cell
    if connection.is_hibernatable and connection.is_admitted and _may_write(cell):
        _write(
            cell,
            UpdateConnection(_changing_image(connection), cell.row.pk, connection.conn_id),
        )


def forget(connection: Connection) -> None:
    """Delete what is stored of a connection that has ended."""
    cell = connection.cell
    if connection.is_hibernatable and connection.is_admitted and _may_write(cell):
        # Nobody's output waits for this: after a crash the connection is found dead and ends. But
        # an actor that leaves memory must not find it again on disk. Under a seal it must not
        # overtake what stores the connection.
        is_free = cell.status is Status.READY and type(cell.batch) is not Seal
        gated = None if is_free else cell
        cell.shard.write(DeleteConnection(cell.row.pk, connection.conn_id), gated)


def capture_touched(cell: Cell) -> None:
    """Store the states of connections that the actor's code may have changed.

    A state that cannot be stored is replaced by the last good one and
    ``actor.state_not_serializable`` raised.
    """
    for connection in list(cell.touched):
        tracker, conn = connection.tracker, connection.conn
        if tracker is None or conn is None:
            continue
        try:
            image = tracker.capture(connection.conn_state)
        except StateNotSerializable:
            connection.conn_state = tracker.last_value()
            raise
        if image is not None:
            connection.state_image = image
            remember(connection)
    if not cell.running:
        cell.touched.clear()


def connections_of(cell: Cell) -> list[Connection]:
    """Return the WebSockets among an actor's visits."""
    return [visit for visit in cell.visits.values() if visit.is_socket]  # type: ignore[misc]


def restore_connections(cell: Cell) -> None:
    """Bring back the stored connections of an actor that starts (rule 2)."""
    from .connections import Connection

    rows, cell.row.connections = cell.row.connections, ()
    for row in rows:
        try:
            _restore(cell, row, Connection)
        except (msgspec.MsgspecError, StateUnreadable) as error:
            cell.log.error("connection cannot be restored", conn=row.conn_id, exc_info=error)
            cell.shard.write(DeleteConnection(cell.row.pk, row.conn_id))


def _restore(cell: Cell, row: ConnectionRow, make: type[Connection]) -> None:
    opened, changing = _decode_opened(row.opened), _decode_changing(row.changing)
    opening = OpenConnection(
        opened.number,
        cell.shard.number,
        Resolution.BY_ID,
        *cell.identity,
        row.conn_id,
        opened.kind,
        opened.encoding,
        "",
        opened.head,
    )
    connection = make(cell, opening, opened.params, None)
    connection.settle(row.opened)
    connection.is_hibernatable = True
    connection.token = opened.token
    connection.version = changing.version
    connection.last_index = changing.last_index
    conn = connection.make_conn(row.conn_id)
    if cell.definition.has_conn_state:
        connection.tracker = StateTracker(cell.definition.conn_state_codec)
        if changing.state is None:
            connection.conn_state = cell.definition.initial_conn_state()
        else:
            connection.conn_state = connection.tracker.restore(changing.state)
        connection.state_image = changing.state
    connection.is_admitted = True
    cell.visits[conn.id] = connection
    for name in changing.subscriptions:
        connection.subscriptions[name] = None
        cell.topics.add(name, connection)
    cell.shard.find_gateway(connection)


def suspend_connections(cell: Cell) -> None:
    """Take the connections of an actor that leaves memory out of it; no hook runs.

    Their gateways keep the sockets of those that can hibernate, and close the others.
    """
    for connection in connections_of(cell):
        cell.visits.pop(connection.conn_id)
        connection.suspend()


def claim(connection: Connection) -> None:
    """Tell its gateway that the actor has it again (rule 3)."""
    if connection.link is not None and not connection.is_over:
        connection.link.send(Revive(connection.number, connection.conn_id))


def _changing_image(connection: Connection) -> bytes:
    return _encode(
        ChangingImage(
            connection.version,
            tuple(connection.subscriptions),
            connection.last_index,
            connection.state_image,
        )
    )


def _may_write(cell: Cell) -> bool:
    return cell.status not in (Status.DELETED, Status.GONE)


def _write(cell: Cell, operation: InsertConnection | UpdateConnection) -> None:
    cell.shard.write(operation, cell if cell.definition.is_durable else None)
