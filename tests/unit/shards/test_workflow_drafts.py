"""The copy of the state that a ``wf.txn`` works on, and how it becomes the actor's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stator.runtime.errors import StateNotSerializable
from stator.runtime.workflow.host import Checkpoint
from stator.runtime.workflow_errors import TxnConflict
from stator.shards.workflows.drafts import make_draft
from tests.fakes.engine_in_process import turns
from tests.fakes.txn_actor import (
    SEEN,
    SEQ,
    Gate,
    Stateless,
    Telling,
    add,
    leave,
    nothing,
    running,
)

# -- when all goes well


async def test_the_copy_becomes_the_state_and_everything_is_there(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.txn(add(1))
        await it.cell.wait_committed()
        assert await it.call("get") == [1]
        assert await it.call("rows") == [SEQ]
        assert it.entries() == {SEQ: b"done"}
        assert it.stored() == [1]


async def test_the_checkpoint_has_the_state_that_was_reached(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.call("add", 0)
        await it.txn(add(1))
        (checkpoint,) = await it.checkpoints()
        assert (checkpoint.seq, checkpoint.entry) == (SEQ, b"done")
        assert it.decoded(checkpoint.state) == [0, 1]


async def test_entry_and_state_are_one_commit(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.txn(add(1))
        await it.cell.wait_committed()
        writes = it.store.commits[-1]
        assert len(writes.entries) == len(writes.states) == 1


async def test_one_that_leaves_the_state_alone_has_none_in_its_checkpoint(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.txn(leave)
        await it.cell.wait_committed()
        assert await it.checkpoints() == [Checkpoint(SEQ, b"done", None)]
        assert it.entries() == {SEQ: b"done"}


async def test_one_that_leaves_the_state_alone_holds_nobody_up(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        task = await it.begin(leave, gate)
        assert await it.call("add", 1) == [1]
        gate.open.set()
        await task
        assert await it.call("get") == [1]


async def test_one_that_leaves_the_state_alone_is_done_whatever_others_did_to_it(
    tmp_path: Path,
) -> None:
    done: list[str] = []

    def put() -> None:
        done.append("tried")
        if len(done) == 1:
            raise StateNotSerializable("somebody else's")

    async with running(tmp_path) as it:
        await make_draft(it.cell).publish(nothing, put)
        assert done == ["tried", "tried"]


async def test_an_actor_without_state_has_an_empty_draft(tmp_path: Path) -> None:
    async with running(tmp_path, Stateless) as it:
        await it.txn(leave)
        await it.cell.wait_committed()
        assert make_draft(it.cell).value is None
        assert await it.checkpoints() == [Checkpoint(SEQ, b"done", None)]
        assert it.entries() == {SEQ: b"done"}


async def test_the_copy_may_be_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        draft = make_draft(it.cell)
        draft.value = ["new"]
        await draft.publish(nothing, lambda: None)
        assert await it.call("get") == ["new"]


async def test_the_hook_of_changes_is_told_once(tmp_path: Path) -> None:
    async with running(tmp_path, Telling) as it:
        SEEN.clear()
        await it.txn(add(1))
        assert SEEN == [[1]]


async def test_two_come_one_after_the_other(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await asyncio.gather(it.txn(add(1), seq=1), it.txn(add(2), seq=2))
        await it.cell.wait_committed()
        assert await it.call("get") == [1, 2]
        assert it.entries() == {1: b"done", 2: b"done"}


async def test_one_waits_for_the_end_of_another(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        gate = Gate()
        first = await it.begin(add(1), gate)
        draft = make_draft(it.cell)
        draft.value.append(2)
        second = asyncio.create_task(draft.publish(nothing, lambda: None))
        await turns()
        gate.open.set()
        await asyncio.gather(first, second)
        assert await it.call("get") == [1, 2]


# -- while it runs


async def test_the_body_works_on_a_copy(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        make_draft(it.cell).value.append(1)
        assert await it.call("get") == []


async def test_if_somebody_else_changes_the_state_meanwhilenothing_is_done(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as it:
        draft = make_draft(it.cell)
        draft.value.append(1)
        await it.call("add", 2)
        with pytest.raises(TxnConflict):
            await draft.publish(_never, _never_put)
        assert await it.call("get") == [2]
        assert it.cell.running == 0


async def _never(_: bytes | None) -> None:
    raise AssertionError("committed in spite of a conflict")


def _never_put() -> None:
    raise AssertionError("went well in spite of a conflict")


async def test_a_change_that_was_not_captured_yet_is_a_conflict_too(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        draft = make_draft(it.cell)
        draft.value.append(1)
        it.actor.state.append(2)
        with pytest.raises(TxnConflict):
            await draft.publish(_never, _never_put)


async def test_a_copy_that_cannot_be_stored_changesnothing(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        with pytest.raises(StateNotSerializable):
            await it.txn(add(object()))
        assert await it.call("get") == []
        assert await it.call("rows") == []
        assert await it.checkpoints() == []
