"""What is kept of the runs of a recurring schedule, and when a slot is skipped."""

from __future__ import annotations

import pytest

from stator import Options
from stator.runtime.storage import PruneAllFires, PruneFires
from tests.fakes.manual_clock import ManualClock
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.scheduling_engine import scheduling_engine
from tests.fakes.ticking_actor import Ticking, results

# -- overlap


class Slow(Ticking):
    options = Options(action_timeout=12.0)


async def test_a_slot_is_skipped_while_the_last_run_still_executes() -> None:
    async with scheduling_engine(Slow) as it:
        await it.call("every", 5, {"action": "work"})
        await it.pass_time(11)
        assert await results(it) == ["skipped", "running"]
        assert await it.call("get_heard") == ["begun"]


async def test_a_skipped_slot_is_no_run() -> None:
    async with scheduling_engine(Slow) as it:
        await it.call("every", 5, {"action": "work"})
        await it.pass_time(5)
        last = (await it.call("get", "job"))["last_run_at"]
        await it.pass_time(5)
        assert (await it.call("get", "job"))["last_run_at"] == last


async def test_the_next_slot_after_the_run_has_ended_is_not_skipped() -> None:
    async with scheduling_engine(Slow) as it:
        await it.call("every", 5, {"action": "work"})
        await it.pass_time(21)
        assert await results(it) == ["running", "skipped", "skipped", "error"]


# -- history


async def test_a_run_leaves_a_line() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {})
        started = it.clock.now_ms() / 1000
        await it.pass_time(10)
        assert await it.call("history", "job") == [
            {
                "action": "hear",
                "scheduled_at": started + 10,
                "fired_at": started + 10,
                "finished_at": started + 10,
                "result": "ok",
                "error": None,
            }
        ]


async def test_the_newest_lines_come_first() -> None:
    async with scheduling_engine(Ticking) as it:
        started = it.clock.now_ms() / 1000
        await it.call("every", 10, {})
        await it.pass_time(45)
        lines = await it.call("history", "job", 2)
        assert [line["scheduled_at"] - started for line in lines] == [40, 30]


async def test_a_run_under_way_has_a_line_too() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {"action": "work"})
        await it.pass_time(10)
        (line,) = await it.call("history", "job")
        assert (line["result"], line["finished_at"]) == ("running", None)


async def test_a_run_that_failed_shows_what_a_caller_would_see() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {"action": "fail", "args": [False]})
        await it.pass_time(10)
        (line,) = await it.call("history", "job")
        assert (line["result"], line["error"]) == (
            "error",
            {"group": "user", "code": "no", "message": "No.", "metadata": {"why": {"not": 1}}},
        )
        assert "scheduled action failed" in it.log


async def test_an_unexpected_error_is_redacted() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {"action": "fail", "args": [True]})
        await it.pass_time(10)
        (line,) = await it.call("history", "job")
        assert (line["error"]["code"], "secret" in str(line)) == ("internal_error", False)


async def test_a_job_that_failed_goes_on() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {"action": "fail", "args": [False]})
        await it.pass_time(20)
        assert await results(it) == ["error", "error"]


async def test_a_run_over_its_time_is_an_error() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 10, {"action": "work"})
        await it.pass_time(14)
        (line,) = await it.call("history", "job")
        assert line["error"]["code"] == "action_timed_out"


async def test_a_run_that_the_process_did_not_survive_is_an_error() -> None:
    disk, clock = MemoryDisk(), ManualClock()
    async with scheduling_engine(Ticking, disk, clock) as it:
        await it.call("every", 10, {"action": "work"})
        await it.pass_time(10)
    async with scheduling_engine(Ticking, disk, clock) as it:
        (line,) = await it.call("history", "job")
        assert (line["result"], line["error"]["code"]) == ("error", "interrupted")
        assert line["finished_at"] is not None


async def test_so_many_lines_are_kept() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 5, {"max_history": 3})
        await it.pass_time(30)
        assert await results(it) == ["ok"] * 3


async def test_without_history_nothing_is_kept() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 5, {"max_history": 0})
        await it.pass_time(12)
        assert await it.call("get_heard") == ["tick"] * 2
        assert await results(it) == []


@pytest.mark.parametrize("lines", [0, 2])
async def test_to_keep_fewer_lines_prunes_them_at_once(lines: int) -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 5, {})
        await it.pass_time(25)
        await it.call("every", 5, {"max_history": lines})
        assert await results(it) == ["ok"] * lines


async def test_all_lines_of_an_actor_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stator.shards.schedules.book.MOST_FIRES", 5)
    monkeypatch.setattr("stator.shards.schedules.book.PRUNE_EVERY", 2)
    async with scheduling_engine(Ticking) as it:
        for name in ("a", "b"):
            await it.call("every", 5, {"name": name, "max_history": 4})
        await it.pass_time(50)
        kept = len(await results(it, "a")) + len(await results(it, "b"))
        assert kept <= 6


async def test_history_that_cannot_grow_too_long_is_not_looked_at() -> None:
    async with scheduling_engine(Ticking) as it:
        await it.call("every", 5, {})
        await it.pass_time(50)
        operations = [each for writes in it.store.commits for each in writes.operations]
        assert not any(isinstance(each, PruneAllFires) for each in operations)
        assert any(isinstance(each, PruneFires) for each in operations)
