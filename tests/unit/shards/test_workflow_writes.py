"""How the entries of workflows get into a batch and out of it: ``shards/shard.py``."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from stator import Actor, action
from stator.runtime.errors import StorageUnavailable
from stator.runtime.storage import PutRun
from stator.shards.cell import Cell
from tests.fakes.engine_in_process import LocalEngine, running_engine, turns
from tests.fakes.memory_store import MemoryStore


class Order(Actor):
    state: int = 0

    @action
    def add(self) -> int:
        self.state += 1
        return self.state


class Office:
    """Two actors whose rows are on disk, and what is stored of their workflows."""

    def __init__(self, store: MemoryStore, engine: LocalEngine, cells: list[Cell]) -> None:
        self.store = store
        self.engine = engine
        self.one, self.two = cells

    @property
    def stored(self) -> dict[tuple[int, int], bytes]:
        """The entries on disk by ``pk`` and ``seq``."""
        disk = self.store.disk
        return {
            (pk, seq): image
            for pk, owned in disk.owned.items()
            for seq, image in owned.entries.items()
        }


@asynccontextmanager
async def open_office() -> AsyncGenerator[Office]:
    """Run an engine with two actors."""
    store = MemoryStore()
    async with running_engine(store, use={"order": Order}) as engine:
        cells: list[Cell] = []
        for key in ("one", "two"):
            await engine.call("order", "add", key=key)
            (shard,) = engine.engine.shards.values()
            cells.append(shard.by_identity["default", "order", key])
        store.commits.clear()
        yield Office(store, engine, cells)


def keep(cell: Cell, seq: int, image: bytes) -> None:
    """Put an entry into the batch."""
    cell.shard.put_entry(cell, seq, image)


async def test_an_entry_its_run_and_the_state_are_one_commit() -> None:
    async with open_office() as office:
        cell = office.one
        keep(cell, 1, b"entry")
        cell.shard.write(PutRun(cell.row.pk, "running", None, True, b"run"), cell)
        cell.actor.state = 5
        cell.shard.capture(cell, urgent=True)
        await cell.wait_committed()
        (commit,) = office.store.commits
        assert commit.entries == {(cell.row.pk, 1): b"entry"}
        assert list(commit.states) == [cell.row.pk]
        assert await office.store.find_live() == [cell.row.actor_id]


async def test_of_an_entry_only_the_last_image_is_written() -> None:
    async with open_office() as office:
        keep(office.one, 1, b"running")
        keep(office.one, 1, b"completed")
        await office.one.wait_committed()
        assert office.stored == {(office.one.row.pk, 1): b"completed"}


async def test_output_waits_until_an_entry_is_on_disk() -> None:
    async with open_office() as office:
        office.store.hold_commits()
        keep(office.one, 1, b"entry")
        assert office.one.batch is not None
        office.store.release_commits()
        await office.one.wait_committed()
        assert office.one.batch is None


async def test_an_entry_that_is_removed_before_its_commit_is_never_written() -> None:
    async with open_office() as office:
        keep(office.one, 1, b"entry")
        office.one.shard.remove_entry(office.one, 1)
        await office.one.wait_committed()
        (commit,) = office.store.commits
        assert commit.entries == {}
        assert office.stored == {}


async def test_an_entry_that_is_on_disk_is_removed() -> None:
    async with open_office() as office:
        keep(office.one, 1, b"one")
        keep(office.one, 2, b"two")
        await office.one.wait_committed()
        office.one.shard.remove_entry(office.one, 1)
        await office.one.wait_committed()
        assert office.stored == {(office.one.row.pk, 2): b"two"}


async def test_an_entry_that_is_written_after_its_removal_is_there() -> None:
    async with open_office() as office:
        keep(office.one, 1, b"before")
        office.one.shard.remove_entry(office.one, 1)
        keep(office.one, 1, b"after")
        await office.one.wait_committed()
        assert office.stored == {(office.one.row.pk, 1): b"after"}


async def test_what_an_actor_withdraws_is_not_written_and_what_others_wrote_is() -> None:
    async with open_office() as office:
        for cell in (office.one, office.two):
            keep(cell, 1, b"entry")
            keep(cell, 2, b"doomed")
        await office.one.wait_committed()
        for cell in (office.one, office.two):
            keep(cell, 1, b"changed")
            cell.shard.remove_entry(cell, 2)
            cell.shard.write(PutRun(cell.row.pk, "running", None, True, b""), cell)
        office.one.shard.withdraw(office.one)
        await office.two.wait_committed()
        one, two = office.one.row.pk, office.two.row.pk
        assert office.stored == {(one, 1): b"entry", (one, 2): b"doomed", (two, 1): b"changed"}
        assert await office.store.find_live() == [office.two.row.actor_id]


async def test_an_actor_that_is_gone_writes_no_entries() -> None:
    async with open_office() as office:
        office.one.shard.remove(office.one)
        with pytest.raises(StorageUnavailable):
            keep(office.one, 1, b"entry")
        with pytest.raises(StorageUnavailable):
            office.one.shard.remove_entry(office.one, 1)


async def test_entries_of_a_failed_commit_are_not_written_by_the_next() -> None:
    async with open_office() as office:
        office.store.fail_next_commit()
        keep(office.one, 1, b"lost")
        with pytest.raises(StorageUnavailable):
            await office.one.wait_committed()
        keep(office.two, 1, b"kept")
        await office.two.wait_committed()
        assert office.stored == {(office.two.row.pk, 1): b"kept"}


async def test_the_entries_of_a_destroyed_actor_go_with_it() -> None:
    async with open_office() as office:
        keep(office.one, 1, b"entry")
        keep(office.two, 1, b"entry")
        await office.engine.destroy(office.one.row.actor_id)
        assert office.stored == {(office.two.row.pk, 1): b"entry"}


async def test_who_was_under_way_when_the_process_ended_is_awake_without_being_asked() -> None:
    store = MemoryStore()
    async with running_engine(store, use={"order": Order}) as engine:
        await engine.call("order", "add", key="live")
        await engine.call("order", "add", key="waiting")
        (shard,) = engine.engine.shards.values()
        for cell in shard.by_identity.values():
            run = PutRun(cell.row.pk, "running", None, cell.identity[2] == "live", b"")
            shard.write(run, cell)
            await cell.wait_committed()
    async with running_engine(MemoryStore(store.disk), use={"order": Order}) as engine:
        await turns()
        assert engine.is_awake("order", "live")
        assert not engine.is_awake("order", "waiting")
