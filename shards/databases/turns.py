"""Whose turn it is on an actor's database: everybody's, or that of one transaction.

Rule 1. Without a transaction jobs go to the lane at once and run in the order they came.
Rule 2. A transaction holds the turn from the moment it is asked for, if nobody holds it. Whatever
        else comes waits, in order, at most ``MAX_WAITING`` of them; its own jobs go to the lane.
Rule 3. When it ends, its last job is in the lane: those that waited are put behind it, up to the
        next transaction.
Rule 4. Who waits in the block of the transaction that it waits for would wait for ever: it fails
        when that expires. Others have not done that mistake and go on.
Rule 5. Within a transaction that many share (that of the migrations, of a step) the same rules hold
        once more: whoever is in it has turns of its own, and a transaction there is a savepoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from stator.runtime.database_errors import DatabaseClosed, TransactionQueueFull
from stator.runtime.errors import KnownError

from .lanes import Job, Lane

MAX_WAITING = 128
"""Operations that wait behind a transaction (semantics page, section 1.4)."""


class Holder(Protocol):
    """A transaction, as those see it that wait for their turn."""

    @property
    def turns(self) -> Turns:
        """Whose turns are waited for by ``self.db`` in its block."""
        ...

    def abandon(self, why: Callable[[], KnownError]) -> None:
        """Let it be over: what it is part of has ended."""
        ...


WITHIN: ContextVar[Holder | None] = ContextVar("within", default=None)
"""The transaction in whose block this code runs."""


class Turns:
    """Lets jobs of one actor into its lane."""

    __slots__ = ("_loop", "_over", "_waiting", "holder", "is_inner", "lane")

    def __init__(self, lane: Lane, *, is_inner: bool = False) -> None:
        self.lane = lane
        self.holder: Holder | None = None
        self.is_inner = is_inner
        """Whether every job is part of a transaction that is open already (rule 5)."""
        self._over: Callable[[], KnownError] | None = None
        """Makes the error of asking, once they are closed."""
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Job, Holder | None] = {}
        """In order; with the transaction that wants the turn, if it is one."""

    @property
    def is_closed(self) -> bool:
        """Whether nobody is let in any more."""
        return self._over is not None

    def new_future(self) -> asyncio.Future[Any]:
        """Return the future of a job."""
        return self._loop.create_future()

    def ask(self, job: Job, claim: Holder | None = None) -> None:
        """Run ``job`` when it is its turn; it then is the turn of ``claim``.

        Raises ``sqlite.transaction_queue_full``, and once closed why that is.
        """
        if self._over is not None:
            raise self._over()
        if self.holder is None:
            self.holder = claim
            self.lane.put(job)
            return
        if len(self._waiting) >= MAX_WAITING:
            raise TransactionQueueFull(f"{MAX_WAITING} operations wait behind a transaction")
        job.within = WITHIN.get()
        self._waiting[job] = claim

    def control(self, call: Callable[[Lane], Any]) -> asyncio.Future[Any]:
        """Run something of stator's own, whoever has the turn; it is run whatever happens."""
        job = Job(call, self.new_future(), is_control=True)
        self.lane.put(job)
        return job.future

    async def outcome(self, job: Job) -> Any:
        """Wait for a job. Cancelled, it is not run, or interrupted."""
        try:
            return await job.future
        except asyncio.CancelledError:
            if self._waiting.pop(job, self) is self:
                self.lane.interrupt(job)
            raise

    def release(self) -> None:
        """Let those in that wait, up to the next transaction."""
        self.holder = None
        while self._waiting and self.holder is None:
            job = next(iter(self._waiting))
            claim = self._waiting.pop(job)
            if not job.future.done():
                self.holder = claim
                self.lane.put(job)

    def fail_within(self, holder: Holder, error: Callable[[], Exception]) -> None:
        """Fail those that wait in the block of ``holder`` (rule 4)."""
        for job in [job for job in self._waiting if job.within is holder]:
            del self._waiting[job]
            job.fail(error())

    def close(self, why: Callable[[], KnownError] = DatabaseClosed) -> None:
        """Let nobody in any more; fail those that wait."""
        self._over = why
        for job in self._waiting:
            job.fail(why())
        self._waiting.clear()
        if self.holder is not None:
            self.holder.abandon(why)
            self.holder = None
