"""How an actor asks about the workflow of another one: the frame, and what comes back."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import pytest

from stator import Actor, ActorError, action
from stator.runtime.ids import shard_of
from stator.runtime.link.dialer import Dialer, Outcome
from stator.runtime.link.frames import ControlWorkflow, Refusal, Reply, Request, Resolution, Result
from stator.runtime.protocol.actions import encode_input
from stator.runtime.workflow_control import Verb, VerbArguments
from tests.fakes.engine_in_process import (
    LocalEngine,
    output_of,
    running_engine,
    turns,
    wait_until,
)
from tests.fakes.memory_store import MemoryStore
from tests.fakes.workflow_records import make_status

HERE, ELSEWHERE = 0, 1


class Clerk(Actor):
    """Asks about a shop in another worker."""

    state = 0

    @action
    async def look(self, key: str) -> str:
        return await self.client.get("shop", key).workflow.status()

    @action
    async def open_and_fork(self, key: str) -> str:
        shop = self.client.get_or_create("shop", key, input={"open": True})
        return await shop.workflow.fork("charge")

    @action
    async def count_and_look(self, key: str) -> str:
        self.state += 1
        return await self.client.get("shop", key).workflow.status()


class Shop(Actor):
    """Has no workflow."""


class OtherWorker:
    """Stands for the link to the other worker, and answers every frame at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, bytes]] = []
        self.reply: tuple[Reply, bytes] = (Result(7), msgspec.msgpack.encode(make_status()))

    def next_id(self) -> int:
        return 7

    def request(self, frame: Request, payload: bytes) -> asyncio.Future[Outcome]:
        self.asked.append((frame, payload))
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        future.set_result(self.reply)
        return future


def key_of(name: str, shard: int) -> str:
    """Return the key of an actor that lives in ``shard`` of two."""
    return next(key for key in map(str, range(99)) if shard_of("default", name, (key,), 2) == shard)


CLERK, SHOP = key_of("clerk", HERE), key_of("shop", ELSEWHERE)


def engine_beside(worker: OtherWorker, store: MemoryStore | None = None) -> LocalEngine:
    return LocalEngine(
        {"clerk": Clerk},
        {HERE: store or MemoryStore()},
        total_shards=2,
        route=lambda shard: cast(Dialer, worker),
    )


async def ask(worker: OtherWorker, action: str, *arguments: Any) -> Any:
    return await engine_beside(worker).call("clerk", action, *arguments, key=CLERK)


async def test_a_status_is_asked_of_the_worker_that_has_the_actor() -> None:
    worker = OtherWorker()
    assert await ask(worker, "look", SHOP) == "sleeping"
    ((frame, payload),) = worker.asked
    assert frame == ControlWorkflow(
        7, ELSEWHERE, Resolution.GET, "default", "shop", SHOP, Verb.STATUS
    )
    assert msgspec.msgpack.decode(payload, type=VerbArguments) == VerbArguments()


async def test_an_actor_that_may_have_to_be_created_gets_its_input() -> None:
    worker = OtherWorker()
    await ask(worker, "open_and_fork", SHOP)
    ((frame, payload),) = worker.asked
    assert frame == ControlWorkflow(
        7,
        ELSEWHERE,
        Resolution.GET_OR_CREATE,
        "default",
        "shop",
        SHOP,
        Verb.FORK,
        encode_input({"open": True}),
    )
    assert msgspec.msgpack.decode(payload, type=VerbArguments) == VerbArguments("charge")


async def test_a_refusal_is_raised_in_the_actor_that_asked() -> None:
    worker = OtherWorker()
    worker.reply = Refusal(7, "workflow", "not_enabled", "no workflow", 404), b""
    with pytest.raises(ActorError) as caught:
        await ask(worker, "look", SHOP)
    assert (caught.value.group, caught.value.code) == ("workflow", "not_enabled")


async def test_what_the_asking_actor_changed_is_on_disk_before_it_asks() -> None:
    worker, store = OtherWorker(), MemoryStore()
    store.hold_commits()
    local = engine_beside(worker, store)
    reply = local.send("clerk", "count_and_look", SHOP, key=CLERK)
    await wait_until(lambda: store.is_committing, "the actor is stored")
    store.release_commit()
    await wait_until(lambda: store.is_committing, "its change is stored")
    await turns()
    assert worker.asked == []
    store.release_commits()
    assert output_of(await reply) == "sleeping"


async def test_an_actor_that_does_not_exist_is_not_found() -> None:
    async with running_engine(use={"clerk": Clerk, "shop": Shop}) as local:
        with pytest.raises(ActorError) as caught:
            await local.call("clerk", "look", "nobody", key="c")
        assert (caught.value.group, caught.value.code) == ("actor", "not_found")
