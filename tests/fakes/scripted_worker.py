"""The worker's end of a gateway's link: it records every frame and says what a test tells it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from stator.runtime.link.channel import Channel
from stator.runtime.link.frames import AnyFrame, ClientGone, Hello, Revive

Received = tuple[AnyFrame, bytes]
Kind = TypeVar("Kind", bound=AnyFrame)

FIRST_MARK = 1_000_000_000
"""Numbers of connections that no gateway has: it says at once that it knows none of them."""
ROUND_TRIPS = 2
"""After so many, tasks and callbacks that the frames of a test began have run too."""


class WorkerLink:
    """One link; its frames after the Hello are kept until they are asked for."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.greeting: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()
        self.channel = Channel(self._take, lambda channel, error: self.lost.set())
        self._marks = itertools.count(FIRST_MARK)
        self._arrived = asyncio.Event()

    def send(self, *frames: AnyFrame, payload: bytes = b"") -> None:
        """Send frames in one piece; the payload is that of each of them."""
        for frame in frames:
            self.channel.send(frame, payload)

    def greet(self) -> None:
        """Say Hello, which opens the link for requests."""
        self.send(Hello("worker", 0, 1))

    def close(self) -> None:
        """Die."""
        self.channel.close()

    async def sync(self) -> list[Received]:
        """Return what came since it was last asked, once the gateway took all that was sent."""
        for _ in range(ROUND_TRIPS):
            mark = next(self._marks)
            self.channel.send(Revive(mark, ""))
            answer = (ClientGone(mark, 1006, ""), b"")
            await self._until(partial(self.received.__contains__, answer))
            self.received.remove(answer)
        received, self.received = self.received, []
        return received

    async def frames(self) -> list[AnyFrame]:
        """Return like :meth:`sync`, without payloads."""
        return [frame for frame, _ in await self.sync()]

    async def next(self, kind: type[Kind]) -> Kind:
        """Wait for a frame of ``kind`` and return it; what came before it is forgotten."""
        return (await self.next_with_payload(kind))[0]

    async def next_with_payload(self, kind: type[Kind]) -> tuple[Kind, bytes]:
        """Wait for a frame of ``kind``; what came before it is forgotten."""
        while True:
            await self._until(lambda: bool(self.received))
            frame, payload = self.received.pop(0)
            if isinstance(frame, kind):
                return frame, payload

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._arrived.clear()
            await self._arrived.wait()

    def _take(self, frame: AnyFrame, payload: bytes) -> None:
        if isinstance(frame, Hello):
            self.greeting.set_result(frame)
        else:
            self.received.append((frame, payload))
            self._arrived.set()


class ScriptedWorker:
    """Listens on ``path`` and accepts links, one after the other."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._links: asyncio.Queue[WorkerLink] = asyncio.Queue()
        self._accepted: list[WorkerLink] = []
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Begin to accept links."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._accept, self.path)

    async def next_link(self) -> WorkerLink:
        """Return the next link once it said Hello; it was not answered yet."""
        link = await self._links.get()
        await link.greeting
        return link

    async def greet(self) -> WorkerLink:
        """Return the next link after the greetings in both directions."""
        link = await self.next_link()
        link.greet()
        return link

    def close(self) -> None:
        """Die for good."""
        for link in self._accepted:
            link.close()
        if self._server is not None:
            self._server.close()

    def _accept(self) -> Channel:
        link = WorkerLink()
        self._accepted.append(link)
        self._links.put_nowait(link)
        return link.channel
