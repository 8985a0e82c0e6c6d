"""Requests to one actor: actions, queues, and what else an actor answers over HTTP.

The hot path of the gateway: route (cached), token, namespace (known), body, one frame to the
worker, one future, one write back. The body is opaque here.
"""

from __future__ import annotations

import time
from collections.abc import Hashable

import msgspec
from aiohttp import web

from stator.runtime.config import Config
from stator.runtime.config_rules import resolve_rate_limits
from stator.runtime.errors import (
    ActorNotFound,
    InputTooLarge,
    InvalidHeader,
    KeyTooLarge,
    MethodNotAllowed,
    RouteNotFound,
    UnknownDatacenter,
    UnknownPool,
)
from stator.runtime.keys import Key, serialize_key
from stator.runtime.link.dialer import Dialer
from stator.runtime.link.frames import (
    ActorRecord,
    Answer,
    Call,
    CreateActor,
    Created,
    FindActors,
    OpenExchange,
    Publish,
    Refusal,
)
from stator.runtime.protocol.encoding import (
    CONTENT_TYPES,
    DIALECT_HEADER,
    NATIVE_DIALECT,
    Encoding,
    encoding_of,
)

from .admission import Admission, client_address
from .answers import WireResponse, json_response, may_keep_alive
from .auth import Gatekeeper, token_of
from .backends import Backends, refused
from .bodies import read_message
from .connections import ClientConnection
from .cors import CrossOrigin, as_lines
from .inspector import Inspector
from .namespaces import KnownNamespaces
from .params import check_params, params_of
from .publications import publish
from .raw_requests import RawRequests
from .request_heads import make_head
from .routes import ActorRoute, resolution_of
from .switchboard import Switchboard

PARAMS_HEADER = "x-rivet-conn-params"
POOL = "default"
"""The one pool of this service (clients name it on every creation)."""
REGION = "default"
_NATIVE_LINE = f"{DIALECT_HEADER}: {NATIVE_DIALECT}\r\n"


class Limits:
    """The limits on what names an actor (client-protocol, section 10.1)."""

    def __init__(self, config: Config) -> None:
        self._limits = config.limits

    def check_identity(self, name: str, key: Key) -> None:
        """Raise for a name or key that is too long."""
        limits = self._limits
        if len(name) > limits.max_actor_name_length:
            raise KeyTooLarge(
                f"the actor name has {len(name)} characters, "
                f"limits.max_actor_name_length allows {limits.max_actor_name_length}"
            )
        size = len(serialize_key(key).encode("utf-8", "surrogatepass"))
        if size > limits.max_key_size:
            raise KeyTooLarge(
                f"the key has {size} bytes, limits.max_key_size allows {limits.max_key_size}"
            )
        for part in key:
            if len(part.encode("utf-8", "surrogatepass")) > limits.max_key_part_size:
                raise KeyTooLarge(
                    "a part of the key is longer than "
                    f"limits.max_key_part_size ({limits.max_key_part_size} bytes)"
                )

    def check_input(self, data: bytes | None) -> None:
        """Raise for an input that is too large."""
        limit = self._limits.max_input_size
        if data is not None and len(data) > limit:
            raise InputTooLarge(
                f"the input has {len(data)} bytes, limits.max_input_size allows {limit}"
            )


def check_placement(pool: str | None, region: str | None, namespace: str) -> None:
    """Raise for a pool or region this service does not have."""
    if pool not in (None, "", POOL):
        raise UnknownPool(
            f"this service has no pool '{pool}', only '{POOL}'",
            metadata={"namespace": namespace, "pool_name": pool},
        )
    if region not in (None, "", REGION):
        raise UnknownDatacenter


class ActorRequests:
    """Serves actor routes."""

    def __init__(
        self,
        config: Config,
        backends: Backends,
        gatekeeper: Gatekeeper,
        namespaces: KnownNamespaces,
        cross_origin: CrossOrigin,
        switchboard: Switchboard,
    ) -> None:
        self._backends = backends
        self._admission = Admission(*resolve_rate_limits(config), time.monotonic)
        self._raw = RawRequests(config, switchboard, cross_origin)
        self._max_params_size = config.limits.max_params_size
        self._patience_s = config.server.header_timeout
        switchboard.on_forget = self._dismiss_connection
        self._gatekeeper = gatekeeper
        self._inspector = Inspector(config, backends, gatekeeper, cross_origin, self.place)
        self._namespaces = namespaces
        self._cross_origin = cross_origin
        self._limits = Limits(config)
        self._max_message_size = config.limits.max_incoming_message_size
        self._version = config.application.version
        self._plain_cors = as_lines(cross_origin.gateway_headers(None))
        self._places: dict[str, tuple[str, int]] = {}

    async def serve(
        self, request: web.BaseRequest, route: ActorRoute, ray_id: str
    ) -> web.StreamResponse:
        """Answer a request to an actor. Raises the gateway's own errors."""
        headers = request.headers
        if not self._gatekeeper.is_open and route.inspector is None:
            self._gatekeeper.check_client(route.token or token_of(headers))
        if not self._admission.is_off:
            return await self._serve_admitted(request, route, ray_id)
        return await self._serve(request, route, ray_id)

    def check_token(self, token: str | None) -> None:
        """Raise unless a client with ``token`` may call actors."""
        if not self._gatekeeper.is_open:
            self._gatekeeper.check_client(token)

    def link_to(self, shard: int) -> Dialer:
        """Return the link to the worker that owns ``shard`` now."""
        return self._backends.link_to(shard)

    def admit_connection(
        self, address: str, route: ActorRoute, connection: ClientConnection
    ) -> None:
        """Count a connection among what its client has under way. Raises ``guard.rate_limit``."""
        if not self._admission.is_off:
            counted = (address, _counted_as(route))
            self._admission.enter(*counted)
            connection.admitted = counted

    def _dismiss_connection(self, connection: ClientConnection) -> None:
        counted, connection.admitted = connection.admitted, None
        if counted is not None:
            self._admission.leave(*counted)

    async def _serve_admitted(
        self, request: web.BaseRequest, route: ActorRoute, ray_id: str
    ) -> web.StreamResponse:
        address, actor = address_of(request), _counted_as(route)
        self._admission.enter(address, actor)
        try:
            return await self._serve(request, route, ray_id)
        finally:
            self._admission.leave(address, actor)

    async def _serve(
        self, request: web.BaseRequest, route: ActorRoute, ray_id: str
    ) -> web.StreamResponse:
        headers = request.headers
        if headers.get("x-rivet-skip-ready-wait", "0") not in ("0", "1", "true", "false"):
            raise InvalidHeader(metadata={"header": "x-rivet-skip-ready-wait"})
        name = route.action or route.queue
        if name is None:
            if route.inspector is not None:
                return await self._inspector.serve(request, route, ray_id)
            if is_raw(route.inner):
                return await self._serve_raw(request, route, ray_id)
            return await self._serve_other(request, route)
        if request.method != "POST":
            raise MethodNotAllowed(metadata={"method": request.method, "path": route.inner})
        encoding = encoding_of(headers.get("x-rivet-encoding"))
        if encoding is Encoding.CBOR and headers.get(DIALECT_HEADER) == NATIVE_DIALECT:
            encoding = Encoding.NATIVE
        body = await read_message(request, self._max_message_size, self._patience_s)
        key, shard = self._places.get(request.raw_path) or await self.place(request, route)
        link = self._backends.link_to(shard)
        asked = (Publish if route.action is None else Call)(
            link.next_id(),
            shard,
            resolution_of(route),
            route.namespace,
            route.name,
            key,
            name,
            encoding,
            ray_id,
            route.input,
            self._params(headers.get(PARAMS_HEADER)),
            make_head(request, route) if link.peer_wants_requests else None,
        )
        if isinstance(asked, Call):
            reply, payload = await link.request(asked, body)
        else:
            reply, payload = await publish(request, link, asked, body)
        if isinstance(reply, Refusal):
            raise refused(reply)
        assert isinstance(reply, Answer)
        return self._answer(request, reply, payload, encoding, ray_id)

    def _answer(
        self, request: web.BaseRequest, reply: Answer, body: bytes, encoding: Encoding, ray_id: str
    ) -> WireResponse:
        origin = request.headers.get("origin")
        if origin is None:
            cors = self._plain_cors
        else:
            cors = as_lines(self._cross_origin.gateway_headers(origin))
        key = f"x-rivet-actor-key: {reply.key}\r\n" if reply.key.isprintable() else ""
        dialect = _NATIVE_LINE if encoding is Encoding.NATIVE else ""
        head = (
            f"content-type: {CONTENT_TYPES[encoding]}\r\n"
            f"x-rivet-actor: {reply.actor_id}\r\n"
            f"x-rivet-actor-generation: {reply.generation}\r\n"
            f"{key}{dialect}x-rivet-ray-id: {ray_id}\r\n{cors}"
        )
        return WireResponse(reply.status, head, body, keep_alive=may_keep_alive(request))

    def _params(self, header: str | None) -> bytes | None:
        """Return the connection parameters in a header (client-protocol, 5.1)."""
        if not header:
            return None
        params = params_of(header)
        check_params(params, self._max_params_size)
        return params

    async def _serve_raw(
        self, request: web.BaseRequest, route: ActorRoute, ray_id: str
    ) -> web.StreamResponse:
        key, shard = self._places.get(request.raw_path) or await self.place(request, route)
        link = self._backends.link_to(shard)
        opening = OpenExchange(
            link.next_id(),
            shard,
            resolution_of(route),
            route.namespace,
            route.name,
            key,
            ray_id,
            make_head(request, route),
            route.input,
            self._params(request.headers.get(PARAMS_HEADER)),
            request.body_exists,
        )
        return await self._raw.serve(request, link, opening)

    async def place(self, request: web.BaseRequest, route: ActorRoute) -> tuple[str, int]:
        """Return the serialised key (or actor id) and the shard of a route; check it once."""
        if route.actor_id is not None:
            shard = self._backends.shard_of_id(route.actor_id)
            if shard is None:
                raise ActorNotFound
            return route.actor_id, shard
        check_placement(route.pool, route.region, route.namespace)
        self._limits.check_identity(route.name, route.key)
        self._limits.check_input(route.input)
        await self._namespaces.require(route.namespace)
        shard = self._backends.shard_of_key(route.namespace, route.name, route.key)
        place = (serialize_key(route.key), shard)
        if len(request.raw_path) <= MAX_REMEMBERED_PATH:
            if len(self._places) >= MAX_REMEMBERED:
                self._places.clear()
            self._places[request.raw_path] = place
        return place

    async def _serve_other(self, request: web.BaseRequest, route: ActorRoute) -> web.StreamResponse:
        """Serve the framework paths of an actor (client-protocol, section 5.4)."""
        if not is_known_inner(route.inner):
            raise RouteNotFound(metadata={"resource": "route", "id": route.inner})
        actor = await self.find(request, route)
        headers = {"x-rivet-actor": actor.actor_id}
        if request.method != "GET":
            raise MethodNotAllowed(metadata={"method": request.method, "path": route.inner})
        if route.inner == "/metadata":
            described = {"runtime": "rivetkit", "type": "local", "version": self._version}
            return json_response(described, headers=headers)
        text = "ok" if route.inner == "/health" else "This is an actor of a stator service.\n"
        return web.Response(text=text, headers=headers)

    async def find(self, request: web.BaseRequest, route: ActorRoute) -> ActorRecord:
        """Return the actor of a route, creating it if the route says so."""
        key, shard = await self.place(request, route)
        if route.actor_id is None and route.create:
            payload = await self._backends.ask(
                shard,
                lambda number: CreateActor(
                    number, shard, route.namespace, route.name, key, route.input, True
                ),
            )
            return msgspec.msgpack.decode(payload, type=Created).actor
        link = self._backends.link_to(shard)
        find = make_lookup(link.next_id(), shard, route, key)
        reply, payload = await link.request(find)
        if isinstance(reply, Refusal):
            raise refused(reply)
        found = msgspec.msgpack.decode(payload, type=list[ActorRecord])
        if not found:
            raise ActorNotFound
        return found[0]


MAX_REMEMBERED = 16_384
MAX_REMEMBERED_PATH = 1_024
"""How many paths, and how long ones, the gateway remembers the shard of."""

_FRAMEWORK_PATHS = frozenset({"", "/", "/metadata", "/health"})


def is_known_inner(inner: str) -> bool:
    """Whether the framework answers on this path of an actor."""
    return inner in _FRAMEWORK_PATHS


def is_raw(inner: str) -> bool:
    """Whether this path is for the actor's ``on_request``."""
    return inner == "/request" or inner.startswith("/request/")


def address_of(request: web.BaseRequest) -> str:
    """Return the address that limits are kept by; to be asked before a connection is upgraded."""
    transport = request.transport
    return client_address(None if transport is None else transport.get_extra_info("peername"))


def _counted_as(route: ActorRoute) -> Hashable:
    return route.actor_id or (route.namespace, route.name, route.key)


def make_lookup(number: int, shard: int, route: ActorRoute, key: str) -> FindActors:
    """Return the request that finds the actor of a route without creating it."""
    if route.actor_id is not None:
        return FindActors(number, (shard,), "", actor_ids=(route.actor_id,))
    return FindActors(number, (shard,), route.namespace, name=route.name, key=key)
