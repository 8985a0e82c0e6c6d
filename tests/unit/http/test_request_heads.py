"""What an actor sees of the HTTP request behind a call or connection."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from stator.http.request_heads import make_head, raw_path
from stator.http.routes import ActorRoute, parse_route
from stator.runtime.link.frame_codec import FrameDecoder, encode_frame
from stator.runtime.link.frames import OpenExchange, RequestHead, Resolution

ROUTING = "rvt-namespace=default&rvt-method=get&rvt-key=a"
ORIGINAL = "x-rivet-internal-original-request-url"


def _head(path: str, *headers: tuple[str, str], method: str = "GET") -> RequestHead:
    given = CIMultiDict([("Host", "h:6420"), *headers])
    request = make_mocked_request(method, path, given)
    route = parse_route(path)
    assert isinstance(route, ActorRoute)
    return make_head(request, route)


def test_the_path_is_what_follows_request() -> None:
    head = _head(f"/gateway/chat/request/foo/bar?{ROUTING}")
    assert head.path == "/foo/bar"


@pytest.mark.parametrize(
    ("inner", "path"),
    [
        ("/request", "/"),
        ("/request/", "/"),
        ("/request/foo", "/foo"),
        ("/request/a/c/d%2Fe", "/a/c/d%2Fe"),
        ("/request/%E2%82%AC", "/%E2%82%AC"),
        ("/request/request/x", "/request/x"),
        ("/requests/x", "/requests/x"),
        ("/websocket", "/"),
        ("/websocket/", "/"),
        ("/websocket/a%20b", "/a%20b"),
        ("/websockets", "/websockets"),
        ("/connect", "/connect"),
        ("/other/x", "/other/x"),
        ("", "/"),
    ],
)
def test_prefixes_are_left_out_and_escapes_kept(inner: str, path: str) -> None:
    assert raw_path(inner) == path


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"x=1&y=a%20b+c&{ROUTING}", "x=1&y=a%20b+c"),
        (f"{ROUTING}&x=%2C&&z", "x=%2C&&z"),
        (ROUTING, ""),
        (f"rvt=1&RVT-x=2&{ROUTING}", "rvt=1&RVT-x=2"),
    ],
)
def test_routing_parameters_are_not_the_actors(query: str, expected: str) -> None:
    head = _head(f"/gateway/chat/request/a?{query}")
    assert head.raw_query == expected
    mark = "?" if expected else ""
    assert head.url == f"http://h:6420/gateway/chat/request/a{mark}{expected}"


def test_the_query_of_a_direct_path_is_untouched() -> None:
    head = _head("/gateway/id/request?x=1&y=%20")
    assert (head.path, head.raw_query) == ("/", "x=1&y=%20")


@pytest.mark.parametrize("name", [ORIGINAL, ORIGINAL.upper()])
def test_the_original_url_is_used_and_hidden(name: str) -> None:
    head = _head(f"/gateway/chat/request/u?z=1&{ROUTING}", (name, "https://h/u?z=1"))
    assert head.url == "https://h/u?z=1"
    assert (head.path, head.raw_query) == ("/u", "z=1")
    assert [key.lower() for key, _ in head.headers] == [b"host"]


def test_other_headers_stay_in_order_as_they_came() -> None:
    headers = [("X-A", "1"), ("x-rivet-conn-params", "{}"), ("X-A", "2"), ("Cookie", "ü")]
    head = _head(f"/gateway/chat/request?{ROUTING}", *headers)
    expected = [(name.encode(), value.encode()) for name, value in headers]
    assert list(head.headers[1:]) == expected


def test_the_method_is_kept() -> None:
    assert _head(f"/gateway/chat/request?{ROUTING}", method="PATCH").method == "PATCH"


def test_without_a_host_it_is_localhost() -> None:
    request = make_mocked_request("GET", "/gateway/id/request", CIMultiDict[str]())
    route = parse_route("/gateway/id/request")
    assert isinstance(route, ActorRoute)
    assert make_head(request, route).url == "http://localhost/gateway/id/request"


@given(host=st.binary(min_size=1, max_size=20), original=st.binary(max_size=20))
def test_whatever_headers_hold_the_head_can_travel(host: bytes, original: bytes) -> None:
    raw = ((b"host", host), (ORIGINAL.encode(), original))
    text = ((name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in raw)
    request = make_mocked_request("GET", "/gateway/id/request", CIMultiDict[str]())
    request._headers = CIMultiDictProxy(CIMultiDict(text))  # pyright: ignore[reportPrivateUsage]
    message = request._message  # pyright: ignore[reportPrivateUsage]
    request._message = message._replace(raw_headers=raw)  # pyright: ignore[reportPrivateUsage]
    route = parse_route("/gateway/id/request")
    assert isinstance(route, ActorRoute)
    head = make_head(request, route)
    opening = OpenExchange(1, 0, Resolution.BY_ID, "", "", "id", "ray", head)
    ((frame, _),) = FrameDecoder().feed(encode_frame(opening))
    assert frame == opening
