"""The actors that the Python client connects to in the process tests."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from stator import Actor, Event, Options, Request, Response, UserError, WebSocket, action, setup


class Line(msgspec.Struct):
    """What was said."""

    text: str
    at: dt.datetime


class Room(Actor, rename="camel"):
    """Says to all what one says."""

    options = Options(sleep_grace_period=0.1)
    state = {"lines": 0}  # noqa: RUF012 - as applications write it
    said = Event[Line]()
    moved = Event[tuple[int, str]]()
    pinged = Event[None]()
    secret = Event[str](can_subscribe=lambda _actor, _conn: False)

    def on_before_connect(self, params: Any) -> None:
        if params == "stranger":
            raise UserError("not you", code="denied", metadata={"who": params})

    @action
    def say(self, text: str) -> int:
        self.state["lines"] += 1
        self.broadcast(self.said, Line(text, dt.datetime(2026, 1, 2, tzinfo=dt.UTC)))
        self.broadcast(self.moved, self.state["lines"], text)
        self.broadcast(self.pinged)
        return int(self.state["lines"])

    @action
    def who(self) -> list[Any]:
        assert self.conn is not None
        return [self.conn.id, self.conn.params]

    @action
    async def kick(self, reason: str) -> None:
        assert self.conn is not None
        await self.conn.disconnect(reason)

    @action
    async def wait(self) -> None:
        await asyncio.Event().wait()

    @action
    def kill_worker_once(self, marker: str) -> str:
        if not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    @action
    def refuse(self) -> None:
        raise UserError("no seat", code="full", metadata={"seats": 3})

    @action
    def go_to_sleep(self) -> None:
        self.sleep()

    @action
    def vanish(self) -> None:
        self.destroy()

    async def on_request(self, request: Request) -> Response:
        if request.path == "/stream":
            return Response(self.numbers())
        body = await request.body()
        seen = [request.method, request.path, request.raw_query, len(body)]
        return Response.json(seen, status=201, headers={"x-seen": "yes"})

    async def numbers(self) -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"{number}\n".encode()

    async def on_websocket(self, ws: WebSocket) -> None:
        async for message in ws:
            if message == "bye":
                await ws.close(4321, "bye.now")
            else:
                await ws.send(message)


registry = setup(use={"room": Room})
