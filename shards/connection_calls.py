"""Actions called over a connection: where their outcome goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stator.runtime.actor import Actor
from stator.runtime.conn import Conn
from stator.runtime.error_views import ErrorView
from stator.runtime.errors import OutgoingTooLong
from stator.runtime.protocol.connection import ErrorMessage
from stator.runtime.protocol.error_bodies import ActorSpecifier
from stator.runtime.protocol.to_client import encode_response, encode_to_client

if TYPE_CHECKING:
    from .connections import Connection


class ConnectionCall:
    """An action called over a connection; implements :class:`.actions.ActionCaller`."""

    __slots__ = ("cell", "connection", "index", "request_id")

    def __init__(self, connection: Connection, request_id: int, index: int) -> None:
        """``index`` is that of the client's message."""
        self.cell = connection.cell
        self.connection = connection
        self.request_id = request_id
        self.index = index

    @property
    def actor(self) -> Actor:
        """The actor that serves the call."""
        return self.cell.actor

    @property
    def conn(self) -> Conn | None:
        """The connection it came by."""
        return self.connection.conn

    @property
    def request(self) -> None:
        """Nothing: the request that opened the connection is shown to connection hooks."""
        return None

    @property
    def ray_id(self) -> str:
        """What the log calls the request by."""
        return self.connection.conn_id

    def encode(self, output: object) -> bytes:
        """Encode the output. Raises ``actor.output_not_serializable``."""
        connection = self.connection
        return encode_response(connection.encoding, connection.version, self.request_id, output)

    def answer(self, body: bytes) -> None:
        """Send the encoded output, behind the actor's changes."""
        connection = self.connection
        self.cell.shard.answer(self.cell, connection, connection.as_delivery(self.index), body)

    def reject(self, view: ErrorView) -> None:
        """Send an error, behind the actor's changes."""
        row = self.cell.row
        specifier: ActorSpecifier | None = ActorSpecifier(row.actor_id, row.generation, row.key)
        if (view.group, view.code) == OutgoingTooLong.known[:2]:
            specifier = None  # as the peer has it (client-protocol, 7.6)
        connection = self.connection
        message = ErrorMessage(view, self.request_id, specifier)
        self.answer(encode_to_client(connection.encoding, connection.version, message))

    def drop(self) -> None:
        """Say nothing: the message was not acknowledged, so the next generation gets it."""
