"""Raw HTTP through the gateway: both bodies stream, neither end reads ahead of the other.

A client that leaves ends the exchange at its worker, which cancels the handler.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp import web

from stator.runtime.errors import ActorRestarting, BodyTooLarge, ClientLeft, RequestTimeout
from stator.runtime.link.dialer import Dialer, Outcome
from stator.runtime.link.frames import (
    BodyCredit,
    BodyPart,
    ExchangeAborted,
    OpenExchange,
    Refusal,
    ResponseHead,
)

from .backends import refused

if TYPE_CHECKING:
    from .switchboard import Switchboard

PART_BYTES = 64 * 1024


class ClientExchange:
    """One raw request and its response."""

    def __init__(self, switchboard: Switchboard, link: Dialer, opening: OpenExchange) -> None:
        self.link = link
        self._switchboard = switchboard
        self._opening = opening
        self._reply: asyncio.Future[Outcome] | None = None
        self._credit = 0
        """How much of the request's body the handler's end will take; none before it is there."""
        self._parts: deque[tuple[bytes, bool]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[object] | None = None
        self._uploading: asyncio.Task[None] | None = None
        self._is_over = False
        self._is_aborted = False

    # -- what happens around it

    def take(self, frame: BodyPart | BodyCredit | ExchangeAborted, payload: bytes) -> None:
        """Take what the worker says."""
        if isinstance(frame, BodyCredit):
            self._credit += frame.size
            _wake(self._room)
        else:
            self._is_aborted = self._is_aborted or isinstance(frame, ExchangeAborted)
            if isinstance(frame, BodyPart):
                self._parts.append((payload, frame.is_last))
            _wake(self._waiter)

    def lose_worker(self) -> None:
        """Note that the worker is gone: what is missing of the response will not come.

        A request that was not handed over waits for the worker's successor.
        """
        if self._reply is None or not self._reply.done():
            return
        self._is_aborted = True
        _wake(self._waiter)
        _wake(self._room)

    def client_left(self) -> None:
        """Note that the client's connection is gone."""
        if not self._is_over and self._task is not None:
            self._task.cancel()

    # -- serving it

    async def serve(
        self, request: web.BaseRequest, limit: int, patience_s: float
    ) -> tuple[ResponseHead, bytes]:
        """Send the request and return the head of the response and the beginning of its body.

        Raises the error of a refusal, ``guard.invalid_request_body`` for a body over ``limit``
        bytes, ``guard.request_timeout`` for a client that stops sending.
        """
        if (request.content_length or 0) > limit:
            raise BodyTooLarge(f"the body is larger than limits.max_request_body_size ({limit})")
        self._task = asyncio.current_task()
        self._switchboard.exchanges[self._opening.id] = self
        self._reply = reply = self.link.request(self._opening)
        try:
            if self._opening.has_body:
                work = self._upload(request, limit, patience_s)
                self._uploading = upload = asyncio.get_running_loop().create_task(work)
                upload.add_done_callback(self._on_uploaded)
                first: set[asyncio.Future[Any]] = {reply, upload}
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if not reply.done():
                    upload.result()  # raises what was wrong with the body
            head, payload = await reply
        except BaseException:
            self.finish(was_cut_off=True)
            raise
        if isinstance(head, Refusal):
            self.finish(was_cut_off=False)
            raise refused(head)
        assert isinstance(head, ResponseHead)
        return head, payload

    async def read(self) -> tuple[bytes, bool]:
        """Return the next part of the response and whether it is the last.

        Raises ``actor.restarting`` if there will be no more.
        """
        while not self._parts:
            if self._is_aborted:
                raise ActorRestarting("the response broke off")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._parts.popleft()

    def passed_on(self, size: int) -> None:
        """Let the worker send as much again."""
        self.link.post(BodyCredit(self._opening.id, size))

    def finish(self, *, was_cut_off: bool) -> None:
        """Forget the exchange; a worker whose client left early is told so."""
        if self._is_over:
            return
        self._is_over = True
        self._switchboard.exchanges.pop(self._opening.id, None)
        if self._uploading is not None:
            self._uploading.cancel()
        if was_cut_off and self._reply is not None:
            self._reply.cancel()
            self.link.forget(self._opening.id)
            self.link.post(ExchangeAborted(self._opening.id))

    async def _upload(self, request: web.BaseRequest, limit: int, patience_s: float) -> None:
        size = 0
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    data = await request.content.readany()
            except TimeoutError as error:
                raise RequestTimeout from error
            except web.RequestPayloadError as error:
                raise ClientLeft from error
            size += len(data)
            if size > limit:
                request.protocol.close()
                raise BodyTooLarge(
                    f"the body is larger than limits.max_request_body_size ({limit})"
                )
            for start in range(0, len(data), PART_BYTES):
                await self._send(data[start : start + PART_BYTES], is_last=False)
            if request.content.at_eof():
                await self._send(b"", is_last=True)
                return

    def _on_uploaded(self, upload: asyncio.Task[None]) -> None:
        if not upload.cancelled() and upload.exception() is not None:
            self._is_aborted = True  # whoever waits for the response learns why, or that it ends
            _wake(self._waiter)

    async def _send(self, part: bytes, *, is_last: bool) -> None:
        while self._credit <= 0 and not self._is_aborted:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        self._credit -= len(part)
        self.link.post(BodyPart(self._opening.id, is_last), part)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
