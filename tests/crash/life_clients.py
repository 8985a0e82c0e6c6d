"""The clients of the crash tests of actors' lives, and what each of them may expect afterwards.

Rule 1. An answer with status 200 is acknowledged. Any other outcome is unknown, and nobody
        repeats it; the error has to be one of the service's (5xx), not of the request.
Rule 2. A client talks to one actor and waits for each answer, so it knows the order of what it did.
Rule 3. Whoever deals with an actor now and then lets it sleep.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from tests.crash.life_application import ACCOUNTS, EACH, FLAWED, ROWS
from tests.crash.life_journal import DataDirectory, Journal
from tests.crash.service_under_fire import inner_path

_TIMEOUT = aiohttp.ClientTimeout(total=30)
"""No request may take longer than this, whatever is killed meanwhile: it fails the test."""
PATIENCE_S = 30.0
DOZE = 0.02
"""How often a client lets its actor sleep."""
EARLIEST, LATEST = 0.0, 2.0
"""How many seconds ahead something is scheduled."""


CLOCK_STEP_S = 0.001
"""A service counts milliseconds."""


class Outage(Exception):
    """A request had no answer with status 200; its outcome is unknown."""


class Door:
    """The way into the service, shared by all clients."""

    def __init__(self, endpoint: str) -> None:
        self.outcomes: Counter[str] = Counter()
        """How many requests ended how."""
        self.is_up = asyncio.Event()
        self.is_up.set()
        self.last_kill = 0.0
        """When somebody was killed last, in Unix seconds."""
        self._session = aiohttp.ClientSession(endpoint, timeout=_TIMEOUT)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def call(self, actor: str, key: str, action: str, *arguments: object) -> Any:
        """Call an action. Raises :class:`Outage`."""
        answer = await self._post(actor, key, f"action/{action}", {"args": arguments})
        return answer["output"]

    async def enqueue(self, actor: str, key: str, queue: str, body: str, *, wait: bool) -> Any:
        """Send a message. Raises :class:`Outage`."""
        message = {"body": body, "wait": wait}
        return await self._post(actor, key, f"queue/{queue}", message)

    async def insist(self, actor: str, key: str, action: str, *arguments: object) -> Any:
        """Call an action until it is answered."""
        for _ in range(2_000):
            try:
                return await self.call(actor, key, action, *arguments)
            except Outage:
                await asyncio.sleep(0.02)
        raise AssertionError(f"{actor} {key} does not answer; {self.outcomes}")

    async def _post(self, actor: str, key: str, inner: str, body: object) -> Any:
        path = inner_path(actor, key, inner)
        try:
            async with self._session.post(path, json=body) as response:
                answer: Any = await response.json()
        except aiohttp.ClientConnectionError as error:
            self.outcomes[type(error).__name__] += 1
            raise Outage from error
        if response.status == 200:
            self.outcomes["200"] += 1
            return answer
        self.outcomes[f"{response.status} {answer['group']}.{answer['code']}"] += 1
        assert response.status >= 500, f"{path}: {answer}"
        raise Outage


class Client(ABC):
    """Deals with one actor."""

    actor = ""

    def __init__(self, door: Door, number: int, seed: int) -> None:
        self.key = f"{self.actor}-{number}"
        self.door = door
        self.rng = random.Random(f"{seed}/{self.key}")
        self.tokens = 0
        self.acknowledged: list[str] = []
        self.unknown: list[str] = []
        self.problems: list[str] = []

    async def work(self, is_over: asyncio.Event) -> None:
        """Do one thing after the other until it is over."""
        while not is_over.is_set():
            self.tokens += 1
            token = f"{self.key}-{self.tokens}"
            try:
                if self.rng.random() < DOZE:
                    await self.call("doze")
                await self.step(token)
            except Outage:
                self.unknown.append(token)
                await self.door.is_up.wait()
            else:
                self.acknowledged.append(token)

    async def call(self, action: str, *arguments: object) -> Any:
        """Call an action of the actor."""
        return await self.door.call(self.actor, self.key, action, *arguments)

    async def insist(self, action: str, *arguments: object) -> Any:
        """Call an action of the actor until it is answered."""
        return await self.door.insist(self.actor, self.key, action, *arguments)

    @abstractmethod
    async def step(self, token: str) -> None:
        """Do one thing. Raises :class:`Outage`."""

    @abstractmethod
    async def settle(self, journal: Journal) -> Counter[str]:
        """Wait until all work is done, enter what is wrong, return what was counted."""

    def complain(self, problem: str) -> None:
        """Enter something that is wrong."""
        self.problems.append(f"{self.key}: {problem}")

    def expect(self, tokens: list[str], what: str) -> None:
        """Enter acknowledged tokens that are missing, and those that nobody wrote."""
        if lost := set(self.acknowledged) - set(tokens):
            self.complain(f"{what} lost: {sorted(lost)}")
        if made_up := set(tokens) - set(self.acknowledged) - set(self.unknown):
            self.complain(f"{what} nobody asked for: {sorted(made_up)}")


class JobSender(Client):
    """Sends jobs; some it waits for."""

    actor = "clerk"

    async def step(self, token: str) -> None:
        waits = self.rng.random() < 0.3
        answer = await self.door.enqueue(self.actor, self.key, "jobs", token, wait=waits)
        expected = {"status": "completed", "response": token.upper()} if waits else None
        if expected is not None and answer != expected:
            self.complain(f"the answer to {token} is {answer}")

    async def settle(self, journal: Journal) -> Counter[str]:
        async def is_done() -> bool:
            done = {body for _, body in await self.insist("done")}
            return done >= set(self.acknowledged)

        if not await comes_true(is_done):
            self.complain("jobs were not done")
        done: list[tuple[int, str]] = [(each[0], each[1]) for each in await self.insist("done")]
        ids = [message_id for message_id, _ in done]
        bodies = [body for _, body in done]
        self.expect(bodies, "jobs")
        if sorted(set(ids)) != ids:
            self.complain(f"message ids are not in order, each once: {ids}")
        if sorted(set(bodies), key=number_of) != bodies:
            self.complain(f"jobs are not in order, each once: {bodies}")
        begun = Counter(journal.lines("began", self.key))
        if missing := {(str(key), body) for key, body in done} - begun.keys():
            self.complain(f"done and never begun: {missing}")
        again = sum(times - 1 for times in begun.values())
        return Counter({"jobs done": len(done), "jobs begun again": again})


class Orderer(Client):
    """Orders what a workflow makes; for some of it it waits."""

    actor = "smith"

    async def step(self, token: str) -> None:
        waits = self.rng.random() < 0.5
        answer = await self.door.enqueue(self.actor, self.key, "orders", token, wait=waits)
        if waits and answer != {"status": "completed", "response": token.upper()}:
            self.complain(f"the answer to {token} is {answer}")

    async def settle(self, journal: Journal) -> Counter[str]:
        async def is_made() -> bool:
            made, _ = await self.insist("made")
            polished = {body for _, body in journal.lines("polished", self.key)}
            melted = {body for _, body in journal.lines("melted", self.key)}
            wanted = set(self.acknowledged)
            return wanted <= set(made) & polished and set(filter(_is_flawed, wanted)) <= melted

        if not await comes_true(is_made):
            self.complain("orders were not made")
        made, rows = await self.insist("made")
        self.expect(made, "orders")
        if made != rows:
            self.complain(f"the state has {made}, the database {rows}")
        if sorted(set(made), key=number_of) != made:
            self.complain(f"orders are not in order, each once: {made}")
        heated = [body for _, body in journal.lines("heated", self.key)]
        if [body for body, _ in itertools.groupby(heated)][: len(made)] != made:
            self.complain(f"it heated {heated} and made {made}")
        melted = {body for _, body in journal.lines("melted", self.key)}
        if wrong := set(itertools.filterfalse(_is_flawed, melted)):
            self.complain(f"melted what was good: {wrong}")
        again = len(heated) - len(made)
        return Counter({"orders made": len(made), "steps begun again": again})


def _is_flawed(token: str) -> bool:
    return number_of(token) % FLAWED == 0


class LetterSender(Client):
    """Sends messages that are received plainly."""

    actor = "reader"

    async def step(self, token: str) -> None:
        await self.door.enqueue(self.actor, self.key, "letters", token, wait=False)

    async def settle(self, journal: Journal) -> Counter[str]:
        last = f"{self.key}-{self.tokens + 1}"
        for _ in range(100):  # whoever is last cannot be lost: nobody is killed any more
            try:
                await self.door.enqueue(self.actor, self.key, "letters", last, wait=False)
                break
            except Outage:
                await asyncio.sleep(0.1)

        async def is_read() -> bool:
            return last in (body for _, body in journal.lines("read", self.key))

        if not await comes_true(is_read):
            self.complain("letters were not read")
        read = journal.lines("read", self.key)
        ids = [int(message_id) for message_id, _ in read]
        bodies = [body for _, body in read]
        if sorted(set(ids)) != ids:
            self.complain(f"letter ids are not in order, each once: {ids}")
        if sorted(set(bodies), key=number_of) != bodies:
            self.complain(f"letters are not in order, each once: {bodies}")
        lost = set(self.acknowledged) - set(bodies)
        return Counter({"letters read": len(read), "letters lost": len(lost)})


class RingAsker(Client):
    """Schedules one-shots, and one that recurs."""

    actor = "bell"

    def __init__(self, door: Door, number: int, seed: int) -> None:
        super().__init__(door, number, seed)
        self.earliest: dict[str, float] = {}
        """Before when a token's schedule is not due, in Unix seconds."""

    async def step(self, token: str) -> None:
        if self.tokens == 1:
            await self.insist("tick_every", "clock")
        delay = self.rng.uniform(EARLIEST, LATEST)
        self.earliest[token] = time.time() + delay - CLOCK_STEP_S
        await self.call("once", delay, token)

    async def settle(self, journal: Journal) -> Counter[str]:
        ticks_before = len(journal.lines("ticked", self.key))

        async def is_silent() -> bool:
            return bool(await self.insist("pending") == 0)

        async def has_ticked() -> bool:
            return len(journal.lines("ticked", self.key)) > ticks_before

        if not await comes_true(is_silent):
            self.complain("schedules never fired")
        if not await comes_true(has_ticked):
            self.complain("the clock forgot its next time")
        rung = journal.lines("rang", self.key)
        if twice := journal.repeated("rang", self.key) + journal.repeated("ticked", self.key):
            self.complain(f"fired twice: {twice}")
        lost = set(self.acknowledged) - {token for _, token in rung}
        if forgotten := [each for each in lost if self.earliest[each] > self.door.last_kill]:
            self.complain(f"nobody was killed, and yet they did not fire: {sorted(forgotten)}")
        ticks = len(journal.lines("ticked", self.key))
        return Counter({"one-shots run": len(rung), "one-shots lost": len(lost), "ticks": ticks})


class Filer(Client):
    """Puts ever greater numbers into a drawer."""

    actor = "drawer"

    async def step(self, token: str) -> None:
        await self.call("put", "number", self.tokens)

    async def settle(self, journal: Journal) -> Counter[str]:
        left, right, state = await self.insist("get", "number")
        if not left == right == state:
            self.complain(f"one commit gave {left}, {right} and {state}")
        least = max((number_of(token) for token in self.acknowledged), default=0)
        if not least <= left <= self.tokens:
            self.complain(f"{least} was acknowledged, {left} is there, {self.tokens} was the last")
        return Counter({"pairs acknowledged": 2 * len(self.acknowledged)})


class Mover(Client):
    """Moves money."""

    actor = "bank"

    async def step(self, token: str) -> None:
        source, target = self.rng.sample(range(ACCOUNTS), 2)
        await self.call("move", token, source, target)

    async def settle(self, journal: Journal) -> Counter[str]:
        version, paper, money, tokens = await self.insist("audit")
        if (version, paper, money) != (3, ROWS, ACCOUNTS * EACH):
            self.complain(f"version {version}, {paper} rows, a sum of {money}")
        self.expect(tokens, "transfers")
        return Counter({"transfers": len(tokens)})


class Undertaker(Client):
    """Lets actors come into being and destroys them."""

    actor = "mayfly"

    def __init__(self, door: Door, number: int, seed: int) -> None:
        super().__init__(door, number, seed)
        self.destroyed: list[str] = []
        """The ids of those whose destruction was acknowledged."""

    async def step(self, token: str) -> None:
        actor_id = await self.door.call(self.actor, token, "live")
        if self.rng.random() < 0.3:
            await self.door.call(self.actor, token, "doze")
        await self.door.call(self.actor, token, "vanish")
        self.destroyed.append(actor_id)

    async def settle(self, journal: Journal) -> Counter[str]:
        return Counter({"actors destroyed": len(self.destroyed)})

    def inspect(self, files: DataDirectory) -> None:
        """Enter what is left in the files of a service that has ended."""
        actors = files.actors()
        if left := set(self.destroyed) & set(actors):
            self.complain(f"destroyed and still there: {sorted(left)}")
        if orphans := set(files.databases()) - set(actors):
            self.complain(f"databases of nobody: {sorted(orphans)}")
        if count := files.rows_of_nobody():
            self.complain(f"{count} rows of nobody")


async def comes_true(condition: Callable[[], Awaitable[bool]]) -> bool:
    """Wait until ``condition`` holds; ``False`` if it does not for longer than any test takes."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if await condition():
            return True
        await asyncio.sleep(0.05)
    return False


def number_of(token: str) -> int:
    """Return the number of a token among those of its client."""
    return int(token.rpartition("-")[2])
