"""The application of the crash tests of actors' lives: queues, schedules, pairs, databases, sleep.

What a crash must not undo is written to a journal outside of stator: a file to which every worker
appends lines. A line that was written stays when its process is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from stator import Actor, Database, Options, Queue, action, setup
from stator.runtime import faults
from stator.runtime.database import ActorDatabase
from stator.runtime.schedules import ScheduledFire
from stator.workflow import Workflow, workflow

DIRECTORY = Path(os.environ.get("STATOR_CRASH_JOURNAL", "."))
"""Where the journal is, and the signs of the tests that say where a worker is to die."""
ACCOUNTS = 10
EACH = 100
"""What an account has at the beginning."""
ROWS = 200
"""What the second migration of a bank inserts."""


@cache
def _journal() -> int:
    return os.open(DIRECTORY / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def note(*words: object) -> None:
    """Write a line that no crash takes back."""
    os.write(_journal(), (" ".join(map(str, words)) + "\n").encode())


def die() -> None:
    """Kill this worker."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_if_told(where: str) -> None:
    """Kill this worker if the test has put a sign with this name; once."""
    if not (DIRECTORY / where).exists():
        return
    (DIRECTORY / where).unlink()
    die()


class Mortal(Actor):
    """What all actors here have in common."""

    @action
    def who(self) -> str:
        """Return the actor id."""
        return self.actor_id

    @action
    def doze(self) -> None:
        """Ask for sleep."""
        self.sleep()

    @action
    def arm_kill(self, point: str) -> None:
        """Let this worker die the next time it passes the fault point ``point``."""
        faults.arm(point, faults.kill_process)

    @action
    def block(self, sign: str) -> None:
        """Create the file ``sign``, then block the worker's event loop for an hour."""
        (DIRECTORY / sign).touch()
        time.sleep(3600)


class Work(msgspec.Struct):
    """What a clerk did."""

    done: list[tuple[int, str]] = []
    """Ids and bodies of its messages, in the order in which they were completed."""


class Clerk(Mortal):
    """Completes jobs one by one. A job and its place in the state are one commit."""

    options = Options(max_queue_size=100_000)
    state: Work
    jobs = Queue[str, str]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.jobs, completable=True):
            note("began", self.key[0], message.id, message.body)
            die_if_told("within-job")
            await asyncio.sleep(0)
            self.state.done.append((message.id, message.body))
            if message.body == "save early":
                await self.save_state()
                die_if_told("after-save")
            if message.body.startswith("commit.") and not DIRECTORY.joinpath("armed").exists():
                (DIRECTORY / "armed").touch()
                faults.arm(message.body, faults.kill_process)
            await message.complete(message.body.upper())

    @action
    async def post(self, body: str) -> int:
        """Send itself a job and return the message's id."""
        return await self.queue.send(self.jobs, body)

    @action
    def done(self) -> list[tuple[int, str]]:
        """Return what it did."""
        return self.state.done


class Reader(Mortal):
    """Receives letters one by one, each at most once."""

    options = Options(max_queue_size=100_000)
    letters = Queue[str, None]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.letters):
            note("read", self.key[0], message.id, message.body)
            await asyncio.sleep(0)


class Tray(Mortal):
    """Keeps letters until it is asked for one."""

    letters = Queue[str, None]()

    @action
    async def take(self, point: str = "") -> str | None:
        """Receive a letter, with a fault point armed before if one is named."""
        if point:
            faults.arm(point, faults.kill_process)
        message = await self.queue.try_next(self.letters)
        if message is not None:
            note("read", self.key[0], message.id, message.body)
        return None if message is None else message.body


class Forged(msgspec.Struct):
    """What a smith made."""

    tokens: list[str] = []


class Flawed(Exception):
    """What a smith made is not good enough."""


FLAWED = 5
"""Each so manieth token is."""
PATIENCE = 1000
"""Retries of a step: many processes may end during one."""


class Smith(Mortal):
    """Forges what messages ask for, in a workflow; what is flawed is not kept."""

    options = Options(max_queue_size=100_000)
    state: Forged
    orders = Queue[str, str]()
    db = Database(migrations=["CREATE TABLE forged (token TEXT NOT NULL)"])

    @workflow
    async def run(self, wf: Workflow) -> None:
        async for _ in wf.loop("orders", keep=3):
            async with await wf.receive("order", self.orders, ack=True) as message:
                token = message.body
                await wf.gather("prepare", heat=self.heating(token), wait=self.waiting)
                await wf.txn("forge", self.forge, token, retries=PATIENCE)
                with suppress(Flawed):
                    await self.deliver(wf, token)
                await message.complete(token.upper())

    async def deliver(self, wf: Workflow, token: str) -> None:
        """Polish what was forged. Raises :class:`Flawed`, having melted it."""
        async with wf.saga("delivery") as saga:
            await saga.step("polish", self.polish, token, undo=self.melt, retries=PATIENCE)
            if int(token.rpartition("-")[2]) % FLAWED == 0:
                raise Flawed

    def heating(self, token: str) -> Callable[[Workflow], Awaitable[None]]:
        """Return a branch that heats the metal."""
        return lambda wf: wf.step("heat", self.heat, token, retries=PATIENCE)

    async def waiting(self, wf: Workflow) -> None:
        """Wait a moment."""
        await wf.sleep("moment", 0.005)

    async def heat(self, token: str) -> None:
        """Do something that may be done again."""
        note("heated", self.key[0], "-", token)

    async def forge(self, token: str) -> None:
        """Do something that is done once."""
        await self.db.execute("INSERT INTO forged (token) VALUES (?)", token)
        self.state.tokens.append(token)

    def polish(self, token: str) -> str:
        """Do something in a thread."""
        note("polished", self.key[0], "-", token)
        return token

    async def melt(self, token: str) -> None:
        """Undo it."""
        note("melted", self.key[0], "-", token)

    @action
    async def made(self) -> tuple[list[str], list[str]]:
        """Return what was forged, as the state has it and as the database has it."""
        rows = await self.db.execute("SELECT token FROM forged ORDER BY rowid")
        return self.state.tokens, [row["token"] for row in rows]


class Rung(msgspec.Struct):
    """What a bell did, as far as it was stored."""

    tokens: list[str] = []


class Bell(Mortal):
    """Rings when it was told to, and every five seconds."""

    options = Options(max_schedules=100_000)
    state: Rung

    @action
    async def once(self, delay: float, token: str) -> str:
        """Ring in ``delay`` seconds; return the schedule's id."""
        return await self.schedule.after(delay, self.ring, token)

    @action
    async def once_and_arm(self, delay: float, token: str, point: str) -> str:
        """Do the same, and let this worker die at the commit that comes next, the claim."""
        schedule_id = await self.once(delay, token)
        faults.arm(point, faults.kill_process)
        return schedule_id

    @action
    async def pending(self) -> int:
        """Return how often it has yet to ring."""
        return len(await self.schedule.list())

    @action
    def ring(self, token: str, fire: ScheduledFire) -> None:
        """Ring once."""
        note("rang", self.key[0], fire.id, token)
        die_if_told("within-ring")
        self.state.tokens.append(token)

    @action
    async def tick_every(self, name: str) -> None:
        """Tick every five seconds from now on."""
        await self.cron.every(name=name, interval=5, action=self.tick)

    @action
    def tick(self, fire: ScheduledFire) -> None:
        """Tick for one slot."""
        note("ticked", self.key[0], fire.name, round(fire.scheduled_at * 1000))
        die_if_told("within-tick")

    @action
    async def results(self, name: str) -> list[str]:
        """Return what became of the latest ticks, newest first."""
        return [entry.result for entry in await self.cron.history(name)]

    @action
    async def next_tick(self, name: str) -> float | None:
        """Return when it ticks next."""
        job = await self.cron.get(name)
        return None if job is None else job.next_run_at


class Sleeper(Bell):
    """A bell with hooks around its sleep."""

    @action
    async def append(self, token: str) -> None:
        """Keep a token."""
        self.state.tokens.append(token)

    @action
    def tokens(self) -> list[str]:
        """Return all tokens."""
        return self.state.tokens

    async def on_sleep(self) -> None:
        self.state.tokens.append("slept")
        note("slept", self.key[0], "", "")
        die_if_told("within-sleep")

    async def on_wake(self) -> None:
        note("woke", self.key[0], "", "")
        die_if_told("within-wake")


class Numbers(msgspec.Struct):
    """What a drawer was given last, by key."""

    latest: dict[str, int] = {}


class Drawer(Mortal):
    """Keeps each number twice as a pair and once in its state, in one commit."""

    state: Numbers

    @action
    async def put(self, key: str, number: int) -> None:
        """Keep a number."""
        self.state.latest[key] = number
        await self.kv.put_batch([(f"{key}/left", str(number)), (f"{key}/right", str(number))])

    @action
    async def get(self, key: str) -> list[int]:
        """Return what is kept: left, right, state; 0 for nothing."""
        values = await self.kv.get_batch([f"{key}/left", f"{key}/right"])
        return [int(value or 0) for value in values] + [self.state.latest.get(key, 0)]


async def open_accounts(db: ActorDatabase) -> None:
    """Fill a bank's tables, one statement after the other."""
    for number in range(ACCOUNTS):
        await db.execute("INSERT INTO accounts VALUES (?, ?)", number, EACH)
        die_if_told(f"within-migration-{number}")
    await db.executemany("INSERT INTO paper VALUES (?)", [(row,) for row in range(ROWS)])


class Bank(Mortal):
    """Moves money between accounts; the sum never changes."""

    db = Database(
        migrations=[
            """
            CREATE TABLE accounts (number INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
            CREATE TABLE paper (number INTEGER PRIMARY KEY);
            """,
            open_accounts,
            "CREATE TABLE transfers (token TEXT PRIMARY KEY, amount INTEGER NOT NULL)",
        ]
    )

    @action
    async def move(self, token: str, source: int, target: int) -> None:
        """Move one from an account to another."""
        async with self.db.transaction() as tx:
            await tx.execute("UPDATE accounts SET balance = balance - 1 WHERE number = ?", source)
            die_if_told("within-transaction")
            await tx.execute("UPDATE accounts SET balance = balance + 1 WHERE number = ?", target)
            await tx.execute("INSERT INTO transfers VALUES (?, 1)", token)

    @action
    async def audit(self) -> tuple[int, int, int, list[str]]:
        """Return the migrations, the rows of the second, the sum of all accounts, all tokens."""
        (paper,) = await self.db.execute("SELECT count(*) FROM paper")
        (money,) = await self.db.execute("SELECT sum(balance) FROM accounts")
        moved = await self.db.execute("SELECT token FROM transfers ORDER BY rowid")
        return await self.db.version(), paper[0], money[0], [row[0] for row in moved]


class Mayfly(Mortal):
    """Has something of everything, and is destroyed."""

    options = Options(sleep_grace_period=1.0)
    state: Numbers
    letters = Queue[str, None]()
    db = Database(migrations=["CREATE TABLE memories (text TEXT)"])

    @action
    async def live(self) -> str:
        """Have something of everything; return the actor id."""
        self.state.latest["lived"] = 1
        await self.kv.put("lived", "yes")
        await self.queue.send(self.letters, "read")
        await self.queue.try_next(self.letters)
        await self.queue.send(self.letters, "lived")
        await self.schedule.after(3600, self.live)
        await self.cron.every(name="live", interval=3600, action=self.live)
        await self.db.execute("INSERT INTO memories VALUES ('lived')")
        return self.actor_id

    @action
    def vanish(self, point: str = "") -> None:
        """Ask for destruction, with a fault point armed before if one is named."""
        self.destroy()
        if point:
            faults.arm(point, faults.kill_process)

    async def on_destroy(self) -> None:
        die_if_told("within-destroy")


registry = setup(
    use={
        "clerk": Clerk,
        "smith": Smith,
        "reader": Reader,
        "tray": Tray,
        "bell": Bell,
        "sleeper": Sleeper,
        "drawer": Drawer,
        "bank": Bank,
        "mayfly": Mayfly,
    }
)
