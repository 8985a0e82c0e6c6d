"""Memory of processes: what is read, when it rests, how a curve is summed up."""

from __future__ import annotations

from benchmarks.memory import Curve, is_steady, parse_private_kib

ROLLUP = """\
00400000-7ffd rollup
Rss:               40000 kB
Pss:               30000 kB
Shared_Clean:       9000 kB
Private_Clean:       100 kB
Private_Dirty:     20000 kB
Swap:                  7 kB
SwapPss:               7 kB
"""


def test_only_what_belongs_to_the_process_alone_counts() -> None:
    assert parse_private_kib(ROLLUP) == 20_107


def test_memory_rests_when_the_last_readings_are_as_good_as_equal() -> None:
    assert is_steady([100_000, 150_000, 150_010, 150_000, 150_020])


def test_memory_that_still_grows_does_not_rest() -> None:
    assert not is_steady([150_000, 150_000, 150_000, 151_000])


def test_too_few_readings_are_no_rest() -> None:
    assert not is_steady([150_000, 150_000])


def test_a_curve_tells_the_most_of_each_half() -> None:
    assert Curve((1, 5, 2, 3, 4)).halves == (5, 4)
