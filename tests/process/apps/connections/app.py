"""Actors for tests of connections that are misused."""

from __future__ import annotations

from typing import Any

import msgspec

from stator import Actor, Event, WebSocket, action, setup


class Ticket(msgspec.Struct):
    """What a client must show at the door."""

    name: str
    age: int


class Room(Actor):
    """Anybody may enter, but hear only some events."""

    news = Event[str]()
    secret = Event[str](can_subscribe=lambda _actor, _conn: False)
    moody = Event[str](can_subscribe=lambda _actor, _conn: 1 / 0 > 0)

    @action
    def echo(self, value: Any = None) -> Any:
        return value

    @action
    def tell(self, name: str, text: str) -> None:
        self.broadcast(name, text)

    @action
    def add(self, one: int, other: int) -> int:
        return one + other


class Guarded(Actor):
    """Looks at tickets."""

    def on_before_connect(self, params: Ticket) -> None:
        assert params.age >= 0

    @action
    def echo(self, value: Any = None) -> Any:
        return value


class Wire(Actor):
    """A raw WebSocket that echoes."""

    async def on_websocket(self, ws: WebSocket) -> None:
        async for message in ws:
            await ws.send(message)


registry = setup(use={"room": Room, "guarded": Guarded, "wire": Wire})
