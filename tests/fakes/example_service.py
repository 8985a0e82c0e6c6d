"""``stator serve`` with the configuration of one example, and the commands of its README."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from tests.fakes.real_service import RealService

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SHOWN_ENDPOINT = "http://127.0.0.1:6420"
SECONDS = 60.0


class ExampleService(RealService):
    """The service of ``examples/NAME/config.toml``, with a port and a data directory of its own."""

    def __init__(self, name: str, data: Path) -> None:
        self.data = data
        overrides = {
            "server.port": 0,
            "storage.directory": data,
            "workers.restart_backoff": 0.01,
            "log.format": "json",
        }
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "stator",
                "serve",
                str(EXAMPLES / name / "config.toml"),
                *(f"--set={key}={value}" for key, value in overrides.items()),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "AGENT_STAND_IN_PAUSE": "0"},
        )
        self.pid = self._process.pid
        self.log = []
        self._lines = queue.SimpleQueue()
        self._reader = Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._endpoint = ""

    def __enter__(self) -> ExampleService:
        return self

    def run(self, script: str) -> str:
        """Return what a shell script prints that means this service."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace(SHOWN_ENDPOINT, self.endpoint)],
            cwd=ROOT,
            env={**os.environ, "ENDPOINT": self.endpoint},
            capture_output=True,
            timeout=SECONDS,
            text=True,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run_client(self, name: str, *arguments: str) -> str:
        """Return what the client script of an example prints."""
        with self.start_client(name, *arguments) as client:
            printed, _ = client.communicate(timeout=SECONDS)
        assert client.returncode == 0, printed
        return printed

    def start_client(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Start the client script of an example; what it prints can be read line by line."""
        script = EXAMPLES / name / "client.py"
        command = [sys.executable, "-u", str(script), *arguments, "--endpoint", self.endpoint]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@dataclass(frozen=True)
class Shown:
    """A command of a README and what it is said to print; ``…`` there stands for anything."""

    command: str
    output: str

    def is_like(self, printed: str) -> bool:
        """Whether that is what was printed, apart from white space at line ends."""
        parts = map(re.escape, self.output.split("…"))
        return re.fullmatch(".*".join(parts), printed.strip(), re.S) is not None


_MARK = "--- end of a command ---"


def shown_in(readme: Path) -> list[list[Shown]]:
    """Return the commands of each block that shows their outputs, as comments below them."""
    blocks = re.findall(r"^```sh\n(.*?)^```", readme.read_text(), re.M | re.S)
    return [shown for block in blocks if (shown := _shown(block))]


def _shown(block: str) -> list[Shown]:
    found = re.findall(r"((?:^(?!# ).*\n)+)((?:^# .*\n)+)", block, re.M)
    return [Shown(command, re.sub(r"^# ", "", text, flags=re.M).strip()) for command, text in found]


def check(service: ExampleService, block: list[Shown]) -> None:
    """Run the commands of a block, in one shell, and compare what they print."""
    script = "".join(f"{shown.command}echo '{_MARK}'\n" for shown in block)
    printed = service.run(script).split(_MARK)
    for shown, output in zip(block, printed, strict=False):
        assert shown.is_like(output), f"{shown.command}printed {output!r}, not {shown.output!r}"
