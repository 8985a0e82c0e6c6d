"""The application of the crash tests: what was done to its actors can be counted afterwards."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec

from stator import Actor, action, setup
from stator.runtime import faults


class Entries(msgspec.Struct):
    """What a ledger holds."""

    tokens: list[str] = []


class Ledger(Actor):
    """A list that only grows. Appending twice is not the same as appending once."""

    state: Entries

    @action
    def append(self, token: str) -> int:
        """Add ``token`` and return its place, counted from 1."""
        self.state.tokens.append(token)
        return len(self.state.tokens)

    @action
    async def append_later(self, token: str) -> int:
        """Do the same as a task of its own, with other actions in between."""
        await asyncio.sleep(0)
        return self.append(token)

    @action
    def length(self) -> int:
        """Return how many tokens there are."""
        return len(self.state.tokens)

    @action
    def tokens(self) -> list[str]:
        """Return all tokens in order."""
        return self.state.tokens

    @action
    async def append_and_stay(self, token: str, seconds: float) -> None:
        """Add ``token``, save, and be busy for a while, whatever happens meanwhile."""
        self.append(token)
        await self.save_state()
        await asyncio.sleep(seconds)

    @action
    def block(self, sign: str) -> None:
        """Create the file ``sign``, then block the worker's event loop for an hour."""
        Path(sign).touch()
        time.sleep(3600)

    @action
    def arm_kill(self, point: str) -> None:
        """Let this worker die the next time it passes the fault point ``point``."""
        faults.arm(point, faults.kill_process)


class Total(msgspec.Struct):
    """What a tally holds."""

    total: int = 0


class Tally(Actor):
    """A number that only grows."""

    state: Total

    @action
    def increment(self) -> int:
        """Add one and return the total."""
        self.state.total += 1
        return self.state.total

    @action
    def get(self) -> int:
        """Return the total."""
        return self.state.total


class Mortal(Actor):
    """Ends when it is told to, but takes its time to do so."""

    state: Entries

    @action
    def who(self) -> str:
        """Return the actor id."""
        return self.actor_id

    @action
    def vanish(self) -> None:
        """Ask for destruction, which the reply acknowledges."""
        self.destroy()

    async def on_destroy(self) -> None:
        """Be busy for longer than any test waits."""
        await asyncio.sleep(3600)


registry = setup(use={"ledger": Ledger, "tally": Tally, "mortal": Mortal})
