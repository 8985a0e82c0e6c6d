"""Who is found: identities, destroyed actors, lists, names and namespaces."""

import pytest

from stator.runtime.storage import ActorQuery, DeleteActor, InsertNamespace, MarkDestroyed
from tests.fakes.store_media import Medium, commit, new_actor, opened


@pytest.mark.parametrize(
    "other",
    [{"namespace": "other"}, {"name": "chat"}, {"key": "l"}, {"key": ""}, {"key": "K"}],
    ids=str,
)
async def test_actors_that_differ_in_any_part_of_the_identity_are_two(
    medium: Medium, other: dict[str, str]
) -> None:
    with opened(medium) as store:
        second = new_actor(2, **other)
        await commit(store, new_actor(1), second)
        for actor in (new_actor(1), second):
            row = await store.find_by_key(actor.namespace, actor.name, actor.key)
            assert row is not None
            assert row.actor_id == actor.actor_id


async def test_a_second_live_actor_of_an_identity_is_refused(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1))
        with pytest.raises(Exception, match=r"(?i)actor"):
            await commit(store, new_actor(2))


async def test_a_second_actor_of_an_id_is_refused_in_any_namespace(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1))
        with pytest.raises(Exception, match=r"(?i)actor"):
            await commit(store, new_actor(2, key="l", namespace="other", actor_id="id-1"))


async def test_a_destroyed_actor_is_invisible_everywhere(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), states={1: b"image"})
        await commit(store, MarkDestroyed(1))
        assert await store.find_by_key("default", "counter", "k") is None
        assert await store.find_by_id("id-1") is None
        assert await store.list_actors(ActorQuery("default")) == []
        assert await store.list_names("default") == []


async def test_a_destroyed_actor_stays_destroyed_when_its_rows_were_not_deleted(
    medium: Medium,
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), states={1: b"image"})
        await commit(store, MarkDestroyed(1))
    with opened(medium) as again:
        assert await again.find_by_id("id-1") is None
        await commit(again, new_actor(1))
        row = await again.find_by_id("id-1")
        assert row is not None
        assert row.state is None


async def test_the_key_of_a_destroyed_actor_is_free_at_once(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), states={1: b"old"})
        await commit(store, MarkDestroyed(1))
        await commit(store, new_actor(2))
        row = await store.find_by_key("default", "counter", "k")
        assert row is not None
        assert (row.actor_id, row.state) == ("id-2", None)
        await commit(store, DeleteActor(1))
        assert await store.find_by_id("id-2") is not None


async def test_deleting_an_actor_that_is_not_there_changes_nothing(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1))
        await commit(store, MarkDestroyed(9), DeleteActor(9))
        assert await store.find_by_id("id-1") is not None


async def test_lists_are_newest_first_and_say_nothing_of_input_and_state(medium: Medium) -> None:
    with opened(medium) as store:
        actors = [new_actor(pk, key=f"k{pk}", input=b"\x01") for pk in (1, 2, 3)]
        await commit(store, *actors, states={1: b"image"})
        rows = await store.list_actors(ActorQuery("default"))
        assert [row.actor_id for row in rows] == ["id-3", "id-2", "id-1"]
        assert all(row.input is None and row.state is None for row in rows)


async def test_actors_of_one_instant_are_listed_by_age_too(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, *(new_actor(pk, key=f"k{pk}", created_ms=5) for pk in (1, 2, 3)))
        rows = await store.list_actors(ActorQuery("default"))
        assert [row.pk for row in rows] == [3, 2, 1]


async def test_a_list_keeps_to_namespace_name_limit_and_instant(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, *(new_actor(pk, key=f"k{pk}") for pk in range(1, 6)))
        await commit(store, new_actor(6, name="chat"), new_actor(7, namespace="other"))

        async def listed(query: ActorQuery) -> list[int]:
            return [row.pk for row in await store.list_actors(query)]

        assert await listed(ActorQuery("default")) == [6, 5, 4, 3, 2, 1]
        assert await listed(ActorQuery("default", "counter", limit=2)) == [5, 4]
        assert await listed(ActorQuery("default", "counter", before_ms=1_004)) == [3, 2, 1]
        assert await listed(ActorQuery("other")) == [7]
        assert await listed(ActorQuery("nowhere")) == []


async def test_names_are_those_of_live_actors_of_the_namespace(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(
            store,
            new_actor(1, key="a"),
            new_actor(2, key="b"),
            new_actor(3, name="chat"),
            new_actor(4, name="gone"),
            new_actor(5, name="elsewhere", namespace="other"),
        )
        await commit(store, MarkDestroyed(4))
        assert sorted(await store.list_names("default")) == ["chat", "counter"]


async def test_a_namespace_that_exists_stays_as_it_is(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, InsertNamespace("b", 1), InsertNamespace("a", 2))
        await commit(store, InsertNamespace("b", 9))
        assert await store.list_namespaces() == [("a", 2), ("b", 1)]


@pytest.mark.parametrize("key", ["a/b", "a\\/b", "\\0", "é ü", "x\0y", "k" * 1000, "'; --", "%_"])
async def test_any_text_is_a_key(medium: Medium, key: str) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1, key=key), new_actor(2, key="plain"))
        row = await store.find_by_key("default", "counter", key)
        assert row is not None
        assert (row.pk, row.key) == (1, key)
