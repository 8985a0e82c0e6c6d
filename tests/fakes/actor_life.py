"""The life of one actor, "it": its engine, disk, clock and visitors are those of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from stator.runtime.actor import Actor
from stator.runtime.errors import ActorError
from stator.runtime.link.frames import ActorRecord, FindActors, SleepActor
from stator.shards.cell import Cell
from tests.fakes.engine_in_process import KeyLike, LocalEngine, Outcome, turns
from tests.fakes.linked_gateway import Gateway, linked_engine
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk, MemoryStore
from tests.fakes.scheduling_engine import SchedulingEngine


class Life(SchedulingEngine):
    """The engine of the actor "it" and the words in which tests of its life speak."""

    def __init__(
        self, local: LocalEngine, store: MemoryStore, clock: ManualClock, gateway: Gateway
    ) -> None:
        super().__init__(local, store, clock)
        self.gateway = gateway
        """Through which it may be visited."""

    def send(self, action: str, *arguments: Any, **options: Any) -> asyncio.Future[Outcome]:
        """Call an action without waiting for the answer."""
        return self.local.send("it", action, *arguments, **options)

    async def fails(self, action: str, *arguments: Any, **options: Any) -> ActorError:
        """Call an action and return the error it is answered."""
        try:
            output = await self.call(action, *arguments, **options)
        except ActorError as error:
            return error
        raise AssertionError(f"there was an answer: {output!r}")

    @property
    def is_awake(self) -> bool:
        """Whether the actor is in memory."""
        return self.local.is_awake("it")

    @property
    def actor(self) -> Any:
        """The instance that is in memory."""
        return self.local.actor("it")

    @property
    def cell(self) -> Cell:
        """What is in memory of it."""
        shard = self.local.engine.shards[0]
        return shard.by_identity[("default", "it", "/")]

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return what was logged of one kind."""
        return [line for line in self.local.log.lines if line["event"] == event]

    async def record(self, key: KeyLike = ()) -> ActorRecord:
        """Return what the control API shows of the actor; it is not woken for that."""
        assert key == ()
        payload = await self.local.ask(lambda number: FindActors(number, (0,), "default", "it"))
        (record,) = msgspec.msgpack.decode(payload, type=list[ActorRecord])
        return record

    async def sleep_by_control_api(self, actor_id: str) -> None:
        """Put an actor to sleep as an operator does."""
        await self.local.ask(lambda number: SleepActor(number, 0, "default", actor_id))


@asynccontextmanager
async def life_of(
    kind: type[Actor],
    disk: MemoryDisk | None = None,
    clock: ManualClock | None = None,
    **options: Any,
) -> AsyncGenerator[Life]:
    """Run an engine with one kind of actors, "it"; its end is that of a killed process."""
    clock = clock or ManualClock()
    store = MemoryStore(disk)
    async with linked_engine(store, use={"it": kind}, clock=clock, **options) as (local, gateway):
        await turns()
        yield Life(local, store, clock, gateway)
