"""The application of the lifecycle benchmark: actors that queue, sleep, ring and keep books."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

import msgspec

from stator import Actor, Options, Queue, action, setup
from stator.runtime.database import Database
from stator.runtime.schedules import ScheduledFire

from .apsw_threads import INSERT, SELECT, ApswThreads

RINGING_S = 1.0
"""Within how many seconds the schedules of :meth:`Bell.ring_within` are due."""
ITEMS = 10_000
"""Rows of a ledger."""


class Tally(msgspec.Struct):
    """What most of them store."""

    count: int = 0


class Counting(Actor):
    """What a state-changing action is."""

    state: Tally

    @action
    def get(self) -> int:
        """Return the count; changes nothing."""
        return self.state.count

    @action
    def increment(self, amount: int = 1) -> int:
        """Add ``amount`` and return the count; durable before it is answered."""
        self.state.count += amount
        return self.state.count


class Shelf(Counting):
    """Stores messages that nobody takes."""

    options = Options(max_queue_size=1_000_000)

    jobs = Queue[int]()


class Desk(Counting):
    """Completes each message, together with a change of its state."""

    jobs = Queue[int, int]()

    async def run(self) -> None:
        """Take and complete messages, one after the other."""
        async for message in self.queue.iter(self.jobs, completable=True):
            self.state.count += 1
            await message.complete(message.body)


class Napper(Counting):
    """Sleeps half a second after its last work."""

    options = Options(sleep_timeout=0.5)

    @action
    def stay_until(self, at_ms: int) -> None:
        """Have work until then."""
        self.keep_awake(asyncio.sleep(at_ms / 1000 - time.time()))


class Ringing(msgspec.Struct):
    """What a bell stores."""

    late_ms: float = 0.0


LATENESS: list[float] = []
"""How late each bell of this process rang, in seconds."""


class Bell(Actor):
    """Rings once, later."""

    state: Ringing

    @action
    def get(self) -> float:
        """Return how late it rang last; changes nothing."""
        return self.state.late_ms

    @action
    async def ring_at(self, at_ms: int) -> None:
        """Ring at an instant."""
        await self.schedule.at(at_ms / 1000, self.ring)

    @action
    async def ring_within(self, at_ms: int) -> None:
        """Ring within a second from an instant, each bell of ten thousand at its own time."""
        share = int(self.key[-1]) % ITEMS / ITEMS
        await self.schedule.at(at_ms / 1000 + share * RINGING_S, self.ring)

    @action
    def ring(self, fire: ScheduledFire) -> None:
        """Note how late this is, here and durably."""
        late = time.time() - fire.scheduled_at
        LATENESS.append(late)
        self.state.late_ms = late * 1000


class Witness(Actor):
    """Tells what happened in its worker."""

    @action
    def get(self) -> int:
        """Return in which process this is."""
        return os.getpid()

    @action
    def take_lateness(self) -> list[float]:
        """Return how late the bells of this worker rang since it was last asked."""
        taken = LATENESS[:]
        LATENESS.clear()
        return taken


class Ledger(Actor):
    """Reads and writes its database and its pairs as fast as it can."""

    db = Database(
        migrations=["CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT NOT NULL)"],
    )

    @action
    def get(self) -> str:
        """Return its id, which names its file."""
        return self.actor_id

    @action
    async def fill(self) -> None:
        """Store the rows that are read."""
        rows = [(number, f"item {number}") for number in range(ITEMS)]
        await self.db.executemany("INSERT OR REPLACE INTO items VALUES (?, ?)", rows)

    @action
    async def read(self, at_once: int, seconds: float) -> float:
        """Return how many point reads a second ``self.db`` does."""

        async def one(number: int) -> None:
            (row,) = await self.db.execute(SELECT, number % ITEMS)
            assert row.value

        return await rate(one, at_once, seconds)

    @action
    async def write(self, at_once: int, seconds: float) -> float:
        """Return how many rows a second ``self.db`` stores, each in a transaction of its own."""

        async def one(_: int) -> None:
            await self.db.execute(INSERT, "another")

        return await rate(one, at_once, seconds)

    @action
    async def read_by_apsw(self, path: str, at_once: int, seconds: float) -> float:
        """Return how many point reads a second APSW does, each in a thread."""
        with ApswThreads(path) as threads:

            async def one(number: int) -> None:
                ((value,),) = await asyncio.to_thread(threads.read, number % ITEMS)
                assert value

            return await rate(one, at_once, seconds)

    @action
    async def write_by_apsw(self, path: str, at_once: int, seconds: float) -> float:
        """Return how many rows a second APSW stores, each in a thread and a transaction."""
        with ApswThreads(path) as threads:

            async def one(_: int) -> None:
                await asyncio.to_thread(threads.write, "another")

            return await rate(one, at_once, seconds)

    @action
    async def put_pairs(self, at_once: int, seconds: float) -> float:
        """Return how many pairs a second ``self.kv`` stores, each put alone."""

        async def one(number: int) -> None:
            await self.kv.put(f"pair {number % ITEMS}", f"value {number}")

        return await rate(one, at_once, seconds)

    @action
    async def get_pairs(self, at_once: int, seconds: float) -> float:
        """Return how many pairs a second ``self.kv`` finds."""

        async def one(number: int) -> None:
            await self.kv.get(f"pair {number % ITEMS}")

        return await rate(one, at_once, seconds)


async def rate(one: Callable[[int], Awaitable[None]], at_once: int, seconds: float) -> float:
    """Call ``one`` with 0, 1, 2 and so on, ``at_once`` at a time; return how often a second."""
    started = time.perf_counter()
    deadline = started + seconds
    done = 0

    async def repeat() -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            done += 1
            await one(done)

    await asyncio.gather(*(repeat() for _ in range(at_once)))
    return done / (time.perf_counter() - started)


registry = setup(
    use={
        "shelf": Shelf,
        "desk": Desk,
        "napper": Napper,
        "bell": Bell,
        "witness": Witness,
        "ledger": Ledger,
    }
)
