"""Actors that sleep, wake, fail and are destroyed in the process tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stator import Actor, Conn, Event, Options, Queue, WebSocket, action, setup


class Sleeper(Actor, rename="camel"):
    """Keeps in its state what happened to it."""

    options = Options(sleep_timeout=1.0, can_hibernate_websocket=True)
    state: list[str]
    rang = Event[str]()

    def create_state(self, given: object) -> list[str]:
        return []

    def on_wake(self) -> None:
        self.vars = 0
        self.state.append("wake")

    async def on_sleep(self) -> None:
        await asyncio.sleep(0.05)
        self.state.append("sleep")

    def on_disconnect(self, conn: Conn) -> None:
        if conn.is_hibernatable:
            self.state.append("gone")

    @action
    def seen(self) -> list[str]:
        return self.state

    @action
    async def ring_after(self, delay: float, text: str) -> None:
        await self.schedule.after(delay, self.ring, text)

    @action
    def ring(self, text: str) -> None:
        self.state.append(text)
        self.broadcast(self.rang, text)

    async def on_websocket(self, ws: WebSocket) -> None:
        async for message in ws:
            await ws.send(f"{message!s}, restored: {ws.restored}")


class Heavy(Sleeper):
    """Would not sleep by itself during a test."""

    options = Options(sleep_timeout=3600.0)


class Loop(Actor):
    """Adds up what comes, in a run loop that waits."""

    options = Options(sleep_timeout=1.0)
    state: list[int]
    jobs = Queue[int, int]()

    def create_state(self, given: object) -> list[int]:
        return [0, 0]

    def on_wake(self) -> None:
        self.state[0] += 1

    async def run(self) -> None:
        async for message in self.queue.iter(self.jobs, completable=True):
            self.state[1] += message.body
            await message.complete(self.state[1])

    @action
    def seen(self) -> list[int]:
        return self.state


class Marked(Actor):
    """Is given the path of a file that says what it does."""

    options = Options(sleep_timeout=3600.0)
    state: str

    def create_state(self, given: str) -> str:
        return given

    def on_wake(self) -> None:
        if Path(self.state).exists():
            raise RuntimeError("the file is there")

    def on_sleep(self) -> None:
        self._write("sleep")

    def on_destroy(self) -> None:
        self._write("destroy")

    def _write(self, what: str) -> None:
        Path(f"{self.state}.{what}").touch()

    @action
    def serve(self) -> str:
        return self.actor_id


class Once(Marked):
    """A job that destroys its actor when it is done."""

    async def run(self) -> None:
        await asyncio.sleep(0)
        self.destroy()


registry = setup(
    use={"sleeper": Sleeper, "heavy": Heavy, "loop": Loop, "marked": Marked, "once": Once}
)
