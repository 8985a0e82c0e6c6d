"""What requests to the inspector say about a workflow."""

from __future__ import annotations

import msgspec
import pytest

from stator.http.inspector_bodies import check_arguments, read_arguments, read_entry_id
from stator.runtime.errors import InvalidRequest
from stator.runtime.exact_form import decode_exact
from stator.runtime.workflow_control import Verb, VerbArguments


def _arguments(payload: bytes) -> VerbArguments:
    return msgspec.msgpack.decode(payload, type=VerbArguments)


@pytest.mark.parametrize(
    ("verb", "body", "key"),
    [
        (Verb.STATUS, b"", ""),
        (Verb.CANCEL, b"{}", ""),
        (Verb.FORK, b"", ""),
        (Verb.FORK, b'{"from":"a/~1/b"}', "a/~1/b"),
        (Verb.FORK, b'{"key":"a"}', "a"),
        (Verb.FORK, b'{"from":null}', ""),
        (Verb.RESOLVE, b'{"promise":"approved"}', "approved"),
        (Verb.RESOLVE, b'{"key":"approved"}', "approved"),
    ],
)
def test_the_key(verb: Verb, body: bytes, key: str) -> None:
    assert _arguments(read_arguments(verb, body)).key == key


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"null", None),
        (b'{"a":[1,2.5,true]}', {"a": [1, 2.5, True]}),
        (b'["$BigInt","1152921504606846976"]', 2**60),
        (b'["$Uint8Array","AAE="]', b"\x00\x01"),
    ],
)
def test_the_value_of_a_promise(text: bytes, value: object) -> None:
    payload = read_arguments(Verb.RESOLVE, b'{"promise":"p","value":' + text + b"}")
    assert decode_exact(_arguments(payload).value) == value


def test_without_a_value_a_promise_is_resolved_with_none() -> None:
    payload = read_arguments(Verb.RESOLVE, b'{"promise":"p"}')
    assert decode_exact(_arguments(payload).value) is None


@pytest.mark.parametrize(
    ("verb", "body", "text"),
    [
        (Verb.STATUS, b"{", "not valid JSON"),
        (Verb.STATUS, b"[]", "no object"),
        (Verb.STATUS, b'{"key":"a"}', "status takes no 'key'"),
        (Verb.FORK, b'{"form":"a"}', "fork takes no 'form'"),
        (Verb.FORK, b'{"from":"a","key":"b"}', "'from' or 'key', not both"),
        (Verb.FORK, b'{"from":7}', "'from' is no text"),
        (Verb.RESOLVE, b'{"promise":{}}', "'promise' is no text"),
    ],
)
def test_what_makes_no_sense_is_refused(verb: Verb, body: bytes, text: str) -> None:
    with pytest.raises(InvalidRequest, match=text):
        read_arguments(verb, body)


@pytest.mark.parametrize(
    ("body", "key"), [(b"", ""), (b'{"entryId":"a/b"}', "a/b"), (b'{"entryId":null,"x":1}', "")]
)
def test_the_entry_of_a_replay(body: bytes, key: str) -> None:
    assert _arguments(read_entry_id(body)).key == key


def test_the_entry_of_a_replay_is_text() -> None:
    with pytest.raises(InvalidRequest, match="'entryId' is no text"):
        read_entry_id(b'{"entryId":1}')


@pytest.mark.parametrize("body", [b"", msgspec.msgpack.encode(VerbArguments("a", b"\x01"))])
def test_msgpack_goes_on_as_it_is(body: bytes) -> None:
    assert check_arguments(body) == body


@pytest.mark.parametrize("body", [b"\xc1", b"\x91\x01", b"{}"])
def test_what_is_no_msgpack_of_arguments_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        check_arguments(body)
