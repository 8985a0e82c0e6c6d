"""``self.cron``: calls that come again and again."""

from __future__ import annotations

from typing import Any

import pytest

from stator import ActorError
from stator.runtime.cadence import CronCadence
from tests.fakes.engine_in_process import turns
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.scheduling_engine import scheduling_engine
from tests.fakes.ticking_actor import MIDNIGHT_MS, Ticking, clock_at, results

UNCHANGED: dict[str, Any] = {}

# -- when


async def test_a_cron_job_is_called_at_the_times_of_its_expression() -> None:
    async with scheduling_engine(Ticking, clock=clock_at(8.99)) as it:
        await it.call("set", "0 9 * * *", {})
        await it.pass_time(36)
        assert await it.call("get_heard") == ["tick"]
        job = await it.call("get", "job")
        assert job["next_run_at"] == MIDNIGHT_MS / 1000 + 33 * 3600


async def test_a_cron_job_may_follow_the_clocks_of_a_zone() -> None:
    async with scheduling_engine(Ticking, clock=clock_at()) as it:
        await it.call("set", "0 9 * * *", {"timezone": "Europe/Berlin"})
        job = await it.call("get", "job")
        assert job["next_run_at"] == MIDNIGHT_MS / 1000 + 8 * 3600


async def test_an_interval_is_a_grid_from_when_it_was_set() -> None:
    async with scheduling_engine(Ticking) as it:
        started = it.clock.now_ms() / 1000
        await it.call("every", 10, {})
        await it.pass_time(35)
        assert await it.call("get_heard") == ["tick"] * 3
        assert (await it.call("get", "job"))["next_run_at"] == started + 40


async def test_what_was_missed_fires_once_and_goes_on_from_there() -> None:
    disk, clock = MemoryDisk(), ManualClock()
    async with scheduling_engine(Ticking, disk, clock) as it:
        started = clock.now_ms() / 1000
        await it.call("every", 10, {})
    clock.advance(95)
    async with scheduling_engine(Ticking, disk, clock) as it:
        await it.pass_time(0)
        assert await it.call("get_heard") == ["tick"]
        assert (await it.call("get", "job"))["next_run_at"] == started + 100


async def test_it_wakes_a_sleeping_actor_again_and_again() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        for _ in range(3):
            await it.sleep()
            await it.pass_time(10)
        assert await it.call("get_heard") == ["tick"] * 3


async def test_a_clock_put_back_does_not_let_a_slot_come_twice() -> None:
    async with scheduling_engine(Ticking, clock=clock_at(9)) as it:
        await it.call("set", "*/10 * * * *", {})
        await it.pass_time(600)
        it.clock.set_wall(-300)
        await it.pass_time(301)
        assert await it.call("get_heard") == ["tick"]


async def test_a_slot_that_fires_early_is_not_the_next_one_too() -> None:
    async with scheduling_engine(Ticking, clock=clock_at(9)) as it:
        await it.call("set", "*/10 * * * *", {})
        book = it.local.actor("it")._host.schedules
        book.claim_due(it.clock.now_ms() + 600_000)  # the clock was put back meanwhile
        job = await it.call("get", "job")
        assert job["next_run_at"] == MIDNIGHT_MS / 1000 + 9 * 3600 + 1200


def never(cadence: CronCadence, instant_ms: int) -> None:
    """Say that no time comes after an instant."""


async def test_an_expression_that_never_comes_again_ends_its_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scheduling_engine(Ticking, clock=clock_at(9)) as it:
        await it.call("set", "*/10 * * * *", {})
        monkeypatch.setattr(CronCadence, "next_after", never)
        await it.pass_time(600)
        assert await it.call("get_heard") == ["tick"]
        assert await it.call("names") == []


# -- what is seen of it


async def test_a_cron_job_is_seen() -> None:
    async with scheduling_engine(Ticking, clock=clock_at()) as it:
        await it.call("set", "0 9 * * *", {"args": ["x"], "timezone": "UTC", "max_history": 7})
        job = await it.call("get", "job")
        assert job == {
            "name": "job",
            "kind": "cron",
            "action": "hear",
            "args": ["x"],
            "next_run_at": MIDNIGHT_MS / 1000 + 9 * 3600,
            "last_run_at": None,
            "max_history": 7,
            "expression": "0 9 * * *",
            "timezone": "UTC",
            "interval": None,
        }


async def test_an_interval_is_seen() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 7.5, {})
        await it.pass_time(7.5)
        job = await it.call("get", "job")
        assert (job["kind"], job["interval"], job["expression"]) == ("every", 7.5, None)
        assert job["last_run_at"] == it.clock.now_ms() / 1000


async def test_what_is_seen_survives_sleep() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 7.5, {"args": ["x"]})
        await it.call("set", "0 9 * * *", {"name": "other", "timezone": "Asia/Kolkata"})
        await it.pass_time(8)
        before = [await it.call("get", name) for name in ("job", "other")]
        await it.sleep()
        assert [await it.call("get", name) for name in ("job", "other")] == before


async def test_jobs_are_listed_by_name_without_one_shots() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("after", 10)
        for name in ("b", "a"):
            await it.call("every", 10, {"name": name})
        assert await it.call("names") == ["a", "b"]


# -- the same name again


async def test_the_same_cadence_keeps_the_next_time_and_replaces_the_rest() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        before = (await it.call("get", "job"))["next_run_at"]
        await it.pass_time(4)
        await it.call("every", 10, {"args": ["new"], "max_history": 3})
        job = await it.call("get", "job")
        assert (job["next_run_at"], job["args"], job["max_history"]) == (before, ["new"], 3)
        await it.pass_time(6)
        assert await it.call("get_heard") == ["new"]


async def test_another_cadence_counts_from_now() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        await it.pass_time(4)
        await it.call("every", 20, {})
        expected = it.clock.now_ms() / 1000 + 20
        assert (await it.call("get", "job"))["next_run_at"] == expected
        await it.pass_time(19)
        assert await it.call("get_heard") == []


async def test_another_cadence_fires_at_its_own_times_only() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        await it.call("every", 25, {})
        await it.call("after", 15)  # lets the actor fire what is due, after the old time
        await it.pass_time(24)
        assert await it.call("get_heard") == ["once"]
        await it.pass_time(1)
        assert await it.call("get_heard") == ["once", "tick"]


async def test_there_and_back_is_one_schedule() -> None:
    async with scheduling_engine(Ticking) as it:
        for interval in (10, 20, 10):
            await it.call("every", interval, {})
        await it.pass_time(10)
        assert await results(it) == ["ok"]


async def test_a_name_may_change_its_kind() -> None:
    async with scheduling_engine(Ticking, clock=clock_at()) as it:
        await it.call("every", 10, {})
        await it.call("set", "0 9 * * *", {})
        assert (await it.call("get", "job"))["kind"] == "cron"
        await it.call("every", 10, {})
        assert (await it.call("get", "job"))["kind"] == "every"
        assert await it.call("names") == ["job"]


async def test_when_it_ran_last_and_its_history_stay() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        await it.pass_time(10)
        last = (await it.call("get", "job"))["last_run_at"]
        await it.call("every", 20, {})
        assert (await it.call("get", "job"))["last_run_at"] == last
        assert await results(it) == ["ok"]


async def test_replacing_is_allowed_when_there_are_as_many_as_may_be() -> None:
    async with scheduling_engine(Ticking) as it:
        for name in "abcd":
            await it.call("every", 10, {"name": name})
        await it.call("every", 20, {"name": "d"})
        with pytest.raises(ActorError, match=r"schedule\.max_schedules_exceeded"):
            await it.call("every", 10, {"name": "e"})
        with pytest.raises(ActorError, match=r"schedule\.max_schedules_exceeded"):
            await it.call("after", 10)


# -- the end


async def test_a_deleted_job_is_called_no_more_and_has_no_history() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        await it.pass_time(10)
        assert await it.call("delete", "job")
        await it.pass_time(20)
        assert await it.call("get_heard") == ["tick"]
        await it.call("every", 10, {})
        assert await results(it) == []


async def test_what_is_not_there_cannot_be_deleted() -> None:
    async with scheduling_engine(Ticking) as it:
        assert not await it.call("delete", "job")


async def test_a_job_whose_action_is_not_there_is_logged_and_deleted() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {"action": "gone"})
        await it.pass_time(10)
        assert it.log == ["scheduled action not found"]
        assert await it.call("names") == []
        await it.pass_time(20)
        assert it.log == ["scheduled action not found"]


async def test_a_job_that_was_deleted_while_it_ran_leaves_no_line() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {"action": "work"})
        await it.pass_time(10)
        await it.call("delete", "job")
        await it.call("every", 10, {})
        await it.pass_time(4)  # the run is over its time now
        assert await results(it) == []


# -- refusals


@pytest.mark.parametrize(
    ("expression", "changes", "code"),
    [
        ("* * * *", {}, "invalid_cron_expression"),
        ("0 0 30 2 *", {}, "invalid_cron_expression"),
        ("* * * * *", {"timezone": "Mars/Olympus"}, "invalid_timezone"),
        ("* * * * *", {"name": ""}, "invalid_name"),
        ("* * * * *", {"name": "x" * 129}, "invalid_name"),
        ("* * * * *", {"max_history": 1001}, "invalid_max_history"),
        ("* * * * *", {"max_history": -1}, "invalid_max_history"),
    ],
)
async def test_what_is_wrong_with_a_job_is_told_to_the_caller(
    expression: str, changes: dict[str, Any], code: str
) -> None:
    async with scheduling_engine(Ticking) as it:
        with pytest.raises(ActorError, match=rf"schedule\.{code}"):
            await it.call("set", expression, changes)
        assert await it.call("names") == []


async def test_an_interval_below_five_seconds_is_refused() -> None:
    async with scheduling_engine(Ticking) as it:
        with pytest.raises(ActorError, match=r"schedule\.invalid_interval"):
            await it.call("every", 4.9, {})


@pytest.mark.parametrize("limit", [0, 1001])
async def test_a_wrong_number_of_lines_is_refused(limit: int) -> None:
    async with scheduling_engine(Ticking) as it:
        with pytest.raises(ActorError, match=r"schedule\.invalid_max_history"):
            await it.call("history", "job", limit)


# -- durability


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("every", [20, UNCHANGED]),
        ("every", [20, {"name": "new"}]),
        ("set", ["* * * * *", UNCHANGED]),
        ("delete", ["job"]),
    ],
)
async def test_it_is_on_disk_when_the_call_returns(name: str, arguments: list[Any]) -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        returned = it.local.actor("it").returned
        it.store.hold_commits()
        pending = it.local.send("it", name, *arguments)
        await turns()
        assert it.local.actor("it").returned == returned
        it.store.release_commits()
        await pending
        assert it.local.actor("it").returned == returned + 1


async def test_the_next_time_is_on_disk_before_the_action_runs() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        it.store.hold_commits()
        await it.pass_time(10)
        assert it.local.actor("it").state["heard"] == []
        it.store.release_commits()
        await turns()
        assert it.local.actor("it").state["heard"] == ["tick"]


async def test_a_claim_whose_commit_fails_is_fired_again() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        await it.pass_time(9.5)
        it.store.fail_next_commit()
        await it.pass_time(3)
        assert it.local.actor("it").state["heard"] == ["tick"]
