"""Requests about the workflow of an actor that is not in memory: who is woken and who is not."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from stator import Actor, action
from stator.runtime.keys import normalize_key, serialize_key
from stator.runtime.link.frames import Refusal, Resolution, Result, SleepActor
from stator.runtime.storage import InsertActor, PutRun, Writes
from stator.runtime.workflow.entries import (
    Entry,
    EntryStatus,
    Kind,
    Run,
    RunStatus,
    encode_record,
)
from stator.runtime.workflow_control import HistoryRecord, StatusRecord, Verb, WaitRecord
from tests.fakes.controlled_workflow import NAME, control, pretend_workflows, send_verb
from tests.fakes.engine_in_process import LocalEngine, running_engine, turns
from tests.fakes.memory_disk import apply
from tests.fakes.memory_store import MemoryDisk, MemoryStore


class Flow(Actor):
    state: int = 0

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state


USE: dict[str, type[Actor]] = {NAME: Flow, "plain": Flow}
CHANGING = [Verb.CANCEL, Verb.RETRY, Verb.FORK]
WAITING = Entry(1, "nap", Kind.SLEEP, EntryStatus.WAITING, "", 6, due_ms=99)
DONE = Entry(2, "charge", Kind.STEP, EntryStatus.COMPLETED, "", 7, attempts=1)


@pytest.fixture(autouse=True)
def _workflows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pretend_workflows(monkeypatch)
    yield


def _disk(name: str = NAME, run: Run | None = None, *entries: Entry) -> MemoryDisk:
    """Return a disk with one actor that sleeps."""
    disk = MemoryDisk()
    key = serialize_key(normalize_key(()))
    operations: list[Any] = [InsertActor(1, "", "default", name, key, 3, None)]
    if run is not None:
        operations.append(PutRun(1, run.status, None, False, encode_record(run)))
    writes = Writes(operations)
    writes.entries = {(1, entry.seq): encode_record(entry) for entry in entries}
    apply(disk, writes)
    return disk


def _run(status: RunStatus = RunStatus.RUNNING) -> Run:
    return Run(2, status, "seed", 5)


async def _ask(local: LocalEngine, verb: Verb = Verb.STATUS, **options: Any) -> StatusRecord:
    payload = await control(local, verb, **options)
    assert isinstance(payload, bytes), payload
    return msgspec.msgpack.decode(payload, type=StatusRecord)


async def _asleep(local: LocalEngine, name: str = NAME) -> str:
    """Create an actor and let it sleep; return its id."""
    actor_id = (await local.create(name)).actor.actor_id
    await local.ask(lambda number: SleepActor(number, 0, "default", actor_id))
    return actor_id


async def test_the_status_of_an_actor_that_sleeps_is_what_is_stored() -> None:
    store = MemoryStore(_disk(NAME, _run(), WAITING, DONE))
    async with running_engine(store, use=USE) as local:
        record = await _ask(local)
        assert (record.status, record.run, record.created_ms) == ("sleeping", 2, 5)
        assert record.open == [WaitRecord("nap", "sleep", "waiting", 99, 0)]


async def test_the_history_of_an_actor_that_sleeps_is_what_is_stored() -> None:
    store = MemoryStore(_disk(NAME, _run(RunStatus.COMPLETED), DONE))
    async with running_engine(store, use=USE) as local:
        payload = await control(local, Verb.HISTORY)
        assert isinstance(payload, bytes)
        record = msgspec.msgpack.decode(payload, type=HistoryRecord)
        assert (record.name, record.status.status) == (NAME, "completed")
        assert [row.image for row in record.rows.entries] == [encode_record(DONE)]


@pytest.mark.parametrize("verb", [Verb.STATUS, Verb.HISTORY])
@pytest.mark.parametrize("how", [Resolution.GET, Resolution.GET_OR_CREATE])
async def test_a_look_wakes_nobody(verb: Verb, how: Resolution) -> None:
    async with running_engine(MemoryStore(_disk(NAME, _run())), use=USE) as local:
        await control(local, verb, how=how)
        assert not local.is_awake(NAME)


async def test_a_look_by_id_wakes_nobody() -> None:
    async with running_engine(use=USE) as local:
        actor_id = await _asleep(local)
        assert (await _ask(local, actor_id=actor_id)).status == "pending"
        assert not local.is_awake(NAME)


async def test_an_actor_whose_workflow_stored_nothing_is_pending() -> None:
    async with running_engine(MemoryStore(_disk()), use=USE) as local:
        record = await _ask(local)
        assert (record.status, record.run, record.created_ms) == ("pending", 0, None)


@pytest.mark.parametrize("verb", CHANGING)
async def test_what_changes_something_wakes_the_actor(verb: Verb) -> None:
    async with running_engine(MemoryStore(_disk(NAME, _run())), use=USE) as local:
        await control(local, verb)
        assert local.is_awake(NAME)


async def test_what_changes_something_wakes_an_actor_by_its_id() -> None:
    async with running_engine(use=USE) as local:
        actor_id = await _asleep(local)
        await control(local, Verb.CANCEL, actor_id=actor_id)
        assert local.is_awake(NAME)


# -- nobody there


@pytest.mark.parametrize("verb", [Verb.STATUS, Verb.HISTORY, *CHANGING])
async def test_an_actor_that_does_not_exist_is_not_found(verb: Verb) -> None:
    async with running_engine(use=USE) as local:
        assert await control(local, verb) == "actor.not_found"


async def test_an_id_that_does_not_exist_is_not_found() -> None:
    async with running_engine(use=USE) as local:
        actor_id = await _asleep(local)
        await local.destroy(actor_id)
        assert await control(local, Verb.STATUS, actor_id=actor_id) == "actor.not_found"


@pytest.mark.parametrize("verb", [Verb.STATUS, Verb.CANCEL])
async def test_get_or_create_creates_it(verb: Verb) -> None:
    async with running_engine(use=USE) as local:
        await control(local, verb, how=Resolution.GET_OR_CREATE)
        assert local.is_awake(NAME)


@pytest.mark.parametrize("how", [Resolution.GET, Resolution.GET_OR_CREATE])
async def test_a_name_that_nobody_registered(how: Resolution) -> None:
    async with running_engine(MemoryStore(_disk("old")), use=USE) as local:
        assert await control(local, Verb.STATUS, name="old", how=how) == "actor.not_registered"


@pytest.mark.parametrize("verb", [Verb.STATUS, *CHANGING])
async def test_an_actor_without_workflow_is_not_woken_to_say_so(verb: Verb) -> None:
    async with running_engine(MemoryStore(_disk("plain")), use=USE) as local:
        assert await control(local, verb, name="plain") == "workflow.not_enabled"
        assert not local.is_awake("plain")


async def test_an_actor_without_workflow_is_not_created_to_say_so() -> None:
    async with running_engine(use=USE) as local:
        said = await control(local, Verb.STATUS, name="plain", how=Resolution.GET_OR_CREATE)
        assert said == "workflow.not_enabled"
        assert not local.is_awake("plain")


# -- what happens meanwhile


async def test_a_look_finds_the_actor_that_somebody_else_creates_meanwhile() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        store.hold_look_ups()
        asked = send_verb(local, Verb.STATUS, name="plain")
        await turns()
        created = local.send("plain", "add", 1)
        store.release_look_ups()
        await created
        header, _ = await asked
        assert isinstance(header, Refusal)
        assert header.code == "not_enabled"


async def test_a_look_at_an_actor_that_falls_asleep_waits_for_it() -> None:
    store = MemoryStore(_disk(NAME, _run(), WAITING))
    async with running_engine(store, use=USE) as local:
        await local.call(NAME, "add", 1)
        store.hold_commits()
        local.actor(NAME).sleep()
        asked = send_verb(local, Verb.STATUS)
        await turns()
        assert not asked.done()
        store.release_commits()
        header, payload = await asked
        assert isinstance(header, Result)
        assert msgspec.msgpack.decode(payload, type=StatusRecord).status == "sleeping"
        assert not local.is_awake(NAME)


async def test_a_worker_that_leaves_wakes_nobody_for_a_look_that_was_under_way() -> None:
    store = MemoryStore(_disk(NAME, _run()))
    async with running_engine(store, use=USE) as local:
        store.hold_look_ups()
        asked = send_verb(local, Verb.CANCEL)
        await turns()
        draining = asyncio.ensure_future(local.engine.drain())
        store.release_look_ups()
        header, _ = await asked
        await draining
        assert isinstance(header, Refusal)
        assert header.code == "service_unavailable"


async def test_rows_that_cannot_be_read_are_logged() -> None:
    disk = _disk()
    apply(disk, Writes([PutRun(1, "running", None, False, b"\xc1")]))
    async with running_engine(MemoryStore(disk), use=USE) as local:
        assert await control(local, Verb.STATUS) == "storage.unavailable"
        assert "look at a workflow failed" in str(local.log.lines)
