"""Stops that meet: destroyed asleep or twice, and the end of the process (semantics page, 2.8)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from stator import Actor, Conn, Options, WebSocket
from stator.runtime.errors import ActorError
from stator.runtime.link.frames import ConnectionKind
from tests.fakes.actor_life import Life, life_of
from tests.fakes.ending_actor import (
    GRACE_S,
    SEEN,
    It,
    Looping,
    ending,
    is_here,
)
from tests.fakes.engine_in_process import output_of, turns
from tests.fakes.memory_store import MemoryDisk


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


# -- destroy after sleep, and twice


@pytest.mark.parametrize("hook", ["on_sleep", "on_destroy"])
async def test_to_vanish_in_the_turn_it_was_to_sleep_runs_on_destroy_alone(hook: str) -> None:
    async with life_of(It) as it:
        await it.call("fall_asleep_and_vanish")
        await turns()
        assert SEEN == ["on_destroy"]
        assert it.store.disk.actors == {}


async def destroyed(it: Life, actor: It) -> None:
    """Wait for the end of a destroyed actor's life."""
    await turns(60)
    assert not is_here(it, actor)
    assert it.store.disk.actors == {}
    assert it.lines("actor could not be stopped in an orderly way") == []
    assert it.lines("background work failed") == []


async def test_one_that_is_destroyed_while_it_falls_asleep_leaves_nothing() -> None:
    async with ending("sleep", "work") as (it, actor):
        actor.destroy()
        await turns()
        actor.gate.set()
        await destroyed(it, actor)
        assert SEEN == ["on_sleep", "on_destroy", "action"]


async def test_one_that_is_destroyed_while_it_falls_asleep_does_not_wait_for_its_run() -> None:
    async with ending("sleep", kind=Looping) as (it, actor):
        actor.destroy()
        await destroyed(it, actor)
        assert SEEN == ["on_sleep", "on_destroy", "run cancelled"]


async def test_one_that_is_destroyed_by_its_on_sleep_leaves_nothing() -> None:
    class Changing(It):
        async def on_sleep(self) -> None:
            self.destroy()

    async with ending("sleep", kind=Changing) as (it, actor):
        await destroyed(it, actor)
        assert SEEN == ["on_destroy"]


async def test_the_control_api_destroys_one_that_falls_asleep() -> None:
    async with ending("sleep", "work") as (it, actor):
        done = asyncio.ensure_future(it.local.destroy(actor.actor_id))
        await turns()
        actor.gate.set()
        await done
        await destroyed(it, actor)


async def test_one_that_is_destroyed_in_its_last_commit_leaves_nothing() -> None:
    async with life_of(It) as it:
        await it.call("get")
        actor = it.actor
        it.store.hold_commits()
        actor.sleep()
        await turns()
        assert it.store.is_committing
        actor.destroy()
        it.store.release_commits()
        await destroyed(it, actor)


async def test_the_key_is_free_at_once_when_a_sleep_becomes_a_destruction() -> None:
    async with ending("sleep", "work") as (it, actor):
        actor.state = 7
        actor.destroy()
        held = it.send("get")
        await turns()
        actor.gate.set()
        assert output_of(await held) == 0


@pytest.mark.parametrize("hook", ["", "on_destroy"])
async def test_to_be_destroyed_twice_is_an_error(hook: str) -> None:
    errors: list[ActorError] = []

    def destroy_again(actor: Actor) -> None:
        try:
            actor.destroy()
        except ActorError as error:
            errors.append(error)

    class Twice(It):
        async def on_destroy(self) -> None:
            if hook:
                destroy_again(self)

    async with ending("destroy", "work", kind=Twice) as (_, actor):
        if not hook:
            destroy_again(actor)
        (error,) = errors
        assert (error.group, error.code) == ("actor", "stopping")
        actor.gate.set()


async def test_to_sleep_when_destroyed_changes_nothing() -> None:
    async with ending("destroy", "work") as (it, actor):
        actor.sleep()
        actor.gate.set()
        await destroyed(it, actor)
        assert SEEN == ["on_destroy", "action"]


async def test_the_handler_that_destroys_goes_on_and_is_answered() -> None:
    async with life_of(It) as it:
        vanishing = it.send("vanish_after")
        await turns()
        actor = it.actor
        await it.pass_time(GRACE_S - 1)
        actor.gate.set()
        assert output_of(await vanishing) == "ended"


async def test_a_later_life_begins_after_the_end_of_a_destroyed_one() -> None:
    async with ending("destroy", "work") as (it, actor):
        held = it.send("get")
        await turns()
        assert is_here(it, actor)
        actor.gate.set()
        assert output_of(await held) == 0
        assert it.actor is not actor


# -- the process ends


def draining(it: Life) -> asyncio.Future[None]:
    """Stop the engine as SIGTERM does."""
    work: Coroutine[Any, Any, None] = it.local.engine.drain()
    return asyncio.ensure_future(work)


async def test_a_drain_waits_for_who_falls_asleep_already() -> None:
    disk = MemoryDisk()
    async with ending("sleep", "work", disk=disk) as (it, actor):
        drained = draining(it)
        await turns()
        assert not drained.done()
        actor.gate.set()
        await drained
    async with life_of(It, disk) as again:
        assert await again.call("get") == 101


async def test_a_drain_waits_for_who_is_being_destroyed() -> None:
    disk = MemoryDisk()
    async with ending("destroy", "work", disk=disk) as (it, actor):
        drained = draining(it)
        await turns()
        assert not drained.done()
        actor.gate.set()
        await drained
        assert disk.actors == {}


async def test_one_may_be_destroyed_while_the_process_ends() -> None:
    disk = MemoryDisk()
    async with life_of(It, disk) as it:
        it.send("work")
        await turns()
        actor = it.actor
        drained = draining(it)
        await turns()
        actor.destroy()
        await turns()
        actor.gate.set()
        await drained
    async with life_of(It, disk) as again:
        assert await again.call("get") == 0


class Connected(It):
    options = Options(no_sleep=True, can_hibernate_websocket=True)

    def on_disconnect(self, conn: Conn) -> None:
        if conn.is_hibernatable:
            SEEN.append("on_disconnect")

    async def on_websocket(self, ws: WebSocket) -> None:
        async for _ in ws:
            pass


@pytest.mark.parametrize("kind", [ConnectionKind.ACTOR, ConnectionKind.RAW])
async def test_connections_of_one_that_is_destroyed_while_it_falls_asleep_are_closed(
    kind: ConnectionKind,
) -> None:
    async with life_of(Connected) as it:
        client = await it.gateway.connect("it", kind=kind)
        it.send("work")
        await turns()
        actor = it.actor
        actor.sleep()
        await turns()
        actor.destroy()
        await turns()
        actor.gate.set()
        assert await client.closed() == (1000, "")
        await destroyed(it, actor)
        assert SEEN.count("on_disconnect") == 1
