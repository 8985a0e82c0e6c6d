"""The worker's end of its links: accepts them and hands their requests to the engine."""

from __future__ import annotations

import asyncio
import os
import socket
from struct import Struct as Layout
from typing import cast

from stator.runtime.control import Counter
from stator.runtime.link.channel import Channel
from stator.runtime.link.frames import Hello

from .engine import Engine
from .gateway_link import GatewayLink

_CREDENTIALS = Layout("3i")
"""``struct ucred``: pid, uid, gid (unix(7), SO_PEERCRED)."""


class LinkServer:
    """Serves links on the Unix socket the supervisor opened for this worker."""

    def __init__(self, engine: Engine, hello: Hello) -> None:
        self._engine = engine
        self._hello = hello
        self._channels: set[Channel] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Accept links from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._make_channel, sock=listener)

    def flush(self) -> None:
        """Write every reply that is queued."""
        for channel in self._channels:
            channel.flush()

    def close(self) -> None:
        """Close all links."""
        if self._server is not None:
            self._server.close()
        for channel in list(self._channels):
            channel.close()

    def _make_channel(self) -> Channel:
        link = GatewayLink(self._engine, self._hello)

        def on_lost(channel: Channel, error: BaseException | None) -> None:
            link.lost()
            self._on_lost(channel, error)

        channel = Channel(link.take, on_lost, on_open=self._on_open)
        link.attach(channel)
        return channel

    def _on_open(self, channel: Channel, _: BaseException | None) -> None:
        # The run directory is 0700; this also stops a descriptor that was passed on.
        peer = cast(socket.socket, channel.transport_info("socket"))
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        if uid != os.getuid():
            channel.close()
            return
        self._channels.add(channel)
        self._engine.counters[Counter.LINKS] = len(self._channels)

    def _on_lost(self, channel: Channel, _: BaseException | None) -> None:
        self._channels.discard(channel)
        self._engine.counters[Counter.LINKS] = len(self._channels)
