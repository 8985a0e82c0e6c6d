"""The grammar of the public port, row by row (client-protocol, sections 3.1 to 3.3)."""

from base64 import urlsafe_b64encode
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.http.routes import (
    ActorRoute,
    ControlRoute,
    parse_form,
    parse_route,
)
from stator.runtime.errors import CallerError

GET = "rvt-namespace=default&rvt-method=get"
MAKE = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default"


def _actor(raw_path: str) -> ActorRoute:
    route = parse_route(raw_path)
    assert isinstance(route, ActorRoute)
    return route


@pytest.mark.parametrize(
    "raw_path",
    [
        "/",
        "/actors?namespace=default",
        "/metadata",
        "/gateway",
        "/gatewayx/y",
        "/request/x",
        "",
        "*",
    ],
)
def test_other_paths_belong_to_the_control_api(raw_path: str) -> None:
    path, _, query = raw_path.partition("?")
    assert parse_route(raw_path) == ControlRoute(path, query)


@pytest.mark.parametrize(
    ("raw_path", "meant"),
    [
        ("/api/rivet/actors?name=x", "/actors?name=x"),
        ("/api/rivet/gateway/id/action/get", "/gateway/id/action/get"),
        ("/api/rivet", "/"),
        ("/api/rivet/", "/"),
    ],
)
def test_the_prefix_of_older_clients_means_nothing(raw_path: str, meant: str) -> None:
    assert parse_route(raw_path) == parse_route(meant)


@pytest.mark.parametrize("raw_path", ["/api/rivetx", "/api", "/x/api/rivet/actors"])
def test_what_only_looks_like_the_prefix_is_a_path(raw_path: str) -> None:
    assert parse_route(raw_path) == ControlRoute(raw_path, "")


# ------------------------------------------------------------------------ direct paths


@pytest.mark.parametrize(
    ("raw_path", "route"),
    [
        ("/gateway/id1", ActorRoute("", "", actor_id="id1")),
        ("/gateway/id1/", ActorRoute("/", "", actor_id="id1")),
        ("/gateway/id1/action/get", ActorRoute("/action/get", "", "get", actor_id="id1")),
        ("/gateway/id1@tok/x", ActorRoute("/x", "", actor_id="id1", token="tok")),
        ("/gateway/id1@a%2Fb%40c/x", ActorRoute("/x", "", actor_id="id1", token="a/b@c")),
        ("/gateway/id1@a@b/x", ActorRoute("/x", "", actor_id="id1", token="a@b")),
        ("/gateway/i%20d/x%20y?q=%20", ActorRoute("/x%20y", "q=%20", actor_id="i d")),
        ("/gateway/id1/request?a=1&a=2&b", ActorRoute("/request", "a=1&a=2&b", actor_id="id1")),
        ("/gateway/id1/x?rvt=1", ActorRoute("/x", "rvt=1", actor_id="id1")),
    ],
)
def test_a_direct_path_names_an_id_and_leaves_the_rest_untouched(
    raw_path: str, route: ActorRoute
) -> None:
    assert parse_route(raw_path) == route


@pytest.mark.parametrize(
    "raw_path",
    ["/gateway/", "/gateway//x", "/gateway/id@/x", "/gateway/@tok/x", "/gateway/id//action/get"],
)
def test_a_malformed_direct_path_is_not_a_gateway_path(raw_path: str) -> None:
    assert parse_route(raw_path) == ControlRoute(raw_path, "")


@pytest.mark.parametrize(
    ("inner", "inspector"),
    [
        ("/inspector", ""),
        ("/inspector/", ""),
        ("/inspector/workflow/status", "workflow/status"),
        ("/inspectors", None),
        ("/request/inspector/x", None),
    ],
)
def test_the_inspector_has_what_is_below_inspector(inner: str, inspector: str | None) -> None:
    by_id = _actor(f"/gateway/id1{inner}")
    by_key = _actor(f"/gateway/chat{inner}?{GET}")
    assert (by_id.inspector, by_key.inspector, by_id.inner) == (inspector, inspector, inner)


@pytest.mark.parametrize(
    ("inner", "queue"),
    [
        ("/queue/jobs", "jobs"),
        ("/queue/ns%2Fodd%20name", "ns/odd name"),
        ("/queue/%C3%A9", "é"),
        ("/queue/a.b", "a.b"),
        ("/queue", None),
        ("/queue/", None),
        ("/queue/jobs/", None),
        ("/queue/jobs/more", None),
        ("/queues/jobs", None),
        ("/action/jobs", None),
        ("/request/queue/jobs", None),
    ],
)
def test_a_queue_is_one_segment_below_queue(inner: str, queue: str | None) -> None:
    by_id = _actor(f"/gateway/id1{inner}")
    by_key = _actor(f"/gateway/chat{inner}?{GET}")
    assert (by_id.queue, by_key.queue, by_id.inner) == (queue, queue, inner)


# ------------------------------------------------------------------------- query paths


def test_a_query_path_names_a_key_in_a_namespace() -> None:
    route = _actor(f"/gateway/chat%20room/action/get?{GET}&rvt-key=a%2Cb+c")
    assert route == ActorRoute(
        "/action/get", "", "get", namespace="default", name="chat room", key=("a", "b c")
    )


def test_a_query_path_may_create_the_actor_with_an_input_and_a_token() -> None:
    data = b"\xa1\x61a\x01"
    encoded = urlsafe_b64encode(data).rstrip(b"=").decode()
    route = _actor(
        f"/gateway/chat/x?{MAKE}&rvt-input={encoded}&rvt-region=default"
        "&rvt-crash-policy=sleep&rvt-token=t%2B%2F&rvt-skip-ready-wait=true"
    )
    assert route.create
    assert (route.input, route.pool, route.region) == (data, "default", "default")
    assert route.token == "t+/"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (GET, ""),
        (f"a=1&{GET}&b=%20+", "a=1&b=%20+"),
        (f"{GET}&a=1&a=1&=&&x", "a=1&a=1&=&&x"),
        (f"RVT-KEY=x&{GET}", "RVT-KEY=x"),
    ],
)
def test_the_actor_sees_the_other_parameters_byte_for_byte(query: str, left: str) -> None:
    assert _actor(f"/gateway/chat/request/x?{query}").query == left


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a%2Cb", ("a", "b")),
        ("a,b", ("a", "b")),
        ("a%2C", ("a", "")),
        ("%2C", ("", "")),
        ("a%2Fb%2Cc", ("a/b", "c")),
        ("a%5Cb", ("a\\b",)),
        ("%C3%A9+%C3%BC", ("é ü",)),
        ("a+b%2Bc%26d%3De%25f", ("a b+c&d=e%f",)),
        ("%2525", ("%25",)),
    ],
)
def test_a_key_is_split_at_commas_as_the_peer_does(value: str, key: tuple[str, ...]) -> None:
    assert _actor(f"/gateway/chat/x?{GET}&rvt-key={value}").key == key


def test_a_key_may_be_absent() -> None:
    assert _actor(f"/gateway/chat/x?{GET}").key == ()


def test_pool_wins_over_its_older_name() -> None:
    assert _actor(f"/gateway/chat/x?{MAKE}&rvt-pool=p").pool == "p"
    without = MAKE.replace("rvt-runner", "rvt-pool")
    assert _actor(f"/gateway/chat/x?{without}").pool == "default"


@pytest.mark.parametrize(
    ("raw_path", "code", "metadata"),
    [
        ("/gateway/c/x?rvt-method=get", "query_invalid_params", "rvt-namespace"),
        ("/gateway/c/x?rvt-namespace=&rvt-method=get", "query_invalid_params", "rvt-namespace"),
        ("/gateway/c/x?rvt-namespace=d", "query_invalid_params", "rvt-method"),
        (f"/gateway/c/x?{GET}&rvt-foo=1", "query_invalid_params", "rvt-foo"),
        (f"/gateway/c/x?{GET}&rvt-", "query_invalid_params", "rvt-"),
        ("/gateway/c/x?rvt-namespace=d&rvt-method=create", "query_invalid_params", "create"),
        (f"/gateway/c/x?{MAKE}&rvt-crash-policy=nope", "query_invalid_params", "nope"),
        (f"/gateway/c/x?{GET}&rvt-skip-ready-wait=maybe", "query_invalid_params", "skip-ready"),
        (f"/gateway/c/x?{GET}&rvt-key=a&rvt-key=a", "query_duplicate_param", "rvt-key"),
        (f"/gateway/c/x?{GET}&rvt-method=get", "query_duplicate_param", "rvt-method"),
        (f"/gateway/c/x?{GET}&rvt-input=oA", "query_get_disallowed_params", None),
        (f"/gateway/c/x?{GET}&rvt-region=", "query_get_disallowed_params", None),
        (f"/gateway/c/x?{GET}&rvt-crash-policy=sleep", "query_get_disallowed_params", None),
        (f"/gateway/c/x?{GET}&rvt-runner=default", "query_get_disallowed_params", None),
        (f"/gateway/c/x?{GET}&rvt-pool=default", "query_get_disallowed_params", None),
        ("/gateway/c/x?rvt-namespace=d&rvt-method=getOrCreate", "query_missing_pool", None),
        (f"/gateway?{GET}", "query_empty_actor_name", None),
        (f"/gateway/?{GET}", "query_empty_actor_name", None),
        (f"/gateway/c@tok/x?{GET}", "query_path_token_syntax", None),
        (f"/gateway/c@/x?{GET}", "query_path_token_syntax", None),
        (f"/gateway/c/x?{MAKE}&rvt-input=%2B%2B", "query_invalid_base64_input", None),
        (f"/gateway/c/x?{MAKE}&rvt-input=a", "query_invalid_base64_input", None),
        (f"/gateway/c/x?{MAKE}&rvt-input=_w", "query_invalid_cbor_input", "detail"),
        (f"/gateway/c/x?{MAKE}&rvt-input=", "query_invalid_cbor_input", "detail"),
        (f"/gateway/c/x?{MAKE}&rvt-input=AAA", "query_invalid_cbor_input", "detail"),
        (f"/gateway/c/x?{GET}&rvt-key=%ff", "query_invalid_percent_encoding", "rvt-key"),
        (f"/gateway/c/x?{GET}&rvt-key=%zz", "query_invalid_percent_encoding", "rvt-key"),
        (f"/gateway/c/x?{GET}&rvt-key=%", "query_invalid_percent_encoding", "rvt-key"),
        (f"/gateway/%ff/x?{GET}", "query_invalid_percent_encoding", "actor name"),
        (f"/gateway/c\udcff/x?{GET}", "query_invalid_percent_encoding", "URL"),
        (f"/gateway/c/x?{GET}&rvt-key=\udcff", "query_invalid_percent_encoding", "URL"),
        ("/gateway/id/action/a\udcff", "query_invalid_percent_encoding", "URL"),
        ("/gateway/id/action/%", "query_invalid_percent_encoding", "action name"),
        ("/gateway/id/action/%ff", "query_invalid_percent_encoding", "action name"),
        ("/gateway/id/queue/%ff", "query_invalid_percent_encoding", "queue name"),
        ("/gateway/%ff/x", "query_invalid_percent_encoding", "actor id"),
        ("/actors?name=\udcff", "query_invalid_percent_encoding", "URL"),
        ("/gateway/a@%f/x", "query_invalid_percent_encoding", "token"),
    ],
)
def test_a_malformed_query_path_is_refused_with_its_code(
    raw_path: str, code: str, metadata: str | None
) -> None:
    with pytest.raises(CallerError) as caught:
        parse_route(raw_path)
    error = caught.value
    assert (error.group, error.code, error.status) == ("guard", code, 400)
    if metadata is None:
        assert error.metadata is None
    else:
        assert metadata in str(error.metadata)


def _as_received(data: bytes) -> str:
    """Return a request target the way aiohttp hands it over."""
    return data.decode("utf-8", "surrogateescape")


_WORDS = """
/ // gateway /gateway/ api/rivet @ ? & = % %2 %ff %2F + , rvt- rvt-namespace rvt-method rvt-key
rvt-input rvt-runner rvt-token rvt-pool get getOrCreate default oA action c
"""
_PIECES = st.sampled_from([*_WORDS.split(), "é", "\udcff", "\x00", " "])


def _check_total(raw_path: str) -> None:
    try:
        route = parse_route(raw_path)
        if isinstance(route, ActorRoute):
            texts = (route.inner, route.query, route.action or "", route.name, route.namespace)
            "".join((*texts, *route.key)).encode()
        else:
            parse_form(route.query)
    except CallerError as error:
        assert error.group == "guard"
        assert error.status in (400, 404)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_route_or_a_guard_error(data: bytes) -> None:
    _check_total(_as_received(data))


@given(st.lists(_PIECES, max_size=30))
def test_any_path_of_meaningful_pieces_is_a_route_or_a_guard_error(pieces: list[str]) -> None:
    _check_total("/gateway/" + "".join(pieces))


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=",")), min_size=1),
)
def test_what_the_client_writes_is_what_the_gateway_reads(name: str, key: list[str]) -> None:
    query = urlencode({"rvt-namespace": "ns", "rvt-method": "get", "rvt-key": ",".join(key)})
    route = _actor(f"/gateway/{quote(name, safe='')}/x?{query}")
    assert route.name == name
    assert route.key == (tuple(key) if key != [""] else ())


# ------------------------------------------------------------------------------ pieces


@pytest.mark.parametrize(
    ("inner", "action"),
    [
        ("/action/get", "get"),
        ("/action/math.add", "math.add"),
        ("/action/ns%2Fodd%20name", "ns/odd name"),
        ("/action/a+b", "a+b"),
        ("/action/", None),
        ("/action", None),
        ("/action/get/", None),
        ("/action/get/x", None),
        ("/actions/get", None),
        ("/request/action/get", None),
        ("", None),
    ],
)
def test_an_action_is_one_path_segment(inner: str, action: str | None) -> None:
    assert _actor("/gateway/id" + inner).action == action


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        ("a", [("a", "")]),
        ("&&a=1&", [("a", "1")]),
        ("a+b=c%20d", [("a b", "c d")]),
    ],
)
def test_a_control_query_is_a_form(query: str, pairs: list[tuple[str, str]]) -> None:
    assert parse_form(query) == pairs
