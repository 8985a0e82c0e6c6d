"""Runs the cases in ``cases/`` with the official clients under Node."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
SECONDS = 120.0
_SENTENCE = re.compile(r'^[a-zA-Z]+\(\s*"([^"]+)",', re.MULTILINE)

Problems = dict[str, str | None]
"""What is wrong, by the sentence of the case; ``None`` if nothing is."""


class Run(NamedTuple):
    """One process: a client in one encoding, and the files with its cases."""

    version: str
    encoding: str
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """``2.3.19-bare``."""
        return f"{self.version}-{self.encoding}"

    def sentences(self) -> list[str]:
        """Return the sentences of the cases, read from the files."""
        return [
            sentence
            for file in self.files
            for sentence in _SENTENCE.findall((HERE / file).read_text())
        ]


def _runs_of(version: str) -> list[Run]:
    number = version.replace(".", "_")
    encoded = (
        *("cases/values.mjs", "cases/errors.mjs", "cases/queues.mjs", f"cases/only_{number}.mjs"),
        *("cases/life.mjs", "cases/workflows.mjs"),
        *("cases/connections.mjs", f"cases/connections_{number}.mjs", "cases/hibernation.mjs"),
    )
    once = (
        *("cases/actors.mjs", "cases/access.mjs"),
        *("cases/raw_http.mjs", "cases/raw_websocket.mjs", "cases/crashes.mjs"),
    )
    return [
        Run(version, "bare", (*encoded, *once)),
        Run(version, "cbor", encoded),
        Run(version, "json", encoded),
    ]


VERSIONS = ("2.3.19", "2.1.7")
RUNS = [run for version in VERSIONS for run in _runs_of(version)]
"""Values and errors in each encoding; what does not depend on it in the default one."""


def node() -> str:
    """Return the Node to run the clients with. Raises if the packages are not installed."""
    if not (PACKAGES / ".installed").exists():
        raise FileNotFoundError("first install the clients: scripts/install-node-packages")
    own = PACKAGES / ".node22"
    return str(own) if own.exists() else "node"


def environment() -> dict[str, str]:
    """Return the environment for a client: nothing in it may configure one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RIVET_")}
    return {**kept, "RIVET_LOG_LEVEL": "error"}


def run_all(
    runs: Sequence[Run], services: Mapping[str, str], directory: Path
) -> dict[str, Problems]:
    """Run all cases, the runs at once; return the problems by the run's name."""
    started = [(run, _start(run, services, directory)) for run in runs]
    return {run.name: _finish(run, process, directory) for run, process in started}


def _start(run: Run, services: Mapping[str, str], directory: Path) -> subprocess.Popen[str]:
    results = directory / f"{run.name}.json"
    arguments = (run.version, run.encoding, json.dumps(services), results, *run.files)
    return subprocess.Popen(
        [node(), "run.mjs", *map(str, arguments)],
        cwd=HERE,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(run: Run, process: subprocess.Popen[str], directory: Path) -> Problems:
    try:
        output, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, f"{run.name}: {output}"
    outcomes = json.loads((directory / f"{run.name}.json").read_bytes())
    return {outcome["sentence"]: outcome["problem"] for outcome in outcomes}
