"""A trial: one process that loads what is on disk before a roll relies on it.

It is a child like the others, a fresh interpreter with a pidfd, but it has no slot in the control
block and no second try: it ends, or it is killed.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

import msgspec

from stator.runtime.exit_codes import ExitCode
from stator.runtime.log import get_logger

from .child_process import ChildProcess, describe_exit
from .service import Service

_log = get_logger("stator.supervisor")


class TrialOver(msgspec.Struct, frozen=True):
    """What a trial found out."""

    problem: str
    """What is wrong with what is on disk, in one line; empty if all is well."""


TellTrial = Callable[[TrialOver], None]


class Trial:
    """One trial, from its start to its end."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop, over: TellTrial) -> None:
        """``over`` is called once, unless the trial is cancelled."""
        self._loop = loop
        self._over = over
        self._timeout = service.config.workers.start_timeout
        self._is_late = self._is_cancelled = False
        self._process: ChildProcess | None = None
        try:
            process = ChildProcess(service.boot_of_trial(), service.plan.trial, service.environ)
        except OSError as error:
            loop.call_soon(self._tell, f"a trial cannot be spawned: {error}")
            return
        self._process = process
        self._deadline = loop.call_later(self._timeout, self._on_deadline)
        loop.add_reader(process.pidfd, self._on_exit, process)
        _log.info("trial begins", child_pid=process.pid)

    def cancel(self) -> None:
        """End it at once; ``over`` is not called any more, what it finds out is of no use."""
        self._is_cancelled = True
        self._kill()

    def _kill(self) -> None:
        if self._process:
            self._process.send(signal.SIGKILL)

    def _on_deadline(self) -> None:
        self._is_late = True
        self._kill()

    def _on_exit(self, process: ChildProcess) -> None:
        self._process = None
        self._deadline.cancel()
        self._loop.remove_reader(process.pidfd)
        code, report, stacks = process.reap(), process.take_report(), process.take_stacks()
        took = round((time.monotonic_ns() - process.started_ns) / 1e9, 3)
        process.close()
        if stacks and not self._is_cancelled:
            _log.warning("trial wrote its stacks", took=took, stack=stacks)
        self._tell(self._judge(code, report))

    def _tell(self, problem: str) -> None:
        if not self._is_cancelled:
            self._over(TrialOver(problem))

    def _judge(self, code: int, report: bytes) -> str:
        """Return what is wrong, in one line."""
        if (code, report) == (ExitCode.OK, b"\n"):
            return ""
        if said := " ".join(report.decode("utf-8", "replace").split()):
            return said
        if self._is_late:
            return f"the application was not loaded within {self._timeout:g} s"
        return f"the trial ended with {describe_exit(code)}"
