"""Opening the workflow of an actor that starts, before any of its code runs.

A ``wf.txn`` commits in the actor's database first. If the process ended before the shard knew, the
database says what the step did: the shard is repaired from there, the state included, in one
commit with what follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stator.runtime.workflow.entries import encode_record

from .loop import WorkflowLoop
from .records import StoredWorkflow, awaits_repair, load_workflow, new_workflow, repair

if TYPE_CHECKING:
    from ..cell import Cell


def open_new_workflow(cell: Cell) -> None:
    """Open the workflow of an actor that is created."""
    cell.run_loop = WorkflowLoop(cell, new_workflow(cell))


async def open_workflow(cell: Cell) -> None:
    """Load and repair the workflow of a stored actor, whose state is not restored yet.

    Raises ``storage.unavailable``, ``workflow.history_unreadable`` and ``sqlite.*``.
    """
    stored = await load_workflow(cell)
    if cell.definition.database is not None and awaits_repair(stored):
        await _repair(cell, stored)
    cell.run_loop = WorkflowLoop(cell, stored)


async def _repair(cell: Cell, stored: StoredWorkflow) -> None:
    cell.database = cell.shard.open_database(cell)
    checkpoints = await cell.database.read_checkpoints()
    changed, state = repair(stored, checkpoints)
    for stale in {each.seq for each in checkpoints} - {entry.seq for entry in changed}:
        cell.database.forget_checkpoint(stale)
    for entry in changed:
        cell.shard.put_entry(cell, entry.seq, encode_record(entry))
        cell.log.info("step was committed before a crash", step=entry.key)
    if state is not None:
        cell.row.state = state
        cell.shard.put_state(cell, state)
