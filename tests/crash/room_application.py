"""The application of the crash tests of connections: everything that happens leaves a token."""

from __future__ import annotations

from typing import Any

import msgspec

from stator import Actor, Conn, Event, Options, WebSocket, action, setup
from stator.runtime import faults


class Entries(msgspec.Struct):
    """What a room holds."""

    tokens: list[str] = []
    left: list[str] = []


class Room(Actor):
    """Keeps every token, tells everybody who listens, and remembers who left."""

    state: Entries
    conn_state = {"name": ""}  # noqa: RUF012 - every connection gets a copy of it
    options = Options(can_hibernate_websocket=True)
    appended = Event[str]()

    def on_disconnect(self, conn: Conn) -> None:
        """Remember the connections that had a name."""
        if conn.state["name"]:
            self.state.left.append(conn.id)

    @action
    def append(self, token: str) -> str:
        """Keep a token and tell of it."""
        self.state.tokens.append(token)
        self.broadcast(self.appended, token)
        return token

    @action
    def tokens(self) -> list[str]:
        """Return all tokens in order."""
        return self.state.tokens

    @action
    def left(self) -> list[str]:
        """Return the ids of the named connections that left."""
        return self.state.left

    @action
    def rename(self, name: str) -> None:
        """Name the caller's connection."""
        assert self.conn is not None
        self.conn.state["name"] = name

    @action
    def describe(self) -> tuple[str, Any, str]:
        """Return id, parameters and name of the caller's connection."""
        assert self.conn is not None
        return self.conn.id, self.conn.params, self.conn.state["name"]

    @action
    def arm_kill(self, point: str) -> None:
        """Let this worker die the next time it passes the fault point ``point``."""
        faults.arm(point, faults.kill_process)

    async def on_websocket(self, ws: WebSocket) -> None:
        """Keep every message as a token and give it back."""
        async for message in ws:
            self.state.tokens.append(str(message))
            await ws.send(message)


registry = setup(use={"room": Room})
