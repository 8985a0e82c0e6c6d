"""The life of one actor whose workflow a test writes, on a disk and a clock of the test.

What it leaves behind is looked at at the end: tasks, threads that anybody waits for, errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from stator import Actor, Event, Options, Queue, action
from stator.runtime.workflow.entries import Entry, Run, decode_entry, decode_run
from stator.workflow import Workflow, workflow
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import turns, wait_until
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.workflow_flows import Body

SLEEP_TIMEOUT_S = 30.0
GRACE_S = 15.0
LONG_S = 1e6

BUGS = frozenset(
    {
        "background work failed",
        "workflow stopped by an error of stator",
        "workflow was cancelled by nobody who may",
    }
)
"""What is logged when something is wrong with stator."""


class LifeState(msgspec.Struct):
    """The state of a :class:`LivingFlow`."""

    total: int = 0
    notes: list[str] = []


class LivingFlow(Actor):
    """An actor whose workflow a test gives it by :func:`kind_of`."""

    options = Options(sleep_timeout=SLEEP_TIMEOUT_S, sleep_grace_period=GRACE_S)
    state: LifeState
    orders = Queue[Any, Any]()
    others = Queue[Any, Any]()
    told = Event[Any]()

    @action
    def total(self) -> int:
        """Return the sum in the state."""
        return self.state.total

    @action
    def add(self, count: int = 1) -> int:
        """Count more."""
        self.state.total += count
        return self.state.total

    @action
    async def add_later(self, seconds: float) -> None:
        """Schedule one more."""
        await self.schedule.after(seconds, self.add)

    @action
    async def put(self, body: Any) -> None:
        """Send itself a message."""
        await self.queue.send(self.orders, body)

    @action
    async def resolve(self, name: str, value: Any) -> None:
        """Give a promise its value."""
        await self.workflow.resolve(name, value)

    @action
    def end(self) -> None:
        """Let it be destroyed."""
        self.destroy()

    async def bump(self, count: int = 1) -> int:
        """Count more: a step."""
        self.state.total += count
        return self.state.total


def kind_of(body: Body, **members: Any) -> type[LivingFlow]:
    """Return a class with ``body`` as its workflow, and further ``members``."""

    async def run(self: Any, wf: Workflow) -> Any:
        return await body(self, wf)

    run.__annotations__ = {"self": Any, "wf": Workflow, "return": Any}
    extra = {"run": workflow(run), "__module__": __name__, **members}
    return type("LivingFlow", (LivingFlow,), extra)


class WorkflowLife(Life):
    """The engine of the actor "it", and what is on its disk."""

    async def begin(self) -> None:
        """Bring the actor up, and return when its workflow has got as far as it gets at once."""
        await self.call("total")
        await turns(60)

    async def goes(self, *, on: str) -> None:
        """Wait for a thread, or for more turns of the loop than usual, until it notes ``on``."""
        await wait_until(lambda: on in self.notes, f"{on!r} is noted")

    @property
    def notes(self) -> list[str]:
        """What is in the state in memory."""
        notes: list[str] = self.actor.__dict__["state"].notes
        return notes

    @property
    def stored_run(self) -> Run:
        """The run as it is on disk."""
        run = self._belongings.run
        assert run is not None
        return decode_run(run.image)

    @property
    def is_stored_live(self) -> bool:
        """Whether the row of the run says that the actor is to be awake."""
        run = self._belongings.run
        assert run is not None
        return bool(run.is_live)

    @property
    def due_in(self) -> float | None:
        """In how many seconds the row of the run says that the actor is to be woken."""
        run = self._belongings.run
        assert run is not None
        return None if run.due_ms is None else (run.due_ms - self.clock.now_ms()) / 1000

    @property
    def entries(self) -> dict[str, Entry]:
        """The entries on disk, by key."""
        found = [decode_entry(image) for _, image in sorted(self._belongings.entries.items())]
        return {entry.key: entry for entry in found}

    @property
    def messages(self) -> int:
        """How many messages of queues are on disk."""
        return len(self._belongings.messages)

    @property
    def _belongings(self) -> Any:
        (pk,) = self.store.disk.actors
        return self.store.disk.belongings(pk)

    async def leave(self) -> None:
        """Let it sleep, and leave memory."""
        self.cell.sleep()
        await turns(60)
        assert not self.is_awake

    async def fall_asleep(self) -> None:
        """Let the time pass after which an idle actor sleeps."""
        await self.pass_time(SLEEP_TIMEOUT_S + 1)


@asynccontextmanager
async def living(
    body: Body | type[Actor],
    disk: MemoryDisk | None = None,
    clock: ManualClock | None = None,
    *,
    engine: dict[str, Any] | None = None,
    **members: Any,
) -> AsyncGenerator[WorkflowLife]:
    """Run an actor with the workflow ``body``; its end is that of a killed process.

    The tasks that are left then are an error.
    """
    before = asyncio.all_tasks()
    kind = body if isinstance(body, type) else kind_of(body, **members)
    async with life_of(kind, disk, clock, **(engine or {})) as it:
        try:
            yield WorkflowLife(it.local, it.store, it.clock, it.gateway)
        finally:
            it.local.engine.abandon()
            await turns(60)
    left = asyncio.all_tasks() - before
    assert not left, f"tasks are left: {left}"
    bugs = [line for line in it.local.log.lines if line["event"] in BUGS]
    assert not bugs, f"stator logged its own failure: {bugs}"
