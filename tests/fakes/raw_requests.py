"""Raw HTTP requests without a gateway, and an actor to serve them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable
from typing import Any

from stator import Actor, Request, Response
from stator.runtime.errors import ActorError
from tests.fakes.recording_log import RecordingLog

GONE = ActorError("the client went away", group="http", code="gone")


class ScriptedBody:
    """A body whose chunks and end the test decides (``runtime.raw_http.BodySource``)."""

    def __init__(self, *chunks: bytes | ActorError) -> None:
        self._arrived: asyncio.Queue[bytes | ActorError] = asyncio.Queue()
        for chunk in chunks:
            self.feed(chunk)

    def feed(self, chunk: bytes | ActorError) -> None:
        """Let a chunk arrive, the end (``b""``) or an error."""
        self._arrived.put_nowait(chunk)

    async def read(self) -> bytes:
        """Return the next chunk or raise the error in its place."""
        chunk = await self._arrived.get()
        if isinstance(chunk, ActorError):
            raise chunk
        return chunk


def make_request(
    target: str = "/",
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes | ScriptedBody | None = None,
) -> Request:
    """Return a request as the worker makes it; ``target`` is path and query."""
    path, _, query = target.partition("?")
    given = {"Host": "example.test:6420", **(headers or {})}
    if isinstance(body, bytes):
        body = ScriptedBody(body, b"")
    return Request(
        method=method,
        path=path,
        raw_query=query,
        url=f"http://example.test:6420/gateway/a/request{target}",
        raw_headers=[(name.encode(), value.encode()) for name, value in given.items()],
        body=body,
    )


class Served(Actor):
    """An actor outside a worker; it remembers what it was asked to stay awake for."""

    def __init__(self) -> None:
        self.lines = RecordingLog()
        self.kept: list[asyncio.Future[Any]] = []

    @property
    def log(self) -> RecordingLog:
        """The lines it logged."""
        return self.lines

    def keep_awake(self, awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
        """Remember what is under way."""
        future = asyncio.ensure_future(awaitable)
        self.kept.append(future)
        return future


async def whole_body(response: Response) -> bytes:
    """Return the body of a response, read to its end."""
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])


def streamed(response: Response) -> AsyncIterable[bytes]:
    """Return the body of a response that is streamed."""
    assert not isinstance(response.body, bytes)
    return response.body
