"""One process of a child: environment, descriptors, readiness, stacks and its end."""

import os
import select
import signal
import sys
from collections.abc import Iterator

import pytest

from stator.runtime.boot import Boot
from stator.runtime.config import Config
from stator.runtime.control import Role
from stator.supervisor.child_process import ChildProcess, child_environment, describe_exit

_PRELUDE = """
import os, sys
from stator.runtime.boot import read_boot
boot = read_boot(int(os.environ["STATOR_BOOT_FD"]))
"""
_READY = _PRELUDE + "os.write(boot.ready_fd, b'!'); os.read(boot.lifeline_fd, 1)"
_STACKS = _PRELUDE + "os.write(boot.stack_fd, b'first'); os.write(boot.ready_fd, b'!'); input()"
_FDS = (
    _PRELUDE
    + """
allowed = {0, 1, 2, *boot.inherited_fds}
opened = {int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")}
sys.exit(len(opened - allowed))
"""
)


@pytest.fixture
def boot() -> Iterator[Boot]:
    lifeline, supervisor_end = os.pipe()
    control, lock = os.memfd_create("control"), os.memfd_create("lock")
    yield Boot(
        role=Role.GATEWAY,
        index=0,
        slot=0,
        generation=1,
        title="",
        config=Config(),
        shards=(),
        total_shards=4,
        workers=(),
        data_directory="",
        run_directory="",
        control_fd=control,
        lifeline_fd=lifeline,
        ready_fd=-1,
        stack_fd=-1,
        lock_fd=lock,
        listen_fds=(),
    )
    for fd in (lifeline, supervisor_end, control, lock):
        os.close(fd)


def _start(boot: Boot, code: str) -> ChildProcess:
    return ChildProcess(boot, (sys.executable, "-c", code), os.environ)


def _is_readable(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])


def test_the_pidfd_tells_the_end_and_reap_the_code(boot: Boot) -> None:
    process = _start(boot, "raise SystemExit(65)")
    assert _is_readable(process.pidfd, 10)
    assert process.reap() == 65
    process.close()


def test_readiness_is_a_byte_and_death_its_absence(boot: Boot) -> None:
    process = _start(boot, _READY)
    assert _is_readable(process.ready_fd, 10)
    assert os.read(process.ready_fd, 1) == b"!"
    assert not _is_readable(process.pidfd, 0)
    process.send(signal.SIGKILL)
    assert process.reap() == -signal.SIGKILL
    assert os.read(process.ready_fd, 1) == b""
    process.close()


def test_stacks_are_taken_once(boot: Boot) -> None:
    process = _start(boot, _STACKS)
    assert _is_readable(process.ready_fd, 10)
    assert process.take_stacks() == "first"
    assert process.take_stacks() == ""
    process.close()


def test_a_report_is_taken_from_a_process_that_has_ended(boot: Boot) -> None:
    process = _start(boot, _PRELUDE + "os.write(boot.ready_fd, b'no such module')")
    assert process.reap() == 0
    assert process.take_report() == b"no such module"
    assert process.take_report() == b""
    process.close()


def test_a_report_is_not_waited_for_when_somebody_else_could_still_write_it(boot: Boot) -> None:
    heir = "pid = os.fork()\nif not pid: os.read(boot.lifeline_fd, 1)"
    process = _start(boot, _PRELUDE + heir)
    assert process.reap() == 0
    assert process.take_report() == b""
    process.close()


def test_a_child_has_the_descriptors_it_was_given_and_no_others(boot: Boot) -> None:
    process = _start(boot, _FDS)
    assert process.reap() == 0
    process.close()


def test_a_signal_to_an_ended_process_is_harmless(boot: Boot) -> None:
    process = _start(boot, "")
    assert _is_readable(process.pidfd, 10)
    process.send(signal.SIGTERM)
    assert process.reap() == 0
    process.close()


def test_closing_leaves_neither_process_nor_descriptor(boot: Boot) -> None:
    before = os.listdir("/proc/self/fd")
    process = _start(boot, _READY)
    process.close()
    assert not os.path.exists(f"/proc/{process.pid}")
    assert os.listdir("/proc/self/fd") == before


def test_a_program_that_does_not_exist_leaves_no_descriptor(boot: Boot) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        ChildProcess(boot, ("/no/such/program",), os.environ)
    assert os.listdir("/proc/self/fd") == before


def test_the_environment_is_handed_on_but_for_what_systemd_says_to_the_supervisor() -> None:
    environ = {"HOME": "/", "NOTIFY_SOCKET": "/n", "LISTEN_FDS": "1", "WATCHDOG_USEC": "1"}
    assert child_environment(environ, 9) == {
        "HOME": "/",
        "PYTHONSAFEPATH": "1",
        "STATOR_BOOT_FD": "9",
    }


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exit code 0 (OK)"),
        (65, "exit code 65 (APPLICATION)"),
        (64, "exit code 64"),
        (-9, "signal SIGKILL"),
        (-60, "signal 60"),
    ],
)
def test_an_exit_is_described_by_its_name(code: int, text: str) -> None:
    assert describe_exit(code) == text
