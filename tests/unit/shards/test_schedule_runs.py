"""The runs of schedules: what the action gets, sees and does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stator import Actor, Options, action
from stator.runtime.error_views import ErrorView
from stator.runtime.schedule_errors import InvalidScheduleRow
from stator.runtime.schedules import ScheduledFire
from stator.runtime.storage import ScheduleRow
from stator.shards.schedules.calls import takes_fire
from stator.shards.schedules.history import decode_error, encode_error
from stator.shards.schedules.images import OneShot, decode_args, encode_args, read_row
from tests.fakes.engine_in_process import running_engine, turns, wait_until
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.scheduling_engine import scheduling_engine
from tests.fakes.store_media import SqliteMedium


class It(Actor):
    options = Options(sleep_timeout=5.0, sleep_grace_period=10.0, action_timeout=3.0)
    state: dict[str, Any] = {"heard": []}  # noqa: RUF012 - copied for each actor

    def hear(self, *words: Any) -> None:
        self.state["heard"].append(list(words))

    def on_before_action_response(self, name: str, args: tuple[Any, ...], output: Any) -> Any:
        if name == "plain":
            self.hear("before response", name, list(args))
        return output

    @action
    def plain(self, text: str) -> None:
        self.hear(text, self.conn is None, self.request is None)

    @action
    def with_fire(self, text: str, fire: ScheduledFire) -> None:
        self.hear(text, fire.kind, fire.id, fire.name, fire.scheduled_at, fire.fired_at)

    @action
    def with_flag(self, text: str, loud: bool = False) -> None:
        self.hear(text, loud)

    @action
    def open_ended(self, *texts: str) -> None:
        self.hear(*texts)

    @action
    async def long(self) -> None:
        self.hear("begun")
        await self.abort_signal.wait()

    @action
    async def after(self, delay: float, name: str, *args: Any) -> str:
        return await self.schedule.after(delay, name, *args)

    @action
    async def every(self, interval: float, name: str, *args: Any) -> None:
        await self.cron.every(name="job", interval=interval, action=name, args=args)

    @action
    async def set(self, expression: str, name: str, *args: Any) -> None:
        await self.cron.set(name="job", expression=expression, action=name, args=args)

    @action
    def get_heard(self) -> Any:
        return self.state["heard"]


class Tidy(It):
    async def on_sleep(self) -> None:
        await self.schedule.after(1, self.plain, "from on_sleep")


# -- what the action gets


async def test_nobody_calls() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 1, "plain", "hi")
        await it.pass_time(1)
        assert ["hi", True, True] in await it.call("get_heard")


async def test_the_hook_before_the_response_runs() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 1, "plain", "hi")
        await it.pass_time(1)
        assert ["before response", "plain", ["hi"]] in await it.call("get_heard")


async def test_an_action_with_one_more_parameter_learns_why_it_is_called() -> None:
    async with scheduling_engine(It) as it:
        due = it.clock.now_ms() / 1000 + 2
        schedule_id = await it.call("after", 2, "with_fire", "hi")
        await it.pass_time(2)
        assert await it.call("get_heard") == [["hi", "at", schedule_id, None, due, due]]


async def test_a_recurring_schedule_is_known_by_its_name() -> None:
    async with scheduling_engine(It) as it:
        await it.call("every", 10, "with_fire", "hi")
        await it.pass_time(10)
        ((_, kind, schedule_id, name, *_),) = await it.call("get_heard")
        assert (kind, schedule_id, name) == ("every", "job", "job")


async def test_a_cron_job_says_so() -> None:
    async with scheduling_engine(It) as it:
        await it.call("set", "* * * * *", "with_fire", "hi")
        await it.pass_time(60)
        ((_, kind, *_),) = await it.call("get_heard")
        assert kind == "cron"


async def test_a_late_run_knows_when_it_was_due() -> None:
    disk, clock = MemoryDisk(), ManualClock()
    async with scheduling_engine(It, disk, clock) as it:
        due = clock.now_ms() / 1000 + 2
        await it.call("after", 2, "with_fire", "hi")
    clock.advance(102)
    async with scheduling_engine(It, disk, clock) as it:
        ((*_, scheduled_at, fired_at),) = await it.call("get_heard")
        assert (scheduled_at, fired_at) == (due, due + 100)


async def test_a_parameter_that_says_it_is_something_else_gets_nothing() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 1, "with_flag", "hi")
        await it.pass_time(1)
        assert await it.call("get_heard") == [["hi", False]]


async def test_an_open_end_gets_what_was_given() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 1, "open_ended", "a", "b")
        await it.pass_time(1)
        assert await it.call("get_heard") == [["a", "b"]]


async def test_arguments_that_do_not_fit_fail_the_run() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 1, "plain", 5)
        await it.pass_time(1)
        assert it.log == ["scheduled action failed"]
        assert await it.call("get_heard") == []


class Signatures:
    def none(self) -> None: ...
    def one(self, fire: ScheduledFire) -> None: ...
    def optional(self, fire: ScheduledFire | None = None) -> None: ...
    def untyped(self, fire=None): ...  # type: ignore[no-untyped-def]  # pyright: ignore
    def anything(self, fire: Any) -> None: ...
    def positional(self, fire: object, /) -> None: ...
    def number(self, fire: int = 0) -> None: ...
    def keyword(self, *, fire: ScheduledFire | None = None) -> None: ...
    def rest(self, *fires: ScheduledFire) -> None: ...


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("none", 0, False),
        ("one", 0, True),
        ("one", 1, False),
        ("optional", 0, True),
        ("untyped", 0, True),
        ("anything", 0, True),
        ("positional", 0, True),
        ("number", 0, False),
        ("keyword", 0, False),
        ("rest", 0, False),
    ],
)
def test_who_learns_why_it_is_called(name: str, given: int, expected: bool) -> None:
    assert takes_fire(getattr(Signatures, name), given) is expected


# -- the actor's life


async def test_a_run_keeps_the_actor_awake() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 4, "long")
        await it.pass_time(6)
        assert it.local.is_awake("it")


async def test_what_is_pending_does_not_keep_the_actor_awake() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 100, "plain", "hi")
        await it.pass_time(6)
        assert not it.local.is_awake("it")


async def test_what_is_scheduled_in_grace_fires_in_the_next_life() -> None:
    async with scheduling_engine(Tidy) as it:
        await it.call("get_heard")
        await it.sleep()
        await it.pass_time(0.5)
        assert not it.local.is_awake("it")
        await it.pass_time(0.5)
        assert ["from on_sleep", True, True] in it.local.actor("it").state["heard"]


async def test_nothing_fires_while_the_actor_leaves() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 2, "plain", "hi")
        actor = it.local.actor("it")
        future: Any = actor.keep_awake(_forever())
        actor.sleep()
        await it.pass_time(4)
        assert actor.state["heard"] == []
        future.cancel()
        await it.pass_time(2)
        assert it.local.actor("it") is not actor
        assert ["hi", True, True] in it.local.actor("it").state["heard"]


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_destroyed_actor_is_not_called() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 2, "plain", "hi")
        it.local.actor("it").destroy()
        await it.pass_time(5)
        assert not it.local.is_awake("it")
        assert it.log == []


class Fragile(It):
    fails = False

    def on_wake(self) -> None:
        if Fragile.fails:
            raise RuntimeError("not yet")


async def test_an_actor_that_does_not_start_is_tried_again_until_it_fires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scheduling_engine(Fragile) as it:
        await it.call("after", 2, "plain", "hi")
        await it.sleep()
        monkeypatch.setattr(Fragile, "fails", True)
        await it.pass_time(5)
        failed = it.log.count("actor did not start")
        monkeypatch.setattr(Fragile, "fails", False)
        await it.pass_time(5)
        assert failed >= 2
        assert ["hi", True, True] in it.local.actor("it").state["heard"]


async def test_many_schedules_that_are_due_at_once_all_fire() -> None:
    async with scheduling_engine(It) as it:
        for number in range(50):
            for _ in range(4):
                await it.call("after", 10, "plain", "hi", key=f"k{number}")
        for number in range(0, 50, 2):
            await it.sleep(f"k{number}")
        await it.pass_time(10)
        await turns(100)
        for number in range(50):
            heard = await it.call("get_heard", key=f"k{number}")
            assert heard.count(["hi", True, True]) >= 4


# -- what is stored


def test_a_row_that_cannot_be_read_is_an_error_of_its_own() -> None:
    with pytest.raises(InvalidScheduleRow):
        read_row(ScheduleRow(False, "id", 5, b"\xff garbage"))


def test_a_row_of_the_wrong_kind_is_refused() -> None:
    image = OneShot("id", 5, "hear", encode_args([])).image()
    with pytest.raises(InvalidScheduleRow):
        read_row(ScheduleRow(True, "id", 5, image))


async def test_a_row_that_cannot_be_read_does_not_stop_the_actor() -> None:
    disk, clock = MemoryDisk(), ManualClock()
    async with scheduling_engine(It, disk, clock) as it:
        await it.call("after", 100, "plain", "hi")
        (row,) = disk.actors.values()
        row.schedules[0].image = b"\xc1"
    async with scheduling_engine(It, disk, clock) as it:
        assert await it.call("get_heard") == []
        assert it.log == ["schedule cannot be read"]
    (row,) = disk.actors.values()
    assert row.schedules[0].image == b"\xc1"


@pytest.mark.parametrize("metadata", [None, {"a": [1, {2}]}, object()])
def test_an_error_comes_back_and_leaves_out_what_cannot_be_stored(metadata: Any) -> None:
    data = encode_error(ErrorView("user", "no", "No.", metadata, 400))
    expected = None if type(metadata) is object else metadata
    assert decode_error(data) == {
        "group": "user",
        "code": "no",
        "message": "No.",
        "metadata": expected,
    }


def test_arguments_are_a_tuple() -> None:
    assert decode_args(encode_args(["a", {1}])) == ("a", {1})


# -- with a file


async def test_a_file_keeps_schedules_and_history(tmp_path: Path) -> None:
    medium, clock = SqliteMedium(tmp_path), ManualClock()
    try:
        async with running_engine(medium.open(), use={"it": It}, clock=clock) as local:
            await local.call("it", "after", 10, "plain", "hi")
            await local.call("it", "every", 10, "open_ended", "tick")
        async with running_engine(medium.open(), use={"it": It}, clock=clock) as local:
            await wait_until(lambda: clock.timers > 0, "the alarm is set")
            clock.advance(10)
            await wait_until(lambda: local.is_awake("it"), "the alarm wakes the actor")
            assert ["hi", True, True] in await local.call("it", "get_heard")
            (line,) = await local.actor("it").cron.history("job")
            assert line.result == "ok"
    finally:
        medium.release()
