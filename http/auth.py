"""Tokens: who may call actors, who may change what exists (client-protocol, section 3.5)."""

from __future__ import annotations

import hmac

from multidict import CIMultiDictProxy

from stator.runtime.config import Config
from stator.runtime.config_rules import is_loopback
from stator.runtime.errors import Forbidden, Unauthorized


class Gatekeeper:
    """Checks the token of a request. An empty token means open, where that is allowed."""

    def __init__(self, config: Config) -> None:
        self._client = config.auth.client_token.encode()
        self._admin = config.auth.admin_token.encode()
        self._open_admin = is_loopback(config.server.host) or config.auth.insecure

    @property
    def is_open(self) -> bool:
        """Whether clients need no token."""
        return not self._client

    def check_client(self, token: str | None) -> None:
        """Raise unless ``token`` is the client's or the admin's."""
        if not self._client:
            return
        given = _required(token)
        if not (_equal(given, self._client) or (self._admin and _equal(given, self._admin))):
            raise Forbidden("the token is not the one of this service")

    def check_admin(self, token: str | None) -> None:
        """Raise unless ``token`` is the admin's."""
        if not self._admin:
            if not self._open_admin:
                raise Forbidden("this needs auth.admin_token, and none is configured")
            self.check_client(token)
        elif not _equal(_required(token), self._admin):
            raise Forbidden("this needs the admin token")


def _required(token: str | None) -> bytes:
    if not token:
        raise Unauthorized
    return token.encode("utf-8", "surrogateescape")


def _equal(given: bytes, expected: bytes) -> bool:
    return hmac.compare_digest(given, expected)


def token_of(headers: CIMultiDictProxy[str]) -> str | None:
    """Return the token in the headers: ``x-rivet-token`` or ``Authorization: Bearer``."""
    token = headers.get("x-rivet-token")
    if token:
        return token
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None
