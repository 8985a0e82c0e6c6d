"""A service with the example actors, whose processes a test may kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from stator.runtime.ids import shard_of
from tests.fakes.real_service import RealService
from tests.fakes.running_service import wait_until

ROOT = Path(__file__).parents[2]
GATEWAYS, WORKERS, SHARDS = 1, 2, 4


class ExamplesService(RealService):
    """``stator serve`` with ``examples/registry.py``."""

    def __init__(self, data: Path) -> None:
        super().__init__(
            data,
            {
                "application.registry": "registry:registry",
                "application.path": ROOT / "examples",
                "server.gateways": GATEWAYS,
                "workers.count": WORKERS,
                "storage.shards": SHARDS,
            },
        )

    def __enter__(self) -> ExamplesService:
        return self

    def kill_worker_of(self, name: str, key: str) -> None:
        """Kill the worker that an actor lives in; return at once."""
        shard = shard_of("default", name, (key,), SHARDS)
        os.kill(self.pids()[GATEWAYS + shard * WORKERS // SHARDS], signal.SIGKILL)

    def kill_gateway(self) -> None:
        """Kill the gateway, which holds all connections, and return when there is another."""
        killed = self.pids()[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: self.pids()[0] not in (0, killed), "another gateway")
