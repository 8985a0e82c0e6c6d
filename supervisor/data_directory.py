"""The data directory: its lock, its manifest, and the record that ``stator status`` reads.

Rule 1. One service owns it: an exclusive ``flock`` on the file ``lock``. Children inherit the
        descriptor, so it stays taken until the last child of a killed supervisor has left; with
        it go the public port, the shards and the run directory.
Rule 2. ``manifest.json`` records what can never change; it is written once.
Rule 3. A file is replaced whole or not at all: it is written beside and renamed.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from stator.runtime.exit_codes import ExitCode

from .failure import ServiceFailure

FORMAT = 1
_RETRY_SECONDS = 0.05


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was settled when the data directory was created."""

    format: int
    """Layout of the directory; 1."""
    shards: int
    created_at: int
    """Unix time in milliseconds."""
    id: str
    """Random; names this data for ever."""


class ServiceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running service can be looked at."""

    pid: int
    """The supervisor."""
    control_fd: int
    """The control block among the supervisor's descriptors."""
    complaint_fd: int
    """Why the last roll was stopped, among them as well."""
    run_directory: str
    endpoint: str
    started_at: int
    """Unix time in milliseconds."""


def create_directory(path: Path) -> None:
    """Make sure that the data directory exists; a new one is closed to other users."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _cannot("create the data directory", path, error) from error


def lock_directory(
    path: Path, timeout: float, *, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Take the lock of the data directory and return its descriptor.

    A living supervisor is not waited for; children that a dead one left behind are, for
    ``timeout`` seconds. Raises :class:`ServiceFailure` ``LOCKED``.
    """
    deadline = time.monotonic() + timeout
    try:
        fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot("open the data directory", path, error) from error
    while not _try_lock(fd):
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        if _is_alive(holder) or time.monotonic() >= deadline:
            os.close(fd)
            raise ServiceFailure(ExitCode.LOCKED, _locked_message(path, holder))
        sleep(_RETRY_SECONDS)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    """Whether a supervisor of this number may hold the lock: not a zombie, and not this process,
    whose number the service of another container may have as well."""
    if not pid.isdecimal() or int(pid) == os.getpid():
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def _locked_message(path: Path, holder: str) -> str:
    if not holder.isdecimal():
        return f"the data directory {path} is in use by another service"
    if _is_alive(holder):
        return f"the data directory {path} is in use by another service, process {holder}"
    return (
        f"the data directory {path} is in use by children of the dead service {holder}, "
        "or by a service in another container"
    )


def shards_for(cores: int) -> int:
    """Return what ``storage.shards = "auto"`` means for a new directory on this machine.

    One for each core: with more, fewer changes share a sync (docs/storage.md). Whoever means to
    move the data to a larger machine says so with a number.
    """
    return max(2, cores)


def open_manifest(path: Path, shards: int | Literal["auto"], *, cores: int) -> Manifest:
    """Return the manifest of the (locked) data directory, written first if there is none.

    Raises :class:`ServiceFailure`: ``CONFIG`` if the directory has another number of shards,
    ``STORAGE`` if it cannot be understood or written.
    """
    file = path / "manifest.json"
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return _create_manifest(file, shards_for(cores) if shards == "auto" else shards)
    except OSError as error:
        raise _cannot("read", file, error) from error
    manifest = _decode_manifest(file, data)
    if shards not in ("auto", manifest.shards):
        raise ServiceFailure(
            ExitCode.CONFIG,
            f"storage.shards: the data directory {path} was created with {manifest.shards} shards "
            f"and keeps them, the configuration says {shards}: "
            f"set storage.shards = {manifest.shards}",
        )
    return manifest


def _decode_manifest(file: Path, data: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        problem = f"{file} is damaged or no manifest of stator: {error}"
        raise ServiceFailure(ExitCode.STORAGE, problem) from error
    if manifest.format != FORMAT:
        raise ServiceFailure(
            ExitCode.STORAGE,
            f"{file} has format {manifest.format}, this version of stator reads format {FORMAT}: "
            "use the version that wrote it",
        )
    return manifest


def _create_manifest(file: Path, shards: int) -> Manifest:
    manifest = Manifest(
        format=FORMAT,
        shards=shards,
        created_at=time.time_ns() // 1_000_000,
        id=os.urandom(16).hex(),
    )
    _replace(file, msgspec.json.encode(manifest), sync=True)
    return manifest


def write_service_record(path: Path, record: ServiceRecord) -> None:
    """Say in ``service.json`` where the running service can be looked at."""
    _replace(path / "service.json", msgspec.json.encode(record), sync=False)


def read_service_record(path: Path) -> ServiceRecord | None:
    """Return what the last service wrote, ``None`` if there is nothing readable.

    The service may be gone: see whether the process has a control block of its own.
    """
    try:
        data = (path / "service.json").read_bytes()
        return msgspec.json.decode(data, type=ServiceRecord)
    except (OSError, msgspec.MsgspecError):
        return None


def remove_service_record(path: Path) -> None:
    """Forget the service, which is about to end."""
    (path / "service.json").unlink(missing_ok=True)


def _replace(file: Path, data: bytes, *, sync: bool) -> None:
    temporary = file.with_suffix(".new")
    try:
        with temporary.open("wb") as stream:
            stream.write(data + b"\n")
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(file)
        if sync:
            _sync_directory(file.parent)
    except OSError as error:
        raise _cannot("write", file, error) from error


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _cannot(verb: str, path: Path, error: OSError) -> ServiceFailure:
    return ServiceFailure(ExitCode.STORAGE, f"cannot {verb} {path}: {error.strerror}")
