"""A service within a test: gateway, links and one worker, all real, in the caller's event loop.

What differs from ``stator serve``: no processes, so no supervisor; Unix sockets in a temporary
folder instead of ports; a clock that stands (:mod:`.clock`). Namespaces exist when they are named.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from stator.http.front import Front
from stator.runtime.config import Config, Namespaces, Server, Workers
from stator.runtime.control_block import ControlBlock
from stator.runtime.log import get_logger
from stator.runtime.registry import Registry

from .clock import VirtualClock
from .gateway import SilentMeter, boot_record
from .timekeeper import Timekeeper
from .worker import Worker
from .workload import Workload

LINK_TIMEOUT_S = 10.0
"""Real seconds that a link may take to come up."""
_CONFIG = Config(
    server=Server(ping_interval=0.0),
    namespaces=Namespaces(create_on_use=True),
    workers=Workers(grace_period=1.0),
)


class Service:
    """One service, from :meth:`open` to :meth:`close`; implements ``timekeeper.Subject``."""

    worker: Worker
    """What runs the actors now."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = 0
        self._log = get_logger("stator.testing")
        self._exits = AsyncExitStack()
        self._directory = Path(
            self._exits.enter_context(tempfile.TemporaryDirectory(prefix="stator-"))
        )
        self._block = ControlBlock.create(owners=[0], children=[])
        self._exits.callback(self._block.close)
        self.timekeeper = Timekeeper(self)

    @property
    def clock(self) -> VirtualClock:
        """The clock that its actors live by now."""
        return self.worker.clock

    @property
    def workload(self) -> Workload:
        """What its worker has under way."""
        return self.worker.workload

    @property
    def deeds(self) -> object:
        """What its worker did so far: equal only while it does nothing."""
        return self.worker.deeds

    @property
    def public_path(self) -> Path:
        """The Unix socket of the gateway."""
        return self._directory / "public"

    async def open(self) -> None:
        """Begin to serve; to be closed in any case. Raises what keeps it from that."""
        listener = _listen(self._worker_path)
        boot = boot_record(self._worker_path, _CONFIG)
        self._front = Front(boot, self._block, SilentMeter(), self._log)
        self._exits.push_async_callback(self._front.close)
        await self._front.open([_listen(self.public_path)])
        await self._start_worker(listener, VirtualClock())
        self._exits.push_async_callback(self._stop_worker, has_successor=False)

    async def crash(self) -> None:
        """Lose the worker, as by ``kill -9``, and start another one from what is on disk."""
        await self.timekeeper.wait_still()
        await self.worker.crash()
        await self._succeed()

    async def reload(self, registry: Registry) -> None:
        """Stop the worker in an orderly way and start one that serves ``registry``."""
        await self.timekeeper.wait_still()
        await self._stop_worker(has_successor=True)
        self._registry = registry
        await self._succeed()

    async def close(self) -> None:
        """Stop all actors in an orderly way, end everything and delete the folder."""
        await self._exits.aclose()

    async def _stop_worker(self, *, has_successor: bool) -> None:
        worker = self.worker
        if has_successor:
            await worker.say_goodbye()  # takes real time: the clock moves only after it
        draining = asyncio.create_task(worker.drain())
        try:
            await self.timekeeper.pass_until(draining, worker.longest_grace)
        finally:
            draining.cancel()
            await worker.close()
        await draining

    async def _succeed(self) -> None:
        listener = _listen(self._worker_path)
        await self._start_worker(listener, self.clock.without_timers())

    async def _start_worker(self, listener: socket.socket, clock: VirtualClock) -> None:
        self._generation += 1
        self.worker = Worker(
            self._registry,
            self._directory,
            generation=self._generation,
            clock=clock,
            namespaces=_CONFIG.namespaces.names,
            log=self._log,
        )
        await self.worker.open(listener)
        await self._front.backends.wait_connected(LINK_TIMEOUT_S)
        await self.timekeeper.settle()

    @property
    def _worker_path(self) -> Path:
        return self._directory / "worker"


def _listen(path: Path) -> socket.socket:
    """Return a socket that listens at ``path``, where an earlier one may have been."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
