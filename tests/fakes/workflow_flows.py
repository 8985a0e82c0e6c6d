"""Workflows that a test writes itself: a body becomes an actor in a service of the test's own."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec

from stator import Actor, Event, Queue, Registry, action, setup
from stator.client.handle import Handle
from stator.runtime import faults
from stator.runtime.state_codec import StateCodec
from stator.runtime.storage import ActorRow, MessageRow
from stator.runtime.workflow.entries import Entry, decode_entry
from stator.shards.shard import Shard
from stator.testing import Controls, TestingClient, running
from stator.testing.service import Service
from stator.workflow import Workflow, WorkflowHandle, workflow

Body = Callable[[Any, Workflow], Awaitable[Any]]
"""Takes the actor and its workflow."""


class Receipt(msgspec.Struct):
    """A record that steps return."""

    id: str
    cents: int = 0


class Declined(Exception):
    """What a body raises; it is found again after a restart."""


class FlowState(msgspec.Struct):
    """The state of a :class:`Flow`."""

    total: int = 0
    notes: list[str] = []


class Flow(Actor):
    """An actor whose workflow a test gives it by :func:`registry_of`."""

    state: FlowState
    orders = Queue[Any, Any]()
    others = Queue[Any, Any]()
    told = Event[Any]()

    @action
    def total(self) -> int:
        """Return the sum in the state."""
        return self.state.total

    @action
    def notes(self) -> list[str]:
        """Return what was noted in the state."""
        return list(self.state.notes)

    @action
    async def add_later(self, seconds: float) -> None:
        """Schedule one more."""
        await self.schedule.after(seconds, self.add)

    @action
    def add(self) -> None:
        """Count one more."""
        self.state.total += 1


def flow_of(body: Body, **members: Any) -> type[Flow]:
    """Return a class with ``body`` as its workflow, and further ``members``."""

    async def run(self: Any, wf: Workflow) -> Any:
        return await body(self, wf)

    run.__annotations__ = {**getattr(body, "__annotations__", {}), "wf": Workflow}
    return type("Flow", (Flow,), {"run": workflow(run), "__module__": __name__, **members})


def registry_of(body: Body, **members: Any) -> Registry:
    """Return an application whose one actor is a :func:`flow_of`."""
    return setup(use={"flow": flow_of(body, **members)})


class Runner:
    """One actor with a workflow, in a service of a test."""

    def __init__(self, client: TestingClient) -> None:
        self.client = client
        self.actor: Handle = client.get_or_create("flow", ["a"])

    @property
    def testing(self) -> Controls:
        """The clock, sleep, crash and reload of the service."""
        return self.client.testing

    @property
    def workflow(self) -> WorkflowHandle:
        """Its workflow, from outside."""
        return self.actor.workflow

    async def begin(self) -> None:
        """Bring it up, and return when its workflow waits or is over."""
        await self.actor.total()
        await self.testing.settle()

    async def sleep(self) -> None:
        """Put it to sleep."""
        await self.testing.sleep(self.actor)

    async def again(self) -> None:
        """Let another generation play the workflow, as after a sleep."""
        await self.testing.settle()
        await self.testing.sleep(self.actor)
        await self.begin()

    async def crash(self) -> None:
        """Lose the process, and bring the actor up again."""
        await self.testing.crash()
        await self.begin()

    async def reload(self, body: Body, **members: Any) -> None:
        """Go on with other code."""
        await self.testing.reload(registry_of(body, **members))
        await self.begin()

    async def replace(self, body: Body, **members: Any) -> None:
        """Lose the process, and go on with other code; sooner done than :meth:`reload`."""
        service: Service = self.testing._service  # pyright: ignore[reportPrivateUsage]
        service._registry = registry_of(body, **members)  # pyright: ignore[reportPrivateUsage]
        await self.crash()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and all that it causes."""
        await self.testing.advance(seconds)
        await self.testing.settle()

    async def notes(self) -> list[str]:
        """Return what was noted in its state."""
        notes: list[str] = await self.actor.notes()
        return notes

    # -- what is on disk

    @property
    def shard(self) -> Shard:
        """The shard that it lives in."""
        service: Service = self.testing._service  # pyright: ignore[reportPrivateUsage]
        return service.worker.shard

    async def row(self) -> ActorRow:
        """Return what is stored of it."""
        await self.testing.settle()
        row = await self.shard.store.find_by_key("default", "flow", "a")
        assert row is not None
        return row

    async def stored_total(self) -> int:
        """Return the sum in the stored state."""
        image = (await self.row()).state
        assert image is not None
        state: FlowState = StateCodec(FlowState).decode(image)
        return state.total

    async def stored_messages(self) -> list[MessageRow]:
        """Return the messages in its queues, those under way included."""
        return (await self.shard.store.load_queues((await self.row()).pk)).messages

    async def stored_entries(self) -> list[Entry]:
        """Return the entries that are stored."""
        rows = await self.shard.store.load_workflow((await self.row()).pk)
        return [decode_entry(row.image) for row in rows.entries]

    # -- what happens to it

    async def send(self, body: Any, queue: str = "orders") -> None:
        """Send a message and let the workflow see it."""
        await self.actor.enqueue(queue, body)
        await self.testing.settle()

    async def status(self) -> str:
        """Return how far the run is."""
        return str(await self.workflow.status())

    async def output(self) -> Any:
        """Return what the run returned."""
        return await self.workflow.output()

    async def keys(self) -> list[str]:
        """Return the keys of the history."""
        return [entry.key for entry in await self.workflow.history()]

    async def error(self) -> str:
        """Return the class and text of what ended the run."""
        error = (await self.workflow.status()).error
        return "" if error is None else f"{error.name}: {error.message}"


@asynccontextmanager
async def running_flow(body: Body, **members: Any) -> AsyncGenerator[Runner]:
    """Serve one actor with this workflow for a block, its run begun."""
    async with running(registry_of(body, **members)) as client:
        runner = Runner(client)
        await runner.begin()
        yield runner


@contextmanager
def commits_failing(point: str, number: int) -> Generator[list[int]]:
    """Let the commit with this number, from 1, fail at a point of ``faults`` within the block.

    Gives the numbers of the commits that there were.
    """
    passed: list[int] = []

    def fault() -> None:
        passed.append(len(passed) + 1)
        if len(passed) == number:
            raise OSError(errno.EIO, "armed by a test")

    faults.arm(point, fault)
    try:
        yield passed
    finally:
        faults.disarm(point)


def noting(into: list[Any], what: Any, output: Any = None) -> Callable[..., Awaitable[Any]]:
    """Return the body of a step that notes that it ran."""

    async def body(*args: Any) -> Any:
        into.append((what, *args) if args else what)
        return output

    return body


def failing(
    into: list[Any], what: Any, times: int, error: type[Exception] = Declined
) -> Callable[..., Awaitable[Any]]:
    """Return the body of a step that notes that it ran, and fails so many times."""

    async def body() -> Any:
        into.append(what)
        if into.count(what) <= times:
            raise error(f"no {into.count(what)}")
        return f"{what} done"

    return body
