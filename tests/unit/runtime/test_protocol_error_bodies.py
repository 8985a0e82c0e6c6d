"""Error answers: they always can be written, and they always can be read."""

from __future__ import annotations

import json

import cbor2
import pytest

from stator.runtime.error_views import ErrorView
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import ActorSpecifier, decode_error, encode_error

DENIED = ErrorView("user", "denied", "no entry", None, 400)
ACTOR = ActorSpecifier("a1", 7, "k")


def with_metadata(metadata: object) -> ErrorView:
    return ErrorView("user", "denied", "no entry", metadata, 400)


def test_members_come_in_the_recorded_order() -> None:
    body = encode_error(Encoding.JSON, 0, with_metadata({"why": 1}), ACTOR)
    assert body == (
        b'{"actor":{"actorId":"a1","generation":7,"key":"k"},"code":"denied","group":"user",'
        b'"message":"no entry","metadata":{"why":1}}'
    )
    assert list(cbor2.loads(encode_error(Encoding.CBOR, 0, with_metadata(1), ACTOR))) == [
        "actor",
        "code",
        "group",
        "message",
        "metadata",
    ]


def test_what_is_not_there_is_left_out() -> None:
    body = encode_error(Encoding.JSON, 0, DENIED, None)
    assert json.loads(body) == {"code": "denied", "group": "user", "message": "no entry"}
    keyless = encode_error(Encoding.JSON, 0, DENIED, ActorSpecifier("a1", 1, None))
    assert json.loads(keyless)["actor"] == {"actorId": "a1", "generation": 1}


@pytest.mark.parametrize(("version", "has_actor"), [(0, False), (1, False), (3, False), (4, True)])
def test_bare_carries_the_actor_since_version_4(version: int, has_actor: bool) -> None:
    body = encode_error(Encoding.BARE, version, DENIED, ACTOR)
    assert body[:2] == (version or 3).to_bytes(2, "little")
    assert body.endswith(b"\x01\x02a1\x07\x01\x01k") is has_actor
    assert decode_error(Encoding.BARE, None, 400, body).code == "denied"


@pytest.mark.parametrize("encoding", list(Encoding))
def test_metadata_that_cannot_be_sent_says_why(encoding: Encoding) -> None:
    body = encode_error(encoding, 4, with_metadata({"x": object()}), ACTOR)
    error = decode_error(encoding, None, 400, body)
    assert (error.group, error.code, error.message) == ("user", "denied", "no entry")
    assert error.metadata == 'metadata["x"]: a value of type object cannot be sent'


@pytest.mark.parametrize("encoding", list(Encoding))
def test_surrogates_do_not_stop_an_error(encoding: Encoding) -> None:
    view = ErrorView("us\ud800er", "co\ud800de", "mess\ud800age é", None, 400)
    body = encode_error(encoding, 4, view, ActorSpecifier("a", 1, "k\ud800"))
    assert str(decode_error(encoding, None, 400, body)) == "us?er.co?de: mess?age é"


@pytest.mark.parametrize("encoding", list(Encoding))
def test_the_content_type_json_wins(encoding: Encoding) -> None:
    body = b'{"group":"guard","code":"no_route","message":"No route.","metadata":null}'
    error = decode_error(encoding, "application/json; charset=utf-8", 404, body)
    assert (str(error), error.status, error.metadata) == ("guard.no_route: No route.", 404, None)


@pytest.mark.parametrize("encoding", list(Encoding))
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Bad Gateway</html>", b"{}", b'{"group":1,"code":"c","message":"m"}', b"\x80"],
)
def test_an_answer_that_is_no_error_body_is_shown_as_text(encoding: Encoding, body: bytes) -> None:
    error = decode_error(encoding, "text/html", 502, body)
    assert (error.group, error.code, error.status) == ("rivetkit", "internal_error", 502)
    assert error.message == f"HTTP request error (502):\n{body.decode(errors='replace')}"


def test_the_text_of_an_unreadable_answer_is_bounded() -> None:
    error = decode_error(Encoding.JSON, None, 500, b"x" * 1_000_000)
    assert len(error.message) < 2100
