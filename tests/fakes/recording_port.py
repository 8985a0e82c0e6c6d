"""A reply port that remembers what was sent, in order."""

from __future__ import annotations

import asyncio

from stator.runtime.link.frames import AnyFrame, Reply


class RecordingPort:
    """Implements ``shards.batch.ReplyPort``."""

    def __init__(self) -> None:
        self.sent: list[tuple[Reply, bytes]] = []
        self._expected: dict[int, asyncio.Future[tuple[Reply, bytes]]] = {}

    def send(self, header: AnyFrame, payload: bytes = b"") -> None:
        assert isinstance(header, Reply), "a caller gets replies only"
        assert header.id not in self.order, f"request {header.id} was answered twice"
        self.sent.append((header, payload))
        expected = self._expected.pop(header.id, None)
        if expected is not None and not expected.done():
            expected.set_result((header, payload))

    def expect(self, request_id: int) -> asyncio.Future[tuple[Reply, bytes]]:
        """Return the future of the reply to a request that is about to be made."""
        future: asyncio.Future[tuple[Reply, bytes]] = asyncio.get_running_loop().create_future()
        self._expected[request_id] = future
        return future

    @property
    def order(self) -> list[int]:
        """The ids of the requests that were answered, in the order of the answers."""
        return [header.id for header, _ in self.sent]
