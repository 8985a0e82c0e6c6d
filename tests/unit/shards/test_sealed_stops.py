"""Stops that begin while an actor is sealed, and who waits for its shard."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.actor_life import life_of
from tests.fakes.engine_in_process import turns
from tests.fakes.sealed_actor import GRACE_S, It, sealed, stored, unavailable


async def test_an_actor_that_falls_asleep_waits_for_it() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        it.send("add", 1)
        it.send("fall_asleep")
        await turns()
        assert it.is_awake
        seal.lift()
        await turns(40)
        assert not it.is_awake
        assert await it.call("get") == [1, "slept"]


async def test_one_that_falls_asleep_waits_longer_than_its_grace_period() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        it.send("add", 1)
        it.send("fall_asleep")
        await turns()
        await it.pass_time(GRACE_S + 1)
        await turns(40)
        assert it.is_awake
        seal.lift()
        await turns(40)
        assert not it.is_awake
        assert await it.call("get") == [1, "slept"]


async def test_one_that_falls_asleep_leaves_when_it_breaks() -> None:
    async with life_of(It) as it:
        await it.call("add", 1)
        seal = await sealed(it)
        it.send("fall_asleep")
        await turns()
        await it.pass_time(GRACE_S + 1)
        seal.break_off()
        await turns(40)
        assert not it.is_awake
        assert await it.call("get") == [1]


async def test_an_actor_that_is_destroyed_waits_for_it() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        it.send("vanish")
        await turns(40)
        assert it.store.disk.actors != {}
        seal.lift()
        await turns(40)
        assert it.store.disk.actors == {}


async def test_one_that_cannot_be_destroyed_as_it_breaks_lives_on() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        reply = it.send("vanish")
        await turns()
        seal.break_off()
        assert await unavailable(reply)
        await turns(40)
        assert await it.call("get") == []


@pytest.mark.parametrize("grace", [0.0, GRACE_S + 1])
async def test_a_drain_waits_for_it(grace: float) -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        it.send("add", 1)
        await turns()
        drain = asyncio.create_task(it.local.engine.drain())
        await turns(40)
        await it.pass_time(grace)
        await turns(40)
        assert not drain.done()
        cell = it.cell
        seal.lift()
        await drain
        (row,) = it.store.disk.actors.values()
        assert row.state is not None
        assert cell.definition.state_codec.decode(row.state) == [1, "slept"]


async def test_a_drain_ends_when_it_breaks() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        drain = asyncio.create_task(it.local.engine.drain())
        await turns(40)
        await it.pass_time(GRACE_S + 1)
        seal.break_off()
        await drain


async def test_whoever_waits_for_the_shard_waits_for_its_seals() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        it.send("add", 1)
        await turns()
        waiting = asyncio.create_task(it.cell.shard.wait_durable())
        await turns()
        assert not waiting.done()
        seal.lift()
        await waiting
        assert stored(it) == [1]


async def test_whoever_waits_for_the_shard_does_not_care_about_one_that_breaks() -> None:
    async with life_of(It) as it:
        seal = await sealed(it)
        waiting = asyncio.create_task(it.cell.shard.wait_durable())
        await turns()
        seal.break_off()
        await waiting
