"""A real supervisor with fake children, in a temporary directory, for process tests."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

from stator.runtime.control_block import ControlBlock
from stator.supervisor.data_directory import ServiceRecord, read_service_record

DEADLINE = 20.0
"""Seconds after which a test gives up waiting."""
_SCRIPT = Path(__file__).with_name("service_script.py")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return once ``condition`` holds; fail with ``what`` at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


class RunningService:
    """The service of ``service_script``; as a context it leaves no process behind."""

    def __init__(
        self,
        data: Path,
        *,
        environ: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
        prefix: tuple[str, ...] = (),
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.data = data
        chosen: dict[str, object] = {
            "application.registry": "app:registry",
            "storage.directory": data,
            "server.port": 0,
            "workers.count": 2,
            "workers.heartbeat_interval": 0.05,
            "workers.restart_backoff": 0.01,
            "workers.roll_watch": 0,
            "storage.shards": 8,
            "log.format": "json",
            "log.level": "debug",
            **(settings or {}),
        }
        self._process = subprocess.Popen(
            [*prefix, sys.executable, _SCRIPT, *(f"{name}={chosen[name]}" for name in chosen)],
            stdout=subprocess.PIPE,
            env={**os.environ, **(environ or {})},
            pass_fds=pass_fds,
        )
        self.pid = self._process.pid
        self.log: list[dict[str, Any]] = []
        """All lines logged so far that were waited past."""
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._reader = Thread(target=self._read_log, daemon=True)
        self._reader.start()

    def __enter__(self) -> RunningService:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(DEADLINE)  # at the end of the pipe, which the children hold as well
        assert self._process.stdout
        if not self._reader.is_alive():
            self._process.stdout.close()
        assert not self._reader.is_alive(), "a child outlived its service"

    def behave(self, child: str, behaviour: str) -> None:
        """Tell ``child`` (``worker-0``) how to behave from its next start on."""
        set_behaviour(self.data, child, behaviour)

    def wait_event(self, event: str, **fields: object) -> dict[str, Any]:
        """Return the next logged line with this event and these fields."""
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"{event} was not logged, but: {self.log}"
            self.log.append(line)
            if line["event"] == event and fields.items() <= line.items():
                return line

    def wait_ready(self) -> None:
        """Return once all children are ready."""
        self.wait_event("service ready")

    def wait_exit(self) -> int:
        """Return the supervisor's exit code; the rest of the log is in ``log``."""
        code = self._process.wait(DEADLINE)
        while (line := self._lines.get(timeout=DEADLINE)) is not None:
            self.log.append(line)
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        self._process.send_signal(number)

    def kill_supervisor(self) -> None:
        """End the supervisor as a crash would, and wait for that."""
        self._process.kill()
        self._process.wait()

    def record(self) -> ServiceRecord:
        """Return ``service.json``."""
        record = read_service_record(self.data)
        assert record
        return record

    def block(self) -> ControlBlock:
        """Map the control block; to be closed by the caller."""
        record = self.record()
        fd = os.open(f"/proc/{record.pid}/fd/{record.control_fd}", os.O_RDONLY)
        try:
            return ControlBlock.attach(fd, writable=False)
        finally:
            os.close(fd)

    def pids(self) -> list[int]:
        """Return the children's process ids by slot."""
        block = self.block()
        pids = [slot.pid for slot in block.slots]
        block.close()
        return pids

    def left(self) -> list[str]:
        """Return who left of its own accord, in order: ``worker 0 0``, the last an exit code."""
        file = self.data / "left.log"
        return file.read_text().splitlines() if file.exists() else []

    def _read_log(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)


def set_behaviour(data: Path, child: str, behaviour: str) -> None:
    """Tell ``child`` (``worker-0``) how to behave; may be called before the service runs."""
    directory = data / "behaviour"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / child).write_text(behaviour)
