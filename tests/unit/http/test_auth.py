"""Who may do what, by token (client-protocol, section 3.5)."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from stator.http.auth import Gatekeeper, token_of
from stator.runtime.config import Application, Auth, Config, Server
from stator.runtime.errors import CallerError


def _gatekeeper(
    client: str = "",
    admin: str = "",
    inspector: str = "",
    *,
    host: str = "127.0.0.1",
    insecure: bool = False,
) -> Gatekeeper:
    return Gatekeeper(
        Config(
            application=Application(registry="app:registry"),
            server=Server(host=host),
            auth=Auth(
                client_token=client,
                admin_token=admin,
                inspector_token=inspector,
                insecure=insecure,
            ),
        )
    )


def _verdict(check: str, gatekeeper: Gatekeeper, token: str | None) -> str:
    try:
        getattr(gatekeeper, check)(token)
    except CallerError as error:
        return f"{error.status} {error.code}"
    return "allowed"


@pytest.mark.parametrize(
    ("client", "admin", "token", "as_client", "as_admin"),
    [
        ("", "", None, "allowed", "allowed"),
        ("", "", "anything", "allowed", "allowed"),
        ("c", "", None, "401 unauthorized", "401 unauthorized"),
        ("c", "", "", "401 unauthorized", "401 unauthorized"),
        ("c", "", "c", "allowed", "allowed"),
        ("c", "", "x", "403 forbidden", "403 forbidden"),
        ("c", "a", "c", "allowed", "403 forbidden"),
        ("c", "a", "a", "allowed", "allowed"),
        ("c", "a", "x", "403 forbidden", "403 forbidden"),
        ("c", "a", "cc", "403 forbidden", "403 forbidden"),
        ("c", "a", None, "401 unauthorized", "401 unauthorized"),
        ("c", "a", "\udcff", "403 forbidden", "403 forbidden"),
        ("c", "a", "é", "403 forbidden", "403 forbidden"),
        ("", "a", None, "allowed", "401 unauthorized"),
        ("", "a", "x", "allowed", "403 forbidden"),
        ("", "a", "a", "allowed", "allowed"),
    ],
)
def test_the_token_says_who_may_do_what(
    client: str, admin: str, token: str | None, as_client: str, as_admin: str
) -> None:
    gatekeeper = _gatekeeper(client, admin)
    assert _verdict("check_client", gatekeeper, token) == as_client
    assert _verdict("check_admin", gatekeeper, token) == as_admin


def test_without_an_admin_token_nobody_administers_a_service_that_others_reach() -> None:
    gatekeeper = _gatekeeper("c", host="0.0.0.0")
    assert _verdict("check_client", gatekeeper, "c") == "allowed"
    assert _verdict("check_admin", gatekeeper, "c") == "403 forbidden"


def _inspection(gatekeeper: Gatekeeper, *tokens: str) -> str:
    try:
        gatekeeper.check_inspector(tokens)
    except CallerError as error:
        return f"{error.status} {error.group}.{error.code}"
    return "allowed"


@pytest.mark.parametrize(
    ("client", "admin", "inspector", "letting_in"),
    [
        ("", "", "", {"", "c", "a", "i", "x"}),
        ("", "a", "", {"", "c", "a", "i", "x"}),
        ("c", "", "", {"c"}),
        ("c", "a", "", {"c", "a"}),
        ("", "", "i", {"i"}),
        ("c", "", "i", {"i"}),
        ("c", "a", "i", {"a", "i"}),
    ],
)
def test_the_token_says_who_may_inspect(
    client: str, admin: str, inspector: str, letting_in: set[str]
) -> None:
    gatekeeper = _gatekeeper(client, admin, inspector)
    for token in ("", "c", "a", "i", "x", "é", "\udcff"):
        if token in letting_in or letting_in == {"", "c", "a", "i", "x"}:
            assert _inspection(gatekeeper, token) == "allowed"
        else:
            assert _inspection(gatekeeper, token) == "401 inspector.unauthorized"


def test_one_of_the_tokens_that_came_is_enough_to_inspect() -> None:
    gatekeeper = _gatekeeper("c", "", "i")
    assert _inspection(gatekeeper, "c", "i") == "allowed"
    assert _inspection(gatekeeper) == "401 inspector.unauthorized"


def test_without_a_token_nobody_inspects_a_service_that_others_reach() -> None:
    gatekeeper = _gatekeeper("c", host="0.0.0.0")
    assert _inspection(gatekeeper, "c") == "403 auth.forbidden"


def test_the_admin_inspects_a_service_that_others_reach() -> None:
    gatekeeper = _gatekeeper("c", "a", host="0.0.0.0")
    assert _inspection(gatekeeper, "a") == "allowed"
    assert _inspection(gatekeeper, "c") == "401 inspector.unauthorized"


def test_everybody_inspects_a_service_that_is_insecure() -> None:
    assert _inspection(_gatekeeper(host="0.0.0.0", insecure=True)) == "allowed"


def test_a_service_without_client_token_is_open() -> None:
    assert _gatekeeper().is_open
    assert not _gatekeeper("c").is_open


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({"X-Rivet-Token": "t"}, "t"),
        ({"Authorization": "Bearer t"}, "t"),
        ({"Authorization": "bearer  t "}, "t"),
        ({"Authorization": "Basic dDp0"}, None),
        ({"Authorization": "t"}, None),
        ({"X-Rivet-Token": "one", "Authorization": "Bearer two"}, "one"),
        ({"X-Rivet-Token": "", "Authorization": "Bearer two"}, "two"),
    ],
)
def test_the_token_is_in_either_header(headers: dict[str, str], token: str | None) -> None:
    assert token_of(CIMultiDictProxy(CIMultiDict(headers))) == token
