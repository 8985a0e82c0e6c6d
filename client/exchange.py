"""One HTTP request and its answer, or one WebSocket, over sessions that the first one opens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping
from typing import Literal, NamedTuple

import aiohttp
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from stator.runtime.errors import ActorError, InternalError
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import decode_error
from stator.runtime.version import VERSION

from .failures import OpenFailed, refused

KEEP_ALIVE_S = 4.0
"""Shorter than any server's: a request that meets a connection just being closed is lost."""
MAX_SOCKETS = 256
"""Calls beyond these wait for a free one."""
CONNECT_TIMEOUT_S = 30.0

BY_ACTOR = "x-rivet-actor"
"""A header of every answer that an actor gave (client-protocol, 5.3)."""

Body = bytes | AsyncIterable[bytes] | None


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx; a redirect is a failure, as in the reference (9.1)."""
        return 200 <= self.status < 300

    def error(self, encoding: Encoding) -> ActorError:
        """Return the error this answer means; ``encoding`` is that of what an actor answers."""
        content_type = self.headers.get("content-type")
        error = decode_error(encoding, content_type, self.status, self.body)
        if ray_id := self.headers.get("x-rivet-ray-id"):
            error.add_note(f"ray id: {ray_id}")  # what the service's log calls this request
        return error


class Exchange:
    """Sends requests. Belongs to the event loop of its first request."""

    socket_class: type[aiohttp.ClientWebSocketResponse[Literal[True]]]
    socket_class = aiohttp.ClientWebSocketResponse
    """What is made of an open WebSocket."""

    def __init__(self, headers: Mapping[str, str], *, unix_socket: str | None = None) -> None:
        """``headers`` go with every request and win over its own (client-protocol, 5.1).

        ``unix_socket`` is the path of a socket to send all of them to, whatever host they name.
        """
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._unix_socket = unix_socket
        self._session: aiohttp.ClientSession | None = None
        self._sockets: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send one request with lower-case ``headers`` and read the whole answer.

        Raises ``rivetkit.internal_error`` when there is none, ``RuntimeError`` once closed.
        """
        session = self._open_session()
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                headers={**headers, **self._headers},
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            ) as response:
                return Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise InternalError(f"HTTP request error: {error or type(error).__name__}") from error

    async def open_response(
        self, method: str, url: str, headers: MultiMapping[str], body: Body
    ) -> aiohttp.ClientResponse:
        """Send one request and return its answer as soon as its head is here; to be closed.

        Raises ``rivetkit.internal_error`` when there is none, ``RuntimeError`` once closed.
        """
        session = self._open_session()
        every = CIMultiDict(headers)
        every.update(self._headers)
        try:
            return await session.request(
                method,
                URL(url, encoded=True),
                headers=every,
                data=body,
                skip_auto_headers=("content-type",),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise InternalError(f"HTTP request error: {error or type(error).__name__}") from error

    async def open_socket(
        self, url: str, protocols: list[str]
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open a WebSocket. Raises ``client.connection_open_failed``."""
        if self._is_closed:
            raise RuntimeError("the client is closed")
        if self._sockets is None:
            # Not those of the calls: an open connection would keep one from them for ever.
            self._sockets = self._make_session(limit=0)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._sockets.ws_connect(
                    URL(url, encoded=True),
                    headers=self._headers,
                    protocols=protocols,
                    max_msg_size=0,
                )
        except aiohttp.WSServerHandshakeError as error:
            text = f"no WebSocket there: status {error.status}"
            raise (refused(text) if 400 <= error.status < 500 else OpenFailed(text)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OpenFailed(f"no connection: {error or type(error).__name__}") from error

    async def close(self) -> None:
        """Close the connections; requests in flight fail."""
        self._is_closed = True
        for session in (self._session, self._sockets):
            if session is not None:
                await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise RuntimeError("the client is closed")
        if self._session is None:
            self._session = self._make_session(MAX_SOCKETS)
        return self._session

    def _make_session(self, limit: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=self._make_connector(limit),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": f"stator/{VERSION}"},
            ws_response_class=self.socket_class,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        )

    def _make_connector(self, limit: int) -> aiohttp.BaseConnector:
        if self._unix_socket is None:
            return aiohttp.TCPConnector(limit=limit, keepalive_timeout=KEEP_ALIVE_S)
        return aiohttp.UnixConnector(self._unix_socket, limit=limit, keepalive_timeout=KEEP_ALIVE_S)
