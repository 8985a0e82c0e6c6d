"""An actor whose end, asleep or destroyed, lasts until a test lets it go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from stator import Actor, Conn, Options, Request, Response, action
from tests.fakes.actor_life import Life, life_of
from tests.fakes.engine_in_process import turns
from tests.fakes.memory_store import MemoryDisk

GRACE_S = 10.0
SEEN: list[Any] = []


class It(Actor):
    """Notes how it ends; what it does lasts until a test opens its gate."""

    options = Options(sleep_grace_period=GRACE_S, no_sleep=True)
    state: int = 0

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.hook = asyncio.Event()
        self.hook.set()

    async def on_sleep(self) -> None:
        SEEN.append("on_sleep")
        await self.hook.wait()
        self.state += 100

    async def on_destroy(self) -> None:
        SEEN.append("on_destroy")
        await self.hook.wait()

    @action
    def get(self) -> int:
        return self.state

    @action
    async def work(self) -> str:
        await self._do("action")
        return "ended"

    @action
    def keep_busy(self) -> None:
        self.keep_awake(self._do("keep_awake"))

    @action
    def wait_behind(self) -> None:
        self.wait_until(self._do("wait_until"))

    @action
    def fall_asleep(self) -> None:
        self.sleep()

    @action
    def vanish(self) -> None:
        self.destroy()

    @action
    def fall_asleep_and_vanish(self) -> None:
        self.sleep()
        self.destroy()

    @action
    async def vanish_after(self) -> str:
        self.destroy()
        await self.gate.wait()
        return "ended"

    async def _do(self, what: str) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            SEEN.append(f"{what} cancelled")
            raise
        self.state += 1
        SEEN.append(what)


class Looping(It):
    async def run(self) -> None:
        await self._do("run")


class Served(It):
    async def on_request(self, request: Request) -> Response:
        await self._do("request")
        return Response("ended")

    async def on_disconnect(self, conn: Conn) -> None:
        if conn.params == "slow":
            await self._do("on_disconnect")


async def ask_for(end: str, it: Life) -> None:
    """Begin the end of a life; it is not waited for."""
    it.send("fall_asleep" if end == "sleep" else "vanish")
    await turns()


@asynccontextmanager
async def ending(
    end: str, *works: str, kind: type[It] = It, disk: MemoryDisk | None = None
) -> AsyncGenerator[tuple[Life, It]]:
    """Let an actor do some work, and end its life; the instance of that life is given."""
    async with life_of(kind, disk) as it:
        await it.call("get")
        for work in works:
            it.send(work)
        await turns()
        actor = it.actor
        await ask_for(end, it)
        yield it, actor


WORKS = {
    "action": ("work", It),
    "keep_awake": ("keep_busy", It),
    "wait_until": ("wait_behind", It),
    "run": ("get", Looping),
}
ENDS = ["sleep", "destroy"]


def is_here(it: Life, actor: It) -> bool:
    """Return whether that life of the actor goes on."""
    return it.is_awake and it.actor is actor
