"""The body of a step while it runs: a task of its own, which the workflow can give up.

It counts as work of the actor: it keeps it awake, and a stop waits for it within the grace period.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER, Caller

if TYPE_CHECKING:
    from ..cell import Cell


Outcome = tuple[Any, BaseException | None]
"""What a body returned, or raised."""


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
            work = self._run_in_thread(function) if in_thread else _run(function)
            self._task = loop.create_task(_outcome(work))
        finally:
            CALLER.reset(token)
        cell.tasks[self._task] = None  # cell.keep, without a second callback
        self._task.add_done_callback(self._on_done)

    def cancel(self) -> None:
        """Give it up; a plain function goes on in its thread, and nobody hears of it."""
        if not self.future.done():
            self.future.cancel()
        self._task.cancel()
        self._count_no_longer()

    async def _run_in_thread(self, function: Callable[[], Any]) -> Any:
        context = contextvars.copy_context()
        return await result_of(await self._cell.shard.step_threads.run(function, context))

    def _on_done(self, task: asyncio.Task[Outcome]) -> None:
        cell, future = self._cell, self.future
        cell.tasks.pop(task, None)
        if task.cancelled():
            if not future.done():
                if cell.is_aborted:
                    future.cancel()  # the grace period of a stop is over
                else:
                    future.set_exception(RuntimeError("its body was cancelled by its own code"))
        else:
            self._deliver(*task.result())
        if cell.queues is not None:
            cell.queues.release(self._caller)
        self._count_no_longer()

    def _deliver(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            if error is not None:
                self._cell.log.warning("a step failed after it was given up", exc_info=error)
        elif error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)

    def _count_no_longer(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._cell.leave()


async def _run(function: Callable[[], Any]) -> Any:
    return await result_of(function())


async def _outcome(work: Coroutine[Any, Any, Any]) -> Outcome:
    """Return what came of a body: a task that raises ``SystemExit`` would end the worker."""
    try:
        return await work, None
    except asyncio.CancelledError:
        raise
    except GeneratorExit as error:  # in the code of a workflow it means that this is thrown away
        replaced = RuntimeError("the body of a step raised GeneratorExit")
        replaced.__cause__ = error
        return None, replaced
    except BaseException as error:  # user code must not end the worker
        return None, error
