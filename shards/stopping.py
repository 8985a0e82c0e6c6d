"""Ending an actor's life in memory: destroy for good, sleep, or drain before the process leaves.

All give running work the same budget, ``sleep_grace_period``, and call exactly one hook:
``on_destroy`` or ``on_sleep`` (semantics page, sections 2.7 and 2.8).

Rule 1. From the beginning messages of connections are not taken any more: they stay
        unacknowledged and the next generation gets them.
Rule 2. When the budget is over, actions that still run are answered ``actor.stopping``, so that
        none of them is delivered again.
Rule 3. Connections that cannot hibernate end, with ``on_disconnect``; those that can leave memory
        when everything is on disk. To destroy an actor ends all of them.
Rule 4. An actor that is destroyed while it leaves memory is waited for no longer: what is left of
        its sleep is the end of an ``on_sleep`` that has begun, then its destruction begins.
"""

from __future__ import annotations

import asyncio

from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER
from stator.runtime.errors import ActorNotFound, ActorStopping, StorageUnavailable
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
    if cell.status is Status.GONE:
        raise StorageUnavailable
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
    if cell.status is Status.SLEEPING:
        _part_with_connections(cell, CLOSE_NORMAL, "actor.stopped")
        await _wind_down(cell, "on_sleep")
    if cell.status is Status.SLEEPING:
        await _store_sleeping(cell)
    if cell.status is Status.DESTROYING:
        await destroy(cell)  # rule 4
    elif cell.status is Status.SLEEPING:
        suspend_connections(cell)


async def _store_sleeping(cell: Cell) -> None:
    if cell.queues is not None:
        cell.held += cell.queues.hand_over()
    row = cell.row
    row.slept_ms = cell.shard.clock.now_ms()
    _store_all(cell)
    cell.shard.write(RecordSleep(row.slept_ms, row.pk), cell)
    while cell.batch is not None:
        await cell.wait_committed()
        cell.shard.flush(cell)  # what clients that left meanwhile caused


async def drain(cell: Cell) -> bool:
    """Let running work end, run ``on_sleep``, put the last state into the batch.

    The connections stay until the caller has made sure that the batch is on disk. ``False`` if
    the actor was destroyed meanwhile: that is left to the caller.
    """
    cell.become(Status.DRAINING)
    _part_with_connections(cell, GOING_AWAY, "ws.going_away")
    await _wind_down(cell, "on_sleep")
    if cell.status is Status.DESTROYING:
        return False
    if cell.status is Status.DRAINING:
        _store_all(cell)
    return True


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
    if cell.run_loop is not None:
        cell.run_loop.settle()


async def _wind_down(cell: Cell, hook: str) -> None:
    CALLER.set(None)  # nobody's work, whoever asked for it
    status = cell.status
    cell.abort()
    clock = cell.shard.clock
    deadline = clock.time() + cell.definition.settings.sleep_grace_period
    overdue = None
    if hook in cell.definition.hooks and not await _run_hook(cell, hook, deadline):
        overdue = hook
    has_ended = await _has_ended(cell, deadline, waits_for_run=hook == "on_sleep")
    if cell.status is not status:
        return  # destroyed (rule 4), or its storage was lost
    cell.refuses_work = True
    if overdue or not has_ended:
        await _cut_off(cell, overdue)
    if cell.run_loop is not None and (task := cell.run_loop.cut_off()) is not None:
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


async def cut_off(cell: Cell) -> None:
    """End what an actor still does that did not start or lost its storage: nothing is kept."""
    cell.refuses_work = True
    run = None if cell.run_loop is None else cell.run_loop.cut_off()
    await cancel_tasks(cell)
    if run is not None:
        await asyncio.wait({run}, timeout=CANCEL_TIMEOUT_S)
    if cell.database is not None:
        await cell.database.close(0.0)
    if cell.status is Status.GONE:
        cell.let_go()


async def _has_ended(cell: Cell, deadline: float, *, waits_for_run: bool) -> bool:
    """Wait until the actor's work has come to an end, or its status is another one; ``False`` if
    the deadline passed first."""
    run_loop = cell.run_loop if waits_for_run else None

    async def ended() -> None:
        if run_loop is not None:
            await run_loop.wait()
        await cell.wait_idle()

    if not (cell.running or cell.lingering or (run_loop is not None and run_loop.is_active)):
        return True
    clock = cell.shard.clock
    awaited = [asyncio.ensure_future(ended()), asyncio.ensure_future(cell.changed())]
    try:
        async with Budget(clock, deadline - clock.time()):
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        return False
    finally:
        for each in awaited:
            each.cancel()
    return True


async def _cut_off(cell: Cell, hook: str | None) -> None:
    """End what the grace period was not enough for (semantics page, section 2.7, step 9).

    ``hook`` is that of the end, if it was cut off.
    """
    cell.log.warning(
        "grace period over",
        hook=hook,
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


async def _run_hook(cell: Cell, hook: str, deadline: float) -> bool:
    """Run the hook of the end; ``False`` if it was cut off. What it raises is logged."""
    clock = cell.shard.clock

    async def run() -> None:
        try:
            await result_of(getattr(cell.actor, hook)())
        except asyncio.CancelledError as error:
            if not is_overdue:
                cell.log.error("hook failed", hook=hook, exc_info=error)
        except BaseException as error:  # as in a start: user code must not end the worker
            cell.log.error("hook failed", hook=hook, exc_info=error)

    is_overdue = False
    task = asyncio.ensure_future(run())
    try:
        async with Budget(clock, deadline - clock.time()):
            await asyncio.wait({task})
    except TimeoutError:
        is_overdue = True
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_TIMEOUT_S)
    return not is_overdue
