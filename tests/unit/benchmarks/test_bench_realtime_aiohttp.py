"""The ordinary client of the realtime rows: its account of calls, and against the bare server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import messages
from benchmarks.frames import UnexpectedFrame
from benchmarks.realtime_aiohttp import IDS, Calls
from benchmarks.realtime_bare import ECHO
from benchmarks.realtime_load import AIOHTTP, Begin, Call, Load
from benchmarks.subjects import BareRealtime
from stator.runtime.protocol.connection import ActionResponse, Event
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.to_client import encode_to_client

EXPECTED = messages.beginning_of(Encoding.BARE, ActionResponse)


def answer(number: int) -> bytes:
    """Return the answer to a call."""
    return encode_to_client(Encoding.BARE, messages.VERSION, ActionResponse(number, 1))


@pytest.fixture
def calls() -> Calls:
    return Calls(messages.call_payloads(Encoding.BARE, "get", [], 3), EXPECTED)


@pytest.fixture(scope="module")
def bare() -> Iterator[BareRealtime]:
    with BareRealtime() as server:
        server.wait_first_answer()
        yield server


@pytest.mark.parametrize("number", [messages.FIRST_ID, messages.FIRST_ID + IDS - 1])
def test_the_id_of_an_answer_is_read(number: int) -> None:
    assert messages.id_of(answer(number)) == number


def test_the_ids_of_calls_are_read_as_those_of_answers() -> None:
    payloads = messages.call_payloads(Encoding.BARE, "get", [], IDS)
    found = [messages.id_of(payload) for payload in payloads]
    assert found == list(range(messages.FIRST_ID, messages.FIRST_ID + IDS))


def test_calls_are_taken_in_turn(calls: Calls) -> None:
    taken = [messages.id_of(calls.take()) for _ in range(4)]
    assert taken == [1000, 1001, 1002, 1000]


def test_answers_may_come_in_any_order(calls: Calls) -> None:
    calls.take()
    calls.take()
    calls.resolve(answer(1001))
    calls.resolve(answer(1000))
    assert calls.done == 2


def test_a_second_answer_to_a_call_ends_the_run(calls: Calls) -> None:
    calls.take()
    calls.resolve(answer(1000))
    with pytest.raises(UnexpectedFrame, match="1000 was not called"):
        calls.resolve(answer(1000))


def test_a_message_of_another_kind_ends_the_run(calls: Calls) -> None:
    calls.take()
    event = encode_to_client(Encoding.BARE, messages.VERSION, Event("news", []))
    with pytest.raises(UnexpectedFrame):
        calls.resolve(event)


def test_the_last_answer_after_the_end_is_told(calls: Calls) -> None:
    calls.take()
    calls.take()
    calls.stop()
    told: list[bool] = []
    for number in (1000, 1001):
        calls.resolve(answer(number))
        told.append(calls.all_answered.is_set())
    assert told == [False, True]


def test_an_end_without_waiting_calls_is_told_at_once(calls: Calls) -> None:
    calls.stop()
    assert calls.all_answered.is_set()


def test_calls_are_echoed_to_order_after_order(bare: BareRealtime) -> None:
    order = Call(action="get", in_flight=64, seconds=0.05, echo=True)
    with Load(Begin(port=bare.port, path=ECHO), AIOHTTP) as load:
        outcomes = [load.ask(order), load.ask(order)]
    assert all(outcome.done > 0 for outcome in outcomes)


def test_the_client_tells_what_it_took_of_a_core(bare: BareRealtime) -> None:
    with Load(Begin(port=bare.port, path=ECHO), AIOHTTP) as load:
        outcome = load.ask(Call(action="get", in_flight=64, seconds=0.05, echo=True))
    assert outcome.cores > 0


def test_a_wrong_answer_ends_the_process(
    bare: BareRealtime, capfd: pytest.CaptureFixture[str]
) -> None:
    with Load(Begin(port=bare.port, path=ECHO), AIOHTTP) as load, pytest.raises(RuntimeError):
        load.ask(Call(action="get", in_flight=1, seconds=0.05))
    assert "UnexpectedFrame" in capfd.readouterr().err
