"""``stator status``: how a running service is, read from its control block without asking it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from stator.runtime.config import Config
from stator.runtime.control import Counter, Role
from stator.runtime.control_block import ControlBlock, Slot
from stator.runtime.exit_codes import ExitCode

from .data_directory import ServiceRecord
from .failure import ServiceFailure
from .plan import range_of, title_of
from .running import find_running


def print_status(config: Config) -> int:
    """Print a line for each process and each group of shards; return an exit code.

    ``NOT_RUNNING`` if no service runs on the data directory, ``FAILURE`` if it may not be looked
    at.
    """
    try:
        with find_running(Path(config.storage.directory)) as service:
            for line in format_status(service.block, service.record, now_ns=time.monotonic_ns()):
                print(line)
    except ServiceFailure as failure:
        if failure.exit_code is ExitCode.NOT_RUNNING:
            print(failure)
        else:
            print(f"stator: {failure}", file=sys.stderr)
        return failure.exit_code
    return ExitCode.OK


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
