"""Calls from actor to actor, within a worker and over links between workers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Any

import pytest

from stator import Actor, ActorError, UserError, action
from stator.runtime.ids import shard_of
from stator.runtime.link.dialer import Dialer
from stator.runtime.link.frames import Hello
from stator.shards.link_server import LinkServer
from tests.fakes.engine_in_process import LocalEngine, output_of, running_engine, turns
from tests.fakes.memory_store import MemoryStore


class Caller(Actor):
    state: list[Any] = []  # noqa: RUF012 - a state, which every actor gets a copy of

    @action
    async def call(self, name: str, key: str, action: str, *arguments: Any) -> Any:
        return await self.client.get_or_create(name, [key]).call(action, *arguments)

    @action
    async def call_existing(self, name: str, key: str, action: str) -> Any:
        return await self.client.get(name, [key]).call(action)

    @action
    async def call_id(self, actor_id: str, action: str) -> Any:
        return await self.client.get_for_id("target", actor_id).call(action)

    @action
    async def change_and_call(self, name: str, key: str) -> Any:
        self.state.append(1)
        return await self.client.get_or_create(name, [key]).call("add", 1)

    @action
    async def send_shared(self, key: str) -> list[Any]:
        shared = [1]
        returned = await self.client.get_or_create("target", [key]).keep(shared)
        shared.append(2)
        return [returned, await self.client.get("target", [key]).kept()]

    @action
    async def make(self, key: str, given: Any) -> list[Any]:
        made = await self.client.create("target", [key], input=given)
        return [await made.resolve(), await made.who()]

    @action
    async def find(self, key: str, create: bool) -> str:
        client = self.client
        found = client.get_or_create("target", [key]) if create else client.get("target", [key])
        return await found.resolve()

    @action
    async def caught(self, key: str, action: str) -> list[Any]:
        try:
            await self.client.get_or_create("target", [key]).call(action)
        except ActorError as error:
            return [error.group, error.code, error.message, error.metadata, error.status]
        return []

    @action
    async def typed(self, key: str) -> int:
        return await self.client.get_or_create(Target, [key]).call(Target.add, 2)

    @action
    async def ping_pong(self, other: str, rounds: int) -> int:
        if rounds == 0:
            return 0
        back = self.client.get_or_create(Caller, [other])
        return 1 + int(await back.call("ping_pong", self.key[0], rounds - 1))


class Target(Actor):
    state: int = 0

    def create_state(self, given: Any) -> int:
        return given if isinstance(given, int) else 0

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state

    @action
    def who(self) -> list[Any]:
        return [self.actor_id, list(self.key), self.state]

    @action
    def keep(self, value: Any) -> Any:
        self.held = value
        return value

    @action
    def kept(self) -> Any:
        return self.held

    @action
    def refuse(self) -> None:
        raise UserError("no", code="refused", metadata={"n": [1, b"\x00"]})

    @action
    def break_down(self) -> None:
        raise RuntimeError("inner secret")

    @action
    async def return_odd(self) -> Any:
        return {"set": {1, 2}, "big": 2**100, "bytes": b"\xff", 1: (1, 2)}


USE: dict[str, type[Actor]] = {"caller": Caller, "target": Target}


class Pair:
    """Two workers with a shard each and a link in both directions."""

    def __init__(self, first: LocalEngine, second: LocalEngine) -> None:
        self._workers = (first, second)

    def of(self, name: str, key: str) -> LocalEngine:
        """Return the worker that has an actor."""
        return self._workers[shard_of("default", name, (key,), 2)]

    def keys_apart(self) -> tuple[str, str]:
        """Return the keys of a caller and a target that live in different workers."""
        target = next(
            key for key in map(str, range(99)) if self.of("target", key) is self._workers[1]
        )
        caller = next(
            key for key in map(str, range(99)) if self.of("caller", key) is self._workers[0]
        )
        return caller, target


@asynccontextmanager
async def two_workers(directory: Path) -> AsyncGenerator[Pair]:
    """Run two engines that reach one another over Unix sockets."""
    hello = Hello("worker", 0, 1)
    dialers = [
        Dialer(str(directory / f"{shard}.sock"), hello, ready_timeout=5.0) for shard in (0, 1)
    ]
    engines = [
        LocalEngine(USE, {shard: MemoryStore()}, total_shards=2, route=dialers.__getitem__)
        for shard in (0, 1)
    ]
    servers: list[LinkServer] = []
    for shard, local in enumerate(engines):
        listener = socket(AF_UNIX)
        listener.bind(str(directory / f"{shard}.sock"))
        servers.append(LinkServer(local.engine, hello))
        await servers[-1].start(listener)
    try:
        yield Pair(*engines)
    finally:
        for dialer in dialers:
            dialer.close()
        for server in servers:
            server.close()
        await turns()


async def test_an_actor_calls_another_and_gets_its_answer() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("caller", "call", "target", "t", "add", 2, key="c") == 2
        assert await local.call("target", "add", 1, key="t") == 3


async def test_values_pass_between_actors_as_they_are() -> None:
    async with running_engine(use=USE) as local:
        answer = await local.call("caller", "call", "target", "t", "return_odd", key="c")
        assert answer == {"set": {1, 2}, "big": 2**100, "bytes": b"\xff", 1: [1, 2]}


async def test_two_actors_never_share_an_object() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("caller", "send_shared", "t", key="c") == [[1], [1]]


async def test_get_of_a_missing_actor_fails_and_creates_nothing() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.call("caller", "call_existing", "target", "t", "who", key="c")
        assert (caught.value.group, caught.value.code) == ("actor", "not_found")


async def test_an_unknown_name_or_action_is_an_error_in_the_caller() -> None:
    async with running_engine(use=USE) as local:
        for name, called, code in [
            ("nobody", "add", "not_registered"),
            ("target", "nothing", "action_not_found"),
        ]:
            with pytest.raises(ActorError) as caught:
                await local.call("caller", "call", name, "t", called, key="c")
            assert caught.value.code == code


async def test_errors_arrive_in_the_caller_as_they_were_raised() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("caller", "caught", "t", "refuse", key="c") == [
            "user",
            "refused",
            "no",
            {"n": [1, b"\x00"]},
            400,
        ]
        group, code, message, _, status = await local.call(
            "caller", "caught", "t", "break_down", key="c"
        )
        assert (group, code, status) == ("rivetkit", "internal_error", 500)
        assert "secret" not in message


async def test_an_actor_creates_another_with_an_input() -> None:
    async with running_engine(use=USE) as local:
        made_id, who = await local.call("caller", "make", "t", 7, key="c")
        assert who == [made_id, ["t"], 7]
        with pytest.raises(ActorError) as caught:
            await local.call("caller", "make", "t", 8, key="c")
        assert caught.value.code == "duplicate_key"
        assert caught.value.metadata == {"existing_actor_id": made_id, "key": "t"}


async def test_a_handle_resolves_to_the_id() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.call("caller", "find", "t", False, key="c")
        assert caught.value.code == "not_found"
        created = await local.call("caller", "find", "t", True, key="c")
        assert await local.call("caller", "find", "t", False, key="c") == created
        assert (await local.call("caller", "call_id", created, "who", key="c"))[0] == created


@pytest.mark.parametrize("actor_id", ["", "nonsense", "0" * 25 + "zzzzs", "0" * 25 + "0000s"])
async def test_an_id_nobody_has_is_not_found(actor_id: str) -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError) as caught:
            await local.call("caller", "call_id", actor_id, "who", key="c")
        assert (caught.value.group, caught.value.code) == ("actor", "not_found")


async def test_a_call_by_class_and_method_is_the_same() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("caller", "typed", "t", key="c") == 2


async def test_a_call_waits_for_the_commit_of_the_change_before_it() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("caller", "find", "t", True, key="c")
        store.hold_commits()
        reply = local.send("caller", "change_and_call", "target", "t", key="c")
        await turns()
        assert store.is_committing
        target = local.actor("target", "t")
        assert target.state == 0
        store.release_commit()
        await turns()
        assert target.state == 1
        store.release_commits()
        assert output_of(await reply) == 1


async def test_actors_may_call_one_another_in_circles() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("caller", "ping_pong", "b", 6, key="a") == 6


async def test_an_actor_may_call_itself() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("caller", "ping_pong", "a", 3, key="a") == 3


async def test_a_call_reaches_an_actor_of_another_worker(short_tmp: Path) -> None:
    async with two_workers(short_tmp) as pair:
        caller, target = pair.keys_apart()
        local = pair.of("caller", caller)
        assert await local.call("caller", "call", "target", target, "add", 2, key=caller) == 2
        assert await pair.of("target", target).call("target", "add", 1, key=target) == 3
        made = await local.call("caller", "find", target, False, key=caller)
        assert (await local.call("caller", "call_id", made, "who", key=caller))[0] == made


async def test_errors_of_an_actor_of_another_worker_arrive_as_they_were_raised(
    short_tmp: Path,
) -> None:
    async with two_workers(short_tmp) as pair:
        caller, target = pair.keys_apart()
        local = pair.of("caller", caller)
        error = await local.call("caller", "caught", target, "refuse", key=caller)
        assert error == ["user", "refused", "no", {"n": [1, b"\x00"]}, 400]
        await local.call("caller", "find", target, True, key=caller)
        with pytest.raises(ActorError) as caught:
            await local.call("caller", "make", target, 1, key=caller)
        assert caught.value.code == "duplicate_key"


async def test_a_circle_may_lead_through_two_workers(short_tmp: Path) -> None:
    async with two_workers(short_tmp) as pair:
        keys = [str(number) for number in range(20)]
        here = next(key for key in keys if pair.of("caller", key) is pair.of("caller", "0"))
        there = next(key for key in keys if pair.of("caller", key) is not pair.of("caller", "0"))
        local = pair.of("caller", here)
        answers = await asyncio.gather(
            *(local.call("caller", "ping_pong", there, 6, key=here) for _ in range(5))
        )
        assert answers == [6] * 5
