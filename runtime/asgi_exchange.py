"""One HTTP request on its way through an ASGI application.

The application runs in a task of its own; :class:`Exchange` stands between it and the actor, and
is the body of the response at the same time.

Rule 1. The response is given when the application started it. At most one chunk waits to be
        taken; ``send`` returns when it was, except for the last one.
Rule 2. What the application raises before ``http.response.start`` is raised to the actor, what it
        raises while its response is incomplete ends the body, and what it raises later is logged.
Rule 3. Who closes the body before its end cancels the application. After the end it may go on
        (background tasks) and keeps the actor awake.
Rule 4. When the request cannot be read the application hears of a disconnect, and the actor gets
        the error that says why.
Rule 5. A response that can have no body (``HEAD``, 204, 304) is given empty. What is sent for it
        is dropped as far as ``content-length`` announced it; beyond that the client is gone.
Rule 6. An exchange that is over leaves no cycle: workers collect garbage rarely, and generators
        of the application are closed when they are collected.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from .asgi_lifespan import Application, Message
from .errors import ActorError
from .raw_http import EMPTY_STATUSES, GivenHeaders, Request, Response

if TYPE_CHECKING:
    from .actor import Actor


class ClientDisconnected(OSError):
    """Nobody reads this response any more; what ASGI 2.4 wants ``send`` to raise."""


class ApplicationResponse(Response):
    """A response of an application; the length it announced is enforced, so it is kept."""

    __slots__ = ("_announced",)

    def __init__(
        self,
        body: bytes | AsyncIterable[bytes],
        status: int,
        headers: GivenHeaders,
        announced: int | None,
    ) -> None:
        self._announced = announced
        super().__init__(body, status, headers)

    def _right_length(self, given: list[str]) -> str | None:
        return None if self._announced is None or self.status == 204 else str(self._announced)


class Exchange:
    """The two sides of one request: ``receive`` and ``send`` here, the response there."""

    def __init__(self, app: Application, scope: Message, request: Request, actor: Actor) -> None:
        self._app = app
        self._scope = scope
        self._request = request
        self._actor = actor
        self._chunks: AsyncIterator[bytes] | None = None
        self._is_received = False
        self._lost: ActorError | None = None
        """Why the rest of the request cannot be read."""
        self._status = 0
        self._is_started = False
        """Whether the application started its response."""
        self._headers: list[tuple[str, str]] = []
        self._has_body = True
        self._announced: int | None = None
        """The ``content-length`` of the response."""
        self._sent = 0
        self._chunk = b""
        self._is_complete = False
        self._is_gone = False
        self._is_kept = False
        self._is_told = False
        """Whether the application was told that nobody reads its response."""
        self._failure: Exception | None = None
        """What is to be raised to the actor (rule 2)."""
        self._has_begun = asyncio.Event()
        """For the actor: the response was started, or it will not be."""
        self._has_news = asyncio.Event()
        """For the reader: there is a chunk, or there will be none."""
        self._is_free = asyncio.Event()
        """For the application: the chunk was taken."""
        self._is_over = asyncio.Event()
        """For the application: there is nothing left to receive."""
        self._task: asyncio.Task[None]

    # -- the actor's side

    async def respond(self) -> Response:
        """Run the application and return its response when it starts. Raises by rule 2."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            await self._has_begun.wait()
            if self._failure is not None and not self._is_started:
                raise self._take_failure()
            return self._make_response()
        except BaseException:
            await self.aclose()
            raise

    def _make_response(self) -> Response:
        body: bytes | Exchange = self
        if self._is_complete or not self._has_body:
            body = self._take()
        response = ApplicationResponse(body, self._status, self._headers, self._announced)
        if body is not self:
            self._keep_running()
        return response

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> bytes:
        await self._has_news.wait()
        if chunk := self._take():
            return chunk
        if self._failure is not None:
            raise self._take_failure()
        self._keep_running()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Take no more of the body; returns when the application has ended, if it was not done."""
        if self._is_complete:
            self._take()
            self._keep_running()
        elif not self._task.done():
            self._is_gone = True
            self._is_over.set()
            self._task.cancel()
            await asyncio.wait({self._task})
        elif self._failure is not None:
            self._log_late(self._take_failure())

    def _take(self) -> bytes:
        chunk, self._chunk = self._chunk, b""
        self._is_free.set()
        if not self._is_complete and self._failure is None:
            self._has_news.clear()
        return chunk

    def _take_failure(self) -> Exception:
        failure, self._failure = self._failure, None
        assert failure is not None
        self._is_complete = True
        return failure

    def _keep_running(self) -> None:
        if not (self._is_kept or self._task.done()):
            self._is_kept = True
            self._actor.keep_awake(self._task)

    # -- the application's side

    async def receive(self) -> Message:
        """Give the application the next part of the request, in the end a disconnect."""
        if not (self._is_received or self._is_over.is_set()):
            try:
                return await self._receive_body()
            except ActorError as error:
                self._lost = error
                self._is_over.set()
        await self._is_over.wait()
        return {"type": "http.disconnect"}

    async def _receive_body(self) -> Message:
        if self._chunks is None:
            self._chunks = self._request.stream()
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._is_received = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(self, message: Message) -> None:
        """Take a message of the application; returns when the next one may come."""
        kind = message["type"]
        if self._is_gone:
            self._is_told = True
            raise ClientDisconnected("nobody reads this response any more")
        if kind == "http.response.start" and not self._is_started:
            self._start(message)
        elif kind == "http.response.body" and self._is_started and not self._is_complete:
            await self._add(bytes(message.get("body", b"")), bool(message.get("more_body", False)))
        else:
            raise RuntimeError(f"the ASGI application may not send {kind!r} now")

    def _start(self, message: Message) -> None:
        self._headers = decode_headers(message.get("headers", ()))
        self._announced = _announced_length(self._headers)
        self._status = message["status"]
        self._has_body = self._scope["method"] != "HEAD" and self._status not in EMPTY_STATUSES
        self._is_started = True
        self._has_begun.set()

    async def _add(self, chunk: bytes, more: bool) -> None:
        self._count(chunk, more)
        if not self._has_body:
            chunk = b""
        while self._chunk:
            await self._wait_free()
        self._chunk = chunk
        if not more:
            self._is_complete = True
            self._is_over.set()
        if chunk or not more:
            self._has_news.set()
        if chunk and more:
            await self._wait_free()

    async def _wait_free(self) -> None:
        self._is_free.clear()
        await self._is_free.wait()

    def _count(self, chunk: bytes, more: bool) -> None:
        self._sent += len(chunk)
        if self._announced is None:
            if chunk and not self._has_body:
                self._is_gone = self._is_told = True
                self._is_over.set()
                raise ClientDisconnected(f"a response {self._status} has no body here")
        elif self._sent > self._announced:
            raise RuntimeError(f"the ASGI application sent more than {self._announced} bytes")
        elif self._sent < self._announced and not more and self._has_body:
            raise RuntimeError(f"the ASGI application sent less than {self._announced} bytes")

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self.receive, self.send)
        except asyncio.CancelledError as error:
            self._end(error)
            if not self._is_gone:
                raise
            # Asked for by aclose(): a task that keeps the exception would keep all its frames.
        except Exception as error:
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        """Note that the application is done (rule 2)."""
        if self._is_complete or self._is_gone or not self._has_body:
            self._log_late(error)
            return
        lost, self._lost = self._lost, None
        if lost is not None:
            self._failure = lost
        elif isinstance(error, Exception):
            self._failure = error
        elif error is not None:
            self._failure = RuntimeError("the ASGI application was cancelled")
        elif self._is_started:
            self._failure = RuntimeError("the ASGI application did not complete its response")
        else:
            self._failure = RuntimeError("the ASGI application ended without a response")
        self._has_begun.set()
        self._has_news.set()

    def _log_late(self, error: BaseException | None) -> None:
        if self._is_told:
            self._actor.log.debug("the ASGI application stopped", error=repr(error))
        elif isinstance(error, Exception):
            self._actor.log.error("the ASGI application failed late", exc_info=error)


def decode_headers(raw: Iterable[Any]) -> list[tuple[str, str]]:
    """Return ASGI's pairs of bytes as text that :class:`Response` turns into the same bytes."""
    return [
        (bytes(name).decode("latin-1"), bytes(value).decode("utf-8", "surrogateescape"))
        for name, value in raw
    ]


def _announced_length(headers: list[tuple[str, str]]) -> int | None:
    lengths = {value for name, value in headers if name.lower() == "content-length"}
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise ValueError("the ASGI application sent a content-length that is no length")
    return int(length)
