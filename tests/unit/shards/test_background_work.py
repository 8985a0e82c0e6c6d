"""``keep_awake`` and ``wait_until``: work beside actions (semantics page, section 2.6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import Actor, Options, action
from tests.fakes.actor_life import life_of
from tests.fakes.engine_in_process import turns
from tests.fakes.memory_store import MemoryDisk

HOWS = ["keep_awake", "wait_until"]


class It(Actor):
    """Gives a test its methods; an action begins work in its own name."""

    options = Options(no_sleep=True, sleep_grace_period=5.0, state_save_interval=0.5)
    state: int = 0

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    @action
    def get(self) -> int:
        return self.state

    @action
    def begin(self, how: str) -> None:
        getattr(self, how)(self.add())

    @action
    def begin_to_fail(self, how: str) -> None:
        getattr(self, how)(self.fail())

    @action
    async def await_it(self) -> int:
        return await self.keep_awake(self.add())

    @action
    async def await_failure(self) -> str:
        try:
            await self.keep_awake(self.fail())
        except RuntimeError as error:
            return str(error)
        return ""

    async def add(self) -> int:
        await self.gate.wait()
        self.state += 1
        return self.state

    async def fail(self) -> None:
        raise RuntimeError("lost")


async def test_keep_awake_returns_a_future_with_the_result() -> None:
    async with life_of(It) as it:
        await it.call("get")
        future = it.actor.keep_awake(it.actor.add())
        it.actor.gate.set()
        assert isinstance(future, asyncio.Future)
        assert await future == 1


async def test_keep_awake_returns_the_future_it_was_given() -> None:
    async with life_of(It) as it:
        await it.call("get")
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert it.actor.keep_awake(future) is future
        future.set_result(1)


async def test_an_action_may_await_what_it_keeps_awake() -> None:
    async with life_of(It) as it:
        await it.call("get")
        it.actor.gate.set()
        assert await it.call("await_it") == 1


async def test_wait_until_returns_nothing() -> None:
    async with life_of(It) as it:
        await it.call("get")
        it.actor.gate.set()
        assert it.actor.wait_until(it.actor.add()) is None


@pytest.mark.parametrize("how", HOWS)
async def test_an_action_is_answered_before_its_background_work_ends(how: str) -> None:
    async with life_of(It) as it:
        await it.call("begin", how)
        assert await it.call("get") == 0
        it.actor.gate.set()
        await turns()
        assert await it.call("get") == 1


@pytest.mark.parametrize("how", HOWS)
async def test_what_it_changed_is_stored_when_it_ends(how: str) -> None:
    disk = MemoryDisk()
    async with life_of(It, disk) as it:
        await it.call("begin", how)
        it.actor.gate.set()
        await turns()
    async with life_of(It, disk) as again:
        assert await again.call("get") == 1


@pytest.mark.parametrize("how", HOWS)
async def test_a_failure_is_logged_and_the_actor_serves(how: str) -> None:
    async with life_of(It) as it:
        await it.call("begin_to_fail", how)
        await turns()
        (line,) = it.lines("background work failed")
        assert str(line["exc_info"]) == "lost"
        assert await it.call("get") == 0


async def test_who_awaits_what_it_keeps_awake_gets_the_failure() -> None:
    async with life_of(It) as it:
        assert await it.call("await_failure") == "lost"


async def test_one_that_is_cancelled_is_not_logged() -> None:
    async with life_of(It) as it:
        await it.call("get")
        it.actor.keep_awake(it.actor.add()).cancel()
        await turns()
        assert it.log == []


async def test_work_behind_work_is_waited_for_by_a_stop() -> None:
    class Nested(It):
        @action
        def begin_nested(self) -> None:
            self.wait_until(self.outer())

        async def outer(self) -> None:
            await self.gate.wait()
            self.wait_until(self.inner())

        async def inner(self) -> None:
            await asyncio.sleep(0)
            self.state += 1

    disk = MemoryDisk()
    async with life_of(Nested, disk) as it:
        await it.call("begin_nested")
        actor = it.actor
        actor.sleep()
        await turns()
        actor.gate.set()
        await turns()
        assert not it.is_awake
        assert await it.call("get") == 1


@pytest.mark.parametrize("how", HOWS)
async def test_a_stop_of_who_has_background_work_alone_waits_for_it(how: str) -> None:
    async with life_of(It) as it:
        await it.call("begin", how)
        actor = it.actor
        actor.sleep()
        await it.pass_time(4)
        assert it.is_awake
        actor.gate.set()
        await turns()
        assert not it.is_awake


@pytest.mark.parametrize("how", HOWS)
async def test_work_for_an_actor_that_is_gone_is_refused_with_a_warning(how: str) -> None:
    async with life_of(It) as it:
        await it.call("get")
        actor = it.actor
        await it.sleep()
        getattr(actor, how)(actor.fail())
        await turns()
        (line,) = it.lines("background work refused: the actor has stopped")
        assert (line["level"], line["how"]) == ("warning", how)
        assert it.lines("background work failed") == []


@pytest.mark.parametrize("how", HOWS)
async def test_work_that_begins_when_the_grace_period_is_over_is_refused(how: str) -> None:
    class Late(It):
        async def add(self) -> int:
            try:
                await self.gate.wait()
            finally:
                getattr(self, how)(self.after_all())
            return 0

        async def after_all(self) -> None:
            BEGUN.append("after all")

    BEGUN.clear()
    async with life_of(Late) as it:
        await it.call("begin", "wait_until")
        it.actor.sleep()
        await turns()
        await it.pass_time(5)
        assert not it.is_awake
        assert BEGUN == []
        assert len(it.lines("background work refused: the actor has stopped")) == 1


BEGUN: list[str] = []


async def test_background_work_of_a_hook_of_the_start_goes_on_behind_it() -> None:
    class Early(It):
        def on_create(self, given: Any) -> None:
            self.keep_awake(self.add())

    async with life_of(Early) as it:
        assert await it.call("get") == 0
        it.actor.gate.set()
        await turns()
        assert await it.call("get") == 1


async def test_background_work_of_a_start_that_fails_is_cancelled() -> None:
    BEGUN.clear()

    class Failing(It):
        def on_wake(self) -> None:
            self.keep_awake(self.linger())
            raise RuntimeError("no")

        async def linger(self) -> None:
            try:
                await self.gate.wait()
            finally:
                BEGUN.append("ended")

    async with life_of(Failing) as it:
        await it.fails("get")
        await turns()
        assert BEGUN == ["ended"]
