"""The clock of tests: it stands, and moves from timer to timer."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar

from hypothesis import given
from hypothesis import strategies as st

from stator.testing.clock import MANY_CANCELLED, TICKS_PER_SECOND, VirtualClock
from tests.fakes.engine_in_process import turns

MARK: ContextVar[str] = ContextVar("mark", default="none")

seconds = st.floats(0.001, 1e6) | st.integers(1, 10_000) | st.decimals("0.01", "99", places=2)


async def pass_time(clock: VirtualClock, by: float) -> None:
    until = clock.after(by)
    while clock.step(until):
        await turns(1)


async def test_it_begins_at_the_time_of_the_machine() -> None:
    before = time.time_ns() // 1_000_000
    clock = VirtualClock()
    assert before <= clock.now_ms() <= time.time_ns() // 1_000_000


async def test_it_stands_still() -> None:
    clock = VirtualClock(5_000)
    await turns()
    assert (clock.now_ms(), clock.now(), clock.time()) == (5_000, 5.0, 0.0)


async def test_all_its_hands_move_together() -> None:
    clock = VirtualClock(5_000)
    clock.step(clock.after(1.5))
    assert (clock.now_ms(), clock.now(), clock.time()) == (6_500, 6.5, 1.5)


@given(delays=st.lists(seconds.map(float), max_size=12), cancelled=st.sets(st.integers(0, 11)))
def test_timers_fire_in_order_each_at_its_own_instant(
    delays: list[float], cancelled: set[int]
) -> None:
    fired: list[tuple[int, int]] = []

    async def run() -> list[int]:
        clock = VirtualClock(0)

        def fire(number: int) -> None:
            fired.append((number, clock.ticks))

        timers = [clock.call_later(delay, fire, number) for number, delay in enumerate(delays)]
        for number in cancelled & set(range(len(delays))):
            timers[number].cancel()
        await pass_time(clock, 2e6)
        return [timer.due for timer in timers]

    due = asyncio.run(run())
    expected = [(number, at) for number, at in enumerate(due) if number not in cancelled]
    assert fired == sorted(expected, key=lambda entry: entry[1])


@given(delay=seconds.map(float), earlier=st.lists(seconds.map(float), max_size=4))
def test_whoever_moves_the_clock_by_the_length_of_a_timer_meets_it(
    delay: float, earlier: list[float]
) -> None:
    async def run() -> bool:
        clock = VirtualClock(0)
        for by in earlier:
            clock.step(clock.after(by))
        fired: list[float] = []
        deadline = clock.time() + delay
        clock.call_later(delay, lambda: fired.append(clock.time()))
        await pass_time(clock, delay)
        return fired == [clock.time()] and fired[0] >= deadline

    assert asyncio.run(run())


async def test_a_timer_set_by_a_timer_fires_on_the_way() -> None:
    clock = VirtualClock(0)
    fired: list[float] = []

    def again() -> None:
        fired.append(clock.time())
        clock.call_later(10.0, again)

    clock.call_later(10.0, again)
    await pass_time(clock, 35.0)
    assert fired == [10.0, 20.0, 30.0]


async def test_a_timer_that_is_due_fires_without_moving_the_clock() -> None:
    clock = VirtualClock(0)
    fired: list[str] = []
    clock.call_later(0.0, fired.append, "now")
    clock.call_later(-1.0, fired.append, "long ago")
    await turns(1)
    assert fired == ["now", "long ago"]


async def test_a_timer_that_was_fired_can_still_be_cancelled_in_its_turn() -> None:
    clock = VirtualClock(0)
    fired: list[str] = []
    second = clock.call_later(1.0, fired.append, "second")
    clock.call_later(1.0, fired.append, "third")
    clock.step(clock.after(1.0))
    second.cancel()
    await turns(1)
    assert fired == ["third"]


async def test_a_timer_runs_in_the_context_in_which_it_was_set() -> None:
    clock = VirtualClock(0)
    seen: list[str] = []
    token = MARK.set("where it was set")
    clock.call_later(1.0, lambda: seen.append(MARK.get()))
    MARK.reset(token)
    await pass_time(clock, 1.0)
    assert seen == ["where it was set"]


async def test_many_cancelled_timers_leave_the_others_alone() -> None:
    clock = VirtualClock(0)
    fired: list[str] = []
    clock.call_later(float(MANY_CANCELLED), fired.append, "kept")
    for timer in [clock.call_later(1.0, fired.append, "no") for _ in range(3 * MANY_CANCELLED)]:
        timer.cancel()
    await pass_time(clock, float(MANY_CANCELLED))
    assert fired == ["kept"]


async def test_a_clock_without_the_timers_goes_on_from_there() -> None:
    clock = VirtualClock(5_000)
    fired: list[str] = []
    clock.call_later(2.0, fired.append, "of the old one")
    clock.step(clock.after(1.0))
    successor = clock.without_timers()
    await pass_time(successor, 10.0)
    assert (successor.now_ms(), fired) == (16_000, [])


def test_a_tick_can_be_told_from_the_next_one_for_centuries() -> None:
    clock = VirtualClock(0, ticks=8_000_000_000 * TICKS_PER_SECOND)
    before = clock.time()
    clock.step(clock.ticks + 1)
    assert clock.time() > before
