"""``stator serve`` on a free port, for the official clients to call."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.fakes.running_service import wait_until

STOP_SECONDS = 20.0


class Service:
    """A service in a new directory; as a context it is ready inside and must stop well."""

    def __init__(
        self, directory: Path, application: Path, settings: Mapping[str, object] | None = None
    ) -> None:
        """``application`` is the folder of ``app.py``."""
        self.endpoint = ""
        """``http://127.0.0.1:port``, once the service is ready."""
        self._directory = directory
        self._log = directory / "service.log"
        self._settings: dict[str, object] = {
            "application.registry": "app:registry",
            "application.path": application,
            "server.port": 0,
            "storage.directory": directory / "data",
            "storage.shards": 2,
            "workers.count": 1,
            "log.format": "json",
            **(settings or {}),
        }

    def __enter__(self) -> Service:
        self._directory.mkdir(parents=True)
        overrides = (f"--set={name}={value}" for name, value in self._settings.items())
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stator", "serve", *overrides],
                cwd=self._directory,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(self._is_ready, "the service is ready")
        except BaseException:
            self._process.terminate()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            assert self._process.wait(STOP_SECONDS) == 0, self._log.read_text()
        finally:
            self._process.kill()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        for line in self._log.read_text().splitlines(keepends=True):
            if '"service ready"' in line and line.endswith("\n"):
                self.endpoint = json.loads(line)["endpoint"]
        return bool(self.endpoint)
