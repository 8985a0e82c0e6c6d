"""``aborted`` and ``abort_signal``: semantics page, section 2.11."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import Actor, Options, Request, Response, action
from tests.fakes.actor_life import life_of
from tests.fakes.engine_in_process import output_of, turns

SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


class It(Actor):
    """Looks at its signal wherever it is."""

    options = Options(action_timeout=3.0, sleep_grace_period=5.0, no_sleep=True)
    state: int = 0

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.signals: list[asyncio.Event] = []

    def on_wake(self) -> None:
        SEEN.append(("on_wake", *self._look()))

    def on_sleep(self) -> None:
        SEEN.append(("on_sleep", *self._look()))

    def on_destroy(self) -> None:
        SEEN.append(("on_destroy", *self._look()))

    @action
    def look(self) -> tuple[bool, bool]:
        return self._look()

    @action
    def fall_asleep(self) -> tuple[bool, bool]:
        self.sleep()
        return self._look()

    @action
    def vanish(self) -> tuple[bool, bool]:
        self.destroy()
        return self._look()

    @action
    async def watch(self) -> str:
        await self.abort_signal.wait()
        SEEN.append(("watch", *self._look()))
        return "told"

    @action
    async def keep_signal(self) -> None:
        self.signals.append(self.abort_signal)
        await self.gate.wait()

    @action
    def watch_behind(self) -> None:
        self.wait_until(self._watch_behind())

    async def _watch_behind(self) -> None:
        await self.abort_signal.wait()
        SEEN.append("behind")

    async def on_request(self, request: Request) -> Response:
        await self.abort_signal.wait()
        return Response("told")

    def _look(self) -> tuple[bool, bool]:
        return self.aborted, self.abort_signal.is_set()


class Looping(It):
    async def run(self) -> None:
        await self.abort_signal.wait()
        SEEN.append(("run", *self._look()))


UNSET, SET = (False, False), (True, True)


@pytest.mark.parametrize("end", ["sleep", "destroy"])
async def test_it_is_set_before_the_last_hook_runs(end: str) -> None:
    async with life_of(It) as it:
        await it.call("look")
        getattr(it.actor, end)()
        await turns()
        assert [("on_wake", *UNSET), (f"on_{end}", *SET)] == SEEN


@pytest.mark.parametrize("action", ["fall_asleep", "vanish"])
async def test_it_is_not_set_yet_where_the_end_was_asked_for(action: str) -> None:
    async with life_of(It) as it:
        assert await it.call(action) == list(UNSET)


async def test_each_life_has_its_own() -> None:
    async with life_of(It) as it:
        await it.call("look")
        before = it.actor
        await it.sleep()
        assert await it.call("look") == list(UNSET)
        assert (before.aborted, before.abort_signal.is_set()) == SET


async def test_it_tells_an_action_that_the_actor_falls_asleep() -> None:
    async with life_of(It) as it:
        watching = it.send("watch")
        await turns()
        it.actor.sleep()
        assert output_of(await watching) == "told"
        assert ("watch", *SET) in SEEN


async def test_it_tells_a_run_loop() -> None:
    async with life_of(Looping) as it:
        await it.call("look")
        it.actor.sleep()
        await turns()
        assert ("run", *SET) in SEEN


async def test_it_tells_background_work_though_its_action_has_ended() -> None:
    async with life_of(It) as it:
        await it.call("watch_behind")
        await turns()
        assert "behind" not in SEEN
        it.actor.sleep()
        await turns()
        assert "behind" in SEEN


async def test_it_tells_a_raw_request() -> None:
    async with life_of(It) as it:
        request = it.gateway.request("it")
        await turns()
        it.actor.sleep()
        assert await request.response() == (200, b"told")


async def test_it_tells_an_action_that_its_time_is_over() -> None:
    async with life_of(It) as it:
        watching = it.send("watch")
        await turns()
        await it.pass_time(3)
        assert SEEN[-1] == ("watch", *SET)
        assert b"action_timed_out" in (await watching)[1]


async def test_an_action_that_asks_for_it_only_when_its_time_is_over_finds_it_set() -> None:
    class Late(It):
        @action
        async def look_late(self) -> None:
            await self.gate.wait()
            SEEN.append(("late", *self._look()))

    async with life_of(Late) as it:
        it.send("look_late")
        await turns()
        await it.pass_time(3)
        it.actor.gate.set()
        await turns()
        assert SEEN[-1] == ("late", *SET)


async def test_an_action_over_its_time_is_not_cancelled() -> None:
    class Deaf(It):
        @action
        async def work(self) -> None:
            await self.gate.wait()
            self.state += 1

    async with life_of(Deaf) as it:
        it.send("work")
        await turns()
        await it.pass_time(3)
        it.actor.gate.set()
        await turns()
        assert it.actor.state == 1
        assert len(it.lines("action ended after its time limit; its result was dropped")) == 1


async def test_what_an_action_over_its_time_changed_is_stored() -> None:
    class Deaf(It):
        @action
        async def work(self) -> None:
            await self.gate.wait()
            self.state += 1

        @action
        def get(self) -> int:
            return self.state

    async with life_of(Deaf) as it:
        it.send("work")
        await turns()
        await it.pass_time(3)
        it.actor.gate.set()
        await turns()
        await it.sleep()
        assert await it.call("get") == 1


async def test_it_tells_what_an_action_began_that_the_action_has_ended() -> None:
    async with life_of(It) as it:
        ending = it.send("keep_signal")
        await turns()
        (signal,) = it.actor.signals
        assert not signal.is_set()
        it.actor.gate.set()
        await ending
        await turns()
        assert signal.is_set()


async def test_the_time_limit_of_one_action_does_not_concern_others() -> None:
    async with life_of(It) as it:
        it.send("watch")
        await turns()
        await it.pass_time(3)
        assert await it.call("look") == list(UNSET)
