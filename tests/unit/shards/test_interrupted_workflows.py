"""Whom the alarm of a shard brings up although nothing is due: ``shards/schedules/alarm.py``."""

from __future__ import annotations

from functools import partial

import pytest

from stator.shards.lifecycle import Status
from stator.shards.schedules.alarm import LONGEST_SLEEP_S, RETRY_S
from tests.fakes.alarmed_shard import FakeShard, FiringCell, opened, pass_time
from tests.fakes.engine_in_process import turns

# -- by the end of a process


async def test_who_was_interrupted_is_brought_up_when_it_opens() -> None:
    shard = FakeShard()
    shard.live = ["one", "two"]
    async with opened(shard):
        assert shard.woken == ["one", "two"]


async def test_who_is_due_comes_before_who_was_interrupted() -> None:
    shard = FakeShard()
    shard.live = ["interrupted", "both"]
    shard.due_in("both", -1)
    shard.due_in("due", -2)
    async with opened(shard):
        assert shard.woken == ["due", "both", "interrupted"]


async def test_who_was_interrupted_and_is_awake_again_is_left_alone() -> None:
    shard = FakeShard()
    shard.live = ["one"]
    shard.awaken("one")
    async with opened(shard):
        del shard.by_id["one"]
        await pass_time(shard, 2 * LONGEST_SLEEP_S)
        assert shard.woken == []


async def test_who_is_under_way_later_was_not_interrupted() -> None:
    shard = FakeShard()
    async with opened(shard) as alarm:
        shard.live = ["one"]
        alarm.note(shard.due_in("other", 5))
        await pass_time(shard, 5)
        assert shard.woken == ["other"]


async def test_interrupted_workflows_are_brought_up_so_many_at_a_time() -> None:
    shard = FakeShard()
    shard.live = [f"actor{number:02}" for number in range(25)]
    shard.hold_starts()
    async with opened(shard, at_once=10):
        await pass_time(shard, 3)
        assert len(shard.woken) == 10
        shard.release_starts()
        await turns()
        assert shard.woken == shard.live


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_interrupted_workflows_are_asked_for_until_the_store_answers(failures: int) -> None:
    shard = FakeShard()
    shard.live = ["one"]
    shard.store.failures = failures
    async with opened(shard):
        await pass_time(shard, failures)
        assert shard.woken == ["one"]


async def test_an_interrupted_one_whose_start_failed_is_tried_until_it_was_ready() -> None:
    shard = FakeShard()
    shard.live = ["one"]
    shard.failing["one"] = 2
    async with opened(shard):
        await pass_time(shard, 10)
        assert shard.woken == ["one"] * 3


async def test_an_interrupted_one_whose_starts_back_off_waits_until_they_do_not() -> None:
    shard = FakeShard()
    shard.live = ["one"]
    shard.blocked.add("one")
    async with opened(shard):
        await pass_time(shard, 30)
        assert shard.woken == []
        shard.blocked.clear()
        await pass_time(shard, 1)
        assert shard.woken == ["one"]


async def test_an_interrupted_one_that_sleeps_as_soon_as_it_was_ready_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shard = FakeShard()
    shard.live = ["one"]
    monkeypatch.setattr(shard, "awaken", partial(FiringCell, shard))
    async with opened(shard):
        await pass_time(shard, 2 * LONGEST_SLEEP_S)
        assert shard.woken == ["one"]


async def test_an_interrupted_one_of_an_unknown_class_is_left_to_the_next_process() -> None:
    shard = FakeShard()
    shard.live = ["one"]
    shard.unknown.add("one")
    async with opened(shard) as alarm:
        await pass_time(shard, 2 * LONGEST_SLEEP_S)
        assert shard.woken == ["one"]
        assert not alarm.is_armed


# -- by a failed commit


async def test_one_that_was_lost_to_a_failed_commit_is_brought_up_a_second_later() -> None:
    shard = FakeShard()
    async with opened(shard) as alarm:
        alarm.bring_up("one")
        await pass_time(shard, RETRY_S - 0.1)
        assert shard.woken == []
        await pass_time(shard, 0.1)
        assert shard.woken == ["one"]


async def test_one_that_was_lost_and_is_leaving_is_brought_up_when_it_has_left() -> None:
    shard = FakeShard()
    shard.awaken("one", Status.SLEEPING)
    async with opened(shard) as alarm:
        alarm.bring_up("one")
        await pass_time(shard, 5)
        assert shard.woken == []
        del shard.by_id["one"]
        await pass_time(shard, 1)
        assert shard.woken == ["one"]


async def test_one_that_was_lost_while_commits_still_fail_is_brought_up_when_they_do_not() -> None:
    shard = FakeShard()
    async with opened(shard) as alarm:
        shard.commit_failures = 3
        alarm.bring_up("one")
        await pass_time(shard, 3)
        assert shard.woken == []
        await pass_time(shard, 1)
        assert shard.woken == ["one"]


async def test_a_closed_alarm_brings_nobody_up() -> None:
    shard = FakeShard()
    async with opened(shard) as alarm:
        alarm.bring_up("one")
        alarm.close()
        alarm.bring_up("two")
        await pass_time(shard, 5)
        assert shard.woken == []
