"""What gateways and workers do to be good children of the supervisor.

Rule 1. The heartbeat is written by the event loop, not by a thread: it says that the loop turns.
Rule 2. SIGTERM asks to stop. SIGINT is ignored: it is meant for the supervisor, which asks.
Rule 3. No child outlives the supervisor by more than the grace period.

Rule 3 needs care, for the supervisor may be killed while a child's loop is blocked. A thread
waits for the end of the lifeline, so it notices whatever the loop does, also when the supervisor
was gone before it looked. It asks the loop to stop and starts the deadline, which is a C thread
of ``faulthandler`` that writes all stacks to stderr and exits, with no need of the loop or the
GIL. ``prctl(PR_SET_PDEATHSIG)`` was considered and left out: SIGKILL would deny the drain, any
other signal needs the blocked loop to handle it, it is sent when the spawning *thread* ends, and
it is lost when the supervisor dies before the call. What is left uncovered is C code that never
gives the GIL back at the very time the supervisor is killed; systemd ends those with the cgroup.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import resource
import signal
import time
from collections.abc import Callable
from threading import Thread

from . import control
from .boot import Boot
from .control import ChildState
from .control_block import ControlBlock
from .exit_codes import ExitCode

STDERR = 2
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def send_stacks_to(fd: int) -> None:
    """Write the stacks of all threads to ``fd`` on SIGUSR1, and before a crash kills the process.

    To be called first of all: until then SIGUSR1 ends the process.
    """
    faulthandler.enable(file=fd, all_threads=True)
    faulthandler.register(signal.SIGUSR1, file=fd, all_threads=True)


def exit_after(seconds: float) -> None:
    """End this process in ``seconds`` unless it ends before, with all stacks on stderr."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)


class Child:
    """This process as seen by its supervisor.

    Construct it as early as possible, before the application is loaded: from then on the
    supervisor can report what a slow start is busy with, and a start that hangs ends with the
    supervisor. ``start`` wants the running loop.
    """

    def __init__(
        self, boot: Boot, block: ControlBlock, *, deadline: Callable[[float], None] = exit_after
    ) -> None:
        self.counters = [0] * control.COUNTERS
        """By :class:`control.Counter`; plain integers, published with each heartbeat."""
        self.histogram = [0] * control.BUCKETS
        """Latencies, see :meth:`record_latency`; published with each heartbeat."""
        self.gauges: dict[control.Counter, Callable[[], int]] = {}
        """Levels that are read when the counters are published, so that nobody keeps them."""
        self.orphaned = False
        """Whether the supervisor is gone."""
        self._boot = boot
        self._slot = block.slot(boot.slot)
        self._deadline = deadline
        self._stopping = asyncio.Event()
        self._interval = boot.config.workers.heartbeat_interval
        self._due_ns = 0
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slot.take_over(boot.generation)
        Thread(target=self._watch_supervisor, name="stator-lifeline", daemon=True).start()

    @property
    def stopping(self) -> bool:
        """Whether this process was asked to drain and leave."""
        return self._stopping.is_set()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle signals, heed the end of the supervisor and beat, all on ``loop``."""
        self._loop = loop
        _allow_many_files()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        if self.orphaned:
            self.stop()
        self._beat(loop)

    def ready(self) -> None:
        """Tell the supervisor that this process serves; once."""
        self._slot.set_state(ChildState.READY)
        os.write(self._boot.ready_fd, b"\n")
        os.close(self._boot.ready_fd)

    def stop(self) -> None:
        """Begin to drain, as SIGTERM does; twice is once."""
        if not self.stopping:
            self._slot.set_state(ChildState.DRAINING)
            self._stopping.set()

    async def wait_stopping(self) -> None:
        """Return once this process is asked to drain and leave."""
        await self._stopping.wait()

    def exit_code(self) -> ExitCode:
        """Return the exit code of a finished drain."""
        return ExitCode.ORPHANED if self.orphaned else ExitCode.OK

    def record_latency(self, latency_us: int) -> None:
        """Count one request that took ``latency_us`` microseconds."""
        self.histogram[control.bucket_of(latency_us)] += 1

    def publish(self) -> None:
        """Write counters and histogram now; for the end of a drain, when no heartbeat follows."""
        for counter, read in self.gauges.items():
            self.counters[counter] = read()
        self._slot.publish(self.counters, self.histogram)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        now_ns = time.monotonic_ns()
        lag_ns = max(0, now_ns - self._due_ns) if self._due_ns else 0
        self.publish()  # first: whoever sees this heartbeat sees all that was counted before it
        self._slot.beat(
            heartbeat_ns=now_ns, loop_lag_us=lag_ns // 1000, rss_bytes=self.resident_bytes()
        )
        self._due_ns = now_ns + int(self._interval * 1e9)
        loop.call_later(self._interval, self._beat, loop)

    def resident_bytes(self) -> int:
        """Return how much memory of this process is resident."""
        return int(os.pread(self._statm, 128, 0).split()[1]) * _PAGE_BYTES

    def _watch_supervisor(self) -> None:
        os.read(self._boot.lifeline_fd, 1)
        self._deadline(self._boot.config.workers.grace_period)
        # Whoever comes second, this thread or ``start``, sees what the other one set.
        self.orphaned = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: this process is leaving
                self._loop.call_soon_threadsafe(self.stop)


def _allow_many_files() -> None:
    """Use as many descriptors as the system allows: a client is one, an open database up to three.

    The soft limit is low for programs that use ``select``; we do not
    (https://0pointer.net/blog/file-descriptor-limits.html).
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
