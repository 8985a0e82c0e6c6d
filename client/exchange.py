"""One HTTP request and its answer, over a session that is opened by the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from yarl import URL

from stator.runtime.errors import ActorError, InternalError
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import decode_error
from stator.runtime.version import VERSION

KEEP_ALIVE_S = 4.0
"""Shorter than any server's: a request that meets a connection just being closed is lost."""
MAX_SOCKETS = 256
"""Calls beyond these wait for a free one."""
CONNECT_TIMEOUT_S = 30.0


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

    def __init__(self, headers: Mapping[str, str]) -> None:
        """``headers`` go with every request and win over its own (client-protocol, 5.1)."""
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._session: aiohttp.ClientSession | None = None
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

    async def close(self) -> None:
        """Close the connections; requests in flight fail."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise RuntimeError("the client is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_SOCKETS, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": f"stator/{VERSION}"},
            )
        return self._session
