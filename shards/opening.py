"""Opening a connection: hooks, the row, the first messages (semantics page, section 6.3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stator.runtime.definition import CONNECTION_HOOKS
from stator.runtime.errors import ActorError, ActorRestarting
from stator.runtime.link.frames import ConnectionKind, OpenConnection, Opened

from .connections import CLOSE_ERROR, Connection
from .hibernation import store
from .lifecycle import ENDING, Status
from .raw_sockets import RawSocket
from .visits import admit, admit_plain, dismiss

if TYPE_CHECKING:
    from .cell import Cell
    from .gateway_link import GatewayLink


def open_connection(cell: Cell, opening: OpenConnection, params: bytes, link: GatewayLink) -> None:
    """Open a connection to an actor that is ready.

    Without hooks it is open within this turn; otherwise it is decided in the background.
    """
    known = cell.visits.get(opening.conn_id)
    if isinstance(known, Connection):
        _open_again(known)
        return
    connection = Connection(cell, opening, params, link)
    link.connections[connection.number] = connection
    if not CONNECTION_HOOKS.isdisjoint(cell.definition.hooks):
        cell.keep(cell.spawn(_open_with_hooks(connection)))
        return
    try:
        _decide_hibernation(connection)
        admit_plain(connection, connection.conn_id)
        _complete(connection)
    except BaseException as error:  # user code must not end the worker
        _refuse(connection, error)


def _open_again(connection: Connection) -> None:
    """Tell the client of a connection that was stored when a worker died before telling it."""
    _tell_opened(connection)


async def _open_with_hooks(connection: Connection) -> None:
    cell = connection.cell
    cell.enter()
    connection.is_opening = True
    try:
        _decide_hibernation(connection)
        await admit(connection, connection.conn_id)
        connection.is_opening = False
        cell.shard.capture(cell)
        _complete(connection)
    except BaseException as error:  # as above
        connection.is_opening = False
        is_cut_off = cell.is_aborted and isinstance(error, asyncio.CancelledError)
        _refuse(connection, ActorRestarting() if is_cut_off else error)
    finally:
        cell.leave()


def _decide_hibernation(connection: Connection) -> None:
    if connection.kind is ConnectionKind.RAW:
        decision = connection.cell.definition.settings.can_hibernate_websocket
        if callable(decision):
            decision = decision(connection.make_request())
        connection.is_hibernatable = decision is True


def _complete(connection: Connection) -> None:
    cell = connection.cell
    if cell.status in ENDING or cell.status is Status.GONE:
        raise ActorRestarting
    if connection.is_over:  # its client left while the hooks ran
        dismiss(connection)
        return
    if cell.status is not Status.READY and not connection.is_hibernatable:
        raise ActorRestarting
    store(connection)
    _tell_opened(connection)
    if connection.kind is ConnectionKind.RAW:
        serve_raw(connection, restored=False)


def _tell_opened(connection: Connection) -> None:
    """Tell the client, then the gateway: should this worker die in between, the gateway asks its
    successor to open the connection, and the client hears the same once more, not never."""
    cell = connection.cell
    if connection.kind is ConnectionKind.ACTOR:
        connection.welcome()
    opened = Opened(connection.number, cell.actor_id, connection.is_hibernatable)
    cell.shard.answer(cell, connection, opened, b"")


def serve_raw(connection: Connection, *, restored: bool) -> None:
    """Run the handler of a raw connection; without one it stays open and silent."""
    if "on_websocket" in connection.cell.definition.hooks:
        connection.raw = socket = RawSocket(connection, restored=restored)
        socket.start()


def _refuse(connection: Connection, error: BaseException) -> None:
    cell = connection.cell
    if cell.status is Status.GONE:
        connection.turn_away("actor.restarting")  # what an actor out of memory emits stays there
        return
    if not isinstance(error, ActorError) or error.status >= 500:
        cell.log.error("connection refused", conn=connection.conn_id, exc_info=error)
    view = cell.runner.view(error)
    if connection.kind is ConnectionKind.ACTOR and not connection.is_over:
        connection.report(view)
    connection.close(CLOSE_ERROR, f"{view.group}.{view.code}")
    dismiss(connection)  # if its client left while the hooks ran
