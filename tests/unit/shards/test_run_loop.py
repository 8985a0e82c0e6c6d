"""The hook ``run``: semantics page, section 2.9."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stator import Actor, Event, Options, Queue, action
from stator.runtime.errors import ActorError
from stator.runtime.protocol.connection import Event as EventMessage
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import turns
from tests.fakes.memory_store import MemoryDisk

SEEN: list[Any] = []
Body = Callable[["It"], Awaitable[None]]


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


class It(Actor):
    """Does in ``run`` what a test says."""

    options = Options(sleep_timeout=10.0, sleep_grace_period=5.0)
    state: int = 0
    jobs = Queue[int, int]()
    told = Event[str]()
    body: Body

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    def on_wake(self) -> None:
        SEEN.append("on_wake")

    async def run(self) -> None:
        SEEN.append("run")
        await type(self).body(self)

    @action
    def get(self) -> int:
        return self.state

    @action
    def fall_asleep(self) -> None:
        self.sleep()

    @action
    async def send(self, number: int) -> None:
        await self.queue.send(self.jobs, number)


def running(body: Body, **options: Any) -> type[It]:
    """Return a class of actors whose ``run`` is ``body``."""
    return type("Running", (It,), {"body": staticmethod(body), **options})


async def wait_for_gate(it: It) -> None:
    """A ``run`` that goes on until the test lets it end."""
    await it.gate.wait()
    SEEN.append("ended")


async def return_at_once(it: It) -> None:
    """A ``run`` that has nothing to do."""


async def fail(it: It) -> None:
    """A ``run`` with a mistake."""
    raise RuntimeError("no loop")


async def count(it: It) -> None:
    """A ``run`` that adds up what comes."""
    async for message in it.queue.iter(it.jobs):
        it.state += message.body


async def asleep(it: Life) -> None:
    """Put the actor to sleep."""
    await it.call("fall_asleep")
    await turns(40)
    assert not it.is_awake


# -- its beginning


async def test_it_begins_behind_on_wake_and_before_the_first_request_is_served() -> None:
    async with life_of(running(wait_for_gate)) as it:
        await it.call("get")
        await turns()
        assert SEEN == ["on_wake", "run"]


async def test_actions_run_beside_it() -> None:
    async with life_of(running(wait_for_gate)) as it:
        for _ in range(3):
            assert await it.call("get") == 0
        assert "ended" not in SEEN


async def test_it_does_not_hold_up_the_readiness_of_the_actor() -> None:
    def block(it: It) -> Awaitable[None]:
        return asyncio.Event().wait()  # type: ignore[return-value]

    async with life_of(running(block)) as it:
        assert await it.call("get") == 0


async def test_it_begins_from_the_top_at_each_wake() -> None:
    async with life_of(running(return_at_once)) as it:
        for _ in range(3):
            await it.call("get")
            await asleep(it)
        assert SEEN == ["on_wake", "run"] * 3


async def test_it_may_be_a_plain_function() -> None:
    class Plain(It):
        def run(self) -> None:  # type: ignore[override]
            self.state += 1

    async with life_of(Plain) as it:
        await it.call("get")
        await turns()
        assert await it.call("get") == 1


async def test_nobody_calls_it() -> None:
    async def look(it: It) -> None:
        SEEN.append((it.conn, it.request))

    async with life_of(running(look)) as it:
        await it.call("get")
        await turns()
        assert SEEN[-1] == (None, None)


# -- its end


@pytest.mark.parametrize("body", [return_at_once, fail])
async def test_it_is_not_begun_again_in_the_same_life(body: Body) -> None:
    async with life_of(running(body)) as it:
        for _ in range(3):
            await it.call("get")
            await turns()
        assert SEEN.count("run") == 1


@pytest.mark.parametrize("body", [return_at_once, fail])
async def test_the_actor_sleeps_by_the_usual_rules_when_it_has_ended(body: Body) -> None:
    async with life_of(running(body)) as it:
        await it.call("get")
        await turns()
        await it.pass_time(9)
        assert it.is_awake
        await it.pass_time(1)
        assert not it.is_awake


@pytest.mark.parametrize(
    "error", [RuntimeError("no loop"), KeyboardInterrupt(), asyncio.CancelledError()]
)
async def test_what_it_raises_is_logged_and_the_actor_stays_up(error: BaseException) -> None:
    async def raise_it(it: It) -> None:
        raise error

    async with life_of(running(raise_it)) as it:
        await it.call("get")
        await turns()
        (line,) = it.local.log.lines
        assert (line["level"], line["exc_info"]) == ("error", error)
        assert await it.call("get") == 0
        assert SEEN.count("on_wake") == 1


async def test_a_receive_that_the_end_of_life_ends_is_a_clean_exit() -> None:
    async def receive(it: It) -> None:
        await it.queue.next(it.jobs)

    async with life_of(running(receive)) as it:
        await it.call("get")
        await turns()
        await asleep(it)
        assert it.log == []


async def test_a_receive_that_is_aborted_is_no_clean_exit_while_the_actor_lives() -> None:
    async def raise_aborted(it: It) -> None:
        raise ActorError("of its own", group="actor", code="aborted")

    async with life_of(running(raise_aborted)) as it:
        await it.call("get")
        await turns()
        assert len(it.log) == 1


async def test_an_error_at_the_end_of_life_is_logged() -> None:
    async def fail_late(it: It) -> None:
        await it.abort_signal.wait()
        raise RuntimeError("too late")

    async with life_of(running(fail_late)) as it:
        await it.call("get")
        await turns()
        await asleep(it)
        (line,) = it.local.log.lines
        assert str(line["exc_info"]) == "too late"


async def test_a_loop_over_messages_ends_by_itself_at_the_end_of_life() -> None:
    async def loop(it: It) -> None:
        async for _ in it.queue.iter(it.jobs):
            pass
        SEEN.append("ended")

    async with life_of(running(loop)) as it:
        await it.call("get")
        await turns()
        await asleep(it)
        assert SEEN[-1] == "ended"
        assert it.log == []


async def test_what_it_does_on_its_way_out_is_stored() -> None:
    async def store(it: It) -> None:
        await it.abort_signal.wait()
        await asyncio.sleep(0)
        it.state += 5

    disk = MemoryDisk()
    async with life_of(running(store), disk) as it:
        await it.call("get")
        await asleep(it)
    async with life_of(running(return_at_once), disk) as again:
        assert await again.call("get") == 5


# -- what it may do


async def test_it_receives_what_actions_send() -> None:
    async with life_of(running(count)) as it:
        for number in (1, 2, 3):
            await it.call("send", number)
        await turns(60)
        assert await it.call("get") == 6


async def test_a_message_that_waited_is_received_by_the_next_life() -> None:
    disk = MemoryDisk()
    async with life_of(running(return_at_once), disk) as it:
        await it.call("send", 4)
        await asleep(it)
    async with life_of(running(count), disk) as again:
        await again.call("get")
        await turns(40)
        assert await again.call("get") == 4


async def test_it_may_broadcast() -> None:
    async def tell(it: It) -> None:
        await it.gate.wait()
        it.broadcast(it.told, "hello")

    async with life_of(running(tell)) as it:
        client = await it.gateway.connect("it")
        client.subscribe("told")
        await turns()
        it.actor.gate.set()
        await turns()
        assert EventMessage("told", ["hello"]) in client.heard()


async def test_it_may_put_its_actor_to_sleep() -> None:
    async def sleep(it: It) -> None:
        it.sleep()
        await it.abort_signal.wait()
        SEEN.append("ended")

    async with life_of(running(sleep)) as it:
        await it.call("get")
        await turns(40)
        assert not it.is_awake
        assert SEEN == ["on_wake", "run", "ended"]


async def test_a_job_that_is_done_may_destroy_its_actor() -> None:
    async def vanish(it: It) -> None:
        await it.gate.wait()
        it.destroy()
        SEEN.append("ended")

    async with life_of(running(vanish)) as it:
        await it.call("get")
        await turns()
        it.actor.gate.set()
        await turns(40)
        assert SEEN[-1] == "ended"
        assert it.store.disk.actors == {}
        assert it.log == []


async def test_a_destroyed_actor_does_not_wait_for_it() -> None:
    async def vanish_and_stay(it: It) -> None:
        it.destroy()
        await asyncio.Event().wait()

    async with life_of(running(vanish_and_stay)) as it:
        await it.call("get")
        await turns(40)
        assert it.store.disk.actors == {}


async def test_it_is_cancelled_when_a_destroyed_actor_is_gone() -> None:
    async def stay(it: It) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            SEEN.append("cancelled")

    async with life_of(running(stay)) as it:
        await it.call("get")
        it.actor.destroy()
        await turns(40)
        assert SEEN[-1] == "cancelled"
        assert it.log == []


async def test_a_crash_of_its_storage_ends_it() -> None:
    async def stay(it: It) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            SEEN.append("cancelled")

    class Writing(running(stay)):  # type: ignore[misc]
        @action
        def write(self) -> None:
            self.state += 1

    async with life_of(Writing) as it:
        await it.call("get")
        it.store.fail_next_commit()
        await it.fails("write")
        await turns(40)
        assert SEEN[-1] == "cancelled"
