"""What long work changed is stored, and told, while it goes on (semantics page, 3.3 and 3.4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import Actor, Options, action
from stator.runtime.clock import Clock
from stator.shards.pulse import Pulse
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import turns
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk

INTERVAL_S = 2.0
TOLD: list[int] = []


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    TOLD.clear()
    It.ticked = asyncio.Event()


class It(Actor):
    """Counts up when a test says so, in whatever goes on."""

    options = Options(state_save_interval=INTERVAL_S, no_sleep=True)
    state: int = 0
    ticked = asyncio.Event()

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    def on_state_change(self, state: int) -> None:
        TOLD.append(state)

    @action
    def get(self) -> int:
        return self.state

    @action
    def add(self) -> int:
        self.state += 1
        return self.state

    @action
    async def count(self) -> None:
        await self.count_up()

    @action
    def count_in_background(self) -> None:
        self.keep_awake(self.count_up())

    async def count_up(self) -> None:
        while not self.gate.is_set():
            self.state += 1
            self.ticked.clear()
            await self.ticked.wait()


class Running(It):
    async def run(self) -> None:
        await self.count_up()


async def tick(it: Life) -> None:
    """Let the work that goes on count once more."""
    It.ticked.set()
    await turns()


async def stored(disk: MemoryDisk) -> int:
    """Return what a process that is started now finds."""
    async with life_of(It, disk) as again:
        return int(await again.call("get"))


WORKS: dict[str, tuple[str, type[It]]] = {
    "action": ("count", It),
    "keep_awake": ("count_in_background", It),
    "run": ("get", Running),
}


@pytest.mark.parametrize("work", WORKS)
async def test_what_long_work_changed_is_stored_within_an_interval(work: str) -> None:
    call, kind = WORKS[work]
    disk = MemoryDisk()
    async with life_of(kind, disk) as it:
        it.send(call)
        await turns()
        await tick(it)
        await it.pass_time(INTERVAL_S)
        assert it.actor.state == 2
    assert await stored(disk) == 2


@pytest.mark.parametrize("work", WORKS)
async def test_it_is_stored_every_interval(work: str) -> None:
    call, kind = WORKS[work]
    disk = MemoryDisk()
    async with life_of(kind, disk) as it:
        it.send(call)
        await turns()
        for _ in range(4):
            await it.pass_time(INTERVAL_S)
            await tick(it)
        await it.pass_time(INTERVAL_S)
    assert await stored(disk) == 5


async def test_long_work_that_changes_nothing_stores_nothing() -> None:
    async with life_of(Running) as it:
        await it.call("get")
        await it.pass_time(INTERVAL_S)
        commits = len(it.store.commits)
        await it.pass_time(10 * INTERVAL_S)
        assert len(it.store.commits) == commits


@pytest.mark.parametrize("work", WORKS)
async def test_the_hook_is_told_once_in_an_interval(work: str) -> None:
    call, kind = WORKS[work]
    async with life_of(kind) as it:
        it.send(call)
        await turns()
        TOLD.clear()
        for _ in range(3):
            for _ in range(5):
                await tick(it)
            await it.pass_time(INTERVAL_S)
        assert [each - TOLD[0] for each in TOLD] == [0, 5, 10]


async def test_the_hook_is_told_of_the_rest_when_the_work_ends() -> None:
    async with life_of(It) as it:
        it.send("count")
        await turns()
        await it.pass_time(INTERVAL_S)
        await tick(it)
        it.actor.gate.set()
        await tick(it)
        assert TOLD == [1, 2]


async def test_each_short_action_is_told_of_at_once() -> None:
    async with life_of(It) as it:
        for number in (1, 2, 3):
            await it.call("add")
            assert TOLD[-1] == number


async def test_an_action_beside_long_work_stores_what_that_changed_too() -> None:
    disk = MemoryDisk()
    async with life_of(Running, disk) as it:
        await it.call("get")
        await turns()
        await tick(it)
        await it.call("add")
    assert await stored(disk) == 3


async def test_who_rests_is_not_looked_at() -> None:
    async with life_of(It) as it:
        await it.call("add")
        await it.pass_time(INTERVAL_S)
        assert it.clock.timers == 0


# -- the pulse alone


class Recorded:
    """Stands for an actor and its shard; counts how often it is looked at."""

    def __init__(self) -> None:
        self.looks = 0
        self.shard = self

    def capture_quietly(self, cell: Any, *, midway: bool = False) -> None:
        """Count a look."""
        self.looks += 1


def beating(clock: Clock) -> Any:
    """Return a pulse that takes anything for an actor."""
    return Pulse(clock, INTERVAL_S)


def test_many_actors_share_one_timer() -> None:
    clock = ManualClock()
    pulse = beating(clock)
    cells = [Recorded() for _ in range(10)]
    for cell in cells:
        pulse.add(cell)
    assert clock.timers == 1
    clock.advance(INTERVAL_S)
    assert [cell.looks for cell in cells] == [1] * 10


def test_who_left_is_not_looked_at() -> None:
    clock = ManualClock()
    pulse, cell = beating(clock), Recorded()
    pulse.add(cell)
    pulse.remove(cell)
    clock.advance(INTERVAL_S)
    assert (cell.looks, clock.timers) == (0, 0)


def test_who_comes_again_is_looked_at_again() -> None:
    clock = ManualClock()
    pulse, cell = beating(clock), Recorded()
    for _ in range(2):
        pulse.add(cell)
        clock.advance(INTERVAL_S)
        pulse.remove(cell)
        clock.advance(INTERVAL_S)
    assert cell.looks == 2


def test_a_closed_pulse_beats_no_more() -> None:
    clock = ManualClock()
    pulse, cell = beating(clock), Recorded()
    pulse.add(cell)
    pulse.close()
    clock.advance(INTERVAL_S)
    assert (cell.looks, clock.timers) == (0, 0)
