"""The requests of a test's client: they wait while the clock of the service moves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
from multidict import MultiMapping

from stator.client.exchange import Answer, Body, Exchange

if TYPE_CHECKING:
    OpenSocket = aiohttp.ClientWebSocketResponse[Literal[True]]
else:
    OpenSocket = aiohttp.ClientWebSocketResponse  # not generic in every version

Still = Callable[[], Awaitable[None]]
"""Returns when the clock stands."""


class PatientExchange(Exchange):
    """Sends to a Unix socket, whenever the clock stands."""

    def __init__(self, unix_socket: str, still: Still) -> None:
        super().__init__({}, unix_socket=unix_socket)
        self._still = still
        self.socket_class = _patient_socket(still)

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send one request and read the whole answer."""
        await self._still()
        return await super().send(method, url, headers, body, timeout_s=timeout_s)

    async def open_response(
        self, method: str, url: str, headers: MultiMapping[str], body: Body
    ) -> aiohttp.ClientResponse:
        """Send one request and return its answer as soon as its head is here."""
        await self._still()
        return await super().open_response(method, url, headers, body)

    async def open_socket(
        self, url: str, protocols: list[str]
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open a WebSocket, which waits with what it sends as well."""
        await self._still()
        return await super().open_socket(url, protocols)


def _patient_socket(still: Still) -> type[OpenSocket]:
    class PatientSocket(OpenSocket):
        async def send_str(self, data: str, compress: int | None = None) -> None:
            await still()
            await super().send_str(data, compress)

        async def send_bytes(self, data: bytes, compress: int | None = None) -> None:
            await still()
            await super().send_bytes(data, compress)

        async def close(self, **how: Any) -> bool:
            await still()
            return await super().close(**how)

    return PatientSocket
