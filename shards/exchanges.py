"""Raw HTTP: runs ``on_request`` and streams both bodies (semantics page, section 10.1).

The peer holds both bodies in memory; here neither end reads further than the other one takes.
:data:`WINDOW_BYTES` of a body may be on their way, then its sender waits for a ``BodyCredit``.
The first credit for a request's body says that its handler is there: before that the request may
wait for its actor or, when workers are rolled, for another worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, cast

from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER
from stator.runtime.errors import ActionTimedOut, ActorError, ClientLeft
from stator.runtime.link.frames import (
    AnyFrame,
    BodyCredit,
    BodyPart,
    ExchangeAborted,
    OpenExchange,
    ResponseHead,
)
from stator.runtime.protocol.encoding import CONTENT_TYPES, encoding_of
from stator.runtime.protocol.error_bodies import ActorSpecifier, encode_error
from stator.runtime.raw_http import Response

from .hook_budget import Budget
from .lifecycle import Status
from .visits import Visit, admit, dismiss

if TYPE_CHECKING:
    from .cell import Cell
    from .gateway_link import GatewayLink

WINDOW_BYTES = 256 * 1024
PART_BYTES = 64 * 1024
"""The largest piece of a body in one frame, so that exchanges take turns on the link."""


class IncomingBody:
    """A request's body as it arrives; implements ``runtime.raw_http.BodySource``."""

    __slots__ = ("_error", "_exchange", "_is_complete", "_parts", "_waiter")

    def __init__(self, exchange: Exchange, *, is_complete: bool) -> None:
        self._exchange = exchange
        self._parts: deque[bytes] = deque()
        self._is_complete = is_complete
        self._error: ActorError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """Return the next piece, ``b""`` at the end. Raises ``guard.tunnel_request_aborted``."""
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self._is_complete:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        part = self._parts.popleft()
        self._exchange.send(BodyCredit(self._exchange.id, len(part)))
        return part

    def take(self, part: bytes, *, is_last: bool) -> None:
        """Queue a piece."""
        if part:
            self._parts.append(part)
        self._is_complete = self._is_complete or is_last
        self._wake()

    def abort(self) -> None:
        """Note that the client is gone."""
        self._error = ClientLeft()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Exchange(Visit):
    """One request to ``on_request`` and its response."""

    __slots__ = (
        "_body",
        "_handler",
        "_has_body",
        "_is_answered",
        "_link",
        "_outstanding",
        "_room",
        "id",
    )

    def __init__(self, cell: Cell, opening: OpenExchange, link: GatewayLink) -> None:
        super().__init__(cell, opening.params, opening.head)
        self.id = opening.id
        self._has_body = opening.has_body
        self._link = link
        self._body = IncomingBody(self, is_complete=not opening.has_body)
        self._handler: asyncio.Future[Any] | None = None
        self._is_answered = False
        self._outstanding = 0
        self._room: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Serve it in the background; from here on the body is welcome."""
        self._link.exchanges[self.id] = self
        if self._has_body:
            self.send(BodyCredit(self.id, WINDOW_BYTES))
        task = asyncio.get_running_loop().create_task(self._serve())
        self._handler = task
        self.cell.keep(task)

    # -- what its gateway says

    def take(self, frame: BodyPart, payload: bytes) -> None:
        """Take a piece of the request's body."""
        self._body.take(payload, is_last=frame.is_last)

    def credit(self, size: int) -> None:
        """Note that so many bytes of the response were passed on."""
        self._outstanding -= size
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def client_gone(self) -> None:
        """Cancel the handler: nobody waits for it any more."""
        self._is_answered = True
        self._body.abort()
        if self._handler is not None:
            self._handler.cancel()

    # -- ReplyPort

    def send(self, header: AnyFrame, payload: bytes = b"") -> None:
        """Hand a frame to the gateway now."""
        self._link.send(header, payload)

    # -- serving

    async def _serve(self) -> None:
        cell = self.cell
        cell.enter()
        try:
            await admit(self)
            await self._respond(await self._call())
        except BaseException as error:  # user code must not end the worker
            self._fail(error)
        finally:
            self._link.exchanges.pop(self.id, None)
            dismiss(self)
            if cell.queues is not None:
                cell.queues.release(self)
            cell.leave()

    async def _call(self) -> Response:
        cell = self.cell
        request = self.make_request(self._body)
        assert request is not None
        self.show(request)
        hook: Any = cell.actor
        seconds = cell.definition.settings.action_timeout
        token = CALLER.set(self)
        try:
            response = hook.on_request(request)
        finally:
            CALLER.reset(token)
        if hasattr(response, "__await__"):
            response = await self._within(seconds, response)
        if not isinstance(response, Response):
            raise TypeError(f"on_request gave {type(response).__name__}, it must give a Response")
        return response

    async def _within(self, seconds: float, work: Any) -> Any:
        """Await the handler. One that is over its time is left running, as actions are."""
        token = CALLER.set(self)
        try:
            handler = asyncio.ensure_future(result_of(work))
        finally:
            CALLER.reset(token)
        try:
            async with Budget(self.cell.shard.clock, seconds):
                await asyncio.wait({handler})
        except TimeoutError:
            self.cell.keep_awake(handler)
            problem = f"on_request did not finish within {seconds:g} s"
            raise ActionTimedOut(problem) from None
        except asyncio.CancelledError:
            handler.cancel()
            await asyncio.wait({handler}, timeout=seconds)
            raise
        return handler.result()

    async def _respond(self, response: Response) -> None:
        cell = self.cell
        cell.shard.capture(cell)
        headers = tuple(response.raw_headers())
        body = response.body
        if not isinstance(body, AsyncIterable):
            data = body.encode() if isinstance(body, str) else body
            if len(data) <= PART_BYTES:
                self._send_head(response.status, headers, data, is_last=True)
                return
            self._send_head(response.status, headers, b"", is_last=False)
            await self._send_parts(data)
        else:
            self._send_head(response.status, headers, b"", is_last=False)
            await self._stream(body)
        self._emit(BodyPart(self.id, True), b"")

    async def _stream(self, body: AsyncIterable[bytes]) -> None:
        token = CALLER.set(self)
        try:
            async for chunk in body:
                if not isinstance(cast(object, chunk), bytes | bytearray | memoryview):
                    raise TypeError(f"a streamed body gave {type(chunk).__name__}, not bytes")
                await self._send_parts(bytes(chunk))
        finally:
            CALLER.reset(token)
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    async def _send_parts(self, data: bytes) -> None:
        for start in range(0, len(data), PART_BYTES):
            while self._outstanding >= WINDOW_BYTES:
                self._room = asyncio.get_running_loop().create_future()
                await self._room
            part = data[start : start + PART_BYTES]
            self._outstanding += len(part)
            self._emit(BodyPart(self.id, False), part)

    def _send_head(
        self, status: int, headers: tuple[tuple[bytes, bytes], ...], data: bytes, *, is_last: bool
    ) -> None:
        self._is_answered = True
        if is_last:
            dismiss(self)  # before the client reads the answer (semantics page, 6.3)
        row = self.cell.row
        head = ResponseHead(
            self.id, status, headers, row.actor_id, row.generation, row.key, is_last
        )
        self._emit(head, data)

    def _emit(self, header: AnyFrame, data: bytes) -> None:
        if self.cell.status is Status.GONE:
            self.send(ExchangeAborted(self.id))
        else:
            self.cell.shard.emit(self.cell, self, header, data)

    def _fail(self, error: BaseException) -> None:
        cell = self.cell
        if self._is_answered:
            if not isinstance(error, asyncio.CancelledError | ActorError):
                cell.log.error("response failed on the way", exc_info=error)
            self._emit(ExchangeAborted(self.id), b"")
            return
        if not isinstance(error, ActorError) or error.status >= 500:
            cell.log.error("on_request failed", exc_info=error)
        cell.shard.capture_quietly(cell)
        view, row = cell.runner.view(error), cell.row
        encoding = encoding_of(self._header(b"x-rivet-encoding"))
        specifier = ActorSpecifier(row.actor_id, row.generation, row.key)
        content_type = CONTENT_TYPES[encoding].encode()
        data = encode_error(encoding, 4, view, specifier)
        self._send_head(view.status, ((b"content-type", content_type),), data, is_last=True)

    def _header(self, name: bytes) -> str | None:
        assert self.head is not None
        for key, value in self.head.headers:
            if key.lower() == name:
                return value.decode("latin-1")
        return None


def open_exchange(cell: Cell, opening: OpenExchange, link: GatewayLink) -> None:
    """Serve a raw request of a ready actor; without ``on_request`` it is answered 404."""
    if "on_request" in cell.definition.hooks:
        Exchange(cell, opening, link).start()
        return
    row = cell.row
    head = ResponseHead(opening.id, 404, (), row.actor_id, row.generation, row.key, True)
    cell.shard.answer(cell, link, head, b"")
