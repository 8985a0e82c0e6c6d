"""The gateways a worker is linked with."""

from __future__ import annotations

import asyncio

from .connections import Connection
from .gateway_link import GatewayLink
from .hibernation import LINK_TIMEOUT_S, claim
from .lifecycle import Status


class Gateways:
    """The gateways this worker is linked with, by token, and who waits for one of them."""

    def __init__(self) -> None:
        self._links: dict[str, GatewayLink] = {}
        self._missed: dict[str, list[Connection]] = {}

    def greet(self, link: GatewayLink) -> None:
        """Note that a gateway is there; give it the connections that waited for it."""
        if link.token:
            self._links[link.token] = link
            for connection in self._missed.pop(link.token, ()):
                self._attach(connection, link)

    def miss(self, link: GatewayLink) -> None:
        """Note that a gateway is gone."""
        if self._links.get(link.token) is link:
            del self._links[link.token]

    def find(self, connection: Connection) -> None:
        """Give a restored connection the link of its gateway, now or when it comes.

        If it does not come in time the connection has ended.
        """
        link = self._links.get(connection.token)
        if link is not None:
            self._attach(connection, link)
            return
        self._missed.setdefault(connection.token, []).append(connection)
        loop = asyncio.get_running_loop()
        loop.call_later(LINK_TIMEOUT_S, self._give_up, connection)

    def _attach(self, connection: Connection, link: GatewayLink) -> None:
        if not connection.is_over:
            connection.link = link
            link.connections[connection.number] = connection
            connection.cell.topics.regroup(connection)
            claim(connection)

    def _give_up(self, connection: Connection) -> None:
        missed = self._missed.get(connection.token, [])
        if connection in missed:
            missed.remove(connection)
            if not missed:
                del self._missed[connection.token]
            if connection.cell.status is Status.READY:
                connection.client_gone(1006, "")
