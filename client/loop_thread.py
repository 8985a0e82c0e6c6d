"""An event loop in a thread of its own, for code that has none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError
from threading import Lock, Thread, current_thread
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for other threads until it is closed."""

    def __init__(self, name: str, finish: Callable[[], Awaitable[None]]) -> None:
        """``finish`` is the last thing the loop runs."""
        self._finish = finish
        self._loop = asyncio.new_event_loop()
        self._close = asyncio.Event()
        self._is_closed = False
        self._guard = Lock()
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the coroutine's result; blocks this thread alone.

        Raises what it raises, and ``RuntimeError`` if the loop is closed before it ends, or from
        the loop's own thread, where waiting would stop what is waited for.
        """
        if self._is_current:
            coroutine.close()
            raise RuntimeError("a callback cannot wait for the client on whose thread it runs")
        with self._guard:  # what is handed over after the loop's last turn would never end
            if self._is_closed:
                coroutine.close()
                raise RuntimeError("the client is closed")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("the client was closed during the call") from None
        except BaseException:
            future.cancel()  # Ctrl-C interrupts this thread, not the loop's
            raise

    def do(self, function: Callable[[], T]) -> T:
        """Return what a plain function returns in the loop's thread; callbacks may use it too."""
        if self._is_current:
            return function()

        async def call() -> T:
            return function()

        return self.run(call())

    def close(self) -> None:
        """Finish, cancel what still runs and end the thread. May be called twice.

        Raises ``RuntimeError`` in the loop's own thread, which cannot wait for its end.
        """
        if self._is_current:
            raise RuntimeError("a callback cannot close the client on whose thread it runs")
        with self._guard:
            if not self._is_closed:
                self._is_closed = True
                self._loop.call_soon_threadsafe(self._close.set)
        self._thread.join()

    @property
    def _is_current(self) -> bool:
        return current_thread() is self._thread

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        await self._close.wait()
        await self._finish()
