"""What is kept of schedules, when they wake their actors, and the history of recurring ones."""

import pytest

from stator.runtime.storage import (
    ActorQuery,
    DeleteActor,
    DeleteSchedule,
    FireRow,
    InterruptFires,
    MarkDestroyed,
    PruneAllFires,
    PruneFires,
    PutFire,
    PutSchedule,
    RecordSleep,
    ScheduleRow,
    ShardStorage,
)
from tests.fakes.store_media import Medium, commit, new_actor, opened


def once(schedule_id: str, due_ms: int, pk: int = 1, image: bytes = b"once") -> PutSchedule:
    """Return a schedule that is due one time."""
    return PutSchedule(pk, False, schedule_id, due_ms, image)


def recurring(name: str, due_ms: int = 1_000, pk: int = 1) -> PutSchedule:
    """Return a schedule that is due again and again."""
    return PutSchedule(pk, True, name, due_ms, b"recurring")


def fire(scheduled_ms: int, name: str = "tick", pk: int = 1, result: str = "ok") -> PutFire:
    """Return a line of a history."""
    finished_ms = None if result == "running" else scheduled_ms + 2
    return PutFire(pk, name, scheduled_ms, scheduled_ms + 1, finished_ms, "run", result, None)


async def pending(store: ShardStorage, pk: int = 1) -> list[ScheduleRow]:
    """Return the schedules of an actor that is there."""
    row = await store.find_by_id(f"id-{pk}")
    assert row is not None
    return list(row.schedules)


async def history(
    store: ShardStorage, name: str = "tick", pk: int = 1, limit: int = 1_000
) -> list[int]:
    """Return when the runs in a history were due."""
    return [each.scheduled_ms for each in await store.list_fires(pk, name, limit)]


# ------------------------------------------------------------------------------- schedules


async def test_an_actor_without_schedules_has_an_empty_list(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        assert await pending(store) == []


async def test_both_look_ups_bring_the_schedules(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), PutSchedule(1, True, "tick", 5_000, b"image\0"))
        expected = [ScheduleRow(True, "tick", 5_000, b"image\0")]
        by_key = await store.find_by_key("default", "counter", "k")
        by_id = await store.find_by_id("id-1")
        assert [row and row.schedules for row in (by_key, by_id)] == [expected, expected]


async def test_whether_a_schedule_is_recurring_comes_back_as_a_bool(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), once("a", 1), recurring("b", 2))
        assert [type(each.is_recurring) for each in await pending(store)] == [bool, bool]


async def test_lists_bring_no_schedules(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), once("a", 5_000))
        (row,) = await store.list_actors(ActorQuery("default"))
        assert not row.schedules


async def test_schedules_come_by_the_instant_they_are_due_then_by_id(medium: Medium) -> None:
    with opened(medium) as store:
        new = [once("b", 20), once("c", 10), recurring("a", 20), recurring("d", -5), once("é", 20)]
        await commit(store, new_actor(), *new)
        order = [(each.due_ms, each.id) for each in await pending(store)]
        assert order == [(-5, "d"), (10, "c"), (20, "a"), (20, "b"), (20, "é")]


async def test_a_schedule_replaces_what_was_kept_under_its_id(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), once("a", 10, image=b"old"), once("b", 15))
        await commit(store, once("a", 20, image=b"new"))
        assert await pending(store) == [
            ScheduleRow(False, "b", 15, b"once"),
            ScheduleRow(False, "a", 20, b"new"),
        ]


async def test_a_recurring_schedule_and_another_may_have_one_id(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), once("a", 10), recurring("a", 20))
        await commit(store, DeleteSchedule(1, False, "a"))
        assert await pending(store) == [ScheduleRow(True, "a", 20, b"recurring")]


async def test_schedules_of_one_id_at_two_actors_are_two(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, once("a", 10, pk=1), once("a", 20, pk=2))
        await commit(store, DeleteSchedule(1, False, "a"))
        assert await pending(store, 1) == []
        assert await pending(store, 2) == [ScheduleRow(False, "a", 20, b"once")]


@pytest.mark.parametrize("pk", [1, 9], ids=["unknown schedule", "unknown actor"])
async def test_deleting_a_schedule_that_is_not_kept_changes_nothing(
    medium: Medium, pk: int
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), once("a", 10))
        await commit(store, DeleteSchedule(pk, False, "other"))
        assert len(await pending(store)) == 1


async def test_a_schedule_without_its_actor_is_refused(medium: Medium) -> None:
    with opened(medium) as store, pytest.raises(Exception, match=r"(?i)foreign key|not there"):
        await commit(store, once("a", 10, pk=9))


async def test_schedules_that_were_handed_out_are_the_callers_own(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), once("a", 10))
        schedules = await pending(store)
        schedules[0].due_ms = 99
        schedules.clear()
        assert await pending(store) == [ScheduleRow(False, "a", 10, b"once")]


async def test_schedules_survive_reopening(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), once("a", 10), recurring("b", 20), fire(5, "b"))
        before = await pending(store)
    with opened(medium) as again:
        assert await pending(again) == before
        assert await again.find_due(15) == ["id-1"]
        assert await history(again, "b") == [5]


# -------------------------------------------------------------------------------- wake-ups


async def test_nothing_is_due_in_an_empty_store(medium: Medium) -> None:
    with opened(medium) as store:
        assert await store.find_due(1 << 50) == []
        assert await store.next_due(0) is None


async def test_a_schedule_is_due_from_its_instant_on(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), once("a", 1_000))
        assert [await store.find_due(at) for at in (999, 1_000, 1_001)] == [[], ["id-1"], ["id-1"]]


async def test_actors_that_are_due_come_the_earliest_first_and_once(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, *(new_actor(pk, key=f"k{pk}") for pk in (1, 2, 3, 4)))
        await commit(
            store,
            once("a", 30, pk=1),
            recurring("b", 10, pk=2),
            once("c", 20, pk=3),
            once("d", 5, pk=3),
            once("e", 25, pk=3),
            once("f", 40, pk=4),
        )
        assert await store.find_due(30) == ["id-3", "id-2", "id-1"]


async def test_the_next_wake_up_is_the_earliest_after_the_instant(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, once("a", 30), recurring("b", 10), once("c", 20, pk=2))
        answers = [await store.next_due(after) for after in (-1, 9, 10, 20, 30)]
        assert answers == [10, 10, 20, 30, None]


async def test_a_schedule_that_is_moved_is_due_at_its_new_instant_only(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), recurring("a", 10))
        await commit(store, recurring("a", 50))
        assert await store.find_due(49) == []
        assert await store.next_due(0) == 50


async def test_a_deleted_schedule_wakes_nobody(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), once("a", 10))
        await commit(store, DeleteSchedule(1, False, "a"))
        assert (await store.find_due(99), await store.next_due(0)) == ([], None)


async def test_a_destroyed_actor_is_never_due(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, once("a", 10), once("b", 20, pk=2), MarkDestroyed(1))
        assert (await store.find_due(99), await store.next_due(0)) == (["id-2"], 20)


# --------------------------------------------------------------------------------- history


async def test_a_schedule_without_history_has_an_empty_list(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), recurring("tick"))
        assert await history(store) == []


async def test_a_line_comes_back_whole(medium: Medium) -> None:
    with opened(medium) as store:
        new = PutFire(1, "tick", 100, 101, 102, "run", "error", b"why\0")
        await commit(store, new_actor(), recurring("tick"), new)
        expected = [FireRow(100, 101, 102, "run", "error", b"why\0")]
        assert await store.list_fires(1, "tick", 10) == expected


async def test_the_newest_lines_come_first_up_to_the_limit(medium: Medium) -> None:
    with opened(medium) as store:
        lines = [fire(due) for due in (20, 50, 10, 40, 30)]
        await commit(store, new_actor(), recurring("tick"), *lines)
        assert await history(store, limit=3) == [50, 40, 30]


async def test_a_line_replaces_the_one_of_the_same_run(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), recurring("tick"), fire(100, result="running"))
        await commit(store, PutFire(1, "tick", 100, 105, 110, "walk", "error", b"why"))
        expected = [FireRow(100, 105, 110, "walk", "error", b"why")]
        assert await store.list_fires(1, "tick", 10) == expected


async def test_histories_of_two_schedules_and_two_actors_are_apart(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, recurring("tick"), recurring("tock"), recurring("tick", pk=2))
        await commit(store, fire(10), fire(20, "tock"), fire(30, pk=2))
        assert [
            await history(store, "tick"),
            await history(store, "tock"),
            await history(store, "tick", pk=2),
        ] == [[10], [20], [30]]


async def test_a_schedule_that_is_replaced_keeps_its_history(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), recurring("tick"), fire(10))
        await commit(store, recurring("tick", 9_000))
        assert await history(store) == [10]


async def test_a_deleted_schedule_takes_its_history_with_it(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), recurring("tick"), recurring("tock"))
        await commit(store, fire(10), fire(20, "tock"), DeleteSchedule(1, True, "tick"))
        await commit(store, recurring("tick"))
        assert (await history(store, "tick"), await history(store, "tock")) == ([], [20])


async def test_deleting_one_that_is_not_recurring_leaves_the_history_of_its_namesake(
    medium: Medium,
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), recurring("tick"), once("tick", 5), fire(10))
        await commit(store, DeleteSchedule(1, False, "tick"))
        assert await history(store) == [10]


@pytest.mark.parametrize("pk", [1, 9], ids=["unknown schedule", "unknown actor"])
async def test_a_line_of_a_schedule_that_is_not_kept_changes_nothing(
    medium: Medium, pk: int
) -> None:
    """Its run may well end after it was deleted."""
    with opened(medium) as store:
        await commit(store, new_actor(), once("tick", 5))
        await commit(store, fire(10, pk=pk))
        await commit(store, recurring("tick"))
        assert (await history(store), await history(store, pk=pk)) == ([], [])


async def test_what_was_running_is_interrupted_and_the_rest_stays(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, recurring("tick"), recurring("tock"), recurring("tick", pk=2))
        await commit(
            store,
            fire(10),
            fire(20, result="running"),
            fire(30, "tock", result="running"),
            fire(40, pk=2, result="running"),
        )
        await commit(store, InterruptFires(99, b"interrupted", 1))
        assert await store.list_fires(1, "tick", 10) == [
            FireRow(20, 21, 99, "run", "error", b"interrupted"),
            FireRow(10, 11, 12, "run", "ok", None),
        ]
        assert [each.result for each in await store.list_fires(1, "tock", 10)] == ["error"]
        assert [each.result for each in await store.list_fires(2, "tick", 10)] == ["running"]


@pytest.mark.parametrize(("keep", "kept"), [(0, []), (1, [40]), (3, [40, 30, 20]), (9, None)])
async def test_pruning_keeps_the_newest_lines_of_a_schedule(
    medium: Medium, keep: int, kept: list[int] | None
) -> None:
    with opened(medium) as store:
        lines = [fire(due) for due in (20, 40, 10, 30)]
        await commit(store, new_actor(), recurring("tick"), recurring("tock"), *lines)
        await commit(store, fire(5, "tock"), PruneFires(1, "tick", keep))
        assert await history(store) == ([40, 30, 20, 10] if kept is None else kept)
        assert await history(store, "tock") == [5]


@pytest.mark.parametrize("keep", [0, 1, 2, 3, 4, 5])
async def test_pruning_an_actor_keeps_its_newest_lines_whatever_their_schedule(
    medium: Medium, keep: int
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, recurring("tick"), recurring("tock"), recurring("tick", pk=2))
        await commit(store, fire(10), fire(20, "tock"), fire(30), fire(30, "tock"), fire(1, pk=2))
        await commit(store, PruneAllFires(1, keep))
        left = [(due, "tick") for due in await history(store, "tick")]
        left += [(due, "tock") for due in await history(store, "tock")]
        newest = [(30, "tock"), (30, "tick"), (20, "tock"), (10, "tick")]
        assert sorted(left, reverse=True) == newest[:keep]
        assert await history(store, pk=2) == [1]


async def test_lines_that_were_handed_out_are_the_callers_own(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), recurring("tick"), fire(10))
        lines = await store.list_fires(1, "tick", 10)
        lines[0].result = "changed"
        lines.clear()
        assert [each.result for each in await store.list_fires(1, "tick", 10)] == ["ok"]


# ----------------------------------------------------------------- failure and destruction


async def test_nothing_of_a_failed_commit_is_kept_of_schedules(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), recurring("tick", 10), fire(1), fire(2, result="running"))
        before = (await pending(store), await store.list_fires(1, "tick", 10))
        with pytest.raises(Exception, match=r"(?i)actor"):
            await commit(
                store,
                once("a", 5),
                fire(3),
                InterruptFires(99, b"interrupted", 1),
                PruneFires(1, "tick", 1),
                PruneAllFires(1, 1),
                recurring("tick", 20),
                DeleteSchedule(1, True, "tick"),
                RecordSleep(5_000, 1),
                new_actor(2),  # a second live actor of this key
            )
        assert (await pending(store), await store.list_fires(1, "tick", 10)) == before


async def test_a_deleted_actor_takes_its_schedules_and_their_history_with_it(
    medium: Medium,
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, *(recurring("tick", pk=pk) for pk in (1, 2)))
        await commit(store, *(fire(10, pk=pk) for pk in (1, 2)), MarkDestroyed(1), DeleteActor(1))
        await commit(store, new_actor(1))
        assert [len(await pending(store, pk)) for pk in (1, 2)] == [0, 1]
        assert [await history(store, pk=pk) for pk in (1, 2)] == [[], [10]]
        assert await store.find_due(9_999) == ["id-2"]


async def test_schedules_of_an_actor_whose_destruction_was_interrupted_are_gone(
    medium: Medium,
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), recurring("tick"), fire(10), MarkDestroyed(1))
    with opened(medium) as again:
        await commit(again, new_actor())
        assert (await pending(again), await history(again)) == ([], [])
        assert await again.next_due(0) is None
