"""The layout of the control block: no two cells overlap, and each half has its cache lines."""

from itertools import pairwise

import pytest

from stator.runtime import control
from stator.runtime.control import ChildCell, ChildState, Counter, Header, ParentCell


@pytest.mark.parametrize("shards", [1, 2, 3, 8, 17, 4096])
@pytest.mark.parametrize("slots", [2, 5])
def test_no_two_parts_of_the_segment_overlap(shards: int, slots: int) -> None:
    parts = [
        range(0, control.HEADER_CELLS),
        range(control.owners_at(), control.owners_at() + shards),
        range(control.epochs_at(shards), control.epochs_at(shards) + shards),
        *(
            range(start, start + control.SLOT_CELLS)
            for start in (control.slot_at(shards, slot) for slot in range(slots))
        ),
    ]
    for before, after in pairwise(parts):
        assert before.stop <= after.start
    assert control.size_bytes(shards, slots) == parts[-1].stop * control.CELL_BYTES


@pytest.mark.parametrize("shards", [1, 3, 8, 4096])
def test_a_slot_begins_on_a_cache_line(shards: int) -> None:
    assert control.slot_at(shards, 1) * control.CELL_BYTES % 64 == 0


def test_the_two_writers_of_a_slot_share_no_cache_line() -> None:
    lines_of_parent = {cell // 8 for cell in ParentCell}
    lines_of_child = {cell // 8 for cell in range(ChildCell.GENERATION, control.SLOT_CELLS)}
    assert lines_of_parent.isdisjoint(lines_of_child)


def test_the_header_fits_before_the_tables() -> None:
    assert max(Header) < control.HEADER_CELLS


def test_the_cells_of_a_child_do_not_reach_into_its_counters() -> None:
    assert max(ChildCell) < control.FIRST_COUNTER
    assert max(Counter) < control.COUNTERS


@pytest.mark.parametrize(
    ("latency_us", "bucket"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1023, 10), (1024, 11), (1 << 40, 31)],
)
def test_a_latency_is_counted_in_the_bucket_of_its_power_of_two(
    latency_us: int, bucket: int
) -> None:
    assert control.bucket_of(latency_us) == bucket


def test_a_latency_is_below_the_limit_of_its_bucket_and_not_below_the_one_before() -> None:
    for latency_us in [*range(5000), 1 << 29, (1 << 30) - 1, 1 << 30]:
        bucket = control.bucket_of(latency_us)
        limit = control.bucket_limit_us(bucket)
        assert limit is None or latency_us < limit
        if bucket:
            before = control.bucket_limit_us(bucket - 1)
            assert before is not None and latency_us >= before


@pytest.mark.parametrize(
    ("ended", "generation", "child_generation", "state", "expected"),
    [
        (0, 0, 0, 0, ChildState.STARTING),
        (0, 1, 0, 0, ChildState.STARTING),
        (0, 1, 1, 1, ChildState.READY),
        (0, 1, 1, 2, ChildState.DRAINING),
        (0, 2, 1, 1, ChildState.STARTING),
        (3, 1, 1, 2, ChildState.STOPPED),
        (4, 1, 1, 1, ChildState.FAILED),
        (4, 1, 2, 1, ChildState.FAILED),
    ],
)
def test_the_state_of_a_child_is_told_by_both_writers(
    ended: int, generation: int, child_generation: int, state: int, expected: ChildState
) -> None:
    assert (
        control.current_state(
            ended=ended, generation=generation, child_generation=child_generation, state=state
        )
        is expected
    )
