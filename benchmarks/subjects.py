"""What is measured: a service started as users start it, and the bare server beside it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from stator.runtime.control import Role
from stator.runtime.control_block import ControlBlock
from stator.supervisor.data_directory import read_service_record

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
DEADLINE = 60.0
"""Seconds after which waiting for a server is given up."""
FIRST_REQUEST = (
    "/gateway/{actor}/action/get?rvt-namespace=default&rvt-method=getOrCreate"
    "&rvt-runner=default&rvt-key=first%2C0&rvt-crash-policy=sleep"
)
_TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_kib(pid: int) -> int:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


@contextmanager
def data_directory() -> Generator[Path, None, None]:
    """Return a new directory on the disk of the checkout, removed at the end."""
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=BUILD) as path:
        yield Path(path)


class Server:
    """A server process; as a context it is stopped in an orderly way."""

    def __init__(self, command: list[str], port: int, *, actor: str = "counter") -> None:
        """``actor`` is whose action ``get`` the first answer is."""
        self.port = port
        self._first_request = FIRST_REQUEST.format(actor=actor)
        self.started_at = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, stdout=sys.stderr
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(DEADLINE)
        finally:
            self._process.kill()

    def wait_first_answer(self) -> float:
        """Return the seconds from the start of the process to its first answered action.

        Raises ``RuntimeError`` if it ends or does not answer in time.
        """
        while not _is_answered(self.port, self._first_request):
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}")
            if time.perf_counter() > self.started_at + DEADLINE:
                raise RuntimeError(f"no answer on port {self.port}")
            time.sleep(0.002)
        return time.perf_counter() - self.started_at


def _is_answered(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    headers = {"x-rivet-encoding": "json", "content-type": "application/json"}
    try:
        connection.request("POST", path, b'{"args":[]}', headers)
        response = connection.getresponse()
        response.read()
        return response.status == 200
    except OSError:
        return False  # it does not listen yet
    finally:
        connection.close()


class Bare(Server):
    """The bare aiohttp server of :mod:`.bare`."""

    def __init__(self) -> None:
        port = free_port()
        super().__init__(["benchmarks.bare", str(port)], port)


class BareRealtime(Server):
    """The bare aiohttp WebSocket server of :mod:`.realtime_bare`."""

    def __init__(self) -> None:
        port = free_port()
        super().__init__(["benchmarks.realtime_bare", str(port)], port, actor="plaza")


class Service(Server):
    """``stator serve configs/dev.toml`` with a data directory of its own, defaults otherwise."""

    def __init__(
        self, data: Path, *, actor: str = "counter", settings: Mapping[str, object] | None = None
    ) -> None:
        self.data = data
        port = free_port()
        chosen = {
            "storage.directory": data,
            "server.port": port,
            "log.level": "warning",
            **(settings or {}),
        }
        sets = [part for item in chosen.items() for part in ("--set", "{}={}".format(*item))]
        super().__init__(["stator", "serve", "configs/dev.toml", *sets], port, actor=actor)

    def block(self) -> ControlBlock:
        """Map the control block; to be closed by the caller."""
        record = read_service_record(self.data)
        if record is None:
            raise RuntimeError(f"no service runs on {self.data}")
        fd = os.open(f"/proc/{record.pid}/fd/{record.control_fd}", os.O_RDONLY)
        try:
            return ControlBlock.attach(fd, writable=False)
        finally:
            os.close(fd)

    def pids(self, role: Role) -> list[int]:
        """Return the process ids of the children of a role."""
        block = self.block()
        pids = [slot.pid for slot in block.slots if slot.role is role]
        block.close()
        return pids

    def shards(self) -> int:
        """Return how many shards the service has."""
        block = self.block()
        shards = block.shards
        block.close()
        return shards

    def counts(self) -> list[int]:
        """Return the workers' counters, added up, as of a heartbeat after this call.

        Indexed by ``stator.runtime.control.Counter``.
        """
        block = self.block()
        workers = [slot for slot in block.slots if slot.role is Role.WORKER]
        since = time.monotonic_ns()
        while any(slot.heartbeat_ns < since for slot in workers):
            time.sleep(0.01)
        counts = [sum(column) for column in zip(*(slot.counters for slot in workers), strict=True)]
        block.close()
        return counts
