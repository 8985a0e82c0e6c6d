"""Rules between settings: what the type of a single one cannot say.

A rule returns the setting to blame and the problem, or ``None``. ``RULES`` is the whole list.
Here as well: what ``"auto"`` means where that depends on another setting.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

from .config import Config

Violation = tuple[str, str]
Rule = Callable[[Config], Violation | None]

_UNIX_PATH_BYTES = 107
"""What fits into ``sockaddr_un`` with its closing NUL."""


def find_violation(config: Config) -> Violation | None:
    """Return the first broken rule as ``(setting, problem)``, or ``None``."""
    return next(filter(None, (rule(config) for rule in RULES)), None)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a service on ``host``; names are not looked up."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class RateLimits(NamedTuple):
    """What one client address may do to one actor; 0 is no limit."""

    requests_per_minute: int
    max_in_flight: int


_NO_LIMITS = RateLimits(0, 0)
_EXPOSED_LIMITS = RateLimits(1_200, 32)
"""What "auto" is where strangers may come (semantics, 1.4)."""


def resolve_rate_limits(config: Config) -> RateLimits:
    """Return the limits with ``"auto"`` replaced by what it means on ``server.host``."""
    auto = _NO_LIMITS if is_loopback(config.server.host) else _EXPOSED_LIMITS
    limits = config.limits
    minute, in_flight = limits.requests_per_minute, limits.max_in_flight_per_client
    return RateLimits(
        auto.requests_per_minute if minute == "auto" else minute,
        auto.max_in_flight if in_flight == "auto" else in_flight,
    )


def _registry_is_given(config: Config) -> Violation | None:
    if config.application.registry:
        return None
    return "application.registry", 'expected "module:attribute", got ""; there is nothing to serve'


def _exposed_service_has_a_token(config: Config) -> Violation | None:
    host = config.server.host
    if config.auth.client_token or config.auth.insecure or is_loopback(host):
        return None
    return "auth.client_token", (
        f'expected a token because server.host "{host}" is not a loopback address; '
        "set it, e.g. by STATOR_AUTH__CLIENT_TOKEN, or set auth.insecure = true"
    )


def _tls_files_go_together(config: Config) -> Violation | None:
    certificate, key = config.server.tls_certificate, config.server.tls_key
    if bool(certificate) == bool(key):
        return None
    missing, given = (
        ("tls_key", "tls_certificate") if certificate else ("tls_certificate", "tls_key")
    )
    return f"server.{missing}", f"expected a path because server.{given} is given"


def _unix_socket_fits(config: Config) -> Violation | None:
    size = len(config.server.unix_socket.encode("utf-8", "surrogateescape"))
    if size <= _UNIX_PATH_BYTES:
        return None
    return "server.unix_socket", (
        f"expected a path of at most {_UNIX_PATH_BYTES} bytes, got {size}: "
        f"{config.server.unix_socket}"
    )


def _namespaces_differ(config: Config) -> Violation | None:
    names = config.namespaces.names
    twice = next((name for name in names if names.count(name) > 1), None)
    return None if twice is None else ("namespaces.names", f'"{twice}" is given twice')


def _stall_is_longer_than_a_heartbeat(config: Config) -> Violation | None:
    return _must_not_exceed(
        "workers.heartbeat_interval",
        config.workers.heartbeat_interval,
        "workers.stall_warning",
        config.workers.stall_warning,
    )


def _stall_is_reported_before_it_ends(config: Config) -> Violation | None:
    return _must_not_exceed(
        "workers.stall_warning",
        config.workers.stall_warning,
        "workers.stall_timeout",
        config.workers.stall_timeout,
    )


def _backoff_can_grow(config: Config) -> Violation | None:
    return _must_not_exceed(
        "workers.restart_backoff",
        config.workers.restart_backoff,
        "workers.restart_backoff_max",
        config.workers.restart_backoff_max,
    )


def _must_not_exceed(lower: str, low: float, upper: str, high: float) -> Violation | None:
    return None if low <= high else (lower, f"expected at most {upper} = {high:g}, got {low:g}")


RULES: tuple[Rule, ...] = (
    _registry_is_given,
    _exposed_service_has_a_token,
    _tls_files_go_together,
    _unix_socket_fits,
    _namespaces_differ,
    _stall_is_longer_than_a_heartbeat,
    _stall_is_reported_before_it_ends,
    _backoff_can_grow,
)
