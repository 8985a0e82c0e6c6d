"""The control block as its writers and readers see it, in one process and across two."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stator.runtime import control
from stator.runtime.control import ChildState, Counter, Role, ServiceState
from stator.runtime.control_block import ControlBlock, LayoutMismatch

_WRITER = """
import sys
from stator.runtime.control_block import ControlBlock
slot = ControlBlock.attach(int(sys.argv[1])).slot(0)
print(flush=True)
while True:
    slot.publish([0x1111111111111111], [])
    slot.publish([0x2222222222222222], [])
"""


@pytest.fixture
def block() -> Iterator[ControlBlock]:
    block = ControlBlock.create(
        owners=[0, 0, 1], children=[(Role.GATEWAY, 0), (Role.WORKER, 0), (Role.WORKER, 1)]
    )
    yield block
    block.close()


def test_a_new_block_says_who_owns_what_at_epoch_one(block: ControlBlock) -> None:
    assert [block.owner_of(shard) for shard in range(3)] == [0, 0, 1]
    assert [block.epoch_of(shard) for shard in range(3)] == [1, 1, 1]
    assert [(slot.role, slot.index) for slot in block.slots] == [
        (Role.GATEWAY, 0),
        (Role.WORKER, 0),
        (Role.WORKER, 1),
    ]
    assert block.supervisor_pid == os.getpid()
    assert block.service_state is ServiceState.STARTING


def test_what_one_mapping_writes_another_reads(block: ControlBlock) -> None:
    other = ControlBlock.attach(block.fd)
    block.raise_epochs([2])
    block.set_service_state(ServiceState.SERVING)
    other.slot(1).take_over(1)
    other.slot(1).beat(heartbeat_ns=5, loop_lag_us=6, rss_bytes=7)
    block.slot(1).begin(pid=42, generation=1, started_ns=4)
    assert [other.epoch_of(shard) for shard in range(3)] == [1, 1, 2]
    assert other.service_state is ServiceState.SERVING
    slot = block.slot(1)
    assert (slot.pid, slot.generation, slot.started_ns) == (42, 1, 4)
    assert (slot.heartbeat_ns, slot.loop_lag_us, slot.rss_bytes) == (5, 6, 7)
    other.close()


def test_a_shard_out_of_range_is_an_error_and_not_another_cell(block: ControlBlock) -> None:
    with pytest.raises(IndexError):
        block.owner_of(3)
    with pytest.raises(IndexError):
        block.epoch_of(3)


def test_the_life_of_a_child_shows_in_its_state(block: ControlBlock) -> None:
    slot = block.slot(1)
    seen = [slot.state]
    slot.begin(pid=1, generation=1, started_ns=1)
    slot.take_over(1)
    for state in ChildState.READY, ChildState.DRAINING:
        slot.set_state(state)
        seen.append(slot.state)
    slot.end(ChildState.FAILED)
    seen.append(slot.state)
    assert slot.pid == 0
    slot.begin(pid=2, generation=2, started_ns=2)
    seen.append(slot.state)
    assert [state.name for state in seen] == [
        "STARTING",
        "READY",
        "DRAINING",
        "FAILED",
        "STARTING",
    ]


def test_what_a_dead_child_left_is_void_for_its_successor(block: ControlBlock) -> None:
    slot = block.slot(1)
    slot.begin(pid=1, generation=1, started_ns=1)
    slot.take_over(1)
    slot.beat(heartbeat_ns=9, loop_lag_us=1, rss_bytes=1)
    slot.publish([3], [4])
    slot.begin(pid=2, generation=2, started_ns=2)
    assert (slot.is_taken_over, slot.heartbeat_ns) == (False, 0)
    slot.take_over(2)
    assert (slot.is_taken_over, slot.heartbeat_ns) == (True, 0)
    assert sum(slot.counters) + sum(slot.histogram) == 0


def test_counters_and_histogram_are_published_whole(block: ControlBlock) -> None:
    counters = list(range(1, control.COUNTERS + 1))
    histogram = list(range(100, 100 + control.BUCKETS))
    block.slot(2).publish(counters, histogram)
    assert block.slot(2).counters == counters
    assert block.slot(2).counters[Counter.CHANGES] == Counter.CHANGES + 1
    assert block.slot(2).histogram == histogram
    assert sum(block.slot(1).counters + block.slot(1).histogram) == 0


def test_more_counters_than_cells_do_not_reach_the_next_slot(block: ControlBlock) -> None:
    block.slot(1).publish([1] * 100, [2] * 100)
    assert block.slot(1).counters == [1] * control.COUNTERS
    assert block.slot(1).histogram == [2] * control.BUCKETS
    assert (block.slot(2).role, block.slot(2).index) == (Role.WORKER, 1)


def test_a_reader_never_sees_a_cell_half_written(block: ControlBlock) -> None:
    allowed = {0x1111111111111111, 0x2222222222222222}
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(block.fd)],
        pass_fds=[block.fd],
        stdout=subprocess.PIPE,
    )
    with writer:
        assert writer.stdout
        writer.stdout.readline()
        slot = block.slot(0)
        while slot.counters[0] == 0:
            assert writer.poll() is None
        assert {slot.counters[0] for _ in range(200_000)} <= allowed
        writer.kill()


def test_a_reader_cannot_write(block: ControlBlock) -> None:
    reader = ControlBlock.attach(block.fd, writable=False)
    with pytest.raises(TypeError):
        reader.raise_epochs([0])
    reader.close()


def test_the_segment_cannot_be_resized(block: ControlBlock) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(block.fd, 0)


def test_the_memfd_is_not_inherited_by_accident(block: ControlBlock) -> None:
    assert not os.get_inheritable(block.fd)


def test_closing_a_block_closes_its_memfd() -> None:
    block = ControlBlock.create(owners=[0], children=[(Role.WORKER, 0)])
    fd = block.fd
    block.close()
    block.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


@pytest.mark.parametrize("size", [0, 8, 4096])
def test_anything_else_is_not_a_control_block(size: int) -> None:
    fd = os.memfd_create("test")
    os.ftruncate(fd, size)
    with pytest.raises(ValueError, match="not a control block"):
        ControlBlock.attach(fd)
    os.close(fd)


def test_a_block_of_another_version_is_told_apart(block: ControlBlock) -> None:
    version = control.Header.VERSION * control.CELL_BYTES
    os.pwrite(block.fd, (99).to_bytes(8, sys.byteorder), version)
    with pytest.raises(LayoutMismatch):
        ControlBlock.attach(block.fd)
