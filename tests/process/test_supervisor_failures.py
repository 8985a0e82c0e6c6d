"""What the supervisor does when children die, hang or cannot start."""

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from stator.runtime.control import ChildState
from stator.runtime.exit_codes import ExitCode
from tests.fakes.running_service import RunningService, is_alive, set_behaviour, wait_until

pytestmark = pytest.mark.process


def test_a_killed_worker_is_restarted_and_the_epoch_of_its_shards_rises(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        block = service.block()
        worker = block.slot(2)
        assert (worker.generation, [block.epoch_of(shard) for shard in range(8)]) == (1, [1] * 8)
        first_pid = worker.pid

        _kill(first_pid)
        died = service.wait_event("child died", child="worker 1")
        service.wait_event("child is back", child="worker 1")

        assert died["exit"] == "signal SIGKILL"
        assert [block.epoch_of(shard) for shard in range(8)] == [1, 1, 1, 1, 2, 2, 2, 2]
        assert (worker.generation, worker.state) == (2, ChildState.READY)
        assert worker.pid != first_pid
        block.close()


def test_a_killed_gateway_is_restarted_and_no_epoch_changes(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        block = service.block()
        _kill(block.slot(0).pid)
        service.wait_event("child is back", child="gateway 0")
        assert block.slot(0).generation == 2
        assert [block.epoch_of(shard) for shard in range(8)] == [1] * 8
        block.close()


def test_a_worker_that_keeps_dying_after_the_service_was_ready_is_restarted_for_ever(
    tmp_path: Path,
) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        service.behave("worker-0", "exit 65")
        _kill(service.pids()[1])
        pauses = [
            service.wait_event("child is restarted", child="worker 0")["pause"] for _ in range(5)
        ]
        assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16]
        service.behave("worker-0", "")
        service.wait_event("child is back", child="worker 0")


@pytest.mark.parametrize(
    "code", [ExitCode.APPLICATION, ExitCode.CONFIG, ExitCode.STORAGE, ExitCode.LOCKED]
)
def test_a_first_start_that_cannot_succeed_stops_the_service_with_the_childs_exit_code(
    tmp_path: Path, code: ExitCode
) -> None:
    set_behaviour(tmp_path, "worker-1", f"exit {code:d}")
    with RunningService(tmp_path) as service:
        assert service.wait_exit() == code
        complaints = [line for line in service.log if line["level"] == "critical"]
        assert [line["event"] for line in complaints] == ["service cannot start"]
        assert complaints[0]["reason"] == f"worker 1 ended with exit code {code:d} ({code.name})"
        starts = [line for line in service.log if line["event"] == "child spawned"]
        assert len(starts) == 3


def test_a_first_start_that_fails_three_times_stops_the_service(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "gateway-0", "exit 1")
    with RunningService(tmp_path) as service:
        assert service.wait_exit() == ExitCode.CHILD
        starts = [
            line["generation"]
            for line in service.log
            if line["event"] == "child spawned" and line["child"] == "gateway 0"
        ]
        assert starts == [1, 2, 3]


def test_a_worker_whose_loop_blocks_is_reported_with_its_stack_and_replaced(
    tmp_path: Path,
) -> None:
    set_behaviour(tmp_path, "worker-0", "block")
    stall = {"workers.stall_warning": 0.5, "workers.stall_timeout": 1.0}
    with RunningService(tmp_path, settings=stall) as service:
        stalled = service.wait_event("child stalled", child="worker 0")
        service.behave("worker-0", "")
        assert "block_the_loop" in stalled["stack"]
        assert stalled["silent_for"] >= 0.5
        service.wait_event("child killed", child="worker 0", reason="silent for too long")
        service.wait_event("child is back", child="worker 0")
        warnings = [line for line in service.log if line["event"] == "child stalled"]
        assert len(warnings) == 1


def test_a_start_that_hangs_is_reported_with_its_stack_and_given_up(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "worker-0", "never ready")
    settings = {"workers.start_timeout": 2.5}
    with RunningService(tmp_path, settings=settings) as service:
        assert service.wait_exit() == ExitCode.CHILD
        slow = [line for line in service.log if line["event"] == "child is slow to start"]
        stacks = [line["stack"] or "" for line in slow if line["child"] == "worker 0"]
        # On a busy machine an interpreter may be so slow to start that it has none to show.
        assert "hang_before_ready" in "".join(stacks)


def test_the_stack_of_a_crash_is_logged(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        service.behave("worker-0", "crash")
        _kill(service.pids()[1])
        service.wait_event("child died", child="worker 0", exit="signal SIGSEGV")
        # In the line of the death, or in one before it if the supervisor looked in between.
        stack = "".join(line.get("stack") or "" for line in service.log)
        assert "Segmentation fault" in stack
        assert "in crash" in stack


@pytest.mark.parametrize("behaviour", ["", "stubborn", "block"])
def test_children_leave_when_the_supervisor_is_killed(tmp_path: Path, behaviour: str) -> None:
    set_behaviour(tmp_path, "worker-0", behaviour)
    with RunningService(tmp_path, settings={"workers.grace_period": 0.5}) as service:
        service.wait_ready()
        pids = service.pids()
        service.kill_supervisor()
        wait_until(_all_are_gone(pids), "the end of all children")
        polite = ["gateway 0 76", "worker 1 76", *([] if behaviour else ["worker 0 76"])]
        assert sorted(service.left()) == sorted(polite)


def test_a_new_service_starts_once_the_children_of_a_killed_one_have_left(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "worker-0", "stubborn")
    with RunningService(tmp_path, settings={"workers.grace_period": 1.0}) as first:
        first.wait_ready()
        pids = first.pids()
        port = first.record().endpoint.rpartition(":")[2]
        first.kill_supervisor()
        set_behaviour(tmp_path, "worker-0", "")
        with RunningService(tmp_path, settings={"server.port": port}) as second:
            second.wait_ready()
            assert not any(map(is_alive, pids))


def test_a_spawn_that_the_system_refuses_is_repeated(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        pids = service.pids()
        soft, hard = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (len(_fds(service.pid)), hard))
        _kill(pids[1])
        service.wait_event("child cannot be spawned", child="worker 0")
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (soft, hard))
        service.wait_event("child is back", child="worker 0")


def test_restarts_leak_no_descriptor(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        before = len(_fds(service.pid))
        for _ in range(3):
            _kill(service.pids()[1])
            service.wait_event("child is back", child="worker 0")
        wait_until(lambda: len(_fds(service.pid)) == before, "the descriptors of before")


def _fds(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/fd")


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _all_are_gone(pids: list[int]) -> Callable[[], bool]:
    return lambda: not any(map(is_alive, pids))
