"""Cross-origin headers (client-protocol, section 10.2)."""

from __future__ import annotations

from collections.abc import Mapping

from stator.runtime.config import Cors

METHODS = "GET, POST, PUT, DELETE, OPTIONS, PATCH"


class CrossOrigin:
    """Makes the headers that let web pages of allowed origins read answers."""

    def __init__(self, config: Cors) -> None:
        self._any = "*" in config.allow_origins
        self._allowed = frozenset(config.allow_origins)
        self._max_age = str(config.max_age)

    def allows(self, origin: str | None) -> bool:
        """Whether pages of ``origin`` may call; a request without an origin is no page's."""
        return origin is None or (self._any and origin.isascii()) or origin in self._allowed

    def gateway_headers(self, origin: str | None) -> dict[str, str]:
        """Return the headers of an answer of the gateway family."""
        if not self.allows(origin):
            return {"vary": "Origin"}
        headers = {
            "access-control-allow-origin": origin or "*",
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": "*",
        }
        if origin is not None:
            headers["vary"] = "Origin"
        return headers

    def control_headers(self, origin: str | None) -> dict[str, str]:
        """Return the headers of an answer of the control API."""
        headers = {"vary": "origin, access-control-request-method, access-control-request-headers"}
        if self.allows(origin):
            headers["access-control-allow-credentials"] = "true"
            if origin is not None:
                headers["access-control-allow-origin"] = origin
        return headers

    def gateway_preflight(self, request: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that answer ``OPTIONS`` on the gateway; status 204."""
        origin = request.get("origin")
        headers = self.gateway_headers(origin)
        if self.allows(origin):
            headers["access-control-allow-methods"] = METHODS
            asked = request.get("access-control-request-headers", "")
            headers["access-control-allow-headers"] = asked if asked and asked.isascii() else "*"
            headers["access-control-max-age"] = self._max_age
        return headers

    def control_preflight(self, request: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that answer ``OPTIONS`` on the control API; status 200."""
        origin = request.get("origin")
        headers = self.control_headers(origin)
        if self.allows(origin):
            asked = {
                "access-control-allow-methods": request.get("access-control-request-method"),
                "access-control-allow-headers": request.get("access-control-request-headers"),
            }
            headers.update(
                {name: value for name, value in asked.items() if value and value.isascii()}
            )
            headers["access-control-max-age"] = self._max_age
        return headers


def as_lines(headers: Mapping[str, str]) -> str:
    """Return headers as lines of a response head."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
