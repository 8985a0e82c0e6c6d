"""Ending an actor's life in memory: destroy for good, sleep, or drain before the process leaves.

All give running work the same budget, ``sleep_grace_period``, and call exactly one hook:
``on_destroy`` or ``on_sleep`` (semantics page, sections 2.7 and 2.8).

Rule 1. From the beginning messages of connections are not taken any more: they stay
        unacknowledged and the next generation gets them.
Rule 2. When the budget is over, actions that still run are answered ``actor.stopping``, so that
        none of them is delivered again.
Rule 3. Connections that cannot hibernate end, with ``on_disconnect``; those that can leave memory
        when everything is on disk. To destroy an actor ends all of them.
"""

from __future__ import annotations

import asyncio

from stator.runtime.awaiting import result_of
from stator.runtime.errors import ActorNotFound, ActorStopping
from stator.runtime.storage import DeleteActor, RecordSleep

from .cell import Cell
from .connections import CLOSE_NORMAL
from .hibernation import connections_of, remember, suspend_connections
from .hook_budget import Budget
from .lifecycle import Status

GOING_AWAY = 1001
CANCEL_TIMEOUT_S = 1.0
"""How long a cancelled handler may take before it is left behind."""


async def destroy(cell: Cell) -> None:
    """Let running work end, run ``on_destroy``, delete the actor's rows.

    Nothing of it is done before the mark of :meth:`.shard.Shard.destroy` is on disk. Raises
    ``storage.unavailable`` if it cannot be: then the actor lives on.
    """
    await cell.wait_committed()
    for connection in connections_of(cell):
        connection.close(CLOSE_NORMAL, "")
    await _wind_down(cell, "on_destroy")
    if cell.queues is not None:
        cell.queues.fail(ActorNotFound())
    await delete(cell)


async def delete(cell: Cell) -> None:
    """Delete the actor's database and rows. Raises ``storage.unavailable``."""
    cell.shard.flush(cell)
    has_database = cell.definition.database is not None
    if has_database:
        # Its mark has to be on disk first: no actor may come back without its database.
        await cell.wait_committed()
    cell.become(Status.DELETED)
    cell.shard.withdraw(cell)
    if has_database:
        await cell.shard.delete_database(cell)
    cell.shard.write(DeleteActor(cell.row.pk), cell)
    await cell.wait_committed()


async def sleep(cell: Cell) -> None:
    """Let running work end, run ``on_sleep``, store the rest and hand connections back.

    Raises ``storage.unavailable``: then it has left memory already.
    """
    _part_with_connections(cell, CLOSE_NORMAL, "actor.stopped")
    await _wind_down(cell, "on_sleep")
    if cell.queues is not None:
        cell.held += cell.queues.hand_over()
    row = cell.row
    row.slept_ms = cell.shard.clock.now_ms()
    _store_all(cell)
    cell.shard.write(RecordSleep(row.slept_ms, row.pk), cell)
    while cell.batch is not None:
        await cell.wait_committed()
        cell.shard.flush(cell)  # what clients that left meanwhile caused
    suspend_connections(cell)


async def drain(cell: Cell) -> None:
    """Let running work end, run ``on_sleep``, put the last state into the batch.

    The connections stay until the caller has made sure that the batch is on disk.
    """
    cell.become(Status.DRAINING)
    _part_with_connections(cell, GOING_AWAY, "ws.going_away")
    await _wind_down(cell, "on_sleep")
    _store_all(cell)


def _part_with_connections(cell: Cell, code: int, reason: str) -> None:
    for connection in connections_of(cell):
        if not connection.is_hibernatable:
            connection.close(code, reason)
        elif connection.raw is not None:
            connection.raw.leave()


def _store_all(cell: Cell) -> None:
    for connection in connections_of(cell):
        if connection.raw is not None:
            remember(connection)  # the index of its last message
        if connection.conn is not None:
            connection.touch()  # somebody may have kept its state
    cell.shard.flush(cell)
    cell.shard.capture_quietly(cell)
    cell.shard.save_deferred()


async def _wind_down(cell: Cell, hook: str) -> None:
    cell.abort()
    clock = cell.shard.clock
    deadline = clock.time() + cell.definition.settings.sleep_grace_period
    if hook in cell.definition.hooks:
        await _run_hook(cell, hook, deadline)
    if not await _has_ended(cell, deadline, waits_for_run=hook == "on_sleep"):
        await _cut_off(cell)
    if cell.run_loop is not None and (task := cell.run_loop.cancel()) is not None:
        await asyncio.wait({task}, timeout=CANCEL_TIMEOUT_S)
    if cell.database is not None:
        await cell.database.close(max(0.0, deadline - clock.time()))


def has_something_to_end(cell: Cell) -> bool:
    """Whether an actor has work, visitors, a hook or files that a drain must see to."""
    return bool(
        cell.running
        or cell.lingering
        or cell.visits
        or cell.database is not None
        or cell.queues is not None
        or (cell.run_loop is not None and cell.run_loop.is_active)
        or "on_sleep" in cell.definition.hooks
    )


async def cut_off_evicted(cell: Cell) -> None:
    """End what an actor that lost its storage still does; nothing of it can be kept."""
    if cell.run_loop is not None:
        cell.run_loop.cancel()
    await cancel_tasks(cell)
    if cell.database is not None:
        await cell.database.close(0.0)


async def _has_ended(cell: Cell, deadline: float, *, waits_for_run: bool) -> bool:
    """Wait until the actor's work has come to an end; ``False`` if the deadline passed first."""
    clock = cell.shard.clock
    if waits_for_run and cell.run_loop is not None and cell.run_loop.is_active:
        try:
            async with Budget(clock, deadline - clock.time()):
                await cell.run_loop.wait()
        except TimeoutError:
            return False
    return await cell.wait_idle(deadline - clock.time())


async def _cut_off(cell: Cell) -> None:
    """End what the grace period was not enough for (semantics page, section 2.7, step 9)."""
    cell.log.warning(
        "grace period over",
        running=cell.running,
        wait_until=cell.lingering,
        actions=len(cell.calls),
        run=cell.run_loop is not None and cell.run_loop.is_active,
    )
    for action in list(cell.calls.values()):
        action.reject(ActorStopping())
    for connection in connections_of(cell):
        if connection.raw is not None:
            connection.raw.cancel()
    await cancel_tasks(cell)


async def cancel_tasks(cell: Cell) -> None:
    """Cancel raw requests and background work and let them answer their clients."""
    tasks = list(cell.tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT_S)


async def _run_hook(cell: Cell, hook: str, deadline: float) -> None:
    clock = cell.shard.clock
    try:
        async with Budget(clock, deadline - clock.time()):
            await result_of(getattr(cell.actor, hook)())
    except BaseException as error:  # as in a start: user code must not end the worker
        cell.log.error("hook failed", hook=hook, exc_info=error)
