"""Actors with key-value pairs, and their pairs without a call around each use."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stator import Actor, ActorError, Options, action
from stator.runtime.pairs import KeyValueStore
from tests.fakes.engine_in_process import LocalEngine, running_engine
from tests.fakes.memory_store import MemoryStore
from tests.fakes.store_media import Medium


class Notes(Actor):
    state: int = 0

    @action
    def touch(self) -> str:
        return self.actor_id

    @action
    async def count(self) -> None:
        self.state += 1
        await self.kv.put("count", str(self.state))
        self.state += 10

    @action
    async def spoil(self) -> None:
        self.state = object()  # type: ignore[assignment]
        await self.kv.put("a", "1")

    @action
    async def note(self, key: str, value: str) -> str | bytes | None:
        await self.kv.put(key, value)
        return await self.kv.get(key)

    @action
    async def leave(self) -> None:
        self.destroy()


class Loose(Notes):
    options = Options(durability="interval", state_save_interval=3600.0)


class Hooked(Actor):
    async def create_state(self, given: object) -> int:
        await self.kv.put("created", "yes")
        return 0

    async def on_destroy(self) -> None:
        await self.kv.put("last", "words")
        SEEN.append(await self.kv.get("created"))
        SEEN.append(await self.kv.get("last"))

    @action
    async def made(self) -> str | bytes | None:
        return await self.kv.get("created")


SEEN: list[Any] = []
USE: dict[str, type[Actor]] = {"notes": Notes, "loose": Loose, "hooked": Hooked}


@asynccontextmanager
async def engine_on(medium: Medium) -> AsyncGenerator[LocalEngine]:
    """Run an engine on what a medium keeps."""
    try:
        async with running_engine(medium.open(), use=USE) as local:
            yield local
    finally:
        medium.release()


@asynccontextmanager
async def pairs_on(medium: Medium) -> AsyncGenerator[KeyValueStore]:
    """Give the pairs of one actor."""
    async with engine_on(medium) as local:
        await local.call("notes", "touch")
        yield local.actor("notes").kv


@asynccontextmanager
async def pairs_in(store: MemoryStore) -> AsyncGenerator[KeyValueStore]:
    """Give the pairs of one actor in a store that a test can hold up."""
    async with running_engine(store, use=USE) as local:
        await local.call("notes", "touch")
        yield local.actor("notes").kv


async def refusal(awaitable: Awaitable[Any]) -> ActorError:
    """Return the error that a call raises."""
    with pytest.raises(ActorError) as caught:
        await awaitable
    return caught.value
