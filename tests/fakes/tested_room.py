"""An actor with something of everything, for the tests of ``stator.testing``."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import msgspec

from stator import Actor, Conn, Event, Options, Request, Response, WebSocket, action, setup

SLEEP_TIMEOUT_S = 30.0


class RoomState(msgspec.Struct):
    """What stays."""

    total: int = 0
    slept: int = 0


class TestedRoom(Actor):
    """Counts; what it holds in ``vars`` ends with its time in memory."""

    __test__ = False

    options = Options(sleep_timeout=SLEEP_TIMEOUT_S)
    state: RoomState
    counted = Event[int]()

    gate = asyncio.Event()
    """What :meth:`wait` waits for; a test puts its own there."""
    seen: ClassVar[list[str]] = []
    """What happened, for all rooms; a test puts its own there."""

    def create_vars(self) -> dict[str, int]:
        return {"calls": 0}

    def on_sleep(self) -> None:
        self.state.slept += 1
        self.seen.append("asleep")

    def on_disconnect(self, conn: Conn) -> None:
        if conn.is_hibernatable:  # not that of a single call
            self.seen.append("disconnected")

    @action
    def add(self, by: int = 1) -> int:
        """Count and tell everyone."""
        self.vars["calls"] += 1
        self.state.total += by
        self.broadcast(self.counted, self.state.total)
        return self.state.total

    @action
    def slept(self) -> int:
        """Return how often it slept."""
        return self.state.slept

    @action
    def calls(self) -> int:
        """Return how often it counted since it was woken."""
        return int(self.vars["calls"])

    @action
    async def wait(self) -> int:
        """Wait for the gate, then count."""
        self.seen.append("waiting")
        await self.gate.wait()
        self.seen.append("through")
        return self.add()

    async def on_request(self, request: Request) -> Response:
        return Response.json({"path": request.path, "url": request.url})

    async def on_websocket(self, ws: WebSocket) -> None:
        async for message in ws:
            await ws.send(f"{message}!" if isinstance(message, str) else message)


registry = setup(use={"room": TestedRoom})
