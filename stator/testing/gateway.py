"""What a gateway wants of its process, where that is the process of a test."""

from __future__ import annotations

from pathlib import Path

from stator.runtime.boot import Boot
from stator.runtime.config import Config
from stator.runtime.control import COUNTERS, Role

NO_FD = -1


class SilentMeter:
    """Counts for nobody; implements ``stator.http.gateway.Meter``."""

    def __init__(self) -> None:
        self.counters = [0] * COUNTERS
        """What the gateway counts."""

    def record_latency(self, latency_us: int) -> None:
        """Forget it."""


def boot_record(worker_path: Path, config: Config, shards: int = 1) -> Boot:
    """Return what a gateway is told whose one worker listens at ``worker_path``.

    It inherits no descriptors: there is no supervisor.
    """
    directory = str(worker_path.parent)
    return Boot(
        role=Role.GATEWAY,
        index=0,
        slot=0,
        generation=1,
        title="gateway",
        config=config,
        shards=(),
        total_shards=shards,
        workers=(str(worker_path),),
        data_directory=directory,
        run_directory=directory,
        control_fd=NO_FD,
        lifeline_fd=NO_FD,
        ready_fd=NO_FD,
        stack_fd=NO_FD,
        lock_fd=NO_FD,
        listen_fds=(),
    )
