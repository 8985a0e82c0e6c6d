"""``stator status``: how a running service is, read from its control block without asking it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from stator.runtime.config import Config
from stator.runtime.control import Counter, Role
from stator.runtime.control_block import ControlBlock, LayoutMismatch, Slot
from stator.runtime.exit_codes import ExitCode

from .data_directory import ServiceRecord, read_service_record
from .plan import range_of, title_of


def print_status(config: Config) -> int:
    """Print a line for each process and each group of shards; return an exit code.

    ``NOT_RUNNING`` if no service runs on the data directory, ``FAILURE`` if it may not be looked
    at.
    """
    record = read_service_record(Path(config.storage.directory))
    try:
        block = _open_block(record) if record else None
    except PermissionError:
        return _refuse("the service belongs to another user")
    except LayoutMismatch:
        return _refuse("the service runs another version of stator")
    if record is None or block is None:
        print("not running")
        return ExitCode.NOT_RUNNING
    for line in format_status(block, record, now_ns=time.monotonic_ns()):
        print(line)
    block.close()
    return ExitCode.OK


def _refuse(reason: str) -> int:
    print(f"stator: {reason}", file=sys.stderr)
    return ExitCode.FAILURE


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


def format_status(block: ControlBlock, record: ServiceRecord, *, now_ns: int) -> Iterator[str]:
    """Return the lines of ``stator status``; ``now_ns`` is CLOCK_MONOTONIC."""
    shards = {
        owner: list(group) for owner, group in groupby(range(block.shards), key=block.owner_of)
    }
    state = block.service_state.name.lower()
    yield f"stator: supervisor  pid {record.pid}  {state}  {record.endpoint}"
    for slot in block.slots:
        owned = shards.get(slot.index, []) if slot.role is Role.WORKER else []
        yield f"{title_of(slot.role, slot.index, owned)}  {_format_slot(slot, now_ns)}"
    for owner, group in shards.items():
        yield f"{range_of(group)}  worker {owner}  epoch {block.epoch_of(group[0])}"


def _format_slot(slot: Slot, now_ns: int) -> str:
    counters = slot.counters
    beat_ns = slot.heartbeat_ns
    heartbeat = f"{max(0, now_ns - beat_ns) / 1e9:.1f} s ago" if beat_ns else "none"
    parts = [
        f"pid {slot.pid or '-'}",
        slot.state.name.lower(),
        f"generation {slot.generation}",
        f"heartbeat {heartbeat}",
        f"lag {slot.loop_lag_us / 1000:.1f} ms",
        f"rss {slot.rss_bytes / (1 << 20):.1f} MiB",
        f"requests {counters[Counter.REQUESTS]}",
        f"actors {counters[Counter.ACTORS_AWAKE]}",
        f"commits {counters[Counter.COMMITS]}",
    ]
    return "  ".join(parts)
