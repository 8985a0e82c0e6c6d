"""The threads that run bodies of steps that are plain functions (workflow page, 16.2).

Rule 1. A thread is started when a body finds none free, up to a limit; then bodies wait, the first
        that came first. Idle threads stay.
Rule 2. A body cannot be cut off. One whose future is done before a thread took it is not run; one
        that runs by then goes on, and nobody hears what came of it.
Rule 3. A body that never ends holds up neither a close nor the end of the process, but keeps its
        thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from typing import Any

MAX_THREADS = 32

Job = tuple[Callable[[], Any], Context, asyncio.Future[Any]]
"""A body, the context it runs in, and the future of its outcome."""


class StepThreads:
    """The threads of one worker; to be used on its event loop."""

    def __init__(self, limit: int = MAX_THREADS) -> None:
        self._limit = limit
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = 0
        self._unfinished = 0
        """How many jobs wait or have a thread, those that were given up included."""
        self._awaited: set[asyncio.Future[Any]] = set()
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether a body runs or waits for a thread and somebody is to hear of its outcome."""
        return bool(self._awaited)

    def run(self, function: Callable[[], Any], context: Context) -> asyncio.Future[Any]:
        """Call ``function`` in a thread, in ``context``, a copy of its own; return the outcome.

        What it raises is the future's exception whatever it is, ``SystemExit`` too: who awaits it
        has to catch that, or the event loop ends. After :meth:`close` the future is cancelled.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._is_closed:
            future.cancel()
            return future
        self._awaited.add(future)
        future.add_done_callback(self._awaited.discard)
        self._unfinished += 1
        if self._unfinished > self._threads and self._threads < self._limit:
            self._start()
        self._jobs.put((function, context, future))
        return future

    def close(self) -> None:
        """Cancel what is awaited and let the threads end; waits for no body (rule 3)."""
        self._is_closed = True
        for future in list(self._awaited):
            future.cancel()
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0

    def _start(self) -> None:
        name = f"steps-{self._threads}"
        # A daemon: the interpreter joins the others at its end, and those of an executor.
        threading.Thread(target=self._work, name=name, daemon=True).start()
        self._threads += 1

    def _deliver(
        self, future: asyncio.Future[Any], result: Any, error: BaseException | None
    ) -> None:
        self._unfinished -= 1
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    # -- in a thread

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, context, future = job
            outcome = (None, None) if future.done() else _outcome(function, context)
            try:
                future.get_loop().call_soon_threadsafe(self._deliver, future, *outcome)
            except RuntimeError:
                return  # the loop is closed: nobody can hear of it
            del job, function, context, future, outcome  # an idle thread keeps nothing alive


def _outcome(function: Callable[[], Any], context: Context) -> tuple[Any, BaseException | None]:
    """Return what came of a body.

    The frame is part of the error's traceback: it knows nothing of the future, which would make a
    circle of references.
    """
    try:
        return context.run(function), None
    except StopIteration as error:  # no future may have it
        replaced = RuntimeError("the body of a step raised StopIteration")
        replaced.__cause__ = error
        return None, replaced
    except BaseException as error:  # user code must not end the thread
        return None, error
