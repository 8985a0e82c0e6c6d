"""The reader thread of a worker: looks stored actors up without making the event loop wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]
_Outcome = tuple["asyncio.Future[Any]", Any, Exception | None]


class Reader:
    """Runs look-ups in one thread. Those that wait together are answered together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._thread.start()

    def run(self, look_up: Callable[[], T]) -> asyncio.Future[T]:
        """Call ``look_up`` in the thread and return its outcome's future."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((look_up, future))
        return future

    def close(self) -> None:
        """Finish what was asked and end the thread; blocks."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            outcomes = [_look_up(job)]
            while (more := self._next_waiting()) is not None:
                outcomes.append(_look_up(more))
            try:
                self._loop.call_soon_threadsafe(_deliver, outcomes)
            except RuntimeError:
                if not self._loop.is_closed():
                    raise
                return  # whoever asked is gone

    def _next_waiting(self) -> _Job | None:
        try:
            job = self._jobs.get_nowait()
        except Empty:
            return None
        if job is None:
            self._jobs.put(None)
        return job


def _look_up(job: _Job) -> _Outcome:
    look_up, future = job
    try:
        return future, look_up(), None
    except Exception as error:
        return future, None, error


def _deliver(outcomes: list[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
