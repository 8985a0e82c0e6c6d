"""What an actor gets to know of the HTTP request behind a call or connection (python-api, 4)."""

from __future__ import annotations

from aiohttp import web

from stator.runtime.link.frames import RequestHead

from .routes import ActorRoute

ORIGINAL_URL = b"x-rivet-internal-original-request-url"
"""Set by the official client when it was given a whole URL (client-protocol, 8.1)."""

_RAW_PREFIXES = ("/request", "/websocket")


def make_head(request: web.BaseRequest, route: ActorRoute) -> RequestHead:
    """Return the head of a request to an actor, without what was for the gateway."""
    original = ""
    headers = request.raw_headers
    for name, value in headers:
        if name.lower() == ORIGINAL_URL:
            original = value.decode("utf-8", "replace")
    if original:
        headers = tuple(pair for pair in headers if pair[0].lower() != ORIGINAL_URL)
    url = original or _url(request, route)
    return RequestHead(request.method, url, raw_path(route.inner), route.query, headers)


def raw_path(inner: str) -> str:
    """Return the path a raw handler sees: what follows ``/request`` or ``/websocket``."""
    for prefix in _RAW_PREFIXES:
        if inner == prefix or inner.startswith(prefix + "/"):
            return inner[len(prefix) :] or "/"
    return inner or "/"


def _url(request: web.BaseRequest, route: ActorRoute) -> str:
    path = request.raw_path.partition("?")[0]
    query = f"?{route.query}" if route.query else ""
    host = request.headers.get("host", "localhost")
    host = host.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # any bytes may come
    return f"{request.scheme}://{host}{path}{query}"
