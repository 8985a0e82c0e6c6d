"""The pauses between the attempts of a step."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.declarations import DefinitionError
from stator.runtime.workflow.backoff import Backoff


def never() -> float:
    raise AssertionError("nobody asked for chance")


def test_a_step_waits_as_long_as_that_of_the_peer() -> None:
    backoff = Backoff()
    assert [backoff.delay(attempt, never) for attempt in (1, 2, 3)] == [0.2, 0.4, 0.8]


def test_no_pause_is_longer_than_the_longest() -> None:
    assert Backoff().delay(9, never) == 30.0
    assert Backoff().delay(100_000, never) == 30.0


def test_no_pause_at_all_stays_none() -> None:
    assert Backoff(first=0).delay(100_000, never) == 0.0


def test_pauses_may_all_be_alike() -> None:
    assert Backoff(first=5, factor=1).delay(7, never) == 5.0


def test_durations_may_be_timedeltas() -> None:
    backoff = Backoff(first=timedelta(seconds=2), max=timedelta(minutes=1))
    assert [backoff.delay(attempt, never) for attempt in (1, 7)] == [2.0, 60.0]


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 2000))
def test_chance_takes_off_at_most_its_fraction(jitter: float, drawn: float, attempt: int) -> None:
    whole = Backoff().delay(attempt, never)
    pause = Backoff(jitter=jitter).delay(attempt, lambda: drawn)
    assert whole * (1 - jitter) <= pause <= whole


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": -1},
        {"first": float("nan")},
        {"first": timedelta(seconds=-1)},
        {"factor": 0.5},
        {"factor": float("inf")},
        {"max": float("inf")},
        {"jitter": 1.5},
        {"jitter": -0.1},
    ],
    ids=str,
)
def test_a_number_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} of a Backoff is"):
        Backoff(**wrong)


@pytest.mark.parametrize("wrong", [{"first": "1"}, {"factor": None}, {"jitter": True}], ids=str)
def test_what_is_no_number_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="is a number"):
        Backoff(**wrong)


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        Backoff().delay(0, never)
