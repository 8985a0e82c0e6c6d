"""An idle actor costs no task and no timer; a drain lets work end and saves everything."""

import asyncio
from typing import Any

import pytest

from stator import Actor, ActorError, Options, action
from tests.fakes.engine_in_process import output_of, running_engine, turns, wait_until
from tests.fakes.memory_store import MemoryDisk, MemoryStore


class Counting(Actor):
    state: int = 0

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state

    @action
    async def add_slowly(self, amount: int) -> int:
        await asyncio.sleep(0)
        self.state += amount
        return self.state


class Hooked(Counting):
    vars: list[str] = []  # noqa: RUF012 - vars, which every actor gets a copy of

    async def on_wake(self) -> None:
        await asyncio.sleep(0)


class Sleepy(Counting):
    options = Options(sleep_grace_period=0.05)

    async def on_sleep(self) -> None:
        SEEN.append(("on_sleep", self.state, self.aborted))
        self.state += 1000

    @action
    async def work_until_abort(self) -> str:
        await self.abort_signal.wait()
        self.state += 5
        return "ended in time"

    @action
    async def work_for_ever(self) -> None:
        self.state += 7
        await asyncio.Event().wait()

    @action
    def work_in_background(self) -> None:
        self.keep_awake(self._later())

    @action
    def fail_in_background(self) -> None:
        self.keep_awake(self._broken())

    async def _later(self) -> None:
        await self.abort_signal.wait()
        self.state += 50

    async def _broken(self) -> None:
        raise RuntimeError("background")


class FailingSleep(Counting):
    def on_sleep(self) -> None:
        raise RuntimeError("cannot sleep")


SEEN: list[Any] = []
USE: dict[str, type[Actor]] = {
    "counter": Counting,
    "hooked": Hooked,
    "sleepy": Sleepy,
    "failing": FailingSleep,
}


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


def _timers() -> list[Any]:
    """Return the timers of the running loop that were not cancelled."""
    scheduled: list[Any] = vars(asyncio.get_running_loop())["_scheduled"]
    return [handle for handle in scheduled if not handle.cancelled()]


@pytest.mark.parametrize("name", ["counter", "hooked", "sleepy"])
async def test_an_idle_actor_has_no_task_and_no_timer_of_its_own(name: str) -> None:
    async with running_engine(use=USE) as local:
        tasks, timers = asyncio.all_tasks(), len(_timers())
        for number in range(50):
            await local.call(name, "add", 1, key=str(number))
            await local.call(name, "add_slowly", 1, key=str(number))
        await turns()
        assert asyncio.all_tasks() == tasks
        assert len(_timers()) <= timers + 2  # one of the worker for all that is idle, one for work


async def test_a_drained_engine_refuses_new_calls() -> None:
    async with running_engine(use=USE) as local:
        await local.call("counter", "add", 1)
        await local.engine.drain()
        with pytest.raises(ActorError) as caught:
            await local.call("counter", "add", 1)
        assert (caught.value.group, caught.value.code) == ("guard", "service_unavailable")


async def test_a_drain_runs_on_sleep_and_saves_what_it_changed() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("sleepy", "add", 1)
        await local.engine.drain()
        assert SEEN == [("on_sleep", 1, True)]
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("sleepy", "add", 0) == 1001


async def test_a_drain_waits_for_running_actions_and_their_replies_leave() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        running = local.send("sleepy", "work_until_abort")
        await turns()
        await local.engine.drain()
        assert output_of(await running) == "ended in time"
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("sleepy", "add", 0) == 1005


async def test_a_drain_waits_for_what_keep_awake_was_given() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("sleepy", "work_in_background")
        await local.engine.drain()
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("sleepy", "add", 0) == 1050


async def test_work_that_does_not_end_is_left_behind_after_the_grace_period() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        local.send("sleepy", "work_for_ever")
        await turns()
        await local.engine.drain()
        assert "grace period over" in local.log.events()
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("sleepy", "add", 0) == 1007


async def test_a_failing_on_sleep_is_logged_and_the_state_is_saved() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("failing", "add", 1)
        await local.engine.drain()
        assert "hook failed" in local.log.events()
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("failing", "add", 0) == 1


async def test_a_failure_in_the_background_is_logged_and_the_actor_serves() -> None:
    async with running_engine(use=USE) as local:
        await local.call("sleepy", "fail_in_background")
        await wait_until(lambda: "background work failed" in local.log.events(), "the log line")
        assert await local.call("sleepy", "add", 1) == 1


async def test_a_drain_ends_though_the_disk_is_full() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("sleepy", "add", 1)
        store.fail_next_commit()
        await local.engine.drain()
        assert len(store.failed) == 1


async def test_a_drain_finishes_the_start_that_is_under_way() -> None:
    disk = MemoryDisk()
    store = MemoryStore(disk)
    async with running_engine(store, use=USE) as local:
        store.hold_look_ups()
        reply = local.send("hooked", "add", 1)
        await turns()
        drained = asyncio.ensure_future(local.engine.drain())
        await turns()
        store.release_look_ups()
        await drained
        try:
            assert output_of(await reply) == 1
        except ActorError as error:
            assert error.code in ("service_unavailable", "stopping")  # the caller repeats it
            assert disk.actors == {}
