"""Who is let in: in flight, per minute, and how little is remembered about it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from stator.http.admission import WINDOW_S, Admission, client_address
from stator.runtime.errors import RateLimited

HERE = "192.0.2.1"
ACTOR = ("default", "counter", "k")


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.25

    def __call__(self) -> float:
        return self.now


def _refusal(admission: Admission, address: str = HERE, actor: Any = ACTOR) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        admission.enter(address, actor)
    return caught.value


def _visit(admission: Admission, address: str = HERE, actor: Any = ACTOR) -> None:
    admission.enter(address, actor)
    admission.leave(address, actor)


# ---------------------------------------------------------------------------- in flight


def test_a_client_with_too_much_in_flight_waits_for_an_answer() -> None:
    admission = Admission(0, 2, Clock())
    admission.enter(HERE, ACTOR)
    admission.enter(HERE, ACTOR)
    _refusal(admission)
    admission.leave(HERE, ACTOR)
    admission.enter(HERE, ACTOR)


@pytest.mark.parametrize("other", [("192.0.2.2", ACTOR), (HERE, ("default", "counter", "l"))])
def test_other_clients_and_other_actors_are_not_held_back(other: tuple[str, Any]) -> None:
    admission = Admission(1, 1, Clock())
    admission.enter(HERE, ACTOR)
    admission.enter(*other)


def test_a_refusal_for_what_is_in_flight_says_what_to_do() -> None:
    admission = Admission(0, 1, Clock())
    admission.enter(HERE, ACTOR)
    error = _refusal(admission)
    assert (error.group, error.code, error.status, error.retry) == (
        "guard",
        "rate_limit",
        429,
        "later",
    )
    assert error.metadata == {"retry_after_ms": 1000, "limit": 1}
    assert "limits.max_in_flight_per_client" in error.message
    assert "wait for their answers" in error.message


# --------------------------------------------------------------------------- per minute


def test_a_client_that_asked_too_often_is_told_when_to_come_back() -> None:
    clock = Clock()
    admission = Admission(3, 0, clock)
    for _ in range(3):
        _visit(admission)
    error = _refusal(admission)
    assert error.metadata["limit"] == 3
    assert "limits.requests_per_minute" in error.message
    clock.now += error.metadata["retry_after_ms"] / 1000
    _visit(admission)


def test_refused_requests_do_not_count() -> None:
    clock = Clock()
    admission = Admission(1, 0, clock)
    _visit(admission)
    for _ in range(10):
        clock.now += 5
        _refusal(admission)
    clock.now += 11
    _visit(admission)


def test_requests_come_free_one_after_the_other() -> None:
    clock = Clock()
    admission = Admission(2, 0, clock)
    _visit(admission)
    clock.now += 30
    _visit(admission)
    clock.now += 31
    _visit(admission)
    _refusal(admission)


def test_a_steady_client_just_below_the_limit_is_never_refused() -> None:
    clock = Clock()
    admission = Admission(120, 0, clock)
    for _ in range(1000):
        _visit(admission)
        clock.now += 61 / 120


# ---------------------------------------------------------------------- what is remembered


def test_limits_of_zero_are_off() -> None:
    assert Admission(0, 0, Clock()).is_off
    assert not Admission(1, 0, Clock()).is_off
    assert not Admission(0, 1, Clock()).is_off


def test_without_a_rate_an_idle_client_is_forgotten_at_once() -> None:
    admission = Admission(0, 1, Clock())
    _visit(admission)
    assert admission.size == 0


def test_a_client_is_forgotten_once_its_last_minute_has_passed() -> None:
    clock = Clock()
    admission = Admission(5, 5, clock)
    for number in range(10):
        _visit(admission, f"client {number}")
    assert admission.size == 10
    clock.now += WINDOW_S + 1
    _visit(admission)
    assert admission.size == 1


def test_a_client_in_flight_is_remembered_however_long_it_takes() -> None:
    clock = Clock()
    admission = Admission(5, 1, clock)
    admission.enter(HERE, ACTOR)
    clock.now += 10 * WINDOW_S
    _visit(admission, "another")
    _refusal(admission)


def test_a_flood_of_addresses_drops_those_idle_for_longest() -> None:
    admission = Admission(1, 0, Clock(), max_pairs=10)
    for number in range(100):
        _visit(admission, f"client {number}")
    assert admission.size == 10
    _refusal(admission, "client 90")
    _visit(admission, "client 89")


def test_a_flood_of_addresses_drops_nobody_who_is_in_flight() -> None:
    admission = Admission(100, 1, Clock(), max_pairs=10)
    admission.enter(HERE, ACTOR)
    for number in range(100):
        _visit(admission, f"client {number}")
    _refusal(admission)
    assert admission.size == 10


def test_more_clients_in_flight_than_can_be_counted_are_refused() -> None:
    admission = Admission(0, 5, Clock(), max_pairs=3)
    for number in range(3):
        admission.enter(f"client {number}", ACTOR)
    assert _refusal(admission).metadata == {"retry_after_ms": 1000, "limit": 3}
    admission.enter("client 0", ACTOR)
    admission.leave("client 1", ACTOR)
    admission.enter(HERE, ACTOR)


# ---------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("peername", "address"),
    [
        (("192.0.2.1", 1234), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 1234, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:9:9:9:9", 1, 0, 0), "2001:db8:1:2::/64"),
        (("::1", 1, 0, 0), "::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        (("::ffff:192.0.2.1", 1, 0, 0), "192.0.2.1"),
        ("", "unix"),
        ("/run/stator.sock", "unix"),
        (None, "unix"),
        ((), "unix"),
    ],
)
def test_a_client_is_known_by_its_network(peername: object, address: str) -> None:
    assert client_address(peername) == address


# ------------------------------------------------------------------------------- a model


PAIRS = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([("x",), ("y", "z"), "id"]))


class AdmissionModel(RuleBasedStateMachine):
    """Any order of requests, answers and waiting, against a list of what was let in when."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.in_flight: dict[Any, int] = defaultdict(int)
        self.let_in: dict[Any, list[float]] = defaultdict(list)

    @initialize(rate=st.integers(0, 4), at_once=st.integers(0, 3))
    def start(self, rate: int, at_once: int) -> None:
        self.rate, self.at_once = rate, at_once
        self.admission = Admission(rate, at_once, self.clock)

    def recent(self, pair: Any, seconds: float) -> int:
        """Return how many requests of a pair were let in less than ``seconds`` ago."""
        return sum(self.clock.now - when < seconds for when in self.let_in[pair])

    @rule(pair=PAIRS)
    def enter(self, pair: Any) -> None:
        is_full = bool(self.at_once) and self.in_flight[pair] >= self.at_once
        must_refuse = is_full or bool(self.rate and self.recent(pair, WINDOW_S) >= self.rate)
        may_refuse = is_full or bool(self.rate and self.recent(pair, WINDOW_S + 1) >= self.rate)
        try:
            self.admission.enter(*pair)
        except RateLimited as error:
            assert may_refuse
            assert 0 < error.metadata["retry_after_ms"] <= (WINDOW_S + 1) * 1000 + 1
        else:
            assert not must_refuse
            self.in_flight[pair] += 1
            self.let_in[pair].append(self.clock.now)

    @precondition(lambda self: any(self.in_flight.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from([p for p, count in self.in_flight.items() if count]))
        self.admission.leave(*pair)
        self.in_flight[pair] -= 1

    @rule(seconds=st.floats(0, 70))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def remembers_no_more_than_it_has_to(self) -> None:
        if self.let_in:
            assert self.admission.size <= len(self.let_in)

    def teardown(self) -> None:
        if not hasattr(self, "admission"):
            return
        for (address, actor), count in self.in_flight.items():
            for _ in range(count):
                self.admission.leave(address, actor)
        self.admission.forget(self.clock.now + WINDOW_S + 1, at_most=100)
        assert self.admission.size == 0


AdmissionModel.TestCase.settings = settings(stateful_step_count=40)
TestAdmissionModel = AdmissionModel.TestCase
