"""Ending an actor's life in memory: destroy for good, or drain before the process leaves.

Both give running work the same budget, ``sleep_grace_period``, and call exactly one hook:
``on_destroy`` or ``on_sleep`` (semantics page, sections 2.7 and 2.8).
"""

from __future__ import annotations

import asyncio

from stator.runtime.awaiting import result_of
from stator.runtime.storage import DeleteActor

from .cell import Cell
from .lifecycle import Status


async def destroy(cell: Cell) -> None:
    """Let running work end, run ``on_destroy``, delete the actor's rows.

    Nothing of it is done before the mark of :meth:`.shard.Shard.destroy` is on disk. Raises
    ``storage.unavailable`` if it cannot be: then the actor lives on.
    """
    await cell.wait_committed()
    await _wind_down(cell, "on_destroy")
    await delete(cell)


async def delete(cell: Cell) -> None:
    """Delete the actor's rows. Raises ``storage.unavailable``."""
    cell.become(Status.DELETED)
    cell.shard.withdraw_state(cell)
    cell.shard.write(DeleteActor(cell.row.pk), cell)
    await cell.wait_committed()


async def drain(cell: Cell) -> None:
    """Let running work end, run ``on_sleep``, put the last state into the batch."""
    cell.become(Status.DRAINING)
    await _wind_down(cell, "on_sleep")
    cell.shard.capture_quietly(cell)


async def _wind_down(cell: Cell, hook: str) -> None:
    cell.abort()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + cell.definition.settings.sleep_grace_period
    if hook in cell.definition.hooks:
        await _run_hook(cell, hook, deadline)
    if not await cell.wait_idle(max(0.0, deadline - loop.time())):
        cell.log.warning("grace period over", running=cell.running)


async def _run_hook(cell: Cell, hook: str, deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await result_of(getattr(cell.actor, hook)())
    except BaseException as error:  # as in a start: user code must not end the worker
        cell.log.error("hook failed", hook=hook, exc_info=error)
