"""Who moves the clock: step by step, and when."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest

from stator.testing import timekeeper
from stator.testing.clock import VirtualClock
from stator.testing.timekeeper import Timekeeper
from stator.testing.workload import Workload
from tests.fakes.engine_in_process import turns


class Subject(NamedTuple):
    clock: VirtualClock
    workload: Workload

    @property
    def deeds(self) -> int:
        return self.workload.begun


def make() -> tuple[Subject, Timekeeper]:
    subject = Subject(VirtualClock(0), Workload())
    return subject, Timekeeper(subject)


async def test_what_recurs_happens_once_in_each_of_its_instants() -> None:
    subject, keeper = make()
    fired: list[float] = []

    def again() -> None:
        fired.append(subject.clock.time())
        subject.clock.call_later(10.0, again)

    subject.clock.call_later(10.0, again)
    await keeper.advance(35)
    assert (fired, subject.clock.time()) == ([10.0, 20.0, 30.0], 35.0)


async def test_what_a_timer_causes_happens_at_its_instant() -> None:
    subject, keeper = make()
    happened: list[float] = []

    async def consequence() -> None:
        await turns(20)
        happened.append(subject.clock.time())

    tasks: list[asyncio.Task[None]] = []
    for seconds in (1.0, 1.001):
        subject.clock.call_later(seconds, lambda: tasks.append(asyncio.create_task(consequence())))
    await keeper.advance(5)
    assert happened == pytest.approx([1.0, 1.001], abs=1e-5)


async def test_work_beside_the_loop_is_waited_for() -> None:
    subject, keeper = make()
    ended: list[float] = []

    def end() -> None:
        ended.append(subject.clock.time())
        subject.workload.end()

    def begin() -> None:
        subject.workload.begin()
        asyncio.get_running_loop().call_later(0.01, end)

    subject.clock.call_later(1.0, begin)
    await keeper.advance(5)
    assert ended == [1.0]


async def test_what_watches_itself_is_waited_for_too() -> None:
    subject, keeper = make()
    busy = [True]
    subject.workload.watch(lambda: busy[0])
    asyncio.get_running_loop().call_later(0.01, busy.clear)
    asyncio.get_running_loop().call_later(0.01, busy.append, False)
    await keeper.settle()
    assert busy == [False]


async def test_nothing_moves_before_the_caller_lets_go() -> None:
    subject, keeper = make()
    keeper.advance(5)
    assert subject.clock.time() == 0.0
    await keeper.wait_still()


async def test_a_service_without_rest_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper, "REST_LIMIT_S", 0.01)
    subject, keeper = make()
    subject.workload.begin()
    keeper.advance(5)
    with pytest.raises(TimeoutError, match="did not come to rest"):
        await keeper.wait_still()
    await keeper.wait_still()


async def test_work_that_ends_at_once_takes_no_time() -> None:
    subject, keeper = make()
    subject.clock.call_later(1.0, lambda: None)
    await keeper.pass_until(asyncio.create_task(turns(3)), 10.0)
    assert subject.clock.time() == 0.0


async def test_time_passes_until_work_ends_and_no_longer() -> None:
    subject, keeper = make()
    over = asyncio.Event()
    subject.clock.call_later(3.0, over.set)
    subject.clock.call_later(4.0, lambda: None)
    await keeper.pass_until(asyncio.create_task(over.wait()), 10.0)
    assert subject.clock.time() == 3.0


async def test_work_that_outlives_its_time_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper, "REST_LIMIT_S", 0.01)
    _, keeper = make()
    work = asyncio.create_task(asyncio.Event().wait())
    with pytest.raises(TimeoutError, match="after its time was over"):
        await keeper.pass_until(work, 10.0)
    work.cancel()


async def test_time_that_is_to_pass_meanwhile_passes_afterwards() -> None:
    subject, keeper = make()
    over = asyncio.Event()
    subject.clock.call_later(3.0, over.set)
    passing = asyncio.create_task(keeper.pass_until(asyncio.create_task(over.wait()), 10.0))
    await turns(3)
    await keeper.advance(5)
    assert passing.done()
    assert subject.clock.time() == 5.0
