"""Cross-origin headers (client-protocol, section 10.2)."""

import pytest

from stator.http.cors import CrossOrigin, as_lines
from stator.runtime.config import Cors

PAGE = "https://app.example"
OTHER = "https://evil.example"
CONTROL_VARY = "origin, access-control-request-method, access-control-request-headers"
OPEN = CrossOrigin(Cors())
NARROW = CrossOrigin(Cors(allow_origins=(PAGE,), max_age=60))
CLOSED = CrossOrigin(Cors(allow_origins=()))


def test_the_gateway_echoes_the_origin_and_says_that_it_varies() -> None:
    assert OPEN.gateway_headers(PAGE) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "*",
        "vary": "Origin",
    }


def test_the_gateway_allows_anybody_who_names_no_origin() -> None:
    assert OPEN.gateway_headers(None) == {
        "access-control-allow-origin": "*",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "*",
    }


def test_the_control_api_mirrors_the_origin_and_exposes_nothing() -> None:
    assert OPEN.control_headers(PAGE) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-credentials": "true",
        "vary": CONTROL_VARY,
    }
    assert OPEN.control_headers(None) == {
        "access-control-allow-credentials": "true",
        "vary": CONTROL_VARY,
    }


def test_a_preflight_of_the_gateway_allows_what_was_asked_for() -> None:
    asked = {"origin": PAGE, "access-control-request-headers": "content-type,x-rivet-encoding"}
    assert OPEN.gateway_preflight(asked) == {
        **OPEN.gateway_headers(PAGE),
        "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS, PATCH",
        "access-control-allow-headers": "content-type,x-rivet-encoding",
        "access-control-max-age": "86400",
    }
    assert OPEN.gateway_preflight({})["access-control-allow-headers"] == "*"


def test_a_preflight_of_the_control_api_mirrors_method_and_headers() -> None:
    asked = {
        "origin": PAGE,
        "access-control-request-method": "PUT",
        "access-control-request-headers": "content-type",
    }
    answer = OPEN.control_preflight(asked)
    assert answer["access-control-allow-methods"] == "PUT"
    assert answer["access-control-allow-headers"] == "content-type"
    assert answer["access-control-allow-origin"] == PAGE
    assert "access-control-allow-methods" not in OPEN.control_preflight({"origin": PAGE})


@pytest.mark.parametrize("cross_origin", [NARROW, CLOSED])
def test_an_origin_that_is_not_configured_is_allowed_nothing(cross_origin: CrossOrigin) -> None:
    asked = {"origin": OTHER, "access-control-request-method": "PUT"}
    for headers in (
        cross_origin.gateway_headers(OTHER),
        cross_origin.control_headers(OTHER),
        cross_origin.gateway_preflight(asked),
        cross_origin.control_preflight(asked),
    ):
        assert not [name for name in headers if name.startswith("access-control")]
        assert "origin" in headers["vary"].lower()


def test_a_configured_origin_is_allowed_with_the_configured_age() -> None:
    assert NARROW.gateway_headers(PAGE)["access-control-allow-origin"] == PAGE
    assert NARROW.gateway_preflight({"origin": PAGE})["access-control-max-age"] == "60"
    assert NARROW.control_preflight({"origin": PAGE})["access-control-max-age"] == "60"


@pytest.mark.parametrize("origin", ["https://\udcff.example", "https://é.example"])
def test_an_origin_no_browser_sends_is_not_echoed(origin: str) -> None:
    for headers in (OPEN.gateway_headers(origin), OPEN.control_headers(origin)):
        assert "access-control-allow-origin" not in headers


def test_headers_no_browser_asks_for_are_not_echoed() -> None:
    asked = {
        "origin": PAGE,
        "access-control-request-headers": "\udcff",
        "access-control-request-method": "\udcff",
    }
    for headers in (OPEN.gateway_preflight(asked), OPEN.control_preflight(asked)):
        assert all(text.isascii() for text in headers.values())


def test_headers_become_lines_of_a_response_head() -> None:
    assert as_lines({"a": "1", "b": "2"}) == "a: 1\r\nb: 2\r\n"
