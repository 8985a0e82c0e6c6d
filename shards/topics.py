"""Which connections listen to which events, and what a broadcast sends to them.

A broadcast is encoded once for each encoding and crosses each link once, with the numbers of its
receivers (architecture, "Links"). The numbers are kept until the listeners change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stator.runtime.link.frames import Fanout
from stator.runtime.protocol.connection import Event
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.to_client import encode_to_client

if TYPE_CHECKING:
    from .cell import Cell
    from .connections import Connection
    from .gateway_link import GatewayLink

Dialect = tuple[Encoding, int]
"""An encoding and, for BARE, its version."""


class Topic:
    """The listeners of one event."""

    __slots__ = ("groups", "members")

    def __init__(self) -> None:
        self.members: dict[Connection, None] = {}
        self.groups: dict[Dialect, dict[GatewayLink, Fanout]] | None = None
        """The members by what has to be encoded and sent for them; made when needed."""

    def grouped(self) -> dict[Dialect, dict[GatewayLink, Fanout]]:
        """Return the headers of a broadcast by encoding and link."""
        if self.groups is None:
            numbers: dict[Dialect, dict[GatewayLink, list[int]]] = {}
            for member in self.members:
                if member.link is not None:
                    by_link = numbers.setdefault((member.encoding, member.version), {})
                    by_link.setdefault(member.link, []).append(member.number)
            self.groups = {
                dialect: {
                    link: Fanout(tuple(members), dialect[0] is Encoding.JSON)
                    for link, members in by_link.items()
                }
                for dialect, by_link in numbers.items()
            }
        return self.groups


class Topics:
    """The listeners of one actor's events, by wire name."""

    __slots__ = ("_topics",)

    def __init__(self) -> None:
        self._topics: dict[str, Topic] = {}

    def add(self, name: str, connection: Connection) -> None:
        """Let a connection listen to an event."""
        topic = self._topics.setdefault(name, Topic())
        topic.members[connection] = None
        topic.groups = None

    def remove(self, name: str, connection: Connection) -> None:
        """Let a connection no longer listen to an event."""
        topic = self._topics.get(name)
        if topic is not None and topic.members.pop(connection, connection) is None:
            topic.groups = None
            if not topic.members:
                del self._topics[name]

    def forget(self, connection: Connection) -> None:
        """Let a connection no longer listen to anything."""
        for name in connection.subscriptions:
            self.remove(name, connection)

    def regroup(self, connection: Connection) -> None:
        """Note that a connection's link or version is another one now."""
        for name in connection.subscriptions:
            self._topics[name].groups = None

    def broadcast(self, cell: Cell, name: str, args: list[object]) -> None:
        """Send an event to its listeners, behind the changes made so far.

        Raises ``actor.output_not_serializable``.
        """
        topic = self._topics.get(name)
        if topic is None or cell.shard.leaves_out_events(cell):
            return
        for (encoding, version), by_link in topic.grouped().items():
            data = encode_to_client(encoding, version, Event(name, args))
            if len(data) > cell.runner.max_message_bytes:
                self._close_all(topic, encoding)
                continue
            for link, header in by_link.items():
                cell.shard.emit(cell, link, header, data)

    def _close_all(self, topic: Topic, encoding: Encoding) -> None:
        for connection in list(topic.members):
            if connection.encoding is encoding:
                connection.close(1011, "message.outgoing_too_long")
