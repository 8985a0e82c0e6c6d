"""The clients of the crash test: they change what they can and enter every outcome in the books."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.crash.books import Book
from tests.crash.service_under_fire import action_path

TALLIES = 36
LEDGERS = 24
"""How many ledgers are written at a time; new ones follow, so that no state grows large."""
_TIMEOUT = aiohttp.ClientTimeout(total=30)
"""No request may take longer than this, whatever is killed meanwhile: it fails the test."""


class Outage(Exception):
    """A request had no answer with status 200; its outcome is unknown."""


class Crowd:
    """Clients at work; each waits for its answer before it asks again."""

    def __init__(self, endpoint: str, *, clients: int, seed: int) -> None:
        self.ledgers: list[Book] = []
        self.tallies = [Book("tally", f"tally-{number}") for number in range(TALLIES)]
        self.outcomes: Counter[str] = Counter()
        """How many requests ended how."""
        self.service_is_up = asyncio.Event()
        self._endpoint = endpoint
        self._clients = [random.Random(f"{seed}/client {number}") for number in range(clients)]
        self._tokens = 0
        self._at_work = False
        self._session: aiohttp.ClientSession

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None]:
        """Let the clients work inside the block; each finishes its last request after it."""
        self._at_work = True
        session = aiohttp.ClientSession(self._endpoint, timeout=_TIMEOUT)
        async with session as self._session, asyncio.TaskGroup() as tasks:
            for number, rng in enumerate(self._clients):
                tasks.create_task(self._work(number, rng))
            try:
                yield
            finally:
                self._at_work = False

    def open_ledgers(self) -> None:
        """Let the clients write to new ledgers from now on."""
        first = len(self.ledgers)
        self.ledgers += [Book("ledger", f"ledger-{first + new}") for new in range(LEDGERS)]

    async def _work(self, number: int, rng: random.Random) -> None:
        while self._at_work:
            is_ledger = rng.random() < 0.6
            book = rng.choice(self.ledgers[-LEDGERS:] if is_ledger else self.tallies)
            if rng.random() < 0.15:
                await self._ask(book, "length" if is_ledger else "get")
            else:
                self._tokens += 1
                action = rng.choice(("append", "append_later")) if is_ledger else "increment"
                await self._change(book, action, f"c{number}-{self._tokens}")

    async def _change(self, book: Book, action: str, token: str) -> None:
        floor = book.seen
        try:
            answer = await self._call(book, action, *([token] if book.actor == "ledger" else []))
        except Outage:
            book.unknown.add(token)
            await self.service_is_up.wait()
        else:
            book.note_acknowledged(token, answer, floor)

    async def _ask(self, book: Book, action: str) -> None:
        floor = book.seen
        try:
            answer = await self._call(book, action)
        except Outage:
            await self.service_is_up.wait()
        else:
            book.note_seen(answer, floor)

    async def _call(self, book: Book, action: str, *arguments: str) -> Any:
        path = action_path(book.actor, book.key, action)
        try:
            async with self._session.post(path, json={"args": arguments}) as response:
                answer: Any = await response.json()
        except aiohttp.ClientConnectionError as error:
            self.outcomes[type(error).__name__] += 1
            raise Outage from error
        if response.status == 200:
            self.outcomes["200"] += 1
            return answer["output"]
        self.outcomes[f"{response.status} {answer['group']}.{answer['code']}"] += 1
        assert response.status >= 500, f"{path}: {answer}"
        raise Outage
