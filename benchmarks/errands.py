"""The application of the workflow benchmark: the same work by a workflow and by hand.

A unit of work is one change of the state that is durable before the next unit begins. Orders come
through a queue, as numbers, so that the load generator can give them.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
from typing import Any

from stator import Actor, Options, Queue, action, setup
from stator.workflow import Workflow, workflow

from .workshop import Counting, Tally

HOUR_S = 3600.0
NAP_S = 0.5


class Odometer:
    """Counts the units of this process: those between two instants, and all."""

    def __init__(self) -> None:
        self.from_ms = 0.0
        self.until_ms = 0.0
        self.units = 0
        self.total = 0

    def reset(self) -> None:
        """Count anew; there is time until somebody says when it is over."""
        self.from_ms = self.until_ms = math.inf
        self.units = self.total = 0

    def add(self) -> bool:
        """Count a unit; whether there is time for another."""
        now_ms = time.time() * 1000
        self.total += 1
        if self.from_ms <= now_ms < self.until_ms:
            self.units += 1
        return now_ms < self.until_ms


ODOMETER = Odometer()


class Working(Actor):
    """What does units of work until the odometer says that the time is over."""

    state: Tally

    orders = Queue[int, float]()

    def work(self) -> bool:
        """Do one unit; whether there is time for another."""
        self.state.count += 1
        return ODOMETER.add()

    @action
    def get(self) -> int:
        """Return how many units it did; changes nothing."""
        return self.state.count


class Stepper(Working):
    """Does each unit as a durable step: in a loop, an async body, default options."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        """Work when it is told to."""
        await wf.receive("order", self.orders)
        async for turn in wf.loop("work"):
            if not await self.one(wf):
                turn.stop()

    async def one(self, wf: Workflow) -> bool:
        """Do a unit as a step."""
        return await wf.step("unit", self.unit)

    async def unit(self) -> bool:
        """Do a unit."""
        return self.work()


class Skipper(Stepper):
    """Does the same without storing that a step begins."""

    async def one(self, wf: Workflow) -> bool:
        """Do a unit as a step."""
        return await wf.step("unit", self.unit, log_start=False)


class Plodder(Working):
    """Does each unit in a plain run loop, and stores its state by hand."""

    async def run(self) -> None:
        """Work when it is told to."""
        async for _ in self.queue.iter(self.orders):
            while self.work():
                await self.save_state()


class Diarist(Working):
    """Keeps as many steps as it is told, then answers messages."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        """Do as many steps as the first order says, each kept; then complete one after another."""
        first = await wf.receive("first", self.orders)
        for number in range(first.body):
            await wf.step("unit", self.unit, key=number)
        async for _ in wf.loop("frontier", keep=0):
            async with await wf.receive("order", self.orders, ack=True) as message:
                await message.complete(message.body)

    async def unit(self) -> int:
        """Do a unit."""
        self.state.count += 1
        return self.state.count


class Walker(Diarist):
    """Makes as many turns of a loop as it is told, of which it keeps twenty; then answers."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        """Do a step in each turn; behind the turn that the first order says, complete messages."""
        first = await wf.receive("first", self.orders)
        async for turn in wf.loop("walk", keep=20):
            if turn.index < first.body:
                await wf.step("unit", self.unit)
            else:
                async with await wf.receive("order", self.orders, ack=True) as message:
                    await message.complete(message.body)


class Fan(Working):
    """Does as many units as an order says at the same time, each a branch with one step."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        """Answer each order with the seconds that it took."""
        async for _ in wf.loop("orders", keep=0):
            async with await wf.receive("order", self.orders, ack=True) as message:
                began = time.perf_counter()
                branches: dict[str, Any] = {
                    f"branch{number}": self.branch for number in range(message.body)
                }
                await wf.gather("all", **branches)
                await message.complete(time.perf_counter() - began)

    async def branch(self, wf: Workflow) -> None:
        """Do one step."""
        await wf.step("unit", self.unit)

    async def unit(self) -> None:
        """Do a unit."""
        self.state.count += 1


class Crew(Working):
    """Does as many units as an order says at the same time, each a task."""

    async def run(self) -> None:
        """Answer each order with the seconds that it took."""
        async for message in self.queue.iter(self.orders, completable=True):
            began = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                for _ in range(message.body):
                    tasks.create_task(self.unit())
            await message.complete(time.perf_counter() - began)

    async def unit(self) -> None:
        """Do a unit."""
        self.state.count += 1
        await self.save_state()


class Idler(Counting):
    """Does nothing by itself."""

    orders = Queue[int, float]()


class Loiterer(Counting):
    """Waits for a message in a plain run loop."""

    orders = Queue[int, float]()

    async def run(self) -> None:
        """Wait for messages."""
        async for _ in self.queue.iter(self.orders):
            pass


class Waiter(Counting):
    """Waits for a message in a workflow."""

    orders = Queue[int, float]()

    @workflow
    async def run(self, wf: Workflow) -> None:
        """Wait for messages."""
        async for _ in wf.loop("orders"):
            await wf.receive("order", self.orders)


class Dozer(Counting):
    """Waits for the time in a workflow."""

    orders = Queue[int, float]()

    @workflow
    async def run(self, wf: Workflow) -> None:
        """Wait for an hour, again and again."""
        async for _ in wf.loop("hours"):
            await wf.sleep("hour", HOUR_S)


_NAPS = Options(sleep_timeout=NAP_S)


class NappingIdler(Idler):
    """Sleeps half a second after its last work."""

    options = _NAPS


class NappingWaiter(Waiter):
    """Sleeps while it waits."""

    options = _NAPS


class NappingDozer(Dozer):
    """Sleeps while it waits."""

    options = _NAPS


class Overseer(Actor):
    """Tells what happened in its worker."""

    @action
    def get(self) -> int:
        """Return in which process this is."""
        return os.getpid()

    @action
    def reset_odometer(self) -> None:
        """Count the units of this worker anew."""
        ODOMETER.reset()

    @action
    def set_time(self, from_ms: float, until_ms: float) -> None:
        """Say from when on units count, and when the time is over."""
        ODOMETER.from_ms, ODOMETER.until_ms = from_ms, until_ms

    @action
    def read_odometer(self) -> tuple[int, int]:
        """Return how many units this worker did in time, and how many altogether."""
        return ODOMETER.units, ODOMETER.total

    @action
    def modules(self) -> list[str]:
        """Return the names of the modules that this worker imported."""
        return sorted(sys.modules)


registry = setup(
    use={
        "stepper": Stepper,
        "skipper": Skipper,
        "plodder": Plodder,
        "diarist": Diarist,
        "walker": Walker,
        "fan": Fan,
        "crew": Crew,
        "idler": Idler,
        "loiterer": Loiterer,
        "waiter": Waiter,
        "dozer": Dozer,
        "napping-idler": NappingIdler,
        "napping-waiter": NappingWaiter,
        "napping-dozer": NappingDozer,
        "shelf": Counting,
        "overseer": Overseer,
    }
)
