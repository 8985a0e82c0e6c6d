"""Finding and creating actors: by key, by id, many requests at once, input, what is refused."""

import asyncio
from typing import Any

import pytest

from stator import Actor, ActorError, action
from stator.runtime.control import Counter
from stator.runtime.link.frames import Resolution
from stator.runtime.storage import InsertActor
from stator.shards.shard import Limits
from tests.fakes.engine_in_process import output_of, running_engine, turns
from tests.fakes.memory_store import MemoryDisk, MemoryStore


class Counting(Actor):
    state: int = 0

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state

    @action
    def get(self) -> int:
        return self.state

    @action
    def who(self) -> list[Any]:
        return [self.actor_id, self.name, list(self.key), self.region]

    @action
    def vanish(self) -> None:
        self.destroy()


class WithInput(Actor):
    def create_state(self, given: Any) -> dict[str, Any]:
        return {"given": given}

    @action
    def get(self) -> Any:
        return self.state["given"]


class Plain(Actor):
    @action
    def ping(self) -> str:
        return "pong"


class Unbuildable(Actor):
    state: int

    def create_state(self, given: Any) -> int:
        if FAILING:
            raise RuntimeError("not today")
        return 7

    @action
    def get(self) -> int:
        return self.state


FAILING: list[bool] = []
USE: dict[str, type[Actor]] = {
    "counter": Counting,
    "input": WithInput,
    "plain": Plain,
    "unbuildable": Unbuildable,
}


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    FAILING.clear()


def _refused(caught: pytest.ExceptionInfo[ActorError]) -> str:
    return f"{caught.value.group}.{caught.value.code}"


async def test_get_or_create_creates_the_actor_on_the_first_request_only() -> None:
    async with running_engine(use=USE) as local:
        assert [await local.call("counter", "add", 1) for _ in range(3)] == [1, 2, 3]
        assert local.counter(Counter.ACTORS_CREATED) == 1


async def test_get_of_an_actor_that_does_not_exist_is_not_found_and_creates_nothing() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.call("counter", "get", how=Resolution.GET)
        assert _refused(caught) == "actor.not_found"
        assert store.commits == []
        assert not local.is_awake("counter")


async def test_get_finds_an_actor_that_exists() -> None:
    async with running_engine(use=USE) as local:
        await local.call("counter", "add", 1)
        assert await local.call("counter", "get", how=Resolution.GET) == 1


async def test_an_id_finds_its_actor_in_memory_and_on_disk() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        actor_id = (await local.call("counter", "who"))[0]
        await local.call("counter", "add", 4)
        assert await local.call_id(actor_id, "get") == 4
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await asyncio.gather(*(again.call_id(actor_id, "get") for _ in range(3))) == [4] * 3
        assert (await again.call("counter", "who"))[0] == actor_id


async def test_an_id_nobody_has_is_not_found() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.call_id("0" * 25 + "0000s", "get")
        assert _refused(caught) == "actor.not_found"


async def test_a_name_that_is_not_in_the_registry_is_not_registered() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.call("nobody", "get")
        assert _refused(caught) == "actor.not_registered"


async def test_a_stored_actor_whose_class_left_the_registry_is_not_registered() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        actor_id = (await local.call("counter", "who"))[0]
    async with running_engine(MemoryStore(disk), use={"plain": Plain}) as again:
        with pytest.raises(ActorError) as caught:
            await again.call_id(actor_id, "get")
        assert _refused(caught) == "actor.not_registered"


async def test_parallel_first_requests_meet_one_actor_in_order() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        answers = await asyncio.gather(*(local.call("counter", "add", 1) for _ in range(20)))
        assert answers == list(range(1, 21))
        assert len(store.disk.actors) == 1
        assert local.counter(Counter.ACTORS_CREATED) == 1


async def test_parallel_first_requests_of_every_kind_meet_one_actor() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        called, created, found = await asyncio.gather(
            local.call("counter", "who"),
            local.create("counter", reuse=True),
            local.call("counter", "who", how=Resolution.GET),
        )
        assert called[0] == created.actor.actor_id == found[0]
        assert len(store.disk.actors) == 1


async def test_creation_and_first_change_are_one_commit() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        assert await local.call("counter", "add", 3) == 3
        (writes,) = store.commits
        (insert,) = [one for one in writes.operations if isinstance(one, InsertActor)]
        assert writes.states[insert.pk] == b"\x00\x03"


async def test_an_actor_without_state_is_stored_as_completely_created() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        assert await local.call("plain", "ping") == "pong"
        (row,) = disk.actors.values()
        assert row.state == b""
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("plain", "ping", how=Resolution.GET) == "pong"


async def test_an_actor_knows_its_identity() -> None:
    async with running_engine(use=USE) as local:
        actor_id, *others = await local.call("counter", "who", key=("a/b", "", "c"))
        assert others == ["counter", ["a/b", "", "c"], ""]
        assert len(actor_id) == 30


async def test_the_answer_says_which_actor_and_generation_gave_it() -> None:
    disk = MemoryDisk()
    for generation in (1, 2):
        async with running_engine(MemoryStore(disk), use=USE) as local:
            reply, _ = await local.send("counter", "who", key=("a", "b"))
            (row,) = disk.actors.values()
            assert (reply.actor_id, reply.generation, reply.key) == (  # type: ignore[union-attr]
                row.actor_id,
                generation,
                "a/b",
            )


@pytest.mark.parametrize("given", [{"size": 3}, 0, "", False, [1, None], b"\x00", 2**70])
async def test_the_input_of_the_request_that_creates_is_handed_over(given: Any) -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("input", "get", given=given) == given
        assert await local.call("input", "get", given="ignored, it exists") == given


async def test_an_absent_input_is_none() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("input", "get") is None


async def test_the_input_of_the_first_of_parallel_requests_counts() -> None:
    async with running_engine(use=USE) as local:
        replies = [local.send("input", "get", given=number) for number in range(3)]
        assert [output_of(await reply) for reply in replies] == [0, 0, 0]


async def test_requests_are_held_while_the_actor_is_looked_up_and_then_served_in_order() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        store.hold_look_ups()
        replies = [local.send("counter", "add", 1) for _ in range(3)]
        await turns()
        assert local.port.sent == []
        store.release_look_ups()
        assert [output_of(await reply) for reply in replies] == [1, 2, 3]


async def test_more_waiting_requests_than_the_limit_are_refused_as_overload() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE, limits=Limits(max_held=2)) as local:
        store.hold_look_ups()
        kept = [local.send("counter", "add", 1) for _ in range(2)]
        with pytest.raises(ActorError) as caught:
            await local.call("counter", "add", 1)
        assert _refused(caught) == "actor.overloaded"
        assert caught.value.status == 503
        store.release_look_ups()
        assert [output_of(await reply) for reply in kept] == [1, 2]


async def test_a_request_by_id_is_not_served_by_the_successor_of_its_actor() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        old_id = (await local.call("counter", "who"))[0]
    store = MemoryStore(disk)
    async with running_engine(store, use=USE) as again:
        store.hold_look_ups()
        by_id = asyncio.ensure_future(again.call_id(old_id, "add", 1))
        await turns()
        answers = store.take_look_ups()
        await again.call("counter", "vanish")
        assert (await again.call("counter", "who"))[0] != old_id
        for answer in answers:
            answer()  # the look-up was made before the actor was destroyed
        with pytest.raises(ActorError) as caught:
            await by_id
        assert _refused(caught) == "actor.not_found"


async def test_a_start_that_failed_is_tried_again_by_the_next_request() -> None:
    async with running_engine(use=USE) as local:
        FAILING.append(True)
        with pytest.raises(ActorError) as caught:
            await local.call("unbuildable", "get")
        assert _refused(caught) == "rivetkit.internal_error"
        FAILING.clear()
        assert await local.call("unbuildable", "get") == 7


async def test_a_repeated_start_meets_the_actor_of_the_first_try() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        FAILING.append(True)
        store.hold_commits()
        first = local.send("unbuildable", "get")
        await turns()
        second = local.send("unbuildable", "get")  # before the row of the first is on disk
        innocent = local.send("counter", "add", 1)
        await turns()
        store.release_commits()
        for reply in (first, second):
            with pytest.raises(ActorError):
                output_of(await reply)
        assert output_of(await innocent) == 1
        FAILING.clear()
        assert await local.call("unbuildable", "get") == 7
        assert len(store.disk.actors) == 2
        assert local.counter(Counter.COMMIT_FAILURES) == 0


async def test_a_closed_shard_says_so() -> None:
    async with running_engine(use=USE, total_shards=2) as local:
        codes: set[str] = set()
        for number in range(20):
            try:
                await local.call("counter", "get", key=f"k{number}")
                codes.add("served")
            except ActorError as error:
                codes.add(f"{error.group}.{error.code}")
        assert codes == {"served", "storage.shard_closed"}
