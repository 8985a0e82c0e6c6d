"""The lifespan of an ASGI application: its start, once for each event loop.

An application that raises on the ``lifespan`` scope does not support it and is served without,
as ASGI asks for. There is no shutdown: workers end when it suits the service, by signal or crash,
so an application cannot count on being told. It waits for it until its loop cancels it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .log import Logger

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI 3 application: ``await app(scope, receive, send)``."""


class Lifespan:
    """An application in its lifespan; made inside the running event loop."""

    def __init__(self, app: Application, log: Logger) -> None:
        self.state: dict[str, Any] = {}
        """What the application put there for its requests."""
        self._app = app
        self._log = log
        self._settled = asyncio.Event()
        self._failure: str | None = None
        self._is_told = False
        # An application outlives the request it started with: nothing of that request's context
        # is its own.
        self._task = asyncio.get_running_loop().create_task(
            self._run(), context=contextvars.Context()
        )

    @property
    def has_failed(self) -> bool:
        """Whether the application said that it cannot start."""
        return self._failure is not None

    async def started(self) -> None:
        """Return once requests may come. Raises ``RuntimeError`` when the application failed."""
        await self._settled.wait()
        if self._failure is not None:
            raise RuntimeError(f"the ASGI application could not start: {self._failure}")

    async def _run(self) -> None:
        scope: Message = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:
            if not self._settled.is_set():
                self._log.info("the ASGI application has no lifespan", error=repr(error))
            elif self._failure is None:
                self._log.error("the lifespan of the ASGI application ended", exc_info=error)
        finally:
            self._settled.set()

    async def _receive(self) -> Message:
        if self._is_told:
            await asyncio.get_running_loop().create_future()
        self._is_told = True
        return {"type": "lifespan.startup"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self._failure = message.get("message", "")
        self._settled.set()
