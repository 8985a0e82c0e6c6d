"""The HTTP server: aiohttp's low-level one, with no router or middleware to pay for.

What aiohttp finds wrong before our handler sees a request (a malformed request line, a header
that is too long) is answered in the error model like everything else, and is not logged as an
error: the client is to blame, and one that repeats it must not fill the log. A client that
leaves in the middle of its request is not worth a line either.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from stator.runtime.config import Config
from stator.runtime.errors import InternalError, MalformedHttp

from .deadlines import HeadWatch, TimedConnection
from .detaching import DetachableConnection
from .gateway import Gateway
from .problems import problem_response

LINGERING_S = 1.0
"""How long the rest of a body that was refused is read, so that its sender reads the answer. A
sender that left meanwhile goes unnoticed for that long, and a drain waits for it."""


class _Connection(TimedConnection, DetachableConnection):
    """One client connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request of ours, and close."""
        if isinstance(exc, HttpProcessingError):
            error: Exception = MalformedHttp(metadata={"reason": exc.message[:200]})
        elif isinstance(exc, ConnectionError) and self._is_lost:
            raise exc  # the client left in the middle of its request
        else:
            error = InternalError()
            self.log_exception("connection failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of another answer was sent already")
        response = problem_response(error, {}, is_gateway=True)
        response.force_close()
        return response

    @property
    def _is_lost(self) -> bool:
        return self.transport is None or self.transport.is_closing()


class HttpServer(web.Server):
    """Makes a connection handler for each client."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


def make_server(gateway: Gateway, config: Config) -> HttpServer:
    """Return the server of the public port."""
    return HttpServer(
        gateway.handle,
        heads=HeadWatch(asyncio.get_running_loop(), config.server.header_timeout),
        access_log=None,
        keepalive_timeout=config.server.keep_alive,
        lingering_time=LINGERING_S,
        max_line_size=config.limits.max_header_size,
        max_field_size=config.limits.max_header_size,
        logger=logging.getLogger("stator.http"),
    )
