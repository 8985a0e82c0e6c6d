"""When an actor that has nothing to do goes to sleep: semantics page, section 2.5."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stator import Actor, Conn, Options, Queue, Request, Response, WebSocket, action
from stator.runtime.link.frames import ConnectionKind
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import output_of, turns
from tests.fakes.queue_users import Office

TIMEOUT_S = 10.0


class It(Actor):
    """Works until a test opens its gate."""

    options = Options(sleep_timeout=TIMEOUT_S)
    state: int = 0
    jobs = Queue[int, int]()

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    @action
    def add(self) -> int:
        self.state += 1
        return self.state

    @action
    async def work(self) -> None:
        await self.gate.wait()

    @action
    async def work_later(self) -> None:
        await self.schedule.after(0, self.work)

    @action
    async def do_later(self, delay: float) -> None:
        await self.schedule.after(delay, self.add)

    @action
    def keep_busy(self) -> None:
        self.keep_awake(self.gate.wait())

    @action
    def wait_behind(self) -> None:
        self.wait_until(self.gate.wait())

    @action
    def start_task_of_its_own(self) -> None:
        self.vars = asyncio.ensure_future(self.gate.wait())

    @action
    async def send(self) -> None:
        await self.queue.send(self.jobs, 1)

    @action
    async def receive_here(self) -> None:
        await self.queue.next(self.jobs)

    @action
    def receive_behind(self) -> None:
        self.wait_until(self.queue.next(self.jobs))

    @action
    def ask_to_sleep(self, times: int) -> int:
        for _ in range(times):
            self.sleep()
        return self.add()


class Never(It):
    options = Options(sleep_timeout=TIMEOUT_S, no_sleep=True)


class Running(It):
    """Its ``run`` goes on until the gate opens."""

    async def run(self) -> None:
        await self.gate.wait()


class Receiving(It):
    """Its ``run`` waits for messages, and for its gate with each."""

    async def run(self) -> None:
        async for _ in self.queue.iter(self.jobs):
            await self.gate.wait()


class AtOnce(It):
    """Wants to sleep from the beginning."""

    def on_wake(self) -> None:
        self.state += 10
        self.sleep()


class Served(It):
    """Is visited over HTTP and WebSockets."""

    def on_connect(self, conn: Conn) -> None: ...

    async def on_disconnect(self, conn: Conn) -> None:
        if conn.params == "slow":
            await asyncio.sleep(0)
            await self.gate.wait()

    async def on_request(self, request: Request) -> Response:
        await self.gate.wait()
        return Response("done")

    async def on_websocket(self, ws: WebSocket) -> None:
        async for _ in ws:
            await self.gate.wait()


class Hibernating(Served):
    options = Options(
        sleep_timeout=TIMEOUT_S, on_connect_timeout=1000, can_hibernate_websocket=True
    )


@asynccontextmanager
async def awake(kind: type[Actor] = It) -> AsyncGenerator[Life]:
    """Run an engine whose actor has just been called."""
    async with life_of(kind) as it:
        await it.call("add")
        await turns()
        yield it


async def ends_after(it: Life, gate: asyncio.Event | None = None) -> None:
    """Check that what goes on keeps the actor awake, and that its idle time begins anew then."""
    opened = gate or it.actor.gate
    await it.pass_time(3 * TIMEOUT_S)
    assert it.is_awake
    opened.set()
    await turns()
    await it.pass_time(TIMEOUT_S - 0.5)
    assert it.is_awake
    await it.pass_time(0.5)
    assert not it.is_awake


# -- idle time


async def test_an_actor_without_work_sleeps_after_its_time() -> None:
    async with awake() as it:
        await it.pass_time(TIMEOUT_S)
        assert not it.is_awake


async def test_it_is_in_memory_until_then() -> None:
    async with awake() as it:
        await it.pass_time(TIMEOUT_S - 0.001)
        assert it.is_awake


async def test_the_next_call_wakes_it_with_its_state() -> None:
    async with awake() as it:
        await it.pass_time(TIMEOUT_S)
        assert await it.call("add") == 2


async def test_each_call_begins_the_idle_time_anew() -> None:
    async with awake() as it:
        for _ in range(4):
            await it.pass_time(TIMEOUT_S - 1)
            await it.call("add")
        assert it.actor.state == 5
        await it.pass_time(TIMEOUT_S - 1)
        assert it.is_awake


async def test_one_that_woke_sleeps_again() -> None:
    async with awake() as it:
        for _ in range(3):
            await it.pass_time(TIMEOUT_S)
            assert not it.is_awake
            await it.call("add")
            assert it.is_awake


async def test_one_that_a_schedule_woke_sleeps_again() -> None:
    async with awake() as it:
        await it.call("do_later", 100)
        await it.pass_time(100)
        assert it.is_awake
        await it.pass_time(TIMEOUT_S)
        assert not it.is_awake


async def test_one_that_was_only_created_sleeps_too() -> None:
    async with life_of(It) as it:
        await it.local.create("it")
        await turns()
        assert it.is_awake
        await it.pass_time(TIMEOUT_S)
        assert not it.is_awake


async def test_actors_of_one_class_sleep_each_at_its_own_time() -> None:
    async with awake() as it:
        await it.pass_time(4)
        await it.call("add", key="other")
        await it.pass_time(TIMEOUT_S - 4)
        assert (it.is_awake, it.local.is_awake("it", "other")) == (False, True)
        await it.pass_time(4)
        assert not it.local.is_awake("it", "other")


async def test_one_that_never_sleeps_stays() -> None:
    async with awake(Never) as it:
        await it.pass_time(100 * TIMEOUT_S)
        assert it.is_awake


# -- what keeps it awake


@pytest.mark.parametrize("action", ["work", "work_later", "keep_busy"])
async def test_work_keeps_it_awake(action: str) -> None:
    async with awake() as it:
        it.send(action)
        await turns()
        await it.pass_time(0)
        await ends_after(it)


async def test_a_run_that_goes_on_keeps_it_awake() -> None:
    async with awake(Running) as it:
        await ends_after(it)


async def test_a_run_at_work_on_a_message_keeps_it_awake() -> None:
    async with awake(Receiving) as it:
        await it.call("send")
        await ends_after(it)


async def test_a_publication_that_waits_for_its_reply_keeps_it_awake() -> None:
    async with awake() as it:
        office = Office(it.local, it.store, it.clock, "it")  # type: ignore[arg-type]
        answer = office.publish(1, wait=True, timeout=30_000)
        await turns()
        await it.pass_time(29)
        assert it.is_awake
        await it.pass_time(1)
        await answer
        await it.pass_time(TIMEOUT_S)
        assert not it.is_awake


async def test_a_raw_request_keeps_it_awake() -> None:
    async with awake(Served) as it:
        it.gateway.request("it")
        await turns()
        await ends_after(it)


async def test_an_open_socket_that_cannot_hibernate_keeps_it_awake() -> None:
    async with awake(Served) as it:
        client = await it.gateway.connect_raw("it")
        await it.pass_time(3 * TIMEOUT_S)
        assert it.is_awake
        client.leave()
        await turns()
        await it.pass_time(TIMEOUT_S - 0.5)
        assert it.is_awake
        await it.pass_time(0.5)
        assert not it.is_awake


async def test_a_handler_at_work_on_a_message_keeps_it_awake() -> None:
    async with awake(Hibernating) as it:
        client = await it.gateway.connect_raw("it")
        client.send("x")
        await turns()
        await ends_after(it)


async def test_a_hook_that_says_farewell_keeps_it_awake() -> None:
    async with awake(Hibernating) as it:
        client = await it.gateway.connect("it", params="slow")
        client.leave()
        await turns()
        await ends_after(it)


# -- what does not


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("wait_behind", ()),
        ("start_task_of_its_own", ()),
        ("send", ()),
        ("do_later", (100,)),
    ],
)
async def test_what_is_not_its_work_does_not_keep_it_awake(
    action: str, arguments: tuple[Any, ...]
) -> None:
    async with awake() as it:
        await it.call(action, *arguments)
        gate = it.actor.gate
        await it.pass_time(TIMEOUT_S)
        gate.set()
        await turns()
        assert not it.is_awake


async def test_a_finished_run_does_not_keep_it_awake() -> None:
    async with awake(Running) as it:
        it.actor.gate.set()
        await turns()
        await it.pass_time(TIMEOUT_S)
        assert not it.is_awake


async def test_a_run_that_waits_for_a_message_does_not_keep_it_awake() -> None:
    async with awake(Receiving) as it:
        await it.pass_time(TIMEOUT_S)
        assert not it.is_awake


async def test_any_receive_that_waits_exempts_a_run_that_goes_on() -> None:
    async with awake(Running) as it:
        await it.call("receive_behind")
        await turns()
        await it.pass_time(TIMEOUT_S)
        it.actor.gate.set()
        await turns()
        assert not it.is_awake


async def test_a_receive_does_not_exempt_the_action_in_which_it_waits() -> None:
    async with awake(Receiving) as it:
        receiving = it.send("receive_here")
        await it.pass_time(3 * TIMEOUT_S)
        assert it.is_awake
        it.actor.gate.set()
        await it.call("send")
        await it.call("send")
        output_of(await receiving)
        await it.pass_time(TIMEOUT_S)
        assert not it.is_awake


@pytest.mark.parametrize("kind", [ConnectionKind.ACTOR, ConnectionKind.RAW])
async def test_an_open_connection_that_hibernates_does_not_keep_it_awake(
    kind: ConnectionKind,
) -> None:
    async with awake(Hibernating) as it:
        await it.gateway.connect("it", kind=kind)
        await it.pass_time(TIMEOUT_S)
        assert not it.is_awake


# -- sleep on request


async def test_it_may_ask_for_sleep_itself() -> None:
    async with awake() as it:
        assert await it.call("ask_to_sleep", 1) == 2
        await turns()
        assert not it.is_awake


async def test_to_ask_twice_is_silent() -> None:
    async with awake() as it:
        assert await it.call("ask_to_sleep", 2) == 2
        await turns()
        assert not it.is_awake
        assert it.log == []


async def test_one_that_never_sleeps_by_itself_may_ask_for_it() -> None:
    async with awake(Never) as it:
        await it.call("ask_to_sleep", 1)
        await turns()
        assert not it.is_awake


async def test_who_asks_in_the_midst_of_work_sleeps_when_that_has_ended() -> None:
    async with awake() as it:
        working = it.send("work")
        await turns()
        actor = it.actor
        await it.call("ask_to_sleep", 1)
        await turns()
        assert it.is_awake
        actor.gate.set()
        output_of(await working)
        await turns()
        assert not it.is_awake


async def test_who_asks_while_it_starts_serves_who_waits_and_sleeps() -> None:
    async with life_of(AtOnce) as it:
        replies = [it.send("add") for _ in range(3)]
        assert [output_of(await reply) for reply in replies] == [11, 12, 13]
        await turns()
        assert not it.is_awake


async def test_the_control_api_puts_it_to_sleep() -> None:
    async with awake() as it:
        await it.sleep_by_control_api(it.actor.actor_id)
        assert not it.is_awake


async def test_the_control_api_is_answered_when_it_sleeps() -> None:
    async with awake() as it:
        it.send("work")
        await turns()
        actor = it.actor
        asked = asyncio.ensure_future(it.sleep_by_control_api(actor.actor_id))
        await turns()
        assert not asked.done()
        actor.gate.set()
        await asked
        assert not it.is_awake


async def test_the_control_api_may_ask_for_who_sleeps() -> None:
    async with awake() as it:
        actor_id = it.actor.actor_id
        for _ in range(2):
            await it.sleep_by_control_api(actor_id)
        assert await it.call("add") == 2


async def test_a_request_that_comes_while_it_falls_asleep_is_served_by_the_next_life() -> None:
    async with awake() as it:
        it.send("work")
        await turns()
        before = it.actor
        await it.call("ask_to_sleep", 1)
        held = it.send("add")
        await turns()
        before.gate.set()
        assert output_of(await held) == 3
        assert it.actor is not before


async def test_many_actors_fall_asleep_with_one_timer() -> None:
    async with awake() as it:
        timers = it.clock.timers
        for number in range(50):
            await it.call("add", key=str(number))
        assert it.clock.timers <= timers + 1
        await it.pass_time(TIMEOUT_S)
        assert not any(it.local.is_awake("it", str(number)) for number in range(50))
