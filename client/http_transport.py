"""Everything a client does with a service; calls and messages go over HTTP (client-protocol, 5, 6).

The way of a call: the service (asked once), the place of the actor in the URL, one ``POST``, the
answer or its error, and for some errors once more (:mod:`retries`).

In ``cbor`` mode a stator service is asked for the dialect that narrows no Python value. The answer
says which dialect it is in, so that a proxy or an older service in between changes what types
arrive, not whether they can be read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
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
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    QueueSendResponse,
    decode_queue_response,
    encode_queue_request,
)
from stator.runtime.workflow_control import Verb, VerbArguments

from .addressing import params_text
from .directory import Directory
from .endpoint import Endpoint
from .exchange import BY_ACTOR, Answer, Exchange
from .fetches import Body, Fetches, FetchResponse, Headers, inner_path
from .raw_socket import RawSocket
from .retries import (
    is_last_word,
    pause_before_control,
    pause_before_republishing,
    pause_before_retry,
)
from .service_lookup import Pause, Service, bearer
from .session import BARE_VERSION, Session, Timing
from .sockets import Sockets

T = TypeVar("T")

MSGPACK = "application/msgpack"
"""What the records of ``workflow_control.py`` travel as."""


class _Request(NamedTuple):
    inner: str
    """What follows the actor in the path."""
    headers: Mapping[str, str]
    body: bytes


class HttpTransport:
    """Carries calls to a service; implements ``runtime.handles.Transport``.

    Belongs to the event loop of its first call.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        encoding: Encoding,
        headers: Mapping[str, str],
        *,
        exchange: Exchange | None = None,
        pause: Pause = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``encoding`` is one of the three of the client protocol.

        ``exchange`` sends the requests; without it they go to the host of ``endpoint``, with
        ``headers``.
        """
        self._encoding = encoding
        self._exchange = Exchange(headers) if exchange is None else exchange
        self._directory = Directory(self._exchange, endpoint, pause)
        self._sockets = Sockets(self._exchange, self._directory)
        self._fetches = Fetches(self._exchange, self._directory, encoding, pause)
        self._sessions: set[Session] = set()
        self._pause = pause
        self._timing = Timing(pause, clock)

    async def call(self, address: Address, action: str, arguments: Sequence[Any]) -> Any:
        """Run an action and return its output; repeats what :mod:`retries` says."""
        return await self._post(
            address,
            f"/action/{quote(action, safe='')}",
            lambda encoding: encode_action_request(encoding, BARE_VERSION, arguments),
            decode_action_response,
            lambda error, requests: pause_before_retry(error, requests, address, action),
        )

    async def publish(
        self, address: Address, queue: str, message: QueueSendRequest
    ) -> QueueSendResponse:
        """Put a message into a queue; repeats what :mod:`retries` says."""
        named = msgspec.structs.replace(message, name=queue)
        return await self._post(
            address,
            f"/queue/{quote(queue, safe='')}",
            lambda encoding: encode_queue_request(encoding, BARE_VERSION, named),
            decode_queue_response,
            lambda error, requests: pause_before_republishing(error, requests, address),
        )

    async def control_workflow(
        self, address: Address, verb: Verb, arguments: VerbArguments
    ) -> bytes:
        """Bring a verb to the actor's workflow; repeats what :mod:`retries` says.

        The routes belong to the inspector, which has a token of its own and wants it as a bearer.
        """
        service = await self._directory.service()
        token = service.endpoint.token
        headers = {
            "x-rivet-encoding": "json",  # of errors
            "content-type": MSGPACK,
            "accept": MSGPACK,
            **bearer(token),
        }
        if token:
            headers["x-rivet-token"] = token
        inner = f"/inspector/workflow/{verb.name.lower()}"
        return await self._send(
            service,
            address,
            _Request(inner, headers, msgspec.msgpack.encode(arguments)),
            _record_of,
            lambda error, requests: pause_before_control(error, requests, address, verb),
        )

    async def create(self, address: Address) -> str:
        """Create the actor and return its id. Raises ``actor.duplicate_key``."""
        return await self._directory.create(address)

    async def resolve(self, address: Address) -> str:
        """Return the actor's id. Raises ``actor.not_found``."""
        return await self._directory.resolve(address)

    def gateway_url(self, address: Address) -> str:
        """Return the base URL of the actor. Raises ``ValueError`` if none can name it."""
        return self._directory.gateway_url(address)

    async def fetch(
        self, address: Address, path: str, method: str, headers: Headers | None, body: Body
    ) -> FetchResponse:
        """Send a raw request to the actor (:mod:`fetches`)."""
        return await self._fetches.fetch(address, path, method, headers, body)

    async def open_raw(self, address: Address, path: str) -> RawSocket:
        """Open a raw WebSocket to the actor. Raises ``client.connection_open_failed``."""
        inner, query = inner_path("/websocket/", path)
        socket = await self._sockets.open(address, inner, "bare", address.params, query)
        return RawSocket(socket)

    def connect(self, address: Address, params: Any) -> Session:
        """Begin to keep a connection to the actor open (:mod:`session`)."""
        session = Session(self._sockets, address, params, self._encoding, self._timing)
        session.start(self._sessions.discard)
        self._sessions.add(session)
        return session

    async def close(self) -> None:
        """Close all connections; calls under way fail."""
        await asyncio.gather(*(session.close() for session in self._sessions))
        await self._directory.close()
        await self._exchange.close()

    async def _post(
        self,
        address: Address,
        inner: str,
        encode: Callable[[Encoding], bytes],
        decode: Callable[[Encoding, bytes], T],
        pause_before: Callable[[ActorError, int], float | None],
    ) -> T:
        """Send a body of the client protocol to the actor and return what was answered."""
        service = await self._directory.service()
        encoding = self._request_encoding(service)
        return await self._send(
            service,
            address,
            _Request(inner, self._headers(service, address, encoding), encode(encoding)),
            lambda answer: self._read(answer, decode),
            pause_before,
        )

    async def _send(
        self,
        service: Service,
        address: Address,
        request: _Request,
        read: Callable[[Answer], T],
        pause_before: Callable[[ActorError, int], float | None],
    ) -> T:
        """Send a request and return what ``read`` makes of its answer; repeat what fails.

        ``pause_before`` gets an error and how many requests there were, and says after how many
        seconds there is another one, if any.
        """
        requests = 0
        while True:
            requests += 1
            by_actor = False
            try:
                place = await self._directory.place(service, address)
                url = service.endpoint.url + place.path(request.inner)
                answer = await self._exchange.send("POST", url, request.headers, request.body)
                by_actor = BY_ACTOR in answer.headers
                return read(answer)
            except ActorError as error:
                if service.is_stator and is_last_word(error, address, by_actor=by_actor):
                    raise
                pause = pause_before(error, requests)
                if pause is None:
                    raise
            await self._pause(pause)

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
            headers["x-rivet-conn-params"] = params_text(address.params)
        return headers

    def _read(self, answer: Answer, decode: Callable[[Encoding, bytes], T]) -> T:
        encoding = self._encoding
        if encoding is Encoding.CBOR and answer.headers.get(DIALECT_HEADER) == NATIVE_DIALECT:
            encoding = Encoding.NATIVE
        if not answer.is_success:
            raise answer.error(encoding)
        try:
            return decode(encoding, answer.body)
        except InvalidRequest as error:
            raise InternalError(f"Failed to parse response: {error.message}") from error


def _record_of(answer: Answer) -> bytes:
    if not answer.is_success:
        raise answer.error(Encoding.JSON)
    return answer.body
