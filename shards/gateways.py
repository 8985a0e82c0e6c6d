"""The gateways a worker is linked with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from stator.runtime.link.frames import CloseConnection
from stator.runtime.storage import ConnectionRow

from .connections import CLOSE_NORMAL, Connection
from .gateway_link import GatewayLink
from .hibernation import LINK_TIMEOUT_S, claim, read_place

LOST = 1006
"""The close code of a socket nobody knows any more."""


class Gateways:
    """The gateways this worker is linked with, by token, and who waits for one of them."""

    def __init__(self) -> None:
        self._links: dict[str, GatewayLink] = {}
        self._missed: dict[str, list[Connection]] = {}

    def greet(self, link: GatewayLink) -> None:
        """Note that a gateway is there; give it the connections that waited for it."""
        if not link.token:
            return
        self._links[link.token] = link
        for token in list(self._missed):
            if token == link.token:
                for connection in self._missed.pop(token):
                    self._attach(connection, link)
                    claim(connection)
            elif _slot_of(token) == _slot_of(link.token):
                for connection in self._missed.pop(token):
                    connection.client_gone(LOST, "")

    def miss(self, link: GatewayLink) -> None:
        """Note that a gateway is gone."""
        if self._links.get(link.token) is link:
            del self._links[link.token]

    def find(self, connection: Connection) -> None:
        """Give a restored connection the link of its gateway, if that is there."""
        link = self._links.get(connection.token)
        if link is not None:
            self._attach(connection, link)

    def settle(self, connection: Connection) -> None:
        """Claim a connection of an actor that is ready.

        One whose gateway was replaced has ended. One whose gateway is not there yet waits for
        it, and has ended if it does not come in time.
        """
        if connection.link is not None:
            claim(connection)
        elif any(_slot_of(token) == _slot_of(connection.token) for token in self._links):
            connection.client_gone(LOST, "")
        else:
            self._missed.setdefault(connection.token, []).append(connection)
            loop = asyncio.get_running_loop()
            loop.call_later(LINK_TIMEOUT_S, self._give_up, connection)

    def close_stored(self, rows: Sequence[ConnectionRow]) -> None:
        """Close the sockets of connections whose actor was destroyed asleep."""
        for row in rows:
            token, number = read_place(row.opened)
            link = self._links.get(token)
            if link is not None:
                link.send(CloseConnection(number, CLOSE_NORMAL, ""))

    def _attach(self, connection: Connection, link: GatewayLink) -> None:
        if not connection.is_over:
            connection.link = link
            link.connections[connection.number] = connection
            connection.cell.topics.regroup(connection)

    def _give_up(self, connection: Connection) -> None:
        missed = self._missed.get(connection.token, [])
        if connection in missed:
            missed.remove(connection)
            if not missed:
                del self._missed[connection.token]
            connection.client_gone(LOST, "")


def _slot_of(token: str) -> str:
    """Return which of the service's gateways a token is of; each has one token at a time."""
    return token.partition("-")[0]
