"""Calls over HTTP: implements ``runtime.handles.Transport`` (client-protocol, 5).

The way of a call: the service (asked once), the place of the actor in the URL, one ``POST``, the
answer or its error, and for some errors once more (:mod:`retries`).

Rule 1. An actor that a query cannot name (:func:`.addressing.by_query`) is resolved through the
        control API before each request, so that a handle never sticks to an actor that is gone.
Rule 2. In ``cbor`` mode a stator service is asked for the dialect that narrows no Python value.
        The answer says which dialect it is in, so that a proxy or an older service in between
        changes what types arrive, not whether they can be read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from stator.runtime.errors import ActorError, InternalError, InvalidRequest
from stator.runtime.handles import Address
from stator.runtime.protocol.actions import decode_action_response, encode_action_request
from stator.runtime.protocol.encoding import (
    CONTENT_TYPES,
    DIALECT_HEADER,
    NATIVE_DIALECT,
    Encoding,
)

from .addressing import Place, by_id, by_query
from .control_api import ControlApi
from .endpoint import Endpoint
from .exchange import Answer, Exchange
from .retries import is_last_word, pause_before_retry
from .service_lookup import Pause, Service, ServiceLookup

BARE_VERSION = 4

_BY_ACTOR = "x-rivet-actor"
"""On every answer that an actor gave (client-protocol, 5.3)."""


class HttpTransport:
    """Carries calls to a service. Belongs to the event loop of its first call."""

    def __init__(
        self,
        endpoint: Endpoint,
        encoding: Encoding,
        headers: Mapping[str, str],
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """``encoding`` is one of the three of the client protocol."""
        self._encoding = encoding
        self._exchange = Exchange(headers)
        self._control = ControlApi(self._exchange)
        self._lookup = ServiceLookup(self._exchange, endpoint, pause)
        self._pause = pause

    async def call(self, address: Address, action: str, arguments: Sequence[Any]) -> Any:
        """Run an action and return its output; repeats what :mod:`retries` says."""
        service = await self._lookup.service()
        encoding = self._request_encoding(service)
        headers = self._headers(service, address, encoding)
        inner = f"/action/{quote(action, safe='')}"
        body = encode_action_request(encoding, BARE_VERSION, arguments)
        requests = 0
        while True:
            requests += 1
            by_actor = False
            try:
                url = service.endpoint.url + (await self._place(service, address)).path(inner)
                answer = await self._exchange.send("POST", url, headers, body)
                by_actor = _BY_ACTOR in answer.headers
                return self._output_of(answer)
            except ActorError as error:
                if service.is_stator and is_last_word(error, address, by_actor=by_actor):
                    raise
                pause = pause_before_retry(error, requests, address, action)
                if pause is None:
                    raise
            await self._pause(pause)

    async def create(self, address: Address) -> str:
        """Create the actor and return its id. Raises ``actor.duplicate_key``."""
        service = await self._lookup.service()
        return await self._control.create(service.endpoint, address)

    async def resolve(self, address: Address) -> str:
        """Return the actor's id, creating it if the address says so.

        The id of a pinned handle is returned without asking. Raises ``actor.not_found``.
        """
        if address.actor_id is not None:
            return address.actor_id
        service = await self._lookup.service()
        if address.create:
            return await self._control.get_or_create(service.endpoint, address)
        return await self._control.find(service.endpoint, address)

    def gateway_url(self, address: Address) -> str:
        """Return the base URL of the actor: of the configured endpoint, before the first call.

        Raises ``ValueError`` for an actor that only its id can name.
        """
        endpoint = self._lookup.endpoint
        place = self._place_without_asking(endpoint, address)
        if place is None:
            raise ValueError(
                "no URL can carry this key or input: use get_for_id(actor, await handle.resolve())"
            )
        return endpoint.url + place.path("")

    async def close(self) -> None:
        """Close all connections; calls under way fail."""
        await self._lookup.close()
        await self._exchange.close()

    async def _place(self, service: Service, address: Address) -> Place:
        place = self._place_without_asking(service.endpoint, address)
        return place or by_id(await self.resolve(address))

    def _place_without_asking(self, endpoint: Endpoint, address: Address) -> Place | None:
        if address.actor_id is not None:
            return by_id(address.actor_id)
        return by_query(endpoint.namespace, address)

    def _request_encoding(self, service: Service) -> Encoding:
        # Rivet's actors would take the 64-bit integers of the native dialect for BigInts.
        is_native = service.is_stator and self._encoding is Encoding.CBOR
        return Encoding.NATIVE if is_native else self._encoding

    def _headers(self, service: Service, address: Address, encoding: Encoding) -> dict[str, str]:
        headers = {
            "x-rivet-encoding": self._encoding.name.lower(),
            "content-type": CONTENT_TYPES[encoding],
        }
        if encoding is Encoding.NATIVE:
            headers[DIALECT_HEADER] = NATIVE_DIALECT
        if service.endpoint.token:
            headers["x-rivet-token"] = service.endpoint.token
        if address.params is not None:
            # json.dumps, because it escapes what is not ASCII and a header is.
            headers["x-rivet-conn-params"] = json.dumps(msgspec.to_builtins(address.params))
        return headers

    def _output_of(self, answer: Answer) -> Any:
        encoding = self._encoding
        if encoding is Encoding.CBOR and answer.headers.get(DIALECT_HEADER) == NATIVE_DIALECT:
            encoding = Encoding.NATIVE
        if not answer.is_success:
            raise answer.error(encoding)
        try:
            return decode_action_response(encoding, answer.body)
        except InvalidRequest as error:
            raise InternalError(f"Failed to parse response: {error.message}") from error
