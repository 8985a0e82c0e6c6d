"""Functions that applications register, and how they are called.

Rule 1. A callback that raises is reported to the event loop, which logs it; the others still run.
Rule 2. A callback that returns an awaitable, as a coroutine function does, goes on as a task of
        its own. Nothing waits for it: if it waited for an answer on its connection, that answer
        could not come.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

Callback = Callable[..., object]
Unsubscribe = Callable[[], None]


class Runner:
    """Calls callbacks."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, callback: Callback, *arguments: Any) -> None:
        """Call it; never raises (rule 1)."""
        try:
            outcome = callback(*arguments)
        except Exception as error:
            _report(callback, error)
            return
        if inspect.isawaitable(outcome):
            task = asyncio.create_task(_finish(callback, outcome))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def run_soon(self, callback: Callback, *arguments: Any) -> None:
        """Call it in the loop's next turn."""
        asyncio.get_running_loop().call_soon(self.run, callback, *arguments)


async def _finish(callback: Callback, outcome: Awaitable[object]) -> None:
    try:
        await outcome
    except Exception as error:
        _report(callback, error)


def _report(callback: Callback, error: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": f"a callback of a connection failed: {callback!r}", "exception": error}
    )


class Callbacks:
    """The callbacks for one kind of news."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._callbacks: dict[object, Callback] = {}

    def add(self, callback: Callback) -> Unsubscribe:
        """Call it from now on; the same function may be added twice."""
        mark = object()
        self._callbacks[mark] = callback

        def remove() -> None:
            self._callbacks.pop(mark, None)

        return remove

    def run(self, *arguments: Any) -> None:
        """Call all of them."""
        for mark, callback in list(self._callbacks.items()):
            if mark in self._callbacks:  # not removed by one before it
                self._runner.run(callback, *arguments)
