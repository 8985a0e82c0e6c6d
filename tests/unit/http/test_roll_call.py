"""Clients that went away without a word, on a clock that is moved by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from stator.http.open_sockets import OpenSockets
from stator.http.roll_call import RollCall
from tests.fakes.echo_server import MemoryTransport, RecordingOwner, open_in_memory
from tests.fakes.wire_frames import BINARY, PING, PONG, client_close, client_frame, split_frames

TIMEOUT_S = 10.0


class Calls:
    """Some sockets, and their roll call in rounds of one tick unless told."""

    def __init__(
        self, count: int = 1, ticks_per_round: int = 1, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.sockets = OpenSockets()
        self.owners = [RecordingOwner() for _ in range(count)]
        self.transports = [open_in_memory(owner, sockets=self.sockets) for owner in self.owners]
        self.roll_call = RollCall(
            self.sockets, interval_s=30.0, timeout_s=timeout_s, ticks_per_round=ticks_per_round
        )

    @property
    def owner(self) -> RecordingOwner:
        """The first socket's."""
        return self.owners[0]

    @property
    def transport(self) -> MemoryTransport:
        """The first socket's."""
        return self.transports[0]

    def tick(self, now: float) -> None:
        """Let the clock say ``now``."""
        self.roll_call.tick(now)

    def pings(self) -> int:
        """Return how many pings the clients have got."""
        for owner in self.owners:
            owner.socket.flush()
        frames = [frame for sent in self.transports for frame in split_frames(bytes(sent.written))]
        return sum(frame.opcode == PING for frame in frames)


async def test_who_was_heard_since_the_last_round_is_left_alone() -> None:
    calls = Calls()
    for now in (0.0, 30.0, 60.0):
        calls.owner.socket.data_received(client_frame(BINARY, b"x"))
        calls.tick(now)
    assert calls.pings() == 0


async def test_who_was_silent_for_a_round_is_pinged() -> None:
    calls = Calls()
    calls.tick(0.0)
    calls.tick(30.0)
    assert calls.pings() == 1


async def test_who_does_not_answer_is_aborted() -> None:
    calls = Calls()
    calls.tick(0.0)
    calls.tick(30.0)
    calls.tick(30.0 + TIMEOUT_S - 0.1)
    assert calls.pings() == 1
    assert not calls.transport.is_aborted
    calls.tick(30.0 + TIMEOUT_S)
    assert calls.transport.is_aborted


async def test_who_answers_stays() -> None:
    calls = Calls()
    calls.tick(0.0)
    calls.tick(30.0)
    calls.owner.socket.data_received(client_frame(PONG))
    calls.tick(60.0)
    calls.tick(90.0)
    calls.tick(90.0 + TIMEOUT_S - 0.1)
    assert not calls.transport.is_aborted
    assert calls.pings() == 2


async def test_an_answer_counts_although_rounds_are_shorter_than_the_timeout() -> None:
    calls = Calls(timeout_s=45.0)
    calls.tick(0.0)
    calls.tick(30.0)
    calls.owner.socket.data_received(client_frame(PONG))
    calls.tick(60.0)
    calls.tick(75.0)
    assert not calls.transport.is_aborted


async def test_who_answers_stays_when_the_time_is_up_before_the_next_round() -> None:
    calls = Calls(count=1, ticks_per_round=2)
    calls.tick(0.0)
    calls.tick(15.0)
    calls.tick(30.0)
    calls.owner.socket.data_received(client_frame(PONG))
    calls.tick(45.0)
    assert not calls.transport.is_aborted


async def test_who_is_not_read_from_is_taken_for_alive() -> None:
    calls = Calls()
    calls.tick(0.0)
    calls.owner.socket.pause_reading()
    for now in (30.0, 60.0, 90.0):
        calls.tick(now)
    assert calls.pings() == 0
    assert not calls.transport.is_aborted


async def test_who_is_not_read_from_since_the_ping_is_taken_for_alive() -> None:
    calls = Calls()
    calls.tick(0.0)
    calls.tick(30.0)
    calls.owner.socket.pause_reading()
    calls.tick(60.0)
    assert not calls.transport.is_aborted


async def test_who_does_not_read_is_aborted_without_a_ping() -> None:
    calls = Calls()
    calls.tick(0.0)
    calls.transport.unread = 10**6
    calls.tick(30.0)
    calls.tick(60.0)
    assert calls.pings() == 0
    assert calls.transport.is_aborted


async def test_who_is_closing_has_another_timer() -> None:
    calls = Calls()
    calls.tick(0.0)
    calls.tick(30.0)
    calls.owner.socket.data_received(client_close())
    calls.tick(60.0)
    assert not calls.transport.is_aborted


@pytest.mark.parametrize("count", [0, 1, 3, 16, 17, 100])
async def test_a_round_is_spread_over_its_ticks(count: int) -> None:
    calls = Calls(count, ticks_per_round=16)
    for tick in range(16):
        calls.tick(tick)
    pings = [calls.pings()]
    for tick in range(16):
        calls.tick(30.0 + tick / 100)
        pings.append(calls.pings())
    assert pings[0] == 0
    assert pings[-1] == count
    assert max(b - a for a, b in pairwise(pings)) <= count // 16 + 1


async def test_time_turns_by_itself() -> None:
    calls = Calls()
    roll_call = RollCall(calls.sockets, interval_s=0.001, timeout_s=0.0)
    roll_call.start()
    await calls.transport.aborted.wait()
    roll_call.stop()
    roll_call.stop()


def test_an_interval_of_nothing_is_never() -> None:
    roll_call = RollCall(OpenSockets(), interval_s=0.0, timeout_s=1.0)
    roll_call.start()  # a timer would need a running loop
