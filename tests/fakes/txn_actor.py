"""An actor with a database, and transactions of its workflow without the workflow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stator import Actor, Database, Options, action
from stator.runtime.errors import ActorError
from stator.runtime.workflow.host import Checkpoint
from stator.shards.databases import Databases
from stator.shards.workflows.drafts import make_draft
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import Outcome, output_of
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.recording_log import RecordingLog

SEQ = 7
SEEN: list[Any] = []


class It(Actor):
    """Has a state and a table."""

    options = Options(no_sleep=True)
    state: list[Any] = []  # noqa: RUF012 - each actor gets a copy
    db = Database(["CREATE TABLE t (n)"])

    @action
    def get(self) -> list[Any]:
        return self.state

    @action
    def add(self, item: Any) -> list[Any]:
        self.state.append(item)
        return self.state

    @action
    async def rows(self) -> list[int]:
        return [row.n for row in await self.db.execute("SELECT n FROM t")]


class Telling(It):
    """Is told of changes."""

    def on_state_change(self, state: Any) -> None:
        SEEN.append(list(state))


class Stateless(Actor):
    """Has a table."""

    options = Options(no_sleep=True)
    db = Database(["CREATE TABLE t (n)"])

    @action
    async def rows(self) -> list[int]:
        return [row.n for row in await self.db.execute("SELECT n FROM t")]


class Gate:
    """Where the database's commit waits, if it is closed."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.reached = asyncio.Event()

    async def passed(self) -> None:
        """Wait until it is open."""
        self.reached.set()
        await self.open.wait()


class Txns(Life):
    """An actor that has a database, and the transactions of its workflow."""

    async def txn(
        self,
        change: Callable[[list[Any]], Any],
        gate: Gate | None = None,
        *,
        seq: int = SEQ,
        error: Exception | None = None,
    ) -> None:
        """Run one whose body writes a row and makes ``change`` of its copy of the state."""
        cell = self.cell
        assert cell.database is not None
        step = await cell.database.open_step_transaction(60)
        draft = make_draft(cell)
        with step.entered():
            await cell.actor.db.execute("INSERT INTO t VALUES (?)", seq)
        change(draft.value)

        async def commit(state: bytes | None) -> None:
            if gate is not None:
                await gate.passed()
            if error is not None:
                raise error
            await step.commit(Checkpoint(seq, b"done", state))

        try:
            await draft.publish(commit, lambda: cell.shard.put_entry(cell, seq, b"done"))
        finally:
            await step.roll_back()

    async def begin(
        self, change: Callable[[list[Any]], Any], gate: Gate, **options: Any
    ) -> asyncio.Task[None]:
        """Begin one and return it as its database is about to commit."""
        task = asyncio.create_task(self.txn(change, gate, **options))
        await gate.reached.wait()
        return task

    async def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints that are in the actor's database."""
        assert self.cell.database is not None
        return await self.cell.database.read_checkpoints()

    def entries(self) -> dict[int, bytes]:
        """Return the entries that are in the shard's file."""
        (pk,) = self.store.disk.actors
        return dict(self.store.disk.belongings(pk).entries)

    def stored(self) -> Any:
        """Return the state that is in the shard's file."""
        (row,) = self.store.disk.actors.values()
        assert row.state is not None
        return self.cell.definition.state_codec.decode(row.state)

    def decoded(self, image: bytes | None) -> Any:
        """Return the state of an image."""
        return None if image is None else self.cell.definition.state_codec.decode(image)


@asynccontextmanager
async def running(
    directory: Path, kind: type[Actor] = It, disk: MemoryDisk | None = None
) -> AsyncGenerator[Txns]:
    """Run the actor's engine, with its database below ``directory``."""
    databases = Databases(directory, ManualClock(), RecordingLog(), threads=2)
    try:
        async with life_of(kind, disk, databases=databases) as life:
            it = Txns(life.local, life.store, life.clock, life.gateway)
            await it.call("rows")
            yield it
            life.local.engine.abandon()
    finally:
        await databases.close()


def add(item: Any) -> Callable[[list[Any]], None]:
    """Return the change that appends ``item``."""
    return lambda state: state.append(item)


def leave(_: object) -> None:
    """Change nothing."""


async def unavailable(reply: Awaitable[Outcome]) -> bool:
    """Whether a reply is ``storage.unavailable``."""
    with pytest.raises(ActorError) as caught:
        output_of(await reply)
    return (caught.value.group, caught.value.code) == ("storage", "unavailable")


async def nothing(_: bytes | None) -> None:
    """Commit nothing."""
