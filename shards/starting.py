"""Starting an actor: the hooks of creation and wake, in order (semantics page, section 2.2).

Rule 1. Creation is complete once its first state image is durable; a crash before repeats it.
Rule 2. An error or a timeout in any hook fails the start; the actor leaves memory and the next
        request starts it again.
Rule 3. An actor without such hooks, database and overdue schedules starts within the turn: no
        task, nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stator.runtime.definition import START_HOOKS
from stator.runtime.options import CREATE_STATE_TIMEOUT_S, ON_CREATE_TIMEOUT_S, ON_WAKE_TIMEOUT_S
from stator.runtime.protocol.actions import decode_input
from stator.runtime.state_codec import StateTracker
from stator.runtime.storage import RecordStart, ScheduleRow
from stator.runtime.workflow.guard import raw_state

from .cell import Cell
from .hibernation import restore_connections
from .hook_budget import run_hook, within

if TYPE_CHECKING:
    from .schedules.book import Claim

STATELESS_IMAGE = b""
"""Stored for an actor without state, so that its row says the first start was completed."""


def takes_time(cell: Cell) -> bool:
    """Whether starting the actor runs code of the user or waits for its storage (rule 3)."""
    definition, schedules = cell.definition, cell.row.schedules
    return (
        definition.database is not None
        or (definition.workflow is not None and cell.row.state is not None)
        or not START_HOOKS.isdisjoint(definition.hooks)
        or (
            bool(schedules)
            and (cell.row.state is None or schedules[0].due_ms <= cell.shard.clock.now_ms())
        )
    )


def start_plain(cell: Cell) -> None:
    """Start an actor that has no hooks. Raises what is wrong with its state."""
    _begin_generation(cell)
    if cell.definition.workflow is not None:
        _open_new_workflow(cell)
    if cell.row.state is None:
        if cell.definition.has_state:
            cell.actor.state = cell.definition.initial_state()
        _complete_creation(cell)
    else:
        _restore(cell)
    _make_plain_vars(cell)


async def start_with_hooks(cell: Cell) -> None:
    """Start an actor, running its hooks. Raises what they raise."""
    _begin_generation(cell)
    definition, actor = cell.definition, cell.actor
    settings = definition.settings
    is_new = cell.row.state is None
    if definition.workflow is not None:
        await _open_workflow(cell, is_new)
    if not is_new:
        _restore(cell)
    elif cell.row.schedules:
        cell.schedule_book.discard(_take_schedules(cell))
    await _migrate(cell, is_new)
    if is_new:
        given = decode_input(cell.row.input) if cell.row.input is not None else None
        if "create_state" in definition.hooks:
            actor.state = await run_hook(cell, "create_state", CREATE_STATE_TIMEOUT_S, given)
        elif definition.has_state:
            actor.state = definition.initial_state()
        if "on_create" in definition.hooks:
            await run_hook(cell, "on_create", ON_CREATE_TIMEOUT_S, given)
        _complete_creation(cell)
    if "create_vars" in definition.hooks:
        actor.vars = await run_hook(cell, "create_vars", settings.create_vars_timeout)
    else:
        _make_plain_vars(cell)
    if "on_wake" in definition.hooks:
        await run_hook(cell, "on_wake", ON_WAKE_TIMEOUT_S)
    cell.shard.capture(cell)


async def claim_overdue(cell: Cell) -> list[Claim]:
    """Claim the schedules that are due when an actor starts; they run ahead of requests.

    Raises ``storage.unavailable``.
    """
    if cell.schedules is None:
        return []
    claims = cell.schedules.claim_due(cell.shard.clock.now_ms())
    if claims:
        await cell.wait_committed()
    return claims


def _open_new_workflow(cell: Cell) -> None:
    from .workflows.opening import open_new_workflow  # only for those who have one

    open_new_workflow(cell)


async def _open_workflow(cell: Cell, is_new: bool) -> None:
    """Open the workflow ahead of the state, which may be repaired with it."""
    if is_new:
        _open_new_workflow(cell)
        return
    from .workflows.opening import open_workflow

    await open_workflow(cell)


async def _migrate(cell: Cell, is_new: bool) -> None:
    """Bring the actor's database up to date and run ``on_migrate``, within one time limit."""
    definition = cell.definition
    seconds = definition.settings.on_migrate_timeout
    has_hook = "on_migrate" in definition.hooks
    if definition.database is not None:
        cell.database = cell.database or cell.shard.open_database(cell)

        async def run_own() -> None:
            if has_hook:
                await run_hook(cell, "on_migrate", seconds, is_new)

        await within(cell.shard.clock, "on_migrate", seconds, cell.database.migrate(run_own))
    elif has_hook:
        await run_hook(cell, "on_migrate", seconds, is_new)


def _begin_generation(cell: Cell) -> None:
    definition = cell.definition
    actor: Any = object.__new__(definition.cls)
    actor._host = cell
    actor.__init__()
    cell.actor = actor
    row = cell.row
    if row.state is None:
        cell.tracker = _new_tracker(cell)
    row.generation += 1
    row.started_ms = cell.shard.clock.now_ms()
    # Nobody's output waits for this: after a crash the number may be used again, the data not.
    cell.shard.write(RecordStart(row.generation, row.started_ms, row.pk))


def _new_tracker(cell: Cell) -> StateTracker | None:
    definition = cell.definition
    return StateTracker(definition.state_codec) if definition.has_state else None


def _restore(cell: Cell) -> None:
    tracker = _new_tracker(cell)
    if tracker is not None:
        _restore_state(cell, tracker)
    # Not before: whoever captures meanwhile finds nothing to capture.
    cell.tracker = tracker
    restore_connections(cell)
    if cell.row.schedules:
        cell.schedule_book.restore(_take_schedules(cell))


def _take_schedules(cell: Cell) -> Sequence[ScheduleRow]:
    rows, cell.row.schedules = cell.row.schedules, ()
    return rows


def _restore_state(cell: Cell, tracker: StateTracker) -> None:
    if cell.row.state == STATELESS_IMAGE:
        # The class had no state when this actor was created.
        cell.actor.state = cell.definition.initial_state()
    else:
        assert cell.row.state is not None
        cell.actor.state = tracker.restore(cell.row.state)
    # The tracker has it now; an idle actor should not hold its state three times.
    cell.row.state = STATELESS_IMAGE


def _complete_creation(cell: Cell) -> None:
    image: bytes | None = None
    if cell.tracker is not None:
        state = raw_state(cell.actor) if cell.definition.guards_state else cell.actor.state
        image = cell.tracker.capture(state)
    cell.shard.put_state(cell, STATELESS_IMAGE if image is None else image)
    cell.row.state = STATELESS_IMAGE
    cell.row.input = None


def _make_plain_vars(cell: Cell) -> None:
    if cell.definition.has_vars:
        cell.actor.vars = cell.definition.initial_vars()
