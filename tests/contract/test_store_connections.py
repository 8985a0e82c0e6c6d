"""What is kept of connections that outlive their actor's sleep, and when an actor slept."""

import pytest

from stator.runtime.storage import (
    ActorQuery,
    ConnectionRow,
    DeleteActor,
    DeleteConnection,
    InsertConnection,
    MarkDestroyed,
    RecordSleep,
    RecordStart,
    ShardStorage,
    UpdateConnection,
)
from tests.fakes.store_media import Medium, commit, new_actor, opened


async def kept(store: ShardStorage, pk: int = 1) -> list[ConnectionRow]:
    """Return the connections of an actor that is there."""
    row = await store.find_by_id(f"id-{pk}")
    assert row is not None
    return list(row.connections)


async def slept_ms(store: ShardStorage) -> int | None:
    """Return when the first actor went to sleep."""
    row = await store.find_by_id("id-1")
    assert row is not None
    return row.slept_ms


# ---------------------------------------------------------------------------- connections


async def test_an_actor_without_connections_has_an_empty_list(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        assert await kept(store) == []


async def test_both_look_ups_bring_the_connections(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), InsertConnection(1, "c", b"opened", b"changing"))
        expected = [ConnectionRow("c", b"opened", b"changing")]
        by_key = await store.find_by_key("default", "counter", "k")
        by_id = await store.find_by_id("id-1")
        assert [row and row.connections for row in (by_key, by_id)] == [expected, expected]


async def test_lists_bring_no_connections(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), InsertConnection(1, "c", b"o", b"c"))
        (row,) = await store.list_actors(ActorQuery("default"))
        assert not row.connections


async def test_connections_come_in_the_order_of_their_ids(medium: Medium) -> None:
    with opened(medium) as store:
        ids = ["b", "é", "a", "B", "a0", "", "\U0001f600", "\uffff"]
        await commit(store, new_actor(), *(InsertConnection(1, c, b"", b"") for c in ids))
        assert [connection.conn_id for connection in await kept(store)] == sorted(ids)


async def test_any_bytes_are_an_image(medium: Medium) -> None:
    with opened(medium) as store:
        big = bytes(range(256)) * 1_000
        await commit(
            store,
            new_actor(),
            InsertConnection(1, "a", b"", b""),
            InsertConnection(1, "b", big, b"\0"),
        )
        assert await kept(store) == [ConnectionRow("a", b"", b""), ConnectionRow("b", big, b"\0")]


async def test_an_inserted_connection_replaces_what_was_kept_of_it(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), InsertConnection(1, "c", b"o1", b"c1"))
        await commit(store, InsertConnection(1, "c", b"o2", b"c2"))
        assert await kept(store) == [ConnectionRow("c", b"o2", b"c2")]


async def test_an_update_leaves_what_never_changes(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(
            store,
            new_actor(),
            InsertConnection(1, "c", b"o", b"old"),
            InsertConnection(1, "d", b"o", b"other"),
        )
        await commit(store, UpdateConnection(changing=b"new", pk=1, conn_id="c"))
        assert await kept(store) == [
            ConnectionRow("c", b"o", b"new"),
            ConnectionRow("d", b"o", b"other"),
        ]


@pytest.mark.parametrize("pk", [1, 9], ids=["unknown connection", "unknown actor"])
async def test_an_update_of_what_is_not_kept_changes_nothing(medium: Medium, pk: int) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        await commit(store, UpdateConnection(changing=b"new", pk=pk, conn_id="c"))
        assert await kept(store) == []


async def test_a_deleted_connection_is_gone_and_the_others_stay(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(
            store, new_actor(), *(InsertConnection(1, c, b"o", b"c") for c in ("a", "b", "c"))
        )
        await commit(store, DeleteConnection(1, "b"))
        assert [connection.conn_id for connection in await kept(store)] == ["a", "c"]


@pytest.mark.parametrize("pk", [1, 9], ids=["unknown connection", "unknown actor"])
async def test_deleting_what_is_not_kept_changes_nothing(medium: Medium, pk: int) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), InsertConnection(1, "c", b"o", b"c"))
        await commit(store, DeleteConnection(pk, "other"))
        assert len(await kept(store)) == 1


async def test_operations_on_a_connection_are_applied_in_the_order_given(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(
            store,
            new_actor(),
            InsertConnection(1, "c", b"o1", b"c1"),
            UpdateConnection(changing=b"c2", pk=1, conn_id="c"),
            DeleteConnection(1, "c"),
            UpdateConnection(changing=b"c3", pk=1, conn_id="c"),
            InsertConnection(1, "c", b"o4", b"c4"),
            UpdateConnection(changing=b"c5", pk=1, conn_id="c"),
        )
        assert await kept(store) == [ConnectionRow("c", b"o4", b"c5")]


async def test_connections_of_one_id_at_two_actors_are_two(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, *(InsertConnection(pk, "c", b"o", b"c") for pk in (1, 2)))
        await commit(store, UpdateConnection(changing=b"new", pk=1, conn_id="c"))
        await commit(store, DeleteConnection(2, "c"))
        assert await kept(store, 1) == [ConnectionRow("c", b"o", b"new")]
        assert await kept(store, 2) == []


async def test_a_connection_without_its_actor_is_refused(medium: Medium) -> None:
    with opened(medium) as store, pytest.raises(Exception, match=r"(?i)foreign key|not there"):
        await commit(store, InsertConnection(9, "c", b"o", b"c"))


async def test_nothing_of_a_failed_commit_is_kept_of_connections(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(
            store,
            new_actor(),
            InsertConnection(1, "a", b"o", b"c"),
            InsertConnection(1, "b", b"o", b"c"),
        )
        before = await kept(store)
        with pytest.raises(Exception, match=r"(?i)actor"):
            await commit(
                store,
                InsertConnection(1, "a", b"new", b"new"),
                UpdateConnection(changing=b"new", pk=1, conn_id="b"),
                DeleteConnection(1, "b"),
                InsertConnection(1, "c", b"o", b"c"),
                RecordSleep(5_000, 1),
                new_actor(2),  # a second live actor of this key
            )
        assert await kept(store) == before
        assert await slept_ms(store) is None


async def test_a_deleted_actor_takes_its_connections_with_it(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(
            store,
            new_actor(1),
            new_actor(2, key="l"),
            *(InsertConnection(pk, "c", b"o", b"c") for pk in (1, 2)),
        )
        await commit(store, MarkDestroyed(1), DeleteActor(1))
        await commit(store, new_actor(1))
        assert [len(await kept(store, pk)) for pk in (1, 2)] == [0, 1]


async def test_connections_of_an_actor_whose_destruction_was_interrupted_are_gone(
    medium: Medium,
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), InsertConnection(1, "c", b"o", b"c"), MarkDestroyed(1))
    with opened(medium) as again:
        await commit(again, new_actor())
        assert await kept(again) == []


async def test_connections_survive_reopening(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(
            store,
            new_actor(),
            InsertConnection(1, "a", b"oa", b"ca"),
            InsertConnection(1, "b", b"ob", b"cb"),
            DeleteConnection(1, "a"),
        )
        await commit(store, UpdateConnection(changing=b"new", pk=1, conn_id="b"))
    with opened(medium) as again:
        assert await kept(again) == [ConnectionRow("b", b"ob", b"new")]


async def test_connections_that_were_handed_out_are_the_callers_own(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), InsertConnection(1, "c", b"o", b"c"))
        connections = await kept(store)
        connections[0].changing = b"changed"
        connections.clear()
        assert await kept(store) == [ConnectionRow("c", b"o", b"c")]


# ----------------------------------------------------------------------------------- sleep


async def test_an_actor_that_never_slept_says_so(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), RecordStart(1, 100, 1))
        assert await slept_ms(store) is None


async def test_the_last_sleep_is_in_every_look_up(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, RecordSleep(5_000, 1))
        await commit(store, RecordSleep(6_000, 1))
        by_key = await store.find_by_key("default", "counter", "k")
        listed = await store.list_actors(ActorQuery("default"))
        assert by_key is not None
        assert (by_key.slept_ms, await slept_ms(store)) == (6_000, 6_000)
        assert [row.slept_ms for row in listed] == [None, 6_000]


async def test_a_start_leaves_the_last_sleep(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), RecordSleep(5_000, 1))
        await commit(store, RecordStart(2, 9_000, 1))
        assert await slept_ms(store) == 5_000


async def test_a_sleep_changes_nothing_else(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), RecordStart(2, 100, 1), states={1: b"image"})
        before = await store.find_by_id("id-1")
        await commit(store, RecordSleep(5_000, 1))
        after = await store.find_by_id("id-1")
        assert before is not None
        assert after is not None
        before.slept_ms = 5_000
        assert after == before


async def test_the_sleep_of_an_actor_that_is_not_there_changes_nothing(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        await commit(store, RecordSleep(5_000, 9))
        assert await slept_ms(store) is None


async def test_the_last_sleep_survives_reopening(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), RecordSleep(5_000, 1))
    with opened(medium) as again:
        assert await slept_ms(again) == 5_000
