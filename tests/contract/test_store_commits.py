"""What a commit promises: all or nothing, in order, visible afterwards, durable."""

import asyncio

import pytest

from stator.runtime.storage import (
    ActorRow,
    DeleteActor,
    InsertNamespace,
    MarkDestroyed,
    RecordStart,
    Writes,
)
from tests.fakes.store_media import Medium, commit, new_actor, opened


async def test_an_empty_store_has_no_actors_names_or_namespaces(medium: Medium) -> None:
    with opened(medium) as store:
        assert store.next_pk == 1
        assert await store.find_by_key("default", "counter", "k") is None
        assert await store.find_by_id("id-1") is None
        assert await store.list_names("default") == []
        assert await store.list_namespaces() == []


async def test_a_committed_actor_is_found_whole_by_key_and_by_id(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(input=b"\xa0"), states={1: b"image"})
        expected = ActorRow(1, "id-1", "default", "counter", "k", 1_001, 0, None, b"\xa0", b"image")
        assert await store.find_by_key("default", "counter", "k") == expected
        assert await store.find_by_id("id-1") == expected


async def test_an_actor_whose_first_start_was_not_completed_has_no_state(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        row = await store.find_by_id("id-1")
        assert row is not None
        assert row.state is None


async def test_an_empty_state_image_is_not_a_missing_one(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), states={1: b""})
        row = await store.find_by_id("id-1")
        assert row is not None
        assert row.state == b""


async def test_a_row_that_was_handed_out_is_the_callers_own(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), states={1: b"image"})
        row = await store.find_by_id("id-1")
        assert row is not None
        row.generation, row.state = 7, None
        again = await store.find_by_id("id-1")
        assert again is not None
        assert (again.generation, again.state) == (0, b"image")


async def test_the_last_image_of_a_state_replaces_the_one_before(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), states={1: b"old"})
        await commit(store, states={1: b"new"})
        row = await store.find_by_id("id-1")
        assert row is not None
        assert row.state == b"new"


async def test_nothing_of_a_commit_that_fails_is_stored(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), states={1: b"good"})
        with pytest.raises(Exception, match=r"(?i)actor"):
            await commit(
                store,
                InsertNamespace("half", 5),
                RecordStart(3, 9_000, 1),
                new_actor(2, key="other"),
                new_actor(3, key="k"),  # a second live actor of this key
                states={1: b"bad"},
            )
        row = await store.find_by_id("id-1")
        assert row is not None
        assert (row.generation, row.started_ms, row.state) == (0, None, b"good")
        assert await store.find_by_id("id-2") is None
        assert await store.list_namespaces() == []


async def test_the_commit_after_a_failed_one_works(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1))
        with pytest.raises(Exception, match=r"(?i)actor"):
            await commit(store, new_actor(2))
        await commit(store, new_actor(2, key="free"))
        assert await store.find_by_id("id-2") is not None


async def test_a_state_without_its_actor_is_refused(medium: Medium) -> None:
    with opened(medium) as store, pytest.raises(Exception, match=r"(?i)foreign key|not there"):
        await commit(store, states={9: b"orphan"})


async def test_operations_are_applied_in_the_order_given(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(
            store,
            new_actor(1),
            RecordStart(1, 100, 1),
            RecordStart(2, 200, 1),
            MarkDestroyed(1),
            new_actor(2),  # the key is free again
            RecordStart(1, 300, 2),
        )
        row = await store.find_by_key("default", "counter", "k")
        assert row is not None
        assert (row.pk, row.generation, row.started_ms) == (2, 1, 300)


async def test_states_are_stored_after_the_operations_of_the_same_commit(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"), states={2: b"b", 1: b"a"})
        rows = [await store.find_by_id(f"id-{pk}") for pk in (1, 2)]
        assert [row and row.state for row in rows] == [b"a", b"b"]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 63, 64, 65, 200])
async def test_a_commit_of_any_number_of_states_stores_each(medium: Medium, count: int) -> None:
    with opened(medium) as store:
        actors = [new_actor(pk, key=f"k{pk}") for pk in range(1, count + 1)]
        await commit(store, *actors, states={pk: b"%d" % pk for pk in range(1, count + 1)})
        rows = [await store.find_by_id(f"id-{pk}") for pk in range(1, count + 1)]
        assert [row and row.state for row in rows] == [b"%d" % pk for pk in range(1, count + 1)]


async def test_an_empty_commit_is_a_commit(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store)


async def test_what_is_not_committed_yet_is_not_seen(medium: Medium) -> None:
    with opened(medium) as store:
        done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        look_up = store.find_by_id("id-1")
        await look_up
        store.commit(Writes([new_actor()]), done.set_result)
        assert await done is None
        assert look_up.result() is None
        assert await store.find_by_id("id-1") is not None


async def test_done_is_called_on_the_event_loop_and_not_within_commit(medium: Medium) -> None:
    with opened(medium) as store:
        loop = asyncio.get_running_loop()
        called: asyncio.Future[asyncio.AbstractEventLoop] = loop.create_future()
        store.commit(Writes(), lambda _: called.set_result(asyncio.get_running_loop()))
        assert not called.done()
        assert await called is loop


async def test_close_finishes_the_commit_under_way(medium: Medium) -> None:
    with opened(medium) as store:
        outcomes: list[Exception | None] = []
        store.commit(Writes([new_actor()], states={1: b"kept"}), outcomes.append)
    with opened(medium) as again:
        row = await again.find_by_id("id-1")
        assert row is not None
        assert row.state == b"kept"
        assert outcomes == [None]


async def test_a_reopened_store_finds_everything(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, InsertNamespace("default", 1), InsertNamespace("other", 2))
        await commit(store, new_actor(1, input=b"\x01"), RecordStart(4, 77, 1), states={1: b"one"})
        await commit(store, new_actor(2, namespace="other", name="chat"))
        before = [await store.find_by_id("id-1"), await store.find_by_id("id-2")]
    with opened(medium) as again:
        assert [await again.find_by_id("id-1"), await again.find_by_id("id-2")] == before
        assert await again.list_namespaces() == [("default", 1), ("other", 2)]
        assert await again.list_names("other") == ["chat"]
        assert again.next_pk == 3


async def test_a_deleted_actor_takes_its_state_with_it(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), states={1: b"secret"})
        await commit(store, MarkDestroyed(1), DeleteActor(1))
        await commit(store, new_actor(1))
        row = await store.find_by_id("id-1")
        assert row is not None
        assert row.state is None
