"""Turns of the event loop for workflows that have much to do at once, as in a replay.

Rule 1. Whoever gives way goes on in a turn of its own: one of all workflows of the process in each
        turn of the loop, those that came first first. So the loop is never held up for longer than
        one of them works between two calls, however many there are.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Line:
    """Those who wait for their turn of one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    async def give_way(self) -> None:
        """Return in a later turn of the loop (rule 1)."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the one before has ended, with all who waited there
            self._loop = loop
            self._waiting.clear()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if len(self._waiting) == 1:
            loop.call_soon(self._let_one_go_on, loop)
        await future

    def _let_one_go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():  # else it was cancelled
                future.set_result(None)
                break
        if self._waiting:
            loop.call_soon(self._let_one_go_on, loop)


LINE = Line()
"""That of the process: it has one event loop."""
