"""The output gate: what an actor sends leaves after the commit of the changes made before it."""

import asyncio
from pathlib import Path

from stator import Actor, Options, action
from stator.runtime.control import Counter
from tests.fakes.engine_in_process import running_engine, turns, wait_until
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
    async def add_later(self, amount: int) -> int:
        self.state += amount
        await asyncio.sleep(0)
        return self.state

    @action
    def add_and_fail(self, amount: int) -> None:
        self.state += amount
        raise RuntimeError("after the change")


class Loose(Counting):
    options = Options(durability="interval", state_save_interval=3600.0)


USE: dict[str, type[Actor]] = {"counter": Counting, "loose": Loose}


async def test_a_reply_leaves_only_after_the_commit_that_holds_its_change() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        store.hold_commits()
        reply = local.send("counter", "add", 2)
        await turns()
        assert store.is_committing
        assert not reply.done()
        store.release_commits()
        await reply
        assert store.commits[-1].states


async def test_the_gate_holds_for_asynchronous_actions_too() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        store.hold_commits()
        reply = local.send("counter", "add_later", 2)
        await turns()
        assert not reply.done()
        store.release_commits()
        await reply


async def test_an_error_after_a_change_waits_for_the_commit_of_the_change() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        store.hold_commits()
        reply = local.send("counter", "add_and_fail", 2)
        await turns()
        assert not reply.done()
        store.release_commits()
        await reply
        assert await local.call("counter", "get") == 2


async def test_a_read_only_action_of_an_actor_with_an_uncommitted_change_waits() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        store.hold_commits()
        change = local.send("counter", "add", 1)
        read = local.send("counter", "get")
        await turns()
        assert not read.done()
        store.release_commits()
        await asyncio.gather(change, read)


async def test_a_read_only_action_of_a_clean_actor_answers_within_the_turn() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        commits = len(store.commits)
        reply = local.send("counter", "get")
        assert reply.done()
        await turns()
        assert len(store.commits) == commits


async def test_an_action_that_changes_nothing_commits_nothing() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        before = local.counter(Counter.COMMITS)
        assert await local.call("counter", "add", 0) == 0
        assert local.counter(Counter.COMMITS) == before


async def test_replies_of_one_actor_leave_in_order() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        first = len(local.port.sent)
        store.hold_commits()
        replies = [
            local.send("counter", name, *arguments)
            for name, arguments in [("add", [1]), ("get", []), ("add", [1]), ("get", [])]
        ]
        await turns()
        replies.append(local.send("counter", "add", 1))  # into the batch after
        replies.append(local.send("counter", "get"))
        await turns()
        assert len(local.port.sent) == first
        store.release_commits()
        await asyncio.gather(*replies)
        order = local.port.order[first:]
        assert order == sorted(order)


async def test_a_reply_waits_for_the_latest_change_of_its_actor() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        store.hold_commits()
        first = local.send("counter", "add", 1)
        await turns()
        second = local.send("counter", "add", 1)
        read = local.send("counter", "get")
        await turns()
        store.release_commit()
        await turns()
        assert first.done()
        assert not second.done()
        assert not read.done()
        store.release_commits()
        await asyncio.gather(second, read)


async def test_an_actor_does_not_wait_for_the_changes_of_another() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get", key="busy")
        await local.call("counter", "get", key="idle")
        store.hold_commits()
        busy = local.send("counter", "add", 1, key="busy")
        await turns()
        assert local.send("counter", "get", key="idle").done()
        assert not busy.done()
        store.release_commits()
        await busy


async def test_with_durability_interval_nothing_waits() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("loose", "get")
        store.hold_commits()
        assert local.send("loose", "add", 1).done()
        assert local.send("loose", "get").done()


async def test_a_lone_change_is_committed_at_once() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE, commit_interval=3600.0) as local:
        for commits in range(1, 6):
            await local.call("counter", "add", 1)
            assert local.counter(Counter.COMMITS) == commits


async def test_changes_of_one_turn_share_a_commit() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        keys = [f"k{number}" for number in range(50)]
        await asyncio.gather(*(local.call("counter", "get", key=key) for key in keys))
        before = local.counter(Counter.COMMITS)
        await asyncio.gather(*(local.call("counter", "add", 1, key=key) for key in keys))
        assert local.counter(Counter.COMMITS) == before + 1


async def test_what_becomes_dirty_during_a_commit_shares_the_next_one() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        keys = [f"k{number}" for number in range(20)]
        await asyncio.gather(*(local.call("counter", "get", key=key) for key in keys))
        store.hold_commits()
        before = len(store.commits)
        replies = [local.send("counter", "add", 1, key=keys[0])]
        await turns()
        for key in keys[1:]:
            replies.append(local.send("counter", "add", 1, key=key))
            await turns(2)
        store.release_commits()
        await asyncio.gather(*replies)
        assert len(store.commits) == before + 2
        assert len(store.commits[-1].states) == len(keys) - 1


async def test_many_actors_changing_at_once_share_the_syncs_of_a_real_file(tmp_path: Path) -> None:
    medium = SqliteMedium(tmp_path)
    async with running_engine(medium.open(), use=USE, commit_interval=0.002) as local:
        keys = [f"k{number}" for number in range(64)]

        async def change(key: str) -> None:
            for _ in range(10):
                await local.call("counter", "add", 1, key=key)

        await asyncio.gather(*map(change, keys))
        changes, commits = local.counter(Counter.CHANGES), local.counter(Counter.COMMITS)
        assert changes >= 640
        assert commits <= 0.2 * changes
        assert [await local.call("counter", "get", key=key) for key in keys] == [10] * 64
    medium.release()


async def test_the_images_of_one_actor_in_one_batch_become_one_row() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("counter", "get")
        await asyncio.gather(*(local.call("counter", "add", 1) for _ in range(5)))
        assert len(store.commits[-1].states) == 1
        assert local.counter(Counter.CHANGES) >= 5


async def test_a_change_with_durability_interval_is_saved_within_the_interval() -> None:
    class Prompt(Counting):
        options = Options(durability="interval", state_save_interval=0.01)

    store = MemoryStore()
    async with running_engine(store, use={"prompt": Prompt}) as local:
        await local.call("prompt", "add", 1)
        before = len(store.commits)
        assert await local.call("prompt", "add", 1) == 2
        await wait_until(lambda: len(store.commits) > before, "the save")
        assert len(store.commits[-1].states) == 1


async def test_an_actor_with_a_short_interval_does_not_wait_for_one_with_a_long_one() -> None:
    class Prompt(Counting):
        options = Options(durability="interval", state_save_interval=0.01)

    store = MemoryStore()
    async with running_engine(store, use={"loose": Loose, "prompt": Prompt}) as local:
        await local.call("loose", "add", 1)
        await local.call("prompt", "add", 1)
        before = len(store.commits)
        await local.call("loose", "add", 1)
        await local.call("prompt", "add", 1)
        await wait_until(lambda: len(store.commits) > before, "the save of the short interval")
