"""Rules between settings."""

from pathlib import Path

import pytest

from stator.runtime.config import (
    Application,
    Auth,
    Config,
    Limits,
    Namespaces,
    Server,
    Workers,
)
from stator.runtime.config_rules import find_violation, is_loopback, resolve_rate_limits
from stator.runtime.config_source import ConfigError, load_config

SERVED = Application(registry="app:registry")


def test_the_defaults_lack_only_a_registry() -> None:
    assert find_violation(Config()) == (
        "application.registry",
        'expected "module:attribute", got ""; there is nothing to serve',
    )
    assert find_violation(Config(application=SERVED)) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_a_loopback_host_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    assert find_violation(Config(application=SERVED, server=Server(host=host))) is None


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "127.evil.com", "127.1", "fe80::1%eth0"]
)
def test_any_other_host_needs_a_token_or_insecure(host: str) -> None:
    def violation(auth: Auth) -> object:
        return find_violation(Config(application=SERVED, server=Server(host=host), auth=auth))

    assert not is_loopback(host)
    assert violation(Auth()) == (
        "auth.client_token",
        f'expected a token because server.host "{host}" is not a loopback address; set it, e.g. '
        "by STATOR_AUTH__CLIENT_TOKEN, or set auth.insecure = true",
    )
    assert violation(Auth(admin_token="a", inspector_token="i")) is not None
    assert violation(Auth(client_token="c")) is None
    assert violation(Auth(insecure=True)) is None


@pytest.mark.parametrize(
    ("server", "violation"),
    [
        (
            Server(tls_certificate="/c"),
            ("server.tls_key", "expected a path because server.tls_certificate is given"),
        ),
        (
            Server(tls_key="/k"),
            ("server.tls_certificate", "expected a path because server.tls_key is given"),
        ),
        (Server(tls_certificate="/c", tls_key="/k"), None),
    ],
)
def test_tls_files_go_together(server: Server, violation: tuple[str, str] | None) -> None:
    assert find_violation(Config(application=SERVED, server=server)) == violation


def test_a_unix_socket_must_fit_into_its_address() -> None:
    def violation(path: str) -> object:
        return find_violation(Config(application=SERVED, server=Server(unix_socket=path)))

    assert violation("/" + "x" * 106) is None
    too_long = "/" + "é" * 54
    assert violation(too_long) == (
        "server.unix_socket",
        f"expected a path of at most 107 bytes, got 109: {too_long}",
    )


def test_a_namespace_is_named_once() -> None:
    twice = Config(application=SERVED, namespaces=Namespaces(names=("a", "b", "a")))
    assert find_violation(twice) == ("namespaces.names", '"a" is given twice')


@pytest.mark.parametrize(
    ("workers", "key", "problem"),
    [
        (
            Workers(heartbeat_interval=6.0),
            "workers.heartbeat_interval",
            "expected at most workers.stall_warning = 5, got 6",
        ),
        (
            Workers(stall_timeout=4.5),
            "workers.stall_warning",
            "expected at most workers.stall_timeout = 4.5, got 5",
        ),
        (
            Workers(restart_backoff=20.0),
            "workers.restart_backoff",
            "expected at most workers.restart_backoff_max = 10, got 20",
        ),
    ],
)
def test_times_that_contradict_each_other_are_refused(
    workers: Workers, key: str, problem: str
) -> None:
    assert find_violation(Config(application=SERVED, workers=workers)) == (key, problem)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_automatic_rate_limits_are_off_on_a_loopback_host(host: str) -> None:
    assert resolve_rate_limits(Config(server=Server(host=host))) == (0, 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com"])
def test_automatic_rate_limits_hold_on_any_other_host(host: str) -> None:
    limits = resolve_rate_limits(Config(server=Server(host=host)))
    assert (limits.requests_per_minute, limits.max_in_flight) == (1_200, 32)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("wanted", [(0, 0), (7, 3)])
def test_rate_limits_that_are_numbers_hold_on_every_host(
    host: str, wanted: tuple[int, int]
) -> None:
    limits = Limits(requests_per_minute=wanted[0], max_in_flight_per_client=wanted[1])
    assert resolve_rate_limits(Config(server=Server(host=host), limits=limits)) == wanted


def test_each_rate_limit_is_automatic_by_itself() -> None:
    exposed = Server(host="0.0.0.0")
    minute = Config(server=exposed, limits=Limits(requests_per_minute=5))
    in_flight = Config(server=exposed, limits=Limits(max_in_flight_per_client=0))
    assert resolve_rate_limits(minute) == (5, 32)
    assert resolve_rate_limits(in_flight) == (1_200, 0)


# A broken rule names the source of the setting to blame.


def test_a_missing_registry_blames_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[server]\nport = 1")
    with pytest.raises(ConfigError, match=r"x\.toml: application\.registry: expected"):
        load_config(path, environ={}, overrides=())


def test_without_a_file_the_configuration_is_blamed() -> None:
    with pytest.raises(ConfigError, match=r"^configuration: application\.registry: expected"):
        load_config(None, environ={}, overrides=())


def test_an_override_that_breaks_a_rule_is_blamed() -> None:
    overrides = ["application.registry=a:r", "workers.restart_backoff=20"]
    with pytest.raises(ConfigError, match=r"^--set: workers\.restart_backoff: expected at most"):
        load_config(None, environ={}, overrides=overrides)
