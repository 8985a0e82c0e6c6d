"""Responses of the gateway.

An action's answer is the hot path: its head is written as one string around prepared parts, and
goes out in one write. Building the same from a multi-dict costs four times as much, measured in
docs/performance.md. Everything else uses :func:`json_response`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

DRAIN_ABOVE_BYTES = 64 * 1024
"""When this much waits for a client that does not read, its next answer waits as well."""

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class _Clock:
    """The ``Date`` header, made once a second."""

    second = 0
    header = ""


def date_header() -> str:
    """Return the line ``date: ...`` of this second (RFC 9110, 6.6.1)."""
    now = int(time.time())
    if now != _Clock.second:
        _Clock.second, _Clock.header = now, f"date: {formatdate(now, usegmt=True)}\r\n"
    return _Clock.header


class WireResponse(web.StreamResponse):
    """A whole response whose head lines are given as text, each ending in CR LF."""

    def __init__(self, status: int, head: str, body: bytes, *, keep_alive: bool) -> None:
        super().__init__(status=status)
        if not keep_alive:
            head += "connection: close\r\n"
            self.force_close()
        else:
            self._keep_alive = True
        start = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n"
        rest = f"content-length: {len(body)}\r\n{date_header()}\r\n"
        self._wire = (start + head + rest).encode("utf-8") + body

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the response. Raises ``ConnectionResetError`` if the client is gone."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client closed the connection")
        transport.write(self._wire)
        if transport.get_write_buffer_size() > DRAIN_ABOVE_BYTES:
            await request.writer.drain()
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: :meth:`prepare` wrote everything."""


def may_keep_alive(request: web.BaseRequest) -> bool:
    """Whether the connection stays open. To HTTP/1.0 clients it is closed: they would need a
    header to know, and count on nothing."""
    return request.keep_alive and request.version >= HttpVersion11


def json_response(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return ``value`` as JSON."""
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        headers=headers,
        content_type="application/json",
    )
