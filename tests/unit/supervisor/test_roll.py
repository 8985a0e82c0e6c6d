"""A roll: whose turn it is, when it is over, and what stops it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.supervisor.policy import Action, Event, Phase, decide
from stator.supervisor.roll import Progress, Roll

READY = Phase.READY


def ready(generation: int, ready_for: float = 0.0, starts: int = 0, failures: int = 0) -> Progress:
    return Progress(READY, generation, ready_for, starts, failures)


def test_the_first_worker_is_first() -> None:
    assert Roll([1, 1]).whose_turn([ready(1), ready(1)]) == 0


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not READY])
def test_nobody_is_told_while_a_worker_is_not_ready(phase: Phase) -> None:
    roll = Roll([1, 1, 1])
    for absent in range(3):
        workers = [Progress(phase if index == absent else READY, 1) for index in range(3)]
        assert roll.whose_turn(workers) is None


def test_the_next_is_told_once_the_successor_is_ready() -> None:
    roll = Roll([1, 4])
    assert roll.whose_turn([Progress(Phase.STARTING, 2), ready(4)]) is None
    assert roll.whose_turn([ready(2), ready(4)]) == 1


def test_a_worker_that_died_of_itself_meanwhile_is_not_replaced_again() -> None:
    assert Roll([1, 1, 1]).whose_turn([ready(2), ready(2), ready(1)]) == 2


def test_it_is_over_when_everyone_was_replaced_and_is_ready() -> None:
    roll = Roll([1, 1])
    assert not roll.is_over([ready(2), ready(1)])
    assert not roll.is_over([ready(2), Progress(Phase.STARTING, 2)])
    assert roll.is_over([ready(3), ready(2)])


def test_only_a_start_with_what_is_on_disk_now_can_stop_it() -> None:
    roll = Roll([1, 7])
    assert not roll.is_stopped_by(1, 7, None)
    assert roll.is_stopped_by(1, 8, None)


# -- the watch


@pytest.mark.parametrize(
    ("workers", "turn"),
    [
        ([ready(1), ready(1), ready(1)], 0),  # nobody was replaced: nobody is to be watched
        ([ready(2, 0.0), ready(1), ready(1)], None),
        ([ready(2, 0.9), ready(1, 60.0), ready(1, 60.0)], None),
        ([ready(2, 1.0), ready(1), ready(1)], 1),
        ([ready(2, 2.0), ready(2, 0.5), ready(1)], None),
        ([ready(2, 2.0), ready(2, 1.5), ready(1)], 2),
        ([ready(1), ready(3, 0.5), ready(1)], None),  # died of itself, in this roll
    ],
)
def test_the_next_is_told_when_all_that_were_replaced_were_watched(
    workers: list[Progress], turn: int | None
) -> None:
    assert Roll([1, 1, 1], watch=1.0).whose_turn(workers) == turn


def test_the_last_is_not_watched() -> None:
    assert Roll([1, 1], watch=1.0).is_over([ready(2, 5.0), ready(2, 0.0)])


@pytest.mark.parametrize(
    ("workers", "failing"),
    [
        ([ready(2, 1.0, starts=0, failures=0), ready(1)], None),
        ([ready(2, 1.0, starts=5, failures=0), ready(1)], None),
        ([ready(2, 1.0, starts=1, failures=9), ready(1)], None),
        ([ready(2, 1.0, starts=0, failures=1), ready(1)], 0),
        ([ready(2, 0.9, starts=0, failures=9), ready(1)], None),  # one may yet start
        ([ready(1, 9.0, starts=0, failures=9), ready(1)], None),  # old code
        ([ready(1, 9.0), ready(3, 1.0, starts=0, failures=2)], 1),
        ([Progress(Phase.STARTING, 2, 1.0, 0, 9), ready(1)], None),
        ([ready(2, 1.0, failures=9), Progress(Phase.STARTING, 1)], 0),
        ([ready(2, 9.0, failures=9), ready(2, 9.0, failures=9)], None),  # nobody is left
    ],
)
def test_a_worker_in_which_actors_only_fail_to_start_stops_it(
    workers: list[Progress], failing: int | None
) -> None:
    assert Roll([1, 1], watch=1.0).who_fails(workers) == failing


def test_without_a_watch_nobody_fails() -> None:
    assert Roll([1, 1], watch=0.0).who_fails([ready(2, 9.0, failures=9), ready(1)]) is None


@pytest.mark.parametrize(
    ("watch", "generation", "ready_for", "is_stopped"),
    [
        (1.0, 2, None, True),
        (1.0, 2, 0.0, True),
        (1.0, 2, 0.9, True),
        (1.0, 2, 1.0, False),
        (1.0, 1, 0.5, False),
        (0.0, 2, None, True),
        (0.0, 2, 0.0, False),
    ],
)
def test_an_end_within_the_watch_stops_it(
    watch: float, generation: int, ready_for: float | None, is_stopped: bool
) -> None:
    assert Roll([1, 1], watch).is_stopped_by(0, generation, ready_for) is is_stopped


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.sampled_from([0.0, 1.0]))
def test_by_the_table_each_worker_is_replaced_once_and_one_at_a_time(
    before: list[int], watch: float
) -> None:
    roll = Roll(before, watch)
    workers = [ready(generation) for generation in before]
    turns = list[int]()
    while not roll.is_over(workers):
        turn = roll.whose_turn(workers)
        assert turn is not None
        turns.append(turn)
        for event in Event.ROLL, Event.EXITED, Event.BECAME_READY:
            worker = workers[turn]
            phase, action = decide(worker.phase, event)
            generation = worker.generation + (action is Action.SUCCEED)
            workers[turn] = Progress(phase, generation, ready_for=watch)
            assert sum(worker.phase is not READY for worker in workers) <= 1
    assert turns == list(range(len(before)))
