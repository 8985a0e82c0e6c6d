"""The realtime load generator against the bare server: what a user of the rows relies on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.realtime_bare import ECHO, SQUARE
from benchmarks.realtime_client import Ring
from benchmarks.realtime_load import Begin, Call, Close, Drain, Load, Open, Shout
from benchmarks.subjects import BareRealtime
from stator.runtime.protocol.encoding import Encoding


@pytest.fixture(scope="module")
def bare() -> Iterator[BareRealtime]:
    with BareRealtime() as server:
        server.wait_first_answer()
        yield server


@pytest.fixture
def square(bare: BareRealtime) -> Iterator[Load]:
    with Load(Begin(port=bare.port, path=SQUARE)) as load:
        yield load


def test_a_ring_gives_the_frames_in_turn() -> None:
    ring = Ring([b"a", b"b", b"c"])
    assert [ring.take(2), ring.take(3), ring.take(1)] == [b"ab", b"cab", b"c"]


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.CBOR, Encoding.BARE])
@pytest.mark.parametrize("in_flight", [1, 64])
def test_calls_are_echoed_and_counted(
    bare: BareRealtime, encoding: Encoding, in_flight: int
) -> None:
    with Load(Begin(port=bare.port, path=ECHO, encoding=encoding)) as load:
        load.ask(Open(count=1))
        outcome = load.ask(Call(action="get", in_flight=in_flight, seconds=0.05, echo=True))
    assert outcome.done > 0


def test_calls_written_one_by_one_are_counted_too(bare: BareRealtime) -> None:
    with Load(Begin(port=bare.port, path=ECHO)) as load:
        load.ask(Open(count=1))
        order = Call(action="get", in_flight=64, seconds=0.05, separately=True, echo=True)
        assert load.ask(order).done > 0


def test_an_answer_of_another_kind_ends_the_run(
    bare: BareRealtime, capfd: pytest.CaptureFixture[str]
) -> None:
    with Load(Begin(port=bare.port, path=ECHO)) as load:
        load.ask(Open(count=1))
        with pytest.raises(RuntimeError):
            load.ask(Call(action="get", in_flight=1, seconds=0.05))
    assert "UnexpectedFrame" in capfd.readouterr().err


def test_every_listener_hears_every_shout(square: Load) -> None:
    square.ask(Open(count=3, subscribe=True))
    square.ask(Open(count=1))
    outcome = square.ask(Shout(size=100, seconds=0.05))
    assert outcome.done > 0


def test_a_closed_load_can_open_anew(square: Load) -> None:
    square.ask(Open(count=2))
    square.ask(Close())
    assert square.ask(Open(count=2)).done == 2


def test_stalled_connections_that_still_stand_are_not_counted_as_ended(square: Load) -> None:
    square.ask(Open(count=2, subscribe=True, stalled=True))
    square.ask(Open(count=1))
    assert square.ask(Drain()).done == 0
