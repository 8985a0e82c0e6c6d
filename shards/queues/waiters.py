"""Who waits for a message to be completed: the actor's own code, or a client (publications.py)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from stator.runtime.clock import Clock
from stator.runtime.errors import Aborted
from stator.runtime.queue_errors import QueueTimedOut

from .messages import decode_body, encode_body

if TYPE_CHECKING:
    from ..cell import Held


class Waiter(Protocol):
    """Waits for one message to be completed."""

    def prepare(self, reply: Any) -> bytes:
        """Encode the reply; changes nothing. Raises ``actor.output_not_serializable``."""
        ...

    def complete(self, reply: bytes) -> None:
        """Take what :meth:`prepare` made: the message is completed, in the last batch."""
        ...

    def let_stop(self) -> None:
        """No longer hold up a stop of the actor that has begun."""
        ...

    def hand_over(self, message_id: int) -> Held | None:
        """Let go; return the request with which the next generation goes on, if there is one."""
        ...

    def fail(self, error: BaseException) -> None:
        """Give up: nothing of this generation can be told any more."""
        ...


class LocalWaiter:
    """``enqueue_and_wait``; implements :class:`Waiter`.

    The reply goes through bytes, so that who sends and who completes never share an object.
    """

    __slots__ = ("_clock", "_future")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def wait(self, seconds: float | None) -> Any:
        """Return the reply. Raises ``queue.timed_out`` after ``seconds``."""
        timer = None
        if seconds is not None:
            error = QueueTimedOut(f"the message was not completed within {seconds:g} s")
            timer = self._clock.call_later(seconds, self.fail, error)
        try:
            return decode_body(await self._future)
        finally:
            if timer is not None:
                timer.cancel()

    def prepare(self, reply: Any) -> bytes:
        """Encode the reply. Raises ``actor.output_not_serializable``."""
        return encode_body(reply, "reply")

    def complete(self, reply: bytes) -> None:
        """Let the code that waits go on."""
        if not self._future.done():
            self._future.set_result(reply)

    def let_stop(self) -> None:
        """Do nothing: what holds the stop up is the code that waits."""

    def hand_over(self, message_id: int) -> None:
        """Give up: the code that waits belongs to this generation."""
        self.fail(Aborted())

    def fail(self, error: BaseException) -> None:
        """Raise ``error`` in the code that waits."""
        if not self._future.done():
            self._future.set_exception(error)
            self._future.exception()  # who waited may have been cancelled: nobody reads it then
