"""Where a client finds its service: arguments, environment, URL-auth (client-protocol, 1.1, 1.2).

Rule 1. An argument wins over the environment, the environment over the defaults.
Rule 2. ``scheme://namespace:token@host`` gives both; giving one of them a second time, by argument
        or environment, is an error rather than a choice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

DEFAULT_URL = "http://localhost:6420"
DEFAULT_NAMESPACE = "default"


class Endpoint(msgspec.Struct, frozen=True):
    """A service and who one is to it."""

    url: str
    """Scheme, host and path prefix; no trailing slash, no credentials."""
    namespace: str
    token: str | None = None


def read_endpoint(
    url: str | None,
    *,
    namespace: str | None,
    token: str | None,
    environ: Mapping[str, str],
) -> Endpoint:
    """Return the endpoint of a new client. Raises ``ValueError`` (rule 2, or a malformed URL)."""
    url = url or environ.get("RIVET_ENGINE") or environ.get("RIVET_ENDPOINT") or DEFAULT_URL
    parts = _split(url)
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("the endpoint must have neither a query string nor a fragment")
    in_url = unquote(parts.username or ""), unquote(parts.password or "")
    if in_url[1] and not in_url[0]:
        raise ValueError("the endpoint has a token but no namespace: write namespace:token@host")
    chosen = _one_of("namespace", in_url[0], namespace or environ.get("RIVET_NAMESPACE"))
    return Endpoint(
        _plain_url(parts),
        chosen or DEFAULT_NAMESPACE,
        _one_of("token", in_url[1], token or environ.get("RIVET_TOKEN")) or None,
    )


def redirected(endpoint: Endpoint, url: str, namespace: str | None, token: str | None) -> Endpoint:
    """Return the endpoint that metadata points to; credentials inside ``url`` are ignored (1.3).

    Raises ``ValueError`` for a malformed URL.
    """
    return Endpoint(
        _plain_url(_split(url)), namespace or endpoint.namespace, token or endpoint.token
    )


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        # The URL may hold a token, so it is not shown.
        raise ValueError("an endpoint is a URL like http://127.0.0.1:6420")
    return parts


def _plain_url(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    path = re.sub("/+", "/", parts.path).rstrip("/")
    return f"{parts.scheme}://{host}{path}"


def _one_of(what: str, in_url: str, given: str | None) -> str | None:
    if in_url and given:
        raise ValueError(f"the {what} is in the endpoint and given as well: leave one of them out")
    return in_url or given
