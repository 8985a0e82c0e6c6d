"""The body of a step while it runs: a task of its own, which the workflow can give up.

It counts as work of the actor: it keeps it awake, and a stop waits for it within the grace period.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER, Caller

if TYPE_CHECKING:
    from ..cell import Cell


class StepBody:
    """Runs one body; implements ``runtime.workflow.host.Body``."""

    __slots__ = ("_caller", "_cell", "_is_counted", "_task", "future")

    def __init__(
        self, cell: Cell, function: Callable[[], Any], caller: Caller, *, in_thread: bool
    ) -> None:
        """``caller`` is on whose behalf it runs."""
        loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = loop.create_future()
        self._cell = cell
        self._caller = caller
        self._is_counted = True
        cell.enter()
        token = CALLER.set(caller)
        try:
            work = self._run_in_thread(function) if in_thread else self._run(function)
            self._task = loop.create_task(work)
        finally:
            CALLER.reset(token)
        cell.keep(self._task)
        self._task.add_done_callback(self._on_done)

    def cancel(self) -> None:
        """Give it up; a plain function goes on in its thread, and nobody hears of it."""
        if not self.future.done():
            self.future.cancel()
        self._task.cancel()
        self._count_no_longer()

    async def _run(self, function: Callable[[], Any]) -> Any:
        return await result_of(function())

    async def _run_in_thread(self, function: Callable[[], Any]) -> Any:
        context = contextvars.copy_context()
        return await result_of(await self._cell.shard.step_threads.run(function, context))

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        cell, future = self._cell, self.future
        if not future.done():
            if not task.cancelled():
                error = task.exception()
                if error is None:
                    future.set_result(task.result())
                else:
                    future.set_exception(error)
            elif cell.is_aborted:
                future.cancel()  # the grace period of a stop is over
            else:
                future.set_exception(RuntimeError("its body was cancelled by its own code"))
        elif not task.cancelled() and (error := task.exception()) is not None:
            cell.log.warning("a step failed after it was given up", exc_info=error)
        if cell.queues is not None:
            cell.queues.release(self._caller)
        self._count_no_longer()

    def _count_no_longer(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._cell.leave()
