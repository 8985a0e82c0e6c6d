"""The run directory: the private place of the workers' Unix sockets.

It is ``run`` in the data directory if the paths fit into a socket address (107 bytes), else a
directory under ``XDG_RUNTIME_DIR`` or ``/tmp`` that is named after the data directory. The latter
may have been prepared by somebody else, so owner and mode are checked before it is used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from stator.runtime.exit_codes import ExitCode
from stator.runtime.ids import MAX_SHARDS

from .failure import ServiceFailure

SOCKET_PATH_BYTES = 107
"""What fits into ``sockaddr_un`` with its closing NUL."""


def worker_socket(directory: Path, worker: int) -> Path:
    """Return the path of a worker's socket."""
    return directory / f"worker-{worker}.sock"


def choose_run_directory(data: Path, environ: Mapping[str, str]) -> Path:
    """Return where the run directory of the data directory ``data`` is: always the same place."""
    inside = data / "run"
    if _fits(inside):
        return inside
    name = f"stator-{os.geteuid()}-{blake2b(os.fsencode(data), digest_size=8).hexdigest()}"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    private = Path(runtime) / name
    return private if os.path.isabs(runtime) and _fits(private) else Path("/tmp") / name


def _fits(directory: Path) -> bool:
    return len(os.fsencode(worker_socket(directory, MAX_SHARDS))) <= SOCKET_PATH_BYTES


def open_run_directory(path: Path) -> None:
    """Create the run directory, or check it and remove the sockets a dead service left in it.

    The caller holds the lock of the data directory. Raises :class:`ServiceFailure` ``STORAGE``.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if problem := _problem(status):
            message = f"the run directory {path} {problem}; remove it"
            raise ServiceFailure(ExitCode.STORAGE, message)
        for stale in path.glob("worker-*.sock"):
            stale.unlink()
    except OSError as error:
        message = f"cannot use the run directory {path}: {error.strerror}"
        raise ServiceFailure(ExitCode.STORAGE, message) from error


def _problem(status: os.stat_result) -> str | None:
    if not stat.S_ISDIR(status.st_mode):
        return "is not a directory"
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return f"is open to other users (mode {stat.S_IMODE(status.st_mode):04o})"
    return None
