"""The client for asyncio (python-api, section 11)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Literal, Self, get_args

from stator.runtime.protocol.encoding import encoding_of

from .endpoint import read_endpoint
from .handle import Handles
from .http_transport import HttpTransport

EncodingName = Literal["cbor", "bare", "json"]


class Client(Handles):
    """Calls the actors of a service::

        async with Client("http://127.0.0.1:6420") as client:
            total = await client.get_or_create("counter", ["visits"]).increment(1)

    Making one connects to nothing. It belongs to the event loop of its first call.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        namespace: str | None = None,
        encoding: EncodingName = "cbor",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Left out, ``endpoint``, ``namespace`` and ``token`` come from the environment:
        ``RIVET_ENGINE`` or ``RIVET_ENDPOINT``, ``RIVET_NAMESPACE``, ``RIVET_TOKEN``.

        ``headers`` go with every request. Raises ``ValueError``.
        """
        if encoding not in get_args(EncodingName):
            raise ValueError(f"encoding is 'cbor', 'bare' or 'json', not {encoding!r}")
        target = read_endpoint(endpoint, namespace=namespace, token=token, environ=os.environ)
        super().__init__(HttpTransport(target, encoding_of(encoding), headers or {}))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; later calls raise ``RuntimeError``. May be called twice."""
        await self._http.close()
