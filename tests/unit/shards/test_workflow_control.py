"""What is asked of the workflow of an actor in memory: what is done, and who is told what."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from stator import Actor, action
from stator.runtime.errors import CallerError
from stator.runtime.link.frames import Refusal, Resolution, Result
from stator.runtime.storage import EntryRow, PutRun, RunRow, WorkflowRows
from stator.runtime.workflow_control import HistoryRecord, StatusRecord, Verb, VerbArguments
from stator.shards.workflows import control as module
from tests.fakes.controlled_workflow import (
    NAME,
    StubWorkflow,
    cell_of,
    control,
    give_workflow,
    pretend_workflows,
    send_verb,
)
from tests.fakes.engine_in_process import LocalEngine, running_engine, turns
from tests.fakes.memory_store import MemoryStore


class Flow(Actor):
    state: int = 0

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state


USE: dict[str, type[Actor]] = {NAME: Flow, "plain": Flow}
CHANGING = [Verb.CANCEL, Verb.RETRY, Verb.FORK, Verb.RESOLVE]
ARGUMENTS = VerbArguments("a/b", b"\x07")


class TooEarly(CallerError):
    """Not now."""

    known = ("workflow", "in_flight", 409)


@pytest.fixture(autouse=True)
def _workflows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pretend_workflows(monkeypatch)
    yield


async def _awake(local: LocalEngine) -> StubWorkflow:
    await local.call(NAME, "add", 1)
    return give_workflow(local)


@pytest.mark.parametrize(
    ("verb", "asked"),
    [
        (Verb.STATUS, []),
        (Verb.HISTORY, []),
        (Verb.CANCEL, [("cancel",)]),
        (Verb.RETRY, [("retry",)]),
        (Verb.FORK, [("fork", "a/b")]),
        (Verb.RESOLVE, [("resolve", "a/b", b"\x07")]),
    ],
)
async def test_a_verb_does_what_it_says(verb: Verb, asked: list[Any]) -> None:
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        await control(local, verb, ARGUMENTS)
        assert workflow.asked == asked


@pytest.mark.parametrize("verb", [Verb.STATUS, *CHANGING])
async def test_the_answer_is_the_status(verb: Verb) -> None:
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        payload = await control(local, verb, ARGUMENTS)
        assert isinstance(payload, bytes)
        assert msgspec.msgpack.decode(payload, type=StatusRecord) == workflow.record


async def test_the_history_is_all_that_is_stored_and_whose_it_is() -> None:
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        workflow.stored = WorkflowRows(RunRow("running", None, True, b"r"), [EntryRow(1, b"e")])
        payload = await control(local, Verb.HISTORY)
        assert isinstance(payload, bytes)
        record = msgspec.msgpack.decode(payload, type=HistoryRecord)
        row = cell_of(local).row
        assert (record.actor_id, record.name, record.key) == (row.actor_id, NAME, row.key)
        assert (record.status, record.rows) == (workflow.record, workflow.stored)


async def test_a_fork_without_a_key_is_one_from_scratch() -> None:
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        await control(local, Verb.FORK)
        assert workflow.asked == [("fork", None)]


async def test_an_actor_is_found_by_its_id() -> None:
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        await control(local, Verb.CANCEL, actor_id=cell_of(local).row.actor_id)
        assert workflow.asked == [("cancel",)]


@pytest.mark.parametrize("verb", list(Verb))
async def test_a_class_without_workflow_says_so(verb: Verb) -> None:
    async with running_engine(use=USE) as local:
        await local.call("plain", "add", 1)
        header, _ = await send_verb(local, verb, ARGUMENTS, name="plain")
        assert isinstance(header, Refusal)
        assert (header.group, header.code, header.status) == ("workflow", "not_enabled", 404)


@pytest.mark.parametrize("verb", list(Verb))
async def test_what_the_workflow_refuses_is_told(verb: Verb) -> None:
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        workflow.error = TooEarly("later", metadata={"state": "running"})
        header, _ = await send_verb(local, verb, ARGUMENTS)
        assert isinstance(header, Refusal)
        assert (header.group, header.code, header.status) == ("workflow", "in_flight", 409)
        assert (header.message, header.metadata) == ("later", {"state": "running"})


async def test_a_bug_is_logged_and_told_without_its_text() -> None:
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        workflow.error = ZeroDivisionError("secret")
        header, _ = await send_verb(local, Verb.RETRY)
        assert isinstance(header, Refusal)
        assert (header.code, "secret" in header.message) == ("internal_error", False)
        assert "control of a workflow failed" in str(local.log.lines)


@pytest.mark.parametrize(
    ("verb", "payload"),
    [(99, b""), (Verb.STATUS, b"\xc1"), (Verb.FORK, b"\x91\x01"), (Verb.RESOLVE, b"")],
)
async def test_what_cannot_be_read_is_an_invalid_request(verb: int, payload: bytes) -> None:
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        header, _ = await send_verb(local, verb, payload)
        assert isinstance(header, Refusal)
        assert (header.group, header.code, workflow.asked) == ("actor", "invalid_request", [])


async def test_a_history_that_fits_no_frame_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 10)
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        workflow.stored = WorkflowRows(None, [EntryRow(1, bytes(100))])
        assert await control(local, Verb.HISTORY) == "message.outgoing_too_long"


# -- when


@pytest.mark.parametrize("error", [None, TooEarly()], ids=["answer", "refusal"])
async def test_nothing_is_told_before_it_is_durable(error: CallerError | None) -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        workflow = await _awake(local)
        workflow.error = error
        store.hold_commits()
        cell = cell_of(local)
        cell.shard.write(PutRun(cell.row.pk, "running", None, True, b""), cell)
        reply = send_verb(local, Verb.CANCEL)
        await turns()
        assert not reply.done()
        store.release_commits()
        assert isinstance((await reply)[0], Result if error is None else Refusal)


@pytest.mark.parametrize(("verb", "is_busy"), [(Verb.STATUS, False), (Verb.CANCEL, True)])
async def test_only_what_changes_something_keeps_an_actor_awake(verb: Verb, is_busy: bool) -> None:
    async with running_engine(use=USE) as local:
        workflow = await _awake(local)
        workflow.gate = asyncio.Event()
        reply = send_verb(local, verb)
        await turns()
        assert cell_of(local).is_idle is not is_busy
        workflow.gate.set()
        await reply
        assert cell_of(local).is_idle


async def test_requests_for_an_actor_that_is_looked_up_wait_for_it() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        store.hold_look_ups()
        called = local.send("plain", "add", 1)
        asked = send_verb(local, Verb.STATUS, name="plain", how=Resolution.GET)
        await turns()
        assert not asked.done()
        store.release_look_ups()
        await called
        header, _ = await asked
        assert isinstance(header, Refusal)
        assert header.code == "not_enabled"


async def test_an_actor_that_lost_its_storage_answers_no_verb() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        workflow = await _awake(local)
        workflow.gate = asyncio.Event()
        reply = send_verb(local, Verb.CANCEL)
        await turns()
        store.fail_next_commit()
        await asyncio.wait({local.send(NAME, "add", 1)})
        header, _ = await reply
        assert isinstance(header, Refusal)
        assert (header.group, header.code) == ("actor", "restarting")


async def test_a_look_at_an_actor_that_lost_its_storage_finds_what_is_stored() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        workflow = await _awake(local)
        workflow.gate = asyncio.Event()
        reply = send_verb(local, Verb.STATUS)
        await turns()
        store.fail_next_commit()
        await asyncio.wait({local.send(NAME, "add", 1)})
        workflow.gate.set()
        _, payload = await reply
        assert msgspec.msgpack.decode(payload, type=StatusRecord).status == "pending"
