"""What a client asks once, before everything else: the metadata of its service (1.3).

The reference client repeats a failed look-up for ever. A call that never returns tells nobody
what is wrong, so this one gives up, and the next call starts again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote_plus

import msgspec

from stator.runtime.errors import ActorError, InternalError
from stator.runtime.version import PRODUCT

from .endpoint import Endpoint, redirected
from .exchange import Exchange

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Between five requests; the reference goes on to 15 s."""
TIMEOUT_S = 5.0
"""Of one request."""

Pause = Callable[[float], Awaitable[None]]
"""``asyncio.sleep``, or what a test puts in its place."""


class Service(msgspec.Struct, frozen=True):
    """What a client knows of its service after asking."""

    endpoint: Endpoint
    is_stator: bool = False


class Metadata(msgspec.Struct, rename="camel"):
    """The members of the answer that are read."""

    client_endpoint: str | None = None
    client_namespace: str | None = None
    client_token: str | None = None
    server: Any = None
    """Stator's own; absent elsewhere."""


class ServiceLookup:
    """Finds the service once for all calls of a client."""

    def __init__(self, exchange: Exchange, endpoint: Endpoint, pause: Pause) -> None:
        self.endpoint = endpoint
        """The configured one, then the one the service names."""
        self._exchange = exchange
        self._pause = pause
        self._service: Service | None = None
        self._lookup: asyncio.Task[Service] | None = None

    async def service(self) -> Service:
        """Return the service; concurrent callers share one look-up.

        Raises ``rivetkit.internal_error`` after 7.5 s of failures, longer if requests hang.
        """
        if self._service is not None:
            return self._service
        if self._lookup is None or self._lookup.done():
            self._lookup = asyncio.create_task(self._look_up())
        lookup = self._lookup
        try:
            return await asyncio.shield(lookup)
        except asyncio.CancelledError:
            if lookup.cancelled():
                raise RuntimeError("the client is closed") from None
            raise

    async def close(self) -> None:
        """End a look-up under way; its callers raise ``RuntimeError``."""
        if self._lookup is not None:
            self._lookup.cancel()
            await asyncio.wait([self._lookup])

    async def _look_up(self) -> Service:
        for pause in (*PAUSES_S, None):
            try:
                self._service = await self._ask()
            except (ActorError, ValueError, msgspec.MsgspecError) as error:
                if pause is None:
                    raise InternalError(
                        f"no metadata from {self.endpoint.url}: {_reason(error)}"
                    ) from error
                await self._pause(pause)
            else:
                break
        assert self._service is not None
        self.endpoint = self._service.endpoint
        return self._service

    async def _ask(self) -> Service:
        endpoint = self.endpoint
        url = f"{endpoint.url}/metadata?namespace={quote_plus(endpoint.namespace)}"
        answer = await self._exchange.send("GET", url, bearer(endpoint.token), timeout_s=TIMEOUT_S)
        if not answer.is_success:
            raise ValueError(f"status {answer.status}")
        metadata = msgspec.json.decode(answer.body, type=Metadata)
        if metadata.client_endpoint:
            endpoint = redirected(
                endpoint,
                metadata.client_endpoint,
                metadata.client_namespace,
                metadata.client_token,
            )
        return Service(endpoint, is_stator=metadata.server == PRODUCT)


def bearer(token: str | None) -> dict[str, str]:
    """Return the header that carries the token to ``/metadata`` and ``/actors`` (3.5)."""
    return {"authorization": f"Bearer {token}"} if token else {}


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, ActorError) else str(error)
