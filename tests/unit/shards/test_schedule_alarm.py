"""When the alarm of a shard rings, and for whom: ``shards/schedules/alarm.py``."""

from __future__ import annotations

import pytest

from stator.shards.lifecycle import Status
from stator.shards.schedules.alarm import LONGEST_SLEEP_S, TURN
from tests.fakes.alarmed_shard import FakeShard, opened, pass_time
from tests.fakes.engine_in_process import turns

# -- the timer


async def test_a_shard_without_schedules_has_no_timer() -> None:
    shard = FakeShard()
    async with opened(shard) as alarm:
        assert shard.clock.timers == 0
        assert not alarm.is_armed


async def test_what_is_pending_costs_one_timer() -> None:
    shard = FakeShard()
    for number in range(1000):
        shard.due_in(f"actor{number}", 10 + number)
    async with opened(shard):
        assert shard.clock.timers == 1
        assert shard.clock.next_in == pytest.approx(10)


async def test_it_is_set_for_the_earliest_that_was_stored() -> None:
    shard = FakeShard()
    shard.due_in("late", 30)
    shard.due_in("early", 20)
    async with opened(shard):
        assert shard.clock.next_in == pytest.approx(20)


async def test_something_earlier_sets_it_anew() -> None:
    shard = FakeShard()
    shard.due_in("late", 30)
    async with opened(shard) as alarm:
        alarm.note(shard.due_in("early", 5))
        assert shard.clock.next_in == pytest.approx(5)
        assert shard.clock.timers == 1


async def test_something_later_leaves_it() -> None:
    shard = FakeShard()
    shard.due_in("early", 5)
    async with opened(shard) as alarm:
        alarm.note(shard.due_in("late", 30))
        assert shard.clock.next_in == pytest.approx(5)


async def test_after_ringing_it_is_set_for_what_comes_next() -> None:
    shard = FakeShard()
    shard.awaken("one")
    shard.due_in("one", 5)
    shard.due_in("one", 25)
    async with opened(shard):
        await pass_time(shard, 5)
        assert shard.clock.next_in == pytest.approx(20)


async def test_what_is_noted_while_it_rings_is_not_lost() -> None:
    shard = FakeShard()
    shard.awaken("one")
    shard.due_in("one", 5)
    async with opened(shard) as alarm:
        shard.clock.advance(5)  # it rings, and asks the store
        alarm.note(shard.due_in("one", 0))
        await turns()
        await pass_time(shard, 0)
        assert len(shard.fired) == 2


async def test_what_is_not_on_disk_yet_is_waited_for() -> None:
    shard = FakeShard()
    shard.awaken("one")
    async with opened(shard) as alarm:
        at = shard.clock.now_ms() + 5_000
        shard.uncommitted["one"] = [at]
        alarm.note(at)
        await pass_time(shard, 5)
        assert shard.fired == [("one", at)]


# -- who fires


async def test_an_actor_that_is_awake_fires_itself() -> None:
    shard = FakeShard()
    shard.awaken("one")
    at = shard.due_in("one", 5)
    async with opened(shard):
        await pass_time(shard, 4.9)
        assert shard.fired == []
        await pass_time(shard, 0.1)
        assert shard.fired == [("one", at)]
        assert shard.woken == []


async def test_one_that_is_not_in_memory_is_brought_up() -> None:
    shard = FakeShard()
    at = shard.due_in("one", 5)
    async with opened(shard):
        await pass_time(shard, 5)
        assert shard.woken == ["one"]
        assert shard.fired == [("one", at)]


async def test_what_was_due_before_it_opened_fires_at_once_in_order() -> None:
    shard = FakeShard()
    for name, seconds in [("c", -1), ("a", -3), ("b", -2)]:
        shard.due_in(name, seconds)
    async with opened(shard):
        assert [name for name, _ in shard.fired] == ["a", "b", "c"]


async def test_an_instant_before_1970_is_due() -> None:
    shard = FakeShard()
    shard.rows["one"] = [-5]
    async with opened(shard):
        assert shard.fired == [("one", -5)]


async def test_many_that_are_due_at_once_fire_in_order() -> None:
    shard = FakeShard()
    names = [f"actor{number:04}" for number in range(3 * TURN + 1)]
    for name in names:
        shard.awaken(name)
        shard.due_in(name, 5)
    async with opened(shard):
        await pass_time(shard, 5)
        assert [name for name, _ in shard.fired] == names


async def test_what_becomes_due_while_an_actor_starts_is_fired_after_its_start() -> None:
    shard = FakeShard()
    cell = shard.awaken("one", Status.STARTING)  # its start has looked for what is due already
    shard.due_in("one", 5)
    async with opened(shard):
        shard.hold_starts()
        await pass_time(shard, 5)
        assert shard.fired == []
        cell.status = Status.READY
        shard.release_starts()
        await turns()
        assert len(shard.fired) == 1


# -- who cannot


async def test_one_that_is_leaving_is_brought_up_when_it_has_left() -> None:
    shard = FakeShard()
    shard.awaken("one", Status.SLEEPING)
    shard.due_in("one", 5)
    async with opened(shard):
        await pass_time(shard, 8)
        assert shard.woken == []
        del shard.by_id["one"]
        await pass_time(shard, 1)
        assert shard.woken == ["one"]


async def test_one_that_is_leaving_is_looked_at_once_in_a_second() -> None:
    shard = FakeShard()
    shard.awaken("one", Status.SLEEPING)
    shard.due_in("one", 0)
    async with opened(shard):
        before = shard.store.look_ups
        await pass_time(shard, 10)
        assert shard.store.look_ups - before == 10


async def test_one_whose_starts_back_off_waits_until_they_do_not() -> None:
    shard = FakeShard()
    shard.blocked.add("one")
    shard.due_in("one", 5)
    async with opened(shard):
        await pass_time(shard, 30)
        assert shard.woken == []
        shard.blocked.clear()
        await pass_time(shard, 1)
        assert len(shard.fired) == 1


async def test_one_that_cannot_fire_does_not_keep_others_from_it() -> None:
    shard = FakeShard()
    shard.blocked.add("one")
    shard.due_in("one", 1)
    shard.due_in("two", 1)
    async with opened(shard):
        await pass_time(shard, 1)
        assert [name for name, _ in shard.fired] == ["two"]


async def test_one_whose_start_failed_is_tried_again() -> None:
    shard = FakeShard()
    shard.failing["one"] = 2
    shard.due_in("one", 0)
    async with opened(shard):
        await pass_time(shard, 3)
        assert shard.woken == ["one"] * 3
        assert len(shard.fired) == 1


async def test_one_of_an_unknown_class_is_left_alone_and_logged_once() -> None:
    shard = FakeShard()
    shard.unknown.add("one")
    shard.due_in("one", 0)
    async with opened(shard) as alarm:
        alarm.note(shard.due_in("two", 5))
        await pass_time(shard, 200)
        assert shard.woken == ["one", "two"]
        assert shard.log.events() == ["due actor is not there"]
        assert shard.clock.timers == 0


async def test_a_firing_that_came_to_nothing_is_noticed_within_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shard = FakeShard()
    cell = shard.awaken("one")
    fires: list[int] = []
    monkeypatch.setattr(cell, "fire_due", fires.append)
    shard.due_in("one", 0)
    async with opened(shard):
        await pass_time(shard, LONGEST_SLEEP_S)
        assert len(fires) == 2


# -- many


async def test_so_many_are_brought_up_at_a_time() -> None:
    shard = FakeShard()
    for number in range(25):
        shard.due_in(f"actor{number:02}", 0)
    shard.hold_starts()
    async with opened(shard, at_once=10):
        assert len(shard.woken) == 10
        shard.release_starts()
        await turns()
        assert len(shard.fired) == 25


async def test_those_that_wait_for_their_turn_are_brought_up_once() -> None:
    shard = FakeShard()
    for number in range(5):
        shard.due_in(f"actor{number}", 0)
    shard.hold_starts()
    async with opened(shard, at_once=2) as alarm:
        alarm.note(shard.due_in("another", 3))
        await pass_time(shard, 10)
        shard.release_starts()
        await turns()
        assert sorted(shard.woken) == sorted({*shard.woken})
        assert len(shard.fired) == 6


async def test_actors_that_are_awake_do_not_wait_for_those_that_start() -> None:
    shard = FakeShard()
    for number in range(5):
        shard.due_in(f"actor{number}", 0)
    shard.hold_starts()
    shard.awaken("awake")
    async with opened(shard, at_once=2) as alarm:
        alarm.note(shard.due_in("awake", 2))
        await pass_time(shard, 3)
        assert [name for name, _ in shard.fired] == ["awake"]


async def test_while_many_wait_for_their_turn_it_rings_once_in_a_second() -> None:
    shard = FakeShard()
    for number in range(5):
        shard.due_in(f"actor{number}", 0)
    shard.hold_starts()
    shard.awaken("awake")
    async with opened(shard, at_once=2) as alarm:
        before = shard.store.look_ups
        for _ in range(30):
            alarm.note(shard.due_in("awake", 0))
            await pass_time(shard, 0.1)
        assert shard.store.look_ups - before in (2, 3)


async def test_when_all_have_had_their_turn_it_rings_at_once_for_what_came_due_meanwhile() -> None:
    shard = FakeShard()
    for number in range(5):
        shard.due_in(f"actor{number}", 0)
    shard.hold_starts()
    shard.awaken("awake")
    async with opened(shard, at_once=2) as alarm:
        at = shard.due_in("awake", 0.1)
        alarm.note(at)
        await pass_time(shard, 0.2)
        assert shard.fired == []
        shard.release_starts()
        await turns()
        await pass_time(shard, 0)
        assert ("awake", at) in shard.fired


# -- the machine's clock


async def test_a_clock_put_forward_is_noticed_within_a_minute() -> None:
    shard = FakeShard()
    shard.awaken("one")
    shard.due_in("one", 3600)
    async with opened(shard):
        shard.clock.set_wall(7200)
        await pass_time(shard, LONGEST_SLEEP_S)
        assert len(shard.fired) == 1


async def test_with_a_clock_put_back_it_waits_on() -> None:
    shard = FakeShard()
    shard.awaken("one")
    shard.due_in("one", 10)
    async with opened(shard):
        shard.clock.set_wall(-100)
        before = shard.store.look_ups
        await pass_time(shard, 109)
        assert (shard.fired, shard.store.look_ups) == ([], before)
        await pass_time(shard, 1)
        assert len(shard.fired) == 1


async def test_it_never_sleeps_for_more_than_a_minute() -> None:
    shard = FakeShard()
    shard.due_in("one", 10**7)
    async with opened(shard):
        assert shard.clock.next_in == pytest.approx(LONGEST_SLEEP_S)


# -- trouble


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_a_store_that_fails_is_asked_again(failures: int) -> None:
    shard = FakeShard()
    shard.awaken("one")
    shard.due_in("one", 5)
    shard.store.failures = failures
    async with opened(shard):
        await pass_time(shard, 10)
        assert len(shard.fired) == 1
        assert "due schedules cannot be looked up" in shard.log.events()


async def test_what_a_failed_commit_hides_is_found_later() -> None:
    shard = FakeShard()
    shard.awaken("one")
    shard.due_in("one", 5)
    async with opened(shard):
        shard.commit_failures = 1
        await pass_time(shard, 6)
        assert len(shard.fired) == 1


# -- the end


async def test_a_closed_alarm_has_no_timer_and_rings_no_more() -> None:
    shard = FakeShard()
    shard.awaken("one")
    shard.due_in("one", 5)
    async with opened(shard) as alarm:
        alarm.close()
        alarm.note(shard.due_in("one", 1))
        alarm.retry()
        await pass_time(shard, 10)
        assert shard.fired == []
        assert shard.clock.timers == 0


async def test_closing_while_actors_are_brought_up_brings_up_no_others() -> None:
    shard = FakeShard()
    for number in range(5):
        shard.due_in(f"actor{number}", 0)
    shard.hold_starts()
    async with opened(shard, at_once=2) as alarm:
        alarm.close()
        shard.release_starts()
        await turns()
        assert len(shard.woken) == 2
        assert shard.log.events() == []
