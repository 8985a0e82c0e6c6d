"""Requests that become WebSockets, and what their subprotocols say (RFC 6455, 4.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from stator.http.handshake import (
    Offer,
    accept_key,
    check_upgrade,
    handshake_answer,
    is_upgrade,
    parse_offer,
    refusal_headers,
)
from stator.runtime.errors import CallerError

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def _headers(*changes: tuple[str, str | None]) -> CIMultiDict[str]:
    headers = CIMultiDict(
        {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": KEY,
        }
    )
    for name, value in changes:
        headers.pop(name, None)
        if value is not None:
            headers[name] = value
    return headers


def _offer(*lines: str) -> Offer:
    return parse_offer(CIMultiDict([("Sec-WebSocket-Protocol", line) for line in lines]))


def test_the_key_of_the_standard_gives_the_answer_of_the_standard() -> None:
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("connection", "upgrade", "expected"),
    [
        ("Upgrade", "websocket", True),
        ("keep-alive, Upgrade", "WebSocket", True),
        ("upgrade", "h2c, websocket", True),
        ("keep-alive", "websocket", False),
        ("Upgrade", "h2c", False),
        ("Upgrade", None, False),
        (None, "websocket", False),
    ],
)
def test_an_upgrade_names_itself_in_both_headers(
    connection: str | None, upgrade: str | None, expected: bool
) -> None:
    assert is_upgrade(_headers(("Connection", connection), ("Upgrade", upgrade))) is expected


def test_header_lines_may_be_several() -> None:
    headers = _headers()
    headers.add("Connection", "keep-alive")
    headers.add("Upgrade", "h2c")
    assert is_upgrade(headers)


def test_a_good_upgrade_has_a_key() -> None:
    assert check_upgrade("GET", _headers()) == KEY


@pytest.mark.parametrize(
    ("method", "change", "code", "status"),
    [
        ("POST", ("Origin", None), "method_not_allowed", 405),
        ("GET", ("Sec-WebSocket-Key", None), "missing_header", 400),
        ("GET", ("Sec-WebSocket-Key", " "), "missing_header", 400),
        ("GET", ("Sec-WebSocket-Key", "too short"), "invalid_header", 400),
        ("GET", ("Sec-WebSocket-Key", "AAAA"), "invalid_header", 400),
        ("GET", ("Sec-WebSocket-Key", KEY + KEY), "invalid_header", 400),
        ("GET", ("Sec-WebSocket-Key", "é" * 24), "invalid_header", 400),
        ("GET", ("Sec-WebSocket-Version", None), "invalid_header", 426),
        ("GET", ("Sec-WebSocket-Version", "8"), "invalid_header", 426),
        ("GET", ("Sec-WebSocket-Version", "13, 8"), "invalid_header", 426),
    ],
)
def test_a_bad_upgrade_is_refused_with_the_status_of_the_standard(
    method: str, change: tuple[str, str | None], code: str, status: int
) -> None:
    with pytest.raises(CallerError) as caught:
        check_upgrade(method, _headers(change))
    assert (caught.value.code, caught.value.status) == (code, status)


def test_another_version_is_told_which_one_is_spoken() -> None:
    with pytest.raises(CallerError) as caught:
        check_upgrade("GET", _headers(("Sec-WebSocket-Version", "8")))
    assert refusal_headers(caught.value)["sec-websocket-version"] == "13"


def test_another_method_is_told_which_one_is_allowed() -> None:
    with pytest.raises(CallerError) as caught:
        check_upgrade("PUT", _headers())
    assert refusal_headers(caught.value) == {"allow": "GET"}


def test_a_bad_key_needs_no_header() -> None:
    with pytest.raises(CallerError) as caught:
        check_upgrade("GET", _headers(("Sec-WebSocket-Key", "?")))
    assert refusal_headers(caught.value) == {}


@pytest.mark.parametrize("lines", [(), ("",), (" , ,",)])
def test_no_subprotocol_is_no_offer(lines: tuple[str, ...]) -> None:
    assert _offer(*lines) == Offer()


def test_everything_the_official_client_says_is_understood() -> None:
    offer = _offer(
        "rivet, rivet_encoding.cbor, rivet_target.actor, rivet_actor.a%2Fb, rivet_token.s%20t, "
        "rivet_skip_ready_wait, rivet_conn_params.%7B%22n%22%3A%22%C3%A9%22%7D"
    )
    assert offer == Offer(
        has_any=True,
        selected="rivet",
        encoding="cbor",
        params='{"n":"é"}'.encode(),
        target="actor",
        actor_id="a/b",
        token="s%20t",
        skip_ready_wait=True,
    )


def test_an_offer_may_be_spread_over_lines() -> None:
    offer = _offer("rivet", "rivet_encoding.bare,rivet_skip_ready_wait")
    assert (offer.selected, offer.encoding, offer.skip_ready_wait) == ("rivet", "bare", True)


@pytest.mark.parametrize(
    ("line", "selected"),
    [
        ("rivet_encoding.json, rivet", "rivet"),
        ("chat, rivet_encoding.json", "chat"),
        ("rivet_conn_params.(1), v1", "v1"),
        ("(), []", None),
    ],
)
def test_one_subprotocol_that_was_offered_is_selected(line: str, selected: str | None) -> None:
    assert _offer(line).selected == selected


def test_the_first_of_repeated_entries_counts() -> None:
    assert _offer("rivet_encoding.json, rivet_encoding.bare").encoding == "json"


@pytest.mark.parametrize("text", ["%", "%7", "%zz", "%FF", "%C3", "%ED%A0%80", "é"])
def test_params_that_cannot_be_decoded_are_reported(text: str) -> None:
    offer = _offer(f"rivet, rivet_conn_params.{text}")
    assert (offer.params, offer.params_malformed) == (None, True)


def test_params_are_not_judged_as_json() -> None:
    offer = _offer("rivet, rivet_conn_params.%7B(")
    assert (offer.params, offer.params_malformed) == (b"{(", False)


def test_an_actor_id_that_cannot_be_decoded_stays_as_it_was_sent() -> None:
    assert _offer("rivet, rivet_actor.a%").actor_id == "a%"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_params_arrive_as_they_left(text: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in text.encode())
    assert _offer(f"rivet, rivet_conn_params.{encoded}").params == text.encode()


@given(st.text(max_size=200))
def test_no_list_of_subprotocols_is_an_error(text: str) -> None:
    _offer(text)


def test_the_answer_selects_one_subprotocol_and_carries_the_callers_lines() -> None:
    answer = handshake_answer(_offer("rivet, other"), KEY, "vary: Origin\r\n")
    lines = answer.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert "sec-websocket-protocol: rivet" in lines
    assert lines[-3:] == ["vary: Origin", "", ""]


def test_the_answer_to_no_offer_selects_nothing() -> None:
    assert b"protocol:" not in handshake_answer(Offer(), KEY)


def test_the_answer_never_accepts_an_extension() -> None:
    assert b"extensions" not in handshake_answer(_offer("rivet"), KEY)
