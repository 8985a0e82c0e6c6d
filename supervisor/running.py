"""Finding the service that runs on a data directory, from another process."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stator.runtime.control_block import ControlBlock, LayoutMismatch
from stator.runtime.exit_codes import ExitCode

from .complaint import read_complaint
from .data_directory import ServiceRecord, read_service_record
from .failure import ServiceFailure


@dataclass(frozen=True)
class RunningService:
    """A service that was alive when it was looked for."""

    record: ServiceRecord
    block: ControlBlock
    """Read only."""

    def complaint(self) -> str:
        """Return why the last roll was stopped, empty if that cannot be found out any more."""
        return read_complaint(self.record.pid, self.record.complaint_fd)


@contextmanager
def find_running(data: Path) -> Generator[RunningService]:
    """Find the service on ``data`` and look at it until the end of the context.

    Raises :class:`ServiceFailure`: ``NOT_RUNNING``, or ``FAILURE`` if it may not be looked at.
    """
    record = read_service_record(data)
    try:
        block = _open_block(record) if record else None
    except PermissionError:
        raise _unreachable("the service belongs to another user") from None
    except LayoutMismatch:
        raise _unreachable("the service runs another version of stator") from None
    if record is None or block is None:
        raise ServiceFailure(ExitCode.NOT_RUNNING, "not running")
    try:
        yield RunningService(record, block)
    finally:
        block.close()


def _unreachable(reason: str) -> ServiceFailure:
    return ServiceFailure(ExitCode.FAILURE, reason)


def _open_block(record: ServiceRecord) -> ControlBlock | None:
    """Map the control block of the service's supervisor, ``None`` if that is gone.

    After a crash the record is stale, and its process id may be that of any other process.
    """
    path = f"/proc/{record.pid}/fd/{record.control_fd}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError:
        raise
    except OSError:
        return None
    try:
        block = ControlBlock.attach(fd, writable=False)
    except ValueError:
        return None
    finally:
        os.close(fd)
    if block.supervisor_pid == record.pid:
        return block
    block.close()
    return None
