"""``wf.txn``: the actor's SQL, its state and the checkpoint of the step, all or nothing.

The actor's database is another file than the shard's. Its transaction carries the checkpoint, the
completed entry and the state that it reached; after a crash between the two commits the shard is
repaired from it before anything runs (workflow page, section 16.2). So the body takes effect
exactly once. It works on a copy of the state, which becomes the actor's with the commit.
"""

from __future__ import annotations

import copy
from typing import Any

from ..workflow_errors import TxnConflict
from .bodies import Attempt
from .entries import EntryStatus, encode_record
from .host import Checkpoint, StepTransaction
from .steps import StepCall, close_completed, prepare
from .undo import mark_of

CONFLICTS = 20
"""How often a body is run again because somebody else changed the state meanwhile."""


async def perform_txn(call: StepCall) -> Any:
    """Make one attempt of a ``txn``; implements :class:`.steps.Performer`."""
    for _ in range(CONFLICTS):
        try:
            return await _try(call)
        except TxnConflict:
            call.strand.run.host.log.info("state changed during a txn: again", step=call.name)
    return await _try(call)


async def _try(call: StepCall) -> Any:
    host = call.strand.run.host
    seconds = call.options.timeout
    transaction = await host.open_transaction(seconds)
    try:
        return await _run_body(call, transaction)
    except BaseException:
        if transaction is not None:
            await transaction.roll_back()
        raise


async def _run_body(call: StepCall, transaction: StepTransaction | None) -> Any:
    strand, entry = call.strand, call.entry
    draft = strand.run.host.draft()
    attempt = Attempt(
        strand,
        entry,
        number=entry.attempts,
        seconds=call.options.timeout,
        draft=draft,
        transaction=transaction,
    )
    output = await attempt.perform(call.function, call.arguments)
    image, result = prepare(call, output)
    completed = copy.copy(entry)
    completed.status = EntryStatus.COMPLETED
    completed.output = image
    completed.finished_ms = strand.run.host.clock.now_ms()
    completed.due_ms = completed.error = None
    if call.options.undo is not None:
        completed.undo = mark_of(call)

    async def commit(state: bytes | None) -> None:
        if transaction is not None:
            checkpoint = Checkpoint(entry.seq, encode_record(completed), state)
            await transaction.commit(checkpoint)

    is_shielded, strand.is_shielded = strand.is_shielded, True
    must_finish, strand.must_finish = strand.must_finish, True
    try:
        await draft.publish(commit, lambda: close_completed(call, image))
        strand.run.host.forget_checkpoint(entry)
    finally:
        strand.is_shielded, strand.must_finish = is_shielded, must_finish
    return result
