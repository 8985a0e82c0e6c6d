"""Tokens: who may call actors, who may change what exists (client-protocol, section 3.5)."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from multidict import CIMultiDictProxy

from stator.runtime.config import Config
from stator.runtime.config_rules import is_loopback
from stator.runtime.errors import Forbidden, Unauthorized
from stator.runtime.inspector_errors import InspectorUnauthorized


class Gatekeeper:
    """Checks the token of a request. An empty token means open, where that is allowed."""

    def __init__(self, config: Config) -> None:
        self._client = config.auth.client_token.encode()
        self._admin = config.auth.admin_token.encode()
        self._inspector = config.auth.inspector_token.encode()
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

    def check_inspector(self, tokens: Iterable[str]) -> None:
        """Raise unless one of ``tokens`` is the inspector's or the admin's.

        Without an inspector's token it is open where the control API would be without an admin's:
        to everybody, or to whoever has the client's token if there is one.
        """
        accepted = [self._inspector, self._admin]
        if not self._inspector and self._open_admin:
            if not self._client:
                return
            accepted = [self._client, self._admin]
        accepted = [token for token in accepted if token]
        if not accepted:
            raise Forbidden("this needs auth.inspector_token, and none is configured")
        given = [_required(token) for token in tokens if token]
        if not any([_equal(one, other) for one in given for other in accepted]):
            raise InspectorUnauthorized


def _required(token: str | None) -> bytes:
    if not token:
        raise Unauthorized
    return token.encode("utf-8", "surrogateescape")


def _equal(given: bytes, expected: bytes) -> bool:
    return hmac.compare_digest(given, expected)


def token_of(headers: CIMultiDictProxy[str]) -> str | None:
    """Return the token in the headers: ``x-rivet-token`` or ``Authorization: Bearer``."""
    return headers.get("x-rivet-token") or bearer_of(headers)


def bearer_of(headers: CIMultiDictProxy[str]) -> str | None:
    """Return the token in ``Authorization: Bearer``."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None
