"""Destroying an actor: from inside, through the control API, awake, stored, starting, failing."""

import asyncio
from typing import Any

import pytest

from stator import Actor, ActorError, Options, action
from stator.runtime.control import Counter
from stator.runtime.link.frames import DestroyActor, Resolution
from tests.fakes.engine_in_process import LocalEngine, output_of, running_engine, turns, wait_until
from tests.fakes.memory_store import MemoryDisk, MemoryStore


class Mortal(Actor):
    options = Options(sleep_grace_period=0.02)
    state: list[str] = []  # noqa: RUF012 - a state, which every actor gets a copy of

    def create_vars(self) -> dict[str, Any]:
        return {"go": asyncio.Event()}

    @action
    def add(self, text: str) -> list[str]:
        self.state.append(text)
        return self.state

    @action
    def get(self) -> list[str]:
        return self.state

    @action
    def who(self) -> str:
        return self.actor_id

    @action
    def vanish(self) -> str:
        self.state.append("last words")
        self.destroy()
        return "gone"

    @action
    def vanish_twice(self) -> None:
        self.destroy()
        self.destroy()

    @action
    async def vanish_slowly(self) -> str:
        self.destroy()
        self.vars["aborted at once"] = self.aborted
        await self.abort_signal.wait()
        return f"{self.vars['aborted at once']} then {self.aborted}"

    @action
    async def work_until_told(self) -> str:
        await self.vars["go"].wait()
        self.state.append("too late")
        return "done"

    def on_destroy(self) -> None:
        SEEN.append(("on_destroy", list(self.state)))


class Stillborn(Actor):
    state: int = 0

    def on_create(self, given: Any) -> None:
        self.destroy()

    @action
    def get(self) -> int:
        return self.state


class Counting(Actor):
    state: int = 0

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state


SEEN: list[Any] = []
USE: dict[str, type[Actor]] = {"mortal": Mortal, "stillborn": Stillborn, "counter": Counting}


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


async def _code(local: LocalEngine, *arguments: Any, **options: Any) -> str:
    with pytest.raises(ActorError) as caught:
        await local.call(*arguments, **options)
    return f"{caught.value.group}.{caught.value.code}"


async def test_the_reply_of_the_action_that_destroys_is_delivered() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("mortal", "vanish") == "gone"


async def test_destruction_is_durable_before_its_reply() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("mortal", "add", "x")
        store.hold_commits()
        reply = local.send("mortal", "vanish")
        await turns()
        assert not reply.done()
        store.release_commits()
        await reply
        assert store.disk.live() == []


async def test_a_destroyed_actor_is_not_found_by_id_nor_by_key() -> None:
    async with running_engine(use=USE) as local:
        actor_id = await local.call("mortal", "who")
        await local.call("mortal", "vanish")
        with pytest.raises(ActorError) as caught:
            await local.call_id(actor_id, "get")
        assert caught.value.code == "not_found"
        assert await _code(local, "mortal", "get", how=Resolution.GET) == "actor.not_found"


async def test_the_key_gets_a_new_actor_in_which_nothing_of_the_old_is_left() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        old = await local.call("mortal", "who")
        await local.call("mortal", "add", "secret")
        await local.call("mortal", "vanish")
        assert await local.call("mortal", "get") == []
        assert await local.call("mortal", "who") != old
        assert len(store.disk.actors) == 1


async def test_destroying_twice_is_an_error_for_the_second() -> None:
    async with running_engine(use=USE) as local:
        assert await _code(local, "mortal", "vanish_twice") == "actor.stopping"


async def test_on_destroy_runs_once_and_sees_the_last_state() -> None:
    async with running_engine(use=USE) as local:
        await local.call("mortal", "vanish")
        await local.call("mortal", "who")
        assert SEEN == [("on_destroy", ["last words"])]


async def test_requests_that_arrive_meanwhile_meet_the_successor() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("mortal", "add", "x")
        store.hold_commits()
        last = local.send("mortal", "vanish")
        following = local.send("mortal", "get")
        await turns()
        assert not following.done()
        store.release_commits()
        assert output_of(await last) == "gone"
        assert output_of(await following) == []


async def test_the_abort_signal_tells_running_work_that_the_actor_ends() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("mortal", "vanish_slowly") == "False then True"


async def test_work_that_outlives_the_grace_period_harms_nobody() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "add", 1)
        await local.call("mortal", "who")
        actor = local.actor("mortal")
        late = local.send("mortal", "work_until_told")
        await local.call("mortal", "vanish")
        store.hold_commits()
        await wait_until(lambda: store.is_committing, "the deletion of its rows")
        actor.vars["go"].set()
        innocent = local.send("counter", "add", 1)
        await turns()
        store.release_commits()
        await late
        assert output_of(await innocent) == 2
        assert store.failed == []


async def test_the_control_api_destroys_an_actor_in_memory() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        actor_id = await local.call("mortal", "who")
        await local.destroy(actor_id)
        assert SEEN == [("on_destroy", [])]
        assert store.disk.actors == {}
        assert not local.is_awake("mortal")


async def test_the_control_api_destroys_a_stored_actor_without_starting_it() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        actor_id = await local.call("mortal", "who")
    async with running_engine(MemoryStore(disk), use=USE) as again:
        await again.destroy(actor_id)
        assert SEEN == []
        assert disk.actors == {}
        assert again.log.events() == []
        with pytest.raises(ActorError) as caught:
            await again.destroy(actor_id)
        assert caught.value.code == "not_found"


async def test_a_stored_actor_whose_class_left_the_registry_can_be_destroyed() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        actor_id = await local.call("mortal", "who")
    async with running_engine(MemoryStore(disk), use={"counter": Counting}) as again:
        await again.destroy(actor_id)
        assert disk.actors == {}


async def test_a_request_for_a_stored_actor_that_is_being_destroyed_meets_the_successor() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        actor_id = await local.call("mortal", "who")
        await local.call("mortal", "add", "old")
    store = MemoryStore(disk)
    async with running_engine(store, use=USE) as again:
        store.hold_commits()
        destroyed = asyncio.ensure_future(again.destroy(actor_id))
        await turns()
        reply = again.send("mortal", "add", "new")
        await turns()
        store.release_commits()
        await destroyed
        assert output_of(await reply) == ["new"]
        assert store.failed == []


async def test_an_actor_that_is_being_started_can_be_destroyed() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        actor_id = await local.call("mortal", "who")
    store = MemoryStore(disk)
    async with running_engine(store, use=USE) as again:
        store.hold_look_ups()
        reply = again.send("mortal", "add", "x")
        (answer,) = store.take_look_ups()
        destroyed = asyncio.ensure_future(again.destroy(actor_id))
        await turns()
        answer()
        await destroyed
        with pytest.raises(ActorError) as caught:
            output_of(await reply)
        assert caught.value.code == "destroyed_during_creation"
        assert store.disk.live() == []
        assert await again.call("mortal", "add", "x") == ["x"]
        assert store.failed == []


@pytest.mark.parametrize("namespace", ["other", ""])
async def test_an_actor_is_not_destroyed_from_another_namespace(namespace: str) -> None:
    disk = MemoryDisk()
    for _ in ("awake", "stored"):
        async with running_engine(MemoryStore(disk), use=USE) as local:
            actor_id = "unknown"
            if not disk.actors:
                actor_id = await local.call("mortal", "who")
            else:
                (row,) = disk.actors.values()
                actor_id = row.actor_id
            with pytest.raises(ActorError) as caught:
                await local.destroy(actor_id, namespace)
            assert caught.value.code == "not_found"
            assert len(disk.live()) == 1


async def test_two_requests_to_destroy_an_actor_both_succeed() -> None:
    async with running_engine(use=USE) as local:
        actor_id = await local.call("mortal", "who")
        await asyncio.gather(local.destroy(actor_id), local.destroy(actor_id))
        assert len(SEEN) == 1


async def test_an_actor_whose_destruction_was_not_stored_lives_on() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("mortal", "add", "precious")
        store.fail_next_commit()
        assert await _code(local, "mortal", "vanish") == "storage.unavailable"
        assert await local.call("mortal", "add", "more") == ["precious", "more"]
        await turns()
        assert await local.call("mortal", "get") == ["precious", "more"]
        assert [row.actor_id for row in store.disk.live()] == [await local.call("mortal", "who")]
        assert SEEN == []
        assert local.counter(Counter.COMMIT_FAILURES) == 1


async def test_the_control_api_says_when_a_destruction_was_not_stored() -> None:
    disk = MemoryDisk()
    for _ in ("awake", "stored"):
        store = MemoryStore(disk)
        async with running_engine(store, use=USE) as local:
            actor_id = disk.live()[0].actor_id if disk.actors else await local.call("mortal", "who")
            store.fail_next_commit()
            with pytest.raises(ActorError) as caught:
                await local.destroy(actor_id)
            assert (caught.value.group, caught.value.code) == ("storage", "unavailable")
            assert await local.call_id(actor_id, "get") == []


async def test_an_actor_that_destroys_itself_while_it_is_created_leaves_nothing() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "add", 1)
        assert await _code(local, "stillborn", "get") == "actor.destroyed_during_creation"
        assert await local.call("counter", "add", 1) == 2
        await wait_until(lambda: not local.is_awake("stillborn"), "the end of its destruction")
        assert [row.name for row in store.disk.live()] == ["counter"]
        assert store.failed == []


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3), asyncio.CancelledError()])
async def test_a_failing_on_destroy_does_not_stop_the_destruction(error: BaseException) -> None:
    class Reluctant(Counting):
        def on_destroy(self) -> None:
            raise error

    store = MemoryStore()
    async with running_engine(store, use={"reluctant": Reluctant}) as local:
        actor_id = (await local.create("reluctant")).actor.actor_id
        await local.destroy(actor_id)
        assert store.disk.actors == {}
        assert "hook failed" in local.log.events()


async def test_destroying_an_id_nobody_has_is_not_found() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.ask(lambda number: DestroyActor(number, 0, "default", "nobody"))
        assert caught.value.code == "not_found"
