"""Actors that fail to start: callers, pauses, schedules (semantics page, sections 2.4 and 2.10)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from stator import Actor, Options, UserError, action
from stator.shards.start_failures import BASE_S, FORGET_S, JITTER_S, MOST, StartFailures
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import turns
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk

FAILS = [False]
STARTS: list[str] = []


class It(Actor):
    """Fails to wake while ``FAILS`` says so."""

    options = Options(sleep_timeout=5.0)
    state: int = 0

    async def on_wake(self) -> None:
        STARTS.append("on_wake")
        await asyncio.sleep(0)
        if FAILS[0]:
            raise UserError("out of order", code="broken")

    @action
    def add(self) -> int:
        self.state += 1
        return self.state

    @action
    async def add_later(self, delay: float) -> None:
        await self.schedule.after(delay, self.add)


@pytest.fixture(autouse=True)
def working() -> None:
    FAILS[0] = False
    STARTS.clear()


@asynccontextmanager
async def failing(starts: int = 0) -> AsyncGenerator[Life]:
    """Run an engine whose actor fails to start, and did so often already, once every pause."""
    FAILS[0] = True
    async with life_of(It) as it:
        for number in range(starts):
            await it.fails("add")
            if number < starts - 1:
                await pass_pause(it)
        STARTS.clear()
        yield it


async def pass_pause(it: Life) -> None:
    """Let time pass until the next start may begin."""
    pause = await pause_of(it)
    await it.pass_time(pause)


async def pause_of(it: Life) -> float:
    """Return in how many seconds the next start may begin, as the control API tells it."""
    reschedule_ms = (await it.record()).reschedule_ms
    return 0.0 if reschedule_ms is None else (reschedule_ms - it.clock.now_ms()) / 1000 + 0.001


# -- what callers see


async def test_who_waits_for_a_start_gets_its_error() -> None:
    async with failing() as it:
        error = await it.fails("add")
        assert (error.group, error.code, error.message) == ("user", "broken", "out of order")


async def test_all_who_wait_get_it() -> None:
    async with failing() as it:
        errors = await asyncio.gather(*(it.fails("add") for _ in range(3)))
        assert [error.code for error in errors] == ["broken"] * 3
        assert STARTS == ["on_wake"]


async def test_the_next_request_tries_again() -> None:
    async with failing(1) as it:
        FAILS[0] = False
        assert await it.call("add") == 1


async def test_in_a_pause_the_error_of_the_last_start_is_the_answer_at_once() -> None:
    async with failing(2) as it:
        error = await it.fails("add")
        assert (error.code, error.message) == ("broken", "out of order")
        assert STARTS == []


async def test_when_the_pause_is_over_the_next_request_tries_again() -> None:
    async with failing(2) as it:
        FAILS[0] = False
        await pass_pause(it)
        assert await it.call("add") == 1


async def test_a_connection_gets_the_error_too() -> None:
    async with failing() as it:
        client = it.gateway.open("it")
        assert "broken" in str((await client.next()).header)


async def test_other_actors_of_the_class_are_not_concerned() -> None:
    async with failing(2) as it:
        FAILS[0] = False
        assert await it.call("add", key="other") == 1


async def test_a_failed_start_changes_nothing_that_was_stored() -> None:
    disk = MemoryDisk()
    async with life_of(It, disk) as it:
        assert await it.call("add") == 1
        await it.sleep()
        FAILS[0] = True
        await it.fails("add")
        FAILS[0] = False
        assert await it.call("add") == 2


async def test_a_failing_actor_can_be_destroyed() -> None:
    async with failing(2) as it:
        await it.local.destroy((await it.record()).actor_id)
        FAILS[0] = False
        assert await it.call("add") == 1


# -- schedules


async def test_schedules_of_a_failing_actor_wait_and_fire_when_it_starts() -> None:
    async with life_of(It) as it:
        await it.call("add_later", 10)
        await it.pass_time(6)
        assert not it.is_awake
        FAILS[0] = True
        await it.pass_time(20)
        STARTS.clear()
        FAILS[0] = False
        await it.pass_time(30)
        assert "on_wake" in STARTS
        assert await it.call("add") == 2


async def test_schedules_try_no_more_often_than_the_pauses_allow() -> None:
    async with life_of(It) as it:
        await it.call("add_later", 10)
        await it.pass_time(6)
        FAILS[0] = True
        STARTS.clear()
        await it.pass_time(4 + 60)  # pauses of 2, 4, 8, 16 and 32 s begin within a minute
        assert 3 <= len(STARTS) <= 7


# -- pauses


def failures() -> tuple[StartFailures, ManualClock]:
    """Return what remembers failed starts and its clock."""
    clock = ManualClock()
    return StartFailures(clock), clock


def fail(remembered: StartFailures, clock: ManualClock, times: int) -> float:
    """Let so many starts fail, each when it may begin; return the last pause."""
    error = RuntimeError()
    for _ in range(times):
        found = remembered.find("a")
        if found is not None:
            clock.advance(max(0.0, found.until - clock.time()))
        remembered.note("a", error)
    failure = remembered.find("a")
    assert failure is not None
    return failure.until - clock.time()


def test_the_first_failure_delays_nothing() -> None:
    remembered, clock = failures()
    assert fail(remembered, clock, 1) == 0
    assert remembered.blocks("a") is None


@pytest.mark.parametrize(
    ("count", "pause"), [(2, 2), (3, 4), (4, 8), (9, 256), (10, 512), (40, 512)]
)
def test_pauses_double_up_to_a_limit(count: int, pause: float) -> None:
    remembered, clock = failures()
    assert pause <= fail(remembered, clock, count) <= pause + JITTER_S


def test_a_pause_ends() -> None:
    remembered, clock = failures()
    pause = fail(remembered, clock, 2)
    assert remembered.blocks("a") is not None
    clock.advance(pause)
    assert remembered.blocks("a") is None


def test_its_end_is_told_as_unix_time_too() -> None:
    remembered, clock = failures()
    pause = fail(remembered, clock, 2)
    failure = remembered.find("a")
    assert failure is not None
    assert failure.until_ms == pytest.approx(clock.now_ms() + pause * 1000, abs=1)


def test_a_success_makes_it_as_if_nothing_was() -> None:
    remembered, clock = failures()
    fail(remembered, clock, 5)
    remembered.forget("a")
    assert fail(remembered, clock, 1) == 0


def test_time_without_a_try_makes_it_as_if_nothing_was() -> None:
    remembered, clock = failures()
    pause = fail(remembered, clock, 3)
    clock.advance(pause + FORGET_S + 1)
    assert remembered.find("a") is None
    assert fail(remembered, clock, 1) == 0


def test_failures_of_one_actor_do_not_delay_another() -> None:
    remembered, clock = failures()
    fail(remembered, clock, 3)
    assert remembered.blocks("b") is None


def test_so_many_are_remembered_and_no_more() -> None:
    remembered, _ = failures()
    error = RuntimeError()
    for number in range(MOST + 1):
        remembered.note(str(number), error)
    assert remembered.find("0") is None
    assert remembered.find("1") is not None


# -- what the control API shows


async def test_the_control_api_shows_the_error_of_the_last_start() -> None:
    async with failing(1) as it:
        error = (await it.record()).error
        assert error == {"crashed": {"group": "user", "code": "broken", "message": "out of order"}}


async def test_the_control_api_shows_no_pause_after_the_first_failure() -> None:
    async with failing(1) as it:
        assert (await it.record()).reschedule_ms is None


async def test_the_control_api_shows_when_a_pause_ends() -> None:
    async with failing(2) as it:
        reschedule_ms = (await it.record()).reschedule_ms
        assert reschedule_ms is not None
        seconds = (reschedule_ms - it.clock.now_ms()) / 1000
        assert BASE_S <= seconds <= BASE_S + JITTER_S


async def test_a_start_that_succeeds_clears_it() -> None:
    async with failing(2) as it:
        FAILS[0] = False
        await pass_pause(it)
        await it.call("add")
        record = await it.record()
        assert (record.error, record.reschedule_ms) == (None, None)


async def test_an_actor_whose_start_failed_counts_as_asleep() -> None:
    async with failing(1) as it:
        await turns()
        record = await it.record()
        assert record.slept_ms is not None
        assert record.connectable_ms is None


async def test_a_pause_that_is_over_is_no_longer_shown() -> None:
    async with failing(2) as it:
        await pass_pause(it)
        assert (await it.record()).reschedule_ms is None
