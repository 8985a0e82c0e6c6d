"""The pacer: changes that come together share a sync, one that comes alone never waits."""

from hypothesis import given
from hypothesis import strategies as st

from stator.shards.pacing import FIRST_PAUSE, FULL, LAST_PAUSE, WORTH, Pacer

INTERVAL = 0.004


def _holding() -> Pacer:
    pacer = Pacer(INTERVAL)
    pacer.committed(2, callers=2)
    return pacer


def test_the_first_change_is_not_held() -> None:
    assert Pacer(INTERVAL).hold(1) == 0


def test_changes_of_a_single_caller_are_never_held() -> None:
    pacer = Pacer(INTERVAL)
    for _ in range(100):
        assert pacer.hold(1) == 0
        pacer.committed(1, callers=1)


def test_a_batch_after_one_with_several_callers_is_held() -> None:
    assert _holding().hold(1) == INTERVAL


def test_a_full_batch_is_not_held() -> None:
    pacer = _holding()
    assert pacer.hold(FULL) == 0
    assert pacer.is_full(FULL)
    assert not pacer.is_full(FULL - 1)


def test_holding_goes_on_while_it_pays() -> None:
    pacer = _holding()
    for _ in range(10):
        pacer.committed(WORTH, callers=WORTH)
        assert pacer.hold(1) == INTERVAL


def test_holding_that_did_not_pay_is_tried_again_ever_more_rarely() -> None:
    pacer = _holding()
    waits: list[int] = []
    for _ in range(12):
        pacer.committed(WORTH - 1, callers=3)
        waits.append(0)
        while pacer.hold(1) == 0:
            pacer.committed(2, callers=2)
            waits[-1] += 1
    assert waits[0] == 2 * FIRST_PAUSE + 1
    assert waits == sorted(waits)
    assert waits[-1] == LAST_PAUSE + 1


def test_no_interval_means_no_holding() -> None:
    pacer = Pacer(0.0)
    pacer.committed(50, callers=50)
    assert pacer.hold(1) == 0


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 100)), max_size=200))
def test_a_hold_is_never_longer_than_the_interval(commits: list[tuple[int, int]]) -> None:
    pacer = Pacer(INTERVAL)
    for changes, callers in commits:
        pacer.committed(changes, callers=callers)
        assert 0 <= pacer.hold(1) <= INTERVAL
