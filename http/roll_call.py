"""Keeps WebSockets alive, and finds those whose client is gone: one timer for all of them."""

from __future__ import annotations

import asyncio

from .open_sockets import OpenSockets
from .web_socket import WebSocket

TICKS_PER_ROUND = 16
"""A round is spread out, so that ten thousand pings are not written in one turn of the loop."""


class RollCall:
    """Calls every open socket once in each round, which takes ``interval_s``.

    Rule 1. A socket that was silent since it was last called is sent a ping.
    Rule 2. A socket that stays silent for ``timeout_s`` after that is aborted.
    Rule 3. Whatever arrives is a sign of life. A socket that the gateway does not read from
            cannot give one, and is taken for alive.
    """

    def __init__(
        self,
        sockets: OpenSockets,
        *,
        interval_s: float,
        timeout_s: float,
        ticks_per_round: int = TICKS_PER_ROUND,
    ) -> None:
        self._sockets = sockets
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._ticks_per_round = ticks_per_round
        self._tick_of_round = 0
        self._uncalled: list[WebSocket] = []
        self._deadlines: dict[WebSocket, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Call from now on; an interval of 0 means never."""
        if self._interval_s > 0:
            self._tick_later()

    def stop(self) -> None:
        """Call no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tick(self, now: float) -> None:
        """Abort whose time is up at ``now`` (seconds), and call the next part of the round."""
        self._abort_late(now)
        if self._tick_of_round == 0:
            self._uncalled = list(self._sockets)
        ticks_left = self._ticks_per_round - self._tick_of_round
        self._tick_of_round = (self._tick_of_round + 1) % self._ticks_per_round
        for _ in range(-(-len(self._uncalled) // ticks_left)):
            self._call(self._uncalled.pop(), now + self._timeout_s)

    def _call(self, socket: WebSocket, deadline: float) -> None:
        if socket.was_heard or not socket.is_listening:
            socket.was_heard = False
            self._deadlines.pop(socket, None)
        elif socket not in self._deadlines:
            socket.ping()
            self._deadlines[socket] = deadline

    def _abort_late(self, now: float) -> None:
        late: list[WebSocket] = []
        for socket, deadline in self._deadlines.items():  # in the order of their deadlines
            if deadline > now:
                break
            late.append(socket)
        for socket in late:
            del self._deadlines[socket]
            if socket.is_listening and not socket.was_heard:
                socket.abort()

    def _tick_later(self) -> None:
        pause_s = self._interval_s / self._ticks_per_round
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._run)

    def _run(self) -> None:
        self._tick_later()
        self.tick(asyncio.get_running_loop().time())
