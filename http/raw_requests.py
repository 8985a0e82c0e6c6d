"""Answers of ``on_request`` handlers, streamed to their clients (client-protocol, 8.1)."""

from __future__ import annotations

from aiohttp import web
from multidict import CIMultiDict

from stator.runtime.config import Config
from stator.runtime.errors import ActorRestarting
from stator.runtime.link.dialer import Dialer
from stator.runtime.link.frames import OpenExchange, ResponseHead

from .cors import CrossOrigin
from .deadlines import TimedConnection
from .exchanges import ClientExchange
from .switchboard import Switchboard


class RawRequests:
    """Serves requests to actors' own HTTP handlers."""

    def __init__(self, config: Config, switchboard: Switchboard, cross_origin: CrossOrigin) -> None:
        self._switchboard = switchboard
        self._cross_origin = cross_origin
        self._limit = config.limits.max_request_body_size
        self._patience_s = config.server.header_timeout

    async def serve(
        self, request: web.BaseRequest, link: Dialer, opening: OpenExchange
    ) -> web.StreamResponse:
        """Answer a raw request. Raises what :meth:`.exchanges.ClientExchange.serve` does."""
        exchange = ClientExchange(self._switchboard, link, opening)
        connection = request.protocol
        assert isinstance(connection, TimedConnection)
        connection.on_lost = exchange.client_left
        was_cut_off = True
        try:
            head, payload = await exchange.serve(request, self._limit, self._patience_s)
            headers = self._headers(request, head, opening.ray_id)
            if head.is_last:
                was_cut_off = False
                return web.Response(status=head.status, headers=headers, body=payload)
            response = web.StreamResponse(status=head.status, headers=headers)
            await response.prepare(request)
            await self._stream(exchange, response)
            was_cut_off = False
            return response
        except ActorRestarting:
            if request.transport is not None and not request.transport.is_closing():
                if not request.writer.output_size:
                    raise
                # A part of the response is out: only a broken end says that the rest is missing.
                request.transport.abort()
            raise ConnectionResetError("the response broke off") from None
        finally:
            connection.on_lost = None
            exchange.finish(was_cut_off=was_cut_off)

    async def _stream(self, exchange: ClientExchange, response: web.StreamResponse) -> None:
        is_last = False
        while not is_last:
            part, is_last = await exchange.read()
            if part:
                await response.write(part)
                exchange.passed_on(len(part))
        await response.write_eof()

    def _headers(
        self, request: web.BaseRequest, head: ResponseHead, ray_id: str
    ) -> CIMultiDict[str]:
        headers = CIMultiDict(
            (name.decode("latin-1"), _text_of(value)) for name, value in head.headers
        )
        headers["x-rivet-actor"] = head.actor_id
        headers["x-rivet-actor-generation"] = str(head.generation)
        if head.key.isprintable():
            headers["x-rivet-actor-key"] = head.key
        headers["x-rivet-ray-id"] = ray_id
        cross_origin = self._cross_origin.gateway_headers(request.headers.get("origin"))
        if "vary" in cross_origin:
            headers.add("vary", cross_origin.pop("vary"))  # to what the handler says of caches
        headers.update(cross_origin)
        return headers


def _text_of(value: bytes) -> str:
    """Return a header's value, which leaves as UTF-8; from a handler it may come as Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
