"""What ``stator upgrade`` makes of the control block while the workers are rolled."""

from collections.abc import Iterator

import pytest

from stator.runtime.control import ChildState, Role, ServiceState
from stator.runtime.control_block import ControlBlock
from stator.runtime.exit_codes import ExitCode
from stator.supervisor.failure import ServiceFailure
from stator.supervisor.upgrade import RollWatch


@pytest.fixture
def block() -> Iterator[ControlBlock]:
    block = ControlBlock.create(
        owners=[0, 0, 1], children=[(Role.GATEWAY, 0), (Role.WORKER, 0), (Role.WORKER, 1)]
    )
    block.set_service_state(ServiceState.SERVING)
    for slot in range(3):
        _start(block, slot, generation=1)
    yield block
    block.close()


def _start(block: ControlBlock, slot: int, *, generation: int, is_ready: bool = True) -> None:
    child = block.slot(slot)
    child.begin(pid=100 * slot + generation, generation=generation, started_ns=1)
    child.take_over(generation)
    if is_ready:
        child.set_state(ChildState.READY)


def _watch(block: ControlBlock, why: str = "worker 1 ended") -> RollWatch:
    return RollWatch(block, why=lambda: why)


def _failure(watch: RollWatch) -> tuple[ExitCode, str]:
    with pytest.raises(ServiceFailure) as caught:
        list(watch.look())
    return caught.value.exit_code, str(caught.value)


def test_a_worker_is_told_of_once_its_successor_is_ready(block: ControlBlock) -> None:
    watch = _watch(block)
    assert list(watch.look()) == []
    _start(block, 1, generation=2, is_ready=False)
    assert list(watch.look()) == []
    block.slot(1).set_state(ChildState.READY)
    assert list(watch.look()) == ["stator: worker 0 (shards 0-1)  pid 102  generation 2"]
    assert list(watch.look()) == []


def test_it_is_over_after_the_last_worker_whatever_gateways_do(block: ControlBlock) -> None:
    watch = _watch(block)
    for slot in 1, 2:
        assert not watch.is_over
        _start(block, slot, generation=2)
        assert len(list(watch.look())) == 1
    assert watch.is_over


@pytest.mark.parametrize(
    ("why", "told"), [("worker 1 ended", "worker 1 ended"), ("", "stopped, the log says why")]
)
def test_a_stopped_roll_is_a_failure_with_its_reason(
    block: ControlBlock, why: str, told: str
) -> None:
    watch = _watch(block, why)
    block.count_stopped_roll()
    assert _failure(watch) == (ExitCode.CHILD, told)


def test_a_roll_that_was_stopped_before_is_none(block: ControlBlock) -> None:
    block.count_stopped_roll()
    assert list(_watch(block).look()) == []


def test_a_service_that_stops_rolls_no_further(block: ControlBlock) -> None:
    watch = _watch(block)
    block.set_service_state(ServiceState.DRAINING)
    assert _failure(watch) == (ExitCode.FAILURE, "the service is stopping")


def test_what_happens_after_the_last_worker_does_not_matter(block: ControlBlock) -> None:
    watch = _watch(block)
    for slot in 1, 2:
        _start(block, slot, generation=2)
    block.set_service_state(ServiceState.DRAINING)
    assert len(list(watch.look())) == 2
    assert watch.is_over
