"""WebSockets to actors: where they are opened and what arrives on them (client-protocol, 7.1).

A token travels as a subprotocol, never in the URL, so that URLs can be logged.
"""

from __future__ import annotations

import re
import socket
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp

from stator.runtime.handles import Address

from .addressing import params_text
from .directory import Directory
from .exchange import Exchange
from .failures import refused

ABNORMAL = 1006
"""The code of a socket that ended without a close frame (RFC 6455, 7.4.1)."""

_CARRIED = re.compile(r"[!-+\--~]+")
"""What can stand in a list of subprotocols: visible ASCII without the comma."""

_PROBES = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""Seconds, seconds, times: a service that vanished is noticed within a minute. Not by WebSocket
pings: a gateway that has paused reading, as back-pressure, would seem dead."""


class Closed(NamedTuple):
    """The end of a socket."""

    code: int
    """:data:`ABNORMAL` when nobody said goodbye."""
    reason: str


class Socket:
    """One open WebSocket."""

    def __init__(self, raw: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._raw = raw
        _probe_peer(raw)

    async def receive(self) -> str | bytes | Closed:
        """Return the next message, or how the socket ended."""
        try:
            message = await self._raw.receive()
        except ConnectionError:  # it answers pings, which a lost connection does not take
            return Closed(ABNORMAL, "")
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.CLOSE:
            return Closed(message.data or 1005, message.extra or "")
        return Closed(ABNORMAL, "")

    async def send(self, message: str | bytes) -> None:
        """Send text or bytes; waits while the peer reads too slowly.

        Raises ``ConnectionError`` once the socket is closed.
        """
        if isinstance(message, str):
            await self._raw.send_str(message)
        else:
            await self._raw.send_bytes(message)

    async def close(self, code: int, reason: str) -> None:
        """Close it and wait for the peer to do so, at most 10 s; nothing if it is closed."""
        await self._raw.close(code=code, message=reason.encode())


class Sockets:
    """Opens WebSockets to the actors of a service."""

    def __init__(self, exchange: Exchange, directory: Directory) -> None:
        self._exchange = exchange
        self._directory = directory

    @property
    def is_stator(self) -> bool:
        """Whether the service said it is one of ours."""
        return self._directory.is_stator

    async def open(
        self, address: Address, inner: str, encoding: str, params: Any, query: str = ""
    ) -> Socket:
        """Open the inner path of an actor in ``encoding``, found anew each time.

        Raises ``client.connection_open_failed``, and what finding the actor raises.
        """
        service = await self._directory.service()
        endpoint = service.endpoint
        place = await self._directory.place(service, address)
        protocols = ["rivet", f"rivet_encoding.{encoding}"]
        if endpoint.token:
            if not _CARRIED.fullmatch(endpoint.token):
                raise refused("a WebSocket cannot carry this token: it has commas or spaces")
            protocols.append(f"rivet_token.{endpoint.token}")
        if params is not None:
            protocols.append(f"rivet_conn_params.{quote(params_text(params), safe='')}")
        url = endpoint.url + place.path(inner, query)
        return Socket(await self._exchange.open_socket(url, protocols))


def _probe_peer(raw: aiohttp.ClientWebSocketResponse[bool]) -> None:
    connection = raw.get_extra_info("socket")
    if connection is None or connection.family == socket.AF_UNIX:
        return  # the end of a process on the same machine is noticed at once
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES:
        if hasattr(socket, name):  # not on every system
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
