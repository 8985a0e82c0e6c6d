"""How a request names its actor (client-protocol, 3.1 to 3.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.client.addressing import MAX_INPUT_BYTES, by_id, by_query, input_of
from stator.http.routes import ActorRoute, parse_route
from stator.runtime.handles import Address
from stator.runtime.protocol.actions import decode_input

NO_SURROGATES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def query_of(address: Address) -> str:
    place = by_query("default", address)
    assert place is not None
    return place.path("/action/x")


def test_a_get_query_names_namespace_method_and_key() -> None:
    assert query_of(Address("chat room", ("a", "b&c"))) == (
        "/gateway/chat%20room/action/x?rvt-namespace=default&rvt-method=get&rvt-key=a%2Cb%26c"
    )


def test_a_creating_query_has_the_reference_clients_parameters_in_its_order() -> None:
    assert query_of(Address("chat", ("k",), create=True, input=1)) == (
        "/gateway/chat/action/x?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default"
        "&rvt-key=k&rvt-input=AQ&rvt-crash-policy=sleep"
    )


def test_the_empty_key_is_left_out() -> None:
    assert "rvt-key" not in query_of(Address("chat"))


def test_an_id_is_percent_encoded() -> None:
    assert by_id("a/b@c").path("/action/x") == "/gateway/a%2Fb%40c/action/x"
    assert by_id("abc").path("") == "/gateway/abc"


@pytest.mark.parametrize("key", [("",), ("x,y",), ("a", ","), ("a,", "")])
def test_a_key_that_a_query_would_change_has_no_query(key: tuple[str, ...]) -> None:
    assert by_query("default", Address("chat", key)) is None


@pytest.mark.parametrize("value", [0, "", False, [], {}])
def test_a_falsy_input_is_an_input(value: object) -> None:
    route = parse_route(query_of(Address("chat", create=True, input=value)))
    assert isinstance(route, ActorRoute)
    assert route.input is not None
    assert decode_input(route.input) == value


def test_without_creation_there_is_no_input() -> None:
    assert input_of(Address("chat", input=5)) is None
    assert input_of(Address("chat", create=True)) is None


def test_an_input_or_key_too_long_for_a_request_line_has_no_query() -> None:
    long = Address("chat", create=True, input=b"x" * MAX_INPUT_BYTES)
    assert by_query("default", long) is None
    assert by_query("default", Address("chat", ("é" * 500,) * 3)) is None


@given(
    name=NO_SURROGATES.filter(bool),
    key=st.lists(NO_SURROGATES, max_size=3).map(tuple),
    namespace=NO_SURROGATES.filter(bool),
    create=st.booleans(),
)
def test_the_gateway_reads_what_the_client_meant(
    name: str, key: tuple[str, ...], namespace: str, create: bool
) -> None:
    place = by_query(namespace, Address(name, key, create=create))
    if place is None:
        assert key == ("",) or any("," in part for part in key)
        return
    route = parse_route(place.path("/action/x"))
    assert isinstance(route, ActorRoute)
    assert (route.name, route.key, route.namespace) == (name, key, namespace)
    assert (route.create, route.action, route.query) == (create, "x", "")
