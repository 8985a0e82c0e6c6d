"""The lines of ``stator status``, and services that cannot be looked at."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stator.runtime.config import Config, Storage
from stator.runtime.control import ChildState, Counter, Role, ServiceState
from stator.runtime.control_block import ControlBlock
from stator.runtime.exit_codes import ExitCode
from stator.supervisor.data_directory import ServiceRecord, write_service_record
from stator.supervisor.running import find_running
from stator.supervisor.status import format_status, print_status


@pytest.fixture
def block() -> Iterator[ControlBlock]:
    block = ControlBlock.create(owners=[0, 0, 1], children=[(Role.WORKER, 0), (Role.WORKER, 1)])
    yield block
    block.close()


def _record(fd: int, pid: int | None = None) -> ServiceRecord:
    return ServiceRecord(
        pid=pid or os.getpid(),
        control_fd=fd,
        complaint_fd=-1,
        run_directory="",
        endpoint="http://127.0.0.1:6420",
        started_at=0,
    )


def _status(data: Path) -> int:
    return print_status(Config(storage=Storage(directory=str(data))))


def test_each_process_and_each_group_of_shards_has_a_line(block: ControlBlock) -> None:
    block.set_service_state(ServiceState.SERVING)
    slot = block.slot(0)
    slot.begin(pid=42, generation=3, started_ns=1)
    slot.take_over(3)
    slot.set_state(ChildState.READY)
    slot.beat(heartbeat_ns=1_000_000_000, loop_lag_us=1500, rss_bytes=3 << 20)
    counters = [0] * 11
    counters[Counter.REQUESTS], counters[Counter.COMMITS] = 12, 8
    slot.publish(counters, [])
    block.slot(1).begin(pid=43, generation=1, started_ns=1)
    block.slot(1).end(ChildState.FAILED)
    block.raise_epochs([2])
    assert list(format_status(block, _record(0, pid=7), now_ns=1_250_000_000)) == [
        "stator: supervisor  pid 7  serving  http://127.0.0.1:6420",
        "stator: worker 0 (shards 0-1)  pid 42  ready  generation 3  heartbeat 0.2 s ago  "
        "lag 1.5 ms  rss 3.0 MiB  requests 12  actors 0  commits 8",
        "stator: worker 1 (shard 2)  pid -  failed  generation 1  heartbeat none  "
        "lag 0.0 ms  rss 0.0 MiB  requests 0  actors 0  commits 0",
        "shards 0-1  worker 0  epoch 1",
        "shard 2  worker 1  epoch 2",
    ]


def test_a_running_service_is_found_by_its_record(
    block: ControlBlock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_service_record(tmp_path, _record(block.fd))
    assert _status(tmp_path) == ExitCode.OK
    assert capsys.readouterr().out.startswith(f"stator: supervisor  pid {os.getpid()}  starting")


def test_a_directory_without_a_service_is_not_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status(tmp_path / "nowhere") == ExitCode.NOT_RUNNING
    assert capsys.readouterr().out == "not running\n"


def test_a_process_that_has_the_number_of_a_dead_supervisor_is_not_the_service(
    tmp_path: Path,
) -> None:
    descriptors = [os.memfd_create("other"), os.open("/dev/null", os.O_RDONLY), *os.pipe()]
    for fd in descriptors:
        write_service_record(tmp_path, _record(fd))
        assert _status(tmp_path) == ExitCode.NOT_RUNNING
        os.close(fd)


def test_a_child_that_outlived_the_supervisor_is_not_the_service(
    block: ControlBlock, tmp_path: Path
) -> None:
    heir = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[block.fd]
    )
    write_service_record(tmp_path, _record(block.fd, pid=heir.pid))
    assert _status(tmp_path) == ExitCode.NOT_RUNNING
    heir.communicate(b"\n", timeout=10)


def test_status_looks_at_what_runs_and_changes_nothing(block: ControlBlock, tmp_path: Path) -> None:
    write_service_record(tmp_path, _record(block.fd))
    with find_running(tmp_path) as service, pytest.raises(TypeError):
        service.block.count_stopped_roll()


def test_a_service_of_another_version_is_not_guessed_at(
    block: ControlBlock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.pwrite(block.fd, bytes(8), 8)
    write_service_record(tmp_path, _record(block.fd))
    assert _status(tmp_path) == ExitCode.FAILURE
    assert capsys.readouterr().err == "stator: the service runs another version of stator\n"
