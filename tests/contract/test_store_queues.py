"""What is kept of the messages of an actor's queues."""

import pytest

from stator.runtime.storage import (
    DeleteActor,
    InsertMessage,
    MarkDestroyed,
    MessageRow,
    QueueRows,
    RecordLastMessage,
    RecordStart,
)
from tests.fakes.store_media import Medium, commit, new_actor, opened


def message(number: int, pk: int = 1, name: str = "jobs") -> InsertMessage:
    """Return a message that is to be added."""
    return InsertMessage(pk, number, name, b"body %d" % number, 5_000 + number)


def row(number: int, name: str = "jobs") -> MessageRow:
    """Return what is stored of :func:`message`."""
    return MessageRow(number, name, b"body %d" % number, 5_000 + number)


def queues(*ids: int, last_id: int) -> QueueRows:
    """Return what is stored of an actor with these messages."""
    return QueueRows([row(each) for each in ids], last_id)


# -------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("pk", [1, 9], ids=["known actor", "unknown actor"])
async def test_an_actor_without_messages_has_empty_queues(medium: Medium, pk: int) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        assert await store.load_queues(pk) == queues(last_id=0)


async def test_a_message_comes_back_whole(medium: Medium) -> None:
    with opened(medium) as store:
        new = InsertMessage(1, 7, "jobs/é", b"\xa0\0", 1_700_000_000_123)
        await commit(store, new_actor(), messages=[new])
        stored = MessageRow(7, "jobs/é", b"\xa0\0", 1_700_000_000_123)
        assert await store.load_queues(1) == QueueRows([stored], 7)


async def test_messages_come_in_the_order_of_their_ids(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), messages=[message(3), message(1, name="other")])
        await commit(store, messages=[message(10), message(2)])
        loaded = await store.load_queues(1)
        assert loaded == QueueRows([row(1, "other"), row(2), row(3), row(10)], 10)


async def test_any_bytes_are_a_body(medium: Medium) -> None:
    with opened(medium) as store:
        bodies = [b"", b"\0", bytes(range(256)) * 1_000]
        new = [InsertMessage(1, number, "q", body, 0) for number, body in enumerate(bodies, 1)]
        await commit(store, new_actor(), messages=new)
        loaded = await store.load_queues(1)
        assert [each.body for each in loaded.messages] == bodies


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200])
async def test_a_commit_of_any_number_of_messages_adds_each(medium: Medium, count: int) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        await commit(store, messages=[message(each) for each in range(1, count + 1)])
        assert await store.load_queues(1) == queues(*range(1, count + 1), last_id=count)


async def test_messages_of_two_actors_are_apart(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"))
        await commit(store, messages=[message(1), message(1, pk=2), message(2, pk=2)])
        await commit(store, removals=[(2, 1)])
        assert await store.load_queues(1) == queues(1, last_id=1)
        assert await store.load_queues(2) == queues(2, last_id=2)


async def test_queues_that_were_handed_out_are_the_callers_own(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), messages=[message(1)])
        loaded = await store.load_queues(1)
        loaded.messages[0].name = "changed"
        loaded.messages.clear()
        assert await store.load_queues(1) == queues(1, last_id=1)


async def test_messages_survive_reopening(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), messages=[message(1), message(2), message(3)])
        await commit(store, removals=[(1, 2)])
    with opened(medium) as again:
        assert await again.load_queues(1) == queues(1, 3, last_id=3)


# -------------------------------------------------------------------------------- removals


@pytest.mark.parametrize("count", [1, 2, 64, 65, 500])
async def test_a_commit_of_any_number_of_removals_removes_each(medium: Medium, count: int) -> None:
    with opened(medium) as store:
        everything = range(1, count + 3)
        await commit(store, new_actor(), messages=[message(each) for each in everything])
        await commit(store, removals=[(1, each) for each in everything[1:-1]])
        assert await store.load_queues(1) == queues(1, count + 2, last_id=count + 2)


@pytest.mark.parametrize("place", [(1, 9), (9, 1)], ids=["unknown message", "unknown actor"])
async def test_removing_what_is_not_there_changes_nothing(
    medium: Medium, place: tuple[int, int]
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), messages=[message(1)])
        await commit(store, removals=[place])
        assert await store.load_queues(1) == queues(1, last_id=1)


async def test_a_message_may_be_removed_in_the_commit_that_adds_it(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), messages=[message(1), message(2)], removals=[(1, 1)])
        assert await store.load_queues(1) == queues(2, last_id=2)


async def test_one_commit_makes_actors_messages_removals_and_states(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), messages=[message(1)])
        await commit(
            store,
            new_actor(2, key="l"),
            RecordLastMessage(1, 1),
            messages=[message(2), message(1, pk=2)],
            removals=[(1, 1)],
            states={1: b"one", 2: b"two"},
        )
        rows = [await store.find_by_id(f"id-{pk}") for pk in (1, 2)]
        assert [each and each.state for each in rows] == [b"one", b"two"]
        assert await store.load_queues(1) == queues(2, last_id=2)
        assert await store.load_queues(2) == queues(1, last_id=1)


# ----------------------------------------------------------------------------- the last id


async def test_the_last_id_outlives_its_message(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), messages=[message(1), message(2)])
        await commit(store, RecordLastMessage(1, 2), removals=[(1, 1), (1, 2)])
        assert await store.load_queues(1) == queues(last_id=2)


async def test_the_last_id_survives_reopening(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), RecordLastMessage(1, 41))
    with opened(medium) as again:
        assert await again.load_queues(1) == queues(last_id=41)


async def test_the_last_id_never_decreases(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), RecordLastMessage(1, 5))
        await commit(store, RecordLastMessage(1, 3))
        assert await store.load_queues(1) == queues(last_id=5)


@pytest.mark.parametrize(("recorded", "last_id"), [(5, 8), (9, 9)])
async def test_the_last_id_is_the_greatest_of_the_recorded_and_the_stored(
    medium: Medium, recorded: int, last_id: int
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), RecordLastMessage(1, recorded), messages=[message(8)])
        assert await store.load_queues(1) == queues(8, last_id=last_id)


async def test_the_last_ids_of_two_actors_are_apart(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"), RecordLastMessage(2, 7))
        assert await store.load_queues(1) == queues(last_id=0)


# --------------------------------------------------------------------- what is not allowed


async def test_a_message_without_its_actor_is_refused(medium: Medium) -> None:
    with opened(medium) as store, pytest.raises(Exception, match=r"(?i)foreign key|not there"):
        await commit(store, messages=[message(1, pk=9)])


async def test_a_last_id_without_its_actor_is_refused(medium: Medium) -> None:
    with opened(medium) as store, pytest.raises(Exception, match=r"(?i)foreign key|not there"):
        await commit(store, RecordLastMessage(9, 1))


async def test_a_second_message_of_an_id_is_refused(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), messages=[message(1)])
        with pytest.raises(Exception, match=r"(?i)unique|second message"):
            await commit(store, messages=[message(1, name="other")])
        assert await store.load_queues(1) == queues(1, last_id=1)


async def test_of_messages_of_which_one_is_refused_none_is_kept(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        with pytest.raises(Exception, match=r"(?i)foreign key|not there"):
            await commit(store, messages=[message(1), message(1, pk=9)])
        assert await store.load_queues(1) == queues(last_id=0)


async def test_nothing_of_a_failed_commit_is_kept_of_queues(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), messages=[message(1)])
        with pytest.raises(Exception, match=r"(?i)foreign key|not there"):
            await commit(
                store,
                RecordLastMessage(1, 9),
                RecordStart(2, 5_000, 1),
                messages=[message(2)],
                removals=[(1, 1)],
                states={9: b"orphan"},
            )
        assert await store.load_queues(1) == queues(1, last_id=1)


# ----------------------------------------------------------------------------- destruction


async def test_a_deleted_actor_takes_its_queues_with_it(medium: Medium) -> None:
    with opened(medium) as store:
        actors = [new_actor(1), new_actor(2, key="l")]
        last_ids = [RecordLastMessage(1, 5), RecordLastMessage(2, 6)]
        await commit(store, *actors, *last_ids, messages=[message(1), message(1, pk=2)])
        await commit(store, MarkDestroyed(1), DeleteActor(1))
        await commit(store, new_actor(1))
        assert await store.load_queues(1) == queues(last_id=0)
        assert await store.load_queues(2) == queues(1, last_id=6)


async def test_queues_of_an_actor_whose_destruction_was_interrupted_are_gone(
    medium: Medium,
) -> None:
    with opened(medium) as store:
        await commit(
            store, new_actor(), RecordLastMessage(1, 5), MarkDestroyed(1), messages=[message(1)]
        )
    with opened(medium) as again:
        await commit(again, new_actor())
        assert await again.load_queues(1) == queues(last_id=0)
