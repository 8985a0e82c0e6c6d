"""How a life ends, asleep or destroyed, within its grace period: semantics page, 2.6 to 2.8."""

from __future__ import annotations

import asyncio

import pytest

from stator import Options, Queue, action
from stator.runtime.errors import ActorError
from stator.runtime.link.frames import ResponseHead
from tests.fakes.actor_life import life_of
from tests.fakes.ending_actor import (
    ENDS,
    GRACE_S,
    SEEN,
    WORKS,
    It,
    Looping,
    Served,
    ask_for,
    ending,
    is_here,
)
from tests.fakes.engine_in_process import output_of, turns
from tests.fakes.memory_store import MemoryDisk


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


# -- what is waited for


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("work", ["action", "keep_awake", "wait_until"])
async def test_work_is_waited_for(end: str, work: str) -> None:
    call, kind = WORKS[work]
    async with ending(end, call, kind=kind) as (it, actor):
        await it.pass_time(GRACE_S - 1)
        assert is_here(it, actor)
        actor.gate.set()
        await turns()
        assert [f"on_{end}", work] == SEEN
        assert not is_here(it, actor)
        assert it.log == []


async def test_a_run_is_waited_for_before_sleep() -> None:
    async with ending("sleep", kind=Looping) as (it, actor):
        await it.pass_time(GRACE_S - 1)
        assert is_here(it, actor)
        actor.gate.set()
        await turns()
        assert SEEN == ["on_sleep", "run"]
        assert not is_here(it, actor)


async def test_a_run_is_not_waited_for_by_a_destruction() -> None:
    async with ending("destroy", kind=Looping) as (it, actor):
        assert SEEN == ["on_destroy", "run cancelled"]
        assert not is_here(it, actor)
        assert it.log == []


async def test_a_raw_request_is_waited_for_and_answered() -> None:
    async with life_of(Served) as it:
        request = it.gateway.request("it")
        await turns()
        actor = it.actor
        await ask_for("sleep", it)
        await it.pass_time(GRACE_S - 1)
        assert is_here(it, actor)
        actor.gate.set()
        assert await request.response() == (200, b"ended")


async def test_a_hook_that_says_farewell_is_waited_for() -> None:
    async with life_of(Served) as it:
        client = await it.gateway.connect("it", params="slow")
        actor = it.actor
        await ask_for("destroy", it)
        await client.closed()
        await it.pass_time(4)
        assert is_here(it, actor)
        actor.gate.set()
        await turns()
        assert SEEN[-1] == "on_disconnect"
        assert not is_here(it, actor)


@pytest.mark.parametrize("end", ENDS)
async def test_the_last_hook_is_waited_for(end: str) -> None:
    async with life_of(It) as it:
        await it.call("get")
        actor = it.actor
        actor.hook.clear()
        await ask_for(end, it)
        await it.pass_time(GRACE_S - 1)
        assert is_here(it, actor)
        actor.hook.set()
        await turns()
        assert not is_here(it, actor)
        assert it.log == []


async def test_work_that_begins_in_grace_is_waited_for() -> None:
    async with ending("sleep", "work") as (it, actor):
        later = asyncio.Event()
        actor.wait_until(later.wait())
        actor.gate.set()
        await turns()
        assert is_here(it, actor)
        later.set()
        await turns()
        assert not is_here(it, actor)


async def test_what_work_changed_in_grace_is_stored() -> None:
    disk = MemoryDisk()
    async with ending("sleep", "work", "keep_busy", "wait_behind", disk=disk) as (it, actor):
        actor.gate.set()
        await turns()
        assert await it.call("get") == 103


async def test_an_action_that_ends_in_grace_is_answered() -> None:
    async with life_of(It) as it:
        working = it.send("work")
        await turns()
        actor = it.actor
        await ask_for("sleep", it)
        actor.gate.set()
        assert output_of(await working) == "ended"


# -- what is cut off


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("work", ["keep_awake", "wait_until"])
async def test_background_work_is_cancelled_when_the_period_is_over(end: str, work: str) -> None:
    async with ending(end, WORKS[work][0]) as (it, actor):
        await it.pass_time(GRACE_S)
        assert [f"on_{end}", f"{work} cancelled"] == SEEN
        assert not is_here(it, actor)


async def test_a_run_is_cancelled_when_the_period_is_over() -> None:
    async with ending("sleep", kind=Looping) as (it, actor):
        await it.pass_time(GRACE_S)
        assert SEEN == ["on_sleep", "run cancelled"]
        assert not is_here(it, actor)


@pytest.mark.parametrize("end", ENDS)
async def test_the_caller_of_an_action_is_told_when_the_period_is_over(end: str) -> None:
    async with life_of(It) as it:
        working = it.send("work")
        await turns()
        await ask_for(end, it)
        await it.pass_time(GRACE_S)
        with pytest.raises(ActorError) as caught:
            output_of(await working)
        assert (caught.value.group, caught.value.code) == ("actor", "stopping")


async def test_an_action_that_outlives_the_period_changes_nothing_any_more() -> None:
    async with ending("sleep", "work") as (it, actor):
        await it.pass_time(GRACE_S)
        actor.gate.set()
        await turns()
        assert await it.call("get") == 100


async def test_a_raw_request_is_cancelled_when_the_period_is_over() -> None:
    async with life_of(Served) as it:
        request = it.gateway.request("it")
        await turns()
        await ask_for("sleep", it)
        await it.pass_time(GRACE_S)
        header, _ = await request.next()
        assert SEEN == ["on_sleep", "request cancelled"]
        assert not isinstance(header, ResponseHead) or header.status >= 500


class Hasty(Served):
    options = Options(sleep_grace_period=2.0, on_connect_timeout=1000, no_sleep=True)


@pytest.mark.parametrize("end", ENDS)
async def test_a_hook_that_says_farewell_is_cancelled_when_the_period_is_over(end: str) -> None:
    async with life_of(Hasty) as it:
        client = await it.gateway.connect("it", params="slow")
        actor = it.actor
        client.leave()
        await turns()
        await ask_for(end, it)
        await it.pass_time(2)
        assert "on_disconnect cancelled" in SEEN
        assert not is_here(it, actor)


@pytest.mark.parametrize("end", ENDS)
async def test_the_last_hook_is_cancelled_when_the_period_is_over(end: str) -> None:
    async with life_of(It) as it:
        await it.call("get")
        actor = it.actor
        actor.hook.clear()
        await ask_for(end, it)
        await it.pass_time(GRACE_S)
        assert not is_here(it, actor)
        (line,) = it.local.log.lines
        assert (line["event"], line["level"]) == ("grace period over", "warning")
        assert line["hook"] == f"on_{end}"


async def test_one_budget_is_for_the_hook_and_all_work() -> None:
    async with life_of(It) as it:
        it.send("work")
        await turns()
        actor = it.actor
        actor.hook.clear()
        await ask_for("sleep", it)
        await it.pass_time(GRACE_S - 1)
        actor.hook.set()
        await turns()
        await it.pass_time(1)
        assert not is_here(it, actor)


async def test_what_is_cut_off_is_logged_once_with_all_counters() -> None:
    works = ["work", "keep_busy", "wait_behind"]
    async with ending("sleep", *works, kind=Looping) as (it, _):
        await it.pass_time(GRACE_S)
        (line,) = it.lines("grace period over")
        counters = {name: line[name] for name in ("running", "wait_until", "actions", "run")}
        assert counters == {"running": 2, "wait_until": 1, "actions": 1, "run": True}


class Stubborn(It):
    """Does not let itself be cancelled."""

    async def on_sleep(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            SEEN.append("went on")
            await self.gate.wait()

    on_destroy = on_sleep


@pytest.mark.parametrize("end", ENDS)
async def test_a_hook_that_does_not_let_itself_be_cancelled_is_left_behind(end: str) -> None:
    async with life_of(Stubborn) as it:
        await it.call("get")
        actor = it.actor
        await ask_for(end, it)
        await it.pass_time(GRACE_S)
        assert SEEN == ["went on"]
        async with asyncio.timeout(5):
            assert await it.call("get") == 0
        assert it.actor is not actor
        actor.gate.set()


# -- what a stop is about


class Telling(It):
    jobs = Queue[str]()

    async def on_sleep(self) -> None:
        await self.client.get_or_create(Telling, "other").hear("asleep")
        await self.queue.send(self.jobs, "from on_sleep")
        await self.schedule.after(5, self.hear, "later")
        SEEN.append((self.conn, self.request, self.aborted))

    @action
    def hear(self, text: str) -> None:
        SEEN.append(text)

    @action
    async def read(self) -> str | None:
        message = await self.queue.try_next(self.jobs)
        return None if message is None else message.body


async def test_on_sleep_may_call_other_actors() -> None:
    async with life_of(Telling) as it:
        await it.call("get")
        await ask_for("sleep", it)
        await turns(40)
        assert "asleep" in SEEN
        assert not it.is_awake


async def test_on_sleep_may_send_messages() -> None:
    async with life_of(Telling) as it:
        await it.call("get")
        await ask_for("sleep", it)
        await turns(40)
        assert await it.call("read") == "from on_sleep"


async def test_what_on_sleep_scheduled_wakes_the_actor() -> None:
    async with life_of(Telling) as it:
        await it.call("get")
        await ask_for("sleep", it)
        await turns(40)
        await it.pass_time(5)
        assert SEEN[-1] == "later"
        assert it.is_awake


async def test_nobody_calls_on_sleep() -> None:
    async with life_of(Telling) as it:
        await it.call("get")
        await ask_for("sleep", it)
        await turns(40)
        assert (None, None, True) in SEEN


async def test_messages_of_other_works_are_not_lost_by_a_hook_that_fails() -> None:
    async with life_of(Failing) as it:
        await it.call("get")
        await ask_for("sleep", it)
        assert await it.call("get") == 1
        (line,) = it.lines("hook failed")
        assert line["hook"] == "on_sleep"


class Failing(It):
    async def on_sleep(self) -> None:
        self.state += 1
        raise RuntimeError("cannot sleep")
