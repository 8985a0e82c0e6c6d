"""A roll: whose turn it is, when it is over, and what stops it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.supervisor.policy import Action, Event, Phase, decide
from stator.supervisor.roll import Progress, Roll

READY = Phase.READY


def test_the_first_worker_is_first() -> None:
    assert Roll([1, 1]).whose_turn([(READY, 1), (READY, 1)]) == 0


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not READY])
def test_nobody_is_told_while_a_worker_is_not_ready(phase: Phase) -> None:
    roll = Roll([1, 1, 1])
    for absent in range(3):
        workers = [(phase if index == absent else READY, 1) for index in range(3)]
        assert roll.whose_turn(workers) is None


def test_the_next_is_told_once_the_successor_is_ready() -> None:
    roll = Roll([1, 4])
    assert roll.whose_turn([(Phase.STARTING, 2), (READY, 4)]) is None
    assert roll.whose_turn([(READY, 2), (READY, 4)]) == 1


def test_a_worker_that_died_of_itself_meanwhile_is_not_replaced_again() -> None:
    assert Roll([1, 1, 1]).whose_turn([(READY, 2), (READY, 2), (READY, 1)]) == 2


def test_it_is_over_when_everyone_was_replaced_and_is_ready() -> None:
    roll = Roll([1, 1])
    assert not roll.is_over([(READY, 2), (READY, 1)])
    assert not roll.is_over([(READY, 2), (Phase.STARTING, 2)])
    assert roll.is_over([(READY, 3), (READY, 2)])


def test_only_a_start_with_what_is_on_disk_now_can_stop_it() -> None:
    roll = Roll([1, 7])
    assert not roll.is_stopped_by(1, 7)
    assert roll.is_stopped_by(1, 8)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_by_the_table_each_worker_is_replaced_once_and_one_at_a_time(before: list[int]) -> None:
    roll = Roll(before)
    workers: list[Progress] = [(READY, generation) for generation in before]
    turns = list[int]()
    while not roll.is_over(workers):
        turn = roll.whose_turn(workers)
        assert turn is not None
        turns.append(turn)
        for event in Event.ROLL, Event.EXITED, Event.BECAME_READY:
            phase, generation = workers[turn]
            phase, action = decide(phase, event)
            workers[turn] = (phase, generation + (action is Action.SUCCEED))
            assert sum(phase is not READY for phase, _ in workers) <= 1
    assert turns == list(range(len(before)))
