"""Busy neighbours: processes that want all the processor time they can get."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def busy(processes: int = 2) -> Generator[None, None, None]:
    """Keep ``processes`` processes spinning meanwhile."""
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)
    ]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
