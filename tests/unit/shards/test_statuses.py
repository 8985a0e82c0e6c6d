"""What the control API shows of an actor's life: semantics page, section 2.12."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import Actor, Options, action
from stator.runtime.errors import ActorError
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import turns
from tests.fakes.memory_store import MemoryDisk


class It(Actor):
    """Starts and sleeps when a test lets it."""

    options = Options(sleep_timeout=10.0)
    state: int = 0
    gate = asyncio.Event()

    async def on_wake(self) -> None:
        await self.gate.wait()

    async def on_sleep(self) -> None:
        await self.gate.wait()

    @action
    def get(self) -> int:
        return self.state


@pytest.fixture(autouse=True)
def open_gate() -> None:
    It.gate = asyncio.Event()
    It.gate.set()


async def instants(it: Life) -> dict[str, float | None]:
    """Return what is shown, in seconds from when the clock began."""
    began = it.clock.now_ms() - it.clock.time() * 1000
    record = await it.record()
    shown: dict[str, Any] = {
        "created": record.created_ms,
        "started": record.started_ms,
        "connectable": record.connectable_ms,
        "slept": record.slept_ms,
    }
    return {name: None if at is None else (at - began) / 1000 for name, at in shown.items()}


async def test_one_that_starts_for_the_first_time_is_created_and_not_connectable() -> None:
    async with life_of(It) as it:
        It.gate.clear()
        it.send("get")
        await turns()
        shown = await instants(it)
        assert (shown["created"], shown["connectable"], shown["slept"]) == (0, None, None)
        It.gate.set()


async def test_one_that_serves_is_connectable() -> None:
    async with life_of(It) as it:
        await it.call("get")
        assert await instants(it) == {"created": 0, "started": 0, "connectable": 0, "slept": None}


async def test_one_that_sleeps_says_since_when() -> None:
    async with life_of(It) as it:
        await it.call("get")
        await it.pass_time(12)
        shown = await instants(it)
        assert (shown["connectable"], shown["slept"]) == (None, 10)


async def test_one_that_was_woken_sleeps_no_longer() -> None:
    async with life_of(It) as it:
        await it.call("get")
        await it.pass_time(20)
        await it.call("get")
        assert await instants(it) == {"created": 0, "started": 20, "connectable": 20, "slept": None}


async def test_one_that_is_waking_does_not_sleep_and_is_not_connectable() -> None:
    async with life_of(It) as it:
        await it.call("get")
        await it.pass_time(20)
        It.gate.clear()
        it.send("get")
        await turns()
        shown = await instants(it)
        assert (shown["connectable"], shown["slept"]) == (None, None)
        It.gate.set()


async def test_one_whose_process_died_counts_as_asleep() -> None:
    disk = MemoryDisk()
    async with life_of(It, disk) as it:
        await it.call("get")
    async with life_of(It, disk) as again:
        assert (await again.record()).slept_ms is not None


async def test_one_that_was_destroyed_is_not_shown() -> None:
    async with life_of(It) as it:
        await it.call("get")
        actor_id = it.actor.actor_id
        await it.local.destroy(actor_id)
        with pytest.raises(ActorError) as caught:
            await it.local.call_id(actor_id, "get")
        assert caught.value.code == "not_found"
        with pytest.raises(ValueError, match="not enough values"):
            await it.record()


async def test_to_look_wakes_nobody() -> None:
    async with life_of(It) as it:
        await it.call("get")
        await it.pass_time(10)
        await it.record()
        await turns()
        assert not it.is_awake


async def test_each_start_counts_as_a_generation() -> None:
    async with life_of(It) as it:
        for generation in (1, 2, 3):
            await it.call("get")
            assert it.cell.generation == generation
            await it.pass_time(10)


async def test_one_that_is_good_shows_no_error() -> None:
    async with life_of(It) as it:
        await it.call("get")
        assert (await it.record()).error is None
