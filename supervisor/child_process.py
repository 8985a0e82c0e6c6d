"""One process of one child: a fresh interpreter, its descriptors, and its end by pidfd."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import msgspec

from stator.runtime.boot import BOOT_FD_VARIABLE, REPORT_BYTES, Boot, write_boot
from stator.runtime.exit_codes import ExitCode

_STACK_BYTES = 1 << 18
"""No more of a stack dump is read at once."""
_NOT_FOR_CHILDREN = frozenset(
    {
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    }
)
"""What systemd says to the supervisor and to nobody else."""


def child_environment(environ: Mapping[str, str], boot_fd: int) -> dict[str, str]:
    """Return the environment of a child.

    ``PYTHONSAFEPATH`` keeps the working directory off the import path: an application's own
    ``http`` folder there would hide the standard library's.
    """
    inherited = {name: value for name, value in environ.items() if name not in _NOT_FOR_CHILDREN}
    return {**inherited, "PYTHONSAFEPATH": "1", BOOT_FD_VARIABLE: str(boot_fd)}


def describe_exit(code: int) -> str:
    """Return ``exit code 65 (APPLICATION)`` or ``signal SIGKILL`` for a process's return code."""
    if code < 0:
        known = -code in {number.value for number in signal.Signals}
        return f"signal {signal.Signals(-code).name if known else -code}"
    meaning = {member.value: f" ({member.name})" for member in ExitCode}.get(code, "")
    return f"exit code {code}{meaning}"


class ChildProcess:
    """A process from its start to its end.

    ``ready_fd`` has a byte once it serves and ends when it is gone; ``pidfd`` is readable when
    it is gone: then ``reap``, then ``close``.
    """

    def __init__(self, boot: Boot, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        """Spawn ``argv`` with ``boot``, whose ready and stack descriptors are made here.

        Raises ``OSError``.
        """
        with ExitStack() as kept, ExitStack() as lent:
            self.ready_fd, ready_end = os.pipe2(os.O_CLOEXEC)
            kept.callback(os.close, self.ready_fd)
            lent.callback(os.close, ready_end)
            self._stack_fd = os.memfd_create("stator-stack", os.MFD_CLOEXEC)
            kept.callback(os.close, self._stack_fd)
            boot = msgspec.structs.replace(boot, ready_fd=ready_end, stack_fd=self._stack_fd)
            boot_fd = write_boot(boot)
            lent.callback(os.close, boot_fd)
            self.started_ns = time.monotonic_ns()
            self._process = _spawn(boot, boot_fd, argv, environ)
            kept.callback(_end, self._process)
            self.pidfd = os.pidfd_open(self._process.pid)
            kept.callback(os.close, self.pidfd)
            self._kept = kept.pop_all()
        self.pid = self._process.pid
        self._stack_read = 0

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal to this very process; harmless if it ended."""
        signal.pidfd_send_signal(self.pidfd, signal_number)

    def take_stacks(self) -> str:
        """Return what the process wrote about its threads since the last call."""
        text = os.pread(self._stack_fd, _STACK_BYTES, self._stack_read)
        self._stack_read += len(text)
        return text.decode("utf-8", "replace")

    def take_report(self) -> bytes:
        """Return what the ended process wrote to its ready pipe and nobody read.

        A process that it left behind may hold the other end, so this waits for nothing.
        """
        os.set_blocking(self.ready_fd, False)
        try:
            return os.read(self.ready_fd, REPORT_BYTES)
        except BlockingIOError:
            return b""

    def reap(self) -> int:
        """Return the return code of the ended process, negative for a signal."""
        return self._process.wait()

    def close(self) -> None:
        """Close the descriptors; ends the process if it did not end before."""
        self._kept.close()


def _spawn(
    boot: Boot, boot_fd: int, argv: Sequence[str], environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        env=child_environment(environ, boot_fd),
        pass_fds=(boot_fd, *boot.inherited_fds),
        process_group=0,  # Ctrl-C in a terminal is for the supervisor alone
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
