"""The calls of one connection that have no answer yet (client-protocol, 7.4).

A call is *unsent* until its message is handed to a socket and *in flight* from then on. What is
in flight when a socket is lost fails, since it may have run; what is unsent waits for the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stator.runtime.errors import ActorError

from .failures import copy_of


class PendingCalls:
    """Numbers calls, keeps what is to be sent and hands out the answers."""

    def __init__(self) -> None:
        self._next_id = 0
        self._unsent: dict[int, bytes] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}

    def add(self, encode: Callable[[int], bytes]) -> tuple[int, asyncio.Future[Any]]:
        """Queue a call whose message ``encode`` makes of its id; raises what ``encode`` raises.

        Ids begin at 0 and go on across reconnections.
        """
        number = self._next_id
        message = encode(number)
        self._next_id += 1
        self._unsent[number] = message
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        return number, answer

    def forget(self, number: int) -> None:
        """Send it no more, if it was not, and drop its answer."""
        self._unsent.pop(number, None)
        self._answers.pop(number, None)

    def take_unsent(self) -> bytes | None:
        """Return the next message to send; its call is in flight from now on."""
        number = next(iter(self._unsent), None)
        return None if number is None else self._unsent.pop(number)

    def succeed(self, number: int, output: Any) -> None:
        """Answer a call; an unknown id is ignored (7.3)."""
        answer = self._answers.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(output)

    def fail(self, number: int, error: ActorError) -> None:
        """Fail a call; an unknown id is ignored."""
        answer = self._answers.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_exception(copy_of(error))

    def fail_in_flight(self, error: ActorError) -> None:
        """Fail what was sent; what was not stays."""
        for number in self._answers.keys() - self._unsent.keys():
            self.fail(number, error)

    def fail_all(self, error: ActorError) -> None:
        """Fail everything."""
        self._unsent.clear()
        self.fail_in_flight(error)
