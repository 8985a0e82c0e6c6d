"""Before and between the workers of a roll: the trial of what is on disk, and the watch."""

import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from stator.runtime.control_block import ControlBlock
from stator.runtime.exit_codes import ExitCode
from tests.fakes.running_service import RunningService, is_alive, wait_until

pytestmark = pytest.mark.process


@contextmanager
def _serving(
    data: Path, settings: Mapping[str, object] | None = None
) -> Generator[tuple[RunningService, ControlBlock]]:
    """Run a service and give its control block with it."""
    with RunningService(data, settings=settings) as service:
        service.wait_ready()
        with closing(service.block()) as block:
            yield service, block


def _upgrade(service: RunningService) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stator", "upgrade", "--data-directory", service.data],
        capture_output=True,
        text=True,
        timeout=60,
    )


def _generations(block: ControlBlock) -> list[int]:
    return [slot.generation for slot in block.slots]


# -- the trial


def test_a_trial_comes_first_and_no_worker_leaves_before_it_is_over(tmp_path: Path) -> None:
    with _serving(tmp_path) as (service, block):
        pids = service.pids()
        service.behave("trial", "linger")
        service.send(signal.SIGHUP)
        trial = service.wait_event("trial begins")["child_pid"]
        title = Path(f"/proc/{trial}/cmdline")
        wait_until(lambda: title.read_bytes().strip(b"\0") == b"stator: trial", "its title")
        assert service.pids() == pids
        service.behave("trial", "")
        service.wait_event("roll begins")
        service.wait_event("roll done")
        assert not is_alive(trial)
        assert _generations(block) == [1, 2, 2]


def test_what_a_trial_finds_wrong_is_told_and_nothing_is_changed(tmp_path: Path) -> None:
    with _serving(tmp_path) as (service, block):
        pids = service.pids()
        service.behave("trial", "refuse cannot import\n  the module")
        failed = _upgrade(service)
        assert (failed.returncode, failed.stdout, failed.stderr) == (
            ExitCode.CHILD,
            "",
            "stator: cannot import the module; every worker keeps what it has loaded\n",
        )
        stopped = service.wait_event("roll stopped", level="error", child="trial")
        assert stopped["reason"] == "cannot import the module"
        assert (service.pids(), _generations(block)) == (pids, [1, 1, 1])


def test_a_trial_that_says_nothing_is_told_by_its_end(tmp_path: Path) -> None:
    with _serving(tmp_path) as (service, block):
        for behaviour, end in ("exit 0", "exit code 0 (OK)"), ("exit 1", "exit code 1 (FAILURE)"):
            service.behave("trial", behaviour)
            service.send(signal.SIGHUP)
            stopped = service.wait_event("roll stopped")
            assert stopped["reason"] == f"the trial ended with {end}"
        assert _generations(block) == [1, 1, 1]


def test_a_trial_that_takes_too_long_is_killed_and_has_failed(tmp_path: Path) -> None:
    with _serving(tmp_path, {"workers.start_timeout": 5}) as (service, block):
        service.behave("trial", "never ready")
        service.send(signal.SIGHUP)
        pid = service.wait_event("trial begins")["child_pid"]
        stopped = service.wait_event("roll stopped", child="trial")
        assert stopped["reason"] == "the application was not loaded within 5 s"
        assert not is_alive(pid)
        assert _generations(block) == [1, 1, 1]


def test_a_mended_application_is_rolled(tmp_path: Path) -> None:
    with _serving(tmp_path) as (service, block):
        service.behave("trial", "refuse broken")
        assert _upgrade(service).returncode == ExitCode.CHILD
        service.behave("trial", "")
        assert _upgrade(service).returncode == ExitCode.OK
        assert _generations(block) == [1, 2, 2]


def test_requests_for_a_roll_during_a_trial_make_one_more(tmp_path: Path) -> None:
    with _serving(tmp_path) as (service, block):
        service.behave("trial", "linger")
        service.send(signal.SIGHUP)
        service.wait_event("trial begins")
        for _ in range(3):
            service.send(signal.SIGHUP)
        service.behave("trial", "")
        service.wait_event("roll done")
        service.wait_event("roll done")
        service.send(signal.SIGTERM)
        assert service.wait_exit() == ExitCode.OK
        assert len([line for line in service.log if line["event"] == "trial begins"]) == 2
        assert _generations(block) == [1, 3, 3]


def test_a_service_that_is_stopped_during_a_trial_stops(tmp_path: Path) -> None:
    with _serving(tmp_path) as (service, block):
        service.behave("trial", "never ready")
        service.send(signal.SIGHUP)
        pid = service.wait_event("trial begins")["child_pid"]
        service.send(signal.SIGTERM)
        assert service.wait_exit() == ExitCode.OK
        assert not is_alive(pid)
        assert _generations(block) == [1, 1, 1]
        assert not [line for line in service.log if line["event"] == "roll stopped"]


def test_systemd_is_told_of_a_trial_that_failed_as_of_a_roll_that_was_stopped(
    tmp_path: Path,
) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with RunningService(tmp_path / "data", environ=environ) as service:
            systemd.recv(4096)
            service.behave("trial", "refuse it is broken\nSTATUS=all is well")
            service.send(signal.SIGHUP)
            assert systemd.recv(4096).startswith(b"RELOADING=1\n")
            assert systemd.recv(4096) == (
                b"READY=1\nSTATUS=serving; the last roll of the workers was stopped: "
                b"it is broken STATUS=all is well"
            )


# -- the watch


WATCH = {"workers.roll_watch": 0.2}


def test_the_next_worker_leaves_when_the_last_one_was_watched(tmp_path: Path) -> None:
    with _serving(tmp_path, {"workers.roll_watch": 3600}) as (service, block):
        service.send(signal.SIGHUP)
        service.wait_event("child is back", child="worker 0")
        beat = block.slot(1).heartbeat_ns
        wait_until(lambda: block.slot(1).heartbeat_ns > beat, "a sign of life")
        assert _generations(block) == [1, 2, 1]
    with _serving(tmp_path, WATCH) as (service, block):
        service.send(signal.SIGHUP)
        service.wait_event("roll done")
        assert _generations(block) == [1, 2, 2]


def test_actors_that_only_fail_to_start_stop_the_roll(tmp_path: Path) -> None:
    with _serving(tmp_path, WATCH) as (service, block):
        service.behave("worker-0", "starts 0 3")
        failed = _upgrade(service)
        stopped = service.wait_event("roll stopped", child="worker 0")
        assert stopped["reason"] == "3 actors failed to start in worker 0, none started"
        assert failed.returncode == ExitCode.CHILD
        assert failed.stderr == (
            "stator: 3 actors failed to start in worker 0, none started; "
            "the workers after it keep what they have loaded\n"
        )
        assert _generations(block) == [1, 2, 1]


def test_actors_of_which_some_start_do_not_stop_the_roll(tmp_path: Path) -> None:
    with _serving(tmp_path, WATCH) as (service, block):
        service.behave("worker-0", "starts 1 3")
        assert _upgrade(service).returncode == ExitCode.OK
        assert _generations(block) == [1, 2, 2]


def test_a_worker_that_dies_while_it_is_watched_stops_the_roll(tmp_path: Path) -> None:
    with _serving(tmp_path, {"workers.roll_watch": 3600}) as (service, block):
        service.behave("worker-0", "crash")
        service.send(signal.SIGHUP)
        stopped = service.wait_event("roll stopped", child="worker 0")
        assert stopped["reason"] == "worker 0 ended with signal SIGSEGV soon after it was ready"
        assert block.slot(2).generation == 1
