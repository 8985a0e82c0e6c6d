"""An actor that a test seals, and what it looks at."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stator import Actor, Event, Options, Queue, action
from stator.runtime.errors import ActorError
from stator.shards.seals import Seal
from tests.fakes.actor_life import Life
from tests.fakes.engine_in_process import Outcome, output_of

GRACE_S = 10.0


class It(Actor):
    """Does what a seal has to hold."""

    options = Options(sleep_grace_period=GRACE_S, no_sleep=True)
    state: list[Any] = []  # noqa: RUF012 - each actor gets a copy
    orders = Queue[int]()
    told = Event[int]()

    @action
    def get(self) -> list[Any]:
        return self.state

    @action
    def add(self, item: Any) -> list[Any]:
        self.state.append(item)
        return self.state

    @action
    def add_what_cannot_be_stored(self) -> None:
        self.state.append(object())

    @action
    async def keep(self, key: str) -> None:
        await self.kv.put(key, "value")

    @action
    async def order(self) -> None:
        await self.queue.send("orders", 1)

    @action
    def tell(self, number: int) -> None:
        self.broadcast(self.told, number)

    @action
    def fall_asleep(self) -> None:
        self.sleep()

    @action
    def vanish(self) -> None:
        self.destroy()

    @action
    def fail_to(self) -> None:
        raise RuntimeError

    async def on_sleep(self) -> None:
        self.state.append("slept")


class Loose(It):
    """What it changes may wait."""

    options = Options(
        durability="interval", state_save_interval=5.0, sleep_grace_period=GRACE_S, no_sleep=True
    )


async def sealed(it: Life) -> Seal:
    """Start the actor and seal it, with all that it did on disk."""
    await it.call("get")
    return Seal(it.cell)


async def unavailable(reply: asyncio.Future[Outcome]) -> bool:
    """Whether a reply is ``storage.unavailable``."""
    with pytest.raises(ActorError) as caught:
        output_of(await reply)
    return (caught.value.group, caught.value.code) == ("storage", "unavailable")


def stored(it: Life) -> list[Any]:
    """Return the stored state of the actor."""
    (row,) = it.store.disk.actors.values()
    assert row.state is not None
    value: list[Any] = it.cell.definition.state_codec.decode(row.state)
    return value


def backlog(it: Life) -> int:
    """Return how many bytes of output wait in the worker."""
    return it.local.engine.backlog.size
