"""A disk that does not let the database of a destroyed actor be deleted."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from stator import Actor, Database, action, setup
from stator.runtime.errors import StorageUnavailable
from stator.shards.databases import worker_databases
from stator.testing import running
from tests.fakes.open_databases import SHARD, opened


class Tenant(Actor):
    """Has a database."""

    state: int = 0
    db = Database(migrations=["CREATE TABLE t (n INTEGER)"])

    @action
    def count(self) -> int:
        """Count the calls."""
        self.state += 1
        return self.state

    @action
    def vanish(self) -> None:
        """Ask for destruction."""
        self.destroy()


def refuse(_path: Path) -> None:
    """Fail as a broken disk does."""
    raise OSError(errno.EIO, "Input/output error")


async def test_it_is_storage_that_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_databases, "delete_file", refuse)
    async with opened(tmp_path) as world:
        db = world.start()

        with pytest.raises(StorageUnavailable):
            await world.databases.delete(SHARD, world.ids[db])

    assert world.log.events() == ["database not deleted"]


async def test_its_key_is_free_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(setup(use={"tenant": Tenant})) as client:
        tenant = client.get_or_create(Tenant, ["one"])
        assert [await tenant.count(), await tenant.count()] == [1, 2]
        monkeypatch.setattr(worker_databases, "delete_file", refuse)

        await tenant.vanish()

        async with asyncio.timeout(20):
            assert await client.get_or_create(Tenant, ["one"]).count() == 1
