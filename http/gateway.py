"""The gateway's handler: from a request to the family that serves it, and errors to answers."""

from __future__ import annotations

import os
from time import monotonic_ns
from typing import Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from stator.runtime.config import Config
from stator.runtime.control import Counter
from stator.runtime.errors import (
    ActorError,
    MalformedHttp,
    MissingHeader,
    NoRoute,
    RateLimited,
    RequestTimeout,
)
from stator.runtime.ids import RaySource
from stator.runtime.log import Logger

from .actor_requests import ActorRequests
from .auth import Gatekeeper
from .backends import Backends
from .control_requests import ControlRequests
from .cors import CrossOrigin, as_lines
from .handshake import is_upgrade, refusal_headers
from .namespaces import KnownNamespaces
from .open_sockets import OpenSockets
from .problems import problem_response
from .routes import ActorRoute, ControlRoute, Route, parse_route
from .switchboard import Switchboard
from .upgrades import Upgrades

MAX_CACHED_ROUTES = 16_384
"""Clients repeat their paths, so parsing is cached; beyond this the cache starts again."""
MAX_CACHED_PATH = 1_024


class Meter(Protocol):
    """Counts what a gateway does; a :class:`~stator.runtime.child.Child` publishes it."""

    counters: list[int]

    def record_latency(self, latency_us: int) -> None: ...


class Gateway:
    """Handles every request of the public port."""

    def __init__(
        self,
        config: Config,
        backends: Backends,
        switchboard: Switchboard,
        sockets: OpenSockets,
        meter: Meter,
        log: Logger,
    ) -> None:
        gatekeeper = Gatekeeper(config)
        namespaces = KnownNamespaces(config.namespaces, backends)
        self._cross_origin = CrossOrigin(config.cors)
        self._actors = ActorRequests(
            config, backends, gatekeeper, namespaces, self._cross_origin, switchboard
        )
        self._upgrades = Upgrades(config, self._actors, switchboard, sockets, log)
        self._control = ControlRequests(config, backends, gatekeeper, namespaces)
        self._counters = meter.counters
        self._record_latency = meter.record_latency
        self._log = log
        self._rays = RaySource(os.urandom(8))
        self._routes: dict[str, Route] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever goes wrong becomes an answer too."""
        started = monotonic_ns()
        response = await self._respond(request, self._rays.next())
        self._counters[Counter.REQUESTS] += 1
        self._record_latency((monotonic_ns() - started) // 1000)
        return response

    async def _respond(self, request: web.BaseRequest, ray_id: str) -> web.StreamResponse:
        route: Route | None = None
        try:
            if request.method == "GET" and is_upgrade(request.headers):
                return await self._upgrade(request, ray_id)
            route = self._routes.get(request.raw_path) or self._parse(request.raw_path)
            if type(route) is ActorRoute:
                if request.method == "OPTIONS":
                    return self._preflight(request, ray_id)
                return await self._actors.serve(request, route, ray_id)
            return await self._serve_control(request, route, ray_id)
        except ActorError as error:
            return self._problem(request, route, error, ray_id)
        except ConnectionError:
            raise
        except (HttpProcessingError, web.RequestPayloadError) as error:
            malformed = MalformedHttp(metadata={"reason": str(error)[:200]})
            return self._problem(request, route, malformed, ray_id)
        except Exception as error:
            self._counters[Counter.ERRORS] += 1
            self._log.error(
                "request failed",
                method=request.method,
                path=request.raw_path[:200],
                ray_id=ray_id,
                exc_info=error,
            )
            return self._problem(request, route, error, ray_id)

    async def _upgrade(self, request: web.BaseRequest, ray_id: str) -> web.StreamResponse:
        try:
            route: Route | ActorError = self._parse(request.raw_path)
        except ActorError as error:
            route = error
        lines = as_lines(self._cross_origin.gateway_headers(request.headers.get("origin")))
        return await self._upgrades.serve(
            request, route, ray_id, f"x-rivet-ray-id: {ray_id}\r\n{lines}"
        )

    def _parse(self, raw_path: str) -> Route:
        route = parse_route(raw_path)
        if len(raw_path) <= MAX_CACHED_PATH:
            if len(self._routes) >= MAX_CACHED_ROUTES:
                self._routes.clear()
            self._routes[raw_path] = route
        return route

    async def _serve_control(
        self, request: web.BaseRequest, route: Route, ray_id: str
    ) -> web.StreamResponse:
        assert isinstance(route, ControlRoute)
        if "x-rivet-target" in request.headers:
            if request.method == "OPTIONS":
                return self._preflight(request, ray_id)
            return await self._actors.serve(request, header_route(request, route), ray_id)
        headers = self._cross_origin.control_headers(request.headers.get("origin"))
        if request.method == "OPTIONS":
            headers = self._cross_origin.control_preflight(request.headers)
            return web.Response(status=200, headers={**headers, "x-rivet-ray-id": ray_id})
        response = await self._control.serve(request, route)
        response.headers.update(headers)
        response.headers["x-rivet-ray-id"] = ray_id
        return response

    def _preflight(self, request: web.BaseRequest, ray_id: str) -> web.Response:
        headers = self._cross_origin.gateway_preflight(request.headers)
        return web.Response(status=204, headers={**headers, "x-rivet-ray-id": ray_id})

    def _problem(
        self, request: web.BaseRequest, route: Route | None, error: Exception, ray_id: str
    ) -> web.StreamResponse:
        origin = request.headers.get("origin")
        is_gateway = not isinstance(route, ControlRoute) or "x-rivet-target" in request.headers
        if is_gateway:
            headers = self._cross_origin.gateway_headers(origin)
        else:
            headers = self._cross_origin.control_headers(origin)
        headers["x-rivet-ray-id"] = ray_id
        if isinstance(error, ActorError):
            headers.update(refusal_headers(error))
        if isinstance(error, RateLimited):
            headers["retry-after"] = str(-(-error.metadata["retry_after_ms"] // 1000))
        response = problem_response(error, headers, is_gateway=is_gateway)
        if isinstance(error, RequestTimeout):
            response.force_close()
        return response


def header_route(request: web.BaseRequest, route: ControlRoute) -> ActorRoute:
    """Return the route that ``x-rivet-target`` headers name (client-protocol, section 3.4)."""
    if request.headers["x-rivet-target"] != "actor":
        raise NoRoute
    actor_id = request.headers.get("x-rivet-actor")
    if not actor_id:
        raise MissingHeader(metadata={"header": "x-rivet-actor"})
    if route.path != "/request" and not route.path.startswith("/request/"):
        raise NoRoute
    return ActorRoute(route.path, route.query, actor_id=actor_id)
