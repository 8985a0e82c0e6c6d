"""Who moves the clock of a service, and waits until all that happened has come to rest.

Rule 1. Time passes from timer to timer. After each instant the service comes to rest before the
        clock moves on, so that what a timer causes happens at its instant.
Rule 2. At rest is who has no work beside the event loop and did nothing for :data:`QUIET_TURNS`
        turns of it. The parts are linked by Unix sockets of this process, where what was written
        can be read in the next turn, so a few turns take a request from end to end. Nobody waits
        for code that itself waits: for another timer, or for something of the test.
Rule 3. While the clock moves, what clients send waits (:mod:`.exchange`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from .clock import TICKS_PER_SECOND, VirtualClock
from .workload import Workload

QUIET_TURNS = 50
"""More than any message takes from one end of the service to the other."""
REST_LIMIT_S = 10.0
"""Real seconds in which a service must come to rest."""
PATIENCE_S = 0.1
"""Real seconds that work under way may take before the clock is moved to cut it off."""


class Subject(Protocol):
    """Whose time it is."""

    @property
    def clock(self) -> VirtualClock: ...
    @property
    def workload(self) -> Workload: ...
    @property
    def deeds(self) -> object:
        """What it did so far: equal only while it does nothing."""
        ...


class Passing:
    """Time that passes; awaiting it waits until it has. Nobody need await it."""

    def __init__(self, keeper: Timekeeper) -> None:
        self._keeper = keeper

    def __await__(self) -> Generator[Any, None, None]:
        return self._keeper.wait_still().__await__()


class Timekeeper:
    """Moves the clock of ``subject``."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._target = 0
        """The tick that the clock is to reach."""
        self._hands = asyncio.Lock()
        """Held by whoever moves the clock."""
        self._movers = 0
        self._still = asyncio.Event()
        self._still.set()
        self._driver: asyncio.Task[None] | None = None
        self._trouble: BaseException | None = None

    # -- for everybody who wants something of the service

    async def wait_still(self) -> None:
        """Return when the clock stands. Raises what kept it from moving, once."""
        while self._movers:
            await self._still.wait()
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble

    async def settle(self) -> None:
        """Return when the service has come to rest (rule 2). Raises ``TimeoutError``."""
        await self.wait_still()
        await self._rest()

    # -- moving the clock

    def advance(self, seconds: float) -> Passing:
        """Let so much time pass from where earlier calls end."""
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"time passes by 0 seconds or more, not by {seconds}")
        start = max(self._target, self._subject.clock.ticks)
        self._target = start + math.ceil(seconds * TICKS_PER_SECOND)
        if self._driver is None:
            self._movers += 1
            self._still.clear()
            self._driver = asyncio.get_running_loop().create_task(self._drive())
            self._driver.add_done_callback(self._on_driven)
        return Passing(self)

    async def pass_until(self, work: asyncio.Task[Any], at_most: float) -> None:
        """Return when ``work`` of the service is done; what it raises is left in it.

        If that takes longer than a moment the clock moves, by ``at_most`` seconds, which ought to
        end it. Raises ``TimeoutError`` if it does not.
        """
        async with self._moving():
            await asyncio.wait({work}, timeout=PATIENCE_S)
            until = self._subject.clock.after(at_most)
            while not work.done() and self._subject.clock.step(until):
                await self._rest()
            await asyncio.wait({work}, timeout=REST_LIMIT_S)
            if not work.done():
                raise TimeoutError(f"it went on for {REST_LIMIT_S:g} s after its time was over")

    async def stop(self) -> None:
        """Let no more time pass."""
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.wait({self._driver})

    async def _drive(self) -> None:
        async with self._hands:
            await self._rest()
            while self._subject.clock.step(self._target):
                await self._rest()

    def _on_driven(self, driver: asyncio.Task[None]) -> None:
        self._driver = None
        if not driver.cancelled():
            self._trouble = driver.exception()
        self._leave()

    @asynccontextmanager
    async def _moving(self) -> AsyncGenerator[None]:
        self._movers += 1
        self._still.clear()
        try:
            async with self._hands:
                yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self._movers -= 1
        if not self._movers:
            self._still.set()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(REST_LIMIT_S):
                await self._rest_without_limit()
        except TimeoutError as error:
            raise TimeoutError(
                f"the service did not come to rest within {REST_LIMIT_S:g} s: "
                "something in it works without a pause"
            ) from error

    async def _rest_without_limit(self) -> None:
        subject = self._subject
        quiet, deeds = 0, subject.deeds
        while quiet < QUIET_TURNS:
            await subject.workload.wait()
            await asyncio.sleep(0)
            before, deeds = deeds, subject.deeds
            quiet = quiet + 1 if deeds == before else 0
