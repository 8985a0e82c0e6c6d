"""``self.schedule``: calls that come once."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, Options, action
from stator.runtime.schedules import ScheduledFire
from tests.fakes.engine_in_process import turns
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.scheduling_engine import scheduling_engine


class Note(msgspec.Struct):
    text: str
    tags: list[str] = []


ARGUMENTS: dict[str, Any] = {
    "nothing": None,
    "set": {1, 2},
    "tuple": (1, (2, "x")),
    "bytes": b"\x00\xff",
    "big": 10**40,
    "naive": dt.datetime(2026, 1, 1, 12),
    "aware": dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC),
    "delta": dt.timedelta(days=-1, microseconds=7),
    "decimal": decimal.Decimal("1.10"),
    "uuid": uuid.UUID(int=7),
    "keys": {1: "a", (1, 2): "b", None: "c"},
}


class It(Actor, rename="camel"):
    options = Options(max_schedules=3)
    state: dict[str, list[Any]] = {"heard": []}  # noqa: RUF012 - copied for each actor

    @action
    def hear(self, text: str) -> None:
        self.state["heard"].append(text)

    @action
    def hear_any(self, value: Any) -> None:
        self.vars = value

    vars = None
    returned = 0

    @action
    def get_vars(self, kind: str) -> bool:
        return type(self.vars) is type(ARGUMENTS[kind]) and bool(self.vars == ARGUMENTS[kind])

    @action
    def get_heard(self) -> Any:
        return self.state["heard"]

    @action
    async def after(self, delay: Any, name: str, *args: Any) -> str:
        return await self.schedule.after(delay, name, *args)

    @action
    async def after_hear(self, delay: float, text: str) -> str:
        schedule_id = await self.schedule.after(delay, self.hear, text)
        self.returned += 1
        return schedule_id

    @action
    async def after_kind(self, kind: str) -> None:
        value = ARGUMENTS[kind]
        await self.schedule.after(1, self.hear_any, value)

    @action
    async def after_note(self) -> None:
        await self.schedule.after(1, self.hear_note, Note("hi", ["a"]))

    @action
    def hear_note(self, note: Note) -> None:
        self.state["heard"].append(f"{type(note).__name__} {note.text} {note.tags}")

    @action
    async def after_changed(self) -> None:
        words = ["before"]
        await self.schedule.after(1, self.hear_any_heard, words)
        words.append("after")

    @action
    def hear_any_heard(self, words: list[str]) -> None:
        self.state["heard"].append(words)

    @action
    async def at(self, when: float, text: str) -> str:
        return await self.schedule.at(when, self.hear, text)

    @action
    async def at_datetime(self, text: str) -> str:
        naive = dt.datetime(2026, 1, 1)
        return await self.schedule.at(naive, self.hear, text)

    @action
    async def get(self, schedule_id: str) -> list[Any] | None:
        found = await self.schedule.get(schedule_id)
        return None if found is None else [found.id, found.action, list(found.args), found.run_at]

    @action
    async def list_actions(self) -> list[str]:
        return [each.args[0] for each in await self.schedule.list()]

    @action
    async def list_ids(self) -> list[str]:
        return [each.id for each in await self.schedule.list()]

    @action
    async def cancel(self, schedule_id: str) -> bool:
        was_there = await self.schedule.cancel(schedule_id)
        self.returned += 1
        return was_there

    @action
    async def after_function(self, kind: str) -> str:
        functions: dict[str, Any] = {
            "bound": self.hear,
            "of the class": It.hear,
            "stranger": len,
            "method": self.no_action,
            "lambda": lambda: None,
        }
        return await self.schedule.after(1, functions[kind], "x")

    def no_action(self) -> None: ...

    @action
    async def unstorable(self) -> None:
        await self.schedule.after(1, self.hear, object())  # type: ignore[arg-type,unused-ignore]

    @action
    async def endless(self) -> None:
        loop: list[Any] = []
        loop.append(loop)
        await self.schedule.after(1, self.hear, loop)


async def test_it_is_called_when_its_time_has_come() -> None:
    async with scheduling_engine(It) as it:
        await it.call("afterHear", 10, "hi")
        await it.pass_time(9.9)
        assert await it.call("getHeard") == []
        await it.pass_time(0.1)
        assert await it.call("getHeard") == ["hi"]


async def test_it_is_called_once() -> None:
    async with scheduling_engine(It) as it:
        await it.call("afterHear", 1, "hi")
        await it.pass_time(100)
        assert await it.call("getHeard") == ["hi"]


@pytest.mark.parametrize("delay", [0, -5])
async def test_a_delay_that_is_over_is_called_at_once(delay: float) -> None:
    async with scheduling_engine(It) as it:
        await it.call("afterHear", delay, "hi")
        await it.pass_time(0)
        assert await it.call("getHeard") == ["hi"]


async def test_a_time_that_is_past_is_called_at_once() -> None:
    async with scheduling_engine(It) as it:
        await it.call("at", -3.0, "long ago")
        await it.pass_time(0)
        assert await it.call("getHeard") == ["long ago"]


async def test_a_timedelta_is_a_delay() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 2.5, "hear", "hi")
        await it.pass_time(2.5)
        assert await it.call("getHeard") == ["hi"]


async def test_a_naive_datetime_is_refused() -> None:
    async with scheduling_engine(It) as it:
        with pytest.raises(ActorError, match=r"schedule\.invalid_time"):
            await it.call("atDatetime", "x")


@pytest.mark.parametrize("delay", ["soon", None, float("nan"), float("inf"), 1e30])
async def test_what_is_no_delay_is_refused(delay: Any) -> None:
    async with scheduling_engine(It) as it:
        with pytest.raises(ActorError, match=r"schedule\.invalid_time"):
            await it.call("after", delay, "hear", "x")


async def test_it_is_seen_until_it_fires() -> None:
    async with scheduling_engine(It) as it:
        at = it.clock.now_ms() / 1000 + 10
        schedule_id = await it.call("afterHear", 10, "hi")
        assert await it.call("get", schedule_id) == [schedule_id, "hear", ["hi"], at]
        await it.pass_time(10)
        assert await it.call("get", schedule_id) is None


async def test_its_id_is_a_uuid() -> None:
    async with scheduling_engine(It) as it:
        schedule_id = await it.call("afterHear", 10, "hi")
        assert str(uuid.UUID(schedule_id)) == schedule_id


async def test_they_are_listed_by_time_then_id() -> None:
    async with scheduling_engine(It) as it:
        late = await it.call("afterHear", 20, "late")
        ids = [await it.call("afterHear", 10, text) for text in ("one", "two")]
        assert await it.call("listIds") == [*sorted(ids), late]


async def test_one_that_is_cancelled_does_not_fire() -> None:
    async with scheduling_engine(It) as it:
        schedule_id = await it.call("afterHear", 10, "hi")
        assert await it.call("cancel", schedule_id)
        await it.pass_time(20)
        assert await it.call("getHeard") == []


async def test_what_is_not_there_cannot_be_cancelled() -> None:
    async with scheduling_engine(It) as it:
        schedule_id = await it.call("afterHear", 0, "hi")
        await it.pass_time(0)
        assert not await it.call("cancel", schedule_id)
        assert not await it.call("cancel", "nothing")


async def test_cancelling_frees_its_place_on_the_agenda() -> None:
    async with scheduling_engine(It) as it:
        for _ in range(500):
            await it.call("cancel", await it.call("afterHear", 10**6, "hi"))
        book = it.local.actor("it")._host.schedules
        assert len(book._agenda) < 200


# -- how many


async def test_there_may_be_so_many() -> None:
    async with scheduling_engine(It) as it:
        for _ in range(3):
            await it.call("afterHear", 10, "hi")
        with pytest.raises(ActorError, match=r"schedule\.max_schedules_exceeded"):
            await it.call("afterHear", 10, "one too many")


async def test_one_that_fired_makes_room() -> None:
    async with scheduling_engine(It) as it:
        for _ in range(3):
            await it.call("afterHear", 10, "hi")
        await it.pass_time(10)
        await it.call("afterHear", 10, "hi")


# -- which action


@pytest.mark.parametrize("kind", ["bound", "of the class"])
async def test_an_action_may_be_named_by_its_method(kind: str) -> None:
    async with scheduling_engine(It) as it:
        await it.call("afterFunction", kind)
        await it.pass_time(1)
        assert await it.call("getHeard") == ["x"]


@pytest.mark.parametrize("kind", ["stranger", "method", "lambda"])
async def test_a_function_that_is_no_action_is_refused(kind: str) -> None:
    async with scheduling_engine(It) as it:
        with pytest.raises(ActorError, match=r"actor\.action_not_found"):
            await it.call("afterFunction", kind)


async def test_a_name_is_not_looked_up_before_it_is_due() -> None:
    async with scheduling_engine(It) as it:
        await it.call("after", 1, "noSuchAction")
        assert it.log == []
        await it.pass_time(1)
        assert it.log == ["scheduled action not found"]


# -- arguments


@pytest.mark.parametrize("kind", ARGUMENTS)
async def test_arguments_come_back_as_they_went_in(kind: str) -> None:
    async with scheduling_engine(It) as it:
        await it.call("afterKind", kind)
        await it.pass_time(1)
        assert await it.call("getVars", kind)


async def test_a_record_comes_back_where_the_annotation_says_so() -> None:
    async with scheduling_engine(It) as it:
        await it.call("afterNote")
        await it.pass_time(1)
        assert await it.call("getHeard") == ["Note hi ['a']"]


async def test_a_later_change_of_an_argument_is_not_seen() -> None:
    async with scheduling_engine(It) as it:
        await it.call("afterChanged")
        await it.pass_time(1)
        assert await it.call("getHeard") == [["before"]]


@pytest.mark.parametrize("how", ["unstorable", "endless"])
async def test_an_argument_that_cannot_be_stored_is_refused(how: str) -> None:
    async with scheduling_engine(It) as it:
        with pytest.raises(ActorError, match=r"schedule\.invalid_args"):
            await it.call(how)


# -- durability


@pytest.mark.parametrize("name", ["afterHear", "cancel"])
async def test_it_is_on_disk_when_the_call_returns(name: str) -> None:
    async with scheduling_engine(It) as it:
        schedule_id = await it.call("afterHear", 10, "hi")
        returned = it.local.actor("it").returned
        it.store.hold_commits()
        pending = it.local.send("it", name, *((schedule_id,) if name == "cancel" else (1, "x")))
        await turns()
        assert it.local.actor("it").returned == returned
        it.store.release_commits()
        await pending
        assert it.local.actor("it").returned == returned + 1


async def test_one_whose_commit_fails_is_refused_and_not_there() -> None:
    async with scheduling_engine(It) as it:
        await it.call("getHeard")
        it.store.fail_next_commit()
        with pytest.raises(ActorError):
            await it.call("afterHear", 10, "hi")
        assert await it.call("listIds") == []


async def test_it_survives_sleep_and_wakes_the_actor() -> None:
    async with scheduling_engine(It) as it:
        await it.call("afterHear", 10, "hi")
        await it.sleep()
        await it.pass_time(10)
        assert it.local.is_awake("it")
        assert await it.call("getHeard") == ["hi"]


async def test_it_survives_the_process() -> None:
    disk, clock = MemoryDisk(), ManualClock()
    async with scheduling_engine(It, disk, clock) as it:
        await it.call("afterHear", 10, "hi")
    async with scheduling_engine(It, disk, clock) as it:
        await it.pass_time(10)
        assert await it.call("getHeard") == ["hi"]


async def test_those_overdue_fire_in_the_order_of_their_times_before_the_request_that_woke_it() -> (
    None
):
    disk, clock = MemoryDisk(), ManualClock()
    async with scheduling_engine(It, disk, clock) as it:
        for seconds, text in [(20, "second"), (10, "first"), (30, "third")]:
            await it.call("afterHear", seconds, text)
        await it.sleep()
    clock.advance(100)
    async with scheduling_engine(It, disk, clock) as it:
        assert await it.call("getHeard") == ["first", "second", "third"]


class Overlapping(Actor):
    state = {"begun": 0}  # noqa: RUF012 - copied for each actor

    @action
    async def work(self) -> None:
        self.state["begun"] += 1
        await self.abort_signal.wait()

    @action
    async def begin(self) -> None:
        await self.schedule.after(1, self.work)
        await self.schedule.after(2, self.work)

    @action
    def begun(self) -> Any:
        return self.state["begun"]


async def test_runs_overlap_freely() -> None:
    async with scheduling_engine(Overlapping) as it:
        await it.call("begin")
        await it.pass_time(2)
        assert await it.call("begun") == 2


class Careful(Actor):
    """Is there while its hook of creation fails."""

    state = {"heard": []}  # noqa: RUF012 - copied for each actor
    fails = True

    async def on_create(self, given: Any) -> None:
        await self.schedule.after(10, "hear", "from creation")
        if Careful.fails:
            raise RuntimeError("not yet")

    @action
    def hear(self, text: str, fire: ScheduledFire) -> None:
        assert fire.kind == "at"
        self.state["heard"].append(text)

    @action
    def get_heard(self) -> Any:
        return self.state["heard"]


async def test_what_a_creation_that_failed_scheduled_is_not_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scheduling_engine(Careful) as it:
        with pytest.raises(ActorError):
            await it.call("get_heard")
        monkeypatch.setattr(Careful, "fails", False)
        await it.call("get_heard")
        await it.pass_time(20)
        await it.sleep()
        await it.pass_time(100)
        assert await it.call("get_heard") == ["from creation"]
