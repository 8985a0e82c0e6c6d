"""Rolling the workers: one after the other, and what else may happen meanwhile."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from stator.runtime.control import ChildState
from stator.runtime.control_block import ControlBlock, Slot
from stator.runtime.exit_codes import ExitCode
from tests.fakes.running_service import RunningService, set_behaviour, wait_until

pytestmark = pytest.mark.process

SLOW_BACKOFF = {"workers.restart_backoff": 60, "workers.restart_backoff_max": 60}
"""A start that had to wait for it would fail the test."""


def test_workers_are_replaced_one_after_the_other_and_gateways_stay(tmp_path: Path) -> None:
    with _serving(tmp_path, SLOW_BACKOFF) as (service, b):
        before = service.pids()
        service.send(signal.SIGHUP)
        service.wait_event("roll done")
        after = service.pids()
        assert [slot.generation for slot in b.slots] == [1, 2, 2]
        assert [slot.state for slot in b.slots] == [ChildState.READY] * 3
        assert [b.epoch_of(shard) for shard in range(8)] == [2] * 8
        assert [mine == its for mine, its in zip(before, after, strict=True)] == [
            True,
            False,
            False,
        ]
        assert service.left() == ["worker 0 0", "worker 1 0"]
        told = [line["event"] for line in service.log if line["event"].startswith("child ")]
        assert told[3:] == ["child left", "child spawned", "child is back"] * 2


def test_requests_for_a_roll_during_one_make_one_more(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "worker-1", "stubborn")
    with _serving(tmp_path) as (service, block):
        service.behave("worker-1", "")
        service.send(signal.SIGHUP)
        wait_until(_is_draining(block.slot(2)), "the second worker's turn")
        for _ in range(3):
            service.send(signal.SIGHUP)
        os.kill(block.slot(2).pid, signal.SIGKILL)
        service.wait_event("roll done")
        service.wait_event("roll done")
        service.send(signal.SIGTERM)
        assert service.wait_exit() == ExitCode.OK
        assert len([line for line in service.log if line["event"] == "roll begins"]) == 2
        assert [slot.generation for slot in block.slots] == [1, 3, 3]


def test_a_roll_that_is_asked_for_too_early_begins_when_the_service_is_ready(
    tmp_path: Path,
) -> None:
    with RunningService(tmp_path) as service:
        service.wait_event("child spawned")
        service.send(signal.SIGHUP)
        service.wait_ready()
        service.wait_event("roll begins")
        service.wait_event("roll done")


def test_a_worker_that_does_not_leave_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "worker-0", "stubborn")
    with RunningService(tmp_path, settings={"workers.grace_period": 0.5}) as service:
        service.wait_ready()
        service.behave("worker-0", "")
        service.send(signal.SIGHUP)
        service.wait_event("child killed", child="worker 0", reason="out of time")
        service.wait_event("roll done")


def test_a_successor_that_does_not_start_stops_the_roll_until_it_is_mended(tmp_path: Path) -> None:
    with _serving(tmp_path) as (service, block):
        service.behave("worker-0", "exit 65")
        service.send(signal.SIGHUP)
        stopped = service.wait_event("roll stopped", level="error", child="worker 0")
        assert stopped["reason"] == (
            "worker 0 ended with exit code 65 (APPLICATION) before it was ready"
        )
        for _ in range(2):
            service.wait_event("child is restarted", child="worker 0")
        assert (block.slot(2).generation, block.rolls_stopped) == (1, 1)
        service.behave("worker-0", "")
        service.wait_event("child is back", child="worker 0")
        service.send(signal.SIGHUP)
        service.wait_event("roll done")
        assert block.slot(2).generation == 2


def test_a_new_roll_does_not_wait_for_the_pause_of_a_start_that_failed(tmp_path: Path) -> None:
    with RunningService(tmp_path, settings=SLOW_BACKOFF) as service:
        service.wait_ready()
        service.behave("worker-0", "exit 65")
        service.send(signal.SIGHUP)
        service.wait_event("child is restarted", child="worker 0")
        service.behave("worker-0", "")
        service.send(signal.SIGHUP)
        service.wait_event("roll done")


def test_a_worker_that_dies_during_a_roll_is_restarted_as_ever(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "worker-0", "stubborn")
    with _serving(tmp_path) as (service, block):
        service.behave("worker-0", "")
        service.send(signal.SIGHUP)
        wait_until(_is_draining(block.slot(1)), "the first worker's turn")
        os.kill(block.slot(2).pid, signal.SIGKILL)
        service.wait_event("child is restarted", child="worker 1")
        service.wait_event("child is back", child="worker 1")
        os.kill(block.slot(1).pid, signal.SIGKILL)
        service.wait_event("roll done")
        assert [slot.generation for slot in block.slots] == [1, 2, 2]


def test_a_stop_during_a_roll_is_the_usual_drain(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "worker-0", "stubborn")
    set_behaviour(tmp_path, "gateway-0", "stubborn")
    settings = {"workers.grace_period": 2.0}
    with _serving(tmp_path, settings) as (service, block):
        service.behave("worker-0", "")
        service.send(signal.SIGHUP)
        wait_until(_is_draining(block.slot(1)), "the first worker's turn")
        service.send(signal.SIGTERM)
        service.wait_event("service stopping")
        service.send(signal.SIGHUP)
        os.kill(block.slot(1).pid, signal.SIGKILL)
        service.wait_event("child is back", child="worker 0")
        assert service.wait_exit() == ExitCode.OK
        assert [slot.generation for slot in block.slots] == [1, 2, 1]
        assert sorted(service.left()) == ["worker 0 0", "worker 1 0"]


def test_systemd_is_told_that_the_service_reloads_and_that_it_has(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with RunningService(tmp_path / "data", environ=environ) as service:
            ready = systemd.recv(4096)
            service.send(signal.SIGHUP)
            reloading, clock, status = systemd.recv(4096).decode().split("\n")
            assert (reloading, status) == ("RELOADING=1", "STATUS=rolling workers")
            assert clock.removeprefix("MONOTONIC_USEC=").isdecimal()
            assert systemd.recv(4096) == ready
            service.behave("worker-0", "exit 1")
            service.send(signal.SIGHUP)
            assert systemd.recv(4096).startswith(b"RELOADING=1\n")
            assert systemd.recv(4096).startswith(b"READY=1\nSTATUS=serving; the last roll ")


def test_a_terminal_that_is_closed_stops_the_service(tmp_path: Path) -> None:
    terminal, inner = os.openpty()
    prefix = (sys.executable, "-c", _OWN_TERMINAL, str(inner))
    with RunningService(tmp_path, prefix=prefix, pass_fds=(inner,)) as service:
        os.close(inner)
        service.wait_ready()
        os.close(terminal)
        service.wait_event("service stopping", signal="SIGHUP")
        assert service.wait_exit() == ExitCode.OK


_OWN_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


# -- the command


def test_upgrade_returns_when_all_workers_are_replaced_and_names_them(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        upgraded = _upgrade("--data-directory", str(tmp_path))
        pids = service.pids()
        assert upgraded.stdout.splitlines() == [
            f"stator: worker 0 (shards 0-3)  pid {pids[1]}  generation 2",
            f"stator: worker 1 (shards 4-7)  pid {pids[2]}  generation 2",
            "upgraded",
        ]
        assert (upgraded.returncode, upgraded.stderr) == (ExitCode.OK, "")


def test_upgrade_finds_the_service_by_its_configuration(tmp_path: Path) -> None:
    config = tmp_path / "stator.toml"
    config.write_text(
        f'[application]\nregistry = "app:registry"\n[storage]\ndirectory = "{tmp_path}/data"\n'
    )
    with RunningService(tmp_path / "data") as service:
        service.wait_ready()
        assert _upgrade(str(config)).returncode == ExitCode.OK


def test_upgrade_says_that_a_worker_does_not_start(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        service.wait_ready()
        service.behave("worker-1", "exit 65")
        failed = _upgrade("--data-directory", str(tmp_path))
        assert failed.returncode == ExitCode.CHILD
        assert len(failed.stdout.splitlines()) == 1
        assert failed.stderr == (
            "stator: worker 1 ended with exit code 65 (APPLICATION) before it was ready; "
            "it is tried again and again, the workers after it keep what they have loaded\n"
        )


def test_upgrade_without_a_service_says_so(tmp_path: Path) -> None:
    failed = _upgrade("--data-directory", str(tmp_path))
    assert (failed.returncode, failed.stderr) == (ExitCode.NOT_RUNNING, "stator: not running\n")


def test_upgrade_does_not_outlive_the_service(tmp_path: Path) -> None:
    set_behaviour(tmp_path, "worker-0", "stubborn")
    with _serving(tmp_path) as (service, block):
        waiting = _start_upgrade("--data-directory", str(tmp_path))
        wait_until(_is_draining(block.slot(1)), "the first worker's turn")
        service.kill_supervisor()
        _, complaint = waiting.communicate(timeout=30)
        assert (waiting.returncode, complaint) == (ExitCode.FAILURE, "stator: the service ended\n")
        os.kill(block.slot(1).pid, signal.SIGKILL)


@contextmanager
def _serving(
    data: Path, settings: Mapping[str, object] | None = None
) -> Generator[tuple[RunningService, ControlBlock]]:
    """Run a service and give its control block with it."""
    with RunningService(data, settings=settings) as service:
        service.wait_ready()
        with closing(service.block()) as block:
            yield service, block


def _is_draining(slot: Slot) -> Callable[[], bool]:
    return lambda: slot.state is ChildState.DRAINING


def _start_upgrade(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stator", "upgrade", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _upgrade(*arguments: str) -> subprocess.CompletedProcess[str]:
    process = _start_upgrade(*arguments)
    output, complaint = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, output, complaint)
