"""What is kept of workflows, and which of them have to be awake."""

import pytest

from stator.runtime.storage import (
    DeleteActor,
    EntryRow,
    MarkDestroyed,
    PutRun,
    PutSchedule,
    RecordStart,
    RunRow,
    ShardStorage,
    WorkflowRows,
)
from tests.fakes.store_media import Medium, commit, new_actor, opened

FAR_MS = 1 << 50


def run(
    pk: int = 1,
    status: str = "running",
    due_ms: int | None = None,
    is_live: bool = False,
    image: bytes = b"run",
) -> PutRun:
    """Return how far a workflow is."""
    return PutRun(pk, status, due_ms, is_live, image)


def live(pk: int = 1) -> PutRun:
    """Return a workflow whose actor has to be awake now."""
    return run(pk, is_live=True)


async def entries(store: ShardStorage, pk: int = 1) -> dict[int, bytes]:
    """Return the entries of an actor's workflow by their numbers, in the order given."""
    loaded = await store.load_workflow(pk)
    return {each.seq: each.image for each in loaded.entries}


async def wake_ups(store: ShardStorage) -> tuple[list[str], int | None, list[str]]:
    """Return who is due some day, when the first is, and whose workflow is under way."""
    return await store.find_due(FAR_MS), await store.next_due(-1), await store.find_live()


# ------------------------------------------------------------------------------------ runs


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("pk", [1, 9], ids=["known actor", "unknown actor"])
async def test_an_actor_that_has_no_workflow_has_no_rows(
    medium: Medium, pk: int, whole: bool
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        assert await store.load_workflow(pk, whole=whole) == WorkflowRows(None, [])


@pytest.mark.parametrize("due_ms", [None, -1, 0, 1_700_000_000_123])
@pytest.mark.parametrize("is_live", [False, True])
async def test_a_run_comes_back_whole(medium: Medium, due_ms: int | None, is_live: bool) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), PutRun(1, "rolling_back", due_ms, is_live, b"\xa0\0"))
        loaded = await store.load_workflow(1)
        assert loaded == WorkflowRows(RunRow("rolling_back", due_ms, is_live, b"\xa0\0"), [])


async def test_whether_a_run_is_live_comes_back_as_a_truth_value(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), live())
        loaded = await store.load_workflow(1)
        assert loaded.run is not None
        assert loaded.run.is_live is True


async def test_a_run_replaces_the_one_before(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run(due_ms=5, is_live=True))
        await commit(store, run(status="pending", image=b"again"))
        loaded = await store.load_workflow(1)
        assert loaded.run == RunRow("pending", None, False, b"again")


async def test_of_two_runs_in_a_commit_the_last_one_counts(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run(image=b"first"), run(image=b"last"))
        loaded = await store.load_workflow(1)
        assert loaded.run == RunRow("running", None, False, b"last")


async def test_runs_of_two_actors_are_apart(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"), run(1), run(2, image=b"other"))
        loaded = [(await store.load_workflow(pk)).run for pk in (1, 2)]
        assert [each and each.image for each in loaded] == [b"run", b"other"]


# --------------------------------------------------------------------------------- entries


async def test_entries_come_in_the_order_of_their_numbers(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), entries={(1, 10): b"j", (1, 2): b"b"})
        await commit(store, entries={(1, 3): b"c", (1, 1): b"a"})
        loaded = await store.load_workflow(1)
        assert loaded.entries == [
            EntryRow(1, b"a"),
            EntryRow(2, b"b"),
            EntryRow(3, b"c"),
            EntryRow(10, b"j"),
        ]


async def test_any_bytes_are_an_image(medium: Medium) -> None:
    with opened(medium) as store:
        images = {1: b"", 2: b"\0", 3: bytes(range(256)) * 1_000}
        new = {(1, seq): image for seq, image in images.items()}
        await commit(store, new_actor(), run(), entries=new)
        assert await entries(store) == images


async def test_an_entry_that_changes_keeps_its_last_image(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), entries={(1, 1): b"running", (1, 2): b"waiting"})
        await commit(store, entries={(1, 1): b"completed, and much longer than before"})
        assert await entries(store) == {
            1: b"completed, and much longer than before",
            2: b"waiting",
        }


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200])
async def test_a_commit_of_any_number_of_entries_stores_each(medium: Medium, count: int) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), entries={(1, 1): b"before"})
        images = {seq: b"entry %d" % seq for seq in range(1, count + 1)}
        await commit(store, entries={(1, seq): image for seq, image in images.items()})
        assert await entries(store) == images


async def test_entries_of_two_actors_are_apart(medium: Medium) -> None:
    with opened(medium) as store:
        both = {(1, 1): b"one", (2, 1): b"two", (2, 2): b"more"}
        await commit(store, new_actor(1), new_actor(2, key="l"), entries=both)
        await commit(store, entry_removals=[(2, 1)])
        assert await entries(store, 1) == {1: b"one"}
        assert await entries(store, 2) == {2: b"more"}


async def test_entries_may_be_stored_before_their_run(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), entries={(1, 1): b"entry"})
        loaded = await store.load_workflow(1, whole=False)
        assert loaded == WorkflowRows(None, [EntryRow(1, b"entry")])


@pytest.mark.parametrize(
    "status", ["pending", "running", "rolling_back", "completed", "failed", "cancelled"]
)
async def test_the_whole_of_a_workflow_has_its_entries_whatever_became_of_it(
    medium: Medium, status: str
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run(status=status), entries={(1, 1): b"entry"})
        assert await entries(store) == {1: b"entry"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pending", [EntryRow(1, b"entry")]),
        ("running", [EntryRow(1, b"entry")]),
        ("rolling_back", [EntryRow(1, b"entry")]),
        ("completed", []),
        ("failed", []),
        ("cancelled", []),
    ],
)
async def test_a_run_that_has_ended_comes_without_entries_unless_the_whole_is_wanted(
    medium: Medium, status: str, expected: list[EntryRow]
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run(status=status), entries={(1, 1): b"entry"})
        loaded = await store.load_workflow(1, whole=False)
        assert loaded == WorkflowRows(RunRow(status, None, False, b"run"), expected)


async def test_rows_that_were_handed_out_are_the_callers_own(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run(), entries={(1, 1): b"entry"})
        loaded = await store.load_workflow(1)
        assert loaded.run is not None
        loaded.run.status = "changed"
        loaded.entries.clear()
        again = await store.load_workflow(1)
        assert again == WorkflowRows(
            RunRow("running", None, False, b"run"), [EntryRow(1, b"entry")]
        )


async def test_a_workflow_survives_reopening(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run(due_ms=7), entries={(1, 1): b"a", (1, 2): b"b"})
        await commit(store, entry_removals=[(1, 1)])
    with opened(medium) as again:
        loaded = await again.load_workflow(1)
        assert loaded == WorkflowRows(RunRow("running", 7, False, b"run"), [EntryRow(2, b"b")])


# -------------------------------------------------------------------------------- removals


@pytest.mark.parametrize("count", [1, 2, 64, 65, 500])
async def test_a_commit_of_any_number_of_removals_removes_each(medium: Medium, count: int) -> None:
    with opened(medium) as store:
        everything = range(1, count + 3)
        await commit(store, new_actor(), entries={(1, seq): b"" for seq in everything})
        await commit(store, entry_removals=[(1, seq) for seq in everything[1:-1]])
        assert list(await entries(store)) == [1, count + 2]


@pytest.mark.parametrize("place", [(1, 9), (9, 1)], ids=["unknown entry", "unknown actor"])
async def test_removing_what_is_not_there_changes_nothing(
    medium: Medium, place: tuple[int, int]
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), entries={(1, 1): b"entry"})
        await commit(store, entry_removals=[place])
        assert await entries(store) == {1: b"entry"}


async def test_an_entry_that_is_removed_and_stored_by_a_commit_is_there(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), entries={(1, 1): b"before"})
        await commit(store, entries={(1, 1): b"after"}, entry_removals=[(1, 1)])
        assert await entries(store) == {1: b"after"}


async def test_one_commit_makes_an_actor_its_run_entries_and_state(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), entries={(1, 1): b"old"})
        await commit(
            store,
            new_actor(2, key="l"),
            run(2),
            run(1),
            entries={(1, 2): b"new", (2, 1): b"first"},
            entry_removals=[(1, 1)],
            states={1: b"one", 2: b"two"},
        )
        rows = [await store.find_by_id(f"id-{pk}") for pk in (1, 2)]
        assert [each and each.state for each in rows] == [b"one", b"two"]
        assert [await entries(store, pk) for pk in (1, 2)] == [{2: b"new"}, {1: b"first"}]


# -------------------------------------------------------------------- who has to be awake


async def test_a_workflow_that_waits_for_no_instant_wakes_nobody(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run())
        assert await wake_ups(store) == ([], None, [])


async def test_a_workflow_wakes_its_actor_when_it_is_due(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run(due_ms=1_000))
        assert [await store.find_due(at) for at in (999, 1_000, 1_001)] == [[], ["id-1"], ["id-1"]]
        assert [await store.next_due(at) for at in (999, 1_000)] == [1_000, None]


async def test_workflows_and_schedules_wake_their_actors_in_the_order_of_time(
    medium: Medium,
) -> None:
    with opened(medium) as store:
        await commit(store, *(new_actor(pk, key=f"k{pk}") for pk in range(1, 5)))
        schedules = [PutSchedule(pk, False, "x", due_ms, b"") for pk, due_ms in [(1, 40), (2, 10)]]
        await commit(store, *schedules, run(3, due_ms=30), run(4, due_ms=20))
        assert await store.find_due(40) == ["id-2", "id-4", "id-3", "id-1"]
        assert [await store.next_due(at) for at in (0, 10, 20, 30, 40)] == [10, 20, 30, 40, None]


async def test_an_actor_with_a_workflow_and_a_schedule_is_due_once(medium: Medium) -> None:
    with opened(medium) as store:
        schedule = PutSchedule(1, False, "x", 10, b"")
        await commit(store, new_actor(), schedule, run(due_ms=5))
        assert await store.find_due(10) == ["id-1"]


@pytest.mark.parametrize("due_ms", [None, 50])
async def test_an_instant_that_was_replaced_wakes_nobody(
    medium: Medium, due_ms: int | None
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run(due_ms=10))
        await commit(store, run(due_ms=due_ms))
        assert (await store.find_due(49), await store.next_due(0)) == ([], due_ms)


async def test_workflows_that_are_under_way_are_found_after_reopening(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, *(new_actor(pk, key=f"k{pk}") for pk in range(1, 5)))
        await commit(store, live(3), run(2, due_ms=5), live(1))
    with opened(medium) as again:
        assert await again.find_live() == ["id-1", "id-3"]


async def test_a_workflow_that_only_waits_now_is_not_under_way(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), live())
        await commit(store, run())
        assert await store.find_live() == []


async def test_a_workflow_that_goes_on_is_under_way_again(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run())
        await commit(store, live())
        assert await store.find_live() == ["id-1"]


# --------------------------------------------------------------------- what is not allowed


async def test_a_run_without_its_actor_is_refused(medium: Medium) -> None:
    with opened(medium) as store, pytest.raises(Exception, match=r"(?i)foreign key|not there"):
        await commit(store, run(9))


async def test_an_entry_without_its_actor_is_refused(medium: Medium) -> None:
    with opened(medium) as store, pytest.raises(Exception, match=r"(?i)foreign key|not there"):
        await commit(store, entries={(9, 1): b"orphan"})


async def test_nothing_of_a_failed_commit_is_kept_of_workflows(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), run(), entries={(1, 1): b"entry"})
        with pytest.raises(Exception, match=r"(?i)foreign key|not there"):
            await commit(
                store,
                run(due_ms=9, is_live=True),
                RecordStart(2, 5_000, 1),
                entries={(1, 2): b"more"},
                entry_removals=[(1, 1)],
                states={9: b"orphan"},
            )
        loaded = await store.load_workflow(1)
        assert loaded == WorkflowRows(
            RunRow("running", None, False, b"run"), [EntryRow(1, b"entry")]
        )
        assert await wake_ups(store) == ([], None, [])


# ----------------------------------------------------------------------------- destruction


async def test_the_workflow_of_a_destroyed_actor_wakes_nobody(medium: Medium) -> None:
    with opened(medium) as store:
        both = [run(pk, due_ms=pk * 10, is_live=True) for pk in (1, 2)]
        await commit(store, new_actor(1), new_actor(2, key="l"), *both)
        await commit(store, MarkDestroyed(1))
        assert await wake_ups(store) == (["id-2"], 20, ["id-2"])


async def test_a_deleted_actor_takes_its_workflow_with_it(medium: Medium) -> None:
    with opened(medium) as store:
        stored = {(1, 1): b"one", (2, 1): b"two"}
        await commit(store, new_actor(1), new_actor(2, key="l"), live(1), live(2), entries=stored)
        await commit(store, MarkDestroyed(1), DeleteActor(1))
        await commit(store, new_actor(1))
        assert await store.load_workflow(1) == WorkflowRows(None, [])
        assert await entries(store, 2) == {1: b"two"}
        assert await store.find_live() == ["id-2"]


async def test_the_workflow_of_an_actor_whose_destruction_was_interrupted_is_gone(
    medium: Medium,
) -> None:
    with opened(medium) as store:
        doomed = run(due_ms=5, is_live=True)
        await commit(store, new_actor(), doomed, MarkDestroyed(1), entries={(1, 1): b"entry"})
    with opened(medium) as again:
        assert await wake_ups(again) == ([], None, [])
        await commit(again, new_actor())
        assert await again.load_workflow(1) == WorkflowRows(None, [])
