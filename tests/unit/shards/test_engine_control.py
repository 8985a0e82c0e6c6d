"""The control requests of a worker: create, find, list, names, namespaces."""

import asyncio

import msgspec
import pytest

from stator import Actor, ActorError, action
from stator.runtime.link.frames import (
    ActorRecord,
    FindActors,
    ListNames,
    ListNamespaces,
    NamespaceRecord,
    ResolveNamespace,
)
from stator.runtime.storage import InsertNamespace
from tests.fakes.engine_in_process import LocalEngine, running_engine, turns
from tests.fakes.memory_store import MemoryStore


class Counting(Actor):
    state: int = 0

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state

    @action
    def vanish(self) -> None:
        self.destroy()


USE: dict[str, type[Actor]] = {"counter": Counting, "other": Counting}


async def _find(local: LocalEngine, question: FindActors) -> list[ActorRecord]:
    payload = await local.ask(lambda number: msgspec.structs.replace(question, id=number))
    return msgspec.msgpack.decode(payload, type=list[ActorRecord])


def _of_key(key: str, namespace: str = "default") -> FindActors:
    return FindActors(0, (0,), namespace, name="counter", key=key)


def _of_ids(*ids: str, namespace: str = "default", name: str | None = None) -> FindActors:
    return FindActors(0, (0,), namespace, name=name, actor_ids=ids)


async def test_creating_answers_with_the_actor_once_it_is_durable() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        store.hold_commits()
        made = asyncio.ensure_future(local.create("counter", ("a", "b")))
        await turns()
        assert not made.done()
        store.release_commits()
        record = (await made).actor
        assert (record.namespace, record.name, record.key) == ("default", "counter", "a/b")
        (row,) = store.disk.live()
        assert (row.actor_id, row.created_ms) == (record.actor_id, record.created_ms)


async def test_creating_starts_the_actor() -> None:
    async with running_engine(use=USE) as local:
        made = await local.create("counter", "k")
        assert local.is_awake("counter", "k")
        assert made.actor.started_ms is not None


async def test_creating_a_key_twice_is_a_duplicate_key() -> None:
    async with running_engine(use=USE) as local:
        made = await local.create("counter", "k")
        with pytest.raises(ActorError) as caught:
            await local.create("counter", "k")
        assert (caught.value.group, caught.value.code) == ("actor", "duplicate_key")
        assert caught.value.status == 400
        assert caught.value.metadata == {"existing_actor_id": made.actor.actor_id, "key": "k"}


async def test_reuse_finds_the_actor_that_exists() -> None:
    async with running_engine(use=USE) as local:
        first = await local.create("counter", "k", reuse=True)
        second = await local.create("counter", "k", reuse=True)
        assert (first.created, second.created) == (True, False)
        assert first.actor.actor_id == second.actor.actor_id


async def test_of_many_who_create_a_key_at_once_one_succeeds() -> None:
    async with running_engine(use=USE) as local:
        outcomes = await asyncio.gather(
            *(local.create("counter", "k") for _ in range(5)), return_exceptions=True
        )
        assert sum(not isinstance(outcome, ActorError) for outcome in outcomes) == 1


async def test_an_unregistered_name_cannot_be_created() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.create("nobody")
        assert (caught.value.group, caught.value.code) == ("actor", "not_registered")


async def test_a_creation_that_was_not_stored_is_an_error() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        store.fail_next_commit()
        with pytest.raises(ActorError) as caught:
            await local.create("counter", "k")
        assert (caught.value.group, caught.value.code) == ("storage", "unavailable")
        assert (await local.create("counter", "k")).created


async def test_a_destroyed_key_can_be_created_again_at_once() -> None:
    async with running_engine(use=USE) as local:
        old = await local.create("counter", "k")
        gone, new = await asyncio.gather(
            local.call("counter", "vanish", key="k"), local.create("counter", "k")
        )
        assert gone is None
        assert new.actor.actor_id != old.actor.actor_id


async def test_actors_are_found_by_key_and_ids_in_memory_and_on_disk() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        ids = [(await local.create("counter", key)).actor.actor_id for key in "ab"]
    async with running_engine(MemoryStore(store.disk), use=USE) as again:
        await again.call("counter", "add", 1, key="a")
        for question in (_of_key("a"), _of_ids(ids[0])):
            (record,) = await _find(again, question)
            assert record.actor_id == ids[0]
        (record,) = await _find(again, _of_key("b"))
        assert record.actor_id == ids[1]
        assert not again.is_awake("counter", "b"), "a look-up starts nobody"
        assert {record.actor_id for record in await _find(again, _of_ids(*ids))} == set(ids)


async def test_what_does_not_match_is_not_found() -> None:
    async with running_engine(use=USE) as local:
        actor_id = (await local.create("counter", "k")).actor.actor_id
        for question in (
            _of_key("l"),
            _of_key("k", namespace="elsewhere"),
            _of_ids("nobody"),
            _of_ids(actor_id, namespace="elsewhere"),
            _of_ids(actor_id, name="other"),
        ):
            assert await _find(local, question) == []


async def test_nobody_is_told_of_an_actor_that_may_yet_be_lost() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        store.hold_commits()
        created = local.send("counter", "add", 1, key="k")
        await turns()
        found = asyncio.ensure_future(_find(local, _of_key("k")))
        await turns()
        assert not found.done()
        store.fail_next_commit()
        store.release_commits()
        await created
        with pytest.raises(ActorError):
            await found
        assert await _find(local, _of_key("k")) == []


async def test_a_destroyed_actor_is_not_found() -> None:
    async with running_engine(use=USE) as local:
        actor_id = (await local.create("counter", "k")).actor.actor_id
        await local.call("counter", "vanish", key="k")
        assert await _find(local, _of_key("k")) == []
        assert await _find(local, _of_ids(actor_id)) == []


async def test_lists_show_the_newest_first_up_to_the_limit() -> None:
    async with running_engine(use=USE) as local:
        made = [(await local.create("counter", str(number))).actor for number in range(5)]
        await local.create("other")
        listed = await _find(local, FindActors(0, (0,), "default", name="counter", limit=3))
        assert [record.actor_id for record in listed] == [one.actor_id for one in made[:1:-1]]


async def test_names_are_sorted_and_of_the_namespace_only() -> None:
    async with running_engine(use=USE) as local:
        await local.create("other")
        await local.create("counter")

        async def names(namespace: str) -> list[str]:
            payload = await local.ask(lambda number: ListNames(number, (0,), namespace))
            return msgspec.msgpack.decode(payload, type=list[str])

        assert await names("default") == ["counter", "other"]
        assert await names("elsewhere") == []


async def test_a_namespace_is_created_once_and_only_if_asked() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:

        async def resolve(create: bool) -> NamespaceRecord:
            payload = await local.ask(lambda number: ResolveNamespace(number, 0, "new", create))
            return msgspec.msgpack.decode(payload, type=NamespaceRecord)

        with pytest.raises(ActorError) as caught:
            await resolve(create=False)
        assert (caught.value.group, caught.value.code) == ("namespace", "not_found")
        assert store.disk.namespaces == {}
        created = await resolve(create=True)
        assert await resolve(create=False) == created
        assert await resolve(create=True) == created


async def test_two_who_create_a_namespace_at_once_are_told_the_same() -> None:
    async with running_engine(use=USE) as local:
        payloads = await asyncio.gather(
            *(local.ask(lambda number: ResolveNamespace(number, 0, "new", True)) for _ in range(2))
        )
        listed = await local.ask(lambda number: ListNamespaces(number, 0))
        stored = msgspec.msgpack.decode(listed, type=list[NamespaceRecord])
        for payload in payloads:
            assert msgspec.msgpack.decode(payload, type=NamespaceRecord).name == "new"
        assert [record.name for record in stored] == ["new"]


async def test_namespaces_of_the_configuration_are_there_from_the_start() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        local.engine.shards[0].write(InsertNamespace("default", 0))
        await local.engine.shards[0].wait_durable()
        payload = await local.ask(lambda number: ListNamespaces(number, 0))
        assert msgspec.msgpack.decode(payload, type=list[NamespaceRecord]) == [
            NamespaceRecord("default", 0)
        ]


async def test_a_request_for_a_closed_shard_says_so() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await _find(local, FindActors(0, (7,), "default", name="counter"))
        assert (caught.value.group, caught.value.code) == ("storage", "shard_closed")
