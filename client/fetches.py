"""Requests of one's own to an actor's ``on_request`` (client-protocol, 8.1).

Rule 1. Whatever status comes back is an answer, not an error. Only what says that the actor was
        just coming or going is asked again, as often as for a call (:mod:`retries`), if the handle
        is not pinned to an id and the body can be sent again.
Rule 2. What the actor itself answered is never asked again at a stator service, which says so.
Rule 3. A path is normalised as in a URL: ``.`` and ``..`` are resolved, empty segments dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from multidict import CIMultiDict, MultiMapping

from stator.runtime.errors import ActorError, InternalError
from stator.runtime.handles import Address
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import decode_error

from .addressing import params_text
from .directory import Directory
from .exchange import BY_ACTOR, Exchange
from .retries import pause_before_refetch
from .service_lookup import Pause, Service

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Body = bytes | str | AsyncIterable[bytes] | None

MAX_ERROR_BYTES = 65536
"""A larger answer, or one of unknown length, is no error of a gateway and is not looked into."""

_NOT_FROM_USERS = "x-rivet-internal-original-request-url"
_SAFE = "/%:@!$&'()*+,;=~-._"


class FetchResponse:
    """An answer whose body is still to be read; close it, or read it to its end."""

    def __init__(self, raw: aiohttp.ClientResponse) -> None:
        self._raw = raw

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._raw.status

    @property
    def headers(self) -> MultiMapping[str]:
        """The header fields, by name in any case."""
        return self._raw.headers

    async def read(self) -> bytes:
        """Return the whole body; kept for the next call. Raises ``rivetkit.internal_error``."""
        try:
            return await self._raw.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _broken_off(error) from error

    async def text(self) -> str:
        """Return the body in the charset of its content type, UTF-8 without one.

        Bytes that are no text in it become U+FFFD.
        """
        data = await self.read()
        try:
            return data.decode(self._raw.charset or "utf-8", "replace")
        except LookupError:  # a charset that Python does not know
            return data.decode(errors="replace")

    async def json(self) -> Any:
        """Return the body decoded from JSON. Raises ``ValueError``."""
        return msgspec.json.decode(await self.read())

    async def stream(self) -> AsyncIterator[bytes]:
        """Give the chunks of the body as they arrive, once.

        Raises ``rivetkit.internal_error`` if it breaks off.
        """
        try:
            async for chunk in self._raw.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise _broken_off(error) from error

    async def close(self) -> None:
        """Drop what was not read. May be called twice."""
        self._raw.close()

    async def __aenter__(self) -> FetchResponse:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<response {self.status}>"


def _broken_off(error: Exception) -> ActorError:
    return InternalError(f"the body broke off: {error or type(error).__name__}")


class Fetches:
    """Sends requests to actors."""

    def __init__(
        self, exchange: Exchange, directory: Directory, encoding: Encoding, pause: Pause
    ) -> None:
        """``encoding`` is what errors that are no JSON are read in."""
        self._exchange = exchange
        self._directory = directory
        self._encoding = encoding
        self._pause = pause

    async def fetch(
        self, address: Address, path: str, method: str, headers: Headers | None, body: Body
    ) -> FetchResponse:
        """Send a request to an actor, repeating it by rule 1.

        Raises ``rivetkit.internal_error`` if no answer came.
        """
        service = await self._directory.service()
        inner, query = inner_path("/request/", path)
        data = body.encode() if isinstance(body, str) else body
        fields = self._fields(service, address, headers, body)
        requests = 0
        while True:
            requests += 1
            place = await self._directory.place(service, address)
            url = service.endpoint.url + place.path(inner, query)
            raw = await self._exchange.open_response(method, url, fields, data)
            pause = None
            if data is None or isinstance(data, bytes):
                pause = await self._pause_after(raw, requests, service, address)
            if pause is None:
                return FetchResponse(raw)
            raw.close()
            await self._pause(pause)

    def _fields(
        self, service: Service, address: Address, headers: Headers | None, body: Body
    ) -> CIMultiDict[str]:
        fields = CIMultiDict(headers or ())
        fields.popall(_NOT_FROM_USERS, None)
        if isinstance(body, str):
            fields.setdefault("content-type", "text/plain; charset=utf-8")
        if service.endpoint.token:
            fields["x-rivet-token"] = service.endpoint.token
        if address.params is not None:
            fields["x-rivet-conn-params"] = params_text(address.params)
        return fields

    async def _pause_after(
        self, raw: aiohttp.ClientResponse, requests: int, service: Service, address: Address
    ) -> float | None:
        is_final = service.is_stator and BY_ACTOR in raw.headers
        length = raw.content_length
        if raw.ok or is_final or length is None or length > MAX_ERROR_BYTES:
            return None
        try:
            body = await raw.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _broken_off(error) from error
        content_type = raw.headers.get("content-type")
        told = decode_error(self._encoding, content_type, raw.status, body)
        return pause_before_refetch(told, requests, address, is_stator=service.is_stator)


def inner_path(prefix: str, path: str) -> tuple[str, str]:
    """Return the inner path and the query of what an application wrote (rule 3)."""
    whole, _, _ = path.partition("#")
    where, _, query = whole.partition("?")
    segments: list[str] = []
    *folders, last = where.split("/")
    for segment in folders:
        _step(segments, segment)
    is_folder = last in ("", ".", "..")
    _step(segments, last)
    tail = "/" if is_folder and segments else ""
    inner = quote("/".join(segments) + tail, safe=_SAFE)
    return prefix + inner, quote(query, safe=_SAFE + "?[]|")


def _step(segments: list[str], segment: str) -> None:
    if segment == "..":
        if segments:
            segments.pop()
    elif segment not in ("", "."):
        segments.append(segment)
