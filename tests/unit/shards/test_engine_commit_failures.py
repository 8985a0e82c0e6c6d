"""A commit that fails: its callers are told, memory goes back to what the disk holds."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stator import Actor, ActorError, Options, action
from stator.runtime import faults
from stator.runtime.control import Counter
from tests.fakes.engine_in_process import (
    LocalEngine,
    Outcome,
    output_of,
    running_engine,
    turns,
    wait_until,
)
from tests.fakes.memory_store import MemoryStore
from tests.fakes.store_media import SqliteMedium


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
    async def add_and_save(self, amount: int) -> int:
        self.state += amount
        await self.save_state()
        return self.state

    @action
    async def save_twice(self, amount: int) -> str:
        self.state += amount
        try:
            await self.save_state()
        except ActorError as first:
            await self.save_state()
            return first.code
        return "saved"

    @action
    async def add_and_tell(self, amount: int, other: str) -> int:
        self.state += amount
        return int(await self.client.get_or_create(Counting, [other]).add(amount))

    @action
    async def add_when_told(self, amount: int) -> int:
        await self.vars.wait()
        self.state += amount
        return self.state

    @action
    def tell(self) -> None:
        self.vars.set()

    def create_vars(self) -> asyncio.Event:
        return asyncio.Event()


class Loose(Actor):
    options = Options(durability="interval", state_save_interval=0.005)
    state: int = 0

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state

    @action
    def get(self) -> int:
        return self.state


class SlowToStart(Actor):
    state: int = 0

    async def on_create(self, given: Any) -> None:
        await gate.event.wait()

    @action
    def get(self) -> int:
        return self.state


class Gate:
    """What the starts of ``slow`` wait for."""

    event = asyncio.Event()


gate = Gate()
USE: dict[str, type[Actor]] = {"counter": Counting, "loose": Loose, "slow": SlowToStart}


@pytest.fixture(autouse=True)
def closed_gate() -> None:
    """Let starts of ``slow`` wait."""
    gate.event = asyncio.Event()


async def _raises_unavailable(reply: asyncio.Future[Outcome]) -> None:
    with pytest.raises(ActorError) as caught:
        output_of(await reply)
    assert (caught.value.group, caught.value.code) == ("storage", "unavailable")
    assert caught.value.status == 503


async def test_callers_of_a_failed_commit_get_storage_unavailable() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "add", 5)
        store.fail_next_commit()
        changed = local.send("counter", "add", 1)
        read = local.send("counter", "get")  # it saw the change, so it must not be answered
        await _raises_unavailable(changed)
        await _raises_unavailable(read)
        assert local.counter(Counter.COMMIT_FAILURES) == 1


async def test_after_a_failed_commit_memory_is_what_the_disk_holds() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "add", 5)
        store.fail_next_commit()
        await _raises_unavailable(local.send("counter", "add", 1))
        assert await local.call("counter", "get") == 5
        assert await local.call("counter", "add", 1) == 6


async def test_the_same_holds_for_a_full_disk_under_a_real_file(tmp_path: Path) -> None:
    medium = SqliteMedium(tmp_path)
    async with running_engine(medium.open(), use=USE) as local:
        await local.call("counter", "add", 5)
        faults.arm("commit.before_sync", faults.fail_disk_full)
        try:
            await _raises_unavailable(local.send("counter", "add", 1))
            await _raises_unavailable(local.send("counter", "add", 1, key="new"))
        finally:
            faults.disarm("commit.before_sync")
        assert await local.call("counter", "get") == 5
        assert await local.call("counter", "add", 1, key="new") == 1
    medium.release()


async def test_a_failed_commit_takes_back_every_actor_that_was_in_it_and_no_other() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        for key in "abc":
            await local.call("counter", "add", 1, key=key)
        untouched = local.actor("counter", "c")
        store.fail_next_commit()
        replies = [local.send("counter", "add", 10, key=key) for key in "ab"]
        for reply in replies:
            await _raises_unavailable(reply)
        assert [await local.call("counter", "get", key=key) for key in "abc"] == [1, 1, 1]
        assert local.actor("counter", "c") is untouched


async def test_a_change_made_upon_a_lost_change_is_lost_with_it() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "add", 5)
        store.hold_commits()
        first = local.send("counter", "add", 1)
        await turns()
        second = local.send("counter", "add", 1)
        innocent = local.send("counter", "add", 1, key="other")
        await turns()
        store.fail_next_commit()
        store.release_commits()
        await _raises_unavailable(first)
        await _raises_unavailable(second)
        assert output_of(await innocent) == 1
        assert await local.call("counter", "get") == 5


async def test_an_actor_whose_creation_was_not_stored_does_not_exist() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        store.fail_next_commit()
        await _raises_unavailable(local.send("loose", "add", 1))
        assert store.disk.actors == {}
        assert await local.call("loose", "add", 1) == 1


async def test_saving_raises_when_the_commit_fails() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        store.fail_next_commit()
        await _raises_code(local, "add_and_save", "restarting")
        assert await local.call("counter", "get") == 0


async def test_a_second_save_after_a_failed_one_raises_too() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        store.fail_next_commit()
        await _raises_code(local, "save_twice", "restarting")


async def test_a_save_behind_a_lost_change_does_not_wait_for_ever() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        store.hold_commits()
        first = local.send("counter", "add", 1)
        await turns()
        second = local.send("counter", "add_and_save", 1)
        await turns()
        store.fail_next_commit()
        store.release_commits()
        await _raises_unavailable(first)
        with pytest.raises(ActorError):
            output_of(await second)
        assert await local.call("counter", "get") == 0


async def test_a_call_of_another_actor_is_not_made_when_the_change_before_it_was_lost() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get", key="a")
        await local.call("counter", "get", key="b")
        store.fail_next_commit()
        with pytest.raises(ActorError):
            await local.call("counter", "add_and_tell", 1, "b", key="a")
        assert await local.call("counter", "get", key="b") == 0


async def test_an_action_that_outlives_its_actor_changes_nothing_on_disk() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "add", 5)
        late = local.send("counter", "add_when_told", 100)
        await turns()
        before = local.actor("counter")
        store.fail_next_commit()
        await _raises_unavailable(local.send("counter", "add", 1))
        before.vars.set()
        with pytest.raises(ActorError) as caught:
            output_of(await late)
        assert caught.value.code == "restarting"
        assert await local.call("counter", "get") == 5


async def test_a_start_that_lost_its_creation_harms_no_other_actor() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "add", 1)
        store.fail_next_commit()
        starting = local.send("slow", "get")
        await _raises_unavailable(starting)
        gate.event.set()  # the start goes on, but its actor is not there any more
        await turns()
        assert await local.call("counter", "add", 1) == 2
        assert local.counter(Counter.COMMIT_FAILURES) == 1
        assert await local.call("slow", "get") == 0


async def test_a_save_of_durability_interval_that_failed_is_repeated() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("loose", "add", 1)
        store.fail_next_commit()
        assert await local.call("loose", "add", 1) == 2
        await wait_until(lambda: bool(store.failed), "a save that fails")
        assert await local.call("loose", "get") == 2
        commits = len(store.commits)
        await wait_until(lambda: len(store.commits) > commits, "the save after it")
        assert store.commits[-1].states == {1: b"\x00\x02"}


async def test_a_failed_commit_is_logged_once_with_its_reason() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        store.fail_next_commit()
        await _raises_unavailable(local.send("loose", "add", 1))
        (line,) = [line for line in local.log.lines if line["event"].startswith("commit failed")]
        assert line["problem"] == "OSError: [Errno 28] No space left on device"


async def _raises_code(local: LocalEngine, name: str, code: str) -> None:
    with pytest.raises(ActorError) as caught:
        await local.call("counter", name, 1)
    assert caught.value.code == code
