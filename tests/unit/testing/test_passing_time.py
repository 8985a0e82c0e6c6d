"""The clock of a test's service, as its client sees it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from stator.runtime.errors import ActorError
from stator.testing import running
from tests.fakes.tested_room import SLEEP_TIMEOUT_S, TestedRoom, registry


async def test_time_begins_now_and_stands() -> None:
    before = time.time()
    async with running(registry) as client:
        now = client.testing.now()
        await client.get_or_create(TestedRoom).add()
        assert client.testing.now() == now
        assert before - 0.01 <= now <= time.time()


async def test_several_moves_add_up() -> None:
    async with running(registry) as client:
        before = client.testing.now()
        client.testing.advance(10)
        client.testing.advance(timedelta(minutes=1))
        await client.testing.settle()
        assert client.testing.now() == pytest.approx(before + 70)


async def test_a_move_can_be_waited_for() -> None:
    async with running(registry) as client:
        before = client.testing.now()
        await client.testing.advance(10)
        assert client.testing.now() == pytest.approx(before + 10)


@pytest.mark.parametrize("by", [-1, timedelta(seconds=-1), float("nan"), float("inf")])
async def test_time_passes_forwards_only(by: float | timedelta) -> None:
    async with running(registry) as client:
        with pytest.raises(ValueError, match="time passes"):
            client.testing.advance(by)


async def test_the_next_call_comes_after_what_the_clock_caused() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        await room.add()
        client.testing.advance(SLEEP_TIMEOUT_S)
        assert await room.slept() == 1


async def test_an_idle_actor_is_awake_until_its_time() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        await room.add()
        client.testing.advance(SLEEP_TIMEOUT_S - 1)
        assert await client.testing.is_awake(room)
        client.testing.advance(1)
        assert not await client.testing.is_awake(room)


async def test_an_action_exceeds_its_time() -> None:
    async with running(registry) as client:
        call = asyncio.create_task(client.get_or_create(TestedRoom).wait())
        await client.testing.settle()
        client.testing.advance(60)
        with pytest.raises(ActorError) as caught:
            await call
        assert caught.value.code == "action_timed_out"
        TestedRoom.gate.set()


async def test_a_call_over_a_connection_comes_after_it_too() -> None:
    async with (
        running(registry) as client,
        client.get_or_create(TestedRoom).connect() as conn,
    ):
        await conn.add()
        client.testing.advance(SLEEP_TIMEOUT_S)  # the connection hibernates
        assert await conn.slept() == 1


async def test_a_raw_message_comes_after_it_too() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        waiting = asyncio.create_task(room.wait())
        async with await room.websocket() as socket:
            client.testing.advance(60)
            await socket.send("x")
            with pytest.raises(ActorError):  # it was answered before the message was sent
                await asyncio.wait_for(waiting, 0)


async def test_an_action_that_waits_for_the_test_does_not_hold_time_up() -> None:
    async with running(registry) as client:
        call = asyncio.create_task(client.get_or_create(TestedRoom).wait())
        await client.testing.settle()
        await client.testing.advance(30)
        TestedRoom.gate.set()
        assert await call == 1


# -- sleep


async def test_an_actor_that_slept_keeps_its_state_and_nothing_else() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        await room.add(5)
        await client.testing.sleep(room)
        assert not await client.testing.is_awake(room)
        assert await room.calls() == 0
        assert await room.add() == 6


async def test_to_put_to_sleep_takes_no_time_without_work() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        await room.add()
        before = client.testing.now()
        await client.testing.sleep(room)
        assert client.testing.now() == before


async def test_who_does_not_end_its_work_is_put_to_sleep_after_its_grace_period() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        call = asyncio.create_task(room.wait())
        await client.testing.settle()
        before = client.testing.now()
        await client.testing.sleep(room)
        assert client.testing.now() == pytest.approx(before + 15)
        assert not await client.testing.is_awake(room)
        TestedRoom.gate.set()
        with pytest.raises(ActorError) as caught:
            await call
        assert caught.value.code == "stopping"


async def test_who_does_not_exist_cannot_sleep() -> None:
    async with running(registry) as client:
        nobody = client.get_or_create(TestedRoom, ["nobody"])
        assert not await client.testing.is_awake(nobody)
        with pytest.raises(ActorError) as caught:
            await client.testing.sleep(nobody)
        assert caught.value.code == "not_found"


async def test_who_sleeps_may_be_put_to_sleep_again() -> None:
    async with running(registry) as client:
        room = await client.create(TestedRoom)
        await room.add()
        await client.testing.sleep(room)
        await client.testing.sleep(room)
        assert await room.slept() == 1


async def test_a_connection_means_its_actor() -> None:
    async with (
        running(registry) as client,
        client.get_or_create(TestedRoom).connect() as conn,
    ):
        assert await client.testing.is_awake(conn)
        await client.testing.sleep(conn)
        assert not await client.testing.is_awake(conn)
