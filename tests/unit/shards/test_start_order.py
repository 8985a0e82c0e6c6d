"""What a start does, in which order and within which time (semantics page, 2.2 to 2.4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import Actor, Options, Queue, action
from stator.runtime.errors import ActorError
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import output_of, turns
from tests.fakes.memory_store import MemoryDisk

SEEN: list[Any] = []
HANGS: set[str] = set()
GATES: list[asyncio.Event] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()
    HANGS.clear()
    GATES[:] = [asyncio.Event()]


class It(Actor):
    """Notes its hooks; those that ``HANGS`` names last until the gate opens."""

    options = Options(sleep_timeout=5.0, on_migrate_timeout=7.0, create_vars_timeout=3.0)

    async def on_migrate(self, is_new: bool) -> None:
        await self._note("on_migrate")

    async def create_state(self, given: Any) -> list[str]:
        await self._note("create_state")
        return []

    async def on_create(self, given: Any) -> None:
        await self._note("on_create")

    async def create_vars(self) -> dict[str, int]:
        await self._note("create_vars")
        return {"calls": 0}

    async def on_wake(self) -> None:
        await self._note("on_wake")

    async def run(self) -> None:
        await self._note("run")

    async def _note(self, hook: str) -> None:
        SEEN.append(hook)
        if hook in HANGS:
            await GATES[0].wait()

    @action
    def hear(self, text: str) -> list[str]:
        SEEN.append(text)
        self.state.append(text)
        self.vars["calls"] += 1
        return list(self.state)

    @action
    def calls(self) -> int:
        return int(self.vars["calls"])

    @action
    async def hear_later(self, delay: float, text: str) -> None:
        await self.schedule.after(delay, self.hear, text)


HOOKS = ["on_migrate", "create_state", "on_create", "create_vars", "on_wake"]
LIMITS = {
    "on_migrate": 7.0,
    "create_state": 5.0,
    "on_create": 5.0,
    "create_vars": 3.0,
    "on_wake": 30.0,
}


async def held_at(it: Life, hook: str, *arguments: Any) -> asyncio.Future[Any]:
    """Call the actor, whose start stops at a hook."""
    HANGS.add(hook)
    reply = it.send("hear", "request")
    await turns()
    assert SEEN[-1] == hook
    return reply


# -- order


async def test_the_first_start() -> None:
    async with life_of(It) as it:
        await it.call("hear", "request")
        await turns()
        assert [*HOOKS, "request", "run"] == SEEN


async def test_a_later_start() -> None:
    async with life_of(It) as it:
        await it.call("hear", "request")
        await it.sleep()
        SEEN.clear()
        await it.call("hear", "request")
        await turns()
        assert SEEN[:3] == ["on_migrate", "create_vars", "on_wake"]
        assert sorted(SEEN[3:]) == ["request", "run"]


async def test_what_is_overdue_runs_ahead_of_the_request_that_woke_the_actor() -> None:
    disk = MemoryDisk()
    async with life_of(It, disk) as it:
        await it.call("hear_later", 100, "overdue")
        clock = it.clock
    clock.advance(200)
    SEEN.clear()
    async with life_of(It, disk, clock) as again:
        await again.call("hear", "request")
        heard = [each for each in SEEN if each in ("overdue", "request")]
        assert heard == ["overdue", "request"]


@pytest.mark.parametrize("hook", HOOKS)
async def test_no_request_is_served_before_the_hooks_have_ended(hook: str) -> None:
    async with life_of(It) as it:
        reply = await held_at(it, hook)
        await it.pass_time(2)
        assert not reply.done()
        assert "request" not in SEEN
        GATES[0].set()
        assert output_of(await reply) == ["request"]


async def test_a_hook_waits_for_the_one_before() -> None:
    async with life_of(It) as it:
        await held_at(it, "on_create")
        assert HOOKS[:3] == SEEN
        GATES[0].set()


async def test_vars_are_made_anew_at_each_wake() -> None:
    async with life_of(It) as it:
        await it.call("hear", "a")
        await it.call("hear", "b")
        assert await it.call("calls") == 2
        await it.sleep()
        assert await it.call("calls") == 0


# -- time limits


@pytest.mark.parametrize("hook", HOOKS)
async def test_a_hook_has_its_time(hook: str) -> None:
    async with life_of(It) as it:
        reply = await held_at(it, hook)
        await it.pass_time(LIMITS[hook] - 0.5)
        assert not reply.done()
        GATES[0].set()
        assert output_of(await reply) == ["request"]


@pytest.mark.parametrize("hook", HOOKS)
async def test_a_hook_that_is_over_its_time_fails_the_start(hook: str) -> None:
    async with life_of(It) as it:
        reply = await held_at(it, hook)
        await it.pass_time(LIMITS[hook])
        with pytest.raises(ActorError) as caught:
            output_of(await reply)
        error = caught.value
        assert (error.group, error.code) == ("actor", "callback_timed_out")
        assert error.metadata == {"callback_name": hook, "duration_ms": LIMITS[hook] * 1000}


async def test_a_hook_that_is_over_its_time_is_cancelled() -> None:
    class Cancelled(It):
        async def on_wake(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                SEEN.append("cancelled")

    async with life_of(Cancelled) as it:
        it.send("hear", "request")
        await turns()
        await it.pass_time(30)
        assert SEEN[-1] == "cancelled"


# -- creation is complete, or it is repeated


@pytest.mark.parametrize("hook", ["on_migrate", "create_state", "on_create"])
async def test_a_creation_that_a_crash_interrupts_is_repeated(hook: str) -> None:
    disk = MemoryDisk()
    async with life_of(It, disk) as it:
        await held_at(it, hook)
    HANGS.clear()
    SEEN.clear()
    async with life_of(It, disk) as again:
        await again.call("hear", "request")
        assert SEEN[:5] == HOOKS


@pytest.mark.parametrize("hook", ["create_vars", "on_wake"])
async def test_a_creation_is_complete_before_the_actor_wakes(hook: str) -> None:
    disk = MemoryDisk()
    async with life_of(It, disk) as it:
        await held_at(it, hook)
    HANGS.clear()
    SEEN.clear()
    async with life_of(It, disk) as again:
        await again.call("hear", "request")
        assert SEEN[:3] == ["on_migrate", "create_vars", "on_wake"]


# -- what the hooks may do


class Free(Actor):
    """Uses what a hook of the start may use."""

    jobs = Queue[str]()
    state: str = ""
    hook = ""

    async def on_migrate(self, is_new: bool) -> None:
        await self._use("on_migrate")

    async def create_state(self, given: Any) -> str:
        await self._use("create_state")
        return ""

    async def on_create(self, given: Any) -> None:
        await self._use("on_create")

    async def create_vars(self) -> None:
        await self._use("create_vars")

    async def on_wake(self) -> None:
        await self._use("on_wake")

    async def _use(self, hook: str) -> None:
        if hook == self.hook:
            SEEN.append((self.name, self.key, self.aborted, len(self.conns), self.conn))
            self.broadcast("anything")
            await self.kv.put("key", "value")
            await self.queue.send(self.jobs, "job")
            await self.schedule.after(1000, self.get)
            self.wait_until(asyncio.sleep(0))

    @action
    async def get(self) -> list[Any]:
        message = await self.queue.try_next(self.jobs)
        jobs = None if message is None else message.body
        return [await self.kv.get("key"), jobs, len(await self.schedule.list())]


@pytest.mark.parametrize("hook", HOOKS)
async def test_a_hook_may_use_storage_queues_and_schedules(hook: str) -> None:
    async with life_of(type("Free", (Free,), {"hook": hook})) as it:
        assert await it.call("get") == ["value", "job", 1]
        assert SEEN == [("it", (), False, 0, None)]


@pytest.mark.parametrize("hook", ["on_create", "on_wake"])
async def test_an_actor_may_be_destroyed_by_a_hook_that_then_fails(hook: str) -> None:
    async def vanish(self: Actor, *_: Any) -> None:
        self.destroy()
        await turns(10)
        raise RuntimeError("and gone")

    async with life_of(type("Vanishing", (It,), {hook: vanish})) as it:
        error = await it.fails("hear", "request")
        assert error.code == "destroyed_during_creation"
        await turns(40)
        assert not it.is_awake
        assert it.store.disk.actors == {}
        assert it.lines("actor could not be stopped in an orderly way") == []


async def test_the_control_api_destroys_one_that_is_starting() -> None:
    async with life_of(It) as it:
        await held_at(it, "on_wake")
        done = asyncio.ensure_future(it.local.destroy(it.actor.actor_id))
        await turns()
        GATES[0].set()
        await done
        assert it.store.disk.actors == {}


async def test_one_that_is_put_to_sleep_while_it_starts_serves_who_waits_and_sleeps() -> None:
    async with life_of(It) as it:
        reply = await held_at(it, "on_wake")
        asked = asyncio.ensure_future(it.sleep_by_control_api(it.actor.actor_id))
        await turns()
        GATES[0].set()
        assert output_of(await reply) == ["request"]
        await asked
        assert not it.is_awake
