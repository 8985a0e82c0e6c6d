"""An engine whose actors live by a clock that the test moves, with a store that survives it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from stator.runtime.actor import Actor
from tests.fakes.engine_in_process import LocalEngine, running_engine, turns
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk, MemoryStore


class SchedulingEngine:
    """A running engine and its clock."""

    def __init__(self, local: LocalEngine, store: MemoryStore, clock: ManualClock) -> None:
        self.local = local
        self.store = store
        self.clock = clock

    async def call(self, action: str, *arguments: Any, **options: Any) -> Any:
        """Call an action of the actor "it"."""
        return await self.local.call("it", action, *arguments, **options)

    async def pass_time(self, seconds: float) -> None:
        """Move the clock, in steps of a second at most, with turns of the loop after each."""
        while seconds > 1:
            self.clock.advance(1)
            await turns()
            seconds -= 1
        self.clock.advance(seconds)
        await turns()

    async def sleep(self, key: str = "") -> None:
        """Let the actor sleep and leave memory."""
        place = key or ()
        self.local.actor("it", place).sleep()
        await turns()
        assert not self.local.is_awake("it", place)

    @property
    def log(self) -> list[str]:
        """What was logged."""
        return self.local.log.events()


@asynccontextmanager
async def scheduling_engine(
    actor: type[Actor],
    disk: MemoryDisk | None = None,
    clock: ManualClock | None = None,
    **options: Any,
) -> AsyncGenerator[SchedulingEngine]:
    """Run an engine with one kind of actors, "it"; its end is that of a killed process."""
    clock = clock or ManualClock()
    store = MemoryStore(disk)
    use: Mapping[str, type[Actor]] = {"it": actor}
    async with running_engine(store, use=use, clock=clock, **options) as local:
        await turns()
        yield SchedulingEngine(local, store, clock)
