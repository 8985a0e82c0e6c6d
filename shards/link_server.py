"""The worker's end of its links: accepts them and hands their requests to the engine."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from struct import Struct as Layout
from typing import cast

from stator.runtime.control import Counter
from stator.runtime.link.channel import Channel
from stator.runtime.link.frames import Hello

from .engine import Engine
from .farewell import Farewell
from .gateway_link import GatewayLink

_CREDENTIALS = Layout("3i")
"""``struct ucred``: pid, uid, gid (unix(7), SO_PEERCRED)."""


class LinkServer:
    """Serves links on the Unix socket the supervisor opened for this worker."""

    def __init__(self, engine: Engine, hello: Hello) -> None:
        self._engine = engine
        self._hello = hello
        self._links: set[GatewayLink] = set()
        self._server: asyncio.Server | None = None
        self._is_leaving = self._is_closed = False
        self._all_ended = asyncio.Event()

    async def start(self, listener: socket.socket) -> None:
        """Accept links from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._make_channel, sock=listener)

    def flush(self) -> None:
        """Write every reply that is queued."""
        for link in self._links:
            link.channel.flush()

    async def say_goodbye(self, seconds: float) -> None:
        """Have nothing handed over any more; whoever connects from now on gets the successor.

        Returns when all that was handed over is answered, at the latest after ``seconds``.
        """
        self._stop_listening()
        await Farewell(self._links, seconds).take(self._is_idle)

    def close(self) -> None:
        """Close all links. The other ends hold their clients for the successor."""
        self._is_closed = True
        self._stop_listening()
        for link in list(self._links):
            link.channel.close()

    async def wait_closed(self, seconds: float) -> None:
        """Return when all that was sent is written, at the latest after ``seconds``."""
        if self._links:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), seconds)

    def _stop_listening(self) -> None:
        self._is_leaving = True
        if self._server is not None:
            self._server.close()

    def _is_idle(self) -> bool:
        shards = self._engine.shards.values()
        return not any(cell.calls for shard in shards for cell in shard.by_identity.values())

    def _make_channel(self) -> Channel:
        link = GatewayLink(self._engine, self._hello)

        def on_open(channel: Channel, _: BaseException | None) -> None:
            if self._is_leaving or not _is_ours(channel):
                channel.close()
            else:
                self._links.add(link)
                self._count_links()

        def on_lost(_: Channel, __: BaseException | None) -> None:
            self._links.discard(link)
            self._count_links()
            if not self._is_closed:
                link.lost()
            elif not self._links:
                self._all_ended.set()

        channel = Channel(link.take, on_lost, on_open=on_open, backlog=self._engine.backlog)
        link.attach(channel)
        return channel

    def _count_links(self) -> None:
        self._engine.counters[Counter.LINKS] = len(self._links)


def _is_ours(channel: Channel) -> bool:
    """Whether a process of the same user is at the other end.

    The run directory is 0700; this also stops a descriptor that was passed on.
    """
    peer = cast(socket.socket, channel.transport_info("socket"))
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return bool(uid == os.getuid())
