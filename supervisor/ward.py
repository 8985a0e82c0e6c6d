"""A ward: one child in the supervisor's care, through all its processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable

from stator.runtime.control import ChildState, Counter
from stator.runtime.exit_codes import ExitCode
from stator.runtime.log import get_logger

from . import stall
from .child_process import ChildProcess, describe_exit
from .plan import ChildPlan
from .policy import HEALTHY_SECONDS, Event, Phase, classify_exit, next_pause
from .roll import Progress
from .service import Service

_log = get_logger("stator.supervisor")

Tell = Callable[["Ward", Event], None]


class Ward:
    """What the supervisor knows of one child and can do to it.

    It only reports events (by ``tell``) and carries out actions; what follows from an event is
    decided in ``policy`` and ``loop``.
    """

    def __init__(
        self, plan: ChildPlan, service: Service, loop: asyncio.AbstractEventLoop, tell: Tell
    ) -> None:
        self.plan = plan
        self.phase = Phase.WAITING
        self.was_ready = False
        """Whether the present process, or the last one, became ready."""
        self.last_exit = 0
        """Return code of the last process, negative for a signal."""
        self.generation = 0
        """How many processes were started."""
        self.failed_starts = 0
        """How many processes in a row ended before they were ready."""
        self._service = service
        self._slot = service.block.slot(plan.slot)
        self._loop = loop
        self._tell = tell
        self._log = _log.bind(child=plan.name)
        self._process: ChildProcess | None = None
        self._pause = 0.0
        self._overdue: asyncio.TimerHandle | None = None
        self._ready_ns = 0
        self._is_silent = False
        self._wants_stack = False

    def spawn(self) -> None:
        """Start the next process; a failure to do so is reported like its death."""
        self.generation += 1
        self.was_ready = self._is_silent = self._wants_stack = False
        boot = self._service.boot_of(self.plan, self.generation)
        try:
            process = ChildProcess(boot, self.plan.argv, self._service.environ)
        except OSError as error:
            self._log.error("child cannot be spawned", reason=str(error))
            self._note_end(ExitCode.FAILURE)
            return
        self._process = process
        self._slot.begin(pid=process.pid, generation=self.generation, started_ns=process.started_ns)
        self._loop.add_reader(process.ready_fd, self._on_ready, process)
        self._loop.add_reader(process.pidfd, self._on_exit, process)
        self._log.debug("child spawned", child_pid=process.pid, generation=self.generation)

    def retire(self) -> None:
        """Ask the process to drain and leave, and report ``OVERDUE`` if it takes too long.

        The pauses before are forgotten: what its successor loads may be better.
        """
        self._pause = 0.0
        grace = self._service.config.workers.grace_period
        self._overdue = self._loop.call_later(grace, self._tell, self, Event.OVERDUE)
        self.terminate()

    def terminate(self) -> None:
        """Ask the process to drain and leave."""
        if self._process:
            self._process.send(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once; its end is reported as that of any other."""
        if self._process:
            reason = "out of time" if self._is_leaving else "silent for too long"
            self._log.warning("child killed", child_pid=self._process.pid, reason=reason)
            self._process.send(signal.SIGKILL)

    def dump_stack(self) -> None:
        """Have the process write its stacks; the next ``check`` logs them.

        A process that has not yet taken over its slot would die of the signal.
        """
        self._wants_stack = True
        if self._process and self._slot.is_taken_over:
            self._process.send(signal.SIGUSR1)

    def restart_later(self) -> None:
        """Report ``PAUSE_OVER`` after a pause that grows from one death to the next."""
        workers = self._service.config.workers
        lived = (time.monotonic_ns() - self._ready_ns) / 1e9
        self._pause = next_pause(
            self._pause,
            was_healthy=self.was_ready and lived >= HEALTHY_SECONDS,
            first=workers.restart_backoff,
            longest=workers.restart_backoff_max,
        )
        self._log.warning("child is restarted", pause=self._pause)
        self._loop.call_later(self._pause, self._tell, self, Event.PAUSE_OVER)

    def abandon(self) -> None:
        """Do not wait for a process that not even SIGKILL ended."""
        self._log.error("child hangs in the kernel and is left behind")

    def classify_last_exit(self, *, has_served: bool) -> Event:
        """Return which event the end of the last process is."""
        return classify_exit(
            self.last_exit, failed_starts=self.failed_starts, has_served=has_served
        )

    @property
    def ready_for(self) -> float:
        """Seconds from when the present process, or the last one, was ready to its last heartbeat.

        0 if it is not ready yet.
        """
        lived_ns = self._slot.heartbeat_ns - self._ready_ns
        return max(0.0, lived_ns / 1e9) if self.was_ready else 0.0

    def progress(self) -> Progress:
        """Return what a roll has to know."""
        ready_for = (
            self.ready_for
        )  # before the counters: they are of this heartbeat, or a later one
        counters = self._slot.counters
        return Progress(
            self.phase,
            self.generation,
            ready_for,
            counters[Counter.STARTS],
            counters[Counter.START_FAILURES],
        )

    def check(self, now_ns: int) -> None:
        """Log stacks that were asked for, and report a process that is silent for too long."""
        process = self._process
        if process is None:
            return
        is_starting = self.phase is Phase.STARTING
        since_ns = process.started_ns if is_starting else self._last_sign_of_life_ns()
        silent = (now_ns - since_ns) / 1e9
        self._log_stacks(process, silent)
        limits = stall.limits_of(self.phase, self._service.config.workers)
        event = stall.judge(silent, limits) if limits else None
        if event is Event.FELL_SILENT and self._is_silent:
            return
        self._is_silent = event is not None
        if event:
            self._tell(self, event)

    def _last_sign_of_life_ns(self) -> int:
        return max(self._slot.heartbeat_ns, self._ready_ns)

    def _log_stacks(self, process: ChildProcess, silent: float) -> None:
        stacks = process.take_stacks()
        if self._wants_stack:
            self._wants_stack = False
            is_starting = self.phase is Phase.STARTING
            event = "child is slow to start" if is_starting else "child stalled"
            self._log.warning(event, silent_for=round(silent, 3), stack=stacks or None)
        elif stacks:
            self._log.info("child wrote its stacks", stack=stacks)

    def _on_ready(self, process: ChildProcess) -> None:
        self._loop.remove_reader(process.ready_fd)
        if os.read(process.ready_fd, 1):  # else its end, which is reported by the pidfd
            self.was_ready = True
            self.failed_starts = 0
            self._ready_ns = time.monotonic_ns()
            self._tell(self, Event.BECAME_READY)

    @property
    def _is_leaving(self) -> bool:
        return self.phase in (Phase.ROLLING, Phase.STOPPING)

    def _on_exit(self, process: ChildProcess) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
        self._loop.remove_reader(process.pidfd)
        self._loop.remove_reader(process.ready_fd)
        self._process = None
        code = process.reap()
        self._log_end(process, code)
        process.close()
        self._note_end(code)

    def _log_end(self, process: ChildProcess, code: int) -> None:
        is_expected = self._is_leaving
        log = self._log.debug if is_expected else self._log.warning
        stacks = {"stack": text} if (text := process.take_stacks()) else {}
        event = "child left" if is_expected else "child died"
        log(event, child_pid=process.pid, exit=describe_exit(code), **stacks)

    def _note_end(self, code: int) -> None:
        self.last_exit = code
        self.failed_starts += not self.was_ready
        self._slot.end(ChildState.STOPPED if self._is_leaving else ChildState.FAILED)
        self._tell(self, Event.EXITED)
