"""Where a client finds its service (client-protocol, 1.1 and 1.2)."""

from __future__ import annotations

import pytest

from stator.client.endpoint import Endpoint, read_endpoint, redirected


def read(
    url: str | None = None,
    namespace: str | None = None,
    token: str | None = None,
    **environ: str,
) -> Endpoint:
    return read_endpoint(url, namespace=namespace, token=token, environ=environ)


def test_without_anything_the_endpoint_is_the_local_one() -> None:
    assert read() == Endpoint("http://localhost:6420", "default", None)


def test_the_environment_replaces_the_defaults() -> None:
    found = read(RIVET_ENDPOINT="https://h:1", RIVET_NAMESPACE="n", RIVET_TOKEN="t")
    assert found == Endpoint("https://h:1", "n", "t")


def test_arguments_win_over_the_environment() -> None:
    found = read("http://a", "n", "t", RIVET_ENDPOINT="http://b", RIVET_NAMESPACE="m")
    assert found == Endpoint("http://a", "n", "t")


def test_the_engine_variable_wins_over_the_endpoint_variable() -> None:
    assert read(RIVET_ENGINE="http://e", RIVET_ENDPOINT="http://p").url == "http://e"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://ns:tok@h:6420", Endpoint("http://h:6420", "ns", "tok")),
        ("http://ns@h", Endpoint("http://h", "ns", None)),
        ("http://n%2Fs:t%40k@h", Endpoint("http://h", "n/s", "t@k")),
        ("https://ns:tok@[::1]:6420/base", Endpoint("https://[::1]:6420/base", "ns", "tok")),
        ("http://h/api//rivet/", Endpoint("http://h/api/rivet", "default", None)),
    ],
)
def test_a_url_may_hold_namespace_and_token(url: str, expected: Endpoint) -> None:
    assert read(url) == expected


@pytest.mark.parametrize(
    ("url", "namespace", "token", "environ", "message"),
    [
        ("http://h?x=1", None, None, {}, "query string"),
        ("http://h#x", None, None, {}, "fragment"),
        ("http://h?", None, None, {}, "query string"),
        ("http://:tok@h", None, None, {}, "no namespace"),
        ("http://ns@h", "ns", None, {}, "namespace is in the endpoint"),
        ("http://ns@h", None, None, {"RIVET_NAMESPACE": "ns"}, "namespace is in the endpoint"),
        ("http://ns:tok@h", None, "tok", {}, "token is in the endpoint"),
        ("http://ns:tok@h", None, None, {"RIVET_TOKEN": "x"}, "token is in the endpoint"),
        ("localhost:6420", None, None, {}, "is a URL like"),
        ("http://", None, None, {}, "is a URL like"),
        ("ftp://h", None, None, {}, "is a URL like"),
    ],
)
def test_an_ambiguous_or_malformed_endpoint_is_refused(
    url: str, namespace: str | None, token: str | None, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        read(url, namespace, token, **environ)
    assert "tok@" not in str(refusal.value).replace("namespace:token@host", "")


def test_metadata_replaces_what_it_names_and_no_more() -> None:
    before = Endpoint("http://a", "n", "t")
    assert redirected(before, "http://b/x/", None, None) == Endpoint("http://b/x", "n", "t")
    assert redirected(before, "http://u:p@b", "m", "s") == Endpoint("http://b", "m", "s")
