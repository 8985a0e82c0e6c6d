"""What time does to schedules, queues and databases of the actors of a test."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from stator import Actor, Queue, action, setup
from stator.runtime.database import Database
from stator.testing import running

DAY = timedelta(days=1)


class Clerk(Actor):
    """Notes when it did what."""

    state: int = 0
    letters = Queue[str, int]()
    db = Database(migrations=["CREATE TABLE notes (at REAL)"])

    @action
    async def tick(self) -> None:
        """Count, and note it in the database too."""
        self.state += 1
        await self.db.execute("INSERT INTO notes VALUES (?)", self.state)

    @action
    def ticks(self) -> int:
        """Return how often it did."""
        return self.state

    @action
    async def notes(self) -> int:
        """Return how many notes there are."""
        return len(await self.db.execute("SELECT * FROM notes"))

    @action
    async def every(self, seconds: float) -> None:
        """Tick again and again."""
        await self.cron.every(name="tick", interval=seconds, action=self.tick)

    @action
    async def after(self, seconds: float) -> None:
        """Tick once."""
        await self.schedule.after(seconds, self.tick)

    @action
    async def receive(self, seconds: float) -> str | None:
        """Return the next letter."""
        message = await self.queue.next(self.letters, timeout=seconds)
        return None if message is None else message.body


registry = setup(use={"clerk": Clerk})


async def test_what_recurs_does_so_each_time() -> None:
    async with running(registry) as client:
        clerk = client.get_or_create(Clerk)
        await clerk.every(10)
        client.testing.advance(35)
        assert await clerk.ticks() == 3


async def test_what_is_scheduled_wakes_who_sleeps() -> None:
    async with running(registry) as client:
        clerk = client.get_or_create(Clerk)
        await clerk.after(DAY.total_seconds())
        await client.testing.sleep(clerk)
        client.testing.advance(DAY - timedelta(seconds=1))
        assert not await client.testing.is_awake(clerk)
        client.testing.advance(1)
        assert await client.testing.is_awake(clerk)
        assert await clerk.ticks() == 1


async def test_what_is_scheduled_survives_a_crash() -> None:
    async with running(registry) as client:
        clerk = client.get_or_create(Clerk)
        await clerk.after(100)
        await client.testing.crash()
        client.testing.advance(100)
        assert await clerk.ticks() == 1


async def test_sql_is_waited_for() -> None:
    async with running(registry) as client:
        clerk = client.get_or_create(Clerk)
        await clerk.every(10)
        client.testing.advance(100)
        assert await clerk.notes() == 10


async def test_a_database_survives_a_crash() -> None:
    async with running(registry) as client:
        clerk = client.get_or_create(Clerk)
        await clerk.tick()
        await client.testing.crash()
        assert await clerk.notes() == 1


async def test_a_message_is_received() -> None:
    async with running(registry) as client:
        clerk = client.get_or_create(Clerk)
        await clerk.enqueue(Clerk.letters, "one")
        assert await clerk.receive(1) == "one"


async def test_who_waits_for_a_message_waits_by_the_clock() -> None:
    async with running(registry) as client:
        receiving = asyncio.create_task(client.get_or_create(Clerk).receive(20))
        await client.testing.settle()
        client.testing.advance(20)
        assert await receiving is None


async def test_who_waits_for_a_reply_waits_by_the_clock() -> None:
    async with running(registry) as client:
        clerk = client.get_or_create(Clerk)
        asking = asyncio.create_task(clerk.enqueue(Clerk.letters, "one", wait=True, timeout=20))
        await client.testing.settle()
        client.testing.advance(20)
        assert (await asking).status == "timed_out"
