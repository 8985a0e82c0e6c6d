"""Losing the worker of a test's service, and replacing its application."""

from __future__ import annotations

import asyncio

from stator import Actor, Options, action, setup
from stator.testing import running
from tests.fakes.tested_room import RoomState, TestedRoom, registry


async def test_a_crash_keeps_what_was_acknowledged() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        await room.add(5)
        actor_id = await room.resolve()
        await client.testing.crash()
        assert await room.add() == 6
        assert await room.resolve() == actor_id


async def test_a_crash_calls_nobody() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        await room.add()
        await client.testing.crash()
        assert TestedRoom.seen == []
        assert not await client.testing.is_awake(room)


class Careless(Actor):
    """Saves now and then."""

    options = Options(durability="interval", state_save_interval=1.0)
    state: int = 0

    @action
    def add(self) -> int:
        """Count."""
        self.state += 1
        return self.state


async def test_a_crash_loses_what_was_not_saved() -> None:
    async with running(setup(use={"careless": Careless})) as client:
        counter = client.get_or_create(Careless)
        await counter.add()
        client.testing.advance(1)
        await counter.add()
        await client.testing.crash()
        assert await counter.add() == 2


async def test_a_connection_survives_a_crash() -> None:
    async with (
        running(registry) as client,
        client.get_or_create(TestedRoom).connect() as conn,
    ):
        events = conn.events(TestedRoom.counted)
        await conn.add()
        conn_id = conn.id
        await client.testing.crash()
        await conn.add()
        assert [await anext(events), await anext(events)] == [1, 2]
        assert conn.id == conn_id


async def test_what_went_on_in_a_crash_has_no_effect_any_more() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        call = asyncio.create_task(room.wait())
        await client.testing.settle()
        await client.testing.crash()
        call.cancel()
        TestedRoom.gate.set()
        await client.testing.settle()
        assert await room.add() == 1


async def test_time_goes_on_after_a_crash() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        client.testing.advance(100)
        await room.add()
        now = client.testing.now()
        await client.testing.crash()
        assert client.testing.now() == now
        await room.add()
        client.testing.advance(30)
        assert not await client.testing.is_awake(room)


async def test_a_crash_can_follow_a_crash() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        for total in range(1, 6):
            assert await room.add() == total
            await client.testing.crash()


class LaterRoom(Actor):
    """What becomes of a room."""

    state: RoomState

    @action
    def add(self, by: int = 1) -> str:
        """Count in another way."""
        self.state.total += by
        return f"{self.state.total} after {self.state.slept}"


async def test_another_application_goes_on_with_what_is_stored() -> None:
    async with running(registry) as client:
        room = client.get_or_create("room")
        await room.add(5)
        await client.testing.reload(setup(use={"room": LaterRoom}))
        assert TestedRoom.seen == ["asleep"]
        assert await room.add() == "6 after 1"


async def test_a_reload_waits_for_what_is_under_way() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        call = asyncio.create_task(room.wait())
        await client.testing.settle()
        asyncio.get_running_loop().call_later(0.001, TestedRoom.gate.set)
        await client.testing.reload(registry)
        assert await call == 1


async def test_a_reload_cuts_off_a_call_that_goes_on() -> None:
    async with running(registry) as client:
        room = client.get_or_create(TestedRoom)
        before = client.testing.now()
        call = asyncio.create_task(room.wait())
        await client.testing.settle()
        await client.testing.reload(registry)
        call.cancel()
        grace = 15
        assert client.testing.now() == before + grace
