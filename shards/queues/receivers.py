"""Receives that wait for a message, served in the order in which they began."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import TYPE_CHECKING

from stator.runtime.errors import Aborted, ActorError, InvalidInput
from stator.runtime.queue_errors import QueueTimedOut
from stator.runtime.storage import MessageRow

if TYPE_CHECKING:
    from ..cell import Cell


class Receiver:
    """One receive: what it wants, and what it gets."""

    __slots__ = (
        "count",
        "future",
        "is_completable",
        "is_workflows",
        "looks_only",
        "names",
        "owner",
    )

    def __init__(
        self,
        names: tuple[str, ...] | None,
        owner: object,
        *,
        count: int = 1,
        is_completable: bool = False,
        looks_only: bool = False,
        is_workflows: bool = False,
    ) -> None:
        """``owner`` is the invocation it belongs to; ``looks_only`` takes no message.

        One that ``is_workflows`` is waited for by the actor's workflow, which says itself whether
        the actor is at rest, and cuts its waits off itself when the actor stops.
        """
        self.names = names
        self.owner = owner
        self.count = max(1, count)
        self.is_completable = is_completable
        self.looks_only = looks_only
        self.is_workflows = is_workflows
        self.future: asyncio.Future[list[MessageRow]] | None = None
        """While it waits, and afterwards with what came of that."""

    def taken(self) -> list[MessageRow]:
        """Return what it was given while it waited, for a receive that is cut off."""
        future = self.future
        if future is None or not future.done() or future.cancelled():
            return []
        return [] if future.exception() is not None else future.result()


class Receivers:
    """The receives of one actor that wait; as long as one does, the actor counts as idle.

    Those of its workflow are in the same line, but the workflow keeps its own account of them.
    """

    __slots__ = ("_cell", "_parked")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._parked: dict[Receiver, None] = {}

    def waiting(self) -> list[Receiver]:
        """Return those that can be given something, the first that came first."""
        return [each for each in self._parked if each.future is not None and not each.future.done()]

    async def wait(self, receiver: Receiver, seconds: float | None) -> list[MessageRow]:
        """Wait until it is given something; ``[]`` after ``seconds``.

        Raises ``actor.aborted``, and ``queue.timed_out`` for one that only looks.
        """
        receiver.future = asyncio.get_running_loop().create_future()
        self._parked[receiver] = None
        if not receiver.is_workflows:
            self._cell.park()
        timer = None
        if seconds is not None:
            timer = self._cell.shard.clock.call_later(seconds, self._expire, receiver)
        try:
            return await receiver.future
        finally:
            self._leave(receiver)
            if timer is not None:
                timer.cancel()

    def give(self, receiver: Receiver, rows: list[MessageRow]) -> None:
        """End the wait of one of :meth:`waiting` with what it gets."""
        assert receiver.future is not None
        receiver.future.set_result(rows)
        self._leave(receiver)

    def abort(self) -> None:
        """End all waits with ``actor.aborted``, but for those of the workflow."""
        for receiver in self.waiting():
            if not receiver.is_workflows:
                self._fail(receiver, Aborted())

    def _expire(self, receiver: Receiver) -> None:
        if receiver.future is None or receiver.future.done():
            return
        if receiver.looks_only:
            self._fail(receiver, QueueTimedOut("no message came within the timeout"))
        else:
            self.give(receiver, [])

    def _fail(self, receiver: Receiver, error: ActorError) -> None:
        assert receiver.future is not None
        receiver.future.set_exception(error)
        receiver.future.exception()  # who waited may have been cancelled: nobody reads it then
        self._leave(receiver)

    def _leave(self, receiver: Receiver) -> None:
        if receiver in self._parked:
            del self._parked[receiver]
            if not receiver.is_workflows:
                self._cell.unpark()


def seconds_of(timeout: float | timedelta | None) -> float | None:
    """Return a timeout in seconds, ``None`` for ever.

    Raises ``validation.invalid_input`` for a negative one.
    """
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is None or seconds == math.inf:
        return None
    if not seconds >= 0:  # refuses NaN too
        raise InvalidInput(f"a timeout is 0 or more seconds, not {seconds:g}")
    return seconds
