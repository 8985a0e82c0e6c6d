"""The listening side of a link, which does only what a test tells it to, and its dialer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from stator.runtime.errors import ActorError
from stator.runtime.link.channel import Channel
from stator.runtime.link.dialer import Dialer, Outcome
from stator.runtime.link.frames import AnyFrame, Hello, ListNamespaces

PATIENCE_S = 20.0
"""Longer than any scenario takes; a test that needs it has failed."""
GATEWAY, WORKER = Hello("gateway", 0, 1), Hello("worker", 0, 1)


class Worker:
    """The listening side: it does only what a test tells it to."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.opened: asyncio.Queue[Channel] = asyncio.Queue()
        self.lost: asyncio.Queue[Channel] = asyncio.Queue()
        self.received: asyncio.Queue[tuple[AnyFrame, bytes]] = asyncio.Queue()

    async def listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(self._make_channel, self.path)

    async def greet(self) -> Channel:
        """Return the next link after the greetings in both directions."""
        channel = await self.opened.get()
        assert await self.received.get() == (GATEWAY, b"")
        channel.send(WORKER)
        return channel

    def _make_channel(self) -> Channel:
        return Channel(
            lambda frame, payload: self.received.put_nowait((frame, payload)),
            lambda channel, _: self.lost.put_nowait(channel),
            on_open=lambda channel, _: self.opened.put_nowait(channel),
        )


class Ledger:
    """An inbox that keeps what it was told."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[AnyFrame] = asyncio.Queue()
        self.told: list[str] = []

    def take(self, dialer: Dialer, frame: AnyFrame, payload: bytes) -> None:
        self.taken.put_nowait(frame)

    def link_up(self, dialer: Dialer) -> None:
        self.told.append("up")

    def link_lost(self, dialer: Dialer) -> None:
        self.told.append("lost")


Scenario = Callable[[Worker, Dialer], Awaitable[None]]


def on_link(
    short_tmp: Path,
    scenario: Scenario,
    *,
    ready_timeout: float = PATIENCE_S,
    inbox: Ledger | None = None,
) -> None:
    """Run ``scenario`` with a worker that listens and a dialer that has not started."""

    async def main() -> None:
        worker = Worker(str(short_tmp / "worker"))
        dialer = Dialer(worker.path, GATEWAY, ready_timeout=ready_timeout, inbox=inbox)
        server = await worker.listen()
        try:
            await scenario(worker, dialer)
        finally:
            dialer.close()
            server.close()
            await server.wait_closed()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def ask(dialer: Dialer, payload: bytes = b"") -> asyncio.Future[Outcome]:
    return dialer.request(ListNamespaces(dialer.next_id(), 0), payload)


async def failure(reply: asyncio.Future[Outcome]) -> str:
    with pytest.raises(ActorError) as caught:
        await reply
    return f"{caught.value.group}.{caught.value.code}"
